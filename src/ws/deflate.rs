//! Compression of messages: the extension permessage-deflate (RFC 7692).
//!
//! What the two sides agree on is an [`Agreement`] of a few bytes a connection. The server never takes over its own
//! context: every message that it sends is compressed by itself, so that all connections with the same window can be sent
//! the very same bytes. What compresses and what decompresses belongs to a shard ([`Codec`]) and is made when it is first
//! needed; a connection holds neither. Only a client that may keep its context costs its connection memory, the bytes that
//! it may refer back to ([`History`]).

#![forbid(unsafe_code)]

mod compress;
mod decompress;
mod extension;
mod negotiation;

pub use compress::{CompressionSettings, CompressionTally, Compressors};
pub use decompress::{
    DecompressError, DecompressionTally, Decompressor, FINAL_BLOCKS_MAX, History,
    compressed_len_max,
};
pub use extension::Malformed;
pub use negotiation::{Answer, Policy, negotiate};

use bytes::BufMut;

use super::frame::Opcode;

/// How far back a compressed message may refer: the base-2 logarithm of so many bytes, 8 to 15 (RFC 7692, section 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WindowBits {
    /// 256 bytes.
    W8 = 8,
    /// 512 bytes.
    W9 = 9,
    /// 1 KiB.
    W10 = 10,
    /// 2 KiB.
    W11 = 11,
    /// 4 KiB.
    W12 = 12,
    /// 8 KiB.
    W13 = 13,
    /// 16 KiB.
    W14 = 14,
    /// 32 KiB, what holds where nothing is said.
    W15 = 15,
}

impl WindowBits {
    /// All of them, the smallest first.
    pub const ALL: [Self; 8] = [
        Self::W8,
        Self::W9,
        Self::W10,
        Self::W11,
        Self::W12,
        Self::W13,
        Self::W14,
        Self::W15,
    ];

    /// The window of so many bits; `None` outside of 8 to 15.
    pub fn from_bits(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.bits() == bits)
    }

    /// The logarithm.
    pub fn bits(self) -> u32 {
        self as u32
    }

    /// The window's bytes.
    pub fn bytes(self) -> usize {
        1 << self.bits()
    }
}

/// What both sides of a connection have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// How far back the server's messages may refer, each within itself.
    pub server_window: WindowBits,
    /// How far back the client's messages may refer.
    pub client_window: WindowBits,
    /// Whether a client's message may refer to the messages before it.
    pub client_keeps_context: bool,
}

/// What a connection reads compressed messages with.
pub struct Decompression<'a> {
    /// That of its shard.
    pub decompressor: &'a mut Decompressor,
    /// How far back its messages may refer.
    pub window: WindowBits,
    /// Whether they may refer to those before them.
    pub keeps_context: bool,
}

/// What the connections of a shard share to compress and to decompress.
pub struct Codec {
    /// For what the server sends.
    pub compressors: Compressors,
    /// For what clients send.
    pub decompressor: Decompressor,
}

impl Codec {
    /// A codec that holds no memory yet.
    pub fn new(settings: CompressionSettings) -> Self {
        Self {
            compressors: Compressors::new(settings),
            decompressor: Decompressor::default(),
        }
    }

    /// What a connection with that agreement reads its messages with.
    pub fn decompression(&mut self, agreement: Option<Agreement>) -> Option<Decompression<'_>> {
        agreement.map(|agreement| Decompression {
            decompressor: &mut self.decompressor,
            window: agreement.client_window,
            keeps_context: agreement.client_keeps_context,
        })
    }

    /// Appends a whole frame of a server to a connection with that agreement.
    pub fn put_frame(
        &mut self,
        out: &mut impl BufMut,
        agreement: Option<Agreement>,
        opcode: Opcode,
        payload: &[u8],
    ) {
        let window = agreement.map(|agreement| agreement.server_window);
        self.compressors.put_frame(out, window, opcode, payload);
    }
}

#[cfg(test)]
pub(crate) mod tests;
