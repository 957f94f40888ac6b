//! One channel, whatever is spoken: STOMP, the raw protocol and HTTP.

use crate::support::Message;
use crate::support::client::Client as RawClient;
use crate::support::fanout::{subscribers_on_each_client, texts, with_each_client};
use crate::support::server::{Options as ServerOptions, Server};

use super::client::{Client, Kind, Options};
use super::site::Site;

pub fn http_and_raw_publishers_are_heard(kind: Kind) {
    const CHANNEL: &str = "prices/eur €";
    const ENCODED: &str = "prices/eur%20%E2%82%AC";
    let mut site = Site::start(kind);
    let mut http = site.server.http();
    site.connect("reader");
    let topic = format!("/topic/{CHANNEL}");
    // One is a lane, the other is handed its messages one by one.
    for (subscription, mode) in [("0", "auto"), ("1", "client")] {
        let with = [("ack", mode)];
        site.client.subscribe("reader", subscription, &topic, &with);
    }
    let mut assert_heard = |body: &[u8]| {
        for subscription in ["0", "1"] {
            let message = site.client.message_of("reader", subscription);
            assert_eq!(message.body, body, "{message:?}");
            assert_eq!(message.header("destination"), topic);
        }
    };
    http.publish(ENCODED, "1.10");
    assert_heard(b"1.10");
    let body = serde_json::json!({ "channel": CHANNEL, "data": { "price": 1.2 } });
    http.api("publish", &body.to_string());
    assert_heard(br#"{"price":1.2}"#);

    let url = site.server.url(&format!("/pub/{ENCODED}"));
    with_each_client(|mut publisher: RawClient| {
        publisher.open("publisher", &url);
        for text in ["1.30 €\n\n", ""] {
            publisher.send("publisher", &Message::text(text));
            assert_heard(text.as_bytes());
        }
        // webstomp-client cannot read frames with a NUL inside.
        if kind != Kind::Webstomp {
            publisher.send("publisher", &Message::Binary(vec![0, 1, 0xff, 0]));
            assert_heard(&[0, 1, 0xff, 0]);
        }
    });
}

pub fn http_and_raw_subscribers_hear(kind: Kind) {
    let mut site = Site::start(kind);
    let mut groups = subscribers_on_each_client(&site.server, &mut site.server.http(), "chat", 2);
    site.connect("speaker");
    for text in ["hello", "", "a:b\n\nč 🚀"] {
        // Header lines are STOMP's: the others hear the body alone.
        let headers = [("content-type", "text/plain"), ("mood", "good")];
        site.client
            .send_with("speaker", "/topic/chat", text, &headers);
        for group in &mut groups {
            group.assert_all_receive(&[Message::text(text)]);
        }
    }
    // webstomp-client sends texts alone.
    if kind != Kind::Webstomp {
        let options = Options {
            binary: true,
            ..Options::default()
        };
        site.connect_with("of bytes", &options);
        let body = &b"\0\xff\xfe"[..];
        site.client.send("of bytes", "/topic/chat", body);
        for group in &mut groups {
            group.assert_all_receive(&[Message::Binary(vec![0, 0xff, 0xfe])]);
        }
    }
}

pub fn a_queue_is_no_channel(kind: Kind) {
    let mut site = Site::start(kind);
    let mut http = site.server.http();
    let mut groups = subscribers_on_each_client(&site.server, &mut http, "same", 1);
    site.connect("consumer");
    site.client.subscribe("consumer", "q", "/queue/same", &[]);
    http.publish("same", "to all");
    site.client.send("consumer", "/queue/same", "to one");
    let message = site.client.message("consumer");
    assert_eq!(message.text(), "to one");
    http.publish("same", "after");
    for group in &mut groups {
        group.assert_all_receive(&texts(["to all", "after"]));
    }
}

/// All clients in one room, each of them heard by all.
#[test]
fn all_clients_hear_each_other() {
    const ROOM: &str = "/topic/room";
    let server = Server::start(ServerOptions::default());
    let kinds = [Kind::StompJs, Kind::Chromium, Kind::Webstomp, Kind::StompPy];
    let mut clients = kinds.map(Client::start);
    for client in &mut clients {
        client.connect("guest", &server.url("/ws"), &Options::default());
        client.subscribe("guest", "sub-0", ROOM, &[]);
    }
    for (speaker, kind) in kinds.iter().enumerate() {
        let said = format!("{kind:?} says čau\n🚀");
        let from = format!("{kind:?}");
        clients[speaker].send_with("guest", ROOM, &said, &[("from", &from)]);
        for client in &mut clients {
            let message = client.message("guest");
            assert_eq!(message.text(), said);
            assert_eq!(message.header("from"), from);
        }
    }
}
