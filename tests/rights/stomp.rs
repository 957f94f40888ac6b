//! STOMP: what SUBSCRIBE and SEND may do, and how a session ends whose token expires.

use serde_json::json;

use super::{assert_counted, guarded, may, short_lived, wait_for_expired};
use crate::support::server::Server;
use crate::support::stomp::{Frame, Stomp};
use crate::support::token::{taken_for_ms, token};

/// A client that connects with that token.
pub fn client(server: &Server, token: &str) -> Stomp {
    let lines = format!("token:{token}\n");
    Stomp::connect_with(server.addresses.public, "1.2", &lines).0
}

/// Asserts that the ERROR says this, names the receipt, and is followed by that close.
pub fn assert_error(stomp: &mut Stomp, says: &[&str], receipt: Option<&str>, code: u16) -> Frame {
    let (error, closed) = stomp.error();
    let message = error.unescaped("message");
    for part in says {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert_eq!(error.header("receipt-id"), receipt, "{error:?}");
    assert!(!error.body.is_empty(), "what to do: {error:?}");
    assert_eq!(closed, code, "{error:?}");
    error
}

/// Frames that only a client with the right may send: SUBSCRIBE to a destination, SEND to it, and the same SEND in a
/// transaction.
fn subscribe(destination: &str) -> String {
    format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:r\n\n")
}

fn send(destination: &str) -> String {
    format!("SEND\ndestination:{destination}\nreceipt:r\n\nhello")
}

fn send_in_transaction(destination: &str) -> String {
    format!("SEND\ndestination:{destination}\ntransaction:t\nreceipt:r\n\nhello")
}

#[test]
fn what_a_token_does_not_allow_is_an_error_that_names_destination_and_receipt() {
    let server = guarded();
    let token = may(&["read", "prices.usd", "closed:*"], &["write", "closed:*"]);
    let mut closed = 0;
    for destination in [
        "/topic/write",
        "/queue/write",
        "/topic/closed:a",
        "/queue/closed:a",
        "/topic/prices.*",
        "/topic/prices.>",
        "/topic/>",
    ] {
        let mut stomp = client(&server, &token);
        stomp.send(&subscribe(destination));
        let says = ["SUBSCRIBE", destination];
        assert_error(&mut stomp, &says, Some("r"), 1008);
        closed += 1;
    }
    for destination in [
        "/topic/read",
        "/queue/read",
        "/topic/closed:a",
        "/topic/read:a",
        "/user/bob/news",
    ] {
        for frame in [send(destination), send_in_transaction(destination)] {
            let mut stomp = client(&server, &token);
            stomp.send("BEGIN\ntransaction:t\n\n");
            stomp.send(&frame);
            assert_error(&mut stomp, &["SEND", destination], Some("r"), 1008);
            closed += 1;
        }
    }
    assert_counted(&server, 0, closed);
}

#[test]
fn what_a_token_allows_is_done() {
    let server = guarded();
    let token = may(
        &["read", "prices.*", "jobs"],
        &["read", "prices.usd", "jobs"],
    );
    let mut stomp = client(&server, &token);
    for (id, destination) in [
        ("0", "/topic/read"),
        ("1", "/topic/prices.*"),
        ("2", "/queue/jobs"),
        ("3", "/topic/open:a"),
    ] {
        stomp.subscribe(id, destination, "");
    }
    for (id, destination) in [
        ("0", "/topic/read"),
        ("1", "/topic/prices.usd"),
        ("2", "/queue/jobs"),
        ("3", "/topic/open:a"),
    ] {
        stomp.publish_among(destination, "hello");
        let message = stomp.message();
        assert_eq!(message.must("subscription"), id);
        assert_eq!(message.unescaped("destination"), destination);
    }
    stomp.send("BEGIN\ntransaction:t\n\n");
    stomp.send("SEND\ndestination:/topic/read\ntransaction:t\n\nlater");
    stomp.send("COMMIT\ntransaction:t\nreceipt:done\n\n");
    stomp.receipt_among("done");
    assert_eq!(stomp.message().text(), "later");
}

#[test]
fn without_a_token_there_is_what_is_for_anyone() {
    let server = guarded();
    let connect = || Stomp::connect(server.addresses.public, "1.2");
    let mut stomp = connect();
    stomp.subscribe("0", "/topic/open:a", "");
    stomp.subscribe("1", "/topic/read:a", "");
    stomp.subscribe("2", "/queue/open:a", "");
    stomp.publish_among("/topic/open:a", "topic");
    assert_eq!(stomp.message().text(), "topic");
    stomp.publish_among("/queue/open:a", "queue");
    assert_eq!(stomp.message().text(), "queue");
    for frame in [
        subscribe("/topic/news"),
        subscribe("/queue/news"),
        subscribe("/topic/prices.*"),
        send("/topic/news"),
        send("/queue/news"),
        send("/user/ann/news"),
    ] {
        let mut stomp = connect();
        stomp.send(&frame);
        assert_error(&mut stomp, &["needs a token"], Some("r"), 1008);
    }
    for frame in [send("/topic/read:a"), send("/queue/closed:a")] {
        let mut stomp = connect();
        stomp.send(&frame);
        assert_error(&mut stomp, &["no client may"], Some("r"), 1008);
    }
}

#[test]
fn a_subscription_token_lets_its_user_into_its_channel() {
    let server = guarded();
    let lines = format!("token:{}\n", may(&[], &[]));
    let connect = || Stomp::connect_with(server.addresses.public, "1.2", &lines);
    for (claims, says, code) in [
        (
            json!({ "sub": "ann", "channel": "other" }),
            "another channel",
            1008,
        ),
        (
            json!({ "sub": "bob", "channel": "room" }),
            "another user",
            1008,
        ),
        (
            json!({ "sub": "ann", "channel": "room", "client": "0-0-0" }),
            "another connection",
            1008,
        ),
        (
            json!({ "sub": "ann", "channel": "room", "exp": taken_for_ms(0) }),
            "has expired",
            4401,
        ),
        (
            json!({ "sub": "ann", "subscribe": ["room"] }),
            "channel",
            1008,
        ),
    ] {
        let (mut stomp, _) = connect();
        let token = token(&claims);
        stomp.send(&format!(
            "SUBSCRIBE\nid:0\ndestination:/topic/room\ntoken:{token}\nreceipt:r\n\n"
        ));
        assert_error(&mut stomp, &["/topic/room", says], Some("r"), code);
    }
    let (mut stomp, connected) = connect();
    let session = connected.must("session");
    let own = token(&json!({ "sub": "ann", "channel": "room", "client": session }));
    stomp.subscribe("0", "/topic/room", &format!("token:{own}\n"));
    let any = token(&json!({ "sub": "ann", "channel": "jobs" }));
    stomp.subscribe("1", "/queue/jobs", &format!("token:{any}\n"));
    server.http().publish("room", "hello");
    assert_eq!(stomp.message().text(), "hello");
}

#[test]
fn a_session_ends_with_an_error_when_its_token_expires() {
    let server = guarded();
    let mut short = client(&server, &short_lived(4_000));
    let mut listening = client(&server, &short_lived(4_000));
    listening.subscribe("0", "/topic/news", "ack:client\n");
    let mut lasting = client(&server, &may(&["news"], &["news"]));
    lasting.subscribe("0", "/topic/news", "");
    for stomp in [&mut short, &mut listening] {
        assert_error(stomp, &["the token has expired"], None, 4401);
    }
    wait_for_expired(&server, 2);
    lasting.publish_among("/topic/news", "to who is left");
    assert_eq!(lasting.message().text(), "to who is left");
}

#[test]
fn a_session_ends_when_the_token_of_a_subscription_expires_that_it_still_has() {
    let server = guarded();
    let short = |channel: &str| {
        let claims = json!({ "sub": "ann", "channel": channel, "exp": taken_for_ms(4_000) });
        format!("token:{}\n", token(&claims))
    };
    let mut wise = client(&server, &may(&["news"], &["news"]));
    let mut other = client(&server, &may(&[], &[]));
    wise.subscribe("short", "/topic/room", &short("room"));
    wise.send("UNSUBSCRIBE\nid:short\nreceipt:gone\n\n");
    wise.receipt("gone");
    other.subscribe("short", "/topic/room", &short("room"));
    assert_error(&mut other, &["\"short\" has expired"], None, 4401);
    wait_for_expired(&server, 1);
    wise.assert_undisturbed();
    wise.subscribe("0", "/topic/news", "");
}
