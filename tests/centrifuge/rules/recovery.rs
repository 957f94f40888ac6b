//! What a subscriber that comes back gets, and what it is told.

use serde_json::{Value, json};

use crate::support::centrifuge::Centrifuge;
use crate::support::server::Server;
use crate::{client, server_with};

const KEEPS: &str = "[[namespace]]\nchannels = \"*\"\nhistory_size = 5\nhistory_ttl = \"10m\"\n";

/// Publishes numbers.
fn publish(server: &Server, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
    let mut http = server.http();
    for number in numbers {
        http.publish(channel, number.to_string());
    }
}

/// The next publications, which must be these numbers in their own places.
fn assert_gets(client: &mut Centrifuge, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let publication = client.publication(channel);
        assert_eq!(publication, json!({ "data": number, "offset": number }));
    }
}

fn recover(client: &mut Centrifuge, channel: &str, epoch: &Value, offset: u64) -> Value {
    let members = json!({ "channel": channel, "recover": true, "epoch": epoch, "offset": offset });
    client.call("subscribe", members)
}

#[test]
fn a_subscriber_is_told_where_it_stands() {
    let server = server_with(KEEPS);
    let mut client = client(&server);
    let subscribed = client.subscribe("news");
    assert_eq!(subscribed["recoverable"], true);
    assert_eq!(subscribed["positioned"], true);
    assert_eq!(subscribed["offset"], 0);
    assert!(!subscribed["epoch"].as_str().unwrap().is_empty());
    assert_eq!(subscribed.get("recovered"), None);
    publish(&server, "news", 1..=3);
    assert_gets(&mut client, "news", 1..=3);
    let mut late = crate::client(&server);
    let later = late.subscribe("news");
    assert_eq!(later["offset"], 3);
    assert_eq!(later["epoch"], subscribed["epoch"]);
    late.assert_undisturbed();
}

#[test]
fn who_comes_back_gets_exactly_what_it_missed_and_then_the_live_stream() {
    let server = server_with(KEEPS);
    publish(&server, "news", 1..=6);
    let epoch = client(&server).subscribe("news")["epoch"].clone();
    for offset in 1..=6 {
        let mut client = client(&server);
        let subscribed = recover(&mut client, "news", &epoch, offset);
        // It counts on from where it was.
        let expected = json!({
            "recoverable": true, "positioned": true, "epoch": epoch, "offset": offset,
            "was_recovering": true, "recovered": true,
        });
        assert_eq!(subscribed, expected);
        assert_gets(&mut client, "news", offset + 1..=6);
        client.assert_undisturbed();
    }
    let mut client = client(&server);
    recover(&mut client, "news", &epoch, 4);
    publish(&server, "news", 7..=8);
    assert_gets(&mut client, "news", 5..=8);
    client.assert_undisturbed();
}

#[test]
fn without_an_epoch_any_stream_is_meant() {
    let server = server_with(KEEPS);
    publish(&server, "news", 1..=3);
    let mut client = client(&server);
    let subscribed = recover(&mut client, "news", &json!(""), 0);
    assert_eq!(
        (&subscribed["recovered"], &subscribed["offset"]),
        (&json!(true), &json!(0))
    );
    assert_gets(&mut client, "news", 1..=3);
}

#[test]
fn where_not_all_is_kept_it_is_told_so_and_gets_nothing_of_it() {
    let server = server_with(KEEPS);
    publish(&server, "news", 1..=7);
    let epoch = client(&server).subscribe("news")["epoch"].clone();
    for (epoch, offset) in [
        // Two are kept no more.
        (epoch.clone(), 1),
        // It has never come so far.
        (epoch.clone(), 8),
        // Another stream, or none.
        (json!("1"), 6),
        (json!("_"), 0),
        (json!("no epoch"), 6),
        (json!(""), 1),
    ] {
        let mut client = client(&server);
        let subscribed = recover(&mut client, "news", &epoch, offset);
        assert_eq!(subscribed["was_recovering"], true, "{subscribed}");
        assert_eq!(
            subscribed["recovered"], false,
            "{epoch} {offset}: {subscribed}"
        );
        assert_eq!(subscribed["offset"], 7, "{subscribed}");
        client.assert_undisturbed();
        let members = json!({ "channel": "news" });
        client.call("unsubscribe", members);
        // Who wants all or nothing gets nothing.
        let members = json!({ "channel": "news", "recover": true, "epoch": epoch, "offset": offset, "flag": 3 });
        assert_eq!(client.error("subscribe", members).0, 112);
        client.subscribe("news");
    }
}

