//! Everything a shard counts, named once.
//!
//! A shard counts in plain integers of its own ([`Counters`]) and copies them at the end of a turn
//! into atomics ([`ShardMetrics`]) that the control thread reads: counting costs an addition, and
//! no line of memory that is written often is shared.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What a family's values mean to whoever scrapes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// The state at this moment.
    Gauge,
}

/// Describes one number of [`Counters`].
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The family, without the `pushring_` in front and the `_total` behind.
    pub family: &'static str,
    /// A label that tells it from the others of its family, beside the shard.
    pub label: Option<(&'static str, &'static str)>,
    /// Counter or gauge.
    pub kind: Kind,
    /// One line for people; the first of a family speaks for all.
    pub help: &'static str,
}

macro_rules! counters {
    ($($field:ident: $kind:ident $family:literal $({$label:ident = $value:literal})? $help:literal;)*) => {
        /// One shard's numbers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters {
            $(#[doc = $help] pub $field: u64,)*
        }

        /// What the numbers are, in the order of [`Counters::values`]; families stand together.
        pub const DESCRIPTIONS: &[Description] = &[
            $(Description {
                family: $family,
                label: counters!(@label $($label $value)?),
                kind: Kind::$kind,
                help: $help,
            },)*
        ];

        impl Counters {
            /// All numbers, in the order of [`DESCRIPTIONS`].
            pub fn values(&self) -> [u64; DESCRIPTIONS.len()] {
                [$(self.$field,)*]
            }

            /// What [`Counters::values`] has made these numbers of.
            pub fn from_values(values: [u64; DESCRIPTIONS.len()]) -> Self {
                let [$($field,)*] = values;
                Self { $($field,)* }
            }
        }
    };
    (@label) => { None };
    (@label $label:ident $value:literal) => { Some((stringify!($label), $value)) };
}

