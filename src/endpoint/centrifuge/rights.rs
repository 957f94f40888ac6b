//! What a client may do in which channel.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Work;
use crate::access::TokenError;
use crate::centrifuge::ErrorReply;
use crate::channel::{ChannelName, Namespace, is_pattern};
use crate::endpoint::credentials::{self, Unauthorized};
use crate::rules::{Denied, Identity};

/// A subscription that is granted, and what the token that grants it says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Granted {
    /// When the token expires, in ms since 1970.
    pub expires_at_ms: Option<u64>,
    /// What the others of the channel are told about the client: JSON, or nothing.
    pub info: Bytes,
}

/// Whether a subscription to it can recover. One to a pattern of names cannot, whatever the channels keep.
pub fn is_recoverable(channel: &ChannelName, work: &Work<'_, '_>) -> bool {
    let namespace = namespace(channel, work);
    let to_many = namespace.wildcards && is_pattern(channel.as_str());
    namespace.history_size > 0 && !to_many
}

/// Whether anybody is told who is subscribed.
pub fn shows_subscribers(channel: &ChannelName, work: &Work<'_, '_>) -> bool {
    let namespace = namespace(channel, work);
    namespace.presence || namespace.join_leave
}

/// Whether a new subscriber is sent the newest publication.
pub fn gives_newest(channel: &ChannelName, work: &Work<'_, '_>) -> bool {
    namespace(channel, work).cache
}

fn namespace<'w>(channel: &ChannelName, work: &'w Work<'_, '_>) -> &'w Namespace {
    work.context.rules().namespaces.of(channel.as_str())
}

/// Whether the client may subscribe, by its subscription token where it has brought one and the server takes any.
pub fn subscribe(
    identity: &Identity,
    channel: &ChannelName,
    token: &str,
    work: &Work<'_, '_>,
) -> Result<Granted, ErrorReply> {
    let takes_tokens = work.context.rules().access.takes_tokens();
    let token = Some(token).filter(|token| takes_tokens && !token.is_empty());
    let claims = credentials::may_subscribe(identity, channel, token, work.context);
    let granted = claims.map_err(not_granted)?.map(|claims| Granted {
        expires_at_ms: claims.expires_at_ms,
        info: claims.info,
    });
    Ok(granted.unwrap_or_default())
}

/// Whether the client may publish.
pub fn publish(
    identity: &Identity,
    channel: &ChannelName,
    work: &Work<'_, '_>,
) -> Result<(), ErrorReply> {
    let rules = work.context.rules();
    rules.may_publish(channel, identity).map_err(denied)
}

/// Whether a client that is not subscribed may ask about a channel: if it might be.
pub fn ask(
    identity: &Identity,
    channel: &ChannelName,
    work: &Work<'_, '_>,
) -> Result<(), ErrorReply> {
    let rules = work.context.rules();
    rules.may_subscribe(channel, identity).map_err(denied)
}

fn denied(denied: Denied) -> ErrorReply {
    ErrorReply::PERMISSION_DENIED.because(denied)
}

fn not_granted(error: Unauthorized) -> ErrorReply {
    match error {
        Unauthorized::Token(TokenError::Expired) => ErrorReply::TOKEN_EXPIRED,
        other => ErrorReply::PERMISSION_DENIED.because(other),
    }
}
