//! `publish` and `broadcast`.

use serde_json::{Value, json};

use super::{assert_error, assert_is_error, result, server, server_with, subscriber};
use crate::support::Message;
use crate::support::wire::Socket;

/// A namespace that keeps what was published.
pub const HISTORY: &str =
    "[[namespace]]\nchannels = \"log:*\"\nhistory_size = 10\nhistory_ttl = \"10m\"\n";

#[test]
fn a_publication_is_answered_with_its_place() {
    let server = server();
    let mut http = server.http();
    let mut news = subscriber(&server, "news");
    let first = result(
        &mut http,
        "publish",
        r#"{"channel":"news","data":{"a": 1.10}}"#,
    );
    let second = result(&mut http, "publish", r#"{"channel":"news","data":[]}"#);
    assert_eq!(
        (&first["offset"], &second["offset"]),
        (&json!(1), &json!(2))
    );
    let epoch = first["epoch"].as_str().unwrap();
    assert!(u64::from_str_radix(epoch, 16).is_ok(), "{epoch}");
    assert_eq!(first["epoch"], second["epoch"]);
    assert_eq!(news.message().text(), r#"{"a": 1.10}"#);
    assert_eq!(news.message().text(), "[]");
}

#[test]
fn a_broadcast_has_an_answer_for_each_channel_in_their_order() {
    let server = server();
    let mut http = server.http();
    let mut one = subscriber(&server, "one");
    let mut two = subscriber(&server, "two");
    let body = r#"{"channels":["one","","two","one"],"data":"x"}"#;
    let answer = result(&mut http, "broadcast", body);
    let responses = answer["responses"].as_array().unwrap();
    assert_eq!(responses.len(), 4, "{answer}");
    assert_eq!(responses[0]["result"]["offset"], 1);
    assert_is_error(&responses[1], 107, "channel name is empty");
    assert_eq!(responses[2]["result"]["offset"], 1);
    assert_eq!(responses[3]["result"]["offset"], 2);
    for stomp in [&mut one, &mut two] {
        assert_eq!(stomp.message().text(), r#""x""#);
    }
    assert_eq!(one.message().text(), r#""x""#);
}

#[test]
fn a_broadcast_goes_to_one_channel_at_least_and_to_10000_at_the_most() {
    let server = server();
    let mut http = server.http();
    assert_error(
        &mut http,
        "broadcast",
        r#"{"channels":[],"data":1}"#,
        107,
        "channels is empty",
    );
    let body = |count| json!({ "channels": vec!["many"; count], "data": 1 }).to_string();
    assert_error(
        &mut http,
        "broadcast",
        &body(10_001),
        106,
        "at most 10000 channels",
    );
    let answer = result(&mut http, "broadcast", &body(10_000));
    assert_eq!(answer["responses"][9_999]["result"]["offset"], 10_000);
}

#[test]
fn a_bad_channel_name_is_an_error_that_says_why() {
    let server = server();
    let mut http = server.http();
    for (channel, says) in [
        ("", "is empty"),
        ("a\nb", "U+000A"),
        (&*"x".repeat(256), "256 bytes"),
    ] {
        let body = json!({ "channel": channel, "data": 1 }).to_string();
        assert_error(&mut http, "publish", &body, 107, says);
    }
}

#[test]
fn base64_is_published_as_the_bytes_that_it_stands_for() {
    let server = server();
    let mut http = server.http();
    // A published message shows that the subscription has begun.
    let mut raw = Socket::open(server.addresses.public, "/sub/bytes");
    let mut stomp = subscriber(&server, "bytes");
    result(
        &mut http,
        "publish",
        r#"{"channel":"bytes","data":null,"b64data":"AP8B"}"#,
    );
    result(
        &mut http,
        "publish",
        r#"{"channel":"bytes","b64data":"dGV4dA=="}"#,
    );
    assert_eq!(stomp.message().body, [0, 255, 1]);
    assert_eq!(stomp.message().text(), "text");
    let mut received = raw.message();
    while received != Message::Binary(vec![0, 255, 1]) {
        received = raw.message();
    }
    assert_eq!(raw.message(), Message::text("text"));
    for text in ["AP8", "*"] {
        let body = json!({ "channel": "bytes", "b64data": text }).to_string();
        assert_error(&mut http, "publish", &body, 107, "b64data is no base64");
    }
}

#[test]
fn tags_are_headers_of_the_message_and_come_back_from_the_history() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    let mut log = subscriber(&server, "log:a");
    let tags = json!({ "kind": "x:y", "line\nfeed": "a\\b", "é": "" });
    let body = json!({ "channel": "log:a", "data": 1, "tags": tags }).to_string();
    result(&mut http, "publish", &body);
    let message = log.message();
    assert_eq!(message.unescaped("kind"), "x:y");
    assert_eq!(message.unescaped("line\\nfeed"), "a\\b");
    assert_eq!(message.unescaped("é"), "");
    let answer = result(&mut http, "history", r#"{"channel":"log:a","limit":1}"#);
    assert_eq!(answer["publications"][0]["tags"], tags);

    let body = json!({ "channel": "a", "data": 1, "tags": { "": "x" } }).to_string();
    assert_error(&mut http, "publish", &body, 107, "a tag has no name");
    let body = json!({ "channel": "a", "data": 1, "tags": { "a": "x".repeat(9_000) } }).to_string();
    assert_error(&mut http, "publish", &body, 106, "at most 8192");
}

#[test]
fn what_skips_the_history_is_delivered_and_numbered_and_not_kept() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    let mut log = subscriber(&server, "log:a");
    let mut since = Value::Null;
    for (number, skip) in [(1, false), (2, true), (3, false), (4, true)] {
        let body = json!({ "channel": "log:a", "data": number, "skip_history": skip }).to_string();
        let place = result(&mut http, "publish", &body);
        assert_eq!(place["offset"], number);
        if number == 1 {
            since = place;
        }
    }
    for number in 1..=4 {
        assert_eq!(log.message().text(), number.to_string());
    }
    let mut history = |body: Value| {
        let answer = result(&mut http, "history", &body.to_string());
        assert_eq!(answer["offset"], 4, "{answer}");
        let publications = answer["publications"].as_array().unwrap();
        publications
            .iter()
            .map(|one| one["data"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(history(json!({ "channel": "log:a", "limit": -1 })), [1, 3]);
    assert_eq!(
        history(json!({ "channel": "log:a", "limit": 9, "since": since })),
        [3]
    );
}

#[test]
fn what_is_published_again_with_the_same_key_is_delivered_once() {
    let server = server();
    let mut http = server.http();
    let mut orders = subscriber(&server, "orders");
    let mut publish = |channel: &str, key: &str, data: &str| -> Value {
        let body = json!({ "channel": channel, "data": data, "idempotency_key": key }).to_string();
        result(&mut http, "publish", &body)
    };
    let first = publish("orders", "k1", "first");
    assert_eq!(publish("orders", "k1", "again"), first);
    assert_eq!(publish("orders", "k2", "second")["offset"], 2);
    assert_eq!(
        publish("elsewhere", "k1", "of another channel")["offset"],
        1
    );
    assert_eq!(publish("orders", "", "no key")["offset"], 3);
    assert_eq!(publish("orders", "", "no key")["offset"], 4);
    for data in ["first", "second", "no key", "no key"] {
        assert_eq!(orders.message().text(), format!("\"{data}\""));
    }
    let body = r#"{"channels":["orders","more"],"data":1,"idempotency_key":"k2"}"#;
    let answer = result(&mut http, "broadcast", body);
    assert_eq!(answer["responses"][0]["result"]["offset"], 2);
    assert_eq!(answer["responses"][1]["result"]["offset"], 1);
    let key = "k".repeat(256);
    let body = json!({ "channel": "orders", "data": 1, "idempotency_key": key }).to_string();
    assert_error(
        &mut http,
        "publish",
        &body,
        107,
        "idempotency_key has 256 bytes",
    );
}
