//! How frames are written: lines, escapes, bodies, and where one ends and the next begins.

use crate::support::stomp::{PROTOCOLS, Stomp};
use crate::{client, server};

/// Everything that frames may have.
const FRAMES: &[u8] = b"\n\r\nSEND\r\ndestination:/topic/a\na\\cb\\\\\\n:c\\r\\nd\\ce\nempty:\r\n\nfirst\0\
    \n\n\r\nSEND\ndestination:/topic/a\ncontent-length:9\n\n\0\n\xe4\xbd\xa0\0\n\r\n\0SEND\ndestination:/topic/a\n\n\0\
    SEND\ndestination:/topic/a\n\nlast\n\0";

#[test]
fn a_frame_is_understood_wherever_messages_cut_it() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("0", "/topic/a", "");
    let mut sender = client(&server);
    let mut heard = || {
        [(); 4].map(|()| {
            let mut message = subscriber.message();
            message.headers.retain(|(name, _)| name != "message-id");
            message
        })
    };
    sender.send_binary(FRAMES);
    let whole = heard();
    assert_eq!(whole[0].text(), "first");
    assert_eq!(whole[0].must("a\\cb\\\\\\n"), "c\\r\\nd\\ce");
    assert_eq!(whole[1].body, b"\0\n\xe4\xbd\xa0\0\n\r\n");
    assert_eq!(whole[2].body, b"");
    assert_eq!(whole[3].text(), "last\n");
    for at in 1..FRAMES.len() {
        sender.send_binary(&FRAMES[..at]);
        sender.send_binary(&FRAMES[at..]);
        assert_eq!(heard(), whole, "cut at {at}");
    }
    for byte in FRAMES {
        sender.send_binary(&[*byte]);
    }
    assert_eq!(heard(), whole, "cut everywhere");
}

#[test]
fn lines_end_with_lf_or_cr_lf() {
    let server = server();
    // 1.0 and 1.1 do not know the latter; nobody means the carriage return to be a part of the value, though.
    for version in ["1.0", "1.1", "1.2"] {
        let mut stomp = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
        stomp.send(&format!(
            "CONNECT\r\naccept-version:{version}\r\nhost:/\r\n\r\n"
        ));
        assert_eq!(stomp.frame().must("version"), version);
        stomp.send("SUBSCRIBE\r\nid:0\r\ndestination:/topic/a\nreceipt:s\r\n\n");
        stomp.receipt("s");
        stomp.send("SEND\ndestination:/topic/a\r\ncolour:blue\n\r\n\r\nhello\r\n");
        let message = stomp.message();
        assert_eq!(message.must("colour"), "blue");
        assert_eq!(message.text(), "\r\nhello\r\n");
    }
}

#[test]
fn ends_of_line_between_frames_are_passed_over() {
    let server = server();
    let mut stomp = client(&server);
    stomp.send_text(b"\n\n\r\nBEGIN\ntransaction:t\nreceipt:1\n\n\0\r\n\n");
    stomp.receipt("1");
    stomp.send_text(b"\n");
    stomp.send_text(b"\r\nABORT\ntransaction:t\nreceipt:2\n\n\0\n");
    stomp.receipt("2");
}

#[test]
fn escapes_are_translated_and_translated_back() {
    let server = server();
    let mut senders = ["1.1", "1.2"].map(|v| Stomp::connect(server.addresses.public, v));
    let mut subscriber = client(&server);
    // What the escapes stand for is what counts: one subscription is known by two spellings that mean the same.
    subscriber.subscribe("a\\cb", "/topic/c\\cd", "");
    for (number, sender) in senders.iter_mut().enumerate() {
        sender.send(&format!(
            "SEND\ndestination:/topic/c:d\nname\\c\\n\\\\:value\\c\\n\\\\{number}\n\nhello"
        ));
        let message = subscriber.message();
        assert_eq!(message.must("subscription"), "a\\cb");
        assert_eq!(message.must("destination"), "/topic/c\\cd");
        let value = format!("value\\c\\n\\\\{number}");
        assert_eq!(message.must("name\\c\\n\\\\"), value);
    }
    senders[1].send("SEND\ndestination:/topic/c\\cd\nreturn:\\r\n\nhello");
    assert_eq!(subscriber.message().must("return"), "\\r");
    senders[1].send("SEND\ndestination:/topic/c\\cd\nreceipt:r\\c\\\\\\n\n\nhello");
    senders[1].receipt("r\\c\\\\\\n");
}

