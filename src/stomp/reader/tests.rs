use super::*;
use crate::stomp::Command;

const LIMITS: Limits = Limits {
    headers_max: 8,
    head_bytes_max: 256,
    body_bytes_max: 64,
};

#[test]
fn a_frame_is_read_with_its_headers_and_its_body() {
    let input = b"SEND\ndestination:/topic/a\\cb\ncontent-length:3\nx:1\n\na\0b\0\n";
    let mut reader = Reader::new();
    let (taken, item) = reader.read(input, &LIMITS, Some(Version::V1_2)).unwrap();
    let Some(Item::Frame(frame)) = item else {
        panic!("{item:?}");
    };
    assert_eq!(taken, input.len() - 1);
    assert_eq!(frame.command, Command::Send);
    assert_eq!(frame.header("destination"), Some("/topic/a:b"));
    assert_eq!(frame.header("nothing"), None);
    assert_eq!(frame.body(), b"a\0b");
    assert_eq!(&frame.user_headers().as_bytes()[..], b"x:1\n");
}
