//! What clients compress, or send as if it were, beside the naive decoder.

use proptest::prelude::*;
use proptest::sample::Index;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::super::*;
use super::naive::{self, Refused};

const KIB: usize = 1_024;

fn decompress(compressed: &[u8], max: usize) -> Result<Vec<u8>, DecompressError> {
    Decompressor::default().decompress(compressed, &History::default(), max)
}

fn bounds(message_bytes_max: usize) -> naive::Bounds {
    naive::Bounds {
        window_bytes: WindowBits::W15.bytes(),
        message_bytes_max,
        final_blocks_max: FINAL_BLOCKS_MAX,
    }
}

/// What the naive decoder says, in the decompressor's words.
fn expected(
    compressed: &[u8],
    history: &[u8],
    message_bytes_max: usize,
) -> Result<Vec<u8>, DecompressError> {
    naive::message(compressed, history, &bounds(message_bytes_max)).map_err(|refused| match refused
    {
        Refused::Damaged => DecompressError::Damaged,
        Refused::TooBig => DecompressError::TooBig(message_bytes_max),
        Refused::TooManyFinalBlocks => DecompressError::TooManyFinalBlocks,
    })
}

/// A client's compressor.
struct Client {
    deflate: Deflate,
    keeps_context: bool,
}

impl Client {
    fn new(level: i32, window: WindowBits, keeps_context: bool) -> Self {
        // The raw window of 256 bytes again; 512 does in its place.
        let bits = window.max(WindowBits::W9).bits() as i32;
        let config = DeflateConfig {
            level,
            window_bits: -bits,
            ..DeflateConfig::default()
        };
        Self {
            deflate: Deflate::new_with_config(config),
            keeps_context,
        }
    }

    /// A message, flushed after each of its parts (RFC 7692, section 7.2.1).
    fn compress(&mut self, parts: &[&[u8]]) -> Vec<u8> {
        if !self.keeps_context {
            self.deflate.reset();
        }
        let mut out = Vec::new();
        for part in parts {
            let mut room = vec![0; part.len() * 2 + 100];
            let before = self.deflate.total_out();
            let flush = DeflateFlush::SyncFlush;
            self.deflate.compress(part, &mut room, flush).unwrap();
            out.extend_from_slice(&room[..(self.deflate.total_out() - before) as usize]);
        }
        out.truncate(out.len().saturating_sub(4));
        out
    }
}

/// Text of few words, so that there is something to refer back to.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "(price |volume |[0-9]{1,4} ){0,80}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..600),
        1 => Just(Vec::new()),
    ]
}

