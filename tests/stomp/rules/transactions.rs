//! BEGIN, COMMIT and ABORT.

use crate::support::stomp::Stomp;
use crate::{Going, assert_error, client, server, server_with};

#[test]
fn what_is_sent_in_a_transaction_comes_at_its_commit_and_in_order() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.subscribe("1", "/queue/a", "");
    stomp.send("BEGIN\ntransaction:t\n\n");
    for text in ["1", "2", "3"] {
        stomp.send(&format!(
            "SEND\ndestination:/topic/a\ntransaction:t\n\n{text}"
        ));
    }
    stomp.send("SEND\ndestination:/queue/a\ntransaction:t\n\nqueued");
    stomp.send("SEND\ndestination:/topic/a\n\noutside");
    assert_eq!(stomp.message().text(), "outside");
    stomp.send("COMMIT\ntransaction:t\n\n");
    let mut messages: Vec<(String, String)> = (0..4)
        .map(|_| stomp.message())
        .map(|m| (m.must("subscription").to_owned(), m.text().to_owned()))
        .collect();
    messages.sort_by_key(|(subscription, _)| subscription.clone());
    let texts: Vec<&str> = messages.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["1", "2", "3", "queued"]);
}

#[test]
fn the_receipt_of_commit_comes_when_all_of_it_is_done() {
    let server = server();
    let mut stomp = client(&server);
    let mut consumer = client(&server);
    for round in 0..10 {
        stomp.send("BEGIN\ntransaction:t\n\n");
        for number in 0..8 {
            stomp.send(&format!(
                "SEND\ndestination:/queue/q{number}\ntransaction:t\n\n{round}"
            ));
        }
        stomp.send("COMMIT\ntransaction:t\nreceipt:c\n\n");
        stomp.receipt("c");
        for number in 0..8 {
            let queue = format!("/queue/q{number}");
            consumer.subscribe(&queue, &queue, "");
            assert_eq!(consumer.message().text(), round.to_string());
            consumer.send(&format!("UNSUBSCRIBE\nid:{queue}\nreceipt:u\n\n"));
            consumer.receipt("u");
        }
    }
}

#[test]
fn what_is_sent_in_an_aborted_transaction_never_comes() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.send("BEGIN\ntransaction:t\n\n");
    stomp.send("SEND\ndestination:/topic/a\ntransaction:t\n\ninside");
    stomp.send("ABORT\ntransaction:t\nreceipt:a\n\n");
    stomp.receipt("a");
    stomp.send("SEND\ndestination:/topic/a\n\noutside");
    assert_eq!(stomp.message().text(), "outside");
}

#[test]
fn acks_and_nacks_of_a_transaction_count_at_its_commit() {
    let server = server();
    for (command, end, again) in [
        ("ACK", "COMMIT", None),
        ("ACK", "ABORT", Some("hello")),
        ("NACK", "COMMIT", Some("hello")),
        ("NACK", "ABORT", Some("hello")),
    ] {
        let mut consumer = client(&server);
        consumer.publish("/queue/a", "hello");
        consumer.subscribe("0", "/queue/a", "ack:client\n");
        let message = consumer.message();
        consumer.send("BEGIN\ntransaction:t\n\n");
        consumer.send(&format!(
            "{command}\nid:{}\ntransaction:t\nreceipt:1\n\n",
            message.must("ack")
        ));
        consumer.receipt("1");
        consumer.assert_undisturbed();
        consumer.send(&format!("{end}\ntransaction:t\n\n"));
        if (command, end) == ("NACK", "COMMIT") {
            assert_eq!(consumer.message().header("redelivered"), Some("true"));
        }
        consumer.send("DISCONNECT\nreceipt:bye\n\n");
        consumer.receipt("bye");
        let mut rest = client(&server);
        rest.subscribe("0", "/queue/a", "");
        if let Some(text) = again {
            assert_eq!(rest.message().text(), text, "{command} {end}");
        }
        rest.publish_among("/queue/a", "sentinel");
        assert_eq!(rest.message().text(), "sentinel", "{command} {end}");
    }
}

#[test]
fn a_transaction_that_is_open_at_the_end_of_its_connection_is_aborted() {
    let server = server();
    let goings: [(&str, Going); 4] = [
        ("it is gone", Stomp::drop_connection),
        ("a close", Stomp::close),
        ("DISCONNECT", |stomp| stomp.send("DISCONNECT\n\n")),
        ("an ERROR", |stomp| stomp.send("HELLO\n\n")),
    ];
    for (going, go) in goings {
        let mut subscriber = client(&server);
        subscriber.subscribe("0", "/topic/a", "");
        subscriber.publish("/queue/a", "kept");
        let mut stomp = client(&server);
        stomp.subscribe("0", "/queue/a", "ack:client\n");
        let message = stomp.message();
        stomp.send("BEGIN\ntransaction:t\n\n");
        stomp.send("SEND\ndestination:/topic/a\ntransaction:t\n\ninside");
        stomp.send(&format!(
            "ACK\nid:{}\ntransaction:t\nreceipt:1\n\n",
            message.must("ack")
        ));
        stomp.receipt("1");
        go(&mut stomp);
        subscriber.subscribe("1", "/queue/a", "");
        assert_eq!(subscriber.message().text(), "kept", "{going}");
        subscriber.send("SEND\ndestination:/topic/a\n\noutside");
        assert_eq!(subscriber.message().text(), "outside", "{going}");
        subscriber.send("UNSUBSCRIBE\nid:1\nreceipt:u\n\n");
        subscriber.receipt("u");
    }
}

