//! `channels` and `info`.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{assert_error, client_of, result, server, subscriber};
use crate::support::metrics::Metrics;

#[test]
fn channels_are_those_with_subscribers_on_whichever_shard() {
    let server = server();
    let mut http = server.http();
    assert_eq!(
        result(&mut http, "channels", "{}"),
        json!({ "channels": {} })
    );
    // Enough that both shards have some of each.
    let mut subscribers: Vec<_> = (0..12).map(|_| subscriber(&server, "room:one")).collect();
    subscribers.push(subscriber(&server, "room:two"));
    subscribers.push(subscriber(&server, "news \"a\""));
    client_of(&server, "ann").subscribe("0", "/user/secret", "");
    result(&mut http, "publish", r#"{"channel":"nobody","data":1}"#);
    let mut channels = |body: &str| result(&mut http, "channels", body)["channels"].take();
    let one = json!({ "num_clients": 12 });
    let two = json!({ "num_clients": 1 });
    let all = json!({ "room:one": one, "room:two": two, "news \"a\"": two });
    assert_eq!(channels("{}"), all);
    assert_eq!(channels(r#"{"pattern":""}"#), all);
    assert_eq!(channels(r#"{"pattern":"*"}"#), all);
    assert_eq!(
        channels(r#"{"pattern":"room:*"}"#),
        json!({ "room:one": one, "room:two": two })
    );
    assert_eq!(
        channels(r#"{"pattern":"room:t?o"}"#),
        json!({ "room:two": two })
    );
    assert_eq!(
        channels(r#"{"pattern":"room:one"}"#),
        json!({ "room:one": one })
    );
    assert_eq!(channels(r#"{"pattern":"nobody"}"#), json!({}));
    assert_error(
        &mut http,
        "channels",
        r#"{"pattern":"[a"}"#,
        107,
        "[ without a ]",
    );
    assert_error(
        &mut http,
        "channels",
        r#"{"pattern":"{a,b}"}"#,
        107,
        "braces",
    );
}

#[test]
fn a_list_of_more_than_10000_channels_is_refused_and_a_pattern_shortens_it() {
    let options = crate::support::server::Options::with_config(
        "[limits]\nsubscriptions_max = 20000\nmessages_per_second_max = 0\n",
    );
    let server = crate::support::server::Server::start(options);
    let mut http = server.http();
    let mut stomp = subscriber(&server, "first");
    for index in 0..10_000 {
        stomp.send(&format!(
            "SUBSCRIBE\nid:{index}x\ndestination:/topic/c{index}\n\n"
        ));
    }
    stomp.subscribe("last", "/topic/last", "");
    assert_error(&mut http, "channels", "{}", 106, "more than 10000 channels");
    assert_error(
        &mut http,
        "channels",
        r#"{"pattern":"*"}"#,
        106,
        "with a pattern",
    );
    let some = result(&mut http, "channels", r#"{"pattern":"c1*"}"#);
    assert_eq!(some["channels"].as_object().unwrap().len(), 1_111);
}

#[test]
fn info_counts_a_user_once_on_however_many_shards_it_is() {
    let server = server();
    let mut http = server.http();
    let mut clients: Vec<_> = (0..12).map(|_| client_of(&server, "ann")).collect();
    clients.push(client_of(&server, "bob"));
    let node = result(&mut http, "info", "{}")["nodes"][0].take();
    assert_eq!(node["num_users"], 2, "{node}");
    for mut stomp in clients.drain(..12) {
        stomp.close();
    }
    Metrics::wait(&mut http, "ann has gone", |metrics| {
        metrics.sum("connections") == 1
    });
    let node = result(&mut http, "info", "{}")["nodes"][0].take();
    assert_eq!(node["num_users"], 1, "{node}");
}

#[test]
fn info_counts_clients_subscriptions_and_channels() {
    let server = server();
    let mut http = server.http();
    let mut subscribers: Vec<_> = (0..6).map(|_| subscriber(&server, "one")).collect();
    subscribers[0].subscribe("1", "/topic/two", "");
    let info = result(&mut http, "info", "{}");
    let nodes = info["nodes"].as_array().unwrap();
    let [node] = &nodes[..] else {
        panic!("one node is expected: {info}");
    };
    assert_eq!(node["num_clients"], 6, "{node}");
    assert_eq!(node["num_subs"], 7, "{node}");
    assert_eq!(node["num_channels"], 2, "{node}");
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node["uid"].as_str().unwrap().len(), 32, "{node}");
    let port = server.addresses.public.port().to_string();
    assert!(
        node["name"]
            .as_str()
            .unwrap()
            .ends_with(&format!("_{port}")),
        "{node}"
    );
    let before = node["uptime"].as_u64().unwrap();
    while result(&mut http, "info", "{}")["nodes"][0]["uptime"] == before {
        thread::sleep(Duration::from_millis(50));
    }
    for mut stomp in subscribers {
        stomp.close();
    }
    Metrics::wait(&mut http, "all have gone", |metrics| {
        metrics.sum("connections") == 0
    });
    let node = result(&mut http, "info", "{}")["nodes"][0].take();
    assert_eq!(
        (&node["num_clients"], &node["num_subs"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(node["num_channels"], 0, "{node}");
}
