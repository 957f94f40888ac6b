//! Who receives what, in which order, on the real server with clients that nobody here wrote: Python `websockets` and
//! node `ws`.
//!
//! tests/run installs them; without them these tests fail.

#![forbid(unsafe_code)]

mod support;

use std::time::Duration;

use support::Message;
use support::client::{Client, Event, KINDS, Kind};
use support::fanout::{
    Subscribers, assert_same, open_on_each_client, settle, subscribers_on_each_client, texts,
};
use support::metrics::Metrics;
use support::server::{Options, Server};

const KIB: usize = 1_024;

#[test]
fn http_publications_reach_every_subscriber_in_order_and_keep_their_kind() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut publisher, "news", 3);

    let not_utf8 = [0xff, 0x00, 0xfe];
    let offsets = [
        publisher.publish("news", "hello"),
        publisher.publish("news", not_utf8),
        publisher.publish_binary("news", b"text declared as binary"),
        publisher.publish("news", "grüße, 你好, \u{1f600}"),
        publisher.publish("news", ""),
        publisher.publish("news", "x".repeat(64 * KIB)),
    ];

    assert!(
        offsets.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "numbered without a gap: {offsets:?}"
    );
    let expected = [
        Message::text("hello"),
        Message::Binary(not_utf8.to_vec()),
        Message::Binary(b"text declared as binary".to_vec()),
        Message::text("grüße, 你好, \u{1f600}"),
        Message::text(""),
        Message::text(&"x".repeat(64 * KIB)),
    ];
    for group in &mut groups {
        group.assert_all_receive(&expected);
    }
}

#[test]
fn a_subscriber_receives_nothing_of_other_channels() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    let mut one = subscribers_on_each_client(&server, &mut publisher, "one", 2);
    let mut other = subscribers_on_each_client(&server, &mut publisher, "other", 2);
    for i in 0..50 {
        publisher.publish("one", format!("one {i}"));
        publisher.publish("other", format!("other {i}"));
        publisher.publish("one/deeper", "to nobody");
    }
    for group in &mut one {
        group.assert_all_receive(&texts((0..50).map(|i| format!("one {i}"))));
    }
    for group in &mut other {
        group.assert_all_receive(&texts((0..50).map(|i| format!("other {i}"))));
    }
}

/// Fifty subscribers on each client, a thousand messages.
#[test]
fn one_connection_on_several_channels_gets_each_in_its_order() {
    const CHANNELS: [&str; 3] = ["a", "b/c", "d e"];
    for kind in KINDS {
        let server = Server::start(Options::default());
        let mut client = Client::start(kind);
        let path = "/sub?channel=a&channel=b%2Fc&other=1&channel=d%20e&channel=a";
        client.open("several", &server.url(path));
        let mut publisher = server.http();
        // The first of a channel may be any; from then on each must come.
        let mut next = [None; 3];
        let mut note = |event| {
            let Event::Message(Message::Text(text)) = event else {
                panic!("{kind:?}: a text is expected");
            };
            let (channel, number) = text.rsplit_once(' ').unwrap();
            let which = CHANNELS.iter().position(|c| *c == channel).unwrap();
            let number: u32 = number.parse().unwrap();
            assert_eq!(number, next[which].unwrap_or(number), "{kind:?} {channel}");
            next[which] = Some(number + 1);
            next
        };
        let mut number = 0;
        let mut publish = || {
            for channel in CHANNELS {
                publisher.publish(&channel.replace(' ', "%20"), format!("{channel} {number}"));
            }
            number += 1;
            number
        };
        // It is subscribed to a channel when something of that has come.
        let mut seen = [None; 3];
        while seen.contains(&None) {
            assert!(publish() < 500, "{kind:?} is not subscribed");
            while let Some(event) = client.next_within("several", Duration::from_millis(20)) {
                seen = note(event);
            }
        }
        let published = (0..100).map(|_| publish()).last();
        while seen != [published; 3] {
            seen = note(client.next("several"));
        }
    }
}

