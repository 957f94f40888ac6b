//! The opening handshake (RFC 6455, section 4.2) of the real server, byte by byte over plain sockets.

#![forbid(unsafe_code)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::Message;
use support::http::Answer;
use support::server::{Options, Server};
use support::wire::{
    CLOSE, FIN, PING, Said, Socket, TEXT, close_payload, frame, handshake_lines, head,
};

fn echo_server() -> Server {
    Server::start(Options {
        echo: true,
        ..Options::default()
    })
}

/// The lines of a valid handshake without the header of that name.
fn without(name: &str) -> Vec<String> {
    let mut lines = handshake_lines("/sub/news");
    lines.retain(|line| !line.starts_with(&format!("{name}: ")));
    assert_eq!(
        lines.len(),
        handshake_lines("/sub/news").len() - 1,
        "{name} was there"
    );
    lines
}

/// The lines of a valid handshake with more headers at the end.
fn with(more: &[&str]) -> Vec<String> {
    let mut lines = handshake_lines("/sub/news");
    lines.extend(more.iter().map(|&line| line.to_owned()));
    lines
}

/// The same with one header in the place of another.
fn with_instead(name: &str, line: &str) -> Vec<String> {
    let mut lines = without(name);
    lines.push(line.to_owned());
    lines
}

fn answer_to(server: &Server, lines: &[String]) -> Answer {
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&head(lines));
    socket.answer()
}

/// Asserts that the request gets that status and a reason, and that the connection then ends.
fn assert_refused(server: &Server, lines: &[String], status: u16) -> Answer {
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&head(lines));
    let answer = socket.answer();
    assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
    assert!(
        !answer.body.is_empty(),
        "{lines:?}: the reason is in the body"
    );
    assert!(socket.is_ended(), "{lines:?}: the connection is closed");
    answer
}

#[test]
fn h1_a_valid_handshake_is_answered_with_the_accept_key_of_the_rfcs_example() {
    let server = Server::start(Options::default());
    let mut lowercase: Vec<String> = handshake_lines("/sub/news");
    for line in &mut lowercase[1..] {
        let (name, value) = line.split_once(": ").unwrap();
        *line = format!("{}:{value}  ", name.to_lowercase());
    }
    for lines in [
        handshake_lines("/sub/news"),
        handshake_lines("/sub/news?query=is&left=alone"),
        lowercase,
        with_instead("Upgrade", "Upgrade: WebSocket"),
        with_instead("Connection", "Connection: keep-alive, UPGRADE"),
        with_instead("Connection", "Connection: keep-alive,upgrade"),
        with(&[
            "Cookie: a=b",
            "User-Agent: test",
            "Sec-WebSocket-Unknown: 1",
        ]),
    ] {
        let answer = answer_to(&server, &lines);
        assert_eq!(answer.status, 101, "{lines:?}: {answer:?}");
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{answer:?}"
        );
        assert!(
            answer
                .header("upgrade")
                .is_some_and(|v| v.eq_ignore_ascii_case("websocket")),
            "{answer:?}"
        );
        assert!(
            answer
                .header("connection")
                .is_some_and(|v| v.eq_ignore_ascii_case("upgrade")),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("sec-websocket-protocol"),
            None,
            "none was offered: {answer:?}"
        );
        assert_eq!(
            answer.header("sec-websocket-extensions"),
            None,
            "none was offered: {answer:?}"
        );
    }
}

