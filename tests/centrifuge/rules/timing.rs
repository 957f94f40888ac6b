//! Pings and pongs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::centrifuge::{Centrifuge, Heard};
use crate::{client, server, server_with};

const QUICK: &str = "[timeouts]\nping_interval_ms = 200\npong_timeout_ms = 400\n";

#[test]
fn the_server_pings_at_its_interval_and_goes_on_with_who_answers() {
    let server = server_with(QUICK);
    let (mut client, connected) = Centrifuge::connect_with(server.addresses.public, json!({}));
    // Whole seconds, never too few.
    assert_eq!(connected["ping"], 1);
    let since = Instant::now();
    for _ in 0..6 {
        assert_eq!(client.next(), Heard::Ping);
    }
    let passed = since.elapsed();
    assert!(passed >= Duration::from_millis(6 * 200 - 100), "{passed:?}");
    client.assert_undisturbed();
}

#[test]
fn who_leaves_a_ping_unanswered_is_closed_though_it_says_other_things() {
    let server = server_with(QUICK);
    let mut witness = client(&server);
    let mut client = client(&server);
    client.fall_silent();
    let until = Instant::now() + Duration::from_secs(10);
    let (code, reason) = loop {
        client.command("rpc", json!({}));
        match client.next() {
            Heard::Closed { code, reason } => break (code, reason),
            Heard::End => panic!("the end without a close frame"),
            Heard::Said(_) | Heard::Ping => {}
        }
        assert!(Instant::now() < until, "it is closed in time");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((code, &*reason), (3012, "no pong"));
    witness.assert_undisturbed();
}

#[test]
fn a_pong_that_answers_no_ping_breaks_the_protocol() {
    let server = server();
    let mut client = client(&server);
    client.say("{}");
    assert_eq!(client.closed().0, 3501);
}
