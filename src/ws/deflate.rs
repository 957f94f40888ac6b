//! Compression of messages: the extension permessage-deflate (RFC 7692).
//!
//! What the two sides agree on is an [`Agreement`] of two bytes a connection. The server never takes over its own
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

use std::fmt;

use bytes::BufMut;
use serde::{Deserialize, Serialize};

use super::frame::Opcode;

/// How far back a compressed message may refer: the base-2 logarithm of so many bytes, 8 to 15 (RFC 7692, section 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// Its place in [`WindowBits::ALL`].
    fn index(self) -> usize {
        self as usize - Self::W8 as usize
    }

    /// The window's bytes.
    pub fn bytes(self) -> usize {
        1 << self.bits()
    }
}

/// What both sides of a connection have agreed on, in two bytes. The values that a window does not have are room for the
/// variants of enums around it, which is what keeps a session small.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    server_window: WindowBits,
    /// The client's window by its index, and whether it keeps its context.
    client: u8,
}

impl Agreement {
    const KEEPS_CONTEXT: u8 = 1 << 7;

    /// The server's messages may refer back as far as its window, each within itself, the client's as far as that of
    /// the client, and to the messages before them if it keeps its context.
    pub fn new(
        server_window: WindowBits,
        client_window: WindowBits,
        client_keeps_context: bool,
    ) -> Self {
        let keeps_context = match client_keeps_context {
            true => Self::KEEPS_CONTEXT,
            false => 0,
        };
        Self {
            server_window,
            client: client_window.index() as u8 | keeps_context,
        }
    }

    /// How far back the server's messages may refer, each within itself.
    pub fn server_window(self) -> WindowBits {
        self.server_window
    }

    /// How far back the client's messages may refer.
    pub fn client_window(self) -> WindowBits {
        WindowBits::ALL[usize::from(self.client) % WindowBits::ALL.len()]
    }

    /// Whether a client's message may refer to the messages before it.
    pub fn client_keeps_context(self) -> bool {
        self.client & Self::KEEPS_CONTEXT != 0
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement")
            .field("server_window", &self.server_window())
            .field("client_window", &self.client_window())
            .field("client_keeps_context", &self.client_keeps_context())
            .finish()
    }
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
            window: agreement.client_window(),
            keeps_context: agreement.client_keeps_context(),
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
        let window = agreement.map(Agreement::server_window);
        self.compressors.put_frame(out, window, opcode, payload);
    }
}

#[cfg(test)]
pub(crate) mod tests;
