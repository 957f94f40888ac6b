//! Frames, messages and closing (RFC 6455, sections 5 to 7) of the real server, byte by byte over plain sockets.
//!
//! Every frame that the server sends is checked on its way in: unmasked, whole, in the shortest form (F12).

#![forbid(unsafe_code)]

mod support;

use std::time::Duration;

use support::Message;
use support::metrics::Metrics;
use support::server::{Options, Server};
use support::wire::{
    BINARY, CLOSE, CONTINUATION, FIN, Length, PING, PONG, Said, Socket, TEXT, close_payload, frame,
    frame_head, masked,
};

const RSV: [u8; 3] = [0x40, 0x20, 0x10];

fn echo_server() -> Server {
    Server::start(Options {
        echo: true,
        ..Options::default()
    })
}

/// Opens `/echo`, sends the bytes and asserts that the server closes with that code and ends the connection.
fn assert_closed_with(server: &Server, what: &str, bytes: &[u8], code: u16) {
    let mut socket = Socket::open(server.addresses.public, "/echo");
    socket.send(bytes);
    match socket.next() {
        Said::Close {
            code: Some(said), ..
        } => assert_eq!(said, code, "{what}"),
        other => panic!("{what}: a close frame is expected, not {other:?}"),
    }
    assert_eq!(socket.next(), Said::End, "{what}");
}

/// Opens `/echo`, sends the bytes and asserts that the server says just that and goes on.
fn assert_said(server: &Server, what: &str, bytes: &[u8], expected: &[Said]) {
    let mut socket = Socket::open(server.addresses.public, "/echo");
    socket.send(bytes);
    for said in expected {
        assert_eq!(socket.next(), *said, "{what}");
    }
    socket.send_text("still there");
    assert_eq!(socket.message(), Message::text("still there"), "{what}");
}

#[test]
fn f1_a_frame_without_a_mask_closes_with_1002() {
    let server = echo_server();
    assert_closed_with(&server, "text", b"\x81\x05hello", 1002);
    assert_closed_with(&server, "ping", b"\x89\x00", 1002);
    assert_closed_with(&server, "close", b"\x88\x02\x03\xe8", 1002);
}

#[test]
fn f2_a_reserved_bit_closes_with_1002() {
    let server = echo_server();
    for bit in RSV {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            let what = format!("bit {bit:#x}, opcode {opcode:#x}");
            assert_closed_with(&server, &what, &frame(FIN | bit | opcode, b""), 1002);
        }
    }
}

#[test]
fn f3_a_reserved_opcode_closes_with_1002() {
    let server = echo_server();
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        assert_closed_with(
            &server,
            &format!("opcode {opcode:#x}"),
            &frame(FIN | opcode, b"x"),
            1002,
        );
    }
}

#[test]
fn f4_a_length_that_is_not_in_its_shortest_form_closes_with_1002() {
    let server = echo_server();
    for (what, length) in [
        ("0 in 16 bits", Length::Sixteen(0)),
        ("124 in 16 bits", Length::Sixteen(124)),
        ("125 in 16 bits", Length::Sixteen(125)),
        ("126 in 64 bits", Length::SixtyFour(126)),
        ("65535 in 64 bits", Length::SixtyFour(65_535)),
        ("the top bit", Length::SixtyFour(1 << 63 | 70_000)),
    ] {
        assert_closed_with(&server, what, &frame_head(FIN | TEXT, length), 1002);
    }
}

#[test]
fn f4_lengths_on_both_sides_of_every_form_are_understood() {
    let server = echo_server();
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let payload = vec![b'x'; length];
        let expected = Said::Message(Message::Binary(payload.clone()));
        assert_said(
            &server,
            &format!("{length} bytes"),
            &frame(FIN | BINARY, &payload),
            &[expected],
        );
    }
}

#[test]
fn f5_a_long_or_fragmented_control_frame_closes_with_1002() {
    let server = echo_server();
    for opcode in [PING, PONG, CLOSE] {
        let long = frame(FIN | opcode, &[b'x'; 126]);
        assert_closed_with(
            &server,
            &format!("126 bytes, opcode {opcode:#x}"),
            &long,
            1002,
        );
        assert_closed_with(
            &server,
            &format!("FIN clear, opcode {opcode:#x}"),
            &frame(opcode, b""),
            1002,
        );
    }
}

#[test]
fn f6_fragments_are_one_message_with_control_frames_between_them() {
    let server = echo_server();
    let bytes = [
        frame(TEXT, b"one "),
        frame(FIN | PING, b"between"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b"unasked"),
        frame(CONTINUATION, b"two "),
        frame(FIN | CONTINUATION, b"three"),
        frame(BINARY, b"\x00"),
        frame(FIN | CONTINUATION, b"\xff"),
    ]
    .concat();
    let expected = [
        Said::Pong(b"between".to_vec()),
        Said::Message(Message::text("one two three")),
        Said::Message(Message::Binary(vec![0x00, 0xff])),
    ];
    assert_said(&server, "in one segment", &bytes, &expected);
}

