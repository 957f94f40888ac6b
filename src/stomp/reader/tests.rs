mod faults;
mod limits;
mod naive;
mod splits;

use super::*;
use naive::Said;

const LIMITS: Limits = Limits {
    headers_max: 8,
    head_bytes_max: 256,
    body_bytes_max: 64,
};

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

/// Feeds the pieces; what they say, the error, and how many bytes had been fed when it showed.
fn feed(
    pieces: &[&[u8]],
    limits: &Limits,
    version: Option<Version>,
) -> (Vec<Said>, Option<FrameError>, usize) {
    feed_through(pieces, limits, version, |reader| reader)
}

/// The same with a reader that is saved and restored behind each piece.
fn feed_saving(
    pieces: &[&[u8]],
    limits: &Limits,
    version: Option<Version>,
) -> (Vec<Said>, Option<FrameError>, usize) {
    feed_through(pieces, limits, version, |reader| {
        let saved = reader.save();
        Reader::restore(&saved, version).expect("what was saved is restored")
    })
}

fn feed_through(
    pieces: &[&[u8]],
    limits: &Limits,
    version: Option<Version>,
    behind_each: impl Fn(Reader) -> Reader,
) -> (Vec<Said>, Option<FrameError>, usize) {
    let mut reader = Reader::new();
    let mut said = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        reader = behind_each(reader);
        fed += piece.len();
        let mut rest = *piece;
        while !rest.is_empty() {
            match reader.read(rest, limits, version) {
                Ok((taken, item)) => {
                    assert!(taken > 0, "input must be taken");
                    rest = &rest[taken..];
                    said.extend(item.map(|item| owned(&item)));
                    check_memory(&reader, limits);
                }
                Err(error) => return (said, Some(error), fed),
            }
        }
    }
    (said, None, fed)
}

