//! What the server keeps for its clients is there behind an upgrade as if nothing had been.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::centrifuge::Centrifuge;
use crate::support::metrics::Metrics;
use crate::support::server::Options;
use crate::support::stomp::{Heard, Stomp};
use crate::support::token::{SECRET, taken_for_ms, token};
use crate::support::wire::Socket;
use crate::support::{DEADLINE, Message};
use crate::upgrading::Upgrading;

const KEEPING: &str = "\
[[namespace]]
channels = \"kept:*\"
history_size = 10
history_ttl = \"10m\"
presence = true
[[namespace]]
channels = \"held:*\"
latest_every_ms = 3_000
";

fn keeping() -> (Upgrading, SocketAddr) {
    let upgrading = Upgrading::start(Options::with_config(KEEPING));
    let public = upgrading.server.addresses.public;
    (upgrading, public)
}

#[test]
fn who_is_behind_reads_on_behind_an_upgrade_and_has_all_of_it_in_order() {
    // Nothing that waits is dropped here, and nobody closed for it.
    let config = "[slow_consumer]\nbacklog_bytes_max = 50_000_000\nbacklog_age_ms_max = 600_000\n[deflate]\nenabled = false\n";
    let mut upgrading = Upgrading::start(Options::with_config(config));
    let public = upgrading.server.addresses.public;
    let mut slow = Socket::open(public, "/sub/news");
    let mut http = upgrading.server.http();
    let text = |number: u64| format!("{number} {}", "x".repeat(50_000));
    for number in 0..200 {
        http.publish("news", text(number));
    }
    let waiting = |metrics: &Metrics| metrics.sum("backlogged_connections") == 1;
    let before = Metrics::wait(&mut http, "a backlog", waiting).sum("backlog_bytes");
    assert!(before > 1_000_000, "{before}");
    upgrading.must_upgrade();
    let mut http = upgrading.server.http();
    let after = Metrics::get(&mut http).sum("backlog_bytes");
    assert!(after > 0 && after <= before, "{after} of {before}");
    http.publish("news", text(200));
    for number in 0..=200 {
        assert_eq!(slow.message(), Message::Text(text(number)));
    }
    Metrics::wait(&mut http, "no backlog", |metrics| {
        metrics.sum("backlogged_connections") == 0 && metrics.sum("backlog_bytes") == 0
    });
}

#[test]
fn a_message_of_a_queue_is_acknowledged_and_a_transaction_committed_behind_an_upgrade() {
    let (mut upgrading, public) = keeping();
    let mut worker = Stomp::connect(public, "1.2");
    worker.subscribe(
        "q",
        "/queue/work",
        "ack:client-individual\nprefetch-count:2\n",
    );
    let mut sender = Stomp::connect(public, "1.2");
    for body in ["one", "two", "three"] {
        sender.publish("/queue/work", body);
    }
    let [one, two] = [worker.message(), worker.message()];
    assert_eq!((one.text(), two.text()), ("one", "two"));
    let mut reader = Stomp::connect(public, "1.2");
    reader.subscribe("t", "/topic/news", "");
    sender.send("BEGIN\ntransaction:t1\n\n");
    sender.send("SEND\ndestination:/topic/news\ntransaction:t1\nreceipt:in it\n\nfirst");
    sender.receipt("in it");

    upgrading.must_upgrade();

    // The window is still full, and what is acknowledged makes room for one more.
    worker.send(&format!("ACK\nid:{}\n\n", one.must("ack")));
    let three = worker.message();
    assert_eq!(three.text(), "three");
    sender.send("SEND\ndestination:/topic/news\ntransaction:t1\n\nsecond");
    sender.send("COMMIT\ntransaction:t1\nreceipt:done\n\n");
    sender.receipt("done");
    assert_eq!(
        [reader.message(), reader.message()].map(|one| one.text().to_owned()),
        ["first", "second"]
    );
    // What is never acknowledged comes again elsewhere when its consumer goes.
    worker.send(&format!("ACK\nid:{}\nreceipt:three\n\n", three.must("ack")));
    worker.receipt("three");
    worker.drop_connection();
    let mut next = Stomp::connect(public, "1.2");
    next.subscribe("q", "/queue/work", "ack:client-individual\n");
    let again = next.message();
    assert_eq!(
        (again.text(), again.header("redelivered")),
        ("two", Some("true"))
    );
    next.send(&format!("ACK\nid:{}\nreceipt:two\n\n", again.must("ack")));
    next.receipt("two");
    let metrics = Metrics::get(&mut upgrading.server.http());
    assert_eq!(
        metrics.sum("queue_unsettled") + metrics.sum("queue_messages"),
        0
    );
    assert_eq!(metrics.sum("queue_messages_received_total"), 3);
}

