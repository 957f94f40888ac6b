//! Heart-beats, in both directions.

use std::time::{Duration, Instant};

use crate::support::stomp::{Heard, Stomp};
use crate::{Witness, assert_error, server_with};

const FAST: &str = "[stomp]\nbeat_send_ms = 200\nbeat_receive_ms = 200\n";

#[test]
fn the_server_announces_what_its_settings_say() {
    for (config, header) in [
        ("", "10000,10000"),
        (FAST, "200,200"),
        ("[stomp]\nbeat_send_ms = 0\n", "0,10000"),
        ("[stomp]\nbeat_receive_ms = 0\n", "10000,0"),
    ] {
        let server = server_with(config);
        for lines in ["", "heart-beat:5000,7000\n"] {
            let address = server.addresses.public;
            let (_stomp, connected) = Stomp::connect_with(address, "1.2", lines);
            assert_eq!(connected.must("heart-beat"), header, "{config} {lines}");
        }
    }
}

#[test]
fn a_server_with_nothing_to_say_sends_an_end_of_line_in_time() {
    let server = server_with(FAST);
    let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", "heart-beat:0,300\n").0;
    let begin = Instant::now();
    for number in 1..=5 {
        assert_eq!(stomp.hear(), Heard::Beat);
        // Every 300 ms, with room for a busy machine.
        let at_most = Duration::from_millis(number * 300 + 2_000);
        assert!(begin.elapsed() < at_most, "{number}: {:?}", begin.elapsed());
    }
    // Nor more often than the client asked for, by far.
    assert!(begin.elapsed() > Duration::from_millis(5 * 300 / 2));
}

#[test]
fn beats_come_between_messages_and_never_inside_of_one() {
    let server = server_with("[stomp]\nbeat_send_ms = 10\nbeat_receive_ms = 0\n");
    let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", "heart-beat:0,10\n").0;
    stomp.subscribe("0", "/topic/a", "");
    let body = "x\n".repeat(20_000);
    let mut beats = 0;
    let mut number = 0;
    while beats < 10 || number < 20 {
        if number < 20 {
            stomp.send(&format!(
                "SEND\ndestination:/topic/a\nnumber:{number}\n\n{body}"
            ));
        }
        loop {
            match stomp.hear() {
                Heard::Beat => {
                    beats += 1;
                    if number >= 20 {
                        break;
                    }
                }
                Heard::Frame(message) => {
                    assert_eq!(message.must("number"), number.to_string());
                    assert_eq!(message.text(), body);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        number += 1;
    }
}

#[test]
fn a_client_that_keeps_its_beats_stays() {
    let server = server_with("[stomp]\nbeat_send_ms = 400\nbeat_receive_ms = 400\n");
    let lines = "heart-beat:400,400\n";
    let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", lines).0;
    // Its clock is the server's: an end of line for each that comes, over three times what silence may last.
    for _ in 0..9 {
        assert_eq!(stomp.hear(), Heard::Beat);
        stomp.send_text(b"\n");
    }
    stomp.send("BEGIN\ntransaction:t\nreceipt:still there\n\n");
    stomp.receipt("still there");
}

#[test]
fn a_client_whose_beats_do_not_come_is_told_and_closed() {
    let server = server_with(FAST);
    let mut witness = Witness::subscribe(&server);
    for (lines, interval_ms) in [("heart-beat:100,0\n", 200), ("heart-beat:300,0\n", 300)] {
        let begin = Instant::now();
        let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", lines).0;
        let (error, code) = stomp.error();
        assert_error(&error, &["heart-beat"], None);
        assert_eq!(code, 1002);
        // The specification asks for tolerance.
        let silence = Duration::from_millis(interval_ms * 2);
        assert!(begin.elapsed() >= silence, "{:?}", begin.elapsed());
        witness.assert_unmoved();
    }
}

#[test]
fn a_client_that_promises_no_beats_may_be_silent_and_hears_none_that_it_did_not_ask_for() {
    let server = server_with(FAST);
    let connect = |lines| Stomp::connect_with(server.addresses.public, "1.2", lines).0;
    let mut silent = ["", "heart-beat:0,0\n", "heart-beat:0,200\n"].map(connect);
    // Two that promised some are closed meanwhile, one after the other: the others have had as long.
    for _ in 0..2 {
        connect("heart-beat:200,0\n").error();
    }
    for stomp in &mut silent {
        stomp.send("BEGIN\ntransaction:t\nreceipt:still there\n\n");
    }
    for stomp in &mut silent[..2] {
        let heard = stomp.hear();
        assert!(
            matches!(&heard, Heard::Frame(frame) if frame.command == "RECEIPT"),
            "{heard:?}"
        );
    }
    assert_eq!(silent[2].hear(), Heard::Beat);
    silent[2].receipt("still there");
}

#[test]
fn frames_count_as_beats() {
    let server = server_with("[stomp]\nbeat_send_ms = 400\nbeat_receive_ms = 400\n");
    let lines = "heart-beat:400,400\n";
    let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", lines).0;
    for number in 0..9 {
        assert_eq!(stomp.hear(), Heard::Beat);
        stomp.send(&format!(
            "BEGIN\ntransaction:{number}\nreceipt:{number}\n\n"
        ));
        stomp.receipt(&number.to_string());
        stomp.send(&format!("ABORT\ntransaction:{number}\n\n"));
    }
}

#[test]
fn there_are_no_heart_beats_in_1_0() {
    let server = server_with(FAST);
    let lines = "heart-beat:100,100\n";
    let (mut stomp, connected) = Stomp::connect_with(server.addresses.public, "1.0", lines);
    assert!(matches!(connected.header("heart-beat"), None | Some("0,0")));
    let mut promised = Stomp::connect_with(server.addresses.public, "1.1", "heart-beat:200,0\n").0;
    promised.error();
    stomp.send("BEGIN\ntransaction:t\nreceipt:still there\n\n");
    assert!(matches!(stomp.hear(), Heard::Frame(frame) if frame.command == "RECEIPT"));
}
