//! ACK and NACK, and the window of what is not acknowledged.

use crate::support::metrics::Metrics;
use crate::support::stomp::{Frame, Stomp};
use crate::{assert_error, client, server, server_with};

/// ACKs or NACKs a message as the version wants it, and waits for the receipt, which must come next.
fn settle(stomp: &mut Stomp, version: &str, command: &str, message: &Frame) {
    let names = match version {
        "1.2" => format!("id:{}", message.must("ack")),
        "1.1" => format!(
            "message-id:{}\nsubscription:{}",
            message.must("message-id"),
            message.must("subscription")
        ),
        _ => format!("message-id:{}", message.must("message-id")),
    };
    stomp.send(&format!("{command}\n{names}\nreceipt:settled\n\n"));
    stomp.receipt("settled");
}

/// Sends these bodies to a queue.
fn fill(stomp: &mut Stomp, queue: &str, bodies: &[&str]) {
    for body in bodies {
        stomp.publish(queue, body);
    }
}

fn texts(stomp: &mut Stomp, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| stomp.message().text().to_owned())
        .collect()
}

/// Messages that the queue still has, in its order, once the consumer has gone: a sentinel is sent behind them.
fn what_is_left(sender: &mut Stomp, queue: &str) -> Vec<String> {
    sender.publish(queue, "sentinel");
    sender.subscribe("rest", queue, "");
    let mut left = Vec::new();
    loop {
        let text = sender.message().text().to_owned();
        if text == "sentinel" {
            break;
        }
        left.push(text);
    }
    sender.send("UNSUBSCRIBE\nid:rest\nreceipt:u\n\n");
    sender.receipt("u");
    left
}

#[test]
fn with_client_an_ack_is_for_all_messages_up_to_its_own() {
    let server = server();
    for version in ["1.0", "1.1", "1.2"] {
        let mut sender = client(&server);
        fill(&mut sender, "/queue/a", &["1", "2", "3", "4"]);
        let mut consumer = Stomp::connect(server.addresses.public, version);
        consumer.subscribe("0", "/queue/a", "ack:client\n");
        let messages: Vec<Frame> = (0..4).map(|_| consumer.message()).collect();
        settle(&mut consumer, version, "ACK", &messages[2]);
        consumer.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
        consumer.receipt("u");
        assert_eq!(what_is_left(&mut sender, "/queue/a"), ["4"], "{version}");
    }
}

#[test]
fn with_client_individual_an_ack_is_for_its_own_message_alone() {
    let server = server();
    for version in ["1.1", "1.2"] {
        let mut sender = client(&server);
        fill(&mut sender, "/queue/a", &["1", "2", "3", "4"]);
        let mut consumer = Stomp::connect(server.addresses.public, version);
        consumer.subscribe("0", "/queue/a", "ack:client-individual\n");
        let messages: Vec<Frame> = (0..4).map(|_| consumer.message()).collect();
        settle(&mut consumer, version, "ACK", &messages[2]);
        consumer.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
        consumer.receipt("u");
        assert_eq!(
            what_is_left(&mut sender, "/queue/a"),
            ["1", "2", "4"],
            "{version}"
        );
    }
}

#[test]
fn with_client_a_nack_is_for_all_messages_up_to_its_own() {
    let server = server();
    for version in ["1.1", "1.2"] {
        let mut consumer = Stomp::connect(server.addresses.public, version);
        fill(&mut consumer, "/queue/a", &["1", "2", "3"]);
        consumer.subscribe("0", "/queue/a", "ack:client\n");
        let messages: Vec<Frame> = (0..3).map(|_| consumer.message()).collect();
        settle(&mut consumer, version, "NACK", &messages[1]);
        let again: Vec<Frame> = (0..2).map(|_| consumer.message()).collect();
        let texts: Vec<&str> = again.iter().map(Frame::text).collect();
        assert_eq!(texts, ["1", "2"], "{version}");
        assert_eq!(again[0].header("redelivered"), Some("true"));
        consumer.send("DISCONNECT\nreceipt:bye\n\n");
        consumer.receipt("bye");
        let mut sender = client(&server);
        assert_eq!(what_is_left(&mut sender, "/queue/a"), ["1", "2", "3"]);
    }
}

#[test]
fn with_client_individual_a_nack_is_for_its_own_message_alone() {
    let server = server();
    let mut consumer = client(&server);
    fill(&mut consumer, "/queue/a", &["1", "2", "3"]);
    consumer.subscribe("0", "/queue/a", "ack:client-individual\n");
    let messages: Vec<Frame> = (0..3).map(|_| consumer.message()).collect();
    settle(&mut consumer, "1.2", "NACK", &messages[1]);
    assert_eq!(consumer.message().text(), "2");
    consumer.assert_undisturbed();
}

