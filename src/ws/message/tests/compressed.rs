//! H7 and RFC 7692, section 6: compressed messages among the others.

use super::splits::check_all_splits;
use super::*;
use crate::ws::deflate::WindowBits;

/// "Hello" (RFC 7692, section 7.2.3.1), and "Hello" again that refers to it (section 7.2.3.2).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

fn agreed() -> Agreement {
    Agreement::new(WindowBits::W15, WindowBits::W15, false)
}

fn keeping() -> Agreement {
    Agreement::new(WindowBits::W15, WindowBits::W15, true)
}

fn feed_compressed(agreed: Agreement, stream: &[u8]) -> Outcome {
    feed_to(&mut Reader::default(), &LIMITS, Some(agreed), &[stream])
}

#[test]
fn compressed_messages_whole_fragmented_and_beside_others_are_read_at_every_split() {
    let stream = [
        client_frame(0xc1, HELLO),
        client_frame(0x81, b"Hello"),
        client_frame(0x41, &HELLO[..3]),
        client_frame(0x89, b"ping"),
        client_frame(0x00, b""),
        client_frame(0x80, &HELLO[3..]),
        client_frame(0xc2, b"\x00"),
        client_frame(0xc1, b""),
        client_frame(0xc2, HELLO),
    ]
    .concat();
    for agreement in [agreed(), keeping()] {
        let seen = check_all_splits(&stream, &LIMITS, Some(agreement));
        assert_eq!(seen.error, None);
        let hello = || text("Hello");
        let ping = Item::Ping(b"ping".to_vec().into());
        let empty = Item::Binary(Vec::new().into());
        let binary = Item::Binary(b"Hello".to_vec().into());
        let expected = [hello(), hello(), ping, hello(), empty, text(""), binary];
        assert_eq!(seen.items, expected);
    }
}

#[test]
fn a_message_may_refer_to_the_one_before_only_where_the_context_is_kept() {
    let stream = [client_frame(0xc1, HELLO), client_frame(0xc1, HELLO_AGAIN)].concat();
    let seen = check_all_splits(&stream, &LIMITS, Some(keeping()));
    assert_eq!((seen.items.len(), seen.error), (2, None));
    assert!(seen.has_history);
    let (items, error, _) = feed_compressed(agreed(), &stream);
    let damaged = ReadError::Decompress(DecompressError::Damaged);
    assert_eq!((items.len(), error), (1, Some(damaged)));
    assert_eq!(damaged.close_code(), CloseCode::INVALID_PAYLOAD);
}

#[test]
fn only_a_client_that_keeps_its_context_costs_memory_between_messages() {
    let stream = [client_frame(0x41, HELLO), client_frame(0x80, b"")].concat();
    for (agreement, holds) in [(agreed(), false), (keeping(), true)] {
        let mut reader = Reader::default();
        feed_to(&mut reader, &LIMITS, Some(agreement), &[&stream]);
        assert_eq!(reader.0.is_some(), holds);
        let message = reader.0.map_or(0, |partial| partial.message.capacity());
        assert_eq!(message, 0, "no more than the history");
    }
}

#[test]
fn f2_the_first_reserved_bit_stands_only_in_the_first_frame_of_a_message() {
    let reserved = Some(ReadError::Frame(FrameError::ReservedBit));
    for broken in [
        [client_frame(0x41, HELLO), client_frame(0xc0, b"")].concat(),
        [client_frame(0x01, b"x"), client_frame(0xc0, b"")].concat(),
        client_frame(0xc9, b""),
        client_frame(0xc8, b""),
        client_frame(0xa1, b""),
        client_frame(0x91, b""),
        client_frame(0xe1, HELLO),
    ] {
        assert_eq!(
            feed_compressed(agreed(), &broken).1,
            reserved,
            "{broken:02x?}"
        );
    }
    assert_eq!(feed(&[&client_frame(0xc1, HELLO)]).1, reserved);
}

#[test]
fn f7_compressed_text_must_be_utf8_too() {
    // A stored block of one byte.
    let broken = client_frame(0xc1, b"\x00\x01\x00\xfe\xff\x80\x00");
    let seen = check_all_splits(&broken, &LIMITS, Some(agreed()));
    assert_eq!(seen.error, Some(ReadError::NotUtf8));
    let binary = client_frame(0xc2, b"\x00\x01\x00\xfe\xff\x80\x00");
    assert_eq!(feed_compressed(agreed(), &binary).1, None);
}

#[test]
fn f8_the_limit_is_that_of_the_decompressed_message_and_bounds_the_compressed_one() {
    let limits = Limits {
        message_bytes_max: 4,
    };
    for frames in [
        client_frame(0xc1, HELLO),
        [client_frame(0x41, HELLO), client_frame(0x80, b"")].concat(),
    ] {
        let seen = check_all_splits(&frames, &limits, Some(agreed()));
        let error = seen.error.unwrap();
        assert_eq!(error, ReadError::Decompress(DecompressError::TooBig(4)));
        assert_eq!(error.close_code(), CloseCode::TOO_BIG);
    }
    let max = deflate::compressed_len_max(4);
    let announced = &client_frame(0xc2, &vec![0; max + 1])[..6];
    let seen = check_all_splits(announced, &limits, Some(agreed()));
    assert_eq!(seen.error, Some(ReadError::TooBig(4)), "from the header");
}
