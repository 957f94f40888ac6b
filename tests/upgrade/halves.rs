//! What was half said before an upgrade is understood when the rest comes behind it.

use std::io::Write as _;

use crate::support::Message;
use crate::support::http::Http;
use crate::support::metrics::Metrics;
use crate::support::server::Options;
use crate::support::sse::{Stream, request_lines};
use crate::support::stomp::{PROTOCOLS, Stomp, connect_frame};
use crate::support::wire::{FIN, PING, Said, Socket, TEXT, frame, handshake_lines, head};
use crate::upgrading::{Outcome, Upgrading};

/// Cuts in two, somewhere within.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / 2)
}

#[test]
fn a_handshake_a_frame_and_a_stomp_frame_are_completed_behind_an_upgrade() {
    let mut upgrading = Upgrading::start(Options::default());
    let public = upgrading.server.addresses.public;
    let mut http = upgrading.server.http();
    let handshake = head(&handshake_lines("/sub/news"));
    let mut half_open = Socket::connect(public);
    half_open.send(halves(&handshake).0);
    let request = head(&request_lines("/sub/news"));
    let mut half_stream = Socket::connect(public);
    half_stream.send(halves(&request).0);
    let mut subscriber = Socket::open(public, "/sub/news");
    // A message in three frames, of which one and a half have come.
    let mut publisher = Socket::open(public, "/pub/news");
    let middle = frame(0, b"dd");
    publisher.send(&frame(TEXT, b"mi"));
    publisher.send(halves(&middle).0);
    let mut pinging = Socket::open(public, "/sub/news");
    let ping = frame(FIN | PING, b"are you there");
    pinging.send(halves(&ping).0);
    // A frame of STOMP over two messages, the second cut as well.
    let mut stomp = Stomp::open(public, "/stomp", PROTOCOLS).0;
    let connect = connect_frame("1.2", "");
    let (first, second) = halves(connect.as_bytes());
    stomp.send_text(first);
    let second = frame(FIN | TEXT, &[second, b"\0"].concat());
    stomp.send_raw(halves(&second).0).unwrap();
    // All of it has been read: what a half is kept as does not wait in a socket.
    let opened = 3 * head(&handshake_lines("/sub/news")).len() + 200;
    let halves_len = [&handshake, &request, &middle, &ping, &second].map(|all| all.len() / 2);
    let sent = (opened + connect.len() / 2 + halves_len.iter().sum::<usize>()) as u64;
    Metrics::wait(&mut http, "the halves", |metrics| {
        metrics.sum("bytes_received_total") > sent
    });

    upgrading.must_upgrade();

    half_open.send(halves(&handshake).1);
    assert_eq!(half_open.answer().status, 101);
    half_stream.send(halves(&request).1);
    let mut stream = Stream::over(half_stream);
    stream.position();
    Metrics::wait(&mut http, "all subscriptions", |metrics| {
        metrics.sum("subscriptions") == 4
    });
    pinging.send(halves(&ping).1);
    assert_eq!(pinging.next(), Said::Pong(b"are you there".to_vec()));
    publisher.send(halves(&middle).1);
    publisher.send(&frame(FIN, b"le"));
    for socket in [&mut subscriber, &mut half_open, &mut pinging] {
        assert_eq!(socket.message(), Message::text("middle"));
    }
    assert_eq!(stream.message(), "middle");
    stomp.send_raw(halves(&second).1).unwrap();
    assert_eq!(stomp.frame().command, "CONNECTED");
}

#[test]
fn calls_of_the_internal_listener_stay_open_and_half_a_request_is_completed() {
    let mut upgrading = Upgrading::start(Options::default());
    let internal = upgrading.server.addresses.internal;
    let mut caller = Http::connect(internal);
    let mut idle = Http::connect(internal);
    assert_eq!(idle.publish("news", "1"), 1);
    let mut fresh = Http::connect(internal);
    let request =
        format!("POST /pub/news HTTP/1.1\r\nHost: {internal}\r\nContent-Length: 1\r\n\r\n2");
    let (first, second) = request.split_at(request.find("Length").unwrap());
    let mut half = Socket::connect(internal);
    half.send(first.as_bytes());

    let answer = caller.post("/api/upgrade", "");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "{\"result\":{}}"),
        "{answer:?}"
    );
    assert!(matches!(upgrading.outcome(), Outcome::TakenOver { .. }));

    half.stream().write_all(second.as_bytes()).unwrap();
    assert_eq!(half.answer().json()["offset"], 2);
    assert_eq!(idle.publish("news", "3"), 3);
    assert_eq!(fresh.publish("news", "4"), 4);
    assert_eq!(caller.publish("news", "5"), 5);
    // And once more the same way.
    assert_eq!(caller.post("/api/upgrade", "").status, 200);
    assert!(matches!(upgrading.outcome(), Outcome::TakenOver { .. }));
    assert_eq!(caller.publish("news", "6"), 6);
}
