//! `history`, `history_remove`, `presence` and `presence_stats`.

use serde_json::{Value, json};

use super::publishing::HISTORY;
use super::{assert_error, result, server_with};
use crate::support::http::Http;

/// Publishes numbers to `log:a`: the epoch.
fn publish(http: &mut Http, numbers: std::ops::RangeInclusive<u64>) -> String {
    let mut epoch = Value::Null;
    for number in numbers {
        let body = json!({ "channel": "log:a", "data": number }).to_string();
        epoch = result(http, "publish", &body)["epoch"].take();
    }
    epoch.as_str().unwrap().to_owned()
}

/// The data of the publications in a history, which must stand at that offset.
fn history(http: &mut Http, parameters: Value, offset: u64) -> Vec<u64> {
    let mut body = json!({ "channel": "log:a" });
    for (name, value) in parameters.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = result(http, "history", &body.to_string());
    assert_eq!(answer["offset"], offset, "{answer}");
    assert!(answer["epoch"].is_string(), "{answer}");
    let publications = answer["publications"].as_array().unwrap();
    for publication in publications {
        // What they say is their number.
        assert_eq!(publication["data"], publication["offset"], "{answer}");
    }
    publications
        .iter()
        .map(|one| one["data"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_history_is_given_whole_in_parts_and_backwards() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    let epoch = publish(&mut http, 1..=12);
    let since = |offset: u64| json!({ "offset": offset, "epoch": epoch });
    let mut history = |parameters| history(&mut http, parameters, 12);
    assert_eq!(history(json!({})), [0; 0], "only the place without a limit");
    assert_eq!(history(json!({ "limit": 0 })), [0; 0]);
    assert_eq!(history(json!({ "limit": -1 })), Vec::from_iter(3..=12));
    assert_eq!(history(json!({ "limit": 2 })), [3, 4]);
    assert_eq!(history(json!({ "limit": 2, "reverse": true })), [12, 11]);
    assert_eq!(history(json!({ "limit": 2, "since": since(9) })), [10, 11]);
    assert_eq!(history(json!({ "limit": -1, "since": since(12) })), [0; 0]);
    let back = json!({ "limit": 2, "since": since(9), "reverse": true });
    assert_eq!(history(back), [8, 7]);
    let any_epoch = json!({ "limit": -1, "since": { "offset": 10, "epoch": "" } });
    assert_eq!(history(any_epoch), [11, 12]);
}

#[test]
fn a_place_of_another_stream_is_unrecoverable() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    publish(&mut http, 1..=3);
    for epoch in ["1", "x", "ffffffffffffffffff"] {
        let since = json!({ "offset": 1, "epoch": epoch });
        let body = json!({ "channel": "log:a", "limit": 5, "since": since }).to_string();
        assert_error(&mut http, "history", &body, 112, "unrecoverable position");
    }
    let body = r#"{"channel":"log:a","since":{"offset":1,"epoch":"1"}}"#;
    let headers = [("X-Centrifugo-Error-Mode", "transport")];
    let answer = http.request("POST", "/api/history", &headers, body.as_bytes());
    assert_eq!(answer.status, 416, "{answer:?}");
}

#[test]
fn a_removed_history_is_gone_and_the_stream_goes_on() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    let before = publish(&mut http, 1..=3);
    let removed = result(&mut http, "history_remove", r#"{"channel":"log:a"}"#);
    assert_eq!(removed, json!({}));
    assert_eq!(history(&mut http, json!({ "limit": -1 }), 3), [0; 0]);
    assert_eq!(publish(&mut http, 4..=5), before);
    assert_eq!(history(&mut http, json!({ "limit": -1 }), 5), [4, 5]);
}

#[test]
fn what_is_no_json_is_a_string_in_a_history_and_bytes_are_base64() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    http.publish("log:a", "say \"hello\"\n");
    http.publish("log:a", "{\"a\" : 1.10}");
    http.publish_binary("log:a", &[0, 255]);
    let body = br#"{"channel":"log:a","limit":-1}"#;
    let answer = http.request("POST", "/api/history", &[], body);
    let publications = &answer.json()["result"]["publications"];
    assert_eq!(publications[0]["data"], "say \"hello\"\n");
    assert_eq!(
        publications[2],
        json!({ "data": null, "b64data": "AP8=", "offset": 3 })
    );
    assert!(
        answer.text().contains("\"data\":{\"a\" : 1.10},"),
        "{answer:?}"
    );
}

#[test]
fn what_a_namespace_does_not_keep_is_not_available() {
    let server = server_with(HISTORY);
    let mut http = server.http();
    let body = r#"{"channel":"news"}"#;
    for (method, says) in [
        ("history", "history_size"),
        ("history_remove", "history_size"),
        ("presence", "(presence)"),
        ("presence_stats", "(presence)"),
    ] {
        assert_error(&mut http, method, body, 108, says);
        assert_error(&mut http, method, r#"{"channel":""}"#, 107, "is empty");
    }
}

#[test]
fn nobody_is_present_where_nobody_has_come() {
    let server = server_with("[[namespace]]\nchannels = \"room:*\"\npresence = true\n");
    let mut http = server.http();
    let body = r#"{"channel":"room:a"}"#;
    assert_eq!(
        result(&mut http, "presence", body),
        json!({ "presence": {} })
    );
    let stats = result(&mut http, "presence_stats", body);
    assert_eq!(stats, json!({ "num_clients": 0, "num_users": 0 }));
}
