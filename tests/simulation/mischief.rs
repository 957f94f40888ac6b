//! What clients do that no client may.

use super::rng::Rng;
use super::wire;

/// How a client misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    HalfHead,
    NoHttp,
    UnknownPath,
    Unmasked,
    ReservedOpcode,
    TooBig,
    NotUtf8,
    /// A compressed message that is none, agreed on or not.
    Damaged,
    /// A frame that never becomes whole, then a reset.
    HalfFrame,
    /// At the STOMP endpoint: no CONNECT.
    NoConnect,
    /// At the STOMP endpoint: no frame.
    NoStomp,
    /// At the STOMP endpoint: acknowledges what it was never sent.
    StrayAck,
}

/// All of it.
pub const MISCHIEF: [Mischief; 12] = [
    Mischief::HalfHead,
    Mischief::NoHttp,
    Mischief::UnknownPath,
    Mischief::Unmasked,
    Mischief::ReservedOpcode,
    Mischief::TooBig,
    Mischief::NotUtf8,
    Mischief::Damaged,
    Mischief::HalfFrame,
    Mischief::NoConnect,
    Mischief::NoStomp,
    Mischief::StrayAck,
];

impl Mischief {
    /// Does it, behind the request that a client has begun with.
    pub fn add_to(self, outgoing: &mut Vec<u8>, offers_deflate: bool, rng: &mut Rng) {
        let extra = match self {
            Self::HalfHead => {
                outgoing.truncate(rng.within(1..=60));
                return;
            }
            Self::NoHttp => {
                *outgoing = b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec();
                return;
            }
            Self::UnknownPath => {
                *outgoing = wire::request("/nowhere", offers_deflate);
                return;
            }
            Self::Unmasked => b"\x81\x02hi".to_vec(),
            Self::ReservedOpcode => wire::masked(3, b"x", [0; 4]),
            Self::TooBig => wire::masked(wire::BINARY, &[7; 5_000], [5; 4]),
            Self::NotUtf8 => wire::masked(wire::TEXT, b"\xff\xfe", [1; 4]),
            Self::Damaged => wire::masked(wire::COMPRESSED | wire::TEXT, &[7], [1; 4]),
            Self::NoConnect => Vec::new(),
            Self::NoStomp => wire::masked(wire::TEXT, b"CONNECT\nno header\n\n\0", [1; 4]),
            Self::StrayAck => {
                let connect = b"CONNECT\naccept-version:1.2\n\n\0ACK\nid:0-1-1\n\n\0";
                wire::masked(wire::TEXT, connect, [3; 4])
            }
            Self::HalfFrame => wire::masked(wire::BINARY, &[1; 300], [1; 4])[..90].to_vec(),
        };
        outgoing.extend_from_slice(&extra);
    }
}
