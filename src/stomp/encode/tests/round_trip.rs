//! What the server writes is read by a client as it was meant, whichever version each side speaks.

use proptest::prelude::*;

use super::{MessageHead, Version, message_len, put_message};
use crate::stomp::reader::{Item, Reader};
use crate::stomp::{Limits, UserHeaders};

const LIMITS: Limits = Limits {
    headers_max: 64,
    head_bytes_max: 8_192,
    body_bytes_max: 65_536,
};

type Headers = Vec<(String, String)>;

/// The headers and the body of a server's frame, read line by line as the specification of that version has it.
fn client_reads(frame: &[u8], version: Version) -> (Headers, Vec<u8>) {
    let head_len = frame.windows(2).position(|end| end == b"\n\n").unwrap();
    let head = std::str::from_utf8(&frame[..head_len]).unwrap();
    let mut lines = head.split('\n');
    assert_eq!(lines.next(), Some("MESSAGE"));
    let headers: Headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (resolve(name, version), resolve(value, version))
        })
        .collect();
    let named = |(name, _): &&(String, String)| name == "content-length";
    let (_, len) = headers.iter().find(named).unwrap();
    let body = &frame[head_len + 2..];
    assert_eq!(body.len(), len.parse::<usize>().unwrap() + 1);
    assert_eq!(body.last(), Some(&0));
    (headers, body[..body.len() - 1].to_vec())
}

fn resolve(text: &str, version: Version) -> String {
    if version == Version::V1_0 {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        assert!(c != '\r' || version == Version::V1_1);
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('c') => ':',
                Some('\\') => '\\',
                Some('r') if version == Version::V1_2 => '\r',
                other => panic!("an undefined escape: {other:?}"),
            },
            c => c,
        });
    }
    out
}

/// The headers that a SEND of that version passes on.
fn user_headers(headers: &Headers, version: Version) -> UserHeaders {
    let mut input = String::from("SEND\ndestination:/topic/a\n");
    for (name, value) in headers {
        input += &format!("{}:{}\n", write(name, version), write(value, version));
    }
    input += "\n\0";
    let mut reader = Reader::new();
    match reader.read(input.as_bytes(), &LIMITS, Some(version)) {
        Ok((_, Some(Item::Frame(frame)))) => frame.user_headers(),
        other => panic!("{other:?}"),
    }
}

fn write(text: &str, version: Version) -> String {
    let mut out = text.to_owned();
    if version > Version::V1_0 {
        out = out.replace('\\', r"\\").replace('\n', r"\n");
        out = out.replace(':', r"\c");
    }
    if version == Version::V1_2 {
        out = out.replace('\r', r"\r");
    }
    out
}

/// Any text that a head may have, with much of what needs escapes.
fn text(len: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let c = prop_oneof![
        2 => prop::sample::select(vec!['\\', '\n', '\r', ':', 'n', 'c', 'r', ' ']),
        1 => any::<char>().prop_filter("no head has NUL", |&c| c != '\0'),
    ];
    prop::collection::vec(c, len).prop_map(String::from_iter)
}

/// A header that the server does not keep to itself.
fn header() -> impl Strategy<Value = (String, String)> {
    (text(1..6), text(0..12))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_message_says_every_header_and_every_body_in_1_1_and_1_2(
        [subscription, message_id, destination, ack] in [text(0..8), text(0..8), text(0..8), text(0..8)],
        headers in prop::collection::vec(header(), 0..6),
        redelivered: bool,
        version in prop::sample::select(vec![Version::V1_1, Version::V1_2]),
        body in body(),
    ) {
        let carried = user_headers(&headers, Version::V1_2);
        let head = MessageHead {
            version,
            subscription: &subscription,
            message_id: &message_id,
            destination: &destination,
            ack: Some(&ack),
            redelivered,
            headers: carried.as_bytes(),
            default_content_type: Some("a/b"),
        };
        let mut out = Vec::new();
        put_message(&mut out, &head, &body);
        prop_assert_eq!(message_len(&head, body.len()), out.len());

        let (read, read_body) = client_reads(&out, version);
        prop_assert_eq!(&read_body, &body);
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut expected = vec![
            own("subscription", &subscription),
            own("message-id", &message_id),
            own("destination", &destination),
        ];
        if version == Version::V1_2 {
            expected.push(own("ack", &ack));
        }
        if redelivered {
            expected.push(own("redelivered", "true"));
        }
        expected.push(own("content-length", &body.len().to_string()));
        expected.push(own("content-type", "a/b"));
        expected.extend(headers);
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_message_of_1_0_says_every_header_that_1_0_has_words_for(
        headers in prop::collection::vec(header(), 0..6),
        body in body(),
    ) {
        let carried = user_headers(&headers, Version::V1_2);
        let head = MessageHead {
            version: Version::V1_0,
            subscription: "",
            message_id: "1",
            destination: "/topic/a",
            ack: None,
            redelivered: false,
            headers: carried.as_bytes(),
            default_content_type: None,
        };
        let mut out = Vec::new();
        put_message(&mut out, &head, &body);
        let (read, read_body) = client_reads(&out, Version::V1_0);
        prop_assert_eq!(&read_body, &body);
        let expected: Headers = headers
            .into_iter()
            .filter(|(name, value)| !name.contains([':', '\n']) && !value.contains('\n'))
            .collect();
        prop_assert_eq!(&read[3..], &expected[..]);
    }

    #[test]
    fn headers_pass_from_each_version_to_each(
        headers in prop::collection::vec(header(), 0..6),
        from in prop::sample::select(vec![Version::V1_0, Version::V1_1]),
        to in prop::sample::select(vec![Version::V1_1, Version::V1_2]),
    ) {
        // What the older versions have no words for, or take for something else.
        let headers: Headers = headers
            .into_iter()
            .filter(|(name, value)| match from {
                Version::V1_0 => {
                    let is_trimmed = |text: &str| text.trim_matches([' ', '\t']) == text;
                    let fits = !name.contains(':') && !name.contains('\n') && !value.contains('\n');
                    fits && !name.is_empty() && is_trimmed(name) && is_trimmed(value)
                }
                _ => true,
            })
            .filter(|(_, value)| !value.ends_with('\r'))
            .collect();
        let carried = user_headers(&headers, from);
        let mut out = b"MESSAGE\ncontent-length:0\n".to_vec();
        carried.put(&mut out, to);
        out.extend(b"\n\0");
        let (read, _) = client_reads(&out, to);
        prop_assert_eq!(&read[1..], &headers[..]);
    }
}
