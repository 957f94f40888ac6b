//! A batch of sends: what the shard hands to the send ring at one go.

use bytes::Bytes;

/// One send: a range of one of the batch's sources to one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The connection, by slot: nothing closes between a batch's making and its sending.
    pub slot: u32,
    /// Index of the source.
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
        self.sends
            .iter()
            .map(|send| (send.slot, &self.sources[send.source as usize][send.range()]))
    }

    /// Bytes of all sends together.
    pub(super) fn bytes_len(&self) -> u64 {
        self.bytes_len
    }

    /// The send of that index.
    pub(super) fn send(&self, index: u32) -> Option<Send> {
        self.sends.get(index as usize).copied()
    }

    /// The bytes of a send, shared.
    pub(super) fn bytes(&self, send: Send) -> Bytes {
        self.sources[send.source as usize].slice(send.range())
    }

    pub(super) fn clear(&mut self) {
        self.sources.clear();
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
