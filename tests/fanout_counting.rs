//! The fan-out bench believes what its ledger counts: here the ledger is believed by a naive oracle.

#[path = "../benches/fanout/frames.rs"]
mod frames;
#[path = "../src/ws/deflate/tests/naive.rs"]
mod inflate;
#[path = "../benches/fanout/ledger.rs"]
mod ledger;
#[path = "../benches/fanout/samples.rs"]
mod samples;

use std::collections::HashSet;

use frames::{Frame, FrameReader, Violation};
use ledger::{Answer, Counts, Ledger, Payload};
use proptest::prelude::*;
use zlib_rs::{Deflate, DeflateFlush};

/// A server's unmasked frame in its shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A message as a server compresses it (RFC 7692, section 7.2.1).
fn compressed(level: i32, message: &[u8]) -> Vec<u8> {
    let mut deflate = Deflate::new(level, false, 15);
    let mut out = vec![0; message.len() * 2 + 100];
    deflate
        .compress(message, &mut out, DeflateFlush::SyncFlush)
        .unwrap();
    out.truncate(deflate.total_out() as usize - 4);
    out
}

/// Hands `stream` over in pieces that end at `cuts`.
fn pieces<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let mut begin = 0;
    let cut = |end| &stream[std::mem::replace(&mut begin, end)..end];
    ends.into_iter().map(cut).collect()
}

/// What one subscriber saw of `published` messages, counted in the plainest way there is.
fn naive(received: &[u64], published: u64) -> Counts {
    let mut seen = HashSet::new();
    let mut counts = Counts::default();
    for &sequence in received {
        if sequence >= published {
            counts.foreign += 1;
        } else if seen.contains(&sequence) {
            counts.doubled += 1;
        } else {
            counts.reordered += u64::from(seen.iter().any(|&earlier| earlier > sequence));
            counts.delivered += 1;
            seen.insert(sequence);
        }
    }
    counts.lost = published - counts.delivered;
    counts
}

proptest! {
    /// Whatever a subscriber receives, in whatever pieces, the ledger counts what the oracle counts.
    #[test]
    fn counts_lost_doubled_reordered_and_foreign_exactly(
        payload_bytes in 12_usize..200,
        is_compressed in prop::bool::ANY,
        streams in prop::collection::vec(prop::collection::vec(0_u64..24, 0..60), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let published = 20;
        let payload = || match is_compressed {
            true => Payload::json(payload_bytes + 200),
            false => Payload::new(payload_bytes),
        };
        let mut ledger = Ledger::new(payload(), published);
        if is_compressed {
            ledger.expect_compressed();
        }
        let subscribers: Vec<u32> = streams.iter().map(|_| ledger.subscribe()).collect();
        for _ in 0..published {
            ledger.publish();
        }
        let mut expected = Counts::default();
        let mut payload = payload();
        for (&subscriber, received) in subscribers.iter().zip(&streams) {
            expected += naive(received, published);
            let framed = |&sequence: &u64| match is_compressed {
                true => frame(0xc1, &compressed(6, payload.numbered(sequence))),
                false => frame(0x81, payload.numbered(sequence)),
            };
            let stream: Vec<u8> = received.iter().flat_map(framed).collect();
            for piece in pieces(&stream, &cuts) {
                prop_assert_eq!(ledger.receive(subscriber, piece), Answer::None);
            }
        }
        prop_assert_eq!(ledger.settle(), expected);
        prop_assert_eq!(ledger.delivered(), expected.delivered);
    }

    /// Frames of every length form come out whole however the stream is cut.
    #[test]
    fn frames_survive_every_split(
        lengths in prop::collection::vec(prop_oneof![0_usize..130, 65_530..65_540_usize], 1..6),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let payloads: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![b'x'; length]).collect();
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x82, payload)).collect();
        let mut reader = FrameReader::default();
        let mut seen = Vec::new();
        for piece in pieces(&stream, &cuts) {
            let read = reader.read(piece, |frame| match frame {
                Frame::Message(message) => seen.push(message.to_vec()),
                other => panic!("no such frame was in the stream: {other:?}"),
            });
            prop_assert_eq!(read, Ok(()));
        }
        prop_assert_eq!(seen, payloads);
    }
}