#[test]
fn f6_fragments_out_of_place_close_with_1002() {
    let server = echo_server();
    let nothing_begun = frame(FIN | CONTINUATION, b"x");
    assert_closed_with(&server, "the end of nothing", &nothing_begun, 1002);
    assert_closed_with(
        &server,
        "a piece of nothing",
        &frame(CONTINUATION, b"x"),
        1002,
    );
    for second in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
        let bytes = [frame(TEXT, b"begun"), frame(second, b"new")].concat();
        assert_closed_with(
            &server,
            &format!("{second:#x} inside a message"),
            &bytes,
            1002,
        );
    }
}

#[test]
fn f7_text_that_is_not_utf8_closes_with_1007_as_early_as_the_bytes_allow() {
    let server = echo_server();
    for (what, payload) in [
        ("a lone continuation byte", &b"ok\x80"[..]),
        ("an overlong form", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
    ] {
        assert_closed_with(&server, what, &frame(FIN | TEXT, payload), 1007);
        // The message is not over.
        assert_closed_with(
            &server,
            &format!("{what}, in a first fragment"),
            &frame(TEXT, payload),
            1007,
        );
    }
    assert_closed_with(
        &server,
        "cut at the end of the message",
        &frame(FIN | TEXT, b"\xe4\xbd"),
        1007,
    );
    let fragments = [frame(TEXT, b"\xe4\xbd"), frame(CONTINUATION, b"x")].concat();
    assert_closed_with(
        &server,
        "a character that the next fragment does not go on with",
        &fragments,
        1007,
    );

    // The rest of the frame is not needed to see it.
    let mut beginning = frame_head(FIN | TEXT, Length::Sixteen(1_000));
    beginning.extend(masked(b"ok \xff"));
    assert_closed_with(&server, "in the first bytes of a frame", &beginning, 1007);
}

#[test]
fn f7_characters_may_be_cut_by_fragments() {
    let server = echo_server();
    let text = "aé你\u{1f600}";
    let pieces: Vec<Vec<u8>> = text
        .bytes()
        .map(|byte| frame(CONTINUATION, &[byte]))
        .collect();
    let bytes = [
        frame(TEXT, b""),
        pieces.concat(),
        frame(FIN | CONTINUATION, b""),
    ]
    .concat();
    assert_said(
        &server,
        "a byte a fragment",
        &bytes,
        &[Said::Message(Message::text(text))],
    );
}

#[test]
fn f8_a_message_over_the_limit_closes_with_1009_before_its_payload_is_sent() {
    let server = echo_server();
    for opcode in [TEXT, BINARY] {
        let header = frame_head(FIN | opcode, Length::SixtyFour(65_537));
        assert_closed_with(&server, "one byte over", &header, 1009);
        let header = frame_head(FIN | opcode, Length::SixtyFour(i64::MAX as u64));
        assert_closed_with(&server, "the longest there is", &header, 1009);
    }
    let mut fragments = frame(TEXT, &[b'x'; 40_000]);
    fragments.extend(frame_head(FIN | CONTINUATION, Length::Sixteen(25_537)));
    assert_closed_with(&server, "the sum of two fragments", &fragments, 1009);
}

#[test]
fn f9_a_ping_is_answered_with_its_payload_and_a_pong_with_nothing() {
    let server = echo_server();
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        assert_said(
            &server,
            "a ping",
            &frame(FIN | PING, payload),
            &[Said::Pong(payload.to_vec())],
        );
        assert_said(&server, "a pong", &frame(FIN | PONG, payload), &[]);
    }
    let three: Vec<u8> = (0..3).flat_map(|i| frame(FIN | PING, &[i])).collect();
    assert_said(
        &server,
        "three pings",
        &three,
        &[0, 1, 2].map(|i| Said::Pong(vec![i])),
    );
}

#[test]
fn f9_nothing_is_answered_after_a_close_frame() {
    let server = echo_server();
    let mut socket = Socket::open(server.addresses.public, "/echo");
    let bytes = [
        frame(FIN | CLOSE, &close_payload(1000, "")),
        frame(FIN | PING, b"late"),
        frame(FIN | TEXT, b"late"),
    ]
    .concat();
    socket.send(&bytes);
    assert_eq!(socket.close_code(), 1000);
}

