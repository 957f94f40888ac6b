//! STOMP: a client's frames say the same however they are cut, and the same as a reader makes of them that has the whole
//! stream at hand and knows no shortcuts; what a SEND passes on is read again as it was.

use arbitrary::Unstructured;
use pushring::stomp::encode::{self, MessageHead};
use pushring::stomp::{Fault, Frame, FrameError, Item, Limits, Reader, Version};

use crate::cut;

#[path = "../../src/stomp/reader/tests/naive.rs"]
mod naive;

use naive::Said;

const LIMITS: Limits = Limits {
    headers_max: 8,
    head_bytes_max: 300,
    body_bytes_max: 100,
};

const VERSIONS: [Option<Version>; 4] = [
    None,
    Some(Version::V1_0),
    Some(Version::V1_1),
    Some(Version::V1_2),
];

/// Takes a byte that chooses the version, four cuts of two bytes each, then the stream.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok((version, places)) = input.arbitrary::<(u8, [u16; 4])>() else {
        return;
    };
    let version = VERSIONS[usize::from(version % 4)];
    let stream = input.take_rest();
    let (said, error, _) = read(&[stream.to_vec()], version);
    let (cut_said, cut_error, _) = read(&cut(stream, &places), version);
    assert_eq!(said, cut_said, "the items depend on how the input is cut");
    assert_eq!(error, cut_error);
    let bytes: Vec<Vec<u8>> = stream.iter().map(|&byte| vec![byte]).collect();
    let (byte_said, byte_error, fed) = read(&bytes, version);
    assert_eq!(said, byte_said);
    assert_eq!(error, byte_error);

    let wrong = error.map(|error| (naive::wrong(&error), fed - 1));
    assert_eq!((said, wrong), naive::read(stream, &LIMITS, version));
}

fn read(pieces: &[Vec<u8>], version: Option<Version>) -> (Vec<Said>, Option<FrameError>, usize) {
    let mut reader = Reader::new();
    let mut said = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len();
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match reader.read(rest, &LIMITS, version) {
                Ok((taken, item)) => {
                    assert!(taken > 0, "the reader stands still");
                    rest = &rest[taken..];
                    said.extend(item.map(|item| owned(&item)));
                }
                Err(error) => {
                    assert!(!error.to_string().contains('\n'));
                    return (said, Some(error), fed);
                }
            }
        }
    }
    (said, None, fed)
}

fn owned(item: &Item<'_>) -> Said {
    let Item::Frame(frame) = item else {
        return Said::HeartBeat;
    };
    check_passing_on(frame);
    Said::Frame(naive::Frame {
        command: frame.command.to_string(),
        headers: headers(frame),
        body: frame.body().to_vec(),
    })
}

fn headers(frame: &Frame<'_>) -> Vec<(String, String)> {
    let headers = frame.headers();
    headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// The headers that a frame passes on, written as a message's and read again, are the same; in 1.2, which has words for all.
fn check_passing_on(frame: &Frame<'_>) {
    let lines = frame.user_headers();
    let mut expected = headers(frame);
    expected.retain(|(name, value)| {
        let is_ours = matches!(
            &**name,
            "destination" | "receipt" | "transaction" | "content-length"
        );
        let is_set = matches!(
            &**name,
            "subscription" | "message-id" | "ack" | "redelivered"
        );
        // 1.0 may have trimmed a name to nothing in a frame that connects.
        assert!(!name.is_empty() || frame.command.connects(), "{value}");
        !is_ours && !is_set
    });
    for version in VERSIONS.into_iter().flatten() {
        let head = MessageHead {
            version,
            subscription: "s",
            message_id: "1",
            destination: "/topic/a",
            ack: None,
            redelivered: false,
            headers: lines.as_bytes(),
            default_content_type: None,
        };
        let mut message = Vec::new();
        encode::put_message(&mut message, &head, frame.body());
        assert_eq!(
            message.len(),
            encode::message_len(&head, frame.body().len())
        );
        let Some(send) = message.strip_prefix(b"MESSAGE\n") else {
            panic!("{message:?}");
        };
        if version < Version::V1_2 || expected.iter().any(|(name, _)| name.is_empty()) {
            continue;
        }
        let send = [b"SEND\n", send].concat();
        let limits = Limits {
            headers_max: LIMITS.headers_max + 4,
            head_bytes_max: 2 * LIMITS.head_bytes_max + 100,
            ..LIMITS
        };
        let again = Reader::new().read(&send, &limits, Some(version));
        let Ok((taken, Some(Item::Frame(again)))) = again else {
            panic!("{again:?}");
        };
        assert_eq!(taken, send.len());
        assert_eq!(headers(&again)[4..], expected);
        assert_eq!(again.body(), frame.body());
    }
}