#[test]
fn a_list_of_channels_that_is_none_is_refused_with_its_reason() {
    let server = Server::start(Options::default());
    let mut client = Client::start(Kind::Node);
    let long = format!("/sub?channel={}", "x".repeat(256));
    for (id, path, reason) in [
        ("1", "/sub", "/sub?channel=a&channel=b"),
        ("2", "/sub?chanel=a", "/sub?channel=a&channel=b"),
        ("3", "/sub?channel=a&channel=", "empty"),
        ("4", "/sub?channel=%ff", "UTF-8"),
        ("5", &long, "256 bytes"),
    ] {
        let refusal = client.refusal(id, &server.url(path));
        assert_eq!(refusal.status, 400, "{path}");
        assert!(refusal.body.contains(reason), "{path}: {}", refusal.body);
    }
}

fn a_hundred_subscribers_get_a_thousand_messages_once_and_in_order(shards: usize) {
    let server = Server::start(Options {
        shards,
        ..Options::default()
    });
    let mut publisher = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut publisher, "scores", 50);
    let expected = texts((0..1_000).map(|i| format!("score {i}")));
    for i in 0..1_000 {
        publisher.publish("scores", format!("score {i}"));
    }
    for group in &mut groups {
        group.assert_all_receive(&expected);
    }
}

#[test]
fn a_hundred_subscribers_get_a_thousand_messages_once_and_in_order_on_1_shard() {
    a_hundred_subscribers_get_a_thousand_messages_once_and_in_order(1);
}

#[test]
fn a_hundred_subscribers_get_a_thousand_messages_once_and_in_order_on_2_shards() {
    a_hundred_subscribers_get_a_thousand_messages_once_and_in_order(2);
}

#[test]
fn a_hundred_subscribers_get_a_thousand_messages_once_and_in_order_on_4_shards() {
    a_hundred_subscribers_get_a_thousand_messages_once_and_in_order(4);
}

#[test]
fn a_hundred_subscribers_get_a_thousand_messages_once_and_in_order_on_7_shards() {
    a_hundred_subscribers_get_a_thousand_messages_once_and_in_order(7);
}

/// Publishers on both clients, at the same time as one over HTTP: their messages are mixed, but for everybody alike.
fn all_subscribers_see_many_publishers_in_one_order(shards: usize) {
    const MESSAGES_EACH: usize = 200;
    let server = Server::start(Options {
        shards,
        ..Options::default()
    });
    let mut http = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut http, "chat", 4);
    let mut publishers = KINDS.map(Client::start);
    for publisher in &mut publishers {
        for id in ["a", "b"] {
            publisher.open(id, &server.url("/pub/chat"));
        }
    }

    for i in 0..MESSAGES_EACH {
        for publisher in &mut publishers {
            for id in ["a", "b"] {
                publisher.send(
                    id,
                    &Message::text(&format!("{:?} {id}:{i}", publisher.kind)),
                );
            }
        }
        http.publish("chat", format!("http:{i}"));
    }

    let total = MESSAGES_EACH * 5;
    let mut reference: Option<Vec<Message>> = None;
    for group in &mut groups {
        for id in &group.ids {
            let received = group.client.messages(id, total);
            match &reference {
                None => reference = Some(received),
                Some(expected) => assert_same(
                    &format!("{:?} {id}", group.client.kind),
                    &received,
                    expected,
                ),
            }
        }
    }
    let order = reference.unwrap();
    for sender in ["Python a", "Python b", "Node a", "Node b", "http"] {
        let own: Vec<Message> = order
            .iter()
            .filter(|message| matches!(message, Message::Text(text) if text.starts_with(&format!("{sender}:"))))
            .cloned()
            .collect();
        assert_same(
            sender,
            &own,
            &texts((0..MESSAGES_EACH).map(|i| format!("{sender}:{i}"))),
        );
    }
}

