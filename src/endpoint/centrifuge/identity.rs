//! Who a client has proven to be.

use bytes::Bytes;

use super::Work;
use super::fault::Fault;
use crate::centrifuge::{Disconnect, ErrorReply};
use crate::channel::ChannelName;
use crate::endpoint::Request;
use crate::publication::ClientInfo;
use crate::ws::handshake::Refusal;

/// What a connection's token says of it.
pub struct Identity {
    /// Who; empty for somebody.
    pub user: Box<str>,
    /// What the others of its channels are told about it: JSON, or nothing.
    pub info: Bytes,
}

/// What a token has proven.
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
}