#[test]
fn a_publication_is_outstanding_until_the_last_subscriber_has_it() {
    let mut ledger = Ledger::new(Payload::new(32), 2);
    let (first, second) = (ledger.subscribe(), ledger.subscribe());
    let one = frame(0x81, ledger.publish());
    let two = frame(0x81, ledger.publish());
    ledger.receive(first, &one);
    ledger.receive(first, &two);
    assert_eq!(ledger.outstanding(), 2);
    ledger.receive(second, &one);
    assert_eq!(ledger.outstanding(), 1);
    ledger.receive(second, &two);
    assert_eq!(ledger.outstanding(), 0);
    assert_eq!(ledger.published(), 2);
    assert!(ledger.settle().are_clean());
}

#[test]
fn a_changed_payload_is_foreign_and_the_message_lost() {
    let mut ledger = Ledger::new(Payload::new(32), 1);
    let subscriber = ledger.subscribe();
    let mut changed = ledger.publish().to_vec();
    changed[31] ^= 1;
    ledger.receive(subscriber, &frame(0x81, &changed));
    let counts = ledger.settle();
    assert_eq!((counts.foreign, counts.lost, counts.delivered), (1, 1, 0));
    assert!(!counts.are_clean());
}

#[test]
fn where_messages_are_compressed_all_must_be_and_with_the_same_bytes() {
    let expecting = || {
        let mut ledger = Ledger::new(Payload::json(500), 1);
        ledger.expect_compressed();
        let subscribers = [ledger.subscribe(), ledger.subscribe()];
        let message = ledger.publish().to_vec();
        (ledger, subscribers, message)
    };
    let (_, _, message) = expecting();
    assert_eq!((message.len(), Payload::json(500).len()), (500, 500));
    let json: serde_json::Value = serde_json::from_slice(&message).unwrap();
    assert_eq!(json["sequence"], "000000000000");
    let (good, other) = (compressed(6, &message), compressed(1, &message));
    assert_ne!(good, other);
    let mut changed = message.clone();
    changed[300] ^= 1;
    for (second, delivered) in [
        (frame(0xc1, &good), 2),
        (frame(0xc1, &other), 1),
        (frame(0x81, &message), 1),
        (frame(0xc1, &compressed(6, &changed)), 1),
        (frame(0xc1, &good[..good.len() - 1]), 1),
    ] {
        let (mut ledger, [a, b], _) = expecting();
        ledger.receive(a, &frame(0xc1, &good));
        ledger.receive(b, &second);
        let counts = ledger.settle();
        assert_eq!(counts.delivered, delivered);
        assert_eq!(
            (counts.foreign, counts.lost),
            (2 - delivered, 2 - delivered)
        );
    }
}

#[test]
fn a_ping_is_answered_and_a_close_counted_once() {
    let mut ledger = Ledger::new(Payload::new(32), 1);
    let subscriber = ledger.subscribe();
    let answer = ledger.receive(subscriber, &frame(0x89, b"there?"));
    assert_eq!(answer, Answer::Pong(b"there?".to_vec()));
    assert_eq!(ledger.receive(subscriber, &frame(0x8a, b"")), Answer::None);
    ledger.receive(subscriber, &frame(0x88, &1013_u16.to_be_bytes()));
    ledger.close(subscriber);
    assert_eq!(ledger.settle().closed, 1);
}

#[test]
fn a_stream_that_is_not_valid_ends_its_subscriber() {
    for (stream, violation) in [
        ([0x81, 0x80], Violation::Masked),
        ([0xc1, 0x00], Violation::Reserved),
        ([0x01, 0x00], Violation::Fragmented),
        ([0x80, 0x00], Violation::Fragmented),
        ([0x83, 0x00], Violation::Opcode),
    ] {
        assert_eq!(FrameReader::default().read(&stream, |_| {}), Err(violation));
        let mut ledger = Ledger::new(Payload::new(32), 1);
        let subscriber = ledger.subscribe();
        ledger.receive(subscriber, &stream);
        assert_eq!(ledger.settle().closed, 1);
    }
}