#[test]
fn all_subscribers_see_many_publishers_in_one_order_on_1_shard() {
    all_subscribers_see_many_publishers_in_one_order(1);
}

#[test]
fn all_subscribers_see_many_publishers_in_one_order_on_2_shards() {
    all_subscribers_see_many_publishers_in_one_order(2);
}

#[test]
fn all_subscribers_see_many_publishers_in_one_order_on_4_shards() {
    all_subscribers_see_many_publishers_in_one_order(4);
}

#[test]
fn all_subscribers_see_many_publishers_in_one_order_on_7_shards() {
    all_subscribers_see_many_publishers_in_one_order(7);
}

/// Publishes, no faster than the quick subscribers read, until those that read nothing have been cut.
fn a_client_that_stops_reading_is_cut_while_all_others_get_everything(slow_consumer_config: &str) {
    const BATCH: usize = 16;
    // 128 MiB: far more than the kernel buffers for the two connections that are not read.
    const MESSAGES_MAX: usize = 4_096;
    // Compressed these messages would be some dozen bytes, and nobody slow.
    let config = format!("{slow_consumer_config}[deflate]\nenabled = false\n");
    let server = Server::start(Options::with_config(&config));
    let mut publisher = server.http();
    let mut quick = open_on_each_client(&server, "flood", 2);
    quick.extend(open_on_each_client(&server, "flood", 1));
    settle(&mut publisher, "flood", &mut quick);
    let mut slow = quick.split_off(KINDS.len());
    for group in &mut slow {
        group.client.pause(&group.ids[0]);
    }

    let mut published = Vec::new();
    while Metrics::get(&mut publisher).sum_where("closes_total", "slow_consumer") < 2 {
        assert!(
            published.len() < MESSAGES_MAX,
            "nobody was cut: {:?}",
            Metrics::get(&mut publisher)
        );
        let first = published.len();
        for number in first..first + BATCH {
            let text = format!("{number:<width$}", width = 32 * KIB);
            publisher.publish("flood", &text);
            published.push(Message::Text(text));
        }
        for group in &mut quick {
            group.assert_all_receive(&published[first..]);
        }
    }

    for group in &mut slow {
        let id = group.ids[0].clone();
        group.client.resume(&id);
        let (received, code, reason) = group.client.until_closed(&id);
        assert!(
            [1013, 1006].contains(&code),
            "{:?}: {code} {reason}",
            group.client.kind
        );
        assert!(received.len() < published.len());
        assert_same(
            "a slow client has a gapless beginning",
            &received,
            &published[..received.len()],
        );
    }
    publisher.publish("flood", "and on it goes");
    for group in &mut quick {
        group.assert_all_receive(&texts(["and on it goes"]));
    }
    Metrics::wait(
        &mut publisher,
        "nothing is kept for those that are gone",
        |m| {
            m.sum("connections") == 4
                && m.sum("backlog_bytes") == 0
                && m.sum("backlogged_connections") == 0
        },
    );
}

#[test]
fn a_client_that_stops_reading_is_cut_for_its_backlogs_bytes_while_all_others_get_everything() {
    a_client_that_stops_reading_is_cut_while_all_others_get_everything(
        "[slow_consumer]\nbacklog_bytes_max = 131_072\n",
    );
}

#[test]
fn a_client_that_stops_reading_is_cut_for_its_backlogs_age_while_all_others_get_everything() {
    a_client_that_stops_reading_is_cut_while_all_others_get_everything(
        "[slow_consumer]\nbacklog_bytes_max = 268_435_456\nbacklog_age_ms_max = 300\n",
    );
}

