//! What comes back when a client does.

use serde_json::{Value, json};

use super::clients::client::{Kind, Site};
use crate::support::server::Server;

const KEEPS: &str = "[[namespace]]\nchannels = \"*\"\nhistory_size = 100\nhistory_ttl = \"10m\"\n";

/// The next publications, which must be these numbers in their own places, and nothing in between.
fn assert_gets(site: &mut Site, id: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let publication = site.publication(id, "news");
        assert_eq!(
            (&publication["data"], &publication["offset"]),
            (&json!(number), &json!(number))
        );
    }
}

fn publish(site: &Site, numbers: std::ops::RangeInclusive<u64>) {
    let mut http = site.server.http();
    for number in numbers {
        http.publish("news", number.to_string());
    }
}

fn assert_subscribed(subscribed: &Value, offset: u64, recovered: Option<bool>) {
    let expected = json!({
        "recoverable": true,
        "positioned": true,
        "was_recovering": recovered.is_some(),
        "recovered": recovered == Some(true),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&subscribed[name], value, "{name}: {subscribed}");
    }
    assert_eq!(
        subscribed["stream_position"]["offset"], offset,
        "{subscribed}"
    );
}

/// Cut again and again under a publisher at full speed: every publication once and in order.
pub fn every_publication_comes_once_and_in_order_however_often_it_is_cut(kind: Kind) {
    const ALL: u64 = 3_000;
    let mut site = Site::start_with(
        kind,
        "[[namespace]]\nchannels = \"*\"\nhistory_size = 10000\nhistory_ttl = \"10m\"\n",
    );
    site.connect("loyal");
    let first = site.subscribe("loyal", "news");
    assert_subscribed(&first, 0, None);
    let mut http = site.server.http();
    let publisher = std::thread::spawn(move || {
        for number in 1..=ALL {
            http.publish("news", number.to_string());
        }
    });
    for number in 1..=ALL {
        if number % 300 == 150 {
            site.tell("cut", "loyal", json!({}));
            let subscribed = site.take_of("loyal", "subscribed", "news");
            assert_eq!(subscribed["recovered"], true, "{subscribed}");
        }
        assert_gets(&mut site, "loyal", number..=number);
    }
    publisher.join().unwrap();
    assert!(!site.untaken("loyal").contains(&"publication".to_owned()));
}

pub fn what_it_missed_comes_behind_where_it_was(kind: Kind) {
    let mut site = Site::start_with(kind, KEEPS);
    site.connect("one");
    site.subscribe("one", "news");
    publish(&site, 1..=3);
    assert_gets(&mut site, "one", 1..=3);
    let mut at = 3;
    for _ in 0..3 {
        site.tell("disconnect", "one", json!({}));
        site.take("one", "disconnected");
        publish(&site, at + 1..=at + 5);
        site.tell("connect", "one", json!({}));
        let subscribed = site.take_of("one", "subscribed", "news");
        // It counts on from where it was, and each publication moves it.
        assert_subscribed(&subscribed, at, Some(true));
        assert_gets(&mut site, "one", at + 1..=at + 5);
        at += 5;
        publish(&site, at + 1..=at + 1);
        at += 1;
        assert_gets(&mut site, "one", at..=at);
    }
    // With nothing missed it recovers just as well.
    site.tell("disconnect", "one", json!({}));
    site.tell("connect", "one", json!({}));
    let subscribed = site.take_of("one", "subscribed", "news");
    assert_subscribed(&subscribed, at, Some(true));
    assert!(!site.untaken("one").contains(&"publication".to_owned()));
}

pub fn what_is_not_kept_any_more_is_told(kind: Kind) {
    let mut site = Site::start_with(
        kind,
        "[[namespace]]\nchannels = \"*\"\nhistory_size = 3\nhistory_ttl = \"10m\"\n",
    );
    site.connect("one");
    site.subscribe("one", "news");
    publish(&site, 1..=1);
    assert_gets(&mut site, "one", 1..=1);
    site.tell("disconnect", "one", json!({}));
    site.take("one", "disconnected");
    publish(&site, 2..=9);
    site.tell("connect", "one", json!({}));
    let subscribed = site.take_of("one", "subscribed", "news");
    assert_subscribed(&subscribed, 9, Some(false));
    publish(&site, 10..=10);
    assert_gets(&mut site, "one", 10..=10);

    // A server that was restarted has other streams.
    let (addresses, options) = (site.server.addresses, site.server.options.clone());
    site.server.kill();
    site.server = Server::start_at(addresses, options);
    let subscribed = site.take_of("one", "subscribed", "news");
    assert_subscribed(&subscribed, 0, Some(false));
    publish(&site, 1..=1);
    assert_gets(&mut site, "one", 1..=1);
}

pub fn a_subscription_may_begin_at_a_place_of_its_choice(kind: Kind) {
    let mut site = Site::start_with(kind, KEEPS);
    site.connect("one");
    let first = site.subscribe("one", "news");
    let epoch = first["stream_position"]["epoch"].clone();
    publish(&site, 1..=9);
    site.connect("two");
    let since = json!({ "offset": 4, "epoch": epoch });
    site.tell(
        "subscribe",
        "two",
        json!({ "channel": "news", "since": since }),
    );
    let subscribed = site.take_of("two", "subscribed", "news");
    assert_subscribed(&subscribed, 4, Some(true));
    assert_gets(&mut site, "two", 5..=9);
}
