//! `/queue/{name}`: each message goes to one consumer at a time.

use crate::support::metrics::Metrics;
use crate::support::stomp::{Frame, Stomp};
use crate::{Going, assert_error, client, server, server_with};

fn texts(stomp: &mut Stomp, count: usize) -> Vec<String> {
    (0..count)
        .map(|_| stomp.message().text().to_owned())
        .collect()
}

#[test]
fn a_queue_keeps_its_messages_in_order_until_someone_consumes() {
    let server = server();
    let mut sender = client(&server);
    for number in 0..100 {
        sender.publish("/queue/a", &number.to_string());
    }
    let mut consumer = client(&server);
    consumer.subscribe("0", "/queue/a", "");
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(texts(&mut consumer, 100), expected);
}

#[test]
fn every_message_goes_to_one_of_several_consumers_and_none_goes_without() {
    let server = server();
    let mut consumers: Vec<Stomp> = (0..4)
        .map(|_| {
            let mut consumer = client(&server);
            consumer.subscribe("0", "/queue/a", "");
            consumer
        })
        .collect();
    let mut sender = client(&server);
    for number in 0..40 {
        sender.publish("/queue/a", &number.to_string());
    }
    let mut heard: Vec<u32> = consumers
        .iter_mut()
        .flat_map(|consumer| texts(consumer, 10))
        .map(|text| text.parse().unwrap())
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..40).collect::<Vec<u32>>());
    for consumer in &mut consumers {
        consumer.assert_undisturbed();
    }
}

#[test]
fn what_a_consumer_had_comes_to_another_however_it_goes() {
    let server = server();
    let goings: [(&str, Going); 5] = [
        ("it is gone", Stomp::drop_connection),
        ("a close", Stomp::close),
        ("DISCONNECT", |stomp| stomp.send("DISCONNECT\n\n")),
        ("UNSUBSCRIBE", |stomp| stomp.send("UNSUBSCRIBE\nid:0\n\n")),
        ("an ERROR", |stomp| stomp.send("HELLO\n\n")),
    ];
    for (going, go) in goings {
        let mut consumer = client(&server);
        consumer.subscribe("0", "/queue/a", "ack:client\n");
        let mut other = client(&server);
        let mut sender = client(&server);
        for text in ["1", "2"] {
            sender.send(&format!(
                "SEND\ndestination:/queue/a\ncolour:blue\n\n{text}"
            ));
        }
        assert_eq!(texts(&mut consumer, 2), ["1", "2"], "{going}");
        other.subscribe("0", "/queue/a", "");
        other.assert_undisturbed();
        go(&mut consumer);
        for text in ["1", "2"] {
            let message = other.message();
            assert_eq!(message.text(), text, "{going}");
            assert_eq!(message.header("redelivered"), Some("true"), "{going}");
            assert_eq!(message.must("colour"), "blue", "{going}");
        }
    }
}

#[test]
fn what_a_consumer_gives_back_comes_to_another() {
    let server = server();
    let mut consumer = client(&server);
    consumer.subscribe("0", "/queue/a", "ack:client-individual\nprefetch-count:1\n");
    let mut other = client(&server);
    other.subscribe("0", "/queue/a", "ack:client-individual\nprefetch-count:1\n");
    let mut sender = client(&server);
    sender.publish("/queue/a", "1");
    sender.publish("/queue/a", "2");
    let (first, second) = (consumer.message(), other.message());
    other.send(&format!("NACK\nid:{}\nreceipt:n\n\n", second.must("ack")));
    other.receipt_among("n");
    consumer.send(&format!("ACK\nid:{}\n\n", first.must("ack")));
    // One of the two has it again.
    let mut witness = client(&server);
    for stomp in [consumer, other] {
        drop(stomp);
    }
    witness.subscribe("0", "/queue/a", "");
    let again = witness.message();
    assert_eq!(again.text(), second.text());
    assert_eq!(again.header("redelivered"), Some("true"));
    witness.assert_undisturbed();
}