#[test]
fn blanks_around_headers_are_neither_taken_nor_given() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe(" 0 ", "/topic/ a ", "");
    stomp.send("SEND\ndestination:/topic/ a \n name : \t value  \nreceipt: r \n\nhello");
    let (mut heard, mut received) = (None, None);
    for frame in [stomp.frame(), stomp.frame()] {
        match frame.command.as_str() {
            "MESSAGE" => heard = Some(frame),
            _ => received = Some(frame),
        }
    }
    let (message, receipt) = (heard.unwrap(), received.unwrap());
    assert_eq!(message.must("subscription"), " 0 ");
    assert_eq!(message.must("destination"), "/topic/ a ");
    assert_eq!(message.must(" name "), " \t value  ");
    assert_eq!(receipt.must("receipt-id"), " r ");
    stomp.send("UNSUBSCRIBE\nid:0\nreceipt:1\n\n");
    assert_eq!(
        stomp.frame().command,
        "ERROR",
        "an id is all of its characters"
    );
}

#[test]
fn content_length_says_how_much_is_read() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    for body in [
        "",
        "\0",
        "\0\0\0",
        "a\0\n\nSEND\ndestination:/topic/a\n\nb",
        "你好\0",
    ] {
        stomp.send(&format!(
            "SEND\ndestination:/topic/a\ncontent-length:{}\n\n{body}",
            body.len()
        ));
        let message = stomp.message();
        assert_eq!(message.text(), body);
        if body.contains('\0') {
            assert_eq!(message.must("content-length"), body.len().to_string());
        }
    }
    stomp.send("BEGIN\ntransaction:t\ncontent-length:0\nreceipt:b\n\n");
    stomp.receipt("b");
}

#[test]
fn only_the_first_of_repeated_headers_counts() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "id:1\ndestination:/topic/b\n");
    stomp.send(
        "SEND\ndestination:/topic/a\ndestination:/topic/b\ncolour:first\ncolour:second\ncontent-length:5\n\
         content-length:2\nreceipt:1\nreceipt:2\n\nhello",
    );
    let frames = [stomp.frame(), stomp.frame()];
    let of = |command: &str| {
        frames
            .iter()
            .find(|frame| frame.command == command)
            .unwrap()
    };
    let message = of("MESSAGE");
    assert_eq!(message.must("subscription"), "0");
    assert_eq!(message.must("colour"), "first");
    assert_eq!(message.text(), "hello");
    assert_eq!(of("RECEIPT").must("receipt-id"), "1");
}

#[test]
fn commands_and_header_names_are_case_sensitive() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.send(
        "SEND\ndestination:/topic/a\nDestination:/topic/b\nReceipt:r\nContent-Length:1\n\nhello",
    );
    let message = stomp.message();
    assert_eq!(message.text(), "hello");
    assert_eq!(message.must("Receipt"), "r");
    stomp.assert_undisturbed();
}

#[test]
fn text_is_utf_8_in_heads_and_bodies() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("价格", "/topic/цены", "");
    stomp.send("SEND\ndestination:/topic/цены\nمرحبا:नमस्ते\n\n😀 grüße");
    let message = stomp.message();
    assert_eq!(message.must("subscription"), "价格");
    assert_eq!(message.must("destination"), "/topic/цены");
    assert_eq!(message.must("مرحبا"), "नमस्ते");
    assert_eq!(message.text(), "😀 grüße");
    assert!(!message.binary);
}

#[test]
fn a_body_that_is_not_utf_8_comes_in_a_binary_message() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.send_binary(b"SEND\ndestination:/topic/a\ncontent-length:4\n\n\xff\0\xfe\x80\0");
    let message = stomp.message();
    assert_eq!(message.body, b"\xff\0\xfe\x80");
    assert!(message.binary);
    stomp.send_binary(b"SEND\ndestination:/topic/a\n\nhello\0");
    assert!(!stomp.message().binary, "text, however it was sent");
}