#[test]
fn h2_a_handshake_that_breaks_a_rule_is_refused_with_400_and_the_reason() {
    let server = Server::start(Options::default());
    let request_line = |line: &str| {
        let mut lines = handshake_lines("/sub/news");
        line.clone_into(&mut lines[0]);
        lines
    };
    for lines in [
        request_line("POST /sub/news HTTP/1.1"),
        request_line("GET /sub/news HTTP/1.0"),
        request_line("GET /sub/news"),
        request_line("nonsense"),
        without("Host"),
        with(&["Host: another"]),
        without("Connection"),
        with_instead("Connection", "Connection: keep-alive"),
        with_instead("Connection", "Connection: notupgrade"),
        without("Sec-WebSocket-Version"),
        with(&["Sec-WebSocket-Version: 13"]),
        without("Sec-WebSocket-Key"),
        with(&["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]),
        with_instead("Sec-WebSocket-Key", "Sec-WebSocket-Key: "),
        with_instead(
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j",
        ),
        with_instead(
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE=",
        ),
        with_instead(
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==",
        ),
        with(&["no header at all"]),
        with(&["Bad Name: x"]),
    ] {
        assert_refused(&server, &lines, 400);
    }
}

#[test]
fn h3_another_version_is_refused_with_426_and_the_version_that_is_spoken() {
    let server = Server::start(Options::default());
    for version in ["8", "12", "14", "113"] {
        let lines = with_instead(
            "Sec-WebSocket-Version",
            &format!("Sec-WebSocket-Version: {version}"),
        );
        let answer = assert_refused(&server, &lines, 426);
        assert_eq!(
            answer.header("sec-websocket-version"),
            Some("13"),
            "{answer:?}"
        );
    }
}

#[test]
fn h4_an_origin_that_is_not_allowed_is_refused_with_403() {
    let server = Server::start(Options::with_config(
        "[origins]\nallowed = [\"https://app.example.com\"]\n",
    ));
    assert_eq!(
        answer_to(&server, &with(&["Origin: https://app.example.com"])).status,
        101
    );
    for origin in [
        "https://evil.example",
        "https://app.example.com:8443",
        "null",
    ] {
        assert_refused(&server, &with(&[&format!("Origin: {origin}")]), 403);
    }
}

#[test]
fn h5_a_handshake_without_origin_is_let_in_unless_the_setting_forbids_it() {
    let server = Server::start(Options::default());
    assert_eq!(
        answer_to(&server, &handshake_lines("/sub/news")).status,
        101
    );

    let browsers_only = Server::start(Options::with_config("[origins]\nmissing_allowed = false\n"));
    assert_refused(&browsers_only, &handshake_lines("/sub/news"), 403);
    assert_eq!(
        answer_to(&browsers_only, &with(&["Origin: https://any.example"])).status,
        101
    );
}

#[test]
fn h6_a_subprotocol_that_the_endpoint_does_not_speak_is_never_chosen() {
    let server = Server::start(Options::default());
    for offer in ["chat", "chat, superchat", "v12.stomp, v11.stomp"] {
        let answer = answer_to(
            &server,
            &with(&[&format!("Sec-WebSocket-Protocol: {offer}")]),
        );
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-protocol"), None, "{answer:?}");
    }
}

#[test]
fn h7_unknown_extensions_are_left_out() {
    let server = Server::start(Options::default());
    let answer = answer_to(
        &server,
        &with(&["Sec-WebSocket-Extensions: x-unknown; level=9, bbf-usp-protocol"]),
    );
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(
        answer.header("sec-websocket-extensions"),
        None,
        "{answer:?}"
    );
}

#[test]
fn h10_a_head_over_its_limits_is_refused_with_431() {
    let server = Server::start(Options::default());
    let long = format!("X-Long: {}", "x".repeat(9_000));
    assert_refused(&server, &with(&[&long]), 431);

    let many: Vec<String> = (0..65).map(|i| format!("X-{i}: x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_refused(&server, &with(&many), 431);

    // Five headers are in every handshake: 64 are allowed.
    assert_eq!(answer_to(&server, &with(&many[..59])).status, 101);
}

#[test]
fn h10_an_endless_head_is_refused_with_431_before_it_ends() {
    let server = Server::start(Options::with_config("[limits]\nhead_bytes_max = 512\n"));
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(format!("GET /sub/news HTTP/1.1\r\nX-Endless: {}", "x".repeat(600)).as_bytes());
    let answer = socket.answer();
    assert_eq!(answer.status, 431, "{answer:?}");
    assert!(socket.is_ended());
}

#[test]
fn h10_a_head_that_is_not_complete_in_time_is_refused_with_408() {
    const HEAD_TIMEOUT: Duration = Duration::from_millis(300);
    let server = Server::start(Options::with_config("[timeouts]\nhead_ms = 300\n"));
    let request = head(&handshake_lines("/sub/news"));
    for sent in [0, 1, request.len() - 1] {
        let began = Instant::now();
        let mut socket = Socket::connect(server.addresses.public);
        socket.send(&request[..sent]);
        let answer = socket.answer();
        assert_eq!(answer.status, 408, "{sent} bytes: {answer:?}");
        assert!(socket.is_ended(), "{sent} bytes");
        assert!(
            began.elapsed() >= HEAD_TIMEOUT,
            "{sent} bytes: after {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn h10_a_head_that_trickles_in_gets_no_more_time_for_each_byte() {
    let server = Server::start(Options::with_config("[timeouts]\nhead_ms = 300\n"));
    let mut socket = Socket::connect(server.addresses.public);
    let began = Instant::now();
    // A byte every 20 ms would take some seconds; the server's end of it shows as a failed write.
    for byte in head(&handshake_lines("/sub/news")) {
        if socket.try_send(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(
        began.elapsed() < Duration::from_millis(2_000),
        "it went on for {:?}",
        began.elapsed()
    );
}

#[test]
fn h11_frames_in_the_same_segment_as_the_head_are_not_lost() {
    let server = echo_server();
    let mut bytes = head(&handshake_lines("/echo"));
    bytes.extend(frame(FIN | TEXT, b"one"));
    bytes.extend(frame(FIN | PING, b"two"));
    bytes.extend(frame(FIN | TEXT, b"three"));
    bytes.extend(frame(FIN | CLOSE, &close_payload(1000, "")));
    let expected = [
        Said::Message(Message::text("one")),
        Said::Pong(b"two".to_vec()),
        Said::Message(Message::text("three")),
        Said::Close {
            code: Some(1000),
            reason: String::new(),
        },
        Said::End,
    ];

    // In one segment, cut within the head, at its end, and within the first frame.
    let head_len = head(&handshake_lines("/echo")).len();
    for cut in [
        bytes.len(),
        1,
        head_len - 1,
        head_len,
        head_len + 1,
        head_len + 8,
    ] {
        let mut socket = Socket::connect(server.addresses.public);
        socket.send(&bytes[..cut]);
        socket.send(&bytes[cut..]);
        assert_eq!(socket.answer().status, 101, "cut at {cut}");
        for said in &expected {
            assert_eq!(socket.next(), *said, "cut at {cut}");
        }
    }
}

#[test]
fn h12_an_unknown_path_is_404_and_a_plain_get_on_a_websocket_path_is_426() {
    let server = echo_server();
    let plain = |path: &str| vec![format!("GET {path} HTTP/1.1"), "Host: 127.0.0.1".to_owned()];
    for path in ["/", "/nowhere", "/pub", "/api/publish", "/metrics"] {
        assert_refused(&server, &plain(path), 404);
    }
    for path in ["/sub/x", "/sub?channel=x", "/pub/x", "/echo"] {
        let answer = assert_refused(&server, &plain(path), 426);
        assert!(
            answer
                .header("upgrade")
                .is_some_and(|v| v.eq_ignore_ascii_case("websocket")),
            "{answer:?}"
        );
    }
}
