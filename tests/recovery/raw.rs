use crate::support::Message;
use crate::support::server::Server;
use crate::support::wire::{CLOSE, FIN, Said, Socket, close_payload, frame, handshake_lines, head};
use crate::{channels, numbers, publish, publish_numbers, server};

fn subscribe(server: &Server, channel: &str, query: &str) -> Socket {
    let path = format!("/sub/{channel}?{query}");
    Socket::open(server.addresses.public, &path)
}

fn texts(socket: &mut Socket, count: usize) -> Vec<String> {
    let texts = (0..count).map(|_| match socket.message() {
        Message::Text(text) => text,
        other => panic!("a text is expected, not {other:?}"),
    });
    texts.collect()
}

/// Asserts that a WebSocket is closed because what it has missed is gone.
fn assert_gap(mut socket: Socket, what: &str) {
    match socket.next() {
        Said::Close {
            code: Some(4410),
            reason,
        } => assert!(reason.contains("without epoch and offset"), "{reason}"),
        other => panic!("{what}: a gap is expected, not {other:?}"),
    }
    assert_eq!(socket.next(), Said::End);
}

#[test]
fn what_was_missed_comes_first_and_then_what_is_published() {
    let server = server();
    let mut http = server.http();
    for channel in channels("kept") {
        let place = publish_numbers(&mut http, &channel, 10);
        for query in [
            place.at(4).query(),
            "offset=4".to_owned(),
            format!("offset=4&epoch={:X}&other=1", place.epoch),
        ] {
            let mut socket = subscribe(&server, &channel, &query);
            assert_eq!(texts(&mut socket, 6), numbers(5..=10), "{channel} {query}");
        }
        let mut current = subscribe(&server, &channel, &place.query());
        let mut all = subscribe(&server, &channel, &place.at(0).query());
        publish(&mut http, &channel, "11");
        assert_eq!(texts(&mut current, 1), numbers(11..=11), "{channel}");
        assert_eq!(texts(&mut all, 11), numbers(1..=11), "{channel}");
    }
}

#[test]
fn who_says_goodbye_with_its_request_gets_nothing_behind_the_close_frame() {
    let server = server();
    let mut http = server.http();
    for channel in channels("kept") {
        publish_numbers(&mut http, &channel, 3);
        let mut socket = Socket::connect(server.addresses.public);
        let path = format!("/sub/{channel}?offset=0");
        let close = frame(FIN | CLOSE, &close_payload(1000, ""));
        socket.send(&[head(&handshake_lines(&path)), close].concat());
        assert_eq!(socket.answer_head().status, 101);
        assert!(matches!(
            socket.next(),
            Said::Close {
                code: Some(1000),
                ..
            }
        ));
        assert_eq!(socket.next(), Said::End, "{channel}");
    }
}

#[test]
fn one_channel_in_the_query_recovers_as_well() {
    let server = server();
    let mut http = server.http();
    let place = publish_numbers(&mut http, "kept:0", 3);
    let path = format!("/sub?channel=kept%3A0&{}", place.at(1).query());
    let mut socket = Socket::open(server.addresses.public, &path);
    assert_eq!(texts(&mut socket, 2), numbers(2..=3));
}

#[test]
fn kinds_are_kept() {
    let server = server();
    let mut http = server.http();
    publish(&mut http, "kept:0", "text");
    http.publish_binary("kept:0", b"bytes");
    let mut socket = subscribe(&server, "kept:0", "offset=0");
    assert_eq!(socket.message(), Message::text("text"));
    assert_eq!(socket.message(), Message::Binary(b"bytes".to_vec()));
}

#[test]
fn what_cannot_be_had_closes_the_websocket_with_4410_and_what_to_do() {
    let server = server();
    let mut http = server.http();
    for channel in channels("short") {
        let place = publish_numbers(&mut http, &channel, 10);
        let of_another_stream = format!("epoch={:x}&offset=9", place.epoch + 1);
        for query in [
            &place.at(6).query(),
            &place.at(0).query(),
            &place.at(11).query(),
            &of_another_stream,
            "offset=6",
            "offset=18446744073709551615",
        ] {
            assert_gap(subscribe(&server, &channel, query), query);
        }
        let mut socket = subscribe(&server, &channel, &place.at(7).query());
        assert_eq!(texts(&mut socket, 3), numbers(8..=10), "as much as is kept");
    }
}

#[test]
fn a_channel_without_history_recovers_only_who_has_missed_nothing() {
    let server = server();
    let mut http = server.http();
    let place = publish_numbers(&mut http, "unkept", 3);
    assert_gap(
        subscribe(&server, "unkept", &place.at(2).query()),
        "one missed",
    );
    let mut socket = subscribe(&server, "unkept", &place.query());
    publish(&mut http, "unkept", "4");
    assert_eq!(texts(&mut socket, 1), numbers(4..=4));
}

#[test]
fn values_that_are_none_are_answered_with_400_and_what_to_write() {
    let server = server();
    for (path, part) in [
        ("/sub/a?offset=", "offset"),
        ("/sub/a?offset=x", "\"x\" is no offset"),
        ("/sub/a?offset=-1", "offset"),
        ("/sub/a?offset=1.0", "offset"),
        ("/sub/a?offset=18446744073709551616", "offset"),
        ("/sub/a?epoch=zz&offset=1", "\"zz\" is no epoch"),
        ("/sub/a?epoch=&offset=1", "epoch"),
        ("/sub/a?epoch=12345678901234567&offset=1", "hexadecimal"),
        ("/sub/a?epoch=1a", "?epoch=…&offset=…"),
        ("/sub?channel=a&channel=b&offset=1", "each"),
        ("/sub?channel=a&offset=x", "offset"),
    ] {
        let mut socket = Socket::connect(server.addresses.public);
        socket.send(&head(&handshake_lines(path)));
        let answer = socket.answer();
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.text().contains(part), "{path}: {answer:?}");
    }
}
