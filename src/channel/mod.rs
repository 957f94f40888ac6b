//! Channels: their names, and what the owner of a channel or a queue keeps.

#![forbid(unsafe_code)]

mod budget;
mod deadlines;
mod directory;
mod glob;
mod history;
mod idempotency;
mod members;
mod name;
mod namespace;
mod patterns;
mod question;
mod queue;
mod refused;
mod restore_error;
mod shard_set;
mod stream;

pub use budget::CrowdedOut;
pub use directory::{
    ChannelsFull, Directory, DirectoryLimits, Joined, Joining, Published, SavedDirectory,
    SubscribersFull,
};
pub use glob::{Glob, GlobError, PATTERN_BYTES_MAX};
pub use history::{History, HistoryBounds};
pub use idempotency::{Idempotency, KEY_BYTES_MAX, REMEMBERED_MS, SavedIdempotency};
pub use members::MemberId;
pub use name::{ChannelName, NAME_BYTES_MAX, NameError};
pub use namespace::{ChannelPattern, Namespace, Namespaces, SlowPolicy, Who};
pub use patterns::is_pattern;
pub use question::{Answer, Question};
pub use queue::{
    Handed, MESSAGE_OVERHEAD_BYTES, QueueFull, QueueLimits, QueueTally, Queues, SavedQueues,
    Verdict,
};
pub use refused::Refused;
pub use restore_error::{Fault, RestoreError};
pub use shard_set::ShardSet;
