//! What subscriptions get.

use serde_json::json;

use super::clients::client::{Kind, Site};

pub fn ten_thousand_publications_arrive_in_order(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("subscriber");
    site.connect("publisher");
    site.subscribe("subscriber", "many");
    // A client has only so long for its commands, however busy the machine is.
    for from in (0..10_000).step_by(1_000) {
        let numbers = json!({ "channel": "many", "from": from, "count": 1_000 });
        site.ask("publish_numbers", "publisher", numbers);
    }
    for number in 0..10_000 {
        let publication = site.publication("subscriber", "many");
        assert_eq!(publication["data"], number);
        assert_eq!(publication["offset"], number + 1);
    }
}

pub fn all_subscribers_hear_all(kind: Kind) {
    let mut site = Site::start(kind);
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        site.connect(id);
        site.subscribe(id, "all");
    }
    for (number, id) in ids.into_iter().enumerate() {
        site.publish(id, "all", json!(number));
    }
    for id in ids {
        for number in 0..ids.len() {
            assert_eq!(site.data(id, "all"), number, "{id}");
        }
    }
}

pub fn an_unsubscribed_channel_is_heard_no_more(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("one");
    site.subscribe("one", "news");
    site.subscribe("one", "other");
    site.tell("unsubscribe", "one", json!({ "channel": "news" }));
    assert_eq!(site.take_of("one", "unsubscribed", "news")["code"], 0);
    // Behind the reply to this the server has unsubscribed it.
    site.publish("one", "other", json!(1));
    assert_eq!(site.data("one", "other"), 1);
    site.server.http().publish("news", "unheard");
    site.server.http().publish("other", "2");
    assert_eq!(site.data("one", "other"), 2);
    site.subscribe("one", "news");
    site.server.http().publish("news", "3");
    assert_eq!(site.data("one", "news"), 3);
}

pub fn a_subscription_may_change_at_once(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("one");
    let channel = json!({ "channel": "news" });
    for _ in 0..20 {
        site.tell("subscribe", "one", channel.clone());
        site.tell("unsubscribe", "one", channel.clone());
    }
    site.tell("subscribe", "one", channel.clone());
    // The last of them is there, once.
    for number in 0..10 {
        site.publish("one", "news", json!(number));
        assert_eq!(site.data("one", "news"), number);
    }
    let names = site.untaken("one");
    for bad in ["error", "subscription_error", "disconnected"] {
        assert!(!names.iter().any(|name| name == bad), "{names:?}");
    }
}

pub fn many_channels_keep_their_order(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("one");
    let channels: Vec<String> = (0..50).map(|n| format!("channel {n}")).collect();
    for channel in &channels {
        site.subscribe("one", channel);
    }
    let mut http = site.server.http();
    for number in 0..10 {
        for channel in &channels {
            let encoded = channel.replace(' ', "%20");
            http.publish(&encoded, number.to_string());
        }
    }
    for channel in &channels {
        for number in 0..10 {
            assert_eq!(site.take_of("one", "publication", channel)["data"], number);
        }
    }
}

pub fn one_too_many_ends_with_the_code_of_the_limit(kind: Kind) {
    let mut site = Site::start_with(kind, "[limits]\nsubscriptions_max = 2\n");
    site.connect("one");
    site.subscribe("one", "a");
    site.subscribe("one", "b");
    site.tell("subscribe", "one", json!({ "channel": "c" }));
    let unsubscribed = site.take_of("one", "unsubscribed", "c");
    assert_eq!(unsubscribed["code"], 106, "{unsubscribed}");
    site.server.http().publish("b", "1");
    assert_eq!(site.data("one", "b"), 1);
}
