//! The real server under clients that nobody here wrote, Python `websockets` and node `ws`: what one connection sees.
//!
//! tests/run installs them; without them these tests fail.

#![forbid(unsafe_code)]

mod support;

use support::Message;
use support::client::{Event, Kind};
use support::fanout::{subscribers_on_each_client, texts, with_each_client};
use support::metrics::Metrics;
use support::server::{Options, Server};
use support::wire::{Said, Socket};

const KIB: usize = 1_024;

#[test]
fn a_pub_socket_publishes_each_of_its_messages_with_its_kind() {
    let server = Server::start(Options::default());
    let mut groups = subscribers_on_each_client(&server, &mut server.http(), "feed", 2);
    with_each_client(|mut client| {
        client.open("publisher", &server.url("/pub/feed"));
        client.send("publisher", &Message::text("one"));
        client.send("publisher", &Message::Binary(vec![0, 1, 0xff]));
        client.send_fragments("publisher", &["t", "hr", "ee"]);
        client.send("publisher", &Message::text(""));
        let expected = [
            Message::text("one"),
            Message::Binary(vec![0, 1, 0xff]),
            Message::text("three"),
            Message::text(""),
        ];
        for group in &mut groups {
            group.assert_all_receive(&expected);
        }
    });
}

#[test]
fn channel_names_are_utf8_and_percent_decoded() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    for (encoded, name) in [
        ("caf%C3%A9", "café"),
        ("%E4%BD%A0%E5%A5%BD", "你好"),
        ("a%20b%2Fc%3Fd%25", "a b/c?d%"),
        ("prices/eur", "prices/eur"),
    ] {
        let mut groups = subscribers_on_each_client(&server, &mut publisher, encoded, 1);
        publisher.publish(encoded, "by path");
        let body = serde_json::json!({ "channel": name, "data": "by name" }).to_string();
        let answer = publisher.api("publish", &body);
        assert!(answer["result"]["offset"].is_u64(), "{name}: {answer}");
        for group in &mut groups {
            group.assert_all_receive(&texts(["by path", r#""by name""#]));
        }
    }
}

#[test]
fn bad_channel_names_are_refused_with_400_and_the_reason() {
    let server = Server::start(Options::default());
    let too_long = "x".repeat(256);
    for bad in ["", "%00", "a%0Ab", "%7F", "%FF", "%C3", &too_long] {
        with_each_client(|mut client| {
            for path in [format!("/sub/{bad}"), format!("/pub/{bad}")] {
                let refusal = client.refusal(&path, &server.url(&path));
                assert_eq!(refusal.status, 400, "{path}: {refusal:?}");
                assert!(
                    !refusal.body.is_empty(),
                    "{path}: the reason is in the body"
                );
            }
        });
        let answer = server.http().post(&format!("/pub/{bad}"), "lost");
        assert_eq!(answer.status, 400, "POST /pub/{bad}: {answer:?}");
        assert!(
            !answer.body.is_empty(),
            "POST /pub/{bad}: the reason is in the body"
        );
    }
    for bad in ["", "a\nb", &too_long] {
        let body = serde_json::json!({ "channel": bad, "data": 1 }).to_string();
        let answer = server.http().api("publish", &body);
        assert!(
            answer["error"]["code"].is_u64() && answer["error"]["message"].is_string(),
            "{bad:?}: {answer}"
        );
    }
}

#[test]
fn echo_returns_whole_and_fragmented_messages_of_both_kinds() {
    let server = Server::start(Options {
        echo: true,
        ..Options::default()
    });
    with_each_client(|mut client| {
        client.open("echo", &server.url("/echo"));
        for message in [
            Message::text("hello"),
            Message::text(&"é".repeat(32 * KIB)),
            Message::Binary(vec![7; 64 * KIB]),
        ] {
            client.send("echo", &message);
            assert_eq!(client.message("echo"), message);
        }
        client.send_fragments("echo", &["", "frag", "", "ments", ""]);
        assert_eq!(client.message("echo"), Message::text("fragments"));
    });
}

#[test]
fn the_servers_pings_are_answered_and_a_silent_client_is_closed() {
    const PINGS: usize = 4;
    let server = Server::start(Options::with_config(
        "[timeouts]\nping_interval_ms = 100\npong_timeout_ms = 400\n",
    ));
    let mut publisher = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut publisher, "alive", 1);

    // Two rounds in a row: both real clients have outlived a client that said nothing.
    for _ in 0..2 {
        let mut silent = Socket::open(server.addresses.public, "/sub/alive");
        let mut pings = 0;
        while silent.next() != Said::End {
            pings += 1;
        }
        assert!(pings > 0, "the server pings before it closes");
    }
    let metrics = Metrics::wait(&mut publisher, "two are left", |m| {
        m.sum("connections") == 2
    });
    assert_eq!(
        metrics.sum_where("closes_total", "pong_timeout"),
        2,
        "{metrics:?}"
    );

    let node = groups
        .iter_mut()
        .find(|group| group.client.kind == Kind::Node)
        .unwrap();
    for _ in 0..PINGS {
        assert!(matches!(node.client.next(&node.ids[0]), Event::Ping(_)));
    }
    publisher.publish("alive", "still there");
    for group in &mut groups {
        group.assert_all_receive(&texts(["still there"]));
    }
}

#[test]
fn the_server_answers_pings_with_their_payload() {
    let server = Server::start(Options::default());
    with_each_client(|mut client| {
        for path in ["/sub/quiet", "/pub/quiet"] {
            client.open(path, &server.url(path));
            client.ping(path, "are you well?");
            assert_eq!(
                client.next(path),
                Event::Pong("are you well?".to_owned()),
                "{path}"
            );
        }
    });
}

#[test]
fn a_clients_close_code_is_echoed() {
    let server = Server::start(Options::default());
    with_each_client(|mut client| {
        for path in ["/sub/short", "/pub/short"] {
            for code in [1000, 1001, 3000, 4999] {
                let id = format!("{path} {code}");
                client.open(&id, &server.url(path));
                client.close(&id, code, "goodbye");
                let (messages, closed_with, _) = client.until_closed(&id);
                assert_eq!((messages, closed_with), (vec![], code), "{id}");
            }
        }
    });
    Metrics::wait(&mut server.http(), "no connection is left", |m| {
        m.sum("connections") == 0
    });
}

#[test]
fn a_message_over_the_limit_closes_with_1009_and_is_not_published() {
    let server = Server::start(Options::with_config("[limits]\nmessage_bytes_max = 1000\n"));
    let mut publisher = server.http();
    let mut groups = subscribers_on_each_client(&server, &mut publisher, "limit", 1);
    with_each_client(|mut client| {
        client.open("big", &server.url("/pub/limit"));
        client.send("big", &Message::text(&"x".repeat(1_000)));
        client.send("big", &Message::text(&"y".repeat(1_001)));
        let (_, code, reason) = client.until_closed("big");
        assert_eq!(code, 1009, "{reason}");
        assert!(!reason.is_empty(), "the close frame says why");
        for group in &mut groups {
            group.assert_all_receive(&texts(["x".repeat(1_000)]));
        }
    });
    let answer = publisher.post("/pub/limit", "z".repeat(1_001));
    assert_eq!(answer.status, 413, "{answer:?}");

    server.http().publish("limit", "and on it goes");
    for group in &mut groups {
        group.assert_all_receive(&texts(["and on it goes"]));
    }
}

#[test]
fn a_publisher_over_its_rate_is_closed_with_1008() {
    let server = Server::start(Options::with_config(
        "[limits]\nmessages_per_second_max = 20\n",
    ));
    with_each_client(|mut client| {
        client.open("eager", &server.url("/pub/rate"));
        for i in 0..200 {
            client.send("eager", &Message::text(&i.to_string()));
        }
        let (_, code, reason) = client.until_closed("eager");
        assert_eq!(code, 1008, "{reason}");
    });
    Metrics::wait(&mut server.http(), "both were counted", |m| {
        m.sum_where("closes_total", "rate") == 2
    });
}

#[test]
fn a_page_of_an_origin_that_is_not_allowed_is_refused_with_403() {
    let server = Server::start(Options::with_config(
        "[origins]\nallowed = [\"https://app.example.com\", \"https://*.example.org:*\"]\n",
    ));
    with_each_client(|mut client| {
        let url = server.url("/sub/pages");
        for origin in ["https://app.example.com", "https://www.example.org:8443"] {
            client.open_from(origin, &url, origin);
        }
        for origin in [
            "https://evil.example",
            "http://app.example.com",
            "https://app.example.com.evil.example",
        ] {
            let refusal = client.refusal_from(origin, &url, origin);
            assert_eq!(refusal.status, 403, "{origin}: {refusal:?}");
        }
        // Programs that are no browsers send no origin.
        client.open("no origin", &url);
    });
}

#[test]
fn an_unknown_path_is_refused_with_404() {
    // Without the setting there is no echo.
    let server = Server::start(Options::default());
    with_each_client(|mut client| {
        for path in ["/nowhere", "/", "/echo", "/subscribe/news"] {
            let refusal = client.refusal(path, &server.url(path));
            assert_eq!(refusal.status, 404, "{path}: {refusal:?}");
            assert!(!refusal.body.is_empty(), "{path}: a line of help");
        }
    });
}

#[test]
fn connections_beyond_the_limit_get_503_with_retry_after() {
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config("[limits]\nconnections_max = 4\n")
    });
    with_each_client(|mut client| {
        let url = server.url("/sub/full");
        for id in ["1", "2", "3", "4"] {
            client.open(id, &url);
        }
        let refusal = client.refusal("5", &url);
        assert_eq!(refusal.status, 503, "{refusal:?}");
        let retry_after: u64 = refusal.headers["retry-after"].parse().unwrap();
        assert!(retry_after > 0, "{refusal:?}");

        client.close("1", 1000, "");
        client.until_closed("1");
        Metrics::wait(&mut server.http(), "room for one", |m| {
            m.sum("connections") == 3
        });
        client.open("6", &url);
        for id in ["2", "3", "4", "6"] {
            client.close(id, 1000, "");
        }
        Metrics::wait(&mut server.http(), "nobody is left", |m| {
            m.sum("connections") == 0
        });
    });
}
