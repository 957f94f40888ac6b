//! Bounds: an ERROR that names what was passed, and the close code that goes with it.

use crate::support::stomp::{PROTOCOLS, Stomp};
use crate::{Witness, assert_error, client, server, server_with};

#[test]
fn the_number_of_headers_is_bounded() {
    let server = server_with("[stomp]\nframe_headers_max = 10\n");
    let mut witness = Witness::subscribe(&server);
    let frame = |headers: usize| {
        let more = "a:1\n".repeat(headers - 2);
        format!("SEND\ndestination:/topic/a\nreceipt:7\n{more}\nhello")
    };
    let mut stomp = client(&server);
    stomp.send(&frame(10));
    stomp.receipt("7");
    stomp.send(&frame(11));
    let (error, code) = stomp.error();
    assert_error(&error, &["SEND", "10", "headers"], Some("7"));
    assert_eq!(code, 1002);
    witness.assert_unmoved();
}

#[test]
fn the_bytes_of_the_head_are_bounded() {
    let server = server_with("[stomp]\nframe_head_bytes_max = 1000\n");
    let mut witness = Witness::subscribe(&server);
    let mut stomp = client(&server);
    let fits = "SEND\ndestination:/topic/a\nreceipt:7\na:";
    let fits = format!("{fits}{}\n\nhello", "x".repeat(1_000 - fits.len() - 2));
    stomp.send(&fits);
    stomp.receipt("7");
    let frame = format!(
        "SEND\ndestination:/topic/a\nreceipt:7\na:{}\n\nhello",
        "x".repeat(1_000)
    );
    stomp.send(&frame);
    let (error, code) = stomp.error();
    assert_error(&error, &["SEND", "1000", "bytes"], Some("7"));
    assert_eq!(code, 1002);
    witness.assert_unmoved();
}

#[test]
fn a_head_without_end_is_refused_before_it_ends() {
    let server = server_with("[stomp]\nframe_head_bytes_max = 1000\n");
    for line in ["SEND\na:", "SEND\ndestination:/topic/a\nb:"] {
        let mut stomp = client(&server);
        stomp.send_text(line.as_bytes());
        for _ in 0..11 {
            stomp.send_text("x".repeat(100).as_bytes());
        }
        let (error, code) = stomp.error();
        assert_error(&error, &["1000", "bytes"], None);
        assert_eq!(code, 1002);
    }
}

#[test]
fn the_bytes_of_the_body_are_bounded() {
    let server = server_with("[limits]\nmessage_bytes_max = 2000\n");
    let mut witness = Witness::subscribe(&server);
    let send = |stomp: &mut Stomp, lines: &str, length: usize| {
        stomp.send_text(format!("SEND\ndestination:/topic/a\nreceipt:7\n{lines}\n").as_bytes());
        stomp.send_text("x".repeat(length / 2).as_bytes());
        stomp.send_text(format!("{}\0", "x".repeat(length - length / 2)).as_bytes());
    };
    for announced in [true, false] {
        let lines = |length: usize| match announced {
            true => format!("content-length:{length}\n"),
            false => String::new(),
        };
        let mut stomp = client(&server);
        send(&mut stomp, &lines(2_000), 2_000);
        stomp.receipt("7");
        send(&mut stomp, &lines(2_001), 2_001);
        let (error, code) = stomp.error();
        assert_error(&error, &["SEND", "2000", "bytes"], Some("7"));
        assert_eq!(code, 1002);
        witness.assert_unmoved();
    }
}

#[test]
fn a_body_that_is_announced_too_long_is_refused_at_once() {
    let server = server();
    for length in ["65537", "4294967296", "99999999999999999999999999"] {
        let mut stomp = client(&server);
        stomp.send_text(
            format!("SEND\ndestination:/topic/a\nreceipt:7\ncontent-length:{length}\n\n")
                .as_bytes(),
        );
        let (error, code) = stomp.error();
        assert_error(&error, &["SEND"], Some("7"));
        assert_eq!(code, 1002);
    }
}

#[test]
fn the_longest_body_fits_into_one_message_with_its_head() {
    let server = server_with("[limits]\nmessage_bytes_max = 2000\n");
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    let body = "x".repeat(2_000);
    stomp.send(&format!("SEND\ndestination:/topic/a\n\n{body}"));
    assert_eq!(stomp.message().text(), body);
}

#[test]
fn connect_must_come_in_time() {
    let server = server_with("[stomp]\nconnect_ms = 100\n");
    let mut witness = Witness::subscribe(&server);
    let mut silent = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
    let (error, code) = silent.error();
    assert_error(&error, &["CONNECT", "100"], None);
    assert_eq!(code, 1002);
    // Half of it does not count, nor do heart-beats.
    let mut slow = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
    slow.send_text(b"\n\nCONNECT\naccept-version:1.2\n");
    let (error, code) = slow.error();
    assert_error(&error, &["CONNECT", "100"], None);
    assert_eq!(code, 1002);
    // The witness has been connected for longer than that.
    witness.assert_unmoved();
}

#[test]
fn too_many_channels_are_an_error_and_1013() {
    let server = server_with("[limits]\nchannels_max = 3\n");
    let mut held = client(&server);
    let mut subscribed = 0;
    let (error, code) = loop {
        assert!(subscribed < 7, "three channels on each of two shards");
        held.send(&format!(
            "SUBSCRIBE\nid:{subscribed}\ndestination:/topic/t{subscribed}\nreceipt:{subscribed}\n\n"
        ));
        let frame = held.frame();
        if frame.command == "ERROR" {
            break (frame, held.close_code());
        }
        subscribed += 1;
    };
    assert_error(&error, &["channels"], Some(&subscribed.to_string()));
    assert_eq!(code, 1013);
}

#[test]
fn a_shutdown_is_told_to_stomp_clients() {
    let server = server_with("[timeouts]\ndrain_ms = 100\n");
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    server.signal("TERM");
    let mut told = Vec::new();
    let code = loop {
        match stomp.next() {
            crate::support::stomp::Heard::Frame(frame) => told.push(frame),
            crate::support::stomp::Heard::Closed { code, .. } => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, Some(1001));
    let [error] = &told[..] else {
        panic!("one frame in front of the close: {told:?}");
    };
    assert_error(error, &["shutting down"], None);
}
