//! The connect command, and who may say what before it.

use serde_json::json;

use crate::support::DEADLINE;
use crate::support::centrifuge::Centrifuge;
use crate::{client, server, server_with};

#[test]
fn connect_is_replied_to_with_the_client_the_version_and_the_interval_of_pings() {
    let server = server();
    let members = json!({ "name": "test", "version": "1", "data": { "any": 1 }, "headers": {} });
    let (_, first) = Centrifuge::connect_with(server.addresses.public, members);
    let (_, second) = Centrifuge::connect_with(server.addresses.public, json!({}));
    for connected in [&first, &second] {
        assert!(
            !connected["client"].as_str().unwrap().is_empty(),
            "{connected}"
        );
        assert!(
            connected["version"]
                .as_str()
                .unwrap()
                .starts_with("pushring")
        );
        assert_eq!(
            (&connected["ping"], &connected["pong"]),
            (&json!(25), &json!(true))
        );
        assert_eq!(connected.get("subs"), None);
        assert_eq!(connected.get("expires"), None);
    }
    assert_ne!(first["client"], second["client"]);
}

#[test]
fn commands_may_follow_connect_in_the_same_message() {
    let server = server();
    let mut client = Centrifuge::open(server.addresses.public);
    client.say(
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n{\"id\":3,\"publish\":{\"channel\":\"a\",\"data\":1}}\n",
    );
    assert!(client.reply(1).get("connect").is_some());
    assert!(client.reply(2).get("subscribe").is_some());
    assert!(client.reply(3).get("publish").is_some());
    assert_eq!(client.publication("a")["data"], 1);
}

#[test]
fn a_binary_message_says_the_same() {
    let server = server();
    let mut client = Centrifuge::open(server.addresses.public);
    client.say_frame(0x82, b"{\"id\":7,\"connect\":{}}");
    assert!(client.reply(7).get("connect").is_some());
}

#[test]
fn nothing_may_be_said_before_connect() {
    let server = server();
    for command in [
        r#"{"id":1,"subscribe":{"channel":"a"}}"#,
        r#"{"id":1,"publish":{"channel":"a","data":1}}"#,
        r#"{"send":{"data":1}}"#,
        "{}",
    ] {
        let mut client = Centrifuge::open(server.addresses.public);
        client.say(command);
        let (code, reason) = client.closed();
        assert_eq!(code, 3501, "{command}: {reason}");
        assert!(reason.starts_with("bad request: "), "{reason}");
    }
}

#[test]
fn connecting_twice_breaks_the_protocol() {
    let server = server();
    let mut client = client(&server);
    client.command("connect", json!({}));
    assert_eq!(client.closed().0, 3501);
}

#[test]
fn who_does_not_connect_in_time_is_closed_as_stale() {
    let server = server_with("[centrifuge]\nconnect_ms = 100\n");
    let mut silent = Centrifuge::open(server.addresses.public);
    assert_eq!(silent.closed(), (3502, "stale".to_owned()));
    // Who has connected is left alone.
    let mut client = client(&server);
    let mut late = Centrifuge::open(server.addresses.public);
    assert_eq!(late.closed().0, 3502);
    client.assert_undisturbed();
}

#[test]
fn tokens_are_not_looked_at_where_none_are_taken() {
    let server = server();
    let members = json!({ "token": "a.b.c" });
    let (mut client, connected) = Centrifuge::connect_with(server.addresses.public, members);
    assert_eq!(connected.get("expires"), None);
    client.call("subscribe", json!({ "channel": "news", "token": "a.b.c" }));
    client.publish("news", json!(1));
    assert_eq!(client.publication("news")["info"]["user"], "");
}

#[test]
fn a_server_that_ends_says_so_and_the_client_comes_back() {
    let server = server_with("[timeouts]\ndrain_ms = 50\n");
    let mut client = client(&server);
    client.subscribe("a");
    let mut new = Centrifuge::open(server.addresses.public);
    let mut server = server;
    server.signal("TERM");
    assert_eq!(client.closed(), (3001, "shutdown".to_owned()));
    assert_eq!(new.closed().0, 3001);
    server.wait_for_exit(DEADLINE);
}

#[test]
fn a_message_that_is_too_long_is_closed_in_the_words_of_websocket() {
    let server = server_with("[centrifuge]\ncommands_bytes_max = 70000\n");
    let mut client = client(&server);
    client.say(&format!("{{\"send\":\"{}\"}}", "x".repeat(70_000)));
    assert_eq!(client.closed().0, 1009);
}
