//! Channels: their names, and what the owner of a channel or a queue keeps.

#![forbid(unsafe_code)]

mod directory;
mod name;
mod namespace;
mod queue;
mod refused;

pub use directory::{ChannelsFull, Directory, ShardSet};
pub use name::{ChannelName, NAME_BYTES_MAX, NameError};
pub use namespace::{ChannelPattern, Namespace, Namespaces, SlowPolicy, Who};
pub use queue::{
    Handed, MESSAGE_OVERHEAD_BYTES, QueueFull, QueueLimits, QueueTally, Queues, Verdict,
};
pub use refused::Refused;
