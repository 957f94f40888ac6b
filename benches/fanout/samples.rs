//! Compressed publications: one copy of each is inflated, all others must be the very same bytes.
//!
//! The server compresses a publication once for all; so one copy that inflates to what was published speaks for every
//! subscriber who received equal bytes, and the client need not inflate thousands of them.

use crate::inflate::{self, Bounds};
use crate::ledger::Payload;

/// The samples of the publications under way, by their sequence number.
pub struct Samples {
    slots: Vec<Option<Sample>>,
}

struct Sample {
    sequence: u64,
    compressed: Vec<u8>,
}

impl Samples {
    /// For at most `window` publications on their way at a time.
    pub fn new(window: u64) -> Self {
        let slots = window.max(1).next_power_of_two() as usize;
        Self {
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
        }
    }

    /// The sequence number of a compressed message, or `None` if it is no publication: by the sample of the one that is
    /// due if the bytes are equal, by inflating it otherwise.
    pub fn sequence(&mut self, compressed: &[u8], due: u64, payload: &Payload) -> Option<u64> {
        let is_sample =
            |sample: &&Sample| sample.sequence == due && sample.compressed == compressed;
        if self.slots[self.slot(due)]
            .as_ref()
            .filter(is_sample)
            .is_some()
        {
            return Some(due);
        }
        let bounds = Bounds {
            window_bytes: 32 * 1_024,
            message_bytes_max: 64 * 1_024,
            final_blocks_max: 0,
        };
        let message = inflate::message(compressed, &[], &bounds).ok()?;
        let sequence = payload.sequence(&message)?;
        let slot = self.slot(sequence);
        match &mut self.slots[slot] {
            // Other bytes than everybody else's: it was not compressed once.
            Some(sample) if sample.sequence == sequence && sample.compressed != compressed => None,
            place => {
                *place = Some(Sample {
                    sequence,
                    compressed: compressed.to_vec(),
                });
                Some(sequence)
            }
        }
    }

    fn slot(&self, sequence: u64) -> usize {
        (sequence & (self.slots.len() as u64 - 1)) as usize
    }
}
