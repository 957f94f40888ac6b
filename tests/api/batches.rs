//! `batch`.

use serde_json::{Value, json};

use super::{assert_is_error, server, server_with, subscriber};
use crate::support::http::Http;

fn batch(http: &mut Http, body: &str) -> Vec<Value> {
    let answer = http.api("batch", body);
    let replies = answer["replies"].as_array().cloned();
    replies.unwrap_or_else(|| panic!("no replies: {answer}"))
}

#[test]
fn a_batch_is_answered_in_the_order_of_its_commands_whether_parallel_or_not() {
    for parallel in [false, true] {
        let server = server();
        let mut http = server.http();
        let mut subscribed = subscriber(&server, "c0");
        let commands: Vec<_> = (0..300)
            .map(|index| match index % 3 {
                0 => json!({ "publish": { "channel": format!("c{index}"), "data": index } }),
                1 => json!({ "broadcast": { "channels": ["b", format!("c{index}")], "data": 0 } }),
                _ => json!({ "channels": { "pattern": "c0" } }),
            })
            .collect();
        let body = json!({ "parallel": parallel, "commands": commands }).to_string();
        let replies = batch(&mut http, &body);
        assert_eq!(replies.len(), 300);
        for (index, reply) in replies.iter().enumerate() {
            match index % 3 {
                0 => assert_eq!(reply["publish"]["offset"], 1, "{index}: {reply}"),
                1 => {
                    let responses = reply["broadcast"]["responses"].as_array();
                    assert_eq!(responses.map(Vec::len), Some(2), "{index}: {reply}");
                    if !parallel {
                        let offset = &reply["broadcast"]["responses"][0]["result"]["offset"];
                        assert_eq!(*offset, index / 3 + 1, "one after the other");
                    }
                }
                _ => {
                    let clients = &reply["channels"]["channels"]["c0"]["num_clients"];
                    assert_eq!(*clients, 1, "{index}: {reply}");
                }
            }
        }
        assert_eq!(subscribed.message().text(), "0");
    }
}

#[test]
fn data_stays_as_it_is_in_a_batch() {
    let server = server();
    let mut subscribed = subscriber(&server, "exact");
    let data = r#"{ "a" :  1.10, "data": "}]", "commands": [1e400 ] }"#;
    let body = format!(
        r#"{{ "commands" : [ {{ "publish" : {{"data": {data} , "channel":"exact"}} }} ] }}"#
    );
    let replies = batch(&mut server.http(), &body);
    assert_eq!(replies[0]["publish"]["offset"], 1, "{replies:?}");
    assert_eq!(subscribed.message().text(), data);
}

#[test]
fn a_command_that_fails_has_its_error_and_the_others_go_on() {
    let server = server();
    let commands = [
        (r#"{"publish":{"channel":"a","data":1}}"#, None),
        (
            r#"{"publish":{"channel":"a"}}"#,
            Some((107, "\"data\" is missing")),
        ),
        (
            r#"{"publish":{"channel":"","data":1}}"#,
            Some((107, "channel name is empty")),
        ),
        (r#"{"rpc":{}}"#, Some((104, "method not found"))),
        (
            r#"{"batch":{"commands":[]}}"#,
            Some((104, "method not found")),
        ),
        ("{}", Some((107, "one of publish"))),
        ("5", Some((107, "one of publish"))),
        (
            r#"{"publish":{"channel":"a","data":1},"info":{}}"#,
            Some((107, "one method")),
        ),
        (r#"{"publish":[]}"#, Some((107, "bad request"))),
        (r#"{"publish":{"channel":"a","data":2}}"#, None),
    ];
    let texts: Vec<_> = commands.iter().map(|(text, _)| *text).collect();
    let body = format!(r#"{{"commands":[{}]}}"#, texts.join(","));
    let replies = batch(&mut server.http(), &body);
    assert_eq!(replies.len(), commands.len());
    for (reply, (command, error)) in replies.iter().zip(commands) {
        match error {
            Some((code, says)) => assert_is_error(reply, code, says),
            None => assert!(reply["publish"]["offset"].is_u64(), "{command}: {reply}"),
        }
    }
    assert_eq!(replies[9]["publish"]["offset"], 2);
}

#[test]
fn a_batch_may_be_larger_than_a_message_and_has_10000_commands_at_the_most() {
    let server = server_with("[limits]\nmessage_bytes_max = 1000\n");
    let mut http = server.http();
    let commands = |count| {
        let command = json!({ "publish": { "channel": "a", "data": "x".repeat(900) } });
        json!({ "commands": vec![command; count] }).to_string()
    };
    let replies = batch(&mut http, &commands(1_000));
    assert_eq!(replies[999]["publish"]["offset"], 1_000);
    let answer = http.api("batch", &commands(10_001));
    assert_is_error(&answer, 106, "at most 10000 commands");
    assert_eq!(batch(&mut http, r#"{"commands":[]}"#), [Value::Null; 0]);
}