/// What a client, even a broken one, may send for a message, and what it may refer to.
fn sent() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let scratches = prop::collection::vec((any::<Index>(), any::<u8>()), 0..3);
    let end = prop::option::weighted(0.3, any::<Index>());
    let more = prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..20));
    (text(), text(), 0i32..=9, scratches, end, more).prop_map(
        |(message, history, level, scratches, end, more)| {
            let mut client = Client::new(level, WindowBits::W15, true);
            client.compress(&[&history]);
            let mut compressed = client.compress(&[&message]);
            for (at, byte) in scratches {
                if !compressed.is_empty() {
                    let at = at.index(compressed.len());
                    compressed[at] = byte;
                }
            }
            if let Some(end) = end {
                compressed.truncate(end.index(compressed.len() + 1));
            }
            compressed.extend(more.into_iter().flatten());
            (compressed, history)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn messages_of_any_client_are_read_and_its_history_stays_within_its_window(
        messages in prop::collection::vec(prop::collection::vec(text(), 1..4), 1..8),
        window in prop::sample::select(&WindowBits::ALL[..]),
        level in 0i32..=9,
        keeps_context in prop::bool::ANY,
    ) {
        let mut client = Client::new(level, window, keeps_context);
        let mut decompressor = Decompressor::default();
        let mut history = History::default();
        let mut all = Vec::new();
        for parts in &messages {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let compressed = client.compress(&parts);
            let message = parts.concat();
            let read = decompressor.decompress(&compressed, &history, message.len());
            prop_assert_eq!(read.as_ref(), Ok(&message));
            let naive = naive::message(&compressed, &all, &naive::Bounds {
                window_bytes: window.bytes(),
                ..bounds(usize::MAX)
            });
            prop_assert_eq!(naive.as_ref(), Ok(&message));
            if keeps_context {
                history.push(&message, window);
                all.extend_from_slice(&message);
                prop_assert!(all.ends_with(&history.0));
                prop_assert_eq!(history.0.len(), all.len().min(window.bytes()));
                prop_assert!(history.0.capacity() <= window.bytes());
            }
        }
    }

    /// One decompressor for all of them, as on a shard: what was damaged leaves nothing behind.
    #[test]
    fn whatever_is_sent_is_read_or_refused_as_the_naive_decoder_says(
        all in prop::collection::vec(sent(), 1..6),
        max in prop_oneof![3 => Just(100_000usize), 1 => 0usize..1_000],
    ) {
        let mut decompressor = Decompressor::default();
        for (compressed, history) in &all {
            let mut kept = History::default();
            kept.push(history, WindowBits::W15);
            prop_assert_eq!(
                decompressor.decompress(compressed, &kept, max),
                expected(compressed, history, max)
            );
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_the_naive_decoder_says(
        compressed in prop::collection::vec(any::<u8>(), 0..60),
        max in prop_oneof![3 => Just(100_000usize), 1 => 0usize..40],
    ) {
        prop_assert_eq!(decompress(&compressed, max), expected(&compressed, &[], max));
    }
}

#[test]
fn the_examples_of_the_specification_are_read() {
    for (what, compressed) in [
        ("7.2.3.1: one block", &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]),
        (
            "7.2.3.3: not compressed",
            b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        ),
        (
            "7.2.3.4: a final block",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        ),
        (
            "7.2.3.5: two blocks",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ),
        (
            "a final block that nothing follows",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        ),
    ] {
        assert_eq!(
            decompress(compressed, 5).as_deref(),
            Ok(&b"Hello"[..]),
            "{what}"
        );
        assert_eq!(
            expected(compressed, &[], 5).as_deref(),
            Ok(&b"Hello"[..]),
            "{what}"
        );
        assert_eq!(
            decompress(compressed, 4),
            Err(DecompressError::TooBig(4)),
            "{what}"
        );
    }
    // 7.2.3.2: the second of two messages with the context taken over.
    let mut history = History::default();
    history.push(b"Hello", WindowBits::W15);
    let second = Decompressor::default().decompress(b"\xf2\x00\x11\x00\x00", &history, 5);
    assert_eq!(second.as_deref(), Ok(&b"Hello"[..]));
    // 7.2.3.6, and what zlib makes of the second empty message in a row.
    for empty in [&b"\x00"[..], b""] {
        assert_eq!(decompress(empty, 0), Ok(Vec::new()));
    }
}

#[test]
fn final_blocks_may_stand_anywhere_and_refer_to_what_is_before_them() {
    // "Hello" in a final block, then a reference of 5 bytes to it in another.
    let compressed = b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x00\x11\x00\x00";
    let read = decompress(compressed, 100);
    assert_eq!(read, expected(compressed, &[], 100));
    assert_eq!(read.as_deref(), Ok(&b"HelloHello"[..]));
}

#[test]
fn each_final_block_costs_a_start_and_so_there_may_be_only_so_many() {
    let final_block = b"\x03\x00";
    let few = [&final_block.repeat(FINAL_BLOCKS_MAX)[..], b"\x00"].concat();
    assert_eq!(decompress(&few, 0), Ok(Vec::new()));
    let many = [&final_block[..], &few].concat();
    assert_eq!(
        decompress(&many, 0),
        Err(DecompressError::TooManyFinalBlocks)
    );
}

#[test]
fn what_is_cut_off_or_goes_on_too_long_is_damaged() {
    let whole = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for len in 1..whole.len() {
        assert_eq!(
            decompress(&whole[..len], 100),
            Err(DecompressError::Damaged),
            "{len}"
        );
    }
    // The tail that is to be left out.
    let with_tail = [&whole[..], b"\x00\x00\xff\xff"].concat();
    assert_eq!(decompress(&with_tail, 100), Err(DecompressError::Damaged));
    // A stored block that would take the tail, or more, for its contents.
    for len in 1..12u8 {
        let stored = [0x01, len, 0, !len, 0xff];
        assert_eq!(
            decompress(&stored, 100),
            Err(DecompressError::Damaged),
            "{len}"
        );
    }
}

#[test]
fn f8_a_bomb_costs_no_more_than_the_limit() {
    let bomb = Client::new(9, WindowBits::W15, false).compress(&[&vec![0; 1_024 * KIB]]);
    assert!(bomb.len() < 1_100, "{} bytes", bomb.len());
    let mut decompressor = Decompressor::default();
    for max in [0, 1, 1_000, 64 * KIB, 1_024 * KIB - 1] {
        decompressor.tally = DecompressionTally::default();
        let refused = decompressor.decompress(&bomb, &History::default(), max);
        assert_eq!(refused, Err(DecompressError::TooBig(max)));
        assert_eq!(decompressor.tally.bytes_out, max as u64);
    }
    let read = decompressor
        .decompress(&bomb, &History::default(), 1_024 * KIB)
        .unwrap();
    assert_eq!(read.len(), 1_024 * KIB);
    assert_eq!(
        read.capacity(),
        read.len(),
        "no more than the limit was allocated"
    );
}

#[test]
fn incompressible_messages_of_the_limit_fit_through_the_limit_of_compressed_bytes() {
    for len in [0usize, 1, 100, 1_000, 65_536, 200_000] {
        // The bytes whose code is the longest in the fixed table.
        let noise: Vec<u8> = super::noise(len).iter().map(|byte| byte | 0x90).collect();
        for level in 0..=9 {
            let compressed = Client::new(level, WindowBits::W9, false).compress(&[&noise]);
            assert!(
                compressed.len() <= compressed_len_max(len),
                "{len} at level {level}"
            );
            assert!(decompress(&compressed, len).as_ref() == Ok(&noise));
        }
    }
}
