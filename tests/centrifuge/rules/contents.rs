//! What payloads become as `data`.

use crate::support::Message;
use crate::support::wire::Said;
use crate::support::wire::Socket;
use crate::{client, server};
use serde_json::json;

/// The text of the push that a payload becomes.
fn push_of(payload: &str) -> String {
    let server = server();
    let mut socket = Socket::open(server.addresses.public, crate::support::centrifuge::PATH);
    socket.send_text("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
    let mut said = String::new();
    while !said.contains("subscribe") {
        said = text(&mut socket);
    }
    server.http().publish("a", payload);
    text(&mut socket)
}

fn text(socket: &mut Socket) -> String {
    match socket.next() {
        Said::Message(Message::Text(text)) => text,
        other => panic!("a text is expected, not {other:?}"),
    }
}

#[test]
fn json_is_handed_on_byte_for_byte() {
    for payload in [
        r#"{ "n" : 1.10, "e": 1E400, "s": "\u00e9\/" }"#,
        "12345678901234567890123456789012",
        " [ ] ",
    ] {
        assert_eq!(
            push_of(payload),
            format!(r#"{{"push":{{"channel":"a","pub":{{"data":{payload},"offset":1}}}}}}"#)
        );
    }
}

#[test]
fn line_ends_between_the_tokens_of_json_become_blanks() {
    assert_eq!(
        push_of("{\r\n \"a\": 1\n}\n"),
        r#"{"push":{"channel":"a","pub":{"data":{   "a": 1 } ,"offset":1}}}"#
    );
}

#[test]
fn other_texts_are_strings_and_bytes_are_base64() {
    let server = server();
    let mut http = server.http();
    let mut client = client(&server);
    client.subscribe("a");
    for text in ["", "hello", "two\nlines", "{\"a\":", "\"", "01", "\u{1}é"] {
        http.publish("a", text);
        assert_eq!(client.publication("a")["data"], text);
    }
    http.publish_binary("a", b"{\"a\":1}");
    assert_eq!(client.publication("a")["data"], "eyJhIjoxfQ==");
    http.publish_binary("a", &[0xff, 0, 1]);
    assert_eq!(client.publication("a")["data"], "/wAB");
}

#[test]
fn headers_of_stomp_are_tags() {
    let server = server();
    let mut client = client(&server);
    client.subscribe("a");
    let mut stomp = crate::support::stomp::Stomp::connect(server.addresses.public, "1.2");
    stomp.send("SEND\ndestination:/topic/a\nx:1\nx:2\na\\cb:c\\nd\n\nhello");
    assert_eq!(
        client.publication("a"),
        json!({ "data": "hello", "offset": 1, "tags": { "x": "1", "a:b": "c\nd" } })
    );
}

#[test]
fn long_payloads_arrive_whole_compressed_or_not() {
    let server = server();
    let mut client = client(&server);
    client.subscribe("a");
    let long = "lang ".repeat(10_000);
    server.http().publish("a", &long);
    assert_eq!(client.publication("a")["data"], long);
}
