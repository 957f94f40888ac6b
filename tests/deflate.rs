//! permessage-deflate (RFC 7692) of the real server: with clients that nobody here wrote, and byte by byte over plain
//! sockets, read by a decoder that shares no code with the server's.

#![forbid(unsafe_code)]

#[path = "../src/ws/deflate/tests/naive.rs"]
mod naive;
mod support;

use serde_json::json;
use zlib_rs::{Deflate, DeflateFlush, Status};

use support::Message;
use support::fanout::{subscribers_on_each_client, texts, with_each_client};
use support::http::{Answer, Http};
use support::metrics::Metrics;
use support::server::{Options, Server};
use support::wire::{
    BINARY, CONTINUATION, FIN, PING, Said, Socket, TEXT, frame, handshake_lines, head,
};

const KIB: usize = 1_024;
const RSV1: u8 = 0x40;
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate";

/// "Hello" compressed, and "Hello" again that refers to the one before (RFC 7692, sections 7.2.3.1 and 7.2.3.2).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

fn server_with(config: &str) -> Server {
    Server::start(Options {
        echo: true,
        shards: 1,
        ..Options::with_config(config)
    })
}

/// Opens a WebSocket with that offer; and what the server answered to it.
fn open_offering(server: &Server, path: &str, offer: &str) -> (Socket, Option<String>) {
    let (socket, answer) = Socket::open_with(server.addresses.public, path, &[offer]);
    let agreed = answer.header("sec-websocket-extensions").map(str::to_owned);
    (socket, agreed)
}

/// The message of a compressed frame, within a window.
fn inflated(frame: &(u8, Vec<u8>), window_bits: u32) -> Vec<u8> {
    assert_eq!(frame.0 & 0xf0, FIN | RSV1, "{:#x} is compressed", frame.0);
    let bounds = naive::Bounds {
        window_bytes: 1 << window_bits,
        message_bytes_max: usize::MAX,
        final_blocks_max: 0,
    };
    naive::message(&frame.1, &[], &bounds).unwrap()
}

/// JSON of about so many bytes that looks like a price feed's.
fn json_of(bytes: usize) -> String {
    let mut out = String::from("[");
    for i in 0.. {
        out += &format!(
            r#"{{"symbol":"SYM{}","price":{}.{:02}}},"#,
            i % 37,
            1_000 + i * 7,
            i % 100
        );
        if out.len() >= bytes {
            break;
        }
    }
    out.pop();
    out + "]"
}

#[test]
fn h7_offers_are_answered_as_the_settings_have_it() {
    for (config, offer, expected) in [
        (
            "",
            OFFER.to_owned(),
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ),
        (
            "[deflate]\nclient_context = true\nwindow_bits_max = 11\n",
            format!("{OFFER}; client_max_window_bits"),
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=11; client_max_window_bits=11",
            ),
        ),
        (
            "[deflate]\nclient_context = true\n",
            format!("{OFFER}; unknown, x-other, permessage-deflate; server_max_window_bits=\"8\""),
            Some("permessage-deflate; server_no_context_takeover; server_max_window_bits=8"),
        ),
        ("", format!("{OFFER}; server_max_window_bits=16"), None),
        ("[deflate]\nenabled = false\n", OFFER.to_owned(), None),
    ] {
        let server = server_with(config);
        let (_, agreed) = open_offering(&server, "/echo", &offer);
        assert_eq!(agreed.as_deref(), expected, "{config} {offer}");
    }
}

#[test]
fn h7_a_malformed_offer_is_refused_with_400() {
    let server = server_with("");
    let mut lines = handshake_lines("/echo");
    lines.push(format!("{OFFER}; server_max_window_bits=\"10"));
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&head(&lines));
    let answer: Answer = socket.answer();
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.text().contains("Sec-WebSocket-Extensions"));
}

#[test]
fn real_clients_that_offer_anything_receive_what_was_published() {
    let server = server_with("[deflate]\nmessage_bytes_min = 0\nlevel = 9\n");
    let mut publisher = server.http();
    let messages: Vec<String> = [0, 1, 100, 255, 256, 1_000, 5_000, 60_000]
        .map(json_of)
        .into();
    with_each_client(|mut client| {
        let offers = [
            json!({}),
            json!({ "server_max_window_bits": 9 }),
            json!({ "server_max_window_bits": 12, "client_max_window_bits": 10 }),
            json!({ "server_no_context_takeover": true, "client_no_context_takeover": true }),
        ];
        for (i, offer) in offers.iter().enumerate() {
            // On one shard a subscription has taken effect when its handshake is answered.
            client.open_deflating(&i.to_string(), &server.url("/sub/feed"), offer.clone());
        }
        for message in &messages {
            publisher.publish("feed", message);
        }
        for i in 0..offers.len() {
            assert_eq!(
                client.messages(&i.to_string(), messages.len()),
                texts(&messages),
                "{i}"
            );
        }
    });
}

