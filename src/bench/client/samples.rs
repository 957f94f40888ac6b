//! Compressed messages: one copy of each publication is inflated, the others are recognised by being the very same bytes.
//!
//! A server that compresses once for all sends everybody equal bytes; a copy that differs is inflated for itself. So every
//! delivery is checked, and the client does not become the limit by inflating thousands of equal copies.

use super::super::payload::Stamp;
use crate::ws::deflate::{DecompressError, Decompressor, History};

/// Publications remembered at a time.
const SAMPLES: usize = 256;
/// The longest message that is inflated, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The latest publications as they came compressed.
pub(super) struct Samples {
    slots: Vec<Option<(Stamp, Vec<u8>)>>,
    inflate: Decompressor,
}

impl Samples {
    pub fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(SAMPLES).collect(),
            inflate: Decompressor::default(),
        }
    }

    /// The stamp of the publication `due`, a channel and a sequence number, if these are its bytes.
    pub fn find(&self, due: (u32, u64), compressed: &[u8]) -> Option<Stamp> {
        let (stamp, sample) = self.slots[slot(due)].as_ref()?;
        ((stamp.channel, stamp.sequence) == due && sample == compressed).then_some(*stamp)
    }

    /// Remembers the bytes of a message that held this publication and nothing else.
    pub fn keep(&mut self, stamp: Stamp, compressed: &[u8]) {
        self.slots[slot((stamp.channel, stamp.sequence))] = Some((stamp, compressed.to_vec()));
    }

    /// The message that was compressed.
    pub fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, DecompressError> {
        self.inflate
            .decompress(compressed, &History::default(), MESSAGE_BYTES_MAX)
    }
}

fn slot((channel, sequence): (u32, u64)) -> usize {
    (sequence.wrapping_add(u64::from(channel) * 31) % SAMPLES as u64) as usize
}
