//! Where encoders write to: a buffer, or only a length.

#![forbid(unsafe_code)]

use bytes::BufMut;

/// Takes bytes.
pub(super) trait Sink {
    /// Appends them.
    fn put(&mut self, bytes: &[u8]);
}

/// Writes.
pub(super) struct Into<'a, B>(pub &'a mut B);

impl<B: BufMut> Sink for Into<'_, B> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }
}

/// Counts.
pub(super) struct Count(pub usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}
