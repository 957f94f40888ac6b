mod compressed;
mod naive;
mod splits;

use super::*;
use crate::ws::deflate::{Agreement, Decompressor};

const LIMITS: Limits = Limits {
    message_bytes_max: 1_000,
};

/// A client's frame, written the long way.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    out
}

type Outcome = (Vec<Item<'static>>, Option<ReadError>, usize);

/// Feeds the pieces; items, the error, and how many bytes had been fed when it showed.
fn feed(pieces: &[&[u8]]) -> Outcome {
    feed_to(&mut Reader::default(), &LIMITS, None, pieces)
}

fn feed_to(
    reader: &mut Reader,
    limits: &Limits,
    deflate: Option<Agreement>,
    pieces: &[&[u8]],
) -> Outcome {
    let mut decompressor = Decompressor::default();
    let mut items = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        let mut piece = piece.to_vec();
        fed += piece.len();
        let mut at = 0;
        while at < piece.len() {
            let decompression = deflate.map(|agreed| Decompression {
                decompressor: &mut decompressor,
                window: agreed.client_window(),
                keeps_context: agreed.client_keeps_context(),
            });
            match reader.read(&mut piece[at..], limits, decompression) {
                Ok((taken, found)) => {
                    assert!(taken > 0, "input must be taken");
                    at += taken;
                    items.extend(found.map(owned));
                }
                Err(error) => return (items, Some(error), fed),
            }
        }
    }
    (items, None, fed)
}

fn owned(item: Item<'_>) -> Item<'static> {
    match item {
        Item::Text(p) => Item::Text(p.into_owned().into()),
        Item::Binary(p) => Item::Binary(p.into_owned().into()),
        Item::Ping(p) => Item::Ping(p.into_owned().into()),
        Item::Pong => Item::Pong,
        Item::Close(said) => Item::Close(said.map(|(c, r)| (c, r.into_owned().into()))),
    }
}

fn text(text: &str) -> Item<'static> {
    Item::Text(text.to_owned().into())
}

#[test]
fn a_reader_between_messages_holds_nothing() {
    assert_eq!(size_of::<Reader>(), 8);
    let mut reader = Reader::default();
    let mut stream = [client_frame(0x01, b"a"), client_frame(0x80, b"b")].concat();
    let mut at = 0;
    while at < stream.len() {
        at += reader.read(&mut stream[at..], &LIMITS, None).unwrap().0;
    }
    assert!(reader.0.is_none());
}

#[test]
fn a_message_that_lies_whole_in_the_input_is_lent_without_a_copy() {
    let mut stream = client_frame(0x82, &[7; 300]);
    let within = stream.as_ptr_range();
    let (taken, item) = Reader::default().read(&mut stream, &LIMITS, None).unwrap();
    let Some(Item::Binary(Cow::Borrowed(payload))) = item else {
        panic!("{item:?} is not lent");
    };
    assert!(within.contains(&payload.as_ptr()));
    assert_eq!((taken, payload), (8 + 300, &[7; 300][..]));
}

#[test]
fn memory_grows_with_what_has_come_and_not_with_what_a_header_announces() {
    let limits = Limits {
        message_bytes_max: usize::MAX,
    };
    let mut header = vec![0x82, 0x80 | 127];
    header.extend((1u64 << 40).to_be_bytes());
    header.extend([0; 4]);
    let mut reader = Reader::default();
    for bytes in [&mut header[..], &mut [0; 100]] {
        let len = bytes.len();
        assert_eq!(reader.read(bytes, &limits, None), Ok((len, None)));
    }
    let partial = reader.0.unwrap();
    assert_eq!(partial.message.len(), 100);
    assert!(partial.message.capacity() <= 2 * 100);
}

#[test]
fn f6_fragments_with_control_frames_between_them_are_one_message() {
    let stream = [
        client_frame(0x01, b"Hel"),
        client_frame(0x89, b"ping"),
        client_frame(0x00, b"lo "),
        client_frame(0x8a, b""),
        client_frame(0x80, b"you"),
    ]
    .concat();
    let (items, error, _) = feed(&[&stream]);
    assert_eq!(error, None);
    assert_eq!(
        items,
        [
            Item::Ping(b"ping".to_vec().into()),
            Item::Pong,
            text("Hello you")
        ]
    );
}

#[test]
fn f6_a_continuation_of_nothing_and_a_message_inside_a_message_are_refused() {
    let (_, error, _) = feed(&[&client_frame(0x80, b"x")]);
    assert_eq!(error, Some(ReadError::NothingToContinue));
    let (_, error, _) = feed(&[&client_frame(0x01, b"x"), &client_frame(0x81, b"y")]);
    assert_eq!(error, Some(ReadError::Interleaved));
}

#[test]
fn f7_invalid_utf8_is_found_before_the_frame_ends() {
    let frame = client_frame(0x81, b"ok \xf4\x90 and a long rest that has not come yet");
    let (items, error, fed) = feed(&[&frame[..6 + 4], &frame[6 + 4..6 + 5], &frame[6 + 5..]]);
    assert!(items.is_empty());
    assert_eq!(error, Some(ReadError::NotUtf8));
    assert_eq!(fed, 11, "the second byte of the character shows it");
}

#[test]
fn f7_a_character_may_be_cut_by_fragments_but_not_by_the_end() {
    let (items, error, _) = feed(&[
        &client_frame(0x01, &"€".as_bytes()[..1]),
        &client_frame(0x80, &"€".as_bytes()[1..]),
    ]);
    assert_eq!((items, error), (vec![text("€")], None));
    let (_, error, _) = feed(&[&client_frame(0x81, &"€".as_bytes()[..2])]);
    assert_eq!(error, Some(ReadError::NotUtf8));
}

#[test]
fn f8_a_message_over_the_limit_is_refused_from_its_header() {
    let frame = client_frame(0x82, &[0; 1_001]);
    let (_, error, fed) = feed(&[&frame[..8], &frame[8..]]);
    assert_eq!(error, Some(ReadError::TooBig(1_000)));
    assert_eq!(fed, 8);
    let (items, error, _) = feed(&[&client_frame(0x82, &[0; 1_000])]);
    assert_eq!((items.len(), error), (1, None));
}

#[test]
fn f8_the_limit_is_that_of_all_fragments_together() {
    let (_, error, _) = feed(&[
        &client_frame(0x02, &[0; 600]),
        &client_frame(0x80, &[0; 401])[..8],
    ]);
    assert_eq!(error, Some(ReadError::TooBig(1_000)));
}
