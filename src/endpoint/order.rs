//! What is done with connections from outside of their callbacks, and with which.

use bytes::Bytes;

use super::Payload;
use crate::channel::ChannelName;
use crate::publication::Since;
use crate::ws::close::CloseCode;

/// What is done with a connection from outside of its callbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send it a message.
    Send(Payload),
    /// Subscribe it.
    Subscribe(Box<OrderedSubscription>),
    /// Unsubscribe it from a channel, or from all where none is given.
    Unsubscribe(Option<ChannelName>),
    /// Close it.
    Close {
        /// The close code.
        code: CloseCode,
        /// The reason; what does not fit into a close frame is cut.
        reason: String,
    },
}

/// A subscription that the server begins for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedSubscription {
    /// The channel.
    pub channel: ChannelName,
    /// What of the channel's history the client gets first.
    pub since: Option<Since>,
    /// What presence says about the subscription: JSON, or nothing.
    pub info: Bytes,
    /// What the client is told about the subscription, where its protocol has a place for that: JSON, or
    /// nothing.
    pub data: Bytes,
}

impl OrderedSubscription {
    /// To a channel, from now on, with nothing said about it.
    pub fn to(channel: ChannelName) -> Self {
        Self {
            channel,
            since: None,
            info: Bytes::new(),
            data: Bytes::new(),
        }
    }
}

/// The connections of a user, as endpoints have said with
/// [`Context::identify`](super::Context::identify): all of them, or some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressee {
    /// The user.
    pub user: Box<str>,
    /// Only the connection of that client.
    pub client: Option<Box<str>>,
    /// Only the connection whose [`ConnectionName`](super::ConnectionName) reads so, which is the `session` of
    /// STOMP's CONNECTED.
    pub session: Option<Box<str>>,
    /// None of the connections of these clients.
    pub except: Box<[Box<str>]>,
}

impl Addressee {
    /// All connections of a user.
    pub fn user(user: &str) -> Self {
        Self {
            user: user.into(),
            ..Self::default()
        }
    }
}
