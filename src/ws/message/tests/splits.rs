//! F11: however a stream is cut, the same comes of it, and it is what the naive decoder says.

use proptest::prelude::*;
use proptest::sample::Index;

use super::naive::{self, Decoded};
use super::{Agreement, Item, Limits, Reader, client_frame, feed_to};
use crate::ws::deflate::{CompressionSettings, Compressors, WindowBits};
use crate::ws::frame::Opcode;

/// A frame as a client, even a broken one, may write it.
#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    masked: bool,
    form: Form,
    key: [u8; 4],
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Shortest,
    In16Bits,
    In64Bits,
    /// So long a payload is announced, and not sent.
    Announced(u64),
}

impl Frame {
    fn put(&self, out: &mut Vec<u8>) {
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let len = self.payload.len() as u64;
        out.push(self.first);
        match (self.form, len) {
            (Form::Shortest, 0..126) => out.push(mask_bit | len as u8),
            (Form::Shortest, 126..65_536) | (Form::In16Bits, 0..65_536) => {
                out.push(mask_bit | 126);
                out.extend((len as u16).to_be_bytes());
            }
            (Form::Announced(len), _) | (_, len) => {
                out.push(mask_bit | 127);
                out.extend(len.to_be_bytes());
            }
        }
        if self.masked {
            out.extend(self.key);
        }
        let keys = self.key.iter().cycle();
        out.extend(self.payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
    }
}

fn control_frame() -> impl Strategy<Value = Frame> {
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    (
        prop_oneof![Just(0x89), Just(0x8a)],
        any::<[u8; 4]>(),
        payload,
    )
        .prop_map(|(first, key, payload)| Frame {
            first,
            masked: true,
            form: Form::Shortest,
            key,
            payload,
        })
}

fn close_frame() -> impl Strategy<Value = Frame> {
    let good = (1000u16..5_000, ".{0,20}").prop_map(|(code, reason)| {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(reason.bytes());
        payload.truncate(125);
        payload
    });
    let any_payload = prop::collection::vec(any::<u8>(), 0..6);
    (prop_oneof![3 => good, 1 => any_payload], any::<[u8; 4]>()).prop_map(|(payload, key)| Frame {
        first: 0x88,
        masked: true,
        form: Form::Shortest,
        key,
        payload,
    })
}

/// The frames of one message, cut anywhere, in the middle of characters too, with control frames
/// between them.
fn message(
    payload: impl Strategy<Value = Vec<u8>>,
    first: u8,
) -> impl Strategy<Value = Vec<Frame>> {
    let cuts = prop::collection::vec((any::<Index>(), any::<[u8; 4]>()), 0..4);
    let between = prop::collection::vec(prop::option::weighted(0.3, control_frame()), 4);
    (payload, cuts, between, any::<[u8; 4]>()).prop_map(move |(payload, cuts, between, key)| {
        let mut ends: Vec<_> = cuts
            .into_iter()
            .map(|(cut, key)| (cut.index(payload.len() + 1), key))
            .collect();
        ends.sort_unstable();
        ends.push((payload.len(), key));
        let last = ends.len() - 1;
        let mut frames = Vec::new();
        let mut from = 0;
        for (at, (to, key)) in ends.into_iter().enumerate() {
            let opcode = if at == 0 { first } else { 0 };
            let fin = if at == last { 0x80 } else { 0 };
            frames.push(Frame {
                first: fin | opcode,
                masked: true,
                form: Form::Shortest,
                key,
                payload: payload[from..to].to_vec(),
            });
            if at != last {
                frames.extend(between[at].clone());
            }
            from = to;
        }
        frames
    })
}

/// Mostly text, with lengths on both sides of where the form of the length changes.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => ".{0,40}".prop_map(String::into_bytes),
        2 => "[a-z]{120,130}".prop_map(String::into_bytes),
        1 => ".{100,400}".prop_map(String::into_bytes),
    ]
}

