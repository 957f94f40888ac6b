//! One channel, whatever is spoken: STOMP, the raw protocol and HTTP.

use crate::support::Message;
use crate::support::client::Client as RawClient;
use crate::support::fanout::{subscribers_on_each_client, with_each_client};

use super::client::Kind;
use super::site::Site;

pub fn http_and_raw_publishers_are_heard(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("reader");
    site.client
        .subscribe("reader", "0", "/topic/prices/eur €", &[]);
    site.server.http().publish("prices/eur%20%E2%82%AC", "1.10");
    let message = site.client.message("reader");
    assert_eq!(message.text(), "1.10");
    assert_eq!(message.header("destination"), "/topic/prices/eur €");

    let body = serde_json::json!({ "channel": "prices/eur €", "data": { "price": 1.2 } });
    site.server.http().api("publish", &body.to_string());
    assert_eq!(site.client.message("reader").text(), r#"{"price":1.2}"#);

    let url = site.server.url("/pub/prices/eur%20%E2%82%AC");
    with_each_client(|mut publisher: RawClient| {
        publisher.open("publisher", &url);
        publisher.send("publisher", &Message::text("1.30 €\n\n"));
        assert_eq!(site.client.message("reader").text(), "1.30 €\n\n");
        // webstomp-client cannot read frames with a NUL inside.
        if kind != Kind::Webstomp {
            publisher.send("publisher", &Message::Binary(vec![0, 1, 0xff, 0]));
            assert_eq!(site.client.message("reader").body, [0, 1, 0xff, 0]);
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
}
