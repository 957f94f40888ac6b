//! SUBSCRIBE and UNSUBSCRIBE.

use crate::support::stomp::Stomp;
use crate::{assert_error, client, server, server_with};

#[test]
fn a_subscription_gets_what_is_sent_once_its_receipt_is_there() {
    let server = server();
    let mut subscribers: Vec<Stomp> = (0..20)
        .map(|_| {
            let mut stomp = client(&server);
            stomp.subscribe("0", "/topic/a", "");
            stomp
        })
        .collect();
    client(&server).publish("/topic/a", "hello");
    for stomp in &mut subscribers {
        assert_eq!(stomp.message().text(), "hello");
    }
}

#[test]
fn only_acknowledging_subscriptions_of_1_2_have_an_ack_header() {
    let server = server();
    for version in ["1.0", "1.1", "1.2"] {
        for destination in ["/topic/a", "/queue/a"] {
            for mode in ["", "ack:auto\n", "ack:client\n", "ack:client-individual\n"] {
                let mut stomp = Stomp::connect(server.addresses.public, version);
                stomp.subscribe("0", destination, mode);
                stomp.send(&format!("SEND\ndestination:{destination}\n\nhello"));
                let message = stomp.message();
                let expected = version == "1.2" && mode.contains("client");
                assert_eq!(
                    message.header("ack").is_some(),
                    expected,
                    "{version} {destination} {mode}: {message:?}"
                );
                stomp.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
                stomp.receipt("u");
                // What an acknowledging one had goes back to the queue.
                if destination == "/queue/a" && mode.contains("client") {
                    stomp.subscribe("0", destination, "");
                    assert_eq!(stomp.message().text(), "hello");
                }
            }
        }
    }
}

#[test]
fn ack_headers_of_one_connection_differ() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "ack:client\n");
    stomp.subscribe("1", "/topic/a", "ack:client\n");
    stomp.subscribe("2", "/topic/b", "ack:client-individual\n");
    let mut acks = Vec::new();
    for destination in ["/topic/a", "/topic/b", "/topic/a"] {
        stomp.send(&format!("SEND\ndestination:{destination}\n\nhello"));
        let messages = if destination == "/topic/a" { 2 } else { 1 };
        acks.extend((0..messages).map(|_| stomp.message().must("ack").to_owned()));
    }
    acks.sort();
    acks.dedup();
    assert_eq!(acks.len(), 5, "{acks:?}");
}

#[test]
fn two_subscriptions_of_one_connection_have_their_messages_each() {
    let server = server();
    let mut stomp = client(&server);
    stomp.subscribe("one", "/topic/a", "");
    stomp.subscribe("two", "/topic/a", "");
    stomp.subscribe("other", "/topic/b", "");
    stomp.send("SEND\ndestination:/topic/a\n\nhello");
    let mut heard = [stomp.message(), stomp.message()].map(|m| m.must("subscription").to_owned());
    heard.sort();
    assert_eq!(heard, ["one", "two"]);
    stomp.send("SEND\ndestination:/topic/b\n\nhello");
    assert_eq!(stomp.message().must("subscription"), "other");
}

#[test]
fn an_id_in_use_is_an_error() {
    let server = server();
    for destination in ["/topic/a", "/topic/b", "/queue/a"] {
        let mut stomp = client(&server);
        stomp.subscribe("0", "/topic/a", "");
        stomp.send(&format!(
            "SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:7\n\n"
        ));
        let (error, code) = stomp.error();
        assert_error(&error, &["subscription", "\"0\""], Some("7"));
        assert_eq!(code, 1002);
    }
}

#[test]
fn an_id_in_use_whose_subscription_is_not_confirmed_yet_is_an_error() {
    let server = server();
    let mut stomp = client(&server);
    stomp.send_text(
        b"SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/b\nreceipt:7\n\n\0",
    );
    let (error, code) = stomp.error();
    assert_error(&error, &["subscription", "\"0\""], Some("7"));
    assert_eq!(code, 1002);
}

#[test]
fn the_same_id_on_another_connection_is_another_subscription() {
    let server = server();
    let mut one = client(&server);
    let mut other = client(&server);
    one.subscribe("0", "/topic/a", "");
    other.subscribe("0", "/topic/b", "");
    other.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
    other.receipt("u");
    other.publish("/topic/a", "hello");
    assert_eq!(one.message().text(), "hello");
    other.assert_undisturbed();
}

#[test]
fn nothing_comes_after_the_receipt_of_unsubscribe() {
    let server = server();
    let mut sender = client(&server);
    for (destination, mode) in [
        ("/topic/a", ""),
        ("/topic/a", "ack:client\n"),
        ("/queue/a", ""),
    ] {
        let mut stomp = client(&server);
        stomp.subscribe("0", destination, mode);
        sender.send(&format!("SEND\ndestination:{destination}\n\nbefore"));
        assert_eq!(stomp.message().text(), "before");
        stomp.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
        stomp.receipt("u");
        sender.publish(destination, "after");
        stomp.subscribe("1", "/topic/other", "");
        sender.publish("/topic/other", "other");
        assert_eq!(stomp.message().must("subscription"), "1");
    }
}

#[test]
fn an_id_is_free_again_after_unsubscribe() {
    let server = server();
    let mut stomp = client(&server);
    for destination in ["/topic/a", "/topic/b", "/queue/a", "/topic/a"] {
        stomp.subscribe("0", destination, "");
        stomp.send(&format!("SEND\ndestination:{destination}\n\nhello"));
        assert_eq!(stomp.message().must("destination"), destination);
        stomp.send("UNSUBSCRIBE\nid:0\nreceipt:u\n\n");
        stomp.receipt("u");
    }
}

#[test]
fn a_subscription_that_was_never_confirmed_can_be_ended() {
    let server = server();
    let mut stomp = client(&server);
    stomp.send_text(
        b"SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:s\n\n\0UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0",
    );
    stomp.receipt("s");
    stomp.receipt("u");
    stomp.publish("/topic/a", "not heard");
    stomp.assert_undisturbed();
}

#[test]
fn in_1_0_a_subscription_without_id_is_known_by_its_destination() {
    let server = server();
    let mut stomp = Stomp::connect(server.addresses.public, "1.0");
    stomp.send("SUBSCRIBE\ndestination:/topic/a\nreceipt:s\n\n");
    stomp.receipt("s");
    stomp.send("SEND\ndestination:/topic/a\n\nhello");
    assert_eq!(stomp.message().must("destination"), "/topic/a");
    stomp.send("UNSUBSCRIBE\ndestination:/topic/a\nreceipt:u\n\n");
    stomp.receipt("u");
    stomp.publish("/topic/a", "not heard");
}

#[test]
fn a_subscription_that_cannot_be_made_is_an_error_and_the_end() {
    let server = server_with("[limits]\nsubscriptions_max = 2\n");
    let mut stomp = client(&server);
    stomp.subscribe("0", "/topic/a", "");
    stomp.subscribe("1", "/queue/a", "");
    stomp.send("SUBSCRIBE\nid:2\ndestination:/topic/b\nreceipt:7\n\n");
    let (error, code) = stomp.error();
    assert_error(&error, &["subscriptions"], Some("7"));
    assert_eq!(code, 1008);
}
