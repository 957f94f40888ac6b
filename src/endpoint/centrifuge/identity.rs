//! Who a client has proven to be.

use std::sync::Arc;

use bytes::Bytes;

use super::Work;
use super::fault::Fault;
use crate::access::{ConnectionClaims, TokenError};
use crate::centrifuge::{Disconnect, ErrorReply};
use crate::channel::ChannelName;
use crate::publication::ClientInfo;
use crate::rules::Identity;

/// What a token has proven, or nobody has where there is none.
pub struct Proven {
    /// What it may do.
    pub identity: Identity,
    /// Who the others are told that it is.
    pub info: Option<Arc<ClientInfo>>,
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

/// Looks at the token that a client comes with.
///
/// Without one it is let in as somebody, who may do what namespaces let anyone do. Where the server takes no tokens none is
/// looked at.
pub fn prove(token: Option<&str>, work: &Work<'_, '_>) -> Result<Proven, Fault> {
    let access = &work.context.rules().access;
    let Some(token) = token.filter(|_| access.takes_tokens()) else {
        return Ok(Proven {
            identity: Identity::Anonymous,
            info: None,
            expires_at_ms: None,
            channels: Vec::new(),
        });
    };
    let now_ms = work.context.unix_ms();
    let claims = access.connection(token, now_ms).map_err(not_proven)?;
    let client = work.context.name().to_string();
    Ok(Proven {
        identity: Identity::of_connection(&claims),
        info: Some(Arc::new(info(&claims, client))),
        expires_at_ms: claims.expires_at_ms,
        channels: named(claims).map_err(invalid)?,
    })
}

/// Looks at the token with which a connection of that user goes on.
pub fn prove_again(user: &str, token: &str, work: &Work<'_, '_>) -> Result<Proven, Fault> {
    let proven = prove(Some(token), work)?;
    if proven.identity.name() != Some(user) {
        return Err(invalid("the token is another user's"));
    }
    Ok(proven)
}

fn info(claims: &ConnectionClaims, client: String) -> ClientInfo {
    ClientInfo {
        client: client.into(),
        user: claims.user.as_str().into(),
        conn_info: claims.info.clone(),
        chan_info: Bytes::new(),
    }
}

/// The channels that the server subscribes a client to, each once.
fn named(claims: ConnectionClaims) -> Result<Vec<Named>, String> {
    let mut channels: Vec<Named> = Vec::new();
    let plain = claims.channels.into_iter();
    let with_more = claims.subs.into_iter();
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