/// The payload as a client compresses it that refers to nothing before.
fn compressed(payload: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    payload.prop_map(|payload| {
        let mut compressors = Compressors::new(CompressionSettings {
            message_bytes_min: 0,
            level: 6,
            memory_level: 8,
        });
        let mut frame = Vec::new();
        compressors.put_frame(&mut frame, Some(WindowBits::W9), Opcode::Binary, &payload);
        let header_len = if frame[1] < 126 { 2 } else { 4 };
        if frame[0] & 0x40 != 0 {
            return frame.split_off(header_len);
        }
        // A stored block.
        let len = payload.len() as u16;
        let [a, b] = len.to_le_bytes();
        [&[0, a, b, !a, !b], &payload[..], &[0]].concat()
    })
}

fn agreement(client_keeps_context: bool) -> Agreement {
    Agreement::new(WindowBits::W15, WindowBits::W15, client_keeps_context)
}

/// A frame with anything in its header.
fn wild_frame() -> impl Strategy<Value = Frame> {
    let form = prop_oneof![
        4 => Just(Form::Shortest),
        1 => Just(Form::In16Bits),
        1 => Just(Form::In64Bits),
        1 => any::<u64>().prop_map(Form::Announced),
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    (
        any::<u8>(),
        prop::bool::weighted(0.9),
        form,
        any::<[u8; 4]>(),
        payload,
    )
        .prop_map(|(first, masked, form, key, payload)| Frame {
            first,
            masked,
            form,
            key,
            payload,
        })
}

/// Valid messages and, once in a while, something that breaks the stream.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let step = prop_oneof![
        12 => message(payload(), 1),
        6 => message(any_bytes(), 2),
        4 => control_frame().prop_map(|frame| vec![frame]),
        1 => close_frame().prop_map(|frame| vec![frame]),
        6 => message(compressed(payload()), 0x41),
        3 => message(compressed(any_bytes()), 0x42),
        1 => message(compressed(any_bytes()), 0x41),
        1 => message(any_bytes(), 0x42),
        1 => message(any_bytes(), 1),
        1 => message(payload(), 0),
        1 => wild_frame().prop_map(|frame| vec![frame]),
    ];
    let scratch = prop::option::weighted(0.3, (any::<Index>(), any::<u8>()));
    let end = prop::option::weighted(0.3, any::<Index>());
    (prop::collection::vec(step, 1..8), scratch, end).prop_map(|(steps, scratch, end)| {
        let mut stream = Vec::new();
        for frame in steps.iter().flatten() {
            frame.put(&mut stream);
        }
        if let Some((at, byte)) = scratch {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        if let Some(end) = end {
            stream.truncate(end.index(stream.len() + 1));
        }
        stream
    })
}

/// The pieces between the places given.
fn cut<'a>(stream: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|p| p.index(stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|w| &stream[w[0]..w[1]]).collect()
}

/// Panics unless the pieces give what the naive decoder makes of the whole stream, in the piece in
/// which it shows, and unless the reader holds memory only inside of a message.
fn check(pieces: &[&[u8]], limits: &Limits, deflate: Option<Agreement>, expected: &Decoded) {
    let mut reader = Reader::default();
    let (items, error, fed) = feed_to(&mut reader, limits, deflate, pieces);
    assert_eq!(items, expected.items);
    assert_eq!(error, expected.error);
    let mut ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.len();
        Some(*end)
    });
    let shows_in = ends.find(|&end| end >= expected.known_at).unwrap_or(0);
    if error.is_some() {
        assert_eq!(fed, shows_in, "found as early as the bytes allow");
    } else {
        let holds_nothing = expected.is_idle && !expected.has_history;
        assert_eq!(reader.0.is_none(), holds_nothing);
    }
}

