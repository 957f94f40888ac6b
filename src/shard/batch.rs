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
    sources: Buffer<Bytes>,
    /// What was put together for single sends.
    merged: Buffer<u8>,
    sends: Buffer<Send>,
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
                MERGED => &**self.merged,
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

    /// Empties it. Memory that batches have not needed for some time is given back.
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

/// What a batch collects in, kept from batch to batch as large as batches have lately been.
struct Buffer<T> {
    items: Vec<T>,
    /// How many there have been, waning with every batch that has fewer.
    lately: usize,
}

/// Bytes of a buffer that are worth nobody's while to give back.
const BUFFER_BYTES_KEPT: usize = 16 * 1_024;

/// With every batch, that part of what a buffer has not needed is forgotten.
const WANING: usize = 64;

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            lately: 0,
        }
    }
}

impl<T> Buffer<T> {
    /// Empties it, and gives back what is more than four times what batches have lately needed.
    fn clear(&mut self) {
        let waned = self.lately - self.lately.div_ceil(WANING);
        self.lately = self.items.len().max(waned);
        self.items.clear();
        let wanted = self.lately.max(BUFFER_BYTES_KEPT / size_of::<T>());
        if self.items.capacity() > 4 * wanted {
            self.items.shrink_to(2 * wanted);
        }
    }
}

impl<T> std::ops::Deref for Buffer<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> std::ops::DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a batch of merged sends and empties it.
    fn fill(batch: &mut Batch, sends: usize, bytes: &[u8]) {
        for slot in 0..sends {
            let start = batch.merged_len();
            batch.merge(bytes);
            batch.add_merged(slot as u32, start);
            batch.add_source(Bytes::new());
        }
        batch.clear();
    }

    fn allocated(batch: &Batch) -> usize {
        batch.sources.capacity() * size_of::<Bytes>()
            + batch.merged.capacity()
            + batch.sends.capacity() * size_of::<Send>()
    }

    #[test]
    fn memory_of_an_unusually_large_batch_is_given_back_after_some_hundred_small_ones() {
        let mut batch = Batch::default();
        fill(&mut batch, 4_096, &[0; 256]);
        assert!(allocated(&batch) > 1 << 20);
        for _ in 0..600 {
            fill(&mut batch, 10, &[0; 256]);
        }
        let left = allocated(&batch);
        assert!(left <= 3 * 4 * BUFFER_BYTES_KEPT, "{left} bytes");
    }

    #[test]
    fn memory_that_is_needed_again_and_again_is_kept() {
        let mut batch = Batch::default();
        fill(&mut batch, 4_096, &[0; 256]);
        let before = allocated(&batch);
        for _ in 0..100 {
            // The end of each turn empties the batch as well.
            (0..20).for_each(|_| fill(&mut batch, 1, b"hello"));
            fill(&mut batch, 4_096, &[0; 256]);
            assert_eq!(allocated(&batch), before);
        }
    }
}
