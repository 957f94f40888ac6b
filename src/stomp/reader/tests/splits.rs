//! However a stream is cut, the same comes of it, and it is what the naive reader says, up to the byte that shows what is
//! wrong.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{LIMITS, Limits, Reader, Said, Version, feed, feed_saving, naive};

/// One frame as a client, even a broken one, may write it.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    (
        command(),
        prop::collection::vec(header(), 0..5),
        any::<bool>(),
        body(),
        "[\r\n]{0,3}",
    )
        .prop_map(|(command, headers, returns, (announced, body), end)| {
            let line_end: &[u8] = if returns { b"\r\n" } else { b"\n" };
            let mut frame = command.into_bytes();
            frame.extend(line_end);
            for header in headers {
                frame.extend(header);
                frame.extend(line_end);
            }
            if let Some(len) = announced {
                frame.extend(format!("content-length:{len}").bytes());
                frame.extend(line_end);
            }
            frame.extend(line_end);
            frame.extend(body);
            frame.push(0);
            frame.extend(end.bytes());
            frame
        })
}

fn command() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "CONNECT", "STOMP", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT",
        ])
        .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["MESSAGE", "send", "SEND ", "A\rB"]).prop_map(str::to_owned),
        1 => "[A-Z]{29,34}",
    ]
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z]{1,3}:[a-z]{0,3}".prop_map(String::into_bytes),
        3 => " ?(receipt|accept-version) ?: ?(1\\.[0-9](,1\\.2)?|a\\\\cb) ?".prop_map(String::into_bytes),
        2 => "([a:é]|\\\\[nrc\\\\]){1,4}:([a:é]|\\\\[nrc\\\\]){0,4}".prop_map(String::into_bytes),
        1 => " ?content-length: ?([0-9]{1,2}|[0-9]{25}|-1|)".prop_map(String::into_bytes),
        1 => "[a:\\\\r\r \t]{0,6}".prop_map(String::into_bytes),
        1 => (any::<u8>()).prop_map(|byte| vec![b'a', b':', byte]),
    ]
}

/// What `content-length` says, and the body.
fn body() -> impl Strategy<Value = (Option<usize>, Vec<u8>)> {
    let bytes = || prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..40);
    prop_oneof![
        3 => "[a-z]{0,40}".prop_map(|text| (None, text.into_bytes())),
        3 => bytes().prop_map(|bytes| (Some(bytes.len()), bytes)),
        1 => (0..40_usize, bytes()).prop_map(|(len, bytes)| (Some(len), bytes)),
    ]
}

/// Frames, some with a byte changed, or only what frames are made of, or anything.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frames = || prop::collection::vec(frame(), 0..4).prop_map(|frames| frames.concat());
    let changed = (frames(), any::<Index>(), any::<u8>()).prop_map(|(mut stream, at, byte)| {
        if !stream.is_empty() {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream
    });
    let parts = [
        "SEND\n",
        "CONNECT\r\n",
        "receipt:1\n",
        ":",
        "\\",
        "\n",
        "\r",
        "\0",
        "a",
        "é",
    ];
    let mixed = prop::collection::vec(prop::sample::select(parts.to_vec()), 0..20)
        .prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![
        6 => frames(),
        2 => changed,
        2 => mixed,
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let tight = (0..4_usize, 1..50_usize, 0..30_usize);
    let tight = tight.prop_map(|(headers_max, head_bytes_max, body_bytes_max)| Limits {
        headers_max,
        head_bytes_max,
        body_bytes_max,
    });
    prop_oneof![2 => Just(LIMITS), 1 => tight]
}

fn version() -> impl Strategy<Value = Option<Version>> {
    prop::sample::select(vec![
        None,
        Some(Version::V1_0),
        Some(Version::V1_1),
        Some(Version::V1_2),
    ])
}

/// The pieces between the cuts.
fn cut<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| &stream[w[0]..w[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn however_a_stream_is_cut_the_same_is_read_as_without_shortcuts(
        stream in stream(),
        limits in limits(),
        version in version(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let (said, error, _) = feed(&[&stream], &limits, version);
        let (cut_said, cut_error, _) = feed(&cut(&stream, &cuts), &limits, version);
        prop_assert_eq!(&cut_said, &said);
        prop_assert_eq!(&cut_error, &error);

        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let (byte_said, byte_error, fed) = feed(&bytes, &limits, version);
        prop_assert_eq!(&byte_said, &said);
        prop_assert_eq!(&byte_error, &error);

        let (naive_said, naive_wrong) = naive::read(&stream, &limits, version);
        prop_assert_eq!(&said, &naive_said);
        let wrong = error.as_ref().map(|error| (naive::wrong(error), fed - 1));
        prop_assert_eq!(wrong, naive_wrong);
    }

    #[test]
    fn wherever_a_reader_is_saved_and_restored_the_same_is_read(
        stream in stream(),
        limits in limits(),
        version in version(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let whole = feed(&[&stream], &limits, version);
        let (said, error, _) = feed_saving(&cut(&stream, &cuts), &limits, version);
        prop_assert_eq!((&said, &error), (&whole.0, &whole.1));
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let (said, error, _) = feed_saving(&bytes, &limits, version);
        prop_assert_eq!((&said, &error), (&whole.0, &whole.1));
    }

    #[test]
    fn only_the_beginning_of_an_item_is_a_reader_that_was_saved(
        saved in stream(),
        version in version(),
    ) {
        // Any bytes: no panic, and what is taken is kept whole.
        if let Some(reader) = Reader::restore(&saved, version) {
            prop_assert_eq!(reader.save(), saved);
        }
    }

    #[test]
    fn what_a_client_says_is_read_as_it_was_meant(
        headers in prop::collection::vec(("[^\0]{1,8}", "[^\0]{0,12}"), 0..6),
        body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..60),
    ) {
        let mut stream = b"SEND\n".to_vec();
        for (name, value) in &headers {
            stream.extend(escape(name).bytes().chain([b':']));
            stream.extend(escape(value).bytes().chain([b'\n']));
        }
        stream.extend(format!("content-length:{}\n\n", body.len()).bytes());
        stream.extend(&body);
        stream.push(0);
        let limits = Limits { headers_max: 10, head_bytes_max: 2_000, body_bytes_max: 60 };
        let (said, error, _) = feed(&[&stream], &limits, Some(Version::V1_2));
        prop_assert_eq!(error, None);
        let [Said::Frame(frame)] = &said[..] else {
            return Err(TestCaseError::fail(format!("{said:?}")));
        };
        let (length, read) = frame.headers.split_last().unwrap();
        prop_assert_eq!(read, &headers[..]);
        prop_assert_eq!(length, &("content-length".to_owned(), body.len().to_string()));
        prop_assert_eq!(&frame.body, &body);
    }
}

/// As STOMP 1.2 has it.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            ':' => out.push_str("\\c"),
            c => out.push(c),
        }
    }
    out
}
