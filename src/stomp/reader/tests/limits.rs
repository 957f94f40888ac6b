//! Limits hold at their value and break one above it, as soon as the bytes show it.

use super::{Fault, LIMITS, Limits, Reader, Version, feed};

/// Feeds byte by byte: the fault, and how many bytes had been fed when it showed.
fn fault(input: &[u8], limits: Limits) -> Option<(Fault, usize)> {
    let pieces: Vec<&[u8]> = input.chunks(1).collect();
    let (said, error, fed) = feed(&pieces, &limits, Some(Version::V1_2));
    assert_eq!(said.len(), usize::from(error.is_none()));
    error.map(|error| (error.fault, fed))
}

#[test]
fn as_many_headers_as_allowed_are_taken() {
    let limits = Limits {
        headers_max: 2,
        ..LIMITS
    };
    assert_eq!(fault(b"SEND\na:1\n\n\0", limits), None);
    assert_eq!(fault(b"SEND\na:1\nb:2\n\n\0", limits), None);
    let error = (Fault::TooManyHeaders(2), b"SEND\na:1\nb:2\nc:3\n".len());
    assert_eq!(fault(b"SEND\na:1\nb:2\nc:3\n\n\0", limits), Some(error));
}

#[test]
fn a_head_as_long_as_allowed_is_taken() {
    let head = b"SEND\nx:12345678901234567890\nyy:z\n\n";
    let input = [&head[..], b"\0"].concat();
    let with = |head_bytes_max| Limits {
        head_bytes_max,
        ..LIMITS
    };
    assert_eq!(fault(&input, with(head.len() + 1)), None);
    assert_eq!(fault(&input, with(head.len())), None);
    for max in 1..head.len() {
        assert_eq!(
            fault(&input, with(max)),
            Some((Fault::HeadTooLong(max), max))
        );
    }
}

#[test]
fn a_head_that_is_too_long_for_a_limit_that_has_become_smaller_is_refused() {
    let with = |head_bytes_max| Limits {
        head_bytes_max,
        ..LIMITS
    };
    for begun in ["SEND\nx:12345678901234567890\nyy", "SEND"] {
        let mut reader = Reader::new();
        let read = reader.read(begun.as_bytes(), &LIMITS, Some(Version::V1_2));
        assert!(matches!(read, Ok((taken, None)) if taken == begun.len()));
        let error = reader.read(b"z\n\n\0", &with(2), Some(Version::V1_2));
        assert_eq!(error.map(|_| ()).unwrap_err().fault, Fault::HeadTooLong(2));
    }
}

#[test]
fn a_body_as_long_as_allowed_is_taken() {
    let limits = |body_bytes_max| Limits {
        body_bytes_max,
        ..LIMITS
    };
    let head = "SEND\n\n";
    let input = format!("{head}12345\0");
    assert_eq!(fault(input.as_bytes(), limits(6)), None);
    assert_eq!(fault(input.as_bytes(), limits(5)), None);
    let error = (Fault::BodyTooLong(4), head.len() + 5);
    assert_eq!(fault(input.as_bytes(), limits(4)), Some(error));
    let error = (Fault::BodyTooLong(0), head.len() + 1);
    assert_eq!(fault(input.as_bytes(), limits(0)), Some(error));
}

#[test]
fn a_content_length_as_large_as_allowed_is_taken() {
    let limits = |body_bytes_max| Limits {
        body_bytes_max,
        ..LIMITS
    };
    let input = b"SEND\ncontent-length:5\n\n12345\0";
    assert_eq!(fault(input, limits(6)), None);
    assert_eq!(fault(input, limits(5)), None);
    let error = (Fault::BodyTooLong(4), b"SEND\ncontent-length:5\n".len());
    assert_eq!(fault(input, limits(4)), Some(error));
}

#[test]
fn a_content_length_beyond_all_numbers_is_too_long() {
    for length in ["18446744073709551616", "99999999999999999999999999"] {
        let input = format!("SEND\ncontent-length:{length}\n\n\0");
        let (fault, _) = fault(input.as_bytes(), LIMITS).unwrap();
        assert_eq!(fault, Fault::BodyTooLong(LIMITS.body_bytes_max));
    }
}

#[test]
fn what_is_announced_takes_no_memory_before_it_comes() {
    let limits = Limits {
        body_bytes_max: 1 << 30,
        ..LIMITS
    };
    let mut reader = super::Reader::new();
    let input = b"SEND\ncontent-length:1000000000\n\nabc";
    reader.read(input, &limits, Some(Version::V1_2)).unwrap();
    let Some(super::Partial::Body(_, _, body)) = reader.0.as_deref() else {
        panic!("{reader:?}");
    };
    assert!(body.capacity() < 100, "{}", body.capacity());
}
