//! The wire encodings that a lane may have.

#![forbid(unsafe_code)]

use bytes::BufMut;

use crate::publication::Publication;
use crate::raw;

/// How publications are put on the wire for one lane: whoever has an equal encoding receives the
/// very same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The raw protocol over WebSocket.
    Raw,
}

impl Encoding {
    /// Appends one publication's frame.
    pub fn put_publication(&self, out: &mut impl BufMut, publication: &Publication) {
        match self {
            Self::Raw => raw::put_publication(out, publication),
        }
    }
}
