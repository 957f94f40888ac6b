//! CONNECT: version, heart-beats, and who it is.

use super::Work;
use super::connected::Connected;
use super::error::ErrorReply;
use super::rights::prove;
use crate::endpoint::Heartbeat;
use crate::publication::Kind;
use crate::stomp::encode::put_connected;
use crate::stomp::heartbeat::{Agreed, agree};
use crate::stomp::{Command, Frame, HeartBeat, Version};

/// As what the server introduces itself.
const SERVER: &str = concat!("pushring/", env!("CARGO_PKG_VERSION"));

/// A client's first frame. A token may have come with the handshake.
pub fn connect(
    frame: &Frame<'_>,
    token: Option<&str>,
    work: &mut Work<'_, '_>,
) -> Result<Connected, ErrorReply> {
    let receipt = frame.header("receipt");
    if !matches!(frame.command, Command::Connect | Command::Stomp) {
        let error = ErrorReply::new(
            format!("{} before CONNECT", frame.command),
            "Send CONNECT first and wait for CONNECTED.",
        );
        return Err(error.with_receipt(receipt));
    }
    let version = Version::negotiate(frame.header("accept-version"))
        .map_err(|error| ErrorReply::versions(&error).with_receipt(receipt))?;
    if !frame.body().is_empty() {
        return Err(ErrorReply::body(frame.command).with_receipt(receipt));
    }
    // STOMP 1.0 has no heart-beats.
    let wanted = frame
        .header("heart-beat")
        .filter(|_| version != Version::V1_0);
    let client = HeartBeat::parse(wanted).map_err(|error| {
        let help = "Write two numbers of milliseconds and a comma between them, as in 10000,10000.";
        ErrorReply::new(error.to_string(), help).with_receipt(receipt)
    })?;
    let server = work.settings.heart_beat;
    let agreed = agree(client, server);
    let silence_ms = agreed.client_sends_every_ms.saturating_mul(5) / 2;
    let who = prove(frame, token, work.context).map_err(|error| error.with_receipt(receipt))?;
    if agreed != Agreed::default() {
        work.context.set_heartbeat(Heartbeat {
            // A little early, for timers and networks are a little late.
            send_every_ms: agreed.server_sends_every_ms - agreed.server_sends_every_ms / 10,
            silence_ms_max: silence_ms,
        });
    }
    let user = who.as_ref().and_then(|who| who.user(work.context));
    work.scratch.clear();
    let beats = match version {
        Version::V1_0 => (0, 0),
        _ => (server.can_send_every_ms, server.wants_every_ms),
    };
    let session = work.context.name().to_string();
    work.context.identify(user.unwrap_or_default(), &session);
    put_connected(work.scratch, version, &session, SERVER, beats, user);
    work.context.send_kind(Kind::Text, work.scratch);
    let mut connected = Connected::new(version, who, silence_ms);
    connected.set_deadline(work);
    if let Some(receipt) = receipt {
        connected.put_receipt(receipt, work);
    }
    Ok(connected)
}
