//! What a client may do in which channel.

use bytes::Bytes;

use super::Work;
use super::fault::Fault;
use super::identity::Identity;
use crate::channel::{ChannelName, Namespace};

/// A subscription that is granted, and what the token that grants it says.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// When the token expires, in ms since 1970.
    pub expires_at_ms: Option<u64>,
    /// What the others of the channel are told about the client: JSON, or nothing.
    pub info: Bytes,
}
