//! What a session and the shard say to each other.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::channel::{ChannelName, Question, Verdict};
use crate::encoding::Encoding;
use crate::publication::{ClientInfo, Draft, Kind, Since};
use crate::table::Key;

/// Names a connection of the server, on whichever shard it is.
///
/// A name that outlives its connection names nobody: it is never given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// The request is answered; the connection is a WebSocket or an event stream now.
    Opened,
    /// Subscribe to a channel. Nothing happens if there is a subscription to it in the same lane.
    Subscribe {
        /// The session's number for it, which comes back with everything about it.
        subscription: u32,
        /// What to.
        subscribe: Subscribe,
    },
    /// End a subscription, if it is there.
    Unsubscribe {
        /// Which one.
        which: Which,
        /// Comes back when nothing comes of it any more and its queue, if it is of one, has what was
        /// unsettled.
        ticket: Option<u32>,
    },
    /// Take messages from a queue.
    Consume {
        /// The session's number for it, as with a subscription.
        subscription: u32,
        /// The queue.
        queue: ChannelName,
        /// Messages that it may have unsettled at one time.
        window: u32,
    },
    /// Say what became of messages of a queue.
    Settle {
        /// The number of the [`Command::Consume`].
        subscription: u32,
        /// Which messages, by their offsets.
        offsets: Vec<u64>,
        /// What became of them.
        verdict: Verdict,
        /// Comes back when the queue knows it.
        ticket: Option<u32>,
    },
    /// Put a message into a queue.
    Enqueue {
        /// The queue.
        queue: ChannelName,
        /// Text or binary.
        kind: Kind,
        /// As in [`Publication::headers`](crate::publication::Publication::headers).
        headers: Bytes,
        /// The message.
        payload: Bytes,
        /// Comes back with the place it got.
        ticket: u32,
    },
    /// Publish a message.
    Publish {
        /// The channel.
        channel: ChannelName,
        /// The message.
        draft: Draft,
        /// Comes back with the place it got, if that is asked for.
        ticket: Option<u32>,
    },
    /// Ask the owner of a channel.
    Ask {
        /// The channel.
        channel: ChannelName,
        /// What about it.
        question: Question,
        /// Comes back with the answer.
        ticket: u32,
    },
    /// From now on the connection is one of that user's.
    Identify {
        /// The user; nobody where it is empty.
        user: Box<str>,
        /// What the client is called.
        client: Box<str>,
    },
    /// Call the session back at these intervals from now on.
    SetHeartbeat(Heartbeat),
    /// Call the session back once after so many ms, or not at all.
    SetDeadline(Option<u32>),
    /// Count why a client is closed.
    NoteClosed(ClosedFor),
    /// Nothing more will be said: close as soon as the replies are out.
    Close,
}

/// Why an endpoint closes a connection, where that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedFor {
    /// Its client has not kept up with the window of a subscription.
    Window,
    /// It has shown no token that lets it do what it asked for.
    Unauthorized,
    /// Its token, or that of a subscription, has expired.
    TokenExpired,
}

/// A subscription that a session wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The channel.
    pub channel: ChannelName,
    /// How its publications come.
    pub via: Via,
    /// What is wanted of those that have been.
    pub since: Option<Since>,
    /// Who the others are told that it is, where the channel shows that.
    pub info: Option<Arc<ClientInfo>>,
}

/// How publications of a channel come to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// By a lane: encoded once for all who get the very same bytes, never seen by the session.
    Lane(Encoding),
    /// Handed to the session, which makes of them what it wants.
    Session,
}

/// A heart-beat in both directions, besides the pings of the WebSocket. Kept to the precision of the
/// shard's timers, 64 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// How often the endpoint wants to send, in ms; 0 for never.
    pub send_every_ms: u32,
    /// After how long a silence of the client the endpoint wants to hear of it, in ms; 0 for never.
    pub silence_ms_max: u32,
}

/// Why [`Endpoint::timeout`](super::Endpoint::timeout) is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// [`Heartbeat::send_every_ms`] have passed once more.
    Beat,
    /// The client has said nothing at all for [`Heartbeat::silence_ms_max`].
    Silence,
    /// The deadline that was set has passed.
    Deadline,
}

/// A subscription of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the session's number.
    Number(u32),
    /// By its channel; all of them where there are several.
    Channel(ChannelName),
    /// All there are.
    All,
}
