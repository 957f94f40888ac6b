//! CONNECT, CONNECTED, the versions, and going.

use crate::support::stomp::{Heard, PROTOCOLS, Stomp};
use crate::{assert_error, client, server};

#[test]
fn stomp_is_handled_as_connect_is() {
    let server = server();
    for version in ["1.1", "1.2"] {
        let answers = ["CONNECT", "STOMP"].map(|command| {
            let mut stomp = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
            stomp.send(&format!(
                "{command}\naccept-version:{version}\nhost:/\nlogin:ann\nheart-beat:20000,30000\n\n"
            ));
            let mut connected = stomp.frame();
            connected.headers.retain(|(name, _)| name != "session");
            stomp.publish("/topic/a", "hello");
            connected
        });
        assert_eq!(answers[0].command, "CONNECTED");
        assert_eq!(answers[0].must("version"), version);
        assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn the_highest_common_version_is_spoken() {
    let server = server();
    for (accepted, spoken) in [
        ("1.0", "1.0"),
        ("1.1", "1.1"),
        ("1.2", "1.2"),
        ("1.0,1.1,1.2", "1.2"),
        ("1.2,1.1,1.0", "1.2"),
        ("1.0,1.1", "1.1"),
        ("1.0,1.1,2.0", "1.1"),
        ("1.2,1.3,9.9", "1.2"),
    ] {
        let mut stomp = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
        stomp.send(&format!("CONNECT\naccept-version:{accepted}\nhost:/\n\n"));
        let connected = stomp.frame();
        assert_eq!(connected.command, "CONNECTED", "{accepted}");
        assert_eq!(connected.must("version"), spoken, "{accepted}");
    }
}

#[test]
fn without_accept_version_it_is_1_0() {
    let server = server();
    let mut stomp = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
    stomp.send("CONNECT\n\n");
    assert_eq!(stomp.frame().must("version"), "1.0");
    // No escapes, and no id.
    stomp.send("SUBSCRIBE\ndestination:/topic/a\nreceipt:1\n\n");
    stomp.receipt("1");
    stomp.send("SEND\ndestination:/topic/a\npath:C:\\temp\n\nhello");
    assert_eq!(stomp.message().must("path"), "C:\\temp");
}

#[test]
fn no_common_version_is_an_error_that_lists_the_versions() {
    let server = server();
    for accepted in ["2.0", "", "latest", "1", "1.20"] {
        let mut stomp = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
        stomp.send(&format!(
            "CONNECT\naccept-version:{accepted}\nhost:/\nreceipt:7\n\n"
        ));
        let (error, code) = stomp.error();
        assert_error(&error, &["version", accepted], Some("7"));
        assert_eq!(error.must("version"), "1.0,1.1,1.2");
        for version in ["1.0", "1.1", "1.2"] {
            assert!(error.text().contains(version), "{error:?}");
        }
        assert_eq!(code, 1002);
    }
}

#[test]
fn only_that_error_lists_the_versions() {
    let server = server();
    let mut stomp = client(&server);
    stomp.send("HELLO\n\n");
    assert_eq!(stomp.error().0.header("version"), None);
}

#[test]
fn connected_has_a_version_a_session_and_a_server_but_no_body() {
    let server = server();
    let (_one, first) = Stomp::connect_with(server.addresses.public, "1.2", "");
    let (_other, second) = Stomp::connect_with(server.addresses.public, "1.2", "");
    assert_eq!(first.must("version"), "1.2");
    assert_ne!(first.must("session"), second.must("session"));
    let (name, version) = first.must("server").split_once('/').unwrap();
    assert_eq!(name, "pushring");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(first.body.is_empty());
}

#[test]
fn connect_has_no_escapes() {
    let server = server();
    let lines = "login:DOMAIN\\tom\nwhat:ever\\\n";
    let (_stomp, connected) = Stomp::connect_with(server.addresses.public, "1.2", lines);
    assert_eq!(connected.command, "CONNECTED");
    if let Some(user) = connected.header("user-name") {
        assert_eq!(user, "DOMAIN\\tom", "nor has CONNECTED");
    }
}

#[test]
fn both_paths_and_every_offer_of_subprotocols_lead_to_stomp() {
    let server = server();
    for path in ["/stomp", "/ws"] {
        for (offered, chosen) in [
            ("v10.stomp, v11.stomp, v12.stomp", Some("v12.stomp")),
            ("v12.stomp, v11.stomp, v10.stomp", Some("v12.stomp")),
            ("v10.stomp, v11.stomp", Some("v11.stomp")),
            ("v10.stomp", Some("v10.stomp")),
            ("mqtt, v11.stomp", Some("v11.stomp")),
            ("mqtt", None),
            ("", None),
        ] {
            let (mut stomp, answer) = Stomp::open(server.addresses.public, path, offered);
            let said = answer.header("sec-websocket-protocol");
            assert_eq!(said, chosen, "{path} {offered}");
            stomp.send("CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\n\n");
            assert_eq!(stomp.frame().command, "CONNECTED", "{path} {offered}");
        }
    }
}

#[test]
fn the_receipt_of_disconnect_comes_after_all_others_and_then_close_1000() {
    let server = server();
    let mut stomp = client(&server);
    let mut frames = String::new();
    for number in 0..50 {
        frames += &format!("SEND\ndestination:/topic/t{number}\nreceipt:{number}\n\nhello\0");
    }
    frames += "DISCONNECT\nreceipt:bye\n\n\0";
    stomp.send_text(frames.as_bytes());
    let mut receipts: Vec<String> = (0..51)
        .map(|_| stomp.frame().must("receipt-id").to_owned())
        .collect();
    assert_eq!(receipts.pop().as_deref(), Some("bye"));
    receipts.sort_by_key(|id| id.parse::<u32>().unwrap());
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(receipts, expected);
    assert_eq!(stomp.close_code(), 1000);
}

#[test]
fn disconnect_without_a_receipt_is_a_close_1000() {
    let server = server();
    let mut stomp = client(&server);
    stomp.send("DISCONNECT\n\n");
    assert_eq!(stomp.close_code(), 1000);
}

#[test]
fn nothing_behind_disconnect_counts() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("0", "/topic/a", "");
    let mut leaving = client(&server);
    leaving.send_text(b"DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/topic/a\n\nbehind\0");
    leaving.receipt("bye");
    assert_eq!(leaving.close_code(), 1000);
    subscriber.send("SEND\ndestination:/topic/a\n\nafter");
    assert_eq!(subscriber.message().text(), "after");
}

#[test]
fn frames_received_before_the_connection_is_lost_are_processed() {
    let server = server();
    let mut subscriber = client(&server);
    subscriber.subscribe("0", "/topic/a", "");
    let mut lost = client(&server);
    lost.send("SEND\ndestination:/topic/a\n\nlast words");
    lost.close();
    assert_eq!(subscriber.message().text(), "last words");
}

#[test]
fn clients_that_connect_and_disconnect_rapidly_get_their_receipts() {
    let server = server();
    for number in 0..300 {
        let mut stomp = Stomp::open(server.addresses.public, "/stomp", PROTOCOLS).0;
        let frames = format!(
            "CONNECT\naccept-version:1.2\nhost:/\n\n\0DISCONNECT\nreceipt:bye {number}\n\n\0"
        );
        stomp.send_text(frames.as_bytes());
        assert_eq!(stomp.frame().command, "CONNECTED");
        stomp.receipt(&format!("bye {number}"));
        assert!(matches!(
            stomp.next(),
            Heard::Closed {
                code: Some(1000),
                ..
            }
        ));
    }
}