#[test]
fn a_forgotten_stream_is_another_one() {
    let server = server_with(&format!("{KEEPS}[timeouts]\nchannel_idle_ms = 100\n"));
    let mut client = client(&server);
    let first = client.subscribe("news");
    client.call("unsubscribe", json!({ "channel": "news" }));
    let until = std::time::Instant::now() + crate::support::DEADLINE;
    loop {
        // Subscribing does not keep it from being forgotten once it is left again.
        std::thread::sleep(std::time::Duration::from_millis(150));
        let subscribed = recover(&mut client, "news", &first["epoch"], 0);
        client.call("unsubscribe", json!({ "channel": "news" }));
        if subscribed["epoch"] != first["epoch"] {
            assert_eq!(subscribed["recovered"], false, "{subscribed}");
            break;
        }
        assert!(std::time::Instant::now() < until, "it is forgotten in time");
    }
}

#[test]
fn hundreds_that_come_back_at_once_each_get_what_they_missed() {
    let server = server_with(
        "[[namespace]]\nchannels = \"*\"\nhistory_size = 1000\nhistory_ttl = \"10m\"\n",
    );
    let epoch = client(&server).subscribe("news")["epoch"].clone();
    publish(&server, "news", 1..=300);
    let mut clients: Vec<Centrifuge> = (0..200).map(|_| client(&server)).collect();
    for (offset, client) in clients.iter_mut().enumerate() {
        let members =
            json!({ "channel": "news", "recover": true, "epoch": epoch, "offset": offset });
        client.command("subscribe", members);
    }
    publish(&server, "news", 301..=310);
    for (offset, client) in clients.iter_mut().enumerate() {
        let reply = client.reply(2);
        assert_eq!(reply["subscribe"]["recovered"], true, "{reply}");
        assert_eq!(reply["subscribe"]["offset"], offset);
        assert_gets(client, "news", offset as u64 + 1..=310);
    }
}

#[test]
fn a_channel_with_a_cache_gives_newcomers_its_last_value() {
    let server = server_with(
        "[[namespace]]\nchannels = \"price:*\"\ncache = true\nhistory_ttl = \"10m\"\n\
         [[namespace]]\nchannels = \"both:*\"\ncache = true\nhistory_size = 3\nhistory_ttl = \"10m\"\n",
    );
    for channel in ["price:a", "both:a"] {
        let mut early = client(&server);
        early.subscribe(channel);
        early.assert_undisturbed();
        publish(&server, channel, 1..=5);
        assert_gets(&mut early, channel, 1..=5);
        let mut late = client(&server);
        let subscribed = late.subscribe(channel);
        assert_gets(&mut late, channel, 5..=5);
        late.assert_undisturbed();
        if channel == "both:a" {
            // It stands where it was before it got that.
            assert_eq!(subscribed["offset"], 4, "{subscribed}");
            let mut back = client(&server);
            let recovered = recover(&mut back, channel, &subscribed["epoch"], 3);
            assert_eq!(recovered["recovered"], true, "{recovered}");
            assert_gets(&mut back, channel, 4..=5);
            // What is not there any more is not made up for by the last value, but it comes.
            let mut stale = client(&server);
            let gap = recover(&mut stale, channel, &subscribed["epoch"], 1);
            assert_eq!(gap["recovered"], false, "{gap}");
            assert_eq!(gap["offset"], 4);
            assert_gets(&mut stale, channel, 5..=5);
        }
    }
}
