//! What no client may send, and what it is told.

use super::{FrameError, LIMITS, Version, feed};

fn error(input: &str, version: impl Into<Option<Version>>) -> FrameError {
    let (_, error, _) = feed(&[input.as_bytes()], &LIMITS, version.into());
    error.unwrap_or_else(|| panic!("{input:?} is read"))
}

fn message(input: &str, version: impl Into<Option<Version>>) -> String {
    let message = error(input, version).to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    message
}

#[test]
fn what_is_no_command_is_refused() {
    for line in [
        "HELLO",
        "send",
        "SEND ",
        " SEND",
        "CONNECTX",
        "GET / HTTP/1.1",
    ] {
        let message = message(&format!("{line}\nx:1\n\n\0"), None);
        let expected = format!("unknown command \"{line}\": write CONNECT, STOMP, SEND, ");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn what_is_too_long_to_be_a_command_is_refused_before_its_line_ends() {
    let line = "a line that is no command at all, and has no end";
    let expected = format!("unknown command \"{}\": ", &line[..32]);
    let found = message(line, None);
    assert!(found.starts_with(&expected), "{found}");
    let (said, error, _) = feed(&[&line.as_bytes()[..31]], &LIMITS, None);
    assert_eq!((said, error), (vec![], None));
}

#[test]
fn commands_of_servers_are_refused() {
    for command in ["CONNECTED", "MESSAGE", "RECEIPT", "ERROR"] {
        assert_eq!(
            message(&format!("{command}\n\n\0"), Version::V1_2),
            format!("{command} is for servers: a client must not send it")
        );
    }
}

#[test]
fn commands_that_1_0_does_not_have_are_refused_there() {
    assert_eq!(
        message("NACK\nmessage-id:1\n\n\0", Version::V1_0),
        "STOMP 1.0 has no NACK: ask for 1.1 or 1.2 in accept-version"
    );
}

#[test]
fn undefined_escapes_are_refused() {
    for line in [r"x:\t", r"x:a\", r"x:\N", r"\:x", r"x:\\\"] {
        let found = message(&format!("SEND\na:b\n{line}\n\n\0"), Version::V1_2);
        let expected = format!(
            r#"SEND: line 3, "{line}", has an undefined escape: STOMP 1.2 knows \r, \n, \c and \\"#
        );
        assert_eq!(found, expected);
    }
    assert_eq!(
        message("SEND\nx:\\r\n\n\0", Version::V1_1),
        r#"SEND: line 2, "x:\r", has an undefined escape: STOMP 1.1 knows \n, \c and \\"#
    );
}

#[test]
fn header_lines_without_a_colon_or_a_name_are_refused() {
    assert_eq!(
        message("ACK\nid:1\nid\n\n\0", Version::V1_2),
        "ACK: line 3, \"id\", has no colon: write name:value"
    );
    assert_eq!(
        message("ACK\n:1\n\n\0", Version::V1_2),
        "ACK: line 2, \":1\", has no name in front of the colon: write name:value"
    );
    assert_eq!(
        message("ACK\n  :1\n\n\0", Version::V1_0),
        "ACK: line 2, \"  :1\", has no name in front of the colon: write name:value"
    );
}

#[test]
fn a_carriage_return_inside_of_a_line_is_refused_in_1_2_only() {
    let input = "SEND\nx:a\rb\n\n\0";
    let expected =
        "SEND: line 2, \"x:a\u{fffd}b\", has a carriage return inside: escape it, or leave it out";
    assert_eq!(message(input, Version::V1_2), expected);
    assert_eq!(message(input, None), expected);
    for version in [Version::V1_0, Version::V1_1] {
        let (said, error, _) = feed(&[input.as_bytes()], &LIMITS, Some(version));
        assert_eq!((said.len(), error), (1, None));
    }
}

#[test]
fn a_head_that_is_not_utf8_is_refused() {
    let input = b"SEND\na:b\nx:\xff\xfe\n\n\0";
    let (_, error, _) = feed(&[input], &LIMITS, Some(Version::V1_0));
    assert_eq!(
        error.unwrap().to_string(),
        "SEND: line 3, \"x:\u{fffd}\u{fffd}\", is not UTF-8"
    );
}

#[test]
fn a_frame_that_ends_inside_of_its_head_is_refused() {
    let error = error("DISCONNECT\nreceipt:77\n\0", Version::V1_2);
    assert_eq!(
        error.to_string(),
        "DISCONNECT: line 3 has a NUL: end the headers with an empty line"
    );
    assert_eq!(error.receipt.as_deref(), Some("77"));
    assert_eq!(
        message("SEND\0", None),
        "line 1 has a NUL: end the headers with an empty line"
    );
}

#[test]
fn a_content_length_that_is_no_number_is_refused() {
    for value in ["", " ", "x", "-1", "+1", "1.0", "0x1", "1 2", "١"] {
        let found = message(
            &format!("SEND\ncontent-length:{value}\n\n\0"),
            Version::V1_2,
        );
        let expected = format!(
            "SEND: line 2: content-length \"{value}\" is no number: write the body's bytes in digits"
        );
        assert_eq!(found, expected);
    }
}

#[test]
fn a_body_longer_or_shorter_than_content_length_is_refused() {
    let expected = "SEND: no NUL behind the 3 bytes of the body that content-length announces";
    for body in ["four\0", "1\0\0SEND\n"] {
        let found = message(&format!("SEND\ncontent-length:3\n\n{body}"), Version::V1_2);
        assert_eq!(found, expected);
    }
}

#[test]
fn what_does_not_belong_between_frames_is_refused() {
    assert_eq!(
        message("\rSEND\n\n\0", None),
        "a carriage return between two frames with no line feed behind it"
    );
    assert_eq!(
        message("SEND\n\n\0\0", None),
        "a NUL between two frames: one ends a frame, more are not allowed"
    );
}

#[test]
fn the_receipt_of_a_frame_with_a_fault_is_known_if_it_came_before() {
    let receipt = |input, version: Version| error(input, version).receipt;
    let found = receipt("SEND\nreceipt:a\\c1\nreceipt:b\nx\n\n\0", Version::V1_2);
    assert_eq!(found.as_deref(), Some("a:1"));
    let found = receipt("SEND\n receipt : a\\c1 \nx\n\n\0", Version::V1_0);
    assert_eq!(found.as_deref(), Some("a\\c1"));
    let found = receipt("SEND\nreceipt:1\ncontent-length:1\n\nabc\0", Version::V1_2);
    assert_eq!(found.as_deref(), Some("1"));
    assert_eq!(receipt("SEND\nx\nreceipt:1\n\n\0", Version::V1_2), None);
    assert_eq!(receipt("SEND\nreceipt:\\t\n\n\0", Version::V1_2), None);
}

#[test]
fn an_error_quotes_a_little_of_a_long_line() {
    let line = "é".repeat(50);
    let found = message(&format!("SEND\n{line}\n\n\0"), Version::V1_2);
    let quoted = format!("\"{}…\"", "é".repeat(20));
    assert!(found.contains(&quoted), "{found}");
}

#[test]
fn the_receipt_behind_a_fault_is_found_in_what_has_come_of_the_head() {
    let find = |input: &str, version: Version| {
        let found = crate::stomp::find_receipt(input.as_bytes(), Some(version));
        found.map(String::from)
    };
    for (input, version, expected) in [
        ("SEND\nx\nreceipt:1\n\n\0", Version::V1_2, Some("1")),
        (
            "SEND\nx\r\nreceipt:a\\c1\r\n\r\n\0",
            Version::V1_2,
            Some("a:1"),
        ),
        (
            "HELLO\nx\n receipt : a\\c1 \n",
            Version::V1_0,
            Some("a\\c1"),
        ),
        ("SEND\nx\nreceipt:1", Version::V1_1, Some("1")),
        ("SEND\nreceipt:1\nreceipt:2\n\n", Version::V1_2, Some("1")),
        ("SEND\nreceipt:\\t\n\n\0", Version::V1_2, None),
        ("SEND\nx\n\nreceipt:1\n\0", Version::V1_2, None),
        ("SEND\nx\n\0SEND\nreceipt:1\n\n\0", Version::V1_2, None),
        ("receipt:1", Version::V1_2, None),
        ("", Version::V1_2, None),
    ] {
        assert_eq!(find(input, version).as_deref(), expected, "{input:?}");
    }
}
