//! A batch of sends: what the shard hands to the send ring at one go.

use bytes::Bytes;

/// Marks a send whose bytes were put together for it alone.
const MERGED: u32 = u32::MAX;

/// One send: a range of one of the batch's sources to one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The connection, by slot: nothing closes between a batch's making and its sending.
    pub slot: u32,
    /// Index of the source, or [`MERGED`].
    source: u32,
    start: u32,
    len: u32,
}

/// A send that did not go through whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Index of the send in its batch.
    pub send: u32,
    /// Bytes that went through, or the negative error number.
    pub result: i32,
}

/// Sends to connections that are all different, so that the result of one never changes what is
/// right for another.
#[derive(Default)]
pub struct Batch {
    sources: Vec<Bytes>,
    /// What was put together for single sends.
    merged: Vec<u8>,
    sends: Vec<Send>,
    bytes_len: u64,
    /// How many of the first sends are the front of a backlog.
    pub(super) resumed: usize,
}

impl Batch {
    /// Number of sends.
    pub fn len(&self) -> usize {
        self.sends.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }

    /// The sends and the bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.sends.iter().map(|send| {
            let source = match send.source {
                MERGED => &*self.merged,
                source => &*self.sources[source as usize],
            };
            (send.slot, &source[send.range()])
        })
    }

    /// Bytes of all sends together.
    pub fn bytes_len(&self) -> u64 {
        self.bytes_len
    }

    /// The send of that index.
    pub(super) fn send(&self, index: u32) -> Option<Send> {
        self.sends.get(index as usize).copied()
    }

    /// The bytes of a send, shared where others are sent the same.
    pub(super) fn bytes(&self, send: Send) -> Bytes {
        match send.source {
            MERGED => Bytes::copy_from_slice(&self.merged[send.range()]),
            source => self.sources[source as usize].slice(send.range()),
        }
    }

    /// Bytes put together for single sends so far.
    pub(super) fn merged_len(&self) -> usize {
        self.merged.len()
    }

    /// Adds to the bytes of the next merged send.
    pub(super) fn merge(&mut self, bytes: &[u8]) {
        self.merged.extend_from_slice(bytes);
    }

    /// Adds a send of all that has been merged from `start` on.
    pub(super) fn add_merged(&mut self, slot: u32, start: usize) {
        let len = self.merged.len() - start;
        self.bytes_len += len as u64;
        self.sends.push(Send {
            slot,
            source: MERGED,
            start: start as u32,
            len: len as u32,
        });
    }

    pub(super) fn clear(&mut self) {
        self.sources.clear();
        self.merged.clear();
        self.sends.clear();
        self.bytes_len = 0;
        self.resumed = 0;
    }

    /// Adds bytes that the sends after it take their ranges from.
    pub(super) fn add_source(&mut self, bytes: Bytes) {
        self.sources.push(bytes);
    }

    /// Adds a send of a range of the newest source.
    pub(super) fn add_send(&mut self, slot: u32, start: usize, len: usize) {
        self.bytes_len += len as u64;
        self.sends.push(Send {
            slot,
            source: self.sources.len() as u32 - 1,
            start: start as u32,
            len: len as u32,
        });
    }
}

impl Send {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }

    /// Bytes of it.
    pub(super) fn len(self) -> usize {
        self.len as usize
    }
}