#[test]
fn a_publication_is_compressed_once_a_shard_however_many_receive_it() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut publisher, "feed", 20);
    let plain = Socket::open(server.addresses.public, "/sub/feed");
    let message = json_of(10 * KIB);
    let before = Metrics::get(&mut publisher).sum("compressions_total");
    publisher.publish("feed", &message);
    for group in &mut groups {
        group.assert_all_receive(&texts([&message]));
    }
    drop(plain);
    let metrics = Metrics::get(&mut publisher);
    let compressions = metrics.sum("compressions_total") - before;
    assert!(
        (1..=2).contains(&compressions),
        "{compressions} compressions on two shards for 40 subscribers"
    );
    let (bytes_in, bytes_out) = (
        metrics.sum_where("compression_bytes_total", "side=\"in\""),
        metrics.sum_where("compression_bytes_total", "side=\"out\""),
    );
    assert_eq!(bytes_in, compressions * message.len() as u64);
    assert!(bytes_out * 3 < bytes_in, "{bytes_out} of {bytes_in}");
}

#[test]
fn receivers_with_one_window_get_the_same_bytes_and_each_window_is_kept_to() {
    let server = server_with("");
    let mut publisher = server.http();
    let mut sockets: Vec<(u32, Socket)> = (8..=15)
        .flat_map(|bits| [bits, bits])
        .map(|bits| {
            let offer = format!("{OFFER}; server_max_window_bits={bits}");
            let (socket, agreed) = open_offering(&server, "/sub/feed", &offer);
            assert!(
                agreed
                    .unwrap()
                    .contains(&format!("server_max_window_bits={bits}"))
            );
            (bits, socket)
        })
        .collect();
    let mut plain = Socket::open(server.addresses.public, "/sub/feed");
    for message in [json_of(40 * KIB), "short".to_owned()] {
        publisher.publish("feed", &message);
        let mut last: Option<(u32, (u8, Vec<u8>))> = None;
        for (bits, socket) in &mut sockets {
            let frame = socket.next_frame().unwrap();
            if message.len() < 256 {
                assert_eq!(frame, (FIN | TEXT, message.clone().into_bytes()));
                continue;
            }
            assert_eq!(inflated(&frame, *bits), message.as_bytes(), "window {bits}");
            if let Some(same) = last.filter(|(other, _)| other == bits) {
                assert_eq!(same.1, frame, "window {bits}");
            }
            last = Some((*bits, frame));
        }
        assert_eq!(plain.message(), Message::Text(message));
    }
    assert_eq!(Metrics::get(&mut publisher).sum("compressions_total"), 8);
}

#[test]
fn echo_answers_compressed_whole_and_fragmented_messages_with_compressed_ones() {
    for (config, keeps) in [("", false), ("[deflate]\nclient_context = true\n", true)] {
        let server = server_with(config);
        with_each_client(|mut client| {
            client.open_deflating("echo", &server.url("/echo"), json!({}));
            let long = json_of(60_000);
            for message in [
                Message::text("hello"),
                Message::text(""),
                Message::text(""),
                Message::text(&long),
                Message::Binary(long.clone().into_bytes()),
                Message::text(&long),
                Message::Binary((0..=255).collect()),
            ] {
                client.send("echo", &message);
                assert_eq!(client.message("echo"), message, "{keeps}");
            }
            client.send_fragments("echo", &["", "frag", "", "ments", ""]);
            assert_eq!(client.message("echo"), Message::text("fragments"));
        });
        let metrics = Metrics::get(&mut server.http());
        assert!(metrics.sum("decompressions_total") >= 16, "{metrics:?}");
        assert!(metrics.sum("compressions_total") >= 6, "{metrics:?}");
    }
}

