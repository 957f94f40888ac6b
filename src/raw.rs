//! The raw protocol: each publication is one WebSocket message, its payload, and nothing else is said.

#![forbid(unsafe_code)]

use crate::publication::Kind;
use crate::ws::frame::Opcode;

/// The opcode (RFC 6455, section 5.2) of a data frame of that kind.
pub fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
