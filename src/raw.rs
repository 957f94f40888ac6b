//! The raw protocol: each publication is one WebSocket frame, and nothing else is said.

#![forbid(unsafe_code)]

use bytes::BufMut;

use crate::publication::{Kind, Publication};
use crate::ws::frame::{self, Opcode};

/// Appends a publication as its subscribers receive it: one unmasked text or binary frame.
pub fn put_publication(out: &mut impl BufMut, publication: &Publication) {
    frame::put_frame(out, opcode(publication.kind), &publication.payload);
}

/// The opcode (RFC 6455, section 5.2) of a data frame of that kind.
pub fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
