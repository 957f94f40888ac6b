//! What publications say.

use serde_json::json;

use super::clients::client::{Kind, Site};
use crate::support::Message;
use crate::support::stomp::Stomp;
use crate::support::wire::{Said, Socket};

pub fn what_is_published_arrives_as_it_was(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("one");
    site.subscribe("one", "news");
    for data in [
        json!({ "text": "hello \"you\"\n", "list": [1, 2.5, null, true], "nested": { "a": {} } }),
        json!("日本語 🚆"),
        json!(""),
        json!(-1),
        json!([]),
        json!("x".repeat(60_000)),
    ] {
        site.publish("one", "news", data.clone());
        assert_eq!(site.data("one", "news"), data);
    }
    // What is no JSON comes as a string, bytes as base64.
    site.server.http().publish("news", "no JSON\n{");
    assert_eq!(site.data("one", "news"), "no JSON\n{");
    site.server
        .http()
        .publish("news", "{\n  \"pretty\": 1\n}\n");
    assert_eq!(site.data("one", "news"), json!({ "pretty": 1 }));
    site.server.http().publish_binary("news", &[0, 0xff]);
    assert_eq!(site.data("one", "news"), "AP8=");
}

pub fn the_publisher_is_told(kind: Kind) {
    let mut site = Site::start(kind);
    let client = site.connect("publisher")["client"].clone();
    site.connect("subscriber");
    site.subscribe("subscriber", "news");
    site.publish("publisher", "news", json!(1));
    let publication = site.publication("subscriber", "news");
    assert_eq!(publication["info"], json!({ "client": client, "user": "" }));
    site.server.http().publish("news", "2");
    let publication = site.publication("subscriber", "news");
    assert_eq!(publication.get("info"), None, "{publication}");
}

pub fn http_raw_and_stomp_are_heard_and_hear(kind: Kind) {
    let mut site = Site::start(kind);
    let address = site.server.addresses.public;
    let mut stomp = Stomp::connect(address, "1.2");
    stomp.subscribe("s", "/topic/news", "");
    let mut raw = Socket::open(address, "/sub/news");
    site.connect("one");
    site.subscribe("one", "news");

    site.server.http().publish("news", r#"{"by": "http"}"#);
    assert_eq!(site.data("one", "news"), json!({ "by": "http" }));
    assert_eq!(
        raw.next(),
        Said::Message(Message::text(r#"{"by": "http"}"#))
    );
    assert_eq!(stomp.message().text(), r#"{"by": "http"}"#);

    stomp.send("SEND\ndestination:/topic/news\nprice:10\n\nby stomp");
    let publication = site.publication("one", "news");
    assert_eq!(publication["data"], "by stomp");
    assert_eq!(publication["tags"], json!({ "price": "10" }));
    assert_eq!(raw.next(), Said::Message(Message::text("by stomp")));
    assert_eq!(stomp.message().text(), "by stomp");

    site.publish("one", "news", json!("by centrifuge"));
    assert_eq!(site.data("one", "news"), "by centrifuge");
    assert_eq!(
        raw.next(),
        Said::Message(Message::text("\"by centrifuge\""))
    );
    assert_eq!(stomp.message().text(), "\"by centrifuge\"");
}
