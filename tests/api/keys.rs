//! `[auth] api_keys`: who may call.

use super::{assert_refused, server_with};
use crate::support::http::Answer;
use crate::support::server::Server;

const KEYS: &str = "[auth]\napi_keys = [\"the-first-key-of-two\", \"the-second-key-of-two\"]\n";

fn call(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    let body = br#"{"channel":"a","data":1}"#;
    server.http().request("POST", path, headers, body)
}

#[test]
fn each_of_the_keys_opens_the_api_in_each_of_the_headers() {
    let server = server_with(KEYS);
    for header in [
        ("X-API-Key", "the-first-key-of-two"),
        ("x-api-key", "the-second-key-of-two"),
        ("Authorization", "apikey the-first-key-of-two"),
        ("Authorization", "ApiKey the-second-key-of-two"),
    ] {
        for path in ["/api/publish", "/pub/a"] {
            let answer = call(&server, path, &[header]);
            assert_eq!(answer.status, 200, "{header:?} {path}: {answer:?}");
        }
    }
}

#[test]
fn where_no_key_is_needed_foreign_web_pages_are_refused_all_the_same() {
    let server = server_with("");
    for path in ["/api/publish", "/api/batch", "/pub/a"] {
        let answer = call(&server, path, &[("Origin", "https://evil.example")]);
        assert_refused(&answer, 403, 103, "auth.api_keys");
    }
    let own = format!("http://{}", server.addresses.internal);
    let answer = call(&server, "/api/publish", &[("Origin", &own)]).json();
    assert_eq!(
        answer["result"]["offset"], 1,
        "nothing came before: {answer}"
    );
    let keyed = server_with(KEYS);
    let headers = [
        ("Origin", "https://dashboard.example"),
        ("X-API-Key", "the-first-key-of-two"),
    ];
    assert_eq!(call(&keyed, "/api/publish", &headers).status, 200);
}

#[test]
fn without_a_key_that_is_known_nothing_is_done() {
    let server = server_with(KEYS);
    for headers in [
        &[][..],
        &[("X-API-Key", "")],
        &[("X-API-Key", "the-first-key-of-tw")],
        &[("X-API-Key", "the-first-key-of-twoo")],
        &[("X-API-Key", "another key")],
        &[("Authorization", "the-first-key-of-two")],
        &[("Authorization", "Bearer the-first-key-of-two")],
        &[
            ("X-API-Key", "no"),
            ("Authorization", "apikey the-first-key-of-two"),
        ],
    ] {
        for path in ["/api/publish", "/api/batch", "/api/nothing", "/pub/a"] {
            let answer = call(&server, path, headers);
            assert_refused(&answer, 401, 101, "auth.api_keys");
        }
    }
    let key = [("X-API-Key", "the-first-key-of-two")];
    let answer = call(&server, "/api/publish", &key).json();
    assert_eq!(
        answer["result"]["offset"], 1,
        "nothing came before: {answer}"
    );
}

#[test]
fn metrics_and_health_need_no_key() {
    let server = server_with(KEYS);
    for path in ["/metrics", "/health", "/ready", "/"] {
        assert_eq!(server.http().get(path).status, 200, "{path}");
    }
}

#[test]
fn a_body_is_not_taken_from_somebody_without_a_key() {
    let server = server_with(KEYS);
    let answer = server.http().post("/api/publish", vec![b'x'; 1_000_000]);
    assert_refused(&answer, 401, 101, "unauthorized");
}
