//! Subscribing and unsubscribing.

use serde_json::json;

use crate::support::centrifuge::Centrifuge;
use crate::support::server::{Options, Server};
use crate::{client, server, server_with};

#[test]
fn a_subscription_gets_what_is_published_behind_its_reply() {
    let server = server();
    let mut http = server.http();
    http.publish("news", "1");
    let mut client = client(&server);
    assert_eq!(client.subscribe("news"), json!({}));
    for number in 2..10 {
        http.publish("news", number.to_string());
    }
    for number in 2..10 {
        let publication = client.publication("news");
        assert_eq!(publication["data"], number);
        assert_eq!(publication["offset"], number);
    }
}

#[test]
fn clients_of_one_channel_get_the_very_same() {
    let server = server();
    let mut clients: Vec<Centrifuge> = (0..10).map(|_| client(&server)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        // Their numbers of the command differ.
        for _ in 0..number {
            client.error("rpc", json!({}));
        }
        client.subscribe("news");
    }
    server.http().publish("news", r#"{"a": 1.0}"#);
    for client in &mut clients {
        let publication = client.publication("news");
        assert_eq!(publication, json!({ "data": { "a": 1.0 }, "offset": 1 }));
    }
}

#[test]
fn subscribing_twice_is_an_error_until_it_is_unsubscribed() {
    let server = server();
    let mut client = client(&server);
    client.subscribe("news");
    let twice = client.error("subscribe", json!({ "channel": "news" }));
    assert_eq!(twice, (105, "already subscribed".to_owned()));
    assert_eq!(
        client.call("unsubscribe", json!({ "channel": "news" })),
        json!({})
    );
    server.http().publish("news", "unheard");
    client.assert_undisturbed();
    client.subscribe("news");
    server.http().publish("news", "heard");
    assert_eq!(client.publication("news")["data"], "heard");
}

#[test]
fn unsubscribing_from_what_is_not_subscribed_is_no_error() {
    let server = server();
    let mut client = client(&server);
    assert_eq!(
        client.call("unsubscribe", json!({ "channel": "news" })),
        json!({})
    );
}

#[test]
fn a_subscription_may_change_at_once() {
    let server = server();
    let mut client = client(&server);
    let command = |id: u32| {
        let name = ["subscribe", "unsubscribe"][id as usize % 2];
        json!({ "id": id, name: { "channel": "news" } }).to_string()
    };
    for from in (1_000..1_200).step_by(4) {
        let lines: Vec<String> = (from..from + 4).map(command).collect();
        client.say(&lines.join("\n"));
    }
    // All are replied to, and none is left.
    for id in 1_000..1_200 {
        let reply = client.reply(id);
        assert!(reply.get("error").is_none(), "{reply}");
    }
    server.http().publish("news", "unheard");
    client.assert_undisturbed();
    client.subscribe("news");
    server.http().publish("news", "heard");
    assert_eq!(client.publication("news")["data"], "heard");
}

#[test]
fn subscriptions_are_limited() {
    let server = server_with("[limits]\nsubscriptions_max = 3\n");
    let mut client = client(&server);
    for channel in ["a", "b", "c"] {
        client.subscribe(channel);
    }
    let (code, message) = client.error("subscribe", json!({ "channel": "d" }));
    assert_eq!(code, 106);
    assert!(message.contains("limits.subscriptions_max"), "{message}");
    client.call("unsubscribe", json!({ "channel": "b" }));
    client.subscribe("d");
    for channel in ["a", "c", "d"] {
        server.http().publish(channel, "1");
        assert_eq!(client.publication(channel)["data"], 1);
    }
}

#[test]
fn a_server_with_as_many_channels_as_it_keeps_says_so() {
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config("[limits]\nchannels_max = 1\n")
    });
    let mut client = client(&server);
    client.subscribe("a");
    let (code, message) = client.error("subscribe", json!({ "channel": "b" }));
    assert_eq!(code, 106, "{message}");
    let (code, _) = client.error("publish", json!({ "channel": "b", "data": 1 }));
    assert_eq!(code, 106);
    server.http().publish("a", "1");
    assert_eq!(client.publication("a")["data"], 1);
    // A refused subscription is not there.
    let (code, _) = client.error("subscribe", json!({ "channel": "b" }));
    assert_eq!(code, 106);
}

#[test]
fn channels_that_keep_nothing_recover_nothing_and_say_so() {
    let server = server();
    server.http().publish("news", "1");
    let mut client = client(&server);
    for (epoch, offset) in [("", 0), ("_", 0), ("1", 1)] {
        let members =
            json!({ "channel": "news", "recover": true, "epoch": epoch, "offset": offset });
        assert_eq!(client.call("subscribe", members), json!({}));
        client.call("unsubscribe", json!({ "channel": "news" }));
    }
    client.assert_undisturbed();
}

#[test]
fn names_of_channels_may_have_any_characters() {
    let server = server();
    let mut client = client(&server);
    for channel in ["a \"quoted\" one", "back\\slash", "日本", "a/b?c", "${x}"] {
        client.subscribe(channel);
        client.publish(channel, json!("heard"));
        assert_eq!(client.publication(channel)["data"], "heard");
    }
}

#[test]
fn a_pattern_of_names_hears_all_channels_that_fit_and_is_told_which_each_was() {
    let server = server_with(
        "[[namespace]]\nchannels = \"*\"\nwildcards = true\nhistory_size = 5\nhistory_ttl = \"10m\"\n",
    );
    let mut client = client(&server);
    assert_eq!(client.subscribe("news.*"), json!({}));
    assert_eq!(client.subscribe("news.>"), json!({}));
    let mut http = server.http();
    for channel in ["news.a", "news.b.c", "sport.a"] {
        http.publish(channel, "1");
    }
    http.publish("news.d", "2");
    let mut heard: Vec<(String, String)> = (0..5)
        .map(|_| {
            let push = client.push();
            assert_eq!(push["pub"].get("offset"), None, "{push}");
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (text(&push["channel"]), text(&push["pub"]["channel"]))
        })
        .collect();
    heard.sort();
    let expected = [
        ("news.*", "news.a"),
        ("news.*", "news.d"),
        ("news.>", "news.a"),
        ("news.>", "news.b.c"),
        ("news.>", "news.d"),
    ];
    assert_eq!(
        heard,
        expected.map(|(pattern, channel)| (pattern.to_owned(), channel.to_owned()))
    );
    client.assert_undisturbed();
}
