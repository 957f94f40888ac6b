//! `subscribe`, `unsubscribe` and `disconnect` for clients of STOMP, whose logins are their users.

use serde_json::json;

use super::{assert_error, client_of, result, server, subscriber};
use crate::support::server::Server;
use crate::support::stomp::Stomp;

/// A client and its `session`, which is also what it is called.
fn session_of(server: &Server, login: &str) -> (Stomp, String) {
    let lines = format!("login:{login}\n");
    let (stomp, connected) = Stomp::connect_with(server.addresses.public, "1.2", &lines);
    let session = connected.must("session").to_owned();
    (stomp, session)
}

#[test]
fn all_connections_of_a_user_are_closed_and_nobody_elses() {
    let server = server();
    let mut of_ann: Vec<_> = (0..8).map(|_| client_of(&server, "ann")).collect();
    let mut others = [client_of(&server, "bob"), subscriber(&server, "news")];
    let answer = result(&mut server.http(), "disconnect", r#"{"user":"ann"}"#);
    assert_eq!(answer, json!({}));
    for stomp in &mut of_ann {
        let (error, code) = stomp.error();
        assert_eq!(error.must("message"), "force disconnect");
        assert_eq!(code, 3503);
    }
    for other in &mut others {
        other.assert_undisturbed();
    }
    // She may come back.
    client_of(&server, "ann").assert_undisturbed();
}

#[test]
fn a_disconnect_has_the_code_and_the_reason_that_it_is_given() {
    let server = server();
    let mut ann = client_of(&server, "ann");
    let body = r#"{"user":"ann","disconnect":{"code":4321,"reason":"go \"home\""}}"#;
    result(&mut server.http(), "disconnect", body);
    let (error, code) = ann.error();
    assert_eq!(error.must("message"), "go \"home\"");
    assert_eq!(code, 4321);
}

#[test]
fn one_client_of_a_user_is_meant_by_its_name_or_its_session() {
    let server = server();
    let mut http = server.http();
    for by in ["client", "session"] {
        let (mut meant, session) = session_of(&server, "ann");
        let (mut other, _) = session_of(&server, "ann");
        for (user, name) in [("bob", &*session), ("ann", "99-9-9"), ("bob", "")] {
            let body = json!({ "user": user, by: name }).to_string();
            result(&mut http, "disconnect", &body);
        }
        meant.assert_undisturbed();
        let body = json!({ "user": "ann", by: session }).to_string();
        result(&mut http, "disconnect", &body);
        assert_eq!(meant.error().1, 3503);
        other.assert_undisturbed();
        other.drop_connection();
    }
}

#[test]
fn clients_on_the_whitelist_stay() {
    let server = server();
    let (mut stays, session) = session_of(&server, "ann");
    let (mut goes, _) = session_of(&server, "ann");
    let body = json!({ "user": "ann", "whitelist": ["another", session] }).to_string();
    result(&mut server.http(), "disconnect", &body);
    assert_eq!(goes.error().1, 3503);
    stays.assert_undisturbed();
}

#[test]
fn a_subscription_to_a_topic_that_is_ended_is_told_by_an_error() {
    let server = server();
    let mut http = server.http();
    let mut ann = client_of(&server, "ann");
    ann.subscribe("0", "/topic/news", "");
    ann.subscribe("1", "/topic/sport", "");
    let mut bob = client_of(&server, "bob");
    bob.subscribe("0", "/topic/news", "");
    result(
        &mut http,
        "unsubscribe",
        r#"{"user":"ann","channel":"weather"}"#,
    );
    ann.assert_undisturbed();
    result(
        &mut http,
        "unsubscribe",
        r#"{"user":"ann","channel":"sport"}"#,
    );
    let (error, code) = ann.error();
    assert!(
        error
            .unescaped("message")
            .contains("\"1\" was ended by the server"),
        "{error:?}"
    );
    assert_eq!(code, 1008);
    bob.assert_undisturbed();
    result(&mut http, "unsubscribe", r#"{"user":"bob"}"#);
    assert!(bob.error().0.must("message").contains("\"0\""));
}

#[test]
fn a_client_that_has_no_name_for_a_subscription_is_given_none() {
    let server = server();
    let mut http = server.http();
    let mut ann = client_of(&server, "ann");
    result(&mut http, "subscribe", r#"{"user":"ann","channel":"news"}"#);
    result(&mut http, "publish", r#"{"channel":"news","data":1}"#);
    ann.assert_undisturbed();
}

#[test]
fn orders_that_make_no_sense_are_errors() {
    let server = server();
    let mut http = server.http();
    let long = "x".repeat(124);
    let reason = json!({ "user": "a", "disconnect": { "code": 4000, "reason": long } }).to_string();
    for (method, body, says) in [
        ("disconnect", "{}", "user is missing"),
        ("disconnect", r#"{"user":""}"#, "user is missing"),
        (
            "disconnect",
            r#"{"user":"a","disconnect":{"code":1000}}"#,
            "3000 to 4999",
        ),
        (
            "disconnect",
            r#"{"user":"a","disconnect":{"code":5000}}"#,
            "3000 to 4999",
        ),
        ("disconnect", &*reason, "124 bytes"),
        ("unsubscribe", r#"{"channel":"a"}"#, "user is missing"),
        ("unsubscribe", r#"{"user":"a","channel":"\n"}"#, "U+000A"),
        ("subscribe", r#"{"channel":"a"}"#, "user is missing"),
        ("subscribe", r#"{"user":"a","channel":""}"#, "is empty"),
        (
            "subscribe",
            r#"{"user":"a","channel":"b","b64data":"*"}"#,
            "b64data is no base64",
        ),
        (
            "subscribe",
            r#"{"user":"a","channel":"b","b64info":"eA=="}"#,
            "b64info is no JSON",
        ),
        (
            "subscribe",
            r#"{"user":"a","channel":"b","recover_since":{"offset":1,"epoch":"zz"}}"#,
            "recover_since.epoch",
        ),
        (
            "subscribe",
            r#"{"user":"a","channel":"b","override":{"presence":{"value":true}}}"#,
            "override is not known here",
        ),
    ] {
        assert_error(&mut http, method, body, 107, says);
    }
}