counters! {
    connections: Gauge "connections" "Open connections.";
    subscriptions: Gauge "subscriptions" "Subscriptions of open connections.";
    users: Gauge "users" "Users that have connections on the shard, where endpoints know users.";
    lanes: Gauge "lanes" "Lanes: groups of subscribers that get the very same bytes.";
    channels: Gauge "channels" "Channels that the shard owns.";
    queues: Gauge "queues" "Queues that the shard owns.";
    queue_messages: Gauge "queue_messages" "Messages in queues that no consumer has.";
    queue_unsettled: Gauge "queue_unsettled" "Messages of queues that a consumer has and has not settled.";
    queue_bytes: Gauge "queue_bytes" "Bytes of all messages in queues.";
    backlog_bytes: Gauge "backlog_bytes" "Bytes that wait for slow connections.";
    backlogged: Gauge "backlogged_connections" "Connections that have bytes waiting.";
    mailbox_depth: Gauge "mailbox_depth" "Mail to other shards that their mailboxes had no room for yet.";
    accepted: Counter "connections_accepted" "Connections accepted.";
    handshakes: Counter "handshakes" "Opening handshakes completed, those of event streams included.";
    event_streams: Counter "event_streams" "Event streams (Server-Sent Events) begun.";
    closed: Counter "connections_closed" "Connections whose socket has been closed.";
    refused_full: Counter "connections_refused" {reason = "full"} "Connections and requests refused, by reason.";
    refused_peer: Counter "connections_refused" {reason = "peer"} "Too many connections of one peer address.";
    refused_request: Counter "connections_refused" {reason = "request"} "A bad or unknown request.";
    refused_unauthorized: Counter "connections_refused" {reason = "unauthorized"} "Without a token that allows it (401, 403), or from a page that may not connect (403).";
    refused_late: Counter "connections_refused" {reason = "head_timeout"} "The request head was not complete in time.";
    closed_protocol: Counter "closes" {reason = "protocol"} "Connections closed by the server, by reason.";
    closed_slow: Counter "closes" {reason = "slow_consumer"} "The backlog passed its bound in bytes or in age.";
    closed_silent: Counter "closes" {reason = "pong_timeout"} "No answer to a ping.";
    closed_rate: Counter "closes" {reason = "rate"} "Over the inbound rate.";
    closed_limit: Counter "closes" {reason = "limit"} "Over the limit of subscriptions.";
    closed_window: Counter "closes" {reason = "window"} "More waited for a subscription's acknowledgements than the backlog's bound.";
    closed_unauthorized: Counter "closes" {reason = "unauthorized"} "No token that lets the client do what it asked for.";
    closed_expired: Counter "closes" {reason = "token_expired"} "The connection's token, or that of a subscription, had expired.";
    closed_drain: Counter "closes" {reason = "shutdown"} "The server shut down.";
    closed_upgrade: Counter "closes" {reason = "upgrade"} "The server was upgraded, and the connection's endpoint does not outlive that.";
    dropped: Counter "publications_dropped" {reason = "behind"} "Publications that subscribers which were behind did not get, by reason: they were told of the gap (namespace.slow_consumer).";
    conflated: Counter "publications_dropped" {reason = "conflated"} "A newer one of the same channel has taken their place.";
    accept_throttled: Counter "accept_pauses" {reason = "rate"} "Times accepting was paused, by reason.";
    accept_starved: Counter "accept_pauses" {reason = "files"} "No file descriptor was to be had.";
    accept_full: Counter "accept_pauses" {reason = "full"} "Every slot was taken, those for refusals included.";
    publisher_pauses: Counter "publisher_pauses" "Times a publishing connection was not read because a lane or a mailbox was full.";
    messages_in: Counter "messages_received" "Data messages received from clients.";
    bytes_in: Counter "bytes_received" "Bytes received from clients.";
    publications: Counter "publications" "Publications numbered by the shard as their channel's owner.";
    publications_refused: Counter "publications_refused" {reason = "channels"} "Publications refused, by reason: too many channels.";
    publications_refused_queue: Counter "publications_refused" {reason = "queue"} "A queue, or all of them together, held as much as they may.";
    publications_repeated: Counter "publications_repeated" "Messages that were not published because their idempotency key had been used shortly before.";
    idempotency_forgotten: Counter "idempotency_keys_forgotten" "Idempotency keys forgotten before their five minutes were over (limits.idempotency_keys_max).";
    publications_held: Counter "publications_held" "Messages held back until the interval of their channel is over, when the newest leaves.";
    recovered: Counter "publications_recovered" "Publications sent to subscribers that had missed them.";
    recoveries_refused: Counter "recoveries_refused" "Subscribers that were told of a gap because too much waited already for others that had come back (limits.recovery_bytes_max).";
    recovery_bytes: Gauge "recovery_bytes" "Bytes of missed publications that are encoded for subscribers that have come back, each once.";
    history_bytes: Gauge "history_bytes" "Bytes that the shard keeps as histories of its channels.";
    crowded_out_channel: Counter "histories_cut" {bound = "channel"} "Publications that histories gave up before their time, by the bound in bytes that was passed: the channel's (namespace.history_bytes_max).";
    crowded_out_namespace: Counter "histories_cut" {bound = "namespace"} "That of the namespace's histories together (namespace.histories_bytes_max).";
    crowded_out_shard: Counter "histories_cut" {bound = "shard"} "That of all histories of the shard (limits.history_bytes_max).";
    queued: Counter "queue_messages_received" "Messages put into queues that the shard owns.";
    queue_discarded: Counter "queue_messages_discarded" "Messages given up after as many deliveries as they may have (queues.deliveries_max).";
    publications_taken: Counter "publications_delivered_to_shard" "Publications that reached the shard for its subscribers.";
    deliveries: Counter "deliveries" "Publications handed to a subscriber's socket or backlog.";
    sends: Counter "sends" "Sends handed to the send ring.";
    merged: Counter "merged_sends" "Sends of what several lanes had for one connection.";
    bytes_out: Counter "bytes_sent" "Bytes handed to the send ring.";
    scatters: Counter "scatters" "Batches of sends, each one io_uring_enter.";
    exceptions_short: Counter "exceptions" {kind = "short"} "Sends that did not go through whole, by kind.";
    exceptions_full: Counter "exceptions" {kind = "full"} "The socket buffer was full.";
    exceptions_dead: Counter "exceptions" {kind = "dead"} "The peer was gone.";
    compressions: Counter "compressions" {result = "smaller"} "Messages compressed, once for all that receive them, by result.";
    compressions_vain: Counter "compressions" {result = "vain"} "They would not have become smaller and were sent as they are.";
    compressed_bytes_in: Counter "compression_bytes" {side = "in"} "Bytes of messages before and after compression, by side.";
    compressed_bytes_out: Counter "compression_bytes" {side = "out"} "Those of messages that became smaller.";
    decompressions: Counter "decompressions" "Compressed messages received from clients.";
    decompressed_bytes_in: Counter "decompression_bytes" {side = "in"} "Bytes of clients' compressed messages, by side.";
    decompressed_bytes_out: Counter "decompression_bytes" {side = "out"} "Bytes made of them, those of refused messages included.";
    subscriptions_refused: Counter "subscriptions_refused" "Subscriptions refused because there were too many channels or queues.";
    pings: Counter "pings" "Pings sent.";
    keep_alives: Counter "keep_alives" "Comments sent on event streams, which get no pings.";
    turns: Counter "turns" "Turns of the shard's loop.";
    turn_ns: Counter "turn_nanoseconds" "Time spent in turns, waiting left out.";
}

/// Upper bounds of the turn time histogram's buckets, in microseconds; the last bucket has none. Each is at most
/// a third above the one before it, from 3 µs on.
pub const TURN_BOUNDS_US: [u64; 58] = [
    1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400,
    500, 600, 800, 1_000, 1_200, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000,
    12_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000, 120_000,
    150_000, 200_000, 250_000, 300_000, 400_000, 500_000, 600_000, 800_000, 1_000_000,
];

/// Turns by their length: one more bucket than [`TURN_BOUNDS_US`].
pub type TurnBuckets = [u64; TURN_BOUNDS_US.len() + 1];

/// The bucket that a turn of that length falls into.
pub fn turn_bucket(turn_us: u64) -> usize {
    TURN_BOUNDS_US.partition_point(|&bound| bound < turn_us)
}

