//! What a snapshot says.
//!
//! The names of the fields are what readers of `GET /live` see. A field that is added does not break them.

use serde::{Deserialize, Serialize};

use crate::metrics::{Counters, TurnBuckets, turn_quantile_us};

/// The server at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which server it is.
    pub server: About,
    /// When it was taken, in ms since 1970.
    pub unix_ms: u64,
    /// The time that the rates are of, in ms. Nothing in the first of a stream, which has no rates.
    pub interval_ms: Option<u64>,
    /// All shards together.
    pub total: Figures,
    /// Each shard, in the order of their numbers.
    pub shards: Vec<Figures>,
    /// The busiest channels.
    pub channels: Channels,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// `pushring`, which tells a reader that it has come to the right place.
    pub product: String,
    /// Its version.
    pub version: String,
    /// As the API's `info` names it.
    pub name: String,
    /// For how long it has been running, in seconds.
    pub uptime_s: u64,
    /// Whether it is closing its connections and will end.
    pub draining: bool,
    /// The address of the public listener, where clients connect.
    pub public: String,
    /// The origins whose pages may connect there (`origins.allowed`).
    pub origins: Vec<String>,
    /// The longest message, in bytes.
    pub message_bytes_max: usize,
}

/// The numbers of a shard, or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Open connections.
    pub connections: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Lanes.
    pub lanes: u64,
    /// Channels that are kept.
    pub channels: u64,
    /// Bytes of all histories.
    pub history_bytes: u64,
    /// Messages in queues, those that consumers have included.
    pub queue_messages: u64,
    /// Bytes that wait for slow connections.
    pub backlog_bytes: u64,
    /// Connections that have bytes waiting: the slow consumers of this moment.
    pub backlogged: u64,
    /// Connections closed for being too slow, since the start.
    pub closed_slow: u64,
    /// Publications that slow consumers did not get and were told of, since the start.
    pub dropped: u64,
    /// Deliveries since the start.
    pub deliveries: u64,
    /// Publications since the start.
    pub publications: u64,
    /// For how long the shard has not begun a turn although it was asked to, in ms; the longest of all shards.
    pub stuck_ms: u64,
    /// What happened since the snapshot before.
    pub rates: Option<Rates>,
}

/// How often things happened, each a second unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Publications handed to a subscriber's socket or backlog.
    pub deliveries: f64,
    /// Publications numbered.
    pub publications: f64,
    /// Data messages from clients.
    pub messages_in: f64,
    /// Bytes from clients.
    pub bytes_in: f64,
    /// Sends.
    pub sends: f64,
    /// Bytes sent.
    pub bytes_out: f64,
    /// Connections accepted.
    pub accepted: f64,
    /// Connections closed, whoever did it.
    pub closed: f64,
    /// Connections closed for being too slow.
    pub closed_slow: f64,
    /// Publications that slow consumers did not get.
    pub dropped: f64,
    /// Sends that did not go through whole.
    pub exceptions: f64,
    /// Turns.
    pub turns: f64,
    /// The share of time that was spent in turns, 0 to 1; of all shards the mean.
    pub busy: f64,
    /// The bound that half of the turns did not pass, in µs; nothing where there were none.
    pub turn_p50_us: Option<u64>,
    /// The same for 99 of 100 turns.
    pub turn_p99_us: Option<u64>,
    /// The same for all of them.
    pub turn_max_us: Option<u64>,
}

/// The channels with the most publications a second and those with the most subscribers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Channels {
    /// Those with subscribers, all together.
    pub used: Option<usize>,
    /// Why there is no list, if so.
    pub unknown: Option<String>,
    /// The busiest first.
    pub busiest: Vec<Channel>,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Subscriptions on all shards.
    pub subscribers: usize,
    /// How many of them have a backlog.
    pub behind: usize,
    /// Publications a second; nothing while that is not known.
    pub publications: Option<f64>,
    /// The shard that owns it; nothing where none does, as of a pattern.
    pub owner: Option<usize>,
}

/// What a shard, or all together, has counted.
#[derive(Clone, Debug)]
pub struct Counted {
    pub counters: Counters,
    pub turns: TurnBuckets,
}

impl Counted {
    /// What all have counted together.
    pub fn sum(shards: &[Self]) -> Self {
        let mut values = Counters::default().values();
        let mut turns: TurnBuckets = std::array::from_fn(|_| 0);
        for shard in shards {
            add(&mut values, &shard.counters.values());
            add(&mut turns, &shard.turns);
        }
        Self {
            counters: Counters::from_values(values),
            turns,
        }
    }
}

impl Figures {
    /// What stands at this moment, without rates.
    pub fn of(counted: &Counted) -> Self {
        let counters = &counted.counters;
        Self {
            connections: counters.connections,
            subscriptions: counters.subscriptions,
            lanes: counters.lanes,
            channels: counters.channels,
            history_bytes: counters.history_bytes,
            queue_messages: counters.queue_messages + counters.queue_unsettled,
            backlog_bytes: counters.backlog_bytes,
            backlogged: counters.backlogged,
            closed_slow: counters.closed_slow,
            dropped: dropped(counters),
            deliveries: counters.deliveries,
            publications: counters.publications,
            stuck_ms: 0,
            rates: None,
        }
    }
}

impl Rates {
    /// What lies between two looks at so many shards.
    pub fn between(before: &Counted, after: &Counted, interval_ms: u64, shards: usize) -> Self {
        // A time of nothing would make rates without end.
        let seconds = interval_ms.max(1) as f64 / 1_000.0;
        let (from, to) = (&before.counters, &after.counters);
        let rate = |from: u64, to: u64| {
            let a_second = to.saturating_sub(from) as f64 / seconds;
            (a_second * 10.0).round() / 10.0
        };
        let exceptions = |counters: &Counters| {
            counters.exceptions_short + counters.exceptions_full + counters.exceptions_dead
        };
        let mut turns = after.turns;
        for (turns, before) in turns.iter_mut().zip(before.turns) {
            *turns = turns.saturating_sub(before);
        }
        let working_ns = to.turn_ns.saturating_sub(from.turn_ns) as f64;
        let busy = working_ns / (seconds * 1e9 * shards.max(1) as f64);
        Self {
            deliveries: rate(from.deliveries, to.deliveries),
            publications: rate(from.publications, to.publications),
            messages_in: rate(from.messages_in, to.messages_in),
            bytes_in: rate(from.bytes_in, to.bytes_in),
            sends: rate(from.sends, to.sends),
            bytes_out: rate(from.bytes_out, to.bytes_out),
            accepted: rate(from.accepted, to.accepted),
            closed: rate(from.closed, to.closed),
            closed_slow: rate(from.closed_slow, to.closed_slow),
            dropped: rate(dropped(from), dropped(to)),
            exceptions: rate(exceptions(from), exceptions(to)),
            turns: rate(from.turns, to.turns),
            busy: (busy.clamp(0.0, 1.0) * 1_000.0).round() / 1_000.0,
            turn_p50_us: turn_quantile_us(&turns, 500),
            turn_p99_us: turn_quantile_us(&turns, 990),
            turn_max_us: turn_quantile_us(&turns, 1_000),
        }
    }
}

fn dropped(counters: &Counters) -> u64 {
    counters.dropped + counters.conflated
}

fn add(sums: &mut [u64], values: &[u64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}
