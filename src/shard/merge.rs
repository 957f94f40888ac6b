//! One send for what several lanes have for the same connection.
//!
//! A send costs what copying some ten thousand bytes does. So a connection with several
//! subscriptions is not sent one lane's buffer alone when other lanes have something for it as well:
//! all of it is put together and sent in one go, and those lanes count the connection as served.
//! Which connections that is worth a look for is found out beforehand ([`super::overlaps`]).

use bytes::Bytes;

use super::Shard;
use super::batch::Batch;
use crate::table::Key;

/// Bytes of all merged sends of a batch, which are in memory at one time.
pub const MERGED_BYTES_MAX: usize = 1024 * 1_024;

/// Subscriptions of one connection that are looked at for more to send: looking at more costs what
/// a send does.
const LOOKS_MAX: usize = 256;

impl Shard {
    /// Finds out, once a turn, which connections several lanes have something for.
    pub(super) fn find_overlaps(&mut self) {
        let may_merge = self.connections.several() > 0 && self.config.fanout.merge_bytes_max > 0;
        if may_merge && !self.outbox.surveyed && self.fanout.dirty.len() > 1 {
            self.outbox.surveyed = true;
            let connections = self.connections.table.capacity();
            self.fanout.survey(connections, self.outbox.sends_left);
        }
    }

    /// Puts what other lanes have for a connection behind what the lane `key` has, and adds the send.
    /// `false`, and nothing done, if they have nothing, or too much.
    pub(super) fn merge(&mut self, key: Key, slot: u32, bytes: &Bytes, batch: &mut Batch) -> bool {
        let bytes_max = self.config.fanout.merge_bytes_max;
        if bytes.len() > bytes_max {
            return false;
        }
        let mut places = std::mem::take(&mut self.outbox.places);
        places.clear();
        if let Some(connection) = self.connections.table.at_mut(slot) {
            let dirty = &self.fanout.dirty;
            let others = connection.subscriptions.active().take(LOOKS_MAX);
            places.extend(others.filter(|&(lane, _)| lane != key.slot && dirty.contains(lane)));
        }
        let start = batch.merged_len();
        for &(lane, position) in &places {
            let so_far = (batch.merged_len() - start).max(bytes.len());
            let room = bytes_max - so_far;
            let Some(more) = self.serve_out_of_turn(lane, position, room) else {
                continue;
            };
            if batch.merged_len() == start {
                batch.merge(bytes);
            }
            batch.merge(&more);
        }
        self.outbox.places = places;
        let merged = batch.merged_len() > start;
        if merged {
            batch.add_merged(slot, start);
            self.counters.merged += 1;
        } else {
            // Nor would there be anything for the next of its lanes.
            self.fanout.overlaps.forget(slot);
        }
        merged
    }

    /// What a lane has for the member at a position, which is served then; nothing if that is more
    /// than `room` bytes.
    fn serve_out_of_turn(&mut self, lane: u32, position: u32, room: usize) -> Option<Bytes> {
        let key = self.fanout.lanes.key_at(lane)?;
        if self.fanout.lanes.get(key)?.awaits_seal(position) {
            let mut joined = Vec::new();
            self.fanout.seal(key, &mut joined);
            self.serve_joined(key, &mut joined);
        }
        let lane = self.fanout.lanes.get_mut(key)?;
        if lane.sealed()?.bytes.len() > room {
            return None;
        }
        let (sealed, moved) = lane.serve(position)?;
        let bytes = sealed.bytes.clone();
        self.counters.deliveries += u64::from(sealed.frames);
        for (member, position) in moved.into_iter().flatten() {
            self.set_position(member, position);
        }
        Some(bytes)
    }
}
