//! Presence, join and leave, and history.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::DEADLINE;
use crate::support::centrifuge::Centrifuge;
use crate::{client, server, server_with};

const SHOWS: &str = "[[namespace]]\nchannels = \"*\"\npresence = true\njoin_leave = true\nhistory_size = 5\nhistory_ttl = \"10m\"\n";

fn named(server: &crate::support::server::Server) -> (Centrifuge, String) {
    let (client, connected) = Centrifuge::connect_with(server.addresses.public, json!({}));
    (client, connected["client"].as_str().unwrap().to_owned())
}

/// Who is present, sorted.
fn present(asker: &mut Centrifuge, channel: &str) -> Vec<String> {
    let presence = asker.call("presence", json!({ "channel": channel }));
    let clients = presence["presence"].as_object().unwrap();
    let mut names: Vec<String> = clients
        .iter()
        .map(|(name, info)| {
            assert_eq!(info, &json!({ "client": name, "user": "" }));
            name.clone()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn presence_says_who_is_subscribed_on_whichever_shard() {
    let server = server_with(SHOWS);
    let mut asker = client(&server);
    assert_eq!(present(&mut asker, "room"), [""; 0]);
    let mut all: Vec<(Centrifuge, String)> = (0..6).map(|_| named(&server)).collect();
    for (client, _) in &mut all {
        client.subscribe("room");
    }
    let mut expected: Vec<String> = all.iter().map(|(_, name)| name.clone()).collect();
    expected.sort();
    assert_eq!(present(&mut asker, "room"), expected);
    let stats = asker.call("presence_stats", json!({ "channel": "room" }));
    assert_eq!(stats, json!({ "num_clients": 6, "num_users": 1 }));

    let (mut left, name) = all.pop().unwrap();
    left.call("unsubscribe", json!({ "channel": "room" }));
    expected.retain(|one| *one != name);
    // The channel's owner hears of it when the client has had its reply.
    let until = Instant::now() + DEADLINE;
    while present(&mut asker, "room") != expected {
        assert!(Instant::now() < until, "{name} has left");
    }
}

#[test]
fn subscribers_are_told_who_comes_and_who_leaves() {
    let server = server_with(SHOWS);
    let (mut watcher, own) = named(&server);
    watcher.subscribe("room");
    let told = |push: Value, event: &str| {
        assert_eq!(push["channel"], "room");
        push[event]["info"]["client"]
            .as_str()
            .unwrap_or_else(|| panic!("{push}"))
            .to_owned()
    };
    // Perhaps it hears of itself.
    let mut first = watcher.push();
    if told_of(&first) == own {
        first = json!(null);
    }
    for leaves in ["unsubscribes", "goes", "breaks"] {
        let (mut other, name) = named(&server);
        other.subscribe("room");
        let push = match first.take() {
            Value::Null => watcher.push(),
            push => push,
        };
        assert_eq!(told(push, "join"), name);
        match leaves {
            "unsubscribes" => {
                other.call("unsubscribe", json!({ "channel": "room" }));
            }
            "goes" => other.say_frame(0x88, &[]),
            _ => other.drop_connection(),
        }
        assert_eq!(told(watcher.push(), "leave"), name, "{leaves}");
    }
}

fn told_of(push: &Value) -> String {
    push["join"]["info"]["client"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn channels_without_presence_or_history_say_so() {
    let server = server();
    let mut client = client(&server);
    client.subscribe("news");
    for command in ["presence", "presence_stats", "history"] {
        let (code, message) = client.error(command, json!({ "channel": "news" }));
        assert_eq!(code, 108, "{command}");
        assert!(message.starts_with("not available: "), "{message}");
    }
}

#[test]
fn history_is_read_in_pages_both_ways() {
    let server = server_with(SHOWS);
    let mut http = server.http();
    for number in 1..=7 {
        http.publish("news", number.to_string());
    }
    let mut client = client(&server);
    let mut history = |members: Value| {
        let mut all = json!({ "channel": "news" });
        all.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        let history = client.call("history", all);
        let offsets: Vec<u64> = (history["publications"].as_array().unwrap().iter())
            .map(|publication| {
                assert_eq!(publication["data"], publication["offset"]);
                publication["offset"].as_u64().unwrap()
            })
            .collect();
        assert_eq!(history["offset"], 7);
        (offsets, history["epoch"].clone())
    };
    // Only where the stream stands.
    let (none, epoch) = history(json!({}));
    assert_eq!(none, [0; 0]);
    assert_eq!(history(json!({ "limit": 0 })).0, [0; 0]);
    assert_eq!(history(json!({ "limit": -1 })).0, [3, 4, 5, 6, 7]);
    assert_eq!(history(json!({ "limit": 2 })).0, [3, 4]);
    assert_eq!(history(json!({ "limit": 2, "reverse": true })).0, [7, 6]);
    let since = |offset: u64| json!({ "offset": offset, "epoch": epoch });
    assert_eq!(history(json!({ "limit": 2, "since": since(4) })).0, [5, 6]);
    assert_eq!(
        history(json!({ "limit": -1, "since": since(4), "reverse": true })).0,
        [3]
    );
    assert_eq!(history(json!({ "limit": -1, "since": since(7) })).0, [0; 0]);

    for epoch in ["1", "_", ""] {
        let since = json!({ "offset": 4, "epoch": epoch });
        let members = json!({ "channel": "news", "limit": 1, "since": since });
        assert_eq!(client.error("history", members).0, 112, "{epoch:?}");
    }
}

#[test]
fn too_many_questions_at_once_are_refused_for_the_moment() {
    let server = server_with(SHOWS);
    let mut client = client(&server);
    let lines: Vec<String> = (0..200)
        .map(|n| {
            json!({ "id": n + 100, "presence": { "channel": format!("room {n}") } }).to_string()
        })
        .collect();
    client.say(&lines.join("\n"));
    let mut refused = 0;
    for n in 0..200 {
        let reply = client.reply(n + 100);
        if let Some(error) = reply.get("error") {
            assert_eq!(
                (&error["code"], &error["temporary"]),
                (&json!(111), &json!(true))
            );
            refused += 1;
        }
    }
    assert!((1..=168).contains(&refused), "{refused} of 200");
    client.assert_undisturbed();
}
