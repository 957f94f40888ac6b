//! The fan-out bench believes what its ledger counts: here the ledger is believed by a naive oracle.

#[path = "../benches/fanout/frames.rs"]
mod frames;
#[path = "../src/ws/deflate/tests/naive.rs"]
mod inflate;
#[path = "../benches/fanout/ledger.rs"]
mod ledger;
#[path = "../benches/fanout/messages.rs"]
mod messages;
#[path = "../benches/fanout/pushes.rs"]
mod pushes;
#[path = "../benches/fanout/samples.rs"]
mod samples;

use std::collections::HashSet;

use frames::{Frame, FrameReader, Violation};
use ledger::{Answer, Counts, Ledger, Payload};
use messages::Sharing;
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

/// A MESSAGE of STOMP 1.2, as a subscriber of the bench should receive it.
fn stomp_message(id: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut message = format!(
        "MESSAGE\nsubscription:sub-0\nmessage-id:{id}\ndestination:/topic/prices\ncontent-length:{length}\n\n"
    )
    .into_bytes();
    message.extend_from_slice(body);
    message.push(0);
    message
}

/// A push of Centrifugo's protocol, as a subscriber of the bench should receive it.
fn push(offset: u64, data: &[u8]) -> Vec<u8> {
    let data = std::str::from_utf8(data).unwrap();
    format!(r#"{{"push":{{"channel":"prices","pub":{{"data":"{data}","offset":{offset}}}}}}}"#)
        .into_bytes()
}

/// What subscribers receive publications as.
#[derive(Debug, Clone, Copy)]
enum Form {
    Raw,
    Compressed,
    Stomp(Sharing),
    Pushes,
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        Just(Form::Raw),
        Just(Form::Compressed),
        Just(Form::Stomp(Sharing::All)),
        Just(Form::Stomp(Sharing::Nobody)),
        Just(Form::Pushes),
    ]
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
        form in form(),
        streams in prop::collection::vec(prop::collection::vec(0_u64..24, 0..60), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let published = 20;
        let payload = || match form {
            Form::Compressed => Payload::json(payload_bytes + 200),
            Form::Raw | Form::Stomp(_) | Form::Pushes => Payload::new(payload_bytes),
        };
        let mut ledger = Ledger::new(payload(), published);
        match form {
            Form::Raw => {}
            Form::Compressed => ledger.expect_compressed(),
            Form::Stomp(sharing) => ledger.expect_stomp(sharing),
            Form::Pushes => ledger.expect_pushes(),
        }
        let subscribers: Vec<u32> = streams.iter().map(|_| ledger.subscribe()).collect();
        for _ in 0..published {
            ledger.publish();
        }
        let mut expected = Counts::default();
        let mut payload = payload();
        for (&subscriber, received) in subscribers.iter().zip(&streams) {
            expected += naive(received, published);
            let framed = |&sequence: &u64| {
                let payload = payload.numbered(sequence);
                let of_all = format!("1-{sequence}");
                let of_one = format!("{subscriber}-{sequence}");
                match form {
                    Form::Raw => frame(0x81, payload),
                    Form::Compressed => frame(0xc1, &compressed(6, payload)),
                    Form::Stomp(Sharing::All) => frame(0x81, &stomp_message(&of_all, payload)),
                    Form::Stomp(Sharing::Nobody) => frame(0x81, &stomp_message(&of_one, payload)),
                    Form::Pushes => frame(0x81, &push(sequence + 1, payload)),
                }
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

/// What is counted when one subscriber receives `frames`, in order, of as many publications of 32 bytes.
fn counts_of_stomp(sharing: Sharing, frames: &[Vec<u8>]) -> Counts {
    let mut ledger = Ledger::new(Payload::new(32), frames.len() as u64);
    ledger.expect_stomp(sharing);
    let subscriber = ledger.subscribe();
    for message in frames {
        ledger.publish();
        ledger.receive(subscriber, &frame(0x81, message));
    }
    ledger.settle()
}

#[test]
fn a_stomp_message_that_is_not_what_was_published_is_foreign() {
    let body = Payload::new(32).numbered(0).to_vec();
    let good = stomp_message("1-1", &body);
    let text = String::from_utf8(good.clone()).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    for sharing in [Sharing::All, Sharing::Nobody] {
        for right in [
            good.clone(),
            [&good[..], b"\n\r\n"].concat(),
            replaced("\n\n", "\nredelivered:false\nreceipt:7\n\n"),
        ] {
            let counts = counts_of_stomp(sharing, &[right]);
            assert!(counts.are_clean() && counts.delivered == 1, "{counts:?}");
        }
        for wrong in [
            replaced("MESSAGE", "RECEIPT"),
            replaced("sub-0", "sub-1"),
            replaced("/topic/prices", "/topic/price"),
            replaced("message-id:1-1", "message-id:"),
            replaced("message-id:1-1\n", ""),
            replaced("subscription:sub-0\n", ""),
            replaced("content-length:32", "content-length:31"),
            replaced("content-length:32\n", ""),
            replaced("\n\n", "\nredelivered:true\n\n"),
            replaced("\n\n", "\nno header\n\n"),
            replaced("\n\n", "\n"),
            replaced("abc", "abd"),
            good[..good.len() - 1].to_vec(),
            [&good[..], &good[..]].concat(),
            body.clone(),
        ] {
            let counts = counts_of_stomp(sharing, std::slice::from_ref(&wrong));
            let said = String::from_utf8_lossy(&wrong);
            assert_eq!((counts.foreign, counts.lost), (1, 1), "{said:?}");
        }
    }
}

#[test]
fn two_stomp_messages_with_one_id_are_not_both_right() {
    let bodies: Vec<Vec<u8>> = (0..2)
        .map(|sequence| Payload::new(32).numbered(sequence).to_vec())
        .collect();
    for sharing in [Sharing::All, Sharing::Nobody] {
        let messages = bodies.iter().map(|body| stomp_message("1-1", body));
        let counts = counts_of_stomp(sharing, &messages.collect::<Vec<_>>());
        assert_eq!((counts.delivered, counts.foreign, counts.lost), (1, 1, 1));
    }
}

#[test]
fn stomp_messages_that_all_share_must_be_the_same_bytes() {
    for (sharing, delivered) in [(Sharing::All, 1), (Sharing::Nobody, 2)] {
        let mut ledger = Ledger::new(Payload::new(32), 1);
        ledger.expect_stomp(sharing);
        let subscribers = [ledger.subscribe(), ledger.subscribe()];
        let body = ledger.publish().to_vec();
        for (subscriber, id) in subscribers.into_iter().zip(["1-1", "2-1"]) {
            ledger.receive(subscriber, &frame(0x81, &stomp_message(id, &body)));
        }
        let counts = ledger.settle();
        assert_eq!(
            (counts.delivered, counts.foreign),
            (delivered, 2 - delivered)
        );
    }
}

#[test]
fn heart_beats_are_not_counted() {
    let body = Payload::new(32).numbered(0).to_vec();
    let mut ledger = Ledger::new(Payload::new(32), 1);
    ledger.expect_stomp(Sharing::All);
    let subscriber = ledger.subscribe();
    ledger.publish();
    for message in [
        b"\n".to_vec(),
        stomp_message("1-1", &body),
        b"\r\n".to_vec(),
    ] {
        ledger.receive(subscriber, &frame(0x81, &message));
    }
    let counts = ledger.settle();
    assert!(counts.are_clean() && counts.delivered == 1, "{counts:?}");
}

#[test]
fn a_push_that_is_not_what_was_published_is_foreign_and_so_is_one_that_differs() {
    let body = Payload::new(32).numbered(0).to_vec();
    let good = push(1, &body);
    let counts = |messages: [&[u8]; 2]| {
        let mut ledger = Ledger::new(Payload::new(32), 1);
        ledger.expect_pushes();
        let subscribers = [ledger.subscribe(), ledger.subscribe()];
        ledger.publish();
        for (subscriber, message) in subscribers.into_iter().zip(messages) {
            ledger.receive(subscriber, &frame(0x81, message));
        }
        ledger.settle()
    };
    let right = counts([&good, &good]);
    assert!(right.are_clean() && right.delivered == 2, "{right:?}");
    let text = String::from_utf8(good.clone()).unwrap();
    for (from, to) in [
        ("prices", "price"),
        ("abc", "abd"),
        ("\"offset\":1", "\"offset\":2"),
        (",\"offset\":1", ""),
        ("\"pub\"", "\"join\""),
        ("}}}", "}}"),
        ("}}}", "}}}\n{}"),
        ("{\"push\"", "{ \"push\""),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        let counts = counts([&good, wrong.as_bytes()]);
        assert_eq!((counts.delivered, counts.foreign), (1, 1), "{wrong}");
    }
}

#[test]
fn pings_of_the_protocol_are_answered_and_not_counted() {
    let mut ledger = Ledger::new(Payload::new(32), 1);
    ledger.expect_pushes();
    let subscriber = ledger.subscribe();
    ledger.publish();
    let answer = ledger.receive(subscriber, &frame(0x81, b"{}"));
    assert_eq!(answer, Answer::Message(b"{}"));
    let body = Payload::new(32).numbered(0).to_vec();
    ledger.receive(subscriber, &frame(0x81, &push(1, &body)));
    let counts = ledger.settle();
    assert!(counts.are_clean() && counts.delivered == 1, "{counts:?}");
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
