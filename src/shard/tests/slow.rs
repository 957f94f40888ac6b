//! What subscribers that are behind get, as their channels' namespaces say.

use super::*;
use crate::channel::{Namespace, Namespaces, SlowPolicy};

const BACKLOG_BYTES_MAX: usize = 2_000;

fn shard_that(slow_consumer: SlowPolicy) -> Shard {
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = BACKLOG_BYTES_MAX;
    let sessions = session::Settings::new(&config).expect("the default origins");
    let namespace = Namespace {
        slow_consumer,
        ..Namespace::default()
    };
    let rules = Rules {
        namespaces: Arc::new(Namespaces::uniform(namespace)),
        ..Rules::default()
    };
    shard_that_holds(config, sessions, rules)
}

/// An event stream of the channel `news`.
fn listen(shard: &mut Shard) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut head =
        b"GET /sub/news HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".to_vec();
    shard.handle_input(0, id, &mut head);
    id
}

fn publish_numbered(shard: &mut Shard, number: u64) {
    let request = Request::Publish {
        channel: ChannelName::parse("news").expect("a short name"),
        draft: Draft::new(Kind::Text, format!("publication {number}").into()),
        ticket: None,
    };
    shard.handle_request(0, 0, request);
}

/// A turn in which no socket takes anything, or every one all there is; what was taken.
fn turn_with(shard: &mut Shard, takes: bool) -> String {
    let mut taken = Vec::new();
    let mut batch = Batch::default();
    shard.begin_turn(0, 0);
    while shard.poll_batch(0, &mut batch) {
        let mut exceptions = Vec::new();
        for ((_, bytes), send) in batch.iter().zip(0..) {
            match takes {
                true => taken.extend_from_slice(bytes),
                false => exceptions.push(Exception { send, result: -11 }),
            }
        }
        shard.handle_scattered(0, &batch, &exceptions);
    }
    shard.end_turn();
    while shard.poll_effect().is_some() {}
    String::from_utf8_lossy(&taken).into_owned()
}

/// All that a socket takes which takes everything again.
fn caught_up(shard: &mut Shard, id: ConnectionId) -> String {
    let mut taken = String::new();
    shard.handle_writable(id);
    for _ in 0..1_000 {
        taken += &turn_with(shard, true);
        if !shard.has_work() {
            return taken;
        }
    }
    panic!("it never ends");
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: publication ")?.parse().ok())
        .collect()
}

#[test]
fn what_waits_is_dropped_and_the_gap_told_where_it_was_and_the_stream_goes_on() {
    let mut shard = shard_that(SlowPolicy::DropOldest);
    let id = listen(&mut shard);
    turn_with(&mut shard, true);
    for number in 1..=200 {
        publish_numbered(&mut shard, number);
        turn_with(&mut shard, false);
        let backlog = shard.counters().backlog_bytes as usize;
        assert!(backlog <= BACKLOG_BYTES_MAX + 200, "{backlog}");
    }
    assert_eq!(shard.counters().closed_slow, 0);
    let taken = caught_up(&mut shard, id);
    let got = numbers(&taken);
    assert!(got.contains(&200), "{got:?}");
    assert!(got.is_sorted());
    assert_eq!(got.len() as u64 + shard.counters().dropped, 200);
    // Every number that is missing is told of by a gap that names a place behind it, in front of the next.
    let mut expected = 1;
    let mut last_gap = 0;
    let mut gaps = 0;
    for block in taken.split("\n\n") {
        if let Some(offset) = block
            .strip_prefix("event: gap\n")
            .and_then(|gap| gap.rsplit(':').next())
        {
            last_gap = offset.parse().expect("an offset");
            gaps += 1;
        }
        for number in numbers(block) {
            if number != expected {
                assert_eq!(number, last_gap + 1, "{taken}");
            }
            expected = number + 1;
        }
    }
    assert!(gaps >= 1);
    assert_eq!(shard.residue().backlog_bytes, 0);
}

#[test]
fn what_a_reload_says_about_slow_consumers_holds_for_subscribers_that_are_there() {
    let mut shard = shard_that(SlowPolicy::Disconnect);
    let id = listen(&mut shard);
    turn_with(&mut shard, true);
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = BACKLOG_BYTES_MAX;
    let sessions = session::Settings::new(&config).expect("the default origins");
    let namespace = Namespace {
        slow_consumer: SlowPolicy::Conflate,
        ..Namespace::default()
    };
    let rules = Rules {
        namespaces: Arc::new(Namespaces::uniform(namespace)),
        ..Rules::default()
    };
    let live = Live {
        version: 1,
        sessions: Arc::new(sessions),
        rules: Arc::new(rules),
        config: Arc::new(config),
    };
    shard.handle_request(0, 1, Request::Reload(Arc::new(live)));
    turn_with(&mut shard, true);
    for number in 1..=200 {
        publish_numbered(&mut shard, number);
        turn_with(&mut shard, false);
    }
    assert_eq!(shard.counters().closed_slow, 0);
    assert_eq!(numbers(&caught_up(&mut shard, id)), [1, 200]);
}

#[test]
fn of_what_waits_the_newest_alone_is_kept_where_the_namespace_conflates() {
    let mut shard = shard_that(SlowPolicy::Conflate);
    let id = listen(&mut shard);
    turn_with(&mut shard, true);
    for number in 1..=200 {
        publish_numbered(&mut shard, number);
        if number % 10 == 0 {
            turn_with(&mut shard, false);
        }
    }
    let taken = caught_up(&mut shard, id);
    let got = numbers(&taken);
    // The first send was under way when it fell behind.
    let expected: Vec<u64> = (1..=10).chain([200]).collect();
    assert_eq!(got, expected);
    assert_eq!(shard.counters().conflated, 189);
    assert_eq!(shard.residue().backlog_bytes, 0);
}

#[test]
fn a_websocket_of_the_raw_protocol_is_closed_for_it_cannot_be_told() {
    let mut shard = shard_that(SlowPolicy::DropOldest);
    let id = subscribe(&mut shard, "news");
    turn_with(&mut shard, true);
    for number in 1..=200 {
        publish_numbered(&mut shard, number);
        turn_with(&mut shard, false);
    }
    let taken = caught_up(&mut shard, id);
    assert!(taken.contains("too slow"), "{taken}");
    assert_eq!(shard.residue().subscriptions, 0);
}