#[test]
fn presence_history_and_idempotency_keys_outlive_an_upgrade() {
    let (mut upgrading, public) = keeping();
    let (mut client, connected) = Centrifuge::connect_with(public, json!({ "name": "js" }));
    client.subscribe("kept:news");
    let mut http = upgrading.server.http();
    for number in 1..=3 {
        let once = json!({ "channel": "kept:news", "data": number, "idempotency_key": format!("key {number}") });
        http.api("publish", &once.to_string());
        assert_eq!(client.publication("kept:news")["data"], number);
    }
    let kept = r#"{"channel":"kept:news","limit":-1}"#;
    let history = http.api("history", kept);
    assert_eq!(
        history["result"]["publications"].as_array().unwrap().len(),
        3
    );

    upgrading.must_upgrade();

    assert_eq!(http.api("history", kept), history);
    let presence = http.api("presence", r#"{"channel":"kept:news"}"#);
    let id = connected["client"].as_str().unwrap();
    let presence = presence["result"]["presence"].as_object().unwrap();
    assert_eq!(presence.keys().collect::<Vec<_>>(), [id]);
    let again = r#"{"channel":"kept:news","data":99,"idempotency_key":"key 3"}"#;
    let again = http.api("publish", again);
    assert_eq!(again["result"]["offset"], 3, "{again}");
    http.publish("kept:news", "4");
    // Nothing in between: the one with the old key has not been published.
    let next = client.publication("kept:news");
    assert_eq!((&next["data"], &next["offset"]), (&json!(4), &json!(4)));
    // Who comes back with a place of before is given what it has missed.
    let epoch = history["result"]["epoch"].as_str().unwrap();
    let path = format!("/sub/kept:news?epoch={epoch}&offset=2");
    let mut back = Socket::open(public, &path);
    assert_eq!(
        [back.message(), back.message()],
        ["3", "4"].map(Message::text)
    );
}

#[test]
fn the_newest_message_that_is_held_back_leaves_behind_an_upgrade_when_it_is_due() {
    let (mut upgrading, public) = keeping();
    let mut subscriber = Socket::open(public, "/sub/held:price");
    let mut http = upgrading.server.http();
    http.publish("held:price", "1");
    let began = Instant::now();
    assert_eq!(subscriber.message(), Message::text("1"));
    for held in ["2", "3"] {
        http.post("/pub/held:price", held);
    }
    upgrading.must_upgrade();
    assert_eq!(subscriber.message(), Message::text("3"));
    // Not before its time, and not an interval late.
    let after = began.elapsed();
    assert!(after > Duration::from_millis(2_500), "{after:?}");
}

#[test]
fn a_token_that_expires_behind_an_upgrade_ends_its_connection() {
    let config = format!("[auth]\nhmac_secret = \"{SECRET}\"\n[centrifuge]\nexpired_ms = 0\n");
    let mut upgrading = Upgrading::start(Options::with_config(&config));
    let public = upgrading.server.addresses.public;
    let until = taken_for_ms(6_000);
    let claims = json!({ "sub": "ann", "exp": until, "subscribe": ["news"] });
    let mut raw = Socket::open(public, &format!("/sub/news?token={}", token(&claims)));
    let mut client = Centrifuge::connect_with(public, json!({ "token": token(&claims) })).0;
    client.subscribe("news");
    upgrading.must_upgrade();
    // Still there.
    let mut http = upgrading.server.http();
    http.publish("news", "\"hello\"");
    assert_eq!(raw.message(), Message::text("\"hello\""));
    assert_eq!(client.publication("news")["data"], "hello");
    let code = raw.close_code();
    assert!(code >= 3_000, "{code}");
    let (code, reason) = client.closed();
    assert!(code >= 3_000, "{code} {reason}");
    let metrics = Metrics::get(&mut http);
    assert_eq!(metrics.sum_where("closes_total", "token_expired"), 2);
}

#[test]
fn heart_beats_of_stomp_go_on_behind_an_upgrade() {
    let (mut upgrading, public) = keeping();
    let (mut client, connected) = Stomp::connect_with(public, "1.2", "heart-beat:0,500\n");
    assert_ne!(connected.must("heart-beat"), "0,0");
    upgrading.must_upgrade();
    let until = Instant::now() + DEADLINE;
    let mut beats = 0;
    while beats < 3 {
        assert!(Instant::now() < until, "{beats} beats");
        beats += u32::from(client.hear_within(DEADLINE) == Some(Heard::Beat));
    }
}