/// The bound that so many of a thousand turns did not pass, in microseconds: at most a third more than the
/// slowest of them took. The last bound where it was more than that; `None` where there were no turns.
pub fn turn_quantile_us(turns: &TurnBuckets, per_mille: u64) -> Option<u64> {
    let count: u64 = turns.iter().sum();
    if count == 0 {
        return None;
    }
    let wanted = (count * per_mille).div_ceil(1_000).max(1);
    let mut within = 0;
    let bucket = turns.iter().position(|turns| {
        within += turns;
        within >= wanted
    });
    let bound = bucket.and_then(|bucket| TURN_BOUNDS_US.get(bucket));
    bound.or(TURN_BOUNDS_US.last()).copied()
}

/// One shard's numbers as the control thread sees them.
#[derive(Debug)]
pub struct ShardMetrics {
    values: [AtomicU64; DESCRIPTIONS.len()],
    turns: [AtomicU64; TURN_BOUNDS_US.len() + 1],
}

impl Default for ShardMetrics {
    fn default() -> Self {
        Self {
            values: std::array::from_fn(|_| AtomicU64::new(0)),
            turns: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl ShardMetrics {
    /// Copies the shard's own numbers here. Only the shard calls it.
    pub fn publish(&self, counters: &Counters) {
        for (shared, value) in self.values.iter().zip(counters.values()) {
            shared.store(value, Ordering::Relaxed);
        }
    }

    /// Counts a turn. Only the shard calls it, so that nothing need be locked: a few ns.
    pub fn note_turn(&self, turn_us: u64) {
        let bucket = &self.turns[turn_bucket(turn_us)];
        bucket.store(bucket.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Counts on from what another process has counted. Only the shard calls it. Where that has counted by other bounds,
    /// it begins anew.
    pub fn resume_turns(&self, turns: &[u64]) {
        if turns.len() == self.turns.len() {
            for (shared, value) in self.turns.iter().zip(turns) {
                shared.store(*value, Ordering::Relaxed);
            }
        }
    }

    /// The newest numbers, in the order of [`DESCRIPTIONS`].
    pub fn values(&self) -> [u64; DESCRIPTIONS.len()] {
        std::array::from_fn(|i| self.values[i].load(Ordering::Relaxed))
    }

    /// The same by their names.
    pub fn counters(&self) -> Counters {
        Counters::from_values(self.values())
    }

    /// The newest turn time histogram.
    pub fn turns(&self) -> TurnBuckets {
        std::array::from_fn(|i| self.turns[i].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_together_and_differ_by_label() {
        let mut seen: Vec<&Description> = Vec::new();
        for (i, one) in DESCRIPTIONS.iter().enumerate() {
            for other in &seen {
                if other.family == one.family {
                    assert_ne!(other.label, one.label, "{}", one.family);
                    assert_eq!(other.kind, one.kind);
                    assert_eq!(DESCRIPTIONS[i - 1].family, one.family, "{}", one.family);
                }
            }
            seen.push(one);
        }
    }

    #[test]
    fn a_turn_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        let last = TURN_BOUNDS_US.len() - 1;
        assert_eq!(turn_bucket(0), 0);
        assert_eq!(turn_bucket(1), 0);
        assert_eq!(turn_bucket(11), turn_bucket(12));
        assert_eq!(turn_bucket(12) + 1, turn_bucket(13));
        assert_eq!(turn_bucket(1_000_000), last);
        assert_eq!(turn_bucket(1_000_001), last + 1);
    }

    #[test]
    fn no_bound_is_more_than_a_third_above_the_one_before() {
        for pair in TURN_BOUNDS_US[2..].windows(2) {
            assert!(
                pair[0] < pair[1] && 3 * pair[1] <= 4 * pair[0] + 2,
                "{pair:?}"
            );
        }
    }

    #[test]
    fn a_quantile_is_the_bound_that_so_many_turns_did_not_pass() {
        let shared = ShardMetrics::default();
        assert_eq!(turn_quantile_us(&shared.turns(), 990), None);
        (0..990).for_each(|_| shared.note_turn(7));
        (0..9).for_each(|_| shared.note_turn(110));
        shared.note_turn(2_000_000);
        let turns = shared.turns();
        assert_eq!(turn_quantile_us(&turns, 500), Some(8));
        assert_eq!(turn_quantile_us(&turns, 990), Some(8));
        assert_eq!(turn_quantile_us(&turns, 991), Some(120));
        assert_eq!(turn_quantile_us(&turns, 1_000), Some(1_000_000));
        let next = ShardMetrics::default();
        next.resume_turns(&turns[1..]);
        assert_eq!(next.turns().iter().sum::<u64>(), 0);
        next.resume_turns(&turns);
        assert_eq!(next.turns(), turns);
    }

    #[test]
    fn what_is_published_is_what_is_read() {
        let shared = ShardMetrics::default();
        let counters = Counters {
            connections: 3,
            turn_ns: 9,
            ..Counters::default()
        };
        shared.publish(&counters);
        assert_eq!(shared.values(), counters.values());
        assert_eq!(shared.counters(), counters);
    }
}