#[test]
fn a_transaction_that_has_begun_already_is_an_error() {
    let server = server();
    let mut stomp = client(&server);
    stomp.send("BEGIN\ntransaction:t\n\n");
    stomp.send("BEGIN\ntransaction:t\nreceipt:7\n\n");
    let (error, code) = stomp.error();
    assert_error(&error, &["transaction", "\"t\""], Some("7"));
    assert_eq!(code, 1002);
}

#[test]
fn a_transactions_name_is_free_again_when_it_has_ended_and_on_every_connection() {
    let server = server();
    let mut one = client(&server);
    let mut other = client(&server);
    for (number, end) in ["COMMIT", "ABORT", "COMMIT"].iter().enumerate() {
        for stomp in [&mut one, &mut other] {
            stomp.send(&format!("BEGIN\ntransaction:t\nreceipt:b{number}\n\n"));
            stomp.receipt(&format!("b{number}"));
        }
        for stomp in [&mut one, &mut other] {
            stomp.send(&format!("{end}\ntransaction:t\nreceipt:e{number}\n\n"));
            stomp.receipt(&format!("e{number}"));
        }
    }
    one.send("COMMIT\ntransaction:t\n\n");
    let (error, _) = one.error();
    assert_error(&error, &["transaction", "\"t\""], None);
}

#[test]
fn transactions_at_one_time_do_not_mix() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    for name in ["a", "b"] {
        stomp.send(&format!("BEGIN\ntransaction:{name}\n\n"));
    }
    for (name, text) in [("a", "a1"), ("b", "b1"), ("a", "a2")] {
        stomp.send(&format!(
            "SEND\ndestination:/topic/a\ntransaction:{name}\n\n{text}"
        ));
    }
    stomp.send("COMMIT\ntransaction:b\n\n");
    assert_eq!(stomp.message().text(), "b1");
    stomp.send("COMMIT\ntransaction:a\n\n");
    assert_eq!(stomp.message().text(), "a1");
    assert_eq!(stomp.message().text(), "a2");
}

#[test]
fn user_headers_and_content_type_survive_a_transaction() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.send("BEGIN\ntransaction:t\n\n");
    stomp.send(
        "SEND\ndestination:/topic/a\ntransaction:t\ncolour:blue\ncontent-type:text/plain\ncontent-length:3\n\n\0\0\0",
    );
    stomp.send("COMMIT\ntransaction:t\n\n");
    let message = stomp.message();
    assert_eq!(message.must("colour"), "blue");
    assert_eq!(message.must("content-type"), "text/plain");
    assert_eq!(message.body, b"\0\0\0");
}

#[test]
fn transactions_at_one_time_are_bounded() {
    let server = server_with("[stomp]\ntransactions_max = 2\n");
    let mut stomp = client(&server);
    for name in ["a", "b"] {
        stomp.send(&format!("BEGIN\ntransaction:{name}\nreceipt:{name}\n\n"));
        stomp.receipt(name);
    }
    stomp.send("ABORT\ntransaction:a\nreceipt:x\n\n");
    stomp.receipt("x");
    stomp.send("BEGIN\ntransaction:c\nreceipt:c\n\n");
    stomp.receipt("c");
    stomp.send("BEGIN\ntransaction:d\nreceipt:7\n\n");
    let (error, code) = stomp.error();
    assert_error(&error, &["2", "stomp.transactions_max"], Some("7"));
    assert_eq!(code, 1002);
}

#[test]
fn frames_of_a_transaction_are_bounded() {
    let server = server_with("[stomp]\ntransaction_frames_max = 3\n");
    let mut stomp = client(&server);
    stomp.send("BEGIN\ntransaction:t\n\n");
    for number in ["1", "2", "3"] {
        stomp.send(&format!(
            "SEND\ndestination:/topic/a\ntransaction:t\nreceipt:{number}\n\nhello"
        ));
        stomp.receipt(number);
    }
    stomp.send("SEND\ndestination:/topic/a\ntransaction:t\nreceipt:7\n\nhello");
    let (error, code) = stomp.error();
    assert_error(
        &error,
        &["\"t\"", "3", "stomp.transaction_frames_max"],
        Some("7"),
    );
    assert_eq!(code, 1002);
}

#[test]
fn bytes_of_all_transactions_are_bounded() {
    let server = server_with("[stomp]\ntransaction_bytes_max = 10000\n");
    let mut stomp = client(&server);
    let body = "x".repeat(4_000);
    for name in ["a", "b"] {
        stomp.send(&format!("BEGIN\ntransaction:{name}\n\n"));
        stomp.send(&format!(
            "SEND\ndestination:/topic/a\ntransaction:{name}\nreceipt:{name}\n\n{body}"
        ));
        stomp.receipt(name);
    }
    // What has ended counts no more.
    stomp.send("ABORT\ntransaction:a\n\n");
    stomp.send(&format!(
        "SEND\ndestination:/topic/a\ntransaction:b\nreceipt:2\n\n{body}"
    ));
    stomp.receipt("2");
    stomp.send(&format!(
        "SEND\ndestination:/topic/a\ntransaction:b\nreceipt:7\n\n{body}"
    ));
    let (error, code) = stomp.error();
    assert_error(&error, &["10000", "stomp.transaction_bytes_max"], Some("7"));
    assert_eq!(code, 1002);
}
