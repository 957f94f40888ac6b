//! A message that a queue keeps.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::publication::{Kind, Position, Publication};

/// What a message counts besides its payload and its headers, in bytes: its place in the queue's
/// memory and the headers of its two shared buffers. So an empty message counts too.
pub const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// A message without its number, which is its key wherever it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message<C> {
    kind: Kind,
    headers: Bytes,
    payload: Bytes,
    /// How often it has been handed out.
    pub deliveries: u32,
    /// Who returned it the last time; nobody if its last consumer left instead.
    pub refused_by: Option<C>,
}

impl<C> Message<C> {
    /// Never handed out.
    pub fn new(kind: Kind, headers: Bytes, payload: Bytes) -> Self {
        Self {
            kind,
            headers,
            payload,
            deliveries: 0,
            refused_by: None,
        }
    }

    /// What it counts against every limit in bytes.
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.headers.len() + MESSAGE_OVERHEAD_BYTES
    }

    /// What a consumer is handed; shares the buffers.
    pub fn publication(&self, position: Position) -> Publication {
        Publication {
            position,
            kind: self.kind,
            headers: self.headers.clone(),
            payload: self.payload.clone(),
            publisher: None,
            channel: None,
        }
    }
}
