//! SEND: what becomes of it, its receipt, and who hears it.

use crate::support::Message;
use crate::support::metrics::Metrics;
use crate::support::server::Server;
use crate::support::stomp::{Frame, Stomp};
use crate::support::wire::Socket;
use crate::{assert_error, client, server, server_with};

#[test]
fn user_headers_are_passed_through() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("0", "/topic/a", "");
    let mut windowed = client(&server);
    windowed.subscribe("0", "/topic/a", "ack:client\n");
    let mut queued = client(&server);
    queued.subscribe("0", "/queue/a", "");
    let mut sender = client(&server);
    for destination in ["/topic/a", "/queue/a"] {
        sender.send(&format!(
            "SEND\ndestination:{destination}\nprice:42\nX-Long:{}\nempty:\ncontent-type:text/csv;charset=utf-8\n\n1,2",
            "v".repeat(4_000)
        ));
    }
    for stomp in [&mut subscriber, &mut windowed, &mut queued] {
        let message = stomp.message();
        assert_eq!(message.must("price"), "42");
        assert_eq!(message.must("X-Long").len(), 4_000);
        assert_eq!(message.must("empty"), "");
        assert_eq!(message.must("content-type"), "text/csv;charset=utf-8");
        assert_eq!(message.text(), "1,2");
    }
}

#[test]
fn a_content_type_is_the_senders_or_a_mime_type_of_the_servers() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    for sent in [Some("application/json;charset=utf-8"), None] {
        let line = sent.map_or(String::new(), |sent| format!("content-type:{sent}\n"));
        stomp.send(&format!("SEND\ndestination:/topic/a\n{line}\n[1,2]"));
        assert_eq!(stomp.message().header("content-type"), sent);
    }
    server.http().publish("a", "text from elsewhere");
    let said = stomp.message();
    let said = said.header("content-type").unwrap_or("none/said");
    let (kind, rest) = said.split_once('/').unwrap();
    assert!(!kind.is_empty() && !rest.is_empty(), "{said}");
    stomp.send("HELLO\n\n");
    assert_eq!(stomp.error().0.header("content-type"), Some("text/plain"));
}

#[test]
fn user_headers_never_stand_in_for_those_of_the_server() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.subscribe("1", "/topic/a", "ack:client\n");
    stomp.send("SEND\ndestination:/topic/a\nsubscription:9\nmessage-id:mine\nack:mine\n\nhello");
    for _ in 0..2 {
        let message = stomp.message();
        assert_ne!(message.must("subscription"), "9");
        assert_ne!(message.must("message-id"), "mine");
        assert_ne!(message.header("ack"), Some("mine"));
    }
}

#[test]
fn messages_have_destination_message_id_and_subscription() {
    let server = server();
    for version in ["1.0", "1.1", "1.2"] {
        let mut stomp = Stomp::connect(server.addresses.public, version);
        stomp.subscribe("topic", "/topic/a", "");
        stomp.subscribe("queue", "/queue/a", "");
        let mut ids = Vec::new();
        for destination in ["/topic/a", "/queue/a", "/topic/a", "/queue/a"] {
            stomp.send(&format!("SEND\ndestination:{destination}\n\nhello"));
            let message = stomp.message();
            assert_eq!(message.must("destination"), destination);
            assert_eq!(message.must("subscription"), &destination[1..6]);
            ids.push((destination, message.must("message-id").to_owned()));
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "each message has an id of its own: {ids:?}");
    }
}

#[test]
fn every_command_has_its_receipt() {
    let server = server();
    for version in ["1.1", "1.2"] {
        let mut stomp = Stomp::connect(server.addresses.public, version);
        for (number, frame) in [
            "SUBSCRIBE\nid:0\ndestination:/topic/a\n",
            "SEND\ndestination:/topic/b\n",
            "SEND\ndestination:/queue/b\n",
            "BEGIN\ntransaction:t\n",
            "SEND\ndestination:/topic/b\ntransaction:t\n",
            "COMMIT\ntransaction:t\n",
            "BEGIN\ntransaction:t\n",
            "ABORT\ntransaction:t\n",
            "UNSUBSCRIBE\nid:0\n",
            "DISCONNECT\n",
        ]
        .iter()
        .enumerate()
        {
            stomp.send(&format!("{frame}receipt:r{number}\n\n"));
            let receipt = stomp.frame();
            assert_eq!(receipt.command, "RECEIPT", "{frame}: {receipt:?}");
            assert_eq!(receipt.must("receipt-id"), format!("r{number}"));
            assert!(receipt.body.is_empty());
        }
    }
}

