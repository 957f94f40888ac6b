//! The end of a shard: all connections are told, spread over a time, and nobody loses what was
//! published before.

use std::collections::HashMap;

use bytes::Bytes;

use super::connection::Phase;
use super::lifecycle::Reason;
use super::mail::Delivery;
use super::{ConnectionId, Shard};

/// How often a drain closes the connections whose turn has come.
const DRAIN_STEP_MS: u64 = 16;

/// A drain in progress.
pub struct Drain {
    began_ms: u64,
    drain_ms: u64,
    /// When the next connections are to be closed.
    next_ms: u64,
    /// Connections there were at its beginning.
    total: usize,
    closed: usize,
    /// All slots below have been closed.
    cursor: u32,
}

impl Shard {
    /// Closes all connections, spread over a time. New ones are not accepted any more.
    ///
    /// The closes begin when every other shard drains too: until then publications from before the
    /// drain may be on their way here.
    pub fn drain(&mut self, now_ms: u64, drain_ms: u64) {
        if self.drain.is_some() {
            return;
        }
        self.drain = Some(Drain {
            began_ms: now_ms,
            drain_ms: drain_ms.max(1),
            next_ms: now_ms,
            total: self.connections.table.len(),
            closed: 0,
            cursor: 0,
        });
        let own = self.identity.shard;
        for shard in (0..self.identity.shards).filter(|&shard| shard != own) {
            self.post.deliver(shard, Delivery::DrainBegun);
            self.drain_letters += 1;
        }
        self.go_on_draining(now_ms);
    }

    /// Closes as many connections as should have been by now.
    pub(super) fn go_on_draining(&mut self, now_ms: u64) {
        if !self.all_drain() {
            return;
        }
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        let passed = now_ms.saturating_sub(drain.began_ms).min(drain.drain_ms);
        let goal = if passed == drain.drain_ms {
            usize::MAX
        } else {
            1 + (drain.total as u64 * passed / drain.drain_ms) as usize
        };
        // What sessions are still to be handed was published before, too.
        self.hand_out_all(now_ms);
        let mut copies = HashMap::default();
        while drain.closed < goal && (drain.cursor as usize) < self.connections.table.capacity() {
            if let Some(id) = self.connections.table.key_at(drain.cursor) {
                drain.closed += 1;
                self.send_owed(id, &mut copies);
                if self.end(now_ms, id, Reason::Shutdown) {
                    self.counters.closed_drain += 1;
                }
            }
            drain.cursor += 1;
        }
        drain.next_ms = now_ms + DRAIN_STEP_MS;
        self.drain = Some(drain);
    }

    /// Hands over what a connection's lanes have for it and have not sent: it was published before
    /// the connection is closed. `copies` are the pending buffers that others have been sent
    /// copies of since they last grew, by the lane's slot.
    fn send_owed(&mut self, id: ConnectionId, copies: &mut HashMap<u32, Bytes>) {
        let Some(connection) = self.connections.table.get(id) else {
            return;
        };
        if connection.phase != Phase::Open {
            return;
        }
        // Replies that are due go first: one may be the answer to the subscribe.
        self.outbox.collect_replies();
        for (slot, position) in connection.subscriptions.active() {
            let Some(lane) = self
                .fanout
                .lanes
                .key_at(slot)
                .and_then(|key| self.fanout.lanes.get(key))
            else {
                continue;
            };
            let owed = lane.owed(position);
            if let Some((bytes, frames)) = owed.sealed {
                self.counters.deliveries += u64::from(frames);
                self.outbox.push_single(id, bytes);
            }
            if let Some((from, frames)) = owed.pending {
                let pending = copies.entry(slot).or_insert_with(|| lane.copy_pending());
                self.counters.deliveries += u64::from(frames);
                self.outbox.push_single(id, pending.slice(from as usize..));
            }
        }
    }

    /// When the next connections are to be told of the drain, while some remain.
    pub(super) fn next_drain_ms(&self) -> Option<u64> {
        self.drain
            .as_ref()
            .filter(|d| (d.cursor as usize) < self.connections.table.capacity())
            .filter(|_| self.all_drain())
            .map(|d| d.next_ms)
    }

    /// Whether every other shard has begun to drain.
    pub(super) fn all_drain(&self) -> bool {
        self.draining_peers + 1 >= self.identity.shards
    }
}
