//! Publishing, and who is told who it was.

use serde_json::json;

use crate::support::Message;
use crate::support::centrifuge::Centrifuge;
use crate::support::wire::{Said, Socket};
use crate::{client, server, server_with};

#[test]
fn a_publication_reaches_its_publisher_too_and_says_who_it_was() {
    let server = server();
    let (mut publisher, connected) = Centrifuge::connect_with(server.addresses.public, json!({}));
    let mut other = client(&server);
    publisher.subscribe("news");
    other.subscribe("news");
    publisher.publish("news", json!({ "text": "hello" }));
    for client in [&mut publisher, &mut other] {
        assert_eq!(
            client.publication("news"),
            json!({
                "data": { "text": "hello" },
                "offset": 1,
                "info": { "client": connected["client"], "user": "" },
            })
        );
    }
}

#[test]
fn ten_thousand_publications_arrive_in_order() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("many");
    let mut publisher = client(&server);
    let address = server.addresses.public;
    let publishing = std::thread::spawn(move || {
        for batch in 0..100 {
            let lines: Vec<String> = (0..100)
                .map(|n| {
                    let number = batch * 100 + n;
                    json!({ "id": number + 2, "publish": { "channel": "many", "data": number } })
                        .to_string()
                })
                .collect();
            publisher.say(&lines.join("\n"));
            // Every one is replied to.
            for n in 0..100 {
                publisher.reply(batch * 100 + n + 2);
            }
        }
        (publisher, address)
    });
    for number in 0..10_000 {
        let publication = subscriber.publication("many");
        assert_eq!(publication["data"], number);
        assert_eq!(publication["offset"], number + 1);
    }
    publishing.join().unwrap();
}

#[test]
fn a_publication_without_data_is_a_bad_request_and_null_is_data() {
    let server = server();
    let mut client = client(&server);
    client.subscribe("news");
    let (code, message) = client.error("publish", json!({ "channel": "news" }));
    assert_eq!(code, 107, "{message}");
    client.publish("news", json!(null));
    assert_eq!(client.publication("news")["data"], json!(null));
}

#[test]
fn the_bytes_of_data_are_limited() {
    let server = server_with("[limits]\nmessage_bytes_max = 1000\n");
    let mut client = client(&server);
    client.subscribe("news");
    client.publish("news", json!("x".repeat(998)));
    let (code, message) = client.error(
        "publish",
        json!({ "channel": "news", "data": "x".repeat(999) }),
    );
    assert_eq!(code, 106);
    assert!(message.contains("limits.message_bytes_max"), "{message}");
    assert_eq!(client.publication("news")["data"], "x".repeat(998));
    client.assert_undisturbed();
}

#[test]
fn other_protocols_hear_what_is_published_byte_for_byte() {
    let server = server();
    let mut raw = Socket::open(server.addresses.public, "/sub/news");
    let mut stomp = crate::support::stomp::Stomp::connect(server.addresses.public, "1.2");
    stomp.subscribe("s", "/topic/news", "");
    let mut publisher = client(&server);
    let data = r#"{ "n": 1.10, "big": 12345678901234567890123456789012 }"#;
    // The raw subscriber has begun when it hears of something.
    server.http().publish("news", "begun");
    assert_eq!(raw.next(), Said::Message(Message::text("begun")));
    assert_eq!(stomp.message().text(), "begun");
    publisher.say(&format!(
        r#"{{"id":5,"publish":{{"channel":"news","data":{data}}}}}"#
    ));
    publisher.reply(5);
    assert_eq!(raw.next(), Said::Message(Message::text(data)));
    assert_eq!(stomp.message().text(), data);
}
