//! Why an owner did not do what it was asked for.

use super::{ChannelsFull, QueueFull, SubscribersFull};

/// A subscribe or a publish that the owner of the channel or of the queue refused. The server's
/// limit, not the asker's mistake: it may be tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many channels.
    #[error(transparent)]
    Channels(#[from] ChannelsFull),
    /// Too many subscribers.
    #[error(transparent)]
    Subscribers(#[from] SubscribersFull),
    /// A queue, or all of them together, is full.
    #[error(transparent)]
    Queue(#[from] QueueFull),
}
