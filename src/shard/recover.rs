//! What subscribers have missed, put on the wire once for all of a lane that come back at about the
//! same time.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::connection::Place;
use super::lane::Lane;
use super::{ConnectionId, Shard};
use crate::publication::{Missed, Publication};
use crate::table::{Key, Table};
use crate::ws::deflate::Compressors;

/// How long encoded publications are kept for the next who has missed them, in ms.
const KEPT_MS: u64 = 1_000;

/// Publications of lanes, encoded for those who have missed them.
#[derive(Default)]
pub struct Recovered {
    lanes: HashMap<Key, Encoded>,
    /// When all of it is given up.
    until_ms: Option<u64>,
}

/// A history's end in one lane's encoding.
struct Encoded {
    of: Arc<[Publication]>,
    bytes: Bytes,
    /// Where each publication's frame ends.
    ends: Vec<usize>,
}

impl Recovered {
    /// The frames of what was missed, one behind the other.
    fn frames(
        &mut self,
        now_ms: u64,
        key: Key,
        lanes: &Table<Lane>,
        missed: &Missed,
        compressors: &mut Compressors,
    ) -> Bytes {
        let (all, from) = missed.shared();
        let Some(lane) = lanes.get(key) else {
            return Bytes::new();
        };
        self.until_ms.get_or_insert(now_ms.saturating_add(KEPT_MS));
        let encoded = self
            .lanes
            .entry(key)
            .and_modify(|encoded| {
                if !Arc::ptr_eq(&encoded.of, all) {
                    *encoded = Encoded::of(all, lane, compressors);
                }
            })
            .or_insert_with(|| Encoded::of(all, lane, compressors));
        let start = match from {
            0 => 0,
            from => encoded.ends[from - 1],
        };
        encoded.bytes.slice(start..)
    }

    /// When [`Recovered::handle_timeout`] has something to do, in ms.
    pub fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// Gives up what has been kept for long enough.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.until_ms.take_if(|until| *until <= now_ms).is_some() {
            self.lanes = HashMap::new();
        }
    }
}

impl Encoded {
    fn of(all: &Arc<[Publication]>, lane: &Lane, compressors: &mut Compressors) -> Self {
        let mut bytes = BytesMut::new();
        let ends = all
            .iter()
            .map(|publication| {
                lane.encoding()
                    .put_publication(&mut bytes, publication, compressors);
                bytes.len()
            })
            .collect();
        Self {
            of: all.clone(),
            bytes: bytes.freeze(),
            ends,
        }
    }
}

impl Shard {
    /// Sends a subscriber what it has missed: behind all that was said to it before, in front of all that is
    /// published from now on.
    pub(super) fn send_missed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        missed: &Missed,
    ) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        // A client may say goodbye with its request, before anything was carried out of what the session wants.
        if connection.session.is_over() {
            return;
        }
        // The session may have ended it when it was told.
        let Some(subscription) = connection.subscriptions.find_mut(number) else {
            return;
        };
        self.counters.recovered += missed.len() as u64;
        self.counters.deliveries += missed.len() as u64;
        match &subscription.place {
            Place::Active { lane, .. } => {
                let Some(key) = self.fanout.lanes.key_at(*lane) else {
                    return;
                };
                let compressors = &mut self.codec.compressors;
                let frames =
                    self.recovered
                        .frames(now_ms, key, &self.fanout.lanes, missed, compressors);
                self.grant(id, frames.len());
                self.outbox.collect_replies();
                self.outbox.push_single(id, frames);
            }
            Place::Handed(_) => {
                for publication in missed.iter() {
                    self.call_session(now_ms, id, |session, around| {
                        session.handle_publication(number, publication, false, around);
                    });
                }
            }
            Place::Pending(_) | Place::Queue(_) => {}
        }
    }

    /// Lets a connection's backlog be longer by what it is sent at one go because it was away: that it
    /// cannot take it at once does not make it a slow consumer.
    fn grant(&mut self, id: ConnectionId, bytes: usize) {
        // Anything shorter fits beside what a backlog may hold anyway.
        if bytes <= self.config.slow_consumer.backlog_bytes_max / 4 {
            return;
        }
        if let Some(connection) = self.connections.table.get_mut(id) {
            connection.extra.get_or_insert_default().granted_bytes += bytes;
        }
    }
}