#[test]
fn an_ack_is_for_its_subscription_alone() {
    let server = server();
    let mut sender = client(&server);
    fill(&mut sender, "/queue/a", &["a"]);
    fill(&mut sender, "/queue/b", &["b"]);
    let mut consumer = client(&server);
    consumer.subscribe("a", "/queue/a", "ack:client\n");
    assert_eq!(consumer.message().text(), "a");
    consumer.subscribe("b", "/queue/b", "ack:client\n");
    let last = consumer.message();
    settle(&mut consumer, "1.2", "ACK", &last);
    consumer.send("DISCONNECT\nreceipt:bye\n\n");
    consumer.receipt("bye");
    assert_eq!(what_is_left(&mut sender, "/queue/a"), ["a"]);
    assert!(what_is_left(&mut sender, "/queue/b").is_empty());
}

#[test]
fn a_message_is_not_consumed_before_its_ack() {
    let server = server();
    for mode in ["ack:client\n", "ack:client-individual\n"] {
        let mut sender = client(&server);
        fill(&mut sender, "/queue/a", &["1"]);
        let mut consumer = client(&server);
        consumer.subscribe("0", "/queue/a", mode);
        assert_eq!(consumer.message().text(), "1");
        consumer.drop_connection();
        assert_eq!(what_is_left(&mut sender, "/queue/a"), ["1"], "{mode}");
    }
}

#[test]
fn with_auto_a_message_is_consumed_when_it_is_sent() {
    let server = server();
    let mut sender = client(&server);
    fill(&mut sender, "/queue/a", &["1"]);
    let mut consumer = client(&server);
    consumer.subscribe("0", "/queue/a", "ack:auto\n");
    assert_eq!(consumer.message().text(), "1");
    consumer.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
    consumer.receipt("u");
    assert!(what_is_left(&mut sender, "/queue/a").is_empty());
}

#[test]
fn what_is_settled_already_is_passed_over() {
    let server = server();
    for destination in ["/topic/a", "/queue/a"] {
        let mut stomp = client(&server);
        stomp.subscribe("0", destination, "ack:client\n");
        stomp.send(&format!("SEND\ndestination:{destination}\n\n1"));
        stomp.send(&format!("SEND\ndestination:{destination}\n\n2"));
        let messages = [stomp.message(), stomp.message()];
        settle(&mut stomp, "1.2", "ACK", &messages[1]);
        for command in ["ACK", "NACK"] {
            for message in &messages {
                settle(&mut stomp, "1.2", command, message);
            }
        }
        stomp.assert_undisturbed();
    }
}

#[test]
fn an_ack_of_what_another_connection_was_sent_is_an_error() {
    let server = server();
    let mut consumer = client(&server);
    fill(&mut consumer, "/queue/a", &["1"]);
    consumer.subscribe("0", "/queue/a", "ack:client\n");
    let message = consumer.message();
    let mut other = client(&server);
    other.subscribe("0", "/queue/a", "ack:client\n");
    other.send(&format!("ACK\nid:{}\nreceipt:7\n\n", message.must("ack")));
    let (error, code) = other.error();
    assert_error(&error, &["ACK"], Some("7"));
    assert_eq!(code, 1002);
    consumer.drop_connection();
    assert_eq!(what_is_left(&mut client(&server), "/queue/a"), ["1"]);
}

#[test]
fn an_ack_of_a_message_that_needs_none_is_an_error() {
    let server = server();
    for destination in ["/topic/a", "/queue/a"] {
        let mut stomp = Stomp::connect(server.addresses.public, "1.1");
        stomp.subscribe("0", destination, "");
        stomp.send(&format!("SEND\ndestination:{destination}\n\nhello"));
        let id = stomp.message().must("message-id").to_owned();
        stomp.send(&format!(
            "ACK\nsubscription:0\nmessage-id:{id}\nreceipt:7\n\n"
        ));
        let (error, code) = stomp.error();
        assert_error(&error, &["ACK", &id], Some("7"));
        assert_eq!(code, 1002);
    }
}

#[test]
fn a_nack_of_a_topics_message_gives_nothing_back() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "ack:client-individual\n");
    stomp.send("SEND\ndestination:/topic/a\n\nonce");
    let message = stomp.message();
    settle(&mut stomp, "1.2", "NACK", &message);
    stomp.send("SEND\ndestination:/topic/a\n\nnext");
    assert_eq!(stomp.message().text(), "next");
}