fn owned(item: &Item<'_>) -> Said {
    let Item::Frame(frame) = item else {
        return Said::HeartBeat;
    };
    let headers: Vec<_> = frame.headers().collect();
    for (name, _) in &headers {
        let first = headers.iter().find(|(other, _)| other == name).unwrap();
        assert_eq!(frame.header(name), Some(first.1));
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Said::Frame(naive::Frame {
        command: frame.command.to_string(),
        headers: headers.into_iter().map(owned).collect(),
        body: frame.body().to_vec(),
    })
}

/// No more is held than the limits allow.
fn check_memory(reader: &Reader, limits: &Limits) {
    let (head, body) = match reader.0.as_deref() {
        None | Some(Partial::Return) => (0, 0),
        Some(Partial::Head(_, head)) => (head.capacity(), 0),
        Some(Partial::Body(_, head, body)) => (head.capacity(), body.capacity()),
    };
    assert!(head <= limits.head_bytes_max, "{head} bytes for a head");
    assert!(body <= limits.body_bytes_max, "{body} bytes for a body");
}

fn read(input: &[u8], version: impl Into<Option<Version>>) -> Vec<Said> {
    let (said, error, _) = feed(&[input], &LIMITS, version.into());
    assert_eq!(error, None);
    said
}

fn read_frame(input: &[u8], version: impl Into<Option<Version>>) -> naive::Frame {
    match &read(input, version)[..] {
        [Said::Frame(frame)] => frame.clone(),
        other => panic!("{other:?}"),
    }
}

/// The value of `x` in a frame with that header line.
fn value_of_x(command: &str, line: &str, version: impl Into<Option<Version>>) -> Option<String> {
    let input = format!("{command}\n{line}\n\n\0");
    let frame = read_frame(input.as_bytes(), version);
    let mut headers = frame.headers.into_iter();
    headers.find_map(|(name, value)| (name == "x").then_some(value))
}

#[test]
fn a_frame_is_read_with_its_headers_and_its_body() {
    let input = b"SEND\ndestination:/topic/a\\cb\ncontent-length:3\nx:1\n\na\0b\0\n";
    let mut reader = Reader::new();
    let (taken, item) = reader.read(input, &LIMITS, Some(Version::V1_2)).unwrap();
    let Some(Item::Frame(frame)) = item else {
        panic!("{item:?}");
    };
    assert_eq!(taken, input.len() - 1);
    assert_eq!(frame.command.as_str(), "SEND");
    assert_eq!(frame.header("destination"), Some("/topic/a:b"));
    assert_eq!(frame.header("nothing"), None);
    assert_eq!(frame.body(), b"a\0b");
}

#[test]
fn every_command_is_known_in_the_versions_that_have_it() {
    use crate::stomp::Command;
    for version in VERSIONS {
        for command in Command::ALL {
            let input = format!("{command}\n\n\0");
            let (said, error, _) = feed(&[input.as_bytes()], &LIMITS, Some(version));
            let is_later = matches!(command, Command::Stomp | Command::Nack);
            if version == Version::V1_0 && is_later {
                assert_eq!(error, Some(Fault::NotIn10(command).into()));
            } else {
                assert!(
                    matches!(&said[..], [Said::Frame(frame)] if frame.command == command.as_str())
                );
            }
        }
    }
}

#[test]
fn a_message_may_hold_several_frames_and_a_frame_may_span_several_messages() {
    let two = b"BEGIN\ntransaction:t\n\n\0SEND\n\nbody\0";
    assert_eq!(read(two, Version::V1_2).len(), 2);
    let pieces: [&[u8]; 4] = [b"SE", b"ND\nx:", b"1\n\nbo", b"dy\0\n"];
    let (said, error, _) = feed(&pieces, &LIMITS, Some(Version::V1_2));
    assert_eq!(error, None);
    let frame = naive::Frame {
        command: "SEND".to_owned(),
        headers: vec![("x".to_owned(), "1".to_owned())],
        body: b"body".to_vec(),
    };
    assert_eq!(said, [Said::Frame(frame), Said::HeartBeat]);
}

#[test]
fn an_end_of_line_between_frames_is_a_heart_beat_even_if_it_is_cut() {
    assert_eq!(read(b"\n\r\n\n", None), vec![Said::HeartBeat; 3]);
    let (said, error, _) = feed(&[b"\r", b"\n\r", b"\n"], &LIMITS, None);
    assert_eq!((said, error), (vec![Said::HeartBeat; 2], None));
}

#[test]
fn lines_may_end_with_cr_lf_in_every_version() {
    for version in VERSIONS {
        let frame = read_frame(b"SEND\r\nx:1\r\n\r\nbody\r\n\0", version);
        assert_eq!(frame.headers, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(frame.body, b"body\r\n");
    }
}

#[test]
fn of_repeated_headers_the_first_counts() {
    let input = b"SEND\nfoo:World\nfoo:Hello\ncontent-length:1\ncontent-length:x\n\n\0\0";
    let mut reader = Reader::new();
    let (_, item) = reader.read(input, &LIMITS, Some(Version::V1_2)).unwrap();
    let Some(Item::Frame(frame)) = item else {
        panic!("{item:?}");
    };
    assert_eq!(frame.header("foo"), Some("World"));
    assert_eq!(frame.body(), b"\0");
}

#[test]
fn escapes_mean_what_the_version_says() {
    let line = r"x:a\nb\cc\\n";
    let resolved = Some("a\nb:c\\n".to_owned());
    assert_eq!(value_of_x("SEND", line, Version::V1_2), resolved);
    assert_eq!(value_of_x("SEND", line, Version::V1_1), resolved);
    assert_eq!(value_of_x("SEND", line, None), resolved);
    let plain = Some(line[2..].to_owned());
    assert_eq!(value_of_x("SEND", line, Version::V1_0), plain);
    let carriage_return = Some("\r".to_owned());
    assert_eq!(value_of_x("SEND", r"x:\r", Version::V1_2), carriage_return);
}

#[test]
fn names_have_escapes_too() {
    let frame = read_frame(b"SEND\na\\cb\\\\:1\n\n\0", Version::V1_2);
    assert_eq!(frame.headers, [("a:b\\".to_owned(), "1".to_owned())]);
}

#[test]
fn frames_that_connect_have_no_escapes() {
    for command in ["CONNECT", "STOMP"] {
        let value = value_of_x(command, r"x:C:\new\table", None);
        assert_eq!(value.as_deref(), Some(r"C:\new\table"));
    }
}

#[test]
fn a_value_may_have_colons() {
    let value = value_of_x("SEND", "x:a:b::", Version::V1_2);
    assert_eq!(value.as_deref(), Some("a:b::"));
}

#[test]
fn spaces_around_names_and_values_count_from_1_1_on() {
    let spaced = " x :  a b\t";
    let value = value_of_x("SEND", spaced, Version::V1_0);
    assert_eq!(value.as_deref(), Some("a b"));
    for version in [Version::V1_1, Version::V1_2] {
        assert_eq!(value_of_x("SEND", spaced, version), None);
        let value = value_of_x("SEND", "x: a b ", version);
        assert_eq!(value.as_deref(), Some(" a b "));
    }
}

#[test]
fn a_connect_frame_is_trimmed_when_the_client_speaks_1_0_only() {
    let value = |lines: &str| value_of_x("CONNECT", lines, None).unwrap();
    assert_eq!(value("x: system "), "system");
    assert_eq!(value("accept-version:1.0\nx: system "), "system");
    assert_eq!(value("x: system \naccept-version:1.0,1.1"), " system ");
    assert_eq!(value("accept-version:1.2\nx: system "), " system ");
}

#[test]
fn a_body_without_content_length_ends_at_the_first_nul() {
    let said = read(b"SEND\n\nab\0\nSEND\n\n\0", Version::V1_1);
    let bodies: Vec<&[u8]> = said
        .iter()
        .filter_map(|said| match said {
            Said::Frame(frame) => Some(&frame.body[..]),
            Said::HeartBeat => None,
        })
        .collect();
    assert_eq!((bodies, said.len()), (vec![&b"ab"[..], b""], 3));
}

#[test]
fn content_length_may_have_spaces_and_zeros_in_front() {
    for line in [
        "content-length: 2 ",
        "content-length:0000000000000000000000002",
    ] {
        let input = format!("SEND\n{line}\n\n\0\0\0");
        assert_eq!(read_frame(input.as_bytes(), Version::V1_2).body, b"\0\0");
    }
}

#[test]
fn what_lies_in_one_piece_is_lent() {
    let input = b"SEND\nx:1\n\nbody\0";
    let mut reader = Reader::new();
    for _ in 0..2 {
        let (_, item) = reader.read(input, &LIMITS, Some(Version::V1_2)).unwrap();
        let Some(Item::Frame(frame)) = item else {
            panic!("{item:?}");
        };
        let value = frame.header("x").unwrap().as_ptr();
        assert_eq!(value, input[7..].as_ptr());
        assert!(matches!(frame.into_body(), Cow::Borrowed(b"body")));
    }
}

#[test]
fn a_name_ends_at_the_first_colon_even_where_it_is_looked_up() {
    for (input, version) in [
        ("SEND\na:b:c\n\n\0", Some(Version::V1_2)),
        ("CONNECT\na:b:c\n\n\0", None),
    ] {
        let mut reader = Reader::new();
        let (_, item) = reader.read(input.as_bytes(), &LIMITS, version).unwrap();
        let Some(Item::Frame(frame)) = item else {
            panic!("{item:?}");
        };
        assert_eq!(frame.header("a"), Some("b:c"));
        for name in ["a:b", "", "b", ":", "a:b:c", "\n"] {
            assert_eq!(frame.header(name), None, "{name:?}");
        }
    }
}

#[test]
fn a_reader_has_no_memory_between_frames() {
    assert_eq!(size_of::<Reader>(), 8);
    let mut reader = Reader::new();
    for piece in [
        &b"SEND\nx:1\n\nbo"[..],
        b"dy\0",
        b"\r",
        b"\n",
        b"SE",
        b"ND\n\n\0",
    ] {
        reader.read(piece, &LIMITS, None).unwrap();
        let is_between = piece.ends_with(b"\0") || piece.ends_with(b"\n");
        assert_eq!(reader.0.is_none(), is_between, "{piece:?}");
    }
}

#[test]
fn what_well_known_clients_connect_with_is_read() {
    let frames: [&[u8]; 4] = [
        b"CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:10000,10000\n\n\0",
        b"CONNECT\nlogin:guest\npasscode:gu:est\naccept-version:1.1,1.0\nheart-beat:10000,10000\n\n\0",
        b"STOMP\naccept-version:1.1\nhost:localhost\n\n\x00",
        b"CONNECT\r\naccept-version:1.2\r\nhost:localhost\r\n\r\n\0\r\n",
    ];
    for input in frames {
        let said = read(input, None);
        assert!(matches!(&said[0], Said::Frame(frame) if frame.body.is_empty()));
    }
}

#[test]
fn the_headers_of_a_send_that_its_messages_carry_are_lines_of_1_2() {
    let user_headers = |lines: &str, version| {
        let input = format!("SEND\n{lines}\n\0");
        let mut reader = Reader::new();
        match reader
            .read(input.as_bytes(), &LIMITS, Some(version))
            .unwrap()
        {
            (_, Some(Item::Frame(frame))) => {
                String::from_utf8(frame.user_headers().as_bytes().to_vec()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    };
    let others =
        "destination:/topic/a\nreceipt:1\ntransaction:t\ncontent-length:0\nsubscription:s\n";
    assert_eq!(user_headers(others, Version::V1_2), "");
    let others = "message-id:m\nack:a\nredelivered:true\ncontent-type:a/b\nx:1\nx:2\n";
    let carried = "content-type:a/b\nx:1\nx:2\n";
    assert_eq!(user_headers(others, Version::V1_2), carried);
    assert_eq!(
        user_headers("x:a:b\r\ny:\\c\\r\n", Version::V1_2),
        "x:a\\cb\ny:\\c\\r\n"
    );
    assert_eq!(user_headers("x:a\rb\\\\\n", Version::V1_1), "x:a\\rb\\\\\n");
    assert_eq!(user_headers(" x : a\\c \n", Version::V1_0), "x:a\\\\c\n");
}