#[test]
fn f9_a_flood_of_pings_whose_pongs_are_not_read_does_not_grow_the_server() {
    const FLOOD_BYTES: usize = 100 << 20;
    const GROWTH_BYTES_MAX: usize = 24 << 20;
    let server = echo_server();
    let mut socket = Socket::open(server.addresses.public, "/echo");
    socket
        .stream()
        .set_write_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let before = server.resident_bytes();

    // A write fails as soon as the server takes no more or has cut the connection; either is well.
    let pings = frame(FIN | PING, &[b'x'; 125]).repeat(1_000);
    let mut sent = 0;
    while sent < FLOOD_BYTES && socket.try_send(&pings).is_ok() {
        sent += pings.len();
    }

    let growth = server.resident_bytes().saturating_sub(before);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "the server grew by {growth} bytes for {sent} bytes of pings"
    );
    let metrics = Metrics::get(&mut server.http());
    assert!(metrics.sum("backlog_bytes") <= 1 << 20, "{metrics:?}");
    assert_said(&server, "others are served", b"", &[]);
}

#[test]
fn f10_a_close_frame_is_echoed_and_the_connection_ends() {
    let server = echo_server();
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        let close = frame(FIN | CLOSE, &close_payload(code, "grüße"));
        assert_closed_with(&server, &format!("code {code}"), &close, code);
    }
    let longest = frame(FIN | CLOSE, &close_payload(1000, &"x".repeat(123)));
    assert_closed_with(&server, "the longest reason", &longest, 1000);

    let mut socket = Socket::open(server.addresses.public, "/echo");
    socket.send(&frame(FIN | CLOSE, b""));
    let empty = Said::Close {
        code: None,
        reason: String::new(),
    };
    assert_eq!(socket.next(), empty, "no code is answered with no code");
    assert_eq!(socket.next(), Said::End);
}

#[test]
fn f10_a_code_that_may_not_be_sent_closes_with_1002() {
    let server = echo_server();
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        let close = frame(FIN | CLOSE, &close_payload(code, ""));
        assert_closed_with(&server, &format!("code {code}"), &close, 1002);
    }
    assert_closed_with(&server, "half a code", &frame(FIN | CLOSE, b"\x03"), 1002);
}

#[test]
fn f10_a_reason_that_is_not_utf8_closes_with_1007() {
    let server = echo_server();
    assert_closed_with(
        &server,
        "a lone byte",
        &frame(FIN | CLOSE, b"\x03\xe8\xff"),
        1007,
    );
    assert_closed_with(
        &server,
        "a cut character",
        &frame(FIN | CLOSE, b"\x03\xe8ok\xe4\xbd"),
        1007,
    );
}

#[test]
fn f11_a_stream_sent_byte_by_byte_gives_the_same_result() {
    let server = echo_server();
    let valid = [
        frame(FIN | TEXT, b"one"),
        frame(TEXT, "tw\u{f6}".as_bytes()),
        frame(FIN | PING, b"ping"),
        frame(FIN | CONTINUATION, b"three"),
        frame(FIN | BINARY, &[7; 300]),
        frame(FIN | CLOSE, &close_payload(3000, "done")),
    ]
    .concat();
    let mut socket = Socket::open(server.addresses.public, "/echo");
    for byte in valid {
        socket.send(&[byte]);
    }
    assert_eq!(socket.message(), Message::text("one"));
    assert_eq!(socket.next(), Said::Pong(b"ping".to_vec()));
    assert_eq!(socket.message(), Message::text("tw\u{f6}three"));
    assert_eq!(socket.message(), Message::Binary(vec![7; 300]));
    assert_eq!(socket.close_code(), 3000);

    let invalid = [frame(FIN | TEXT, b"one"), frame(FIN | CONTINUATION, b"")].concat();
    let mut socket = Socket::open(server.addresses.public, "/echo");
    for byte in invalid {
        // The close may come before the last bytes are sent.
        if socket.try_send(&[byte]).is_err() {
            break;
        }
    }
    assert_eq!(socket.message(), Message::text("one"));
    assert_eq!(socket.close_code(), 1002);
}

#[test]
fn f13_a_client_that_is_silent_or_gone_is_closed_and_its_slot_is_freed() {
    let server = Server::start(Options::with_config(
        "[timeouts]\nping_interval_ms = 100\npong_timeout_ms = 200\n",
    ));
    let mut silent = Socket::open(server.addresses.public, "/sub/quiet");
    assert!(matches!(silent.next(), Said::Ping(_)));
    while silent.next() != Said::End {}

    let half_open = Socket::open(server.addresses.public, "/sub/quiet");
    half_open.shut_down_writing();
    let mut http = server.http();
    Metrics::wait(&mut http, "all are gone", |m| {
        m.sum("connections") == 0 && m.sum("subscriptions") == 0 && m.sum("lanes") == 0
    });
}