#[test]
fn messages_given_back_stand_before_those_that_came_later() {
    let server = server();
    let mut consumer = client(&server);
    consumer.subscribe("0", "/queue/a", "ack:client\nprefetch-count:3\n");
    let mut sender = client(&server);
    for text in ["1", "2", "3", "4", "5"] {
        sender.publish("/queue/a", text);
    }
    assert_eq!(texts(&mut consumer, 3), ["1", "2", "3"]);
    consumer.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
    consumer.receipt("u");
    consumer.subscribe("1", "/queue/a", "ack:client\n");
    assert_eq!(texts(&mut consumer, 5), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_message_that_is_given_back_too_often_is_discarded_and_counted() {
    let server = server_with("[queues]\ndeliveries_max = 3\n");
    let mut consumer = client(&server);
    consumer.subscribe("0", "/queue/a", "ack:client-individual\n");
    consumer.publish_among("/queue/a", "poison");
    for _ in 0..3 {
        let message = consumer.message();
        assert_eq!(message.text(), "poison");
        consumer.send(&format!("NACK\nid:{}\n\n", message.must("ack")));
    }
    consumer.publish_among("/queue/a", "next");
    assert_eq!(consumer.message().text(), "next");
    Metrics::wait(&mut server.http(), "a discarded message", |metrics| {
        metrics.sum("queue_messages_discarded_total") == 1
    });
}

#[test]
fn a_full_queue_refuses_with_an_error_and_1013_and_keeps_what_it_has() {
    for (config, fits) in [
        ("queue_messages_max = 3\n", 3),
        ("queue_bytes_max = 4096\n", 3),
        ("shard_bytes_max = 4096\n", 3),
    ] {
        let server = server_with(&format!("[queues]\n{config}"));
        let mut sender = client(&server);
        let body = "x".repeat(1_000);
        for _ in 0..fits {
            sender.publish("/queue/a", &body);
        }
        sender.send(&format!("SEND\ndestination:/queue/a\nreceipt:7\n\n{body}"));
        let (error, code) = sender.error();
        assert_error(&error, &["queue"], Some("7"));
        assert_eq!(code, 1013, "{config}");
        let mut consumer = client(&server);
        consumer.subscribe("0", "/queue/a", "");
        let kept: Vec<Frame> = (0..fits).map(|_| consumer.message()).collect();
        assert!(kept.iter().all(|message| message.text() == body));
        consumer.publish_among("/queue/a", "there is room again");
        assert_eq!(consumer.message().text(), "there is room again");
    }
}

#[test]
fn too_many_queues_are_an_error_and_1013() {
    let server = server_with("[queues]\nqueues_max = 2\n");
    let mut sender = client(&server);
    // Two fit on each of two shards.
    let refused = (0..5).find_map(|number| {
        sender.send(&format!(
            "SEND\ndestination:/queue/q{number}\nreceipt:{number}\n\nhello"
        ));
        let frame = sender.frame();
        (frame.command == "ERROR").then_some((frame, number))
    });
    let (error, number) = refused.expect("a queue beyond the bound");
    assert_error(&error, &["queues.queues_max"], Some(&number.to_string()));
    assert_eq!(sender.close_code(), 1013);
}

#[test]
fn the_bytes_that_one_consumer_has_unsettled_are_bounded() {
    let server = server_with("[queues]\nwindow_bytes_max = 4096\n");
    let mut consumer = client(&server);
    consumer.subscribe("0", "/queue/a", "ack:client-individual\n");
    let mut sender = client(&server);
    for _ in 0..8 {
        sender.publish("/queue/a", &"x".repeat(1_000));
    }
    // On another shard than the queue they may come later than the sender's receipts.
    let mut messages = vec![consumer.frame()];
    consumer.send("BEGIN\ntransaction:t\nreceipt:b\n\n");
    loop {
        let frame = consumer.frame();
        if frame.command == "RECEIPT" {
            break;
        }
        messages.push(frame);
    }
    assert!((1..=4).contains(&messages.len()), "{}", messages.len());
    let heard = messages.len();
    consumer.send(&format!("ACK\nid:{}\n\n", messages[0].must("ack")));
    for message in &messages[1..] {
        consumer.send(&format!("ACK\nid:{}\n\n", message.must("ack")));
    }
    assert_eq!(
        texts(&mut consumer, (8 - heard).min(heard)).len(),
        (8 - heard).min(heard)
    );
}

#[test]
fn a_topic_of_the_same_name_is_another_destination() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("queue", "/queue/a", "");
    stomp.subscribe("topic", "/topic/a", "");
    for kind in ["topic", "queue"] {
        stomp.send(&format!("SEND\ndestination:/{kind}/a\n\nhello"));
        assert_eq!(stomp.message().must("subscription"), kind);
    }
    stomp.assert_undisturbed();
    server.http().publish("a", "over HTTP");
    assert_eq!(stomp.message().must("subscription"), "topic");
}

#[test]
fn an_emptied_queue_leaves_nothing_behind() {
    let server = server();
    let mut stomp = client(&server);
    stomp.publish("/queue/a", "hello");
    stomp.subscribe("0", "/queue/a", "ack:client\n");
    let message = stomp.message();
    let mut http = server.http();
    Metrics::wait(&mut http, "a queue with a message", |metrics| {
        metrics.sum("queues") == 1 && metrics.sum("queue_unsettled") == 1
    });
    stomp.send(&format!("ACK\nid:{}\nreceipt:a\n\n", message.must("ack")));
    stomp.receipt("a");
    stomp.send("DISCONNECT\n\n");
    Metrics::wait(&mut http, "no queue", |metrics| {
        metrics.sum("queues") == 0
            && metrics.sum("queue_messages") == 0
            && metrics.sum("queue_unsettled") == 0
            && metrics.sum("queue_bytes") == 0
    });
}
