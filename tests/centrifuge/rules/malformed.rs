//! What breaks the protocol closes the connection with code 3501, and nobody else notices.

use serde_json::json;

use crate::{client, server};

#[test]
fn a_line_that_is_no_command_closes_the_connection_and_what_stands_before_it_counts() {
    let server = server();
    let mut witness = client(&server);
    witness.subscribe("a");
    for bad in [
        "x",
        "[]",
        "null",
        "{\"id\":9,\"publish\":{\"channel\":\"a\",\"data\":01}}",
        "{\"id\":9,\"publish\":{\"channel\":7,\"data\":1}}",
        "{\"id\":-9,\"rpc\":{}}",
        "{\"id\":4294967296,\"rpc\":{}}",
        "{\"id\":9,\"fly\":{}}",
        "{\"rpc\":{}}",
        "{\"id\":9,\"rpc\":{}",
    ] {
        let mut client = client(&server);
        client.say(&format!(
            "{{\"id\":2,\"publish\":{{\"channel\":\"a\",\"data\":\"before\"}}}}\n{bad}\n{{\"id\":3,\"publish\":{{\"channel\":\"a\",\"data\":\"behind\"}}}}"
        ));
        let (code, reason) = client.closed();
        assert_eq!(code, 3501, "{bad}: {reason}");
        assert!(reason.starts_with("bad request: "), "{bad}: {reason}");
        assert_eq!(witness.publication("a")["data"], "before", "{bad}");
    }
    witness.assert_undisturbed();
}

#[test]
fn text_that_is_no_utf8_is_closed_in_the_words_of_websocket() {
    let server = server();
    let mut client = client(&server);
    client.say_bytes(b"{\"id\":2,\"publish\":{\"channel\":\"a\",\"data\":\"\xff\"}}");
    assert_eq!(client.closed().0, 1007);
}

#[test]
fn commands_that_name_no_channel_close_the_connection() {
    let server = server();
    for command in [
        "subscribe",
        "unsubscribe",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "sub_refresh",
    ] {
        for members in [
            json!({}),
            json!({ "channel": "" }),
            json!({ "channel": null }),
        ] {
            let mut client = client(&server);
            client.command(command, members);
            let (code, reason) = client.closed();
            assert_eq!(code, 3501, "{command}: {reason}");
            assert!(reason.contains(command), "{command}: {reason}");
        }
    }
}

#[test]
fn channels_that_are_none_are_bad_requests() {
    let server = server();
    let mut client = client(&server);
    let long = "x".repeat(256);
    for channel in ["a\nb", "\u{0}", &*long] {
        for command in ["subscribe", "publish", "presence", "history"] {
            let (code, message) = client.error(command, json!({ "channel": channel, "data": 1 }));
            assert_eq!(code, 107, "{command} {channel:?}");
            assert!(
                message.starts_with("bad request: the channel name"),
                "{message}"
            );
        }
    }
    client.assert_undisturbed();
}

#[test]
fn what_there_is_not_is_said_to_be_not_there() {
    let server = server();
    let mut client = client(&server);
    assert_eq!(
        client.error("rpc", json!({ "method": "a", "data": {} })).0,
        104
    );
    assert_eq!(client.error("ping", json!({})).0, 108);
    assert_eq!(
        client
            .error("subscribe", json!({ "channel": "a", "type": 1 }))
            .0,
        108
    );
    let filter = json!({ "key": "a", "cmp": "eq", "val": "b" });
    assert_eq!(
        client
            .error("subscribe", json!({ "channel": "a", "tf": filter }))
            .0,
        108
    );
    let map = json!({ "channel": "a", "data": 1, "type": 1, "key": "k" });
    assert_eq!(client.error("publish", map).0, 108);
    // It is not replied to, so it closes the connection.
    client.say("{\"send\":{\"data\":1}}");
    assert_eq!(client.closed(), (3508, "not available".to_owned()));
}

#[test]
fn refreshing_what_does_not_expire_breaks_the_protocol() {
    let server = server();
    for (command, members) in [
        ("refresh", json!({})),
        ("refresh", json!({ "token": "a.b.c" })),
    ] {
        let mut client = client(&server);
        client.command(command, members);
        assert_eq!(client.closed().0, 3501, "{command}");
    }
    let mut client = client(&server);
    let refresh = json!({ "channel": "a", "token": "a.b.c" });
    assert_eq!(client.error("sub_refresh", refresh.clone()).0, 103);
    client.subscribe("a");
    client.command("sub_refresh", refresh);
    assert_eq!(client.closed().0, 3501);
}
