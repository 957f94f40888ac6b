//! What the server compresses, read by the naive decoder.

use proptest::prelude::*;

use super::super::*;
use super::naive;

const SETTINGS: CompressionSettings = CompressionSettings {
    message_bytes_min: 256,
    level: 6,
    memory_level: 8,
};

/// A frame's first byte and its payload.
fn frame_of(
    compressors: &mut Compressors,
    window: Option<WindowBits>,
    payload: &[u8],
) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    compressors.put_frame(&mut out, window, Opcode::Text, payload);
    assert_eq!(crate::ws::frame::server_frame_len(&out), Some(out.len()));
    let header_len = match out[1] {
        0..126 => 2,
        126 => 4,
        _ => 10,
    };
    (out[0], out.split_off(header_len))
}

/// The frame's payload as a receiver with that window reads it.
fn received(window: WindowBits, (first, payload): &(u8, Vec<u8>)) -> Vec<u8> {
    if first & 0x40 == 0 {
        return payload.clone();
    }
    let bounds = naive::Bounds {
        window_bytes: window.bytes(),
        message_bytes_max: usize::MAX,
        final_blocks_max: 0,
    };
    naive::message(payload, &[], &bounds).unwrap()
}

/// Compressible and incompressible stretches, with repetitions at all distances.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..400),
        (prop::collection::vec(any::<u8>(), 1..600), 1usize..8)
            .prop_map(|(period, times)| period.repeat(times)),
        "[a-f]{0,300}".prop_map(String::into_bytes),
        (any::<u8>(), 0usize..2_000).prop_map(|(byte, times)| vec![byte; times]),
    ];
    prop::collection::vec(stretch, 0..6).prop_map(|stretches| stretches.concat())
}

fn window() -> impl Strategy<Value = WindowBits> {
    prop::sample::select(&WindowBits::ALL[..])
}

#[test]
fn other_settings_hold_from_the_next_message_on() {
    let mut compressors = Compressors::new(SETTINGS);
    let window = WindowBits::W15;
    let payload = b"twelve bytes".repeat(100);
    let before = frame_of(&mut compressors, Some(window), &payload);
    let fastest = CompressionSettings {
        level: 1,
        ..SETTINGS
    };
    compressors.set(fastest);
    let after = frame_of(&mut compressors, Some(window), &payload);
    let made_so = frame_of(&mut Compressors::new(fastest), Some(window), &payload);
    assert_eq!(after, made_so);
    assert_ne!(after, before, "level 1 does not find what level 6 does");
    assert_eq!(received(window, &after), payload);
    compressors.set(CompressionSettings {
        message_bytes_min: payload.len() + 1,
        ..SETTINGS
    });
    let plain = frame_of(&mut compressors, Some(window), &payload);
    assert_eq!(plain, (0x81, payload));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_payload_arrives_through_every_window_level_and_memory(
        payloads in prop::collection::vec(payload(), 1..4),
        window in window(),
        level in 1u32..=9,
        memory_level in 1u32..=9,
        message_bytes_min in prop_oneof![Just(0usize), Just(256)],
    ) {
        let settings = CompressionSettings { message_bytes_min, level, memory_level };
        let mut compressors = Compressors::new(settings);
        for payload in &payloads {
            let frame = frame_of(&mut compressors, Some(window), payload);
            prop_assert!(frame.1.len() <= payload.len());
            prop_assert!(frame.0 & 0x40 == 0 || frame.1.len() < payload.len());
            prop_assert_eq!(&received(window, &frame), payload);
            // What was sent before makes no difference: that is what lets a frame be shared.
            let afresh = frame_of(&mut Compressors::new(settings), Some(window), payload);
            prop_assert_eq!(frame, afresh);
        }
    }
}

/// zlib has no raw window of 256 bytes; with 512 it must keep within 256 by itself.
#[test]
fn references_stay_within_the_window() {
    for window in [WindowBits::W8, WindowBits::W9] {
        for level in 1..=9 {
            for memory_level in [1, 9] {
                let mut compressors = Compressors::new(CompressionSettings {
                    message_bytes_min: 0,
                    level,
                    memory_level,
                });
                // Nothing repeats itself within a period, so that the period is the only distance.
                for period in (244..=262).chain([511, 512, 513]) {
                    let payload = super::noise(period).repeat(4);
                    let frame = frame_of(&mut compressors, Some(window), &payload);
                    assert!(
                        received(window, &frame) == payload,
                        "window {window:?}, level {level}, memory {memory_level}, period {period}"
                    );
                }
            }
        }
    }
}

#[test]
fn short_and_incompressible_messages_are_sent_as_they_are() {
    let mut compressors = Compressors::new(SETTINGS);
    let short = [b'x'; 255];
    let noise = super::noise(1_000);
    for payload in [&short[..], &noise] {
        let frame = frame_of(&mut compressors, Some(WindowBits::W15), payload);
        assert_eq!(frame, (0x81, payload.to_vec()));
    }
    let nobody_agreed = frame_of(&mut compressors, None, &[b'x'; 256]);
    assert_eq!(nobody_agreed, (0x81, vec![b'x'; 256]));
    let long = frame_of(&mut compressors, Some(WindowBits::W15), &[b'x'; 256]);
    assert_eq!(long.0, 0xc1);
    assert_eq!(received(WindowBits::W15, &long), [b'x'; 256]);
    let expected = CompressionTally {
        compressed: 1,
        incompressible: 1,
        bytes_in: 1_256,
        bytes_out: long.1.len() as u64,
    };
    assert_eq!(compressors.tally, expected);
}

#[test]
fn a_huge_message_is_compressed_whole() {
    let mut compressors = Compressors::new(SETTINGS);
    let payload: Vec<u8> = (0..300_000u32)
        .flat_map(|i| i.to_string().into_bytes())
        .collect();
    let frame = frame_of(&mut compressors, Some(WindowBits::W15), &payload);
    assert_eq!(frame.0, 0xc1);
    let mut decompressor = Decompressor::default();
    let back = decompressor.decompress(&frame.1, &History::default(), payload.len());
    assert!(back.as_ref() == Ok(&payload));
}
