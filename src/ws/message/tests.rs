use super::*;
use proptest::prelude::*;

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
    let mut reader = Reader::default();
    let mut items = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        let mut piece = piece.to_vec();
        fed += piece.len();
        let mut at = 0;
        while at < piece.len() {
            match reader.read(&mut piece[at..], &LIMITS) {
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
    Item::Text(text.as_bytes().to_vec().into())
}

#[test]
fn a_reader_between_messages_holds_nothing() {
    assert_eq!(size_of::<Reader>(), 8);
    let mut reader = Reader::default();
    let mut stream = [client_frame(0x01, b"a"), client_frame(0x80, b"b")].concat();
    let mut at = 0;
    while at < stream.len() {
        at += reader.read(&mut stream[at..], &LIMITS).unwrap().0;
    }
    assert!(reader.0.is_none());
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

/// What a client may do with a stream: valid steps, and now and then an invalid one.
#[derive(Clone, Debug)]
enum Step {
    Message(bool, Vec<String>),
    Ping(Vec<u8>),
    Pong,
    Close(u16, String),
    Garbage(Vec<u8>),
    BadText(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let message = (any::<bool>(), prop::collection::vec(".{0,60}", 1..4));
    prop_oneof![
        6 => message.prop_map(|(is_text, parts)| Step::Message(is_text, parts)),
        2 => prop::collection::vec(any::<u8>(), 0..126).prop_map(Step::Ping),
        1 => Just(Step::Pong),
        1 => (0u16..5_000, ".{0,20}").prop_map(|(code, reason)| Step::Close(code, reason)),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Step::Garbage),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Step::BadText),
    ]
}

fn encode(steps: &[Step]) -> Vec<u8> {
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Message(is_text, parts) => {
                for (i, part) in parts.iter().enumerate() {
                    let opcode = match (i, is_text) {
                        (0, true) => 1,
                        (0, false) => 2,
                        _ => 0,
                    };
                    let fin = if i == parts.len() - 1 { 0x80 } else { 0 };
                    out.extend(client_frame(fin | opcode, part.as_bytes()));
                }
            }
            Step::Ping(payload) => out.extend(client_frame(0x89, payload)),
            Step::Pong => out.extend(client_frame(0x8a, b"")),
            Step::Close(code, reason) => {
                let mut payload = code.to_be_bytes().to_vec();
                payload.extend(reason.chars().take(20).collect::<String>().as_bytes());
                payload.truncate(125);
                out.extend(client_frame(0x88, &payload));
            }
            Step::Garbage(bytes) => out.extend(bytes),
            Step::BadText(bytes) => out.extend(client_frame(0x81, bytes)),
        }
    }
    out
}

/// The items of the valid steps in front, computed without the reader.
fn oracle(steps: &[Step]) -> Vec<Item<'static>> {
    let mut items = Vec::new();
    for step in steps {
        match step {
            Step::Message(true, parts) if parts.concat().len() <= 1_000 => {
                items.push(text(&parts.concat()));
            }
            Step::Message(false, parts) if parts.concat().len() <= 1_000 => {
                items.push(Item::Binary(parts.concat().into_bytes().into()));
            }
            Step::Ping(payload) => items.push(Item::Ping(payload.clone().into())),
            Step::Pong => items.push(Item::Pong),
            _ => break,
        }
    }
    items
}

proptest! {
    #[test]
    fn f11_every_split_of_a_stream_gives_the_same(
        steps in prop::collection::vec(step(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = encode(&steps);
        let (whole, error, _) = feed(&[&stream]);
        let expected = oracle(&steps);
        prop_assert!(whole.len() >= expected.len());
        prop_assert_eq!(&whole[..expected.len()], &expected[..]);

        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let (by_byte, by_byte_error, _) = feed(&bytes);
        prop_assert_eq!(&by_byte, &whole);
        prop_assert_eq!(by_byte_error, error);

        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
        let (cut, cut_error, _) = feed(&pieces);
        prop_assert_eq!(cut, whole);
        prop_assert_eq!(cut_error, error);
    }
}