#[test]
fn a_client_may_refer_to_its_last_message_only_where_that_was_agreed_on() {
    for (config, again) in [("[deflate]\nclient_context = true\n", true), ("", false)] {
        let server = server_with(config);
        let (mut socket, _) = open_offering(&server, "/echo", OFFER);
        socket.send(&frame(FIN | RSV1 | TEXT, HELLO));
        assert_eq!(socket.message(), Message::text("Hello"));
        socket.send(&frame(FIN | RSV1 | TEXT, HELLO_AGAIN));
        if again {
            assert_eq!(socket.message(), Message::text("Hello"));
        } else {
            assert_eq!(socket.close_code(), 1007);
        }
    }
}

#[test]
fn compressed_fragments_are_one_message_however_they_are_cut() {
    let server = server_with("");
    for cut in 0..=HELLO.len() {
        let (mut socket, _) = open_offering(&server, "/echo", OFFER);
        socket.send(&frame(RSV1 | BINARY, &HELLO[..cut]));
        socket.send(&frame(FIN | PING, b"between"));
        socket.send(&frame(FIN | CONTINUATION, &HELLO[cut..]));
        assert_eq!(socket.next(), Said::Pong(b"between".to_vec()));
        assert_eq!(
            socket.message(),
            Message::Binary(b"Hello".to_vec()),
            "{cut}"
        );
    }
}

#[test]
fn f2_the_first_reserved_bit_anywhere_else_closes_with_1002() {
    let server = server_with("");
    for broken in [
        [
            frame(RSV1 | TEXT, HELLO),
            frame(FIN | RSV1 | CONTINUATION, b""),
        ]
        .concat(),
        frame(FIN | RSV1 | PING, b""),
        frame(FIN | 0x20 | TEXT, b""),
        frame(FIN | 0x10 | TEXT, b""),
    ] {
        let (mut socket, _) = open_offering(&server, "/echo", OFFER);
        socket.send(&broken);
        assert_eq!(socket.close_code(), 1002, "{broken:02x?}");
    }
    // Not agreed on: nobody asked, or the setting is off.
    let off = server_with("[deflate]\nenabled = false\n");
    for (server, offer) in [(&server, "X-Nothing: 1"), (&off, OFFER)] {
        let (mut socket, agreed) = open_offering(server, "/echo", offer);
        assert_eq!(agreed, None);
        socket.send(&frame(FIN | RSV1 | TEXT, HELLO));
        assert_eq!(socket.close_code(), 1002);
    }
}

#[test]
fn f7_damaged_data_and_text_that_is_not_utf8_close_with_1007() {
    let server = server_with("");
    for (what, payload) in [
        ("a block of no kind", &b"\x07"[..]),
        ("cut off", &HELLO[..4]),
        ("too far back", HELLO_AGAIN),
        ("not UTF-8", b"\x00\x01\x00\xfe\xff\x80\x00"),
    ] {
        let (mut socket, _) = open_offering(&server, "/echo", OFFER);
        socket.send(&frame(FIN | RSV1 | TEXT, payload));
        assert_eq!(socket.close_code(), 1007, "{what}");
    }
}

#[test]
fn f8_a_bomb_closes_with_1009_and_costs_no_more_than_the_limit() {
    let server = server_with("");
    let mut http: Http = server.http();
    let (mut socket, _) = open_offering(&server, "/echo", OFFER);
    let bomb = bomb();
    socket.send(&frame(FIN | RSV1 | BINARY, &bomb));
    assert_eq!(socket.close_code(), 1009);
    // A shard's numbers are told behind its sends.
    let metrics = Metrics::wait(&mut http, "the bomb is counted", |m| {
        m.sum_where("decompression_bytes_total", "side=\"in\"") > 0
    });
    assert_eq!(
        metrics.sum_where("decompression_bytes_total", "side=\"in\""),
        bomb.len() as u64
    );
    assert_eq!(
        metrics.sum_where("decompression_bytes_total", "side=\"out\""),
        65_536
    );
}

/// A mebibyte of zeros in a thousandth of that.
fn bomb() -> Vec<u8> {
    let mut deflate = Deflate::new(9, false, 15);
    let mut out = vec![0; 4 * KIB];
    let flushed = deflate.compress(&vec![0; KIB * KIB], &mut out, DeflateFlush::SyncFlush);
    assert_eq!(flushed, Ok(Status::Ok));
    out.truncate(deflate.total_out() as usize - 4);
    assert!(out.len() < 1_100, "{} bytes", out.len());
    out
}
