//! The fan-out bench believes what its ledger counts: here the ledger is believed by a naive oracle.

#[path = "../benches/fanout/frames.rs"]
mod frames;
#[path = "../benches/fanout/ledger.rs"]
mod ledger;

use std::collections::HashSet;

use frames::{Frame, FrameReader, Violation};
use ledger::{Answer, Counts, Ledger, Payload};
use proptest::prelude::*;

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
        streams in prop::collection::vec(prop::collection::vec(0_u64..24, 0..60), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let published = 20;
        let mut ledger = Ledger::new(payload_bytes, published);
        let subscribers: Vec<u32> = streams.iter().map(|_| ledger.subscribe()).collect();
        for _ in 0..published {
            ledger.publish();
        }
        let mut expected = Counts::default();
        let mut payload = Payload::new(payload_bytes);
        for (&subscriber, received) in subscribers.iter().zip(&streams) {
            expected += naive(received, published);
            let stream: Vec<u8> =
                received.iter().flat_map(|&sequence| frame(0x81, payload.numbered(sequence))).collect();
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
    let mut ledger = Ledger::new(32, 2);
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
    let mut ledger = Ledger::new(32, 1);
    let subscriber = ledger.subscribe();
    let mut changed = ledger.publish().to_vec();
    changed[31] ^= 1;
    ledger.receive(subscriber, &frame(0x81, &changed));
    let counts = ledger.settle();
    assert_eq!((counts.foreign, counts.lost, counts.delivered), (1, 1, 0));
    assert!(!counts.are_clean());
}

#[test]
fn a_ping_is_answered_and_a_close_counted_once() {
    let mut ledger = Ledger::new(32, 1);
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
        let mut ledger = Ledger::new(32, 1);
        let subscriber = ledger.subscribe();
        ledger.receive(subscriber, &stream);
        assert_eq!(ledger.settle().closed, 1);
    }
}
