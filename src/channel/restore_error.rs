//! Why saved state cannot be taken up again.

use super::ChannelName;

/// State of channels or queues that does not hold together: it was written by a version that means something
/// else by it, or it was damaged. Nothing of it is to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Of a channel, a pattern, or the keys that something was published to a channel with.
    #[error("the saved state of channel {channel:?} {fault}")]
    Channel {
        /// Which one.
        channel: ChannelName,
        /// What does not hold.
        fault: Fault,
    },
    /// Of a queue.
    #[error("the saved state of queue {queue:?} {fault}")]
    Queue {
        /// Which one.
        queue: ChannelName,
        /// What does not hold.
        fault: Fault,
    },
}

/// What does not hold in saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What there can be one of is there again.
    #[error("is there twice")]
    Twice,
    /// What is spoken of is not there.
    #[error("speaks of what is not there")]
    Missing,
    /// An index of a shard that this server does not have.
    #[error("names a shard that this server does not have")]
    Shard,
    /// A consumer that cannot be.
    #[error("names a consumer that cannot be")]
    Consumer,
    /// Numbers of publications or messages that are not in order, or beyond the newest one.
    #[error("has numbers that are not in order")]
    Order,
    /// A number so high that counting on from it would overflow.
    #[error("has counted further than can be")]
    Count,
    /// A queue of which nothing is to be kept.
    #[error("has neither messages nor consumers")]
    Empty,
}

impl Fault {
    /// The fault as one of a channel.
    pub(super) fn of_channel(self, channel: &ChannelName) -> RestoreError {
        RestoreError::Channel {
            channel: channel.clone(),
            fault: self,
        }
    }

    /// The fault as one of a queue.
    pub(super) fn of_queue(self, queue: &ChannelName) -> RestoreError {
        RestoreError::Queue {
            queue: queue.clone(),
            fault: self,
        }
    }

    /// Says that one is there unless the condition holds.
    pub(super) fn unless(self, holds: bool) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(self) }
    }
}

/// Whether counting on from a number for as long as any server runs does not overflow.
pub(super) fn is_countable(number: u64) -> bool {
    number <= u64::MAX >> 1
}
