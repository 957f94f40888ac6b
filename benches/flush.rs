//! What a flush costs the shard itself, without sockets: with merging and without, on the same connections.
//!
//! Both are measured in turn, often, and the least of each is shown: what others take of the core only ever adds to it. In
//! front of each batch the caches are filled with something else, as sending does it.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pushring::channel::ChannelName;
use pushring::config::Config;
use pushring::publication::{Draft, Kind};
use pushring::session::Settings;
use pushring::shard::mail::Request;
use pushring::shard::{Batch, Identity, Shard};

/// Connections, each on [`EACH`] channels.
const CONNECTIONS: usize = 1_000;
const EACH: usize = 20;
/// Channels that they share.
const CHANNELS: usize = 100;
const PAYLOAD_BYTES: usize = 128;
/// Flushes of each shard.
const FLUSHES: usize = 100;
/// More than caches hold.
const CACHES_BYTES: usize = 64 << 20;

/// Who is on which channels, and which of them are published to in a turn.
struct Pattern {
    name: &'static str,
    channels_of: fn(usize) -> Vec<usize>,
    published: fn() -> Vec<usize>,
}

const PATTERNS: [Pattern; 5] = [
    Pattern {
        name: "one subscription each, 4 channels",
        channels_of: |connection| vec![connection % 4],
        published: || (0..4).collect(),
    },
    Pattern {
        name: "4 of 100 channels, no subscriber in common",
        channels_of: in_steps,
        published: || (0..4).collect(),
    },
    Pattern {
        name: "a channel for each of 1,000 connections",
        channels_of: |connection| (0..EACH).map(|which| connection * EACH + which).collect(),
        published: || {
            (0..CONNECTIONS)
                .map(|connection| connection * EACH)
                .collect()
        },
    },
    Pattern {
        name: "4 of 100 channels, chosen at random",
        channels_of: at_random,
        published: || (0..4).collect(),
    },
    Pattern {
        name: "all of 100 channels",
        channels_of: in_steps,
        published: || (0..CHANNELS).collect(),
    },
];

fn in_steps(connection: usize) -> Vec<usize> {
    let step = CHANNELS / EACH;
    (0..EACH)
        .map(|which| (connection + which * step) % CHANNELS)
        .collect()
}

/// The same at every run.
fn at_random(connection: usize) -> Vec<usize> {
    let mut state = connection as u64 + 1;
    let mut channels: Vec<usize> = (0..CHANNELS).collect();
    for at in 0..EACH {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        channels.swap(at, at + (state >> 33) as usize % (CHANNELS - at));
    }
    channels.truncate(EACH);
    channels
}

fn main() {
    // `cargo test --all-targets` wants to see it work, not to wait for figures.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let flushes = if is_bench { FLUSHES } else { 2 };
    println!(
        "{:<44} {:>10} {:>13} {:>13} {:>16} {:>16}",
        "", "deliveries", "sends apart", "sends merged", "apart ns/del.", "merged ns/del."
    );
    for pattern in &PATTERNS {
        measure(pattern, flushes);
    }
}

fn measure(pattern: &Pattern, flushes: usize) {
    let mut apart = connected(pattern, 0);
    let mut merging = connected(pattern, Config::default().fanout.merge_bytes_max);
    let mut caches = vec![0u8; CACHES_BYTES];
    let mut best = [Duration::MAX; 2];
    let mut sends = [0; 2];
    let mut deliveries = [0; 2];
    for _ in 0..flushes {
        for (which, shard) in [&mut apart, &mut merging].into_iter().enumerate() {
            let before = shard.counters().deliveries;
            let (time, made) = flush(shard, pattern, &mut caches);
            best[which] = best[which].min(time);
            sends[which] = made;
            deliveries[which] = shard.counters().deliveries - before;
        }
    }
    assert_eq!(deliveries[0], deliveries[1], "{}", pattern.name);
    let ns = |which: usize| best[which].as_nanos() as f64 / deliveries[which] as f64;
    println!(
        "{:<44} {:>10} {:>13} {:>13} {:>16.1} {:>16.1}",
        pattern.name,
        deliveries[0],
        sends[0],
        sends[1],
        ns(0),
        ns(1)
    );
}

fn connected(pattern: &Pattern, merge_bytes_max: usize) -> Shard {
    let mut config = Config::default();
    config.fanout.merge_bytes_max = merge_bytes_max;
    let sessions = Settings::new(&config).expect("the default origins");
    let identity = Identity {
        shard: 0,
        shards: 1,
        hash_seed: 1,
        first_epoch: 1,
    };
    let mut shard = Shard::new(
        identity,
        Arc::new(config),
        Arc::new(sessions),
        Arc::default(),
    );
    for connection in 0..CONNECTIONS {
        let channels = (pattern.channels_of)(connection);
        let names: Vec<String> = channels.iter().map(|c| format!("channel=c{c}")).collect();
        let mut head = format!(
            "GET /sub?{} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            names.join("&")
        )
        .into_bytes();
        let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
        shard.handle_input(0, id, &mut head);
    }
    shard.begin_turn(0, 0);
    let mut batch = Batch::default();
    while shard.poll_batch(0, &mut batch) {
        shard.handle_scattered(0, &batch, &[]);
    }
    shard
}

/// The time of a flush of what the pattern publishes, and the sends of it.
fn flush(shard: &mut Shard, pattern: &Pattern, caches: &mut [u8]) -> (Duration, usize) {
    shard.begin_turn(0, 0);
    for channel in (pattern.published)() {
        let request = Request::Publish {
            channel: ChannelName::parse(&format!("c{channel}")).expect("a short name"),
            draft: Draft::new(Kind::Text, Bytes::from_static(&[b'x'; PAYLOAD_BYTES])),
            ticket: None,
        };
        shard.handle_request(0, 0, request);
    }
    let mut batch = Batch::default();
    let (mut time, mut sends) = (Duration::ZERO, 0);
    while shard.has_work() {
        caches
            .iter_mut()
            .step_by(64)
            .for_each(|byte| *byte = byte.wrapping_add(1));
        black_box(&mut *caches);
        let began = Instant::now();
        let any = shard.poll_batch(0, &mut batch);
        if any {
            shard.handle_scattered(0, &batch, &[]);
        }
        time += began.elapsed();
        sends += batch.len();
        if !any {
            shard.begin_turn(0, 0);
        }
    }
    (time, sends)
}
