mod round_trip;

use super::*;

const HEAD: MessageHead<'static> = MessageHead {
    version: Version::V1_2,
    subscription: "sub-0",
    message_id: "7:1",
    destination: "/topic/a",
    ack: Some("9"),
    redelivered: false,
    headers: b"",
    default_content_type: None,
};

fn message(head: &MessageHead<'_>, body: &[u8]) -> String {
    let mut out = Vec::new();
    put_message(&mut out, head, body);
    assert_eq!(message_len(head, body.len()), out.len());
    String::from_utf8(out).unwrap()
}

fn error(version: Option<Version>, error: &ErrorFrame<'_>) -> String {
    let mut out = Vec::new();
    put_error(&mut out, version, error);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_message_has_the_servers_headers_then_the_publishers() {
    let head = MessageHead {
        redelivered: true,
        headers: b"content-type:a/b\nmessage-id:2\n",
        default_content_type: Some("text/plain"),
        ..HEAD
    };
    assert_eq!(
        message(&head, b"bo\0dy"),
        "MESSAGE\nsubscription:sub-0\nmessage-id:7\\c1\ndestination:/topic/a\nack:9\nredelivered:true\n\
         content-length:5\ncontent-type:a/b\nmessage-id:2\n\nbo\0dy\0"
    );
}

#[test]
fn the_default_content_type_is_written_if_the_publisher_gave_none() {
    let head = MessageHead {
        ack: None,
        default_content_type: Some("text/plain;charset=utf-8"),
        headers: b"x-content-type:1\n",
        ..HEAD
    };
    assert_eq!(
        message(&head, b""),
        "MESSAGE\nsubscription:sub-0\nmessage-id:7\\c1\ndestination:/topic/a\ncontent-length:0\n\
         content-type:text/plain;charset=utf-8\nx-content-type:1\n\n\0"
    );
}

#[test]
fn before_1_2_a_message_has_no_ack_header() {
    let head = MessageHead {
        version: Version::V1_1,
        ..HEAD
    };
    assert_eq!(
        message(&head, b"b"),
        "MESSAGE\nsubscription:sub-0\nmessage-id:7\\c1\ndestination:/topic/a\ncontent-length:1\n\nb\0"
    );
}

#[test]
fn a_message_of_1_0_has_no_escapes_and_no_subscription_without_an_id() {
    let head = MessageHead {
        version: Version::V1_0,
        ..HEAD
    };
    let rest = "message-id:7:1\ndestination:/topic/a\ncontent-length:1\n\nb\0";
    let with = format!("MESSAGE\nsubscription:sub-0\n{rest}");
    assert_eq!(message(&head, b"b"), with);
    let head = MessageHead {
        subscription: "",
        ..head
    };
    assert_eq!(message(&head, b"b"), format!("MESSAGE\n{rest}"));
}

#[test]
fn from_1_1_on_a_message_has_its_subscription_even_with_an_empty_id() {
    for version in [Version::V1_1, Version::V1_2] {
        let head = MessageHead {
            version,
            subscription: "",
            ..HEAD
        };
        assert!(message(&head, b"").starts_with("MESSAGE\nsubscription:\nmessage-id:"));
    }
}

#[test]
fn connected_has_no_escapes_and_nobody_can_add_a_header_to_it() {
    let mut out = Vec::new();
    let heart_beat = (0, u32::MAX);
    let user_name = Some("a:b\\\r\n\nversion:1.0");
    put_connected(
        &mut out,
        Version::V1_1,
        "s-1",
        "pushring/0.1",
        heart_beat,
        user_name,
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "CONNECTED\nversion:1.1\nheart-beat:0,4294967295\nsession:s-1\nserver:pushring/0.1\n\
         user-name:a:b\\   version:1.0\n\n\0"
    );
    let mut out = Vec::new();
    put_connected(&mut out, Version::V1_2, "s", "p", (10_000, 20), None);
    let expected = b"CONNECTED\nversion:1.2\nheart-beat:10000,20\nsession:s\nserver:p\n\n\0";
    assert_eq!(out, expected);
}

#[test]
fn a_receipt_names_what_it_is_for() {
    for (version, id) in [
        (Version::V1_0, "a:b\\\r"),
        (Version::V1_1, "a\\cb\\\\\r"),
        (Version::V1_2, "a\\cb\\\\\\r"),
    ] {
        let mut out = Vec::new();
        put_receipt(&mut out, version, "a:b\\\r", None);
        let expected = format!("RECEIPT\nreceipt-id:{id}\n\n\0");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn the_receipt_of_a_subscribe_says_whether_its_client_has_recovered() {
    for recovered in [true, false] {
        let mut out = Vec::new();
        put_receipt(&mut out, Version::V1_2, "r", Some(recovered));
        let expected = format!("RECEIPT\nreceipt-id:r\nrecovered:{recovered}\n\n\0");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn an_error_says_what_is_wrong_and_where() {
    let frame = ErrorFrame {
        message: "line 2: \\x",
        receipt_id: Some("r:1"),
        body: "more: \\x\n",
        versions: false,
    };
    let rest = "content-type:text/plain\ncontent-length:9\n\nmore: \\x\n\0";
    let escaped = format!("ERROR\nmessage:line 2\\c \\\\x\nreceipt-id:r\\c1\n{rest}");
    assert_eq!(error(Some(Version::V1_2), &frame), escaped);
    assert_eq!(error(Some(Version::V1_1), &frame), escaped);
    let plain = format!("ERROR\nmessage:line 2: \\x\nreceipt-id:r:1\n{rest}");
    assert_eq!(error(Some(Version::V1_0), &frame), plain);
}

#[test]
fn an_error_before_connected_has_nothing_that_some_client_would_unescape() {
    let frame = ErrorFrame {
        message: "a:b\\c\r\nd",
        receipt_id: Some("r:1"),
        body: "",
        versions: true,
    };
    let rest = "version:1.0,1.1,1.2\ncontent-type:text/plain\ncontent-length:0\n\n\0";
    let expected = format!("ERROR\nmessage:a:b/c  d\nreceipt-id:r:1\n{rest}");
    assert_eq!(error(None, &frame), expected);
    for receipt_id in ["\\", "a\nb", "a\r"] {
        let frame = ErrorFrame {
            receipt_id: Some(receipt_id),
            ..frame
        };
        let expected = format!("ERROR\nmessage:a:b/c  d\n{rest}");
        assert_eq!(error(None, &frame), expected);
    }
}

#[test]
fn numbers_are_written_in_digits() {
    for number in [0, 9, 10, 99, 100, 1_234_567_890, u64::MAX - 1, u64::MAX] {
        let mut out = Vec::new();
        put_number(&mut Into(&mut out), number);
        assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }
}
