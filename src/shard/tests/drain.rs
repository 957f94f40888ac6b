//! How a drain spreads its closes, so that not all clients come back at once.

use super::*;

/// Slots of the connections that are sent something in a turn at that time.
fn sent_at(shard: &mut Shard, now_ms: u64) -> usize {
    let mut slots = std::collections::HashSet::new();
    let mut batch = Batch::default();
    shard.begin_turn(now_ms, 0);
    if shard.next_timeout_ms().is_some_and(|due| due <= now_ms) {
        shard.handle_timeout(now_ms);
    }
    while shard.poll_batch(now_ms, &mut batch) {
        slots.extend(batch.iter().map(|(slot, _)| slot));
        shard.handle_scattered(now_ms, &batch, &[]);
    }
    shard.end_turn();
    slots.len()
}

#[test]
fn closes_are_spread_evenly_over_the_time_of_the_drain() {
    const CONNECTIONS: usize = 1_000;
    const DRAIN_MS: u64 = 4_000;
    let mut shard = shard(Config::default());
    for _ in 0..CONNECTIONS {
        subscribe(&mut shard, "news");
    }
    turn(&mut shard);
    shard.handle_request(0, 1, Request::Drain { drain_ms: DRAIN_MS });
    let mut closed = 0;
    for now_ms in 0..=DRAIN_MS {
        closed += sent_at(&mut shard, now_ms);
        let due = 1 + CONNECTIONS * now_ms as usize / DRAIN_MS as usize;
        // No more than is due, and no later than the next step.
        assert!(closed <= due, "{closed} of {due} at {now_ms} ms");
        assert!(closed + 16 >= due, "{closed} of {due} at {now_ms} ms");
    }
    assert_eq!(closed, CONNECTIONS);
    assert_eq!(shard.counters().closed_drain, CONNECTIONS as u64);
}
