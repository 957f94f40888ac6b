//! Where a request's path leads.

use super::Settings;
use crate::channel::ChannelName;
use crate::ws::handshake::{self, Head, Refusal, Upgrade};

/// An endpoint and the handshake's answer for it.
pub struct Route {
    pub endpoint: Endpoint,
    pub upgrade: Upgrade,
}

/// What a connection is for.
pub enum Endpoint {
    /// `/sub/{channel}`
    Subscribe(ChannelName),
    /// `/pub/{channel}`
    Publish(ChannelName),
    /// `/echo`
    Echo,
}

/// Finds the endpoint and checks the opening handshake (RFC 6455, section 4.2).
pub fn route(head: &Head<'_>, settings: &Settings) -> Result<Route, Refusal> {
    let endpoint = endpoint(head.path(), settings)?;
    let upgrade = handshake::upgrade(head, &settings.origins, &[])?;
    Ok(Route { endpoint, upgrade })
}

fn endpoint(path: &str, settings: &Settings) -> Result<Endpoint, Refusal> {
    if let Some(channel) = path.strip_prefix("/sub/") {
        return Ok(Endpoint::Subscribe(channel_name(channel)?));
    }
    if let Some(channel) = path.strip_prefix("/pub/") {
        return Ok(Endpoint::Publish(channel_name(channel)?));
    }
    if path == "/echo" && settings.echo {
        return Ok(Endpoint::Echo);
    }
    Err(Refusal::new(
        404,
        "there is nothing at this path: subscribe at /sub/{channel}, publish at /pub/{channel}",
    ))
}

/// The channel that the rest of the path names; a slash may stand in it as it is.
fn channel_name(encoded: &str) -> Result<ChannelName, Refusal> {
    let decoded = handshake::percent_decode(encoded)?;
    ChannelName::parse(&decoded).map_err(|error| Refusal::new(400, error.to_string()))
}
