//! The opening handshake's server side (RFC 6455, section 4.2) on byte slices.

#![forbid(unsafe_code)]

mod head;
mod origin;
mod refusal;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BufMut;
use sha1::{Digest as _, Sha1};

use super::deflate;

pub use head::{Head, HeadLimits, check_incomplete, head_end, percent_decode, with_head};
pub use origin::{OriginPatternError, Origins};
pub use refusal::Refusal;

/// What the key is joined with before it is hashed (section 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Base64 of a SHA-1 hash.
pub const ACCEPT_LEN: usize = 28;

/// A handshake that has been accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept: [u8; ACCEPT_LEN],
    /// The subprotocol agreed on, if any.
    pub subprotocol: Option<&'static str>,
    /// What has been agreed on about compression, if anything has.
    pub deflate: Option<deflate::Answer>,
}

/// Whose order decides between subprotocols that both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The first one in the client's list, as RFC 6455, section 4.1 has it.
    Client,
    /// The first one in the endpoint's list: for versions of one protocol, the highest.
    Server,
}

/// Checks an opening handshake for an endpoint that speaks the given subprotocols; the client's
/// order decides between them.
///
/// # Errors
/// [`Refusal`] with 400 for what is malformed, 403 for the origin, 426 for a request that is no
/// WebSocket handshake or one of another version.
pub fn upgrade(
    head: &Head<'_>,
    origins: &Origins,
    subprotocols: &[&'static str],
) -> Result<Upgrade, Refusal> {
    upgrade_preferring(Preference::Client, head, origins, subprotocols)
}

/// The same with the order chosen that decides between subprotocols.
///
/// # Errors
/// As [`upgrade`].
pub fn upgrade_preferring(
    preference: Preference,
    head: &Head<'_>,
    origins: &Origins,
    subprotocols: &[&'static str],
) -> Result<Upgrade, Refusal> {
    check_request(head)?;
    check_version(head)?;
    let key = one(head, "Sec-WebSocket-Key")?;
    let accept = accept(key).ok_or_else(|| {
        Refusal::new(
            400,
            "Sec-WebSocket-Key must be 16 bytes in base64, 24 characters",
        )
    })?;
    check_origin(head, origins)?;
    Ok(Upgrade {
        accept,
        subprotocol: subprotocol(preference, head, subprotocols)?,
        deflate: None,
    })
}

impl Upgrade {
    /// Looks for an acceptable offer of permessage-deflate (RFC 7692, section 5.1); without a policy there is none.
    ///
    /// # Errors
    /// 400 for a malformed `Sec-WebSocket-Extensions`, whatever it is about.
    pub fn negotiate_deflate(
        mut self,
        head: &Head<'_>,
        policy: Option<&deflate::Policy>,
    ) -> Result<Self, Refusal> {
        let offers = head.all("Sec-WebSocket-Extensions");
        self.deflate = deflate::negotiate(offers, policy)
            .map_err(|malformed| Refusal::new(400, malformed.to_string()))?;
        Ok(self)
    }

    /// Appends the `101 Switching Protocols`.
    pub fn put_response(&self, out: &mut impl BufMut) {
        out.put_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        );
        out.put_slice(&self.accept);
        if let Some(subprotocol) = self.subprotocol {
            out.put_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.put_slice(subprotocol.as_bytes());
        }
        if let Some(deflate) = &self.deflate {
            out.put_slice(b"\r\nSec-WebSocket-Extensions: ");
            deflate.put_value(out);
        }
        out.put_slice(b"\r\n\r\n");
    }
}

fn check_request(head: &Head<'_>) -> Result<(), Refusal> {
    if head.method() != "GET" {
        return Err(Refusal::new(
            400,
            "a WebSocket is opened with GET; to publish over HTTP use the internal listener",
        ));
    }
    if head.minor_version() < 1 {
        return Err(Refusal::new(400, "a WebSocket is opened with HTTP/1.1"));
    }
    one(head, "Host")?;
    if head.count("Upgrade") == 0 {
        return Err(Refusal::new(
            426,
            "this is a WebSocket endpoint: connect to it with ws:// and a WebSocket client",
        )
        .with_header("Upgrade", "websocket")
        .with_header("Sec-WebSocket-Version", "13"));
    }
    if !head.lists("Upgrade", "websocket") {
        return Err(Refusal::new(400, "the Upgrade header must name websocket"));
    }
    if head.count("Upgrade") > 1 {
        return Err(Refusal::new(400, "there is more than one Upgrade header"));
    }
    if !head.lists("Connection", "upgrade") {
        return Err(Refusal::new(400, "the Connection header must name Upgrade"));
    }
    Ok(())
}

fn check_version(head: &Head<'_>) -> Result<(), Refusal> {
    let version = one(head, "Sec-WebSocket-Version")?;
    if version == b"13" {
        return Ok(());
    }
    if version.is_empty() || !version.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::new(400, "Sec-WebSocket-Version must be a number"));
    }
    // A 426 must say what to upgrade to (RFC 9110, section 15.5.22).
    Err(Refusal::new(426, "the only version spoken here is 13")
        .with_header("Upgrade", "websocket")
        .with_header("Sec-WebSocket-Version", "13"))
}