#[test]
fn metrics_agree_with_what_was_done() {
    // On one shard a subscription has taken effect when its handshake is answered, so that every count is known.
    let server = Server::start(Options {
        shards: 1,
        ..Options::default()
    });
    let mut http = server.http();
    let mut python = Subscribers::open(Client::start(Kind::Python), &server, "counted", 3);
    let mut node = Subscribers::open(Client::start(Kind::Node), &server, "other", 2);
    let metrics = Metrics::wait(&mut http, "five subscriptions", |m| {
        m.sum("subscriptions") == 5
    });
    assert_eq!(metrics.sum("connections"), 5, "{metrics:?}");
    assert_eq!(metrics.sum("channels"), 2, "{metrics:?}");
    assert_eq!(metrics.sum("lanes"), 2, "{metrics:?}");

    for i in 0..10 {
        http.publish("counted", format!("{i:03}"));
    }
    http.publish("nobody-is-here", "lost");
    node.client.open("publisher", &server.url("/pub/other"));
    node.client
        .send("publisher", &Message::text("from a client"));
    python.assert_all_receive(&texts((0..10).map(|i| format!("{i:03}"))));
    node.assert_all_receive(&texts(["from a client"]));
    python.client.close(&python.ids[0], 1000, "");
    python.client.until_closed(&python.ids[0]);

    let metrics = Metrics::wait(&mut http, "one is gone", |m| {
        m.sum("connections_closed_total") == 1
    });
    let expected = [
        ("connections", 5),
        ("subscriptions", 4),
        ("connections_accepted_total", 6),
        ("handshakes_total", 6),
        ("publications_total", 12),
        ("deliveries_total", 3 * 10 + 2),
        ("messages_received_total", 1),
        ("backlog_bytes", 0),
        ("connections_refused_total", 0),
    ];
    let counted = expected.map(|(family, _)| (family, metrics.sum(family)));
    assert_eq!(counted, expected, "{metrics:?}");
    let bytes_least = 3 * 10 * (2 + "000".len()) + 2 * (2 + "from a client".len());
    assert!(
        metrics.sum("bytes_sent_total") >= bytes_least as u64,
        "{metrics:?}"
    );
}

/// JSON values whose digits, blanks or escapes an ordinary JSON library would change.
const DATA: &[&str] = &[
    "1.10",
    "1e5",
    "-0.0",
    "12345678901234567890",
    "123456789012345678901234567890",
    "1.0000000000000000000000001E+40",
    "1E400",
    r#""plain""#,
    r#""\u00e9\/\n\ud83d\ude00 \" é""#,
    r#"{ "a" :  1.10,  "nested": [ 1 ,2,{"b":"}]\""} ] , "a": 2 }"#,
    "[\t[ ] ,\n{ } ]",
    "true",
    "null",
];

#[test]
fn api_publish_delivers_data_byte_for_byte() {
    let server = Server::start(Options::default());
    let mut http = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut http, "exact", 1);
    for data in DATA {
        for body in [
            format!(r#"{{"channel":"exact","data":{data}}}"#),
            format!("\n{{ \"data\" : {data} ,\t\"channel\" : \"e\\u0078act\" }}\n"),
        ] {
            let answer = http.api("publish", &body);
            assert!(
                answer["result"]["offset"].is_u64() && answer["result"]["epoch"].is_string(),
                "{body}: {answer}"
            );
        }
        for group in &mut groups {
            group.assert_all_receive(&texts([data, data]));
        }
    }
}

#[test]
fn api_broadcast_delivers_data_byte_for_byte_to_every_channel() {
    let server = Server::start(Options::default());
    let mut http = server.http();
    let mut first = subscribers_on_each_client(&server, &mut http, "first", 1);
    let mut second = subscribers_on_each_client(&server, &mut http, "second", 1);
    for data in DATA {
        let answer = http.api(
            "broadcast",
            &format!(r#"{{"channels":["first","second"],"data":{data}}}"#),
        );
        let responses = answer["result"]["responses"].as_array().map(Vec::len);
        assert_eq!(responses, Some(2), "{answer}");
        for group in first.iter_mut().chain(&mut second) {
            group.assert_all_receive(&texts([data]));
        }
    }
}
