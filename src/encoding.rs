//! The wire encodings that a lane may have.

#![forbid(unsafe_code)]

use bytes::BufMut;

use crate::publication::Publication;
use crate::raw;
use crate::ws::deflate::{Compressors, WindowBits};

/// How publications are put on the wire for one lane: whoever has an equal encoding receives the
/// very same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// What a message says.
    pub form: Form,
    /// The window that it is compressed for (RFC 7692), where the receivers take compressed
    /// messages.
    pub deflate: Option<WindowBits>,
}

/// What one client protocol makes of a publication.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The raw protocol over WebSocket: the payload and nothing else.
    Raw,
}

impl Encoding {
    /// Appends one publication's frame.
    pub fn put_publication(
        &self,
        out: &mut impl BufMut,
        publication: &Publication,
        compressors: &mut Compressors,
    ) {
        let (opcode, message) = match self.form {
            Form::Raw => (raw::opcode(publication.kind), &publication.payload),
        };
        compressors.put_frame(out, self.deflate, opcode, message);
    }
}
