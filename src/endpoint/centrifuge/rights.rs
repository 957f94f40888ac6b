//! What a client may do in which channel.

use bytes::Bytes;

use super::Work;
use super::fault::Fault;
use super::identity::Identity;
use crate::access::{SubscriptionClaims, TokenError};
use crate::centrifuge::ErrorReply;
use crate::channel::{ChannelName, Namespace};

/// A subscription that is granted, and what the token that grants it says.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// When the token expires, in ms since 1970.
    pub expires_at_ms: Option<u64>,
    /// What the others of the channel are told about the client: JSON, or nothing.
    pub info: Bytes,
}

/// What holds for a channel.
pub fn namespace<'w>(channel: &ChannelName, work: &'w Work<'_, '_>) -> &'w Namespace {
    super::interim::rules().namespaces.of(channel.as_str())
}

/// Whether anybody is told who is subscribed.
pub fn shows_subscribers(channel: &ChannelName, work: &Work<'_, '_>) -> bool {
    let namespace = namespace(channel, work);
    namespace.presence || namespace.join_leave
}

/// Whether the client may subscribe, by its subscription token where it has brought one.
pub fn subscribe(
    identity: Option<&Identity>,
    channel: &ChannelName,
    token: &str,
    work: &Work<'_, '_>,
) -> Result<Granted, Fault> {
    let rules = super::interim::rules();
    if token.is_empty() {
        let claims = identity.map(|identity| &identity.claims);
        return match rules.may_subscribe(channel.as_str(), claims) {
            true => Ok(Granted::default()),
            false => Err(denied("subscribe to", channel)),
        };
    }
    let claims = (rules.access)
        .subscription(token, super::interim::unix_ms())
        .map_err(not_granted)?;
    let user = identity.map_or("", |identity| &identity.claims.user);
    let client = work.context.name().to_string();
    if !claims.are_for(channel.as_str(), user, &client) {
        let detail = "the token is for another channel, user or client";
        return Err(ErrorReply::PERMISSION_DENIED.because(detail).into());
    }
    if !rules.may_subscribe_with_token(channel.as_str()) {
        return Err(denied("subscribe to", channel));
    }
    let SubscriptionClaims {
        expires_at_ms,
        info,
        ..
    } = claims;
    Ok(Granted {
        expires_at_ms,
        info,
    })
}

/// Whether the client may publish.
pub fn publish(
    identity: Option<&Identity>,
    channel: &ChannelName,
    work: &Work<'_, '_>,
) -> Result<(), Fault> {
    let claims = identity.map(|identity| &identity.claims);
    match super::interim::rules().may_publish(channel.as_str(), claims) {
        true => Ok(()),
        false => Err(denied("publish to", channel)),
    }
}

/// Whether a client that is not subscribed may ask about a channel: if it might be.
pub fn ask(
    identity: Option<&Identity>,
    channel: &ChannelName,
    work: &Work<'_, '_>,
) -> Result<(), Fault> {
    subscribe(identity, channel, "", work).map(|_| ())
}

fn denied(to_do: &str, channel: &ChannelName) -> Fault {
    let detail = format!("you may not {to_do} \"{channel}\"");
    ErrorReply::PERMISSION_DENIED.because(detail).into()
}

fn not_granted(error: TokenError) -> Fault {
    match error {
        TokenError::Expired => ErrorReply::TOKEN_EXPIRED.into(),
        other => ErrorReply::PERMISSION_DENIED.because(other).into(),
    }
}