#[test]
fn an_ack_and_a_nack_have_their_receipts() {
    let server = server();
    for version in ["1.1", "1.2"] {
        for command in ["ACK", "NACK"] {
            let mut stomp = Stomp::connect(server.addresses.public, version);
            stomp.subscribe("0", "/topic/a", "ack:client\n");
            stomp.send("SEND\ndestination:/topic/a\n\nhello");
            let message = stomp.message();
            let names = match version {
                "1.2" => format!("id:{}", message.must("ack")),
                _ => format!("subscription:0\nmessage-id:{}", message.must("message-id")),
            };
            stomp.send(&format!("{command}\n{names}\nreceipt:r\n\n"));
            stomp.receipt("r");
        }
    }
}

#[test]
fn a_receipt_of_a_send_says_that_the_message_has_its_place() {
    let server = server();
    let mut sender = client(&server);
    let mut consumer = client(&server);
    for number in 0..20 {
        let queue = format!("/queue/q{number}");
        sender.publish(&queue, "hello");
        // It is there for whoever comes now.
        consumer.subscribe(&queue, &queue, "");
        assert_eq!(consumer.message().text(), "hello");
    }
}

#[test]
fn what_one_connection_sends_arrives_in_order() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("topic", "/topic/a", "");
    stomp.subscribe("queue", "/queue/a", "");
    for destination in ["/topic/a", "/queue/a"] {
        let frames: String = (0..200)
            .map(|number| format!("SEND\ndestination:{destination}\n\n{number}\0"))
            .collect();
        stomp.send_text(frames.as_bytes());
        for number in 0..200 {
            assert_eq!(stomp.message().text(), number.to_string());
        }
    }
}

#[test]
fn a_send_that_cannot_be_done_is_an_error_and_the_end() {
    let server = server_with("[queues]\nqueue_messages_max = 1\n");
    let mut stomp = client(&server);
    stomp.publish("/queue/a", "fits");
    stomp.send("SEND\ndestination:/queue/a\nreceipt:7\n\ndoes not");
    let (error, code) = stomp.error();
    assert_error(&error, &["queue"], Some("7"));
    assert_eq!(code, 1013);
}

#[test]
fn all_protocols_hear_each_other() {
    let server = server();
    let mut raw = raw_subscriber(&server);
    let mut versions = ["1.0", "1.1", "1.2"].map(|version| {
        let mut stomp = Stomp::connect(server.addresses.public, version);
        stomp.subscribe("0", "/topic/news", "");
        stomp
    });
    let mut windowed = client(&server);
    windowed.subscribe("0", "/topic/news", "ack:client\n");
    let mut raw_publisher = Socket::open(server.addresses.public, "/pub/news");
    let mut http = server.http();
    let mut everyone = |said: &str, user_header: Option<&str>| {
        for stomp in versions.iter_mut().chain([&mut windowed]) {
            let message = stomp.message();
            assert_eq!(message.text(), said);
            assert_eq!(message.must("destination"), "/topic/news");
            assert_eq!(message.header("colour"), user_header);
        }
        assert_eq!(raw.message(), Message::text(said));
    };
    http.publish("news", "over HTTP");
    everyone("over HTTP", None);
    raw_publisher.send_text("over a raw WebSocket");
    everyone("over a raw WebSocket", None);
    for version in ["1.0", "1.1", "1.2"] {
        let said = format!("over STOMP {version}");
        let mut sender = Stomp::connect(server.addresses.public, version);
        sender.send(&format!(
            "SEND\ndestination:/topic/news\ncolour:blue\nreceipt:r\n\n{said}"
        ));
        sender.receipt("r");
        everyone(&said, Some("blue"));
    }
    let mut sender = client(&server);
    sender.send("BEGIN\ntransaction:t\n\n");
    sender.send("SEND\ndestination:/topic/news\ntransaction:t\n\nin a transaction");
    sender.send("COMMIT\ntransaction:t\n\n");
    everyone("in a transaction", None);
}

#[test]
fn binary_publications_of_other_protocols_come_in_binary_messages() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/news", "");
    server.http().publish_binary("news", b"\xff\x00\xfe");
    let message = stomp.message();
    assert_eq!(message.body, b"\xff\x00\xfe");
    assert!(message.binary);
    assert_eq!(message.must("content-length"), "3");
}

/// A subscriber of the raw protocol to `news`, the server's first, whose subscription has taken effect.
fn raw_subscriber(server: &Server) -> Socket {
    let raw = Socket::open(server.addresses.public, "/sub/news");
    Metrics::wait(&mut server.http(), "a subscription", |metrics| {
        metrics.sum("subscriptions") == 1
    });
    raw
}

#[test]
fn the_message_id_of_a_topic_is_the_publications_position() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/news", "");
    let offsets: Vec<u64> = (0..3)
        .map(|_| server.http().publish("news", "hello"))
        .collect();
    let ids: Vec<Frame> = offsets.iter().map(|_| stomp.message()).collect();
    let epoch = ids[0].must("message-id").split_once('-').unwrap().0;
    for (offset, message) in offsets.iter().zip(&ids) {
        assert_eq!(message.must("message-id"), format!("{epoch}-{offset}"));
    }
}