/// Whether the page that a request comes from may connect.
///
/// # Errors
/// 403 for one that may not, 400 where it is not clear which it is.
pub fn check_origin(head: &Head<'_>, origins: &Origins) -> Result<(), Refusal> {
    if head.count("Origin") > 1 {
        return Err(Refusal::new(400, "there is more than one Origin header"));
    }
    let origin = head.header("Origin");
    if origins.allows(origin) {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        match origin {
            Some(_) => "pages of this origin may not connect (origins.allowed)",
            None => "a handshake without an Origin header is not let in (origins.missing_allowed)",
        },
    ))
}

/// The subprotocol that both sides speak and the preferred side names first.
fn subprotocol(
    preference: Preference,
    head: &Head<'_>,
    spoken: &[&'static str],
) -> Result<Option<&'static str>, Refusal> {
    let offered = || {
        let list = head.list("Sec-WebSocket-Protocol");
        // Empty elements of a list do not count (RFC 9110, section 5.6.1.2).
        list.filter(|name| !name.is_empty())
    };
    if !offered().flatten().copied().all(is_token_byte) {
        return Err(Refusal::new(
            400,
            "Sec-WebSocket-Protocol must be a list of names",
        ));
    }
    Ok(match preference {
        Preference::Client => {
            offered().find_map(|name| spoken.iter().copied().find(|s| s.as_bytes() == name))
        }
        Preference::Server => spoken
            .iter()
            .copied()
            .find(|s| offered().any(|name| name == s.as_bytes())),
    })
}

/// The value of a header that must be there once.
fn one<'a>(head: &Head<'a>, name: &'static str) -> Result<&'a [u8], Refusal> {
    match (head.header(name), head.count(name)) {
        (Some(value), 1) => Ok(value),
        (None, _) => Err(Refusal::new(400, format!("the {name} header is missing"))),
        _ => Err(Refusal::new(
            400,
            format!("there is more than one {name} header"),
        )),
    }
}

/// The answer to a key; `None` where that is not 16 bytes in base64.
fn accept(key: &[u8]) -> Option<[u8; ACCEPT_LEN]> {
    if key.len() != 24 || BASE64.decode(key).ok()?.len() != 16 {
        return None;
    }
    let hash = Sha1::new()
        .chain_update(key)
        .chain_update(ACCEPT_SUFFIX)
        .finalize();
    let mut accept = [0; ACCEPT_LEN];
    let written = BASE64.encode_slice(hash, &mut accept).ok()?;
    (written == ACCEPT_LEN).then_some(accept)
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
