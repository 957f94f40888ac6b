//! What a session and the shard say to each other.

use std::fmt;

use bytes::Bytes;

use super::Payload;
use crate::channel::ChannelName;
use crate::encoding::Encoding;
use crate::publication::Kind;
use crate::table::Key;
use crate::ws::close::CloseCode;

/// Names a connection of the server, on whichever shard it is.
///
/// A name that outlives its connection names nobody: it is never given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionName {
    /// The index of its shard.
    pub shard: u32,
    /// Its slot and generation there.
    pub key: Key,
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { slot, generation } = self.key;
        write!(f, "{}-{slot}-{generation}", self.shard)
    }
}

/// What a session wants of its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The opening handshake is over; the connection is a WebSocket now.
    Opened,
    /// Subscribe to a channel. Nothing happens if there is a subscription to it in the same
    /// encoding.
    Subscribe {
        /// The session's number for it, which comes back with everything about it.
        subscription: u32,
        /// The channel.
        channel: ChannelName,
        /// How its publications leave.
        encoding: Encoding,
    },
    /// End a subscription, if it is there.
    Unsubscribe(Which),
    /// Publish a message.
    Publish {
        /// The channel.
        channel: ChannelName,
        /// Text or binary.
        kind: Kind,
        /// The message.
        payload: Bytes,
    },
    /// Nothing more will be said: close as soon as the replies are out.
    Close,
}

/// A subscription of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the session's number.
    Number(u32),
    /// By its channel; all of them where there are several.
    Channel(ChannelName),
}

/// What is done with a connection from outside of its callbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send it a message.
    Send(Payload),
    /// Subscribe it.
    Subscribe(ChannelName),
    /// Unsubscribe it.
    Unsubscribe(ChannelName),
    /// Close it.
    Close {
        /// The close code.
        code: CloseCode,
        /// The reason; what does not fit into a close frame is cut.
        reason: String,
    },
}
