//! Who a client has proven to be.

use bytes::Bytes;

use super::Work;
use super::fault::Fault;
use crate::access::{ConnectionClaims, TokenError};
use crate::centrifuge::{Disconnect, ErrorReply};
use crate::channel::ChannelName;
use crate::publication::ClientInfo;

/// What a connection's token says of it.
pub struct Identity {
    /// What it claims, but for the channels that the server subscribes it to.
    pub claims: ConnectionClaims,
}

/// What a token has proven.
#[derive(Default)]
pub struct Proven {
    /// None for an anonymous client.
    pub identity: Option<Identity>,
    /// When the token expires, in ms since 1970.
    pub expires_at_ms: Option<u64>,
    /// What the server subscribes the client to.
    pub channels: Vec<Named>,
}

/// A channel that a token names.
pub struct Named {
    /// The channel.
    pub channel: ChannelName,
    /// What the others of the channel are told about the client: JSON, or nothing.
    pub info: Bytes,
    /// What the client is told about its subscription: JSON, or nothing.
    pub data: Bytes,
}

impl Identity {
    /// Looks at the token that a client comes with.
    pub fn prove(token: Option<&str>, work: &Work<'_, '_>) -> Result<Proven, Fault> {
        let access = &super::interim::rules().access;
        let Some(token) = token else {
            if access.takes_tokens() {
                let detail = "connect with a token (a JWT)";
                return Err(ErrorReply::UNAUTHORIZED.because(detail).into());
            }
            return Ok(Proven::default());
        };
        let mut claims = access
            .connection(token, super::interim::unix_ms())
            .map_err(not_proven)?;
        let channels = named(&mut claims).map_err(invalid)?;
        Ok(Proven {
            expires_at_ms: claims.expires_at_ms,
            channels,
            identity: Some(Self { claims }),
        })
    }

    /// Looks at the token with which a connection of that user goes on.
    pub fn refreshed(user: Option<&str>, token: &str, work: &Work<'_, '_>) -> Result<Self, Fault> {
        let access = &super::interim::rules().access;
        let claims = access
            .connection(token, super::interim::unix_ms())
            .map_err(not_proven)?;
        if Some(&*claims.user) != user {
            return Err(invalid("the token is another user's"));
        }
        Ok(Self { claims })
    }

    /// Who the others are told that it is.
    pub fn info(&self, client: &str) -> ClientInfo {
        ClientInfo {
            client: client.into(),
            user: self.claims.user.as_str().into(),
            conn_info: self.claims.info.clone(),
            chan_info: Bytes::new(),
        }
    }
}

/// The channels that the server subscribes a client to, each once.
fn named(claims: &mut ConnectionClaims) -> Result<Vec<Named>, String> {
    let mut channels: Vec<Named> = Vec::new();
    let plain = std::mem::take(&mut claims.channels).into_iter();
    let with_more = std::mem::take(&mut claims.subs).into_iter();
    let all = with_more
        .map(|sub| (sub.channel, sub.info, sub.data))
        .chain(plain.map(|channel| (channel, Bytes::new(), Bytes::new())));
    for (name, info, data) in all {
        let channel = ChannelName::parse(&name)
            .map_err(|error| format!("the token names a channel that is none: {error}"))?;
        if channels.iter().all(|named| named.channel != channel) {
            channels.push(Named {
                channel,
                info,
                data,
            });
        }
    }
    Ok(channels)
}

fn not_proven(error: TokenError) -> Fault {
    match error {
        TokenError::Expired => ErrorReply::TOKEN_EXPIRED.into(),
        other => invalid(other),
    }
}

fn invalid(detail: impl ToString) -> Fault {
    Fault::Close(Disconnect::INVALID_TOKEN, Some(detail.to_string()))
}
