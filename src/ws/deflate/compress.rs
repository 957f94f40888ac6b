//! From a payload to a compressed frame.

use bytes::BufMut;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use super::{WindowBits, compressed_len_max};
use crate::ws::frame::{self, Opcode};

/// The empty stored block at the end of what is flushed, which is left out on the wire (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Scratch space of this size is kept, a larger one given back.
const SCRATCH_BYTES_KEPT: usize = 64 * 1_024;

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionSettings {
    /// Messages with fewer bytes are sent as they are.
    pub message_bytes_min: usize,
    /// From 1, the fastest, to 9, the smallest.
    pub level: u32,
    /// From 1 to 9: a compressor's memory besides its window is 2 to the power of so many and 9 bytes, and a fixed table.
    pub memory_level: u32,
}

/// The compressors of a shard, one for each window in use. Every message is compressed by itself.
pub struct Compressors {
    settings: CompressionSettings,
    by_window: [Option<Deflate>; WindowBits::ALL.len()],
    /// Always full of zeros or of what has been; only its length matters.
    scratch: Vec<u8>,
    /// What has been done so far.
    pub tally: CompressionTally,
}

/// What compressors have done since they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionTally {
    /// Messages that were sent compressed.
    pub compressed: u64,
    /// Messages that were tried and would not have become smaller.
    pub incompressible: u64,
    /// Bytes of the payloads of both.
    pub bytes_in: u64,
    /// Bytes that came of those that were compressed.
    pub bytes_out: u64,
}

impl Compressors {
    /// No compressor yet.
    pub fn new(settings: CompressionSettings) -> Self {
        Self {
            settings,
            by_window: [const { None }; WindowBits::ALL.len()],
            scratch: Vec::new(),
            tally: CompressionTally::default(),
        }
    }

    /// From now on messages are compressed otherwise. Each is compressed by itself, so that no receiver notices.
    pub fn set(&mut self, settings: CompressionSettings) {
        if settings != self.settings {
            self.settings = settings;
            self.by_window = [const { None }; WindowBits::ALL.len()];
        }
    }

    /// Appends a whole frame of a server: compressed for a receiver with that window (RFC 7692, section 7.2.1), with the
    /// first reserved bit set, where there is one, the payload is long enough and becomes shorter by it; as it is otherwise.
    /// Equal calls append equal bytes.
    pub fn put_frame(
        &mut self,
        out: &mut impl BufMut,
        window: Option<WindowBits>,
        opcode: Opcode,
        payload: &[u8],
    ) {
        match window.and_then(|window| self.compress(window, payload)) {
            Some(len) => {
                frame::put_compressed_frame(out, opcode, &self.scratch[..len]);
            }
            None => frame::put_frame(out, opcode, payload),
        }
        self.scratch.truncate(SCRATCH_BYTES_KEPT);
        self.scratch.shrink_to(SCRATCH_BYTES_KEPT);
    }

    /// Compresses into the scratch space; how many bytes came of it, if they are fewer.
    fn compress(&mut self, window: WindowBits, payload: &[u8]) -> Option<usize> {
        if payload.len() < self.settings.message_bytes_min {
            return None;
        }
        self.tally.bytes_in += payload.len() as u64;
        let len = self.compress_to_scratch(window, payload);
        match len {
            Some(len) => {
                self.tally.compressed += 1;
                self.tally.bytes_out += len as u64;
            }
            None => self.tally.incompressible += 1,
        }
        len
    }

    fn compress_to_scratch(&mut self, window: WindowBits, payload: &[u8]) -> Option<usize> {
        // Room for whatever comes of it: zlib-rs 0.6.8 does not stand being started anew while it still holds output (its
        // level 1 panics some messages later).
        let room = compressed_len_max(payload.len()) + TAIL.len();
        if self.scratch.len() < room {
            self.scratch.resize(room, 0);
        }
        let place = &mut self.by_window[window.index()];
        let settings = self.settings;
        let compressor = place.get_or_insert_with(|| compressor(window, settings));
        compressor.reset();
        let status = compressor.compress(payload, &mut self.scratch, DeflateFlush::SyncFlush);
        let flushed = &self.scratch[..compressor.total_out() as usize];
        let is_whole = status == Ok(Status::Ok)
            && compressor.total_in() == payload.len() as u64
            && flushed.ends_with(&TAIL);
        if !is_whole {
            *place = None;
            return None;
        }
        let len = flushed.len() - TAIL.len();
        (len < payload.len()).then_some(len)
    }
}

fn compressor(window: WindowBits, settings: CompressionSettings) -> Deflate {
    // A window of 256 bytes cannot be asked of zlib for raw data. With one of 512 it refers back by at most 512 less 262
    // bytes, because it keeps a longest match and what finds the next (262) free in its window. That these 250 are never
    // passed is what `tests::references_stay_within_the_window` is for.
    let bits = window.max(WindowBits::W9).bits();
    Deflate::new_with_config(DeflateConfig {
        level: settings.level as i32,
        window_bits: -(bits as i32),
        mem_level: settings.memory_level as i32,
        ..DeflateConfig::default()
    })
}
