//! Pings and pongs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Message;
use crate::support::centrifuge::{Centrifuge, Heard, PATH};
use crate::support::metrics::Metrics;
use crate::support::wire::{Said, Socket};
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

#[test]
fn who_says_too_much_is_closed_and_may_come_back() {
    let server = server_with("[limits]\nmessages_per_second_max = 20\n");
    let mut client = client(&server);
    for _ in 0..100 {
        client.command("rpc", json!({}));
    }
    assert_eq!(client.closed(), (3013, "too many requests".to_owned()));
}

#[test]
fn who_takes_too_little_is_closed_and_recovers() {
    let server = server_with(
        "[slow_consumer]\nbacklog_bytes_max = 100000\n\
         [[namespace]]\nchannels = \"*\"\nhistory_size = 1000\nhistory_ttl = \"10m\"\nhistory_bytes_max = 100000000\n",
    );
    let mut slow = Socket::open(server.addresses.public, PATH);
    slow.send_text("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"news\"}}");
    let mut http = server.http();
    Metrics::wait(&mut http, "it is subscribed", |m| {
        m.sum("subscriptions") == 1
    });
    // More than the kernel keeps for it.
    let long = format!("\"{}\"", "x".repeat(60_000));
    while Metrics::get(&mut http).sum_where("closes_total", "slow") == 0 {
        http.publish("news", &long);
    }
    let (mut heard, mut epoch) = (0, Value::Null);
    loop {
        match slow.next() {
            Said::Message(Message::Text(text)) => {
                let said: Value = serde_json::from_str(&text).unwrap();
                if said["id"] == 2 {
                    epoch = said["subscribe"]["epoch"].clone();
                } else if let Some(offset) = said["push"]["pub"]["offset"].as_u64() {
                    assert_eq!(offset, heard + 1);
                    heard = offset;
                }
            }
            Said::Close { code, reason } => {
                assert_eq!((code, &*reason), (Some(3008), "slow"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let mut back = client(&server);
    let members = json!({ "channel": "news", "recover": true, "epoch": epoch, "offset": heard });
    assert_eq!(back.call("subscribe", members)["recovered"], true);
    assert_eq!(back.publication("news")["offset"], heard + 1);
}