pub fn check_all_splits(stream: &[u8], limits: &Limits, deflate: Option<Agreement>) -> Decoded {
    let expected = naive::decode(stream, limits.message_bytes_max, deflate);
    check(&[stream], limits, deflate, &expected);
    let bytes = stream.chunks(1).collect::<Vec<_>>();
    check(&bytes, limits, deflate, &expected);
    for at in 0..=stream.len() {
        let (a, b) = stream.split_at(at);
        check(&[a, b], limits, deflate, &expected);
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn f11_any_cuts_of_any_stream_give_what_the_naive_decoder_says(
        stream in stream(),
        places in prop::collection::vec(any::<Index>(), 0..12),
        message_bytes_max in prop_oneof![3 => Just(100_000usize), 1 => 0usize..500],
        deflate in prop::option::of(prop::bool::ANY),
    ) {
        let limits = Limits { message_bytes_max };
        let deflate = deflate.map(agreement);
        let expected = naive::decode(&stream, message_bytes_max, deflate);
        check(&[&stream], &limits, deflate, &expected);
        check(&stream.chunks(1).collect::<Vec<_>>(), &limits, deflate, &expected);
        check(&cut(&stream, &places), &limits, deflate, &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn f11_a_length_in_64_bits_is_read_however_it_is_cut(
        text in prop::bool::ANY,
        len in 65_530usize..65_545,
        cuts in prop::collection::vec(any::<Index>(), 0..6),
        places in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let limits = Limits { message_bytes_max: 65_540 };
        let mut stream = Vec::new();
        let payload: Vec<u8> = "aé€😀".bytes().cycle().take(len).collect();
        let mut ends: Vec<_> = cuts.iter().map(|c| c.index(len + 1)).collect();
        ends.push(len);
        ends.sort_unstable();
        let mut from = 0;
        for (at, &to) in ends.iter().enumerate() {
            let opcode = match at { 0 if text => 1, 0 => 2, _ => 0 };
            let fin = if at + 1 == ends.len() { 0x80 } else { 0 };
            stream.extend(client_frame(fin | opcode, &payload[from..to]));
            from = to;
        }
        let expected = naive::decode(&stream, limits.message_bytes_max, None);
        check(&[&stream], &limits, None, &expected);
        check(&cut(&stream, &places), &limits, None, &expected);
    }
}

#[test]
fn f11_every_cut_of_a_stream_with_everything_in_it_gives_the_same() {
    let limits = Limits {
        message_bytes_max: 200,
    };
    let valid = [
        client_frame(0x81, "Grüße, 世界 😀".as_bytes()),
        client_frame(0x01, &"€".as_bytes()[..2]),
        client_frame(0x89, b"ping"),
        client_frame(0x00, b""),
        client_frame(0x8a, b""),
        client_frame(0x80, &"€".as_bytes()[2..]),
        client_frame(0x82, &[0xff; 130]),
        client_frame(0x81, b""),
        client_frame(0x02, b""),
        client_frame(0x80, b""),
        client_frame(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    let seen = check_all_splits(&valid, &limits, None);
    assert_eq!((seen.items.len(), seen.error), (8, None));
    assert!(
        matches!(seen.items.last(), Some(Item::Close(Some((1000, reason)))) if reason == "bye")
    );

    for (broken, code) in [
        (client_frame(0xc1, b"x"), 1002),
        (client_frame(0x83, b"x"), 1002),
        (client_frame(0x08, b""), 1002),
        (client_frame(0x89, &[0; 126]), 1002),
        (vec![0x81, 0x01, b'x'], 1002),
        (vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0], 1002),
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255], 1002),
        (vec![0x82, 0xff, 0x80], 1002),
        (client_frame(0x80, b"x"), 1002),
        (
            [client_frame(0x01, b"x"), client_frame(0x81, b"y")].concat(),
            1002,
        ),
        (client_frame(0x88, &[3]), 1002),
        (client_frame(0x88, &[3, 237]), 1002),
        (client_frame(0x88, &[3, 232, 0xff]), 1007),
        (client_frame(0x81, b"a\xed\xa0\x80b"), 1007),
        (
            client_frame(0x81, "€".as_bytes().split_last().unwrap().1),
            1007,
        ),
        (
            [client_frame(0x01, b"\xf0\x9f"), client_frame(0x80, b"")].concat(),
            1007,
        ),
        (client_frame(0x82, &[0; 201]), 1009),
        (
            [client_frame(0x02, &[0; 150]), client_frame(0x80, &[0; 51])].concat(),
            1009,
        ),
    ] {
        // Nothing that follows a broken frame makes it any better.
        let stream = [&valid[..], &broken, b"\x81\x80\0\0\0\0"].concat();
        let seen = check_all_splits(&stream, &limits, None);
        assert_eq!(seen.items.len(), 8, "{broken:02x?}");
        let close_code = seen.error.map(|error| error.close_code().as_u16());
        assert_eq!(close_code, Some(code), "{broken:02x?}");
    }
}
