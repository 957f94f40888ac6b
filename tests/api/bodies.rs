//! Requests that are wrong in themselves.

use super::{assert_refused, server};

#[test]
fn a_body_that_is_not_of_the_methods_shape_is_refused_with_400() {
    let server = server();
    let mut http = server.http();
    for (method, body) in [
        ("publish", ""),
        ("publish", "{"),
        ("publish", "[]"),
        ("publish", r#"{"channel":"a"}"#),
        ("publish", r#"{"data":1}"#),
        ("publish", r#"{"channel":1,"data":1}"#),
        ("publish", r#"{"channel":"a","data":01}"#),
        ("publish", r#"{"channel":"a","data":1,"data":2}"#),
        ("publish", r#"{"channel":"a","data":1,"tags":{"b":1}}"#),
        (
            "publish",
            r#"{"channel":"a","data":1,"skip_history":"yes"}"#,
        ),
        ("broadcast", r#"{"channels":"a","data":1}"#),
        ("broadcast", r#"{"channels":["a"]}"#),
        ("history", ""),
        ("history", "{}"),
        ("history", r#"{"channel":"a","limit":"all"}"#),
        ("history", r#"{"channel":"a","since":5}"#),
        ("history_remove", "[\"a\"]"),
        ("presence", "null"),
        ("presence_stats", "{}"),
        ("channels", ""),
        ("channels", r#"{"pattern":5}"#),
        ("info", "no"),
        ("subscribe", r#"{"user":"ann"}"#),
        ("unsubscribe", r#"{"user":1}"#),
        ("disconnect", r#"{"user":"ann","disconnect":3503}"#),
        ("batch", "{}"),
        ("batch", r#"{"commands":{}}"#),
        ("batch", r#"{"commands":[01]}"#),
    ] {
        let answer = http.post(&format!("/api/{method}"), body);
        assert_eq!(answer.status, 400, "{method} {body}: {answer:?}");
        assert_refused(&answer, 400, 107, "bad request: ");
    }
    assert_eq!(http.publish("a", "the server goes on"), 1);
}

#[test]
fn an_unknown_method_is_refused_with_404_and_the_names_of_those_there_are() {
    let server = server();
    let mut http = server.http();
    for method in ["rpc", "Publish", "publish2"] {
        let answer = http.post(&format!("/api/{method}"), "{}");
        assert_refused(
            &answer,
            404,
            104,
            "method not found: there are publish, broadcast",
        );
    }
    assert_eq!(http.get("/api/publish").status, 405);
}

#[test]
fn a_message_over_the_limit_is_refused_with_413() {
    let server = super::server_with("[limits]\nmessage_bytes_max = 100\n");
    let mut http = server.http();
    let body = |length| format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(length));
    assert_eq!(http.api("publish", &body(98))["result"]["offset"], 1);
    for length in [99, 400_000] {
        let answer = server.http().post("/api/publish", body(length));
        assert_refused(&answer, 413, 106, "limits.message_bytes_max");
    }
    let base64 = "eHh4".repeat(34);
    let answer = http.post(
        "/api/publish",
        format!(r#"{{"channel":"a","b64data":"{base64}"}}"#),
    );
    assert_refused(&answer, 413, 106, "more than 100 bytes");
}

#[test]
fn errors_have_a_status_of_their_own_for_who_asks_for_that() {
    let server = server();
    let mut http = server.http();
    let headers = [("X-Centrifugo-Error-Mode", "transport")];
    for (method, body, status, code) in [
        ("publish", "{}", 400, 107),
        ("publish", r#"{"channel":"","data":1}"#, 400, 107),
        ("presence", r#"{"channel":"a"}"#, 400, 108),
        ("nothing", "{}", 404, 104),
    ] {
        let path = format!("/api/{method}");
        let answer = http.request("POST", &path, &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.json()["code"], code, "{answer:?}");
        assert!(answer.json()["message"].is_string(), "{answer:?}");
    }
    let body = br#"{"channel":"a","data":1}"#;
    let answer = http.request("POST", "/api/publish", &headers, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["result"]["offset"], 1);
}
