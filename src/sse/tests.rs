mod naive;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use naive::{Event, Reader};

fn heard(stream: &[u8]) -> Reader {
    let mut reader = Reader::default();
    reader.read(stream);
    assert!(!reader.is_inside(), "nothing is left half");
    reader
}

fn publication(offset: u64, kind: Kind, payload: &[u8]) -> Publication {
    Publication {
        position: Position {
            epoch: 0x1a2b,
            offset,
        },
        kind,
        headers: Bytes::new(),
        payload: Bytes::copy_from_slice(payload),
        publisher: None,
        channel: None,
    }
}

fn written(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

/// Lines that end in every way there is, and what could be taken for a part of the format.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zé :]{0,6}",
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\r\n".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\0".to_owned()),
        Just("data: x".to_owned()),
        Just("id: 7\n\n".to_owned()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Binary(Vec<u8>),
    WithoutId(String),
    Position,
    Gap,
    Comment(String),
    KeepAlive,
    Retry(u64),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => text().prop_map(Part::Text),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Part::Binary),
        2 => text().prop_map(Part::WithoutId),
        1 => Just(Part::Position),
        1 => Just(Part::Gap),
        1 => text().prop_map(Part::Comment),
        1 => Just(Part::KeepAlive),
        1 => any::<u64>().prop_map(Part::Retry),
    ]
}

proptest! {
    #[test]
    fn a_client_gets_what_was_written_with_line_feeds_for_all_line_ends_whatever_the_pieces(
        parts in prop::collection::vec(part(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        let (mut last, mut retry_ms) = (String::new(), None);
        let mut ends = vec![0];
        for (part, offset) in parts.iter().zip(1..) {
            let position = Position { epoch: 0x1a2b, offset };
            let id = format!("{:x}:{offset}", 0x1a2b);
            let mut expect = |kind: &str, data: String, last: &str| {
                expected.push(Event { kind: kind.to_owned(), data, last_event_id: last.to_owned() });
            };
            match part {
                Part::Text(text) => {
                    last = id;
                    expect("message", text.replace("\r\n", "\n").replace('\r', "\n"), &last);
                    put_publication(&mut stream, &publication(offset, Kind::Text, text.as_bytes()), true);
                }
                Part::Binary(bytes) => {
                    last = id;
                    expect("binary", BASE64.encode(bytes), &last);
                    put_publication(&mut stream, &publication(offset, Kind::Binary, bytes), true);
                }
                Part::WithoutId(text) => {
                    expect("message", text.replace("\r\n", "\n").replace('\r', "\n"), &last);
                    put_publication(&mut stream, &publication(offset, Kind::Text, text.as_bytes()), false);
                }
                Part::Position => {
                    last = id;
                    put_position(&mut stream, position);
                }
                Part::Gap => {
                    last.clone_from(&id);
                    expect("gap", id, &last);
                    put_gap(&mut stream, position);
                }
                Part::Comment(text) => put_comment(&mut stream, text),
                Part::KeepAlive => put_keep_alive(&mut stream),
                Part::Retry(ms) => {
                    retry_ms = Some(*ms);
                    put_retry(&mut stream, *ms);
                }
            }
            ends.push(stream.len());
        }
        let mut client = Reader::default();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            client.read(&stream[piece[0]..piece[1]]);
        }
        prop_assert_eq!(Vec::from(client.events), expected);
        prop_assert_eq!(client.last_event_id, last);
        prop_assert_eq!(client.retry_ms, retry_ms);
        for sent in 0..=stream.len() {
            let end = ends.iter().copied().find(|&end| end >= sent);
            prop_assert_eq!(Some(block_end(&stream, sent)), end, "{} bytes sent", sent);
        }
    }

    #[test]
    fn an_id_is_read_as_the_position_that_it_was_written_for(epoch: u64, offset: u64) {
        let position = Position { epoch, offset };
        let client = heard(&written(|out| put_position(out, position)));
        prop_assert_eq!(&client.last_event_id, &format!("{epoch:x}:{offset}"));
        prop_assert_eq!(parse_id(&client.last_event_id), Some(position));
        prop_assert_eq!(parse_id(&client.last_event_id.to_uppercase()), Some(position));
    }

    #[test]
    fn whatever_comes_back_as_an_id_is_read_or_not(text in ".{0,20}") {
        if let Some(position) = parse_id(&text) {
            let (epoch, offset) = text.split_once(':').expect("a colon");
            prop_assert_eq!(u64::from_str_radix(epoch, 16), Ok(position.epoch));
            prop_assert_eq!(offset.parse(), Ok(position.offset));
        }
    }
}

#[test]
fn a_publication_looks_like_this() {
    let text = publication(17, Kind::Text, b"goal\r\n by Pel\xc3\xa9");
    assert_eq!(
        written(|out| put_publication(out, &text, true)),
        "id: 1a2b:17\ndata: goal\ndata:  by Pelé\n\n".as_bytes()
    );
    let binary = publication(18, Kind::Binary, &[0, 0xff]);
    assert_eq!(
        written(|out| put_publication(out, &binary, false)),
        b"event: binary\ndata: AP8=\n\n"
    );
}

#[test]
fn an_empty_publication_is_an_event_too() {
    let client = heard(&written(|out| put_message(out, Kind::Text, b"")));
    assert_eq!(client.events.len(), 1);
    assert_eq!(client.events[0].data, "");
}

#[test]
fn a_gap_names_the_position_as_its_data_and_as_its_id() {
    let position = Position {
        epoch: 0xff,
        offset: 3,
    };
    assert_eq!(
        written(|out| put_gap(out, position)),
        b"event: gap\nid: ff:3\ndata: ff:3\n\n"
    );
}

#[test]
fn what_says_nothing_to_a_page_makes_no_event() {
    let stream = written(|out| {
        put_keep_alive(out);
        put_comment(out, "closed\rdata: no\r\n\n: really");
        put_retry(out, 1_500);
        put_position(
            out,
            Position {
                epoch: 1,
                offset: 0,
            },
        );
    });
    let client = heard(&stream);
    assert!(client.events.is_empty());
    assert_eq!(client.retry_ms, Some(1_500));
    assert_eq!(client.last_event_id, "1:0");
}

#[test]
fn what_is_no_id_is_not_read_as_one() {
    for id in [
        "",
        ":",
        "1",
        "1:",
        ":1",
        "+1:2",
        "1:+2",
        "1:2:3",
        "1::2",
        "g:1",
        "1:a",
        "1: 2",
        "-1:2",
        "1-2",
        "10000000000000000:1",
        "1:18446744073709551616",
    ] {
        assert_eq!(parse_id(id), None, "{id:?}");
    }
}
