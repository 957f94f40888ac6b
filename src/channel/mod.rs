//! Channels: their names, and what the owner of a channel keeps.

#![forbid(unsafe_code)]

mod directory;
mod name;
mod refused;

pub use directory::{ChannelsFull, Directory, ShardSet};
pub use name::{ChannelName, NAME_BYTES_MAX, NameError};
pub use refused::Refused;
