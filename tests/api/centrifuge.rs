//! The API for clients of Centrifugo's protocol: whom it finds present, and what they are told of its orders.

use serde_json::{Value, json};

use super::{assert_error, result, server_with};
use crate::support::centrifuge::Centrifuge;
use crate::support::http::Http;
use crate::support::server::Server;
use crate::support::token::{SECRET, token};

fn server() -> Server {
    server_with(&format!(
        "[auth]\nhmac_secret = \"{SECRET}\"\n\
         [[namespace]]\nchannels = \"room:*\"\npresence = true\nhistory_size = 10\nhistory_ttl = \"10m\"\n\
         subscribe = \"anyone\"\npublish = \"anyone\"\n\
         [[namespace]]\nchannels = \"own:*\"\nsubscribe = \"nobody\"\n"
    ))
}

/// A client of a user, and what it is called.
fn client_of(server: &Server, user: &str) -> (Centrifuge, String) {
    let claims = json!({ "sub": user, "info": { "name": user } });
    let members = json!({ "token": token(&claims) });
    let (client, connected) = Centrifuge::connect_with(server.addresses.public, members);
    let name = connected["client"].as_str().unwrap().to_owned();
    (client, name)
}

fn order(http: &mut Http, method: &str, parameters: Value) {
    assert_eq!(result(http, method, &parameters.to_string()), json!({}));
}

#[test]
fn who_is_subscribed_is_present() {
    let server = server();
    let mut http = server.http();
    let (mut ann, ann_name) = client_of(&server, "ann");
    let (mut also_ann, also_name) = client_of(&server, "ann");
    let (mut bob, bob_name) = client_of(&server, "bob");
    for client in [&mut ann, &mut also_ann, &mut bob] {
        client.subscribe("room:a");
    }
    let body = r#"{"channel":"room:a"}"#;
    let stats = result(&mut http, "presence_stats", body);
    assert_eq!(stats, json!({ "num_clients": 3, "num_users": 2 }));
    let about = |name: &str, user: &str| json!({ "client": name, "user": user, "conn_info": { "name": user } });
    let all = json!({
        &ann_name: about(&ann_name, "ann"),
        &also_name: about(&also_name, "ann"),
        &bob_name: about(&bob_name, "bob"),
    });
    assert_eq!(result(&mut http, "presence", body)["presence"], all);
    ann.publish("room:a", json!(1));
    let history = result(&mut http, "history", r#"{"channel":"room:a","limit":1}"#);
    assert_eq!(
        history["publications"][0]["info"],
        about(&ann_name, "ann"),
        "{history}"
    );
}

#[test]
fn a_client_is_told_of_a_subscription_that_it_has_not_asked_for() {
    let server = server();
    let mut http = server.http();
    let (mut ann, name) = client_of(&server, "ann");
    let (mut bob, _) = client_of(&server, "bob");
    let parameters = json!({
        "user": "ann", "channel": "room:a", "info": { "role": "guest" }, "data": { "say": "hello" },
    });
    order(&mut http, "subscribe", parameters.clone());
    let push = ann.push();
    assert_eq!(push["channel"], "room:a", "{push}");
    assert_eq!(
        push["subscribe"]["data"],
        json!({ "say": "hello" }),
        "{push}"
    );
    assert_eq!(push["subscribe"]["recoverable"], true, "{push}");
    let presence = result(&mut http, "presence", r#"{"channel":"room:a"}"#);
    assert_eq!(
        presence["presence"][&name]["chan_info"],
        json!({ "role": "guest" })
    );
    // Once is enough.
    order(&mut http, "subscribe", parameters);
    order(
        &mut http,
        "subscribe",
        json!({ "user": "ann", "channel": "own:ann" }),
    );
    let push = ann.push();
    assert_eq!(
        push["channel"], "own:ann",
        "nobody else may, and the backend may: {push}"
    );
    for channel in ["room:a", "own:ann"] {
        let body = json!({ "channel": channel, "data": channel }).to_string();
        result(&mut http, "publish", &body);
        assert_eq!(ann.publication(channel)["data"], channel);
    }
    bob.assert_undisturbed();
}

#[test]
fn a_subscription_of_the_servers_recovers_from_where_it_is_told() {
    let server = server();
    let mut http = server.http();
    let mut places = Vec::new();
    for number in 1..=3 {
        let body = json!({ "channel": "room:a", "data": number }).to_string();
        places.push(result(&mut http, "publish", &body));
    }
    let (mut ann, _) = client_of(&server, "ann");
    let parameters = json!({ "user": "ann", "channel": "room:a", "recover_since": places[0] });
    order(&mut http, "subscribe", parameters);
    assert_eq!(ann.push()["subscribe"]["offset"], 1);
    assert_eq!(ann.publication("room:a")["data"], 2);
    assert_eq!(ann.publication("room:a")["data"], 3);
}

#[test]
fn a_client_is_told_that_its_subscription_has_ended() {
    let server = server();
    let mut http = server.http();
    let (mut ann, name) = client_of(&server, "ann");
    let (mut also_ann, _) = client_of(&server, "ann");
    for client in [&mut ann, &mut also_ann] {
        client.subscribe("room:a");
        client.subscribe("room:b");
    }
    let parameters = json!({ "user": "ann", "channel": "room:a", "client": name });
    order(&mut http, "unsubscribe", parameters);
    let ended = |channel: &str| json!({ "channel": channel, "unsubscribe": { "code": 2000, "reason": "server unsubscribe" } });
    assert_eq!(ann.push(), ended("room:a"));
    also_ann.assert_undisturbed();
    order(&mut http, "unsubscribe", json!({ "user": "ann" }));
    assert_eq!(ann.push(), ended("room:b"));
    assert_eq!(also_ann.push(), ended("room:a"));
    assert_eq!(also_ann.push(), ended("room:b"));
    result(&mut http, "publish", r#"{"channel":"room:b","data":1}"#);
    ann.assert_undisturbed();
    let stats = result(&mut http, "presence_stats", r#"{"channel":"room:b"}"#);
    assert_eq!(stats["num_clients"], 0);
    // It may subscribe again.
    ann.subscribe("room:a");
}

#[test]
fn a_disconnected_client_is_told_whether_to_come_back() {
    let server = server();
    let mut http = server.http();
    let (mut ann, name) = client_of(&server, "ann");
    let (mut also_ann, _) = client_of(&server, "ann");
    order(
        &mut http,
        "disconnect",
        json!({ "user": "ann", "whitelist": [name] }),
    );
    assert_eq!(also_ann.closed(), (3503, "force disconnect".to_owned()));
    ann.assert_undisturbed();
    let disconnect = json!({ "code": 3000, "reason": "come back" });
    order(
        &mut http,
        "disconnect",
        json!({ "user": "ann", "disconnect": disconnect }),
    );
    assert_eq!(ann.closed(), (3000, "come back".to_owned()));
}

#[test]
fn what_is_published_over_the_api_needs_no_right() {
    let server = server();
    let mut http = server.http();
    let (mut ann, _) = client_of(&server, "ann");
    let (code, _) = ann.error("subscribe", json!({ "channel": "own:ann" }));
    assert_eq!(code, 103);
    let body = r#"{"channel":"own:ann","data":1}"#;
    assert_eq!(result(&mut http, "publish", body)["offset"], 1);
    assert_error(
        &mut http,
        "presence",
        r#"{"channel":"own:ann"}"#,
        108,
        "presence",
    );
}