#[test]
fn prefetch_count_pauses_a_subscription_and_acks_resume_it() {
    let server = server();
    for destination in ["/topic/a", "/queue/a"] {
        let mut stomp = client(&server);
        let lines = "ack:client-individual\nprefetch-count:2\n";
        stomp.subscribe("0", destination, lines);
        let mut sender = client(&server);
        fill(&mut sender, destination, &["1", "2", "3", "4", "5"]);
        let first = [stomp.message(), stomp.message()];
        assert_eq!([first[0].text(), first[1].text()], ["1", "2"]);
        stomp.assert_undisturbed();
        settle_and_hear(&mut stomp, &first[1], "3");
        stomp.assert_undisturbed();
        settle_and_hear(&mut stomp, &first[0], "4");
        stomp.assert_undisturbed();
        stomp.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
        stomp.receipt("u");
    }
}

/// ACKs a message; its receipt and the message that it makes room for come in either order.
fn settle_and_hear(stomp: &mut Stomp, message: &Frame, next: &str) {
    stomp.send(&format!("ACK\nid:{}\nreceipt:a\n\n", message.must("ack")));
    let mut frames = [stomp.frame(), stomp.frame()];
    frames.sort_by_key(|frame| frame.command != "MESSAGE");
    assert_eq!(frames[0].text(), next);
    assert_eq!(frames[1].header("receipt-id"), Some("a"));
}

#[test]
fn a_cumulative_ack_makes_room_for_as_many_messages_as_it_settles() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "ack:client\nprefetch-count:3\n");
    let mut sender = client(&server);
    fill(
        &mut sender,
        "/topic/a",
        &["1", "2", "3", "4", "5", "6", "7"],
    );
    let first: Vec<Frame> = (0..3).map(|_| stomp.message()).collect();
    stomp.assert_undisturbed();
    stomp.send(&format!("ACK\nid:{}\n\n", first[2].must("ack")));
    assert_eq!(texts(&mut stomp, 3), ["4", "5", "6"]);
    stomp.assert_undisturbed();
}

#[test]
fn a_window_without_prefetch_count_is_that_of_the_settings() {
    let server = server_with("[stomp]\nprefetch_count = 1\n");
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "ack:client\n");
    let mut sender = client(&server);
    fill(&mut sender, "/topic/a", &["1", "2"]);
    let first = stomp.message();
    stomp.assert_undisturbed();
    settle_and_hear(&mut stomp, &first, "2");
}

#[test]
fn messages_that_wait_for_acks_keep_their_headers() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "ack:client\nprefetch-count:1\n");
    for number in ["1", "2"] {
        stomp.send(&format!(
            "SEND\ndestination:/topic/a\nnumber:{number}\ncontent-type:text/plain\n\n{number}"
        ));
    }
    let first = stomp.message();
    stomp.send(&format!("ACK\nid:{}\n\n", first.must("ack")));
    let second = stomp.message();
    assert_eq!(second.must("number"), "2");
    assert_eq!(second.must("content-type"), "text/plain");
}

#[test]
fn a_topic_never_waits_for_one_subscriber() {
    let server = server();
    let mut paused = client(&server);
    paused.subscribe("0", "/topic/a", "ack:client\nprefetch-count:1\n");
    let mut others = ["", "ack:client\nprefetch-count:1000\n"].map(|lines| {
        let mut stomp = client(&server);
        stomp.subscribe("0", "/topic/a", lines);
        stomp
    });
    let mut sender = client(&server);
    for number in 0..500 {
        sender.send(&format!("SEND\ndestination:/topic/a\n\n{number}"));
    }
    for stomp in &mut others {
        for number in 0..500 {
            assert_eq!(stomp.message().text(), number.to_string());
        }
    }
    let first = paused.message();
    assert_eq!(first.text(), "0");
    settle_and_hear(&mut paused, &first, "1");
}

#[test]
fn a_subscriber_that_acknowledges_too_slowly_is_told_and_closed() {
    let server = server_with("[slow_consumer]\nbacklog_bytes_max = 65536\n");
    let mut slow = client(&server);
    slow.subscribe("0", "/topic/a", "ack:client\nprefetch-count:1\n");
    let mut other = client(&server);
    other.subscribe("0", "/topic/a", "");
    let mut sender = client(&server);
    let body = "x".repeat(10_000);
    for _ in 0..10 {
        sender.publish("/topic/a", &body);
    }
    assert_eq!(slow.message().body.len(), 10_000);
    let (error, code) = slow.error();
    assert_error(&error, &["subscription", "\"0\"", "65536"], None);
    assert_eq!(code, 1013);
    for _ in 0..10 {
        assert_eq!(other.message().body.len(), 10_000);
    }
    Metrics::wait(&mut server.http(), "a close for a full window", |metrics| {
        metrics.sum_where("closes_total", r#"reason="window""#) == 1
    });
}
