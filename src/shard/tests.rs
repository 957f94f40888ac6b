//! What one shard does, driven by hand.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;

use super::*;
use crate::channel::ChannelName;
use crate::publication::{Draft, Kind};

mod busiest;
mod drain;
mod handouts;
mod merging;
mod patterns;
mod pongs;
mod queues;
mod recovery;
mod reload;
mod saving;
mod slow;
mod stomp;
mod surveys;
mod timers;
mod tokens;

fn shard(config: Config) -> Shard {
    let sessions = session::Settings::new(&config).expect("the default origins");
    shard_with(config, sessions)
}

fn shard_with(config: Config, sessions: session::Settings) -> Shard {
    shard_that_holds(config, sessions, Rules::default())
}

fn shard_that_holds(config: Config, sessions: session::Settings, rules: Rules) -> Shard {
    let identity = Identity {
        shard: 0,
        shards: 1,
        hash_seed: 1,
        first_epoch: 1,
    };
    Shard::new(
        identity,
        Arc::new(config),
        Arc::new(sessions),
        Arc::new(rules),
    )
}

fn subscribe(shard: &mut Shard, channel: &str) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head(&format!("/sub/{channel}"), ""));
    id
}

/// A request head with more header lines.
fn head(path: &str, more: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
    .into_bytes()
}

fn publish(shard: &mut Shard, channel: &str) {
    let request = Request::Publish {
        channel: ChannelName::parse(channel).expect("a short name"),
        draft: Draft::new(Kind::Text, Bytes::from_static(b"hello")),
        ticket: None,
    };
    shard.handle_request(0, 0, request);
}

/// Carries all batches of a turn out and returns the slots in the order of the sends.
fn turn(shard: &mut Shard) -> Vec<u32> {
    let mut slots = Vec::new();
    let mut batch = Batch::default();
    shard.begin_turn(0, 0);
    while shard.poll_batch(0, &mut batch) {
        slots.extend(batch.iter().map(|(slot, _)| slot));
        shard.handle_scattered(0, &batch, &[]);
    }
    shard.end_turn();
    slots
}

#[test]
fn a_small_lane_does_not_wait_behind_a_huge_one() {
    let mut shard = shard(Config::default());
    for _ in 0..20_000 {
        subscribe(&mut shard, "huge");
    }
    let small = subscribe(&mut shard, "small");
    turn(&mut shard);
    publish(&mut shard, "huge");
    publish(&mut shard, "small");
    let sends = turn(&mut shard);
    let place = sends.iter().position(|&slot| slot == small.slot);
    assert!(place.is_some_and(|place| place <= 2_048), "{place:?}");
}

#[test]
fn a_turn_is_bounded_and_a_huge_lane_is_served_whole_over_several() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 1_000;
    let mut shard = shard(config);
    for _ in 0..2_500 {
        subscribe(&mut shard, "huge");
    }
    turn(&mut shard);
    publish(&mut shard, "huge");
    let turns: Vec<usize> = (0..4).map(|_| turn(&mut shard).len()).collect();
    assert_eq!(turns, [1_000, 1_000, 500, 0]);
    assert!(!shard.has_work());
}

#[test]
fn what_is_published_in_one_turn_leaves_in_one_send() {
    let mut shard = shard(Config::default());
    subscribe(&mut shard, "news");
    turn(&mut shard);
    for _ in 0..64 {
        publish(&mut shard, "news");
    }
    assert_eq!(turn(&mut shard).len(), 1);
    assert_eq!(shard.counters().deliveries, 64);
}

/// A connection that is on several channels.
fn subscribe_to(shard: &mut Shard, channels: &[&str]) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let names: Vec<String> = channels.iter().map(|c| format!("channel={c}")).collect();
    shard.handle_input(0, id, &mut head(&format!("/sub?{}", names.join("&")), ""));
    id
}

#[test]
fn what_several_lanes_have_for_a_connection_leaves_in_one_send() {
    let mut shard = shard(Config::default());
    let channels = ["a", "b", "c"];
    let all: Vec<_> = (0..10)
        .map(|_| subscribe_to(&mut shard, &channels))
        .collect();
    let one = subscribe(&mut shard, "b");
    turn(&mut shard);
    for round in 1..=3 {
        for channel in channels {
            publish(&mut shard, channel);
        }
        let mut sends = turn(&mut shard);
        sends.sort_unstable();
        let slots: Vec<u32> = all.iter().chain([&one]).map(|id| id.slot).collect();
        assert_eq!(sends, slots);
        assert_eq!(shard.counters().deliveries, round * 31);
        assert_eq!(shard.counters().merged, round * 10);
        assert!(!shard.has_work());
    }
    publish(&mut shard, "b");
    assert_eq!(turn(&mut shard).len(), 11);
    assert_eq!(
        shard.counters().merged,
        30,
        "one lane alone has nothing to merge"
    );
}

#[test]
fn what_is_too_long_to_be_merged_leaves_by_itself() {
    let mut shard = shard(Config::default());
    subscribe_to(&mut shard, &["a", "b", "c"]);
    turn(&mut shard);
    for channel in ["a", "b", "c"] {
        let request = Request::Publish {
            channel: ChannelName::parse(channel).expect("a short name"),
            draft: Draft::new(Kind::Binary, Bytes::from(vec![0; 10_000])),
            ticket: None,
        };
        shard.handle_request(0, 0, request);
    }
    assert_eq!(turn(&mut shard).len(), 3);
    assert_eq!(
        (shard.counters().deliveries, shard.counters().merged),
        (3, 0)
    );
}

/// A subscriber whose client offers compression with a window.
fn subscribe_deflating(shard: &mut Shard, channel: &str, window_bits: u32) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let offer = format!(
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={window_bits}\r\n"
    );
    shard.handle_input(0, id, &mut head(&format!("/sub/{channel}"), &offer));
    id
}

#[test]
fn a_publication_is_compressed_once_for_all_that_agreed_to_a_window() {
    let mut shard = shard(Config::default());
    for _ in 0..1_000 {
        subscribe(&mut shard, "news");
        subscribe_deflating(&mut shard, "news", 15);
        subscribe_deflating(&mut shard, "news", 10);
        subscribe_deflating(&mut shard, "quiet", 15);
    }
    turn(&mut shard);
    assert_eq!(shard.counters().compressions, 0);
    let payload = Bytes::from("{\"price\": 1}".repeat(100));
    for published in 1..=3 {
        let request = Request::Publish {
            channel: ChannelName::parse("news").expect("a short name"),
            draft: Draft::new(Kind::Text, payload.clone()),
            ticket: None,
        };
        shard.handle_request(0, 0, request);
        assert_eq!(turn(&mut shard).len(), 3_000);
        let counters = shard.counters();
        assert_eq!(counters.compressions, 2 * published, "once for each window");
        let bytes_in = 2 * published * payload.len() as u64;
        assert_eq!(counters.compressed_bytes_in, bytes_in);
        assert!(counters.compressed_bytes_out < bytes_in / 10);
    }
}

#[test]
fn a_short_publication_is_the_same_for_everybody_and_compressed_for_nobody() {
    let mut shard = shard(Config::default());
    subscribe(&mut shard, "news");
    subscribe_deflating(&mut shard, "news", 15);
    turn(&mut shard);
    publish(&mut shard, "news");
    assert_eq!(turn(&mut shard).len(), 2);
    let counters = shard.counters();
    assert_eq!((counters.compressions, counters.compressions_vain), (0, 0));
}
