//! What subscribers have missed, put on the wire once for all of a lane that come back at about the
//! same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

use super::connection::Place;
use super::lane::Lane;
use super::{ConnectionId, Shard};
use crate::publication::{Missed, Publication, Recovery};
use crate::table::Key;
use crate::ws::deflate::Compressors;

/// How long encoded publications are kept for the next who has missed them, in ms.
const KEPT_MS: u64 = 1_000;

/// Publications of lanes, encoded for those who have missed them.
#[derive(Default)]
pub struct Recovered {
    lanes: HashMap<Key, Encoded>,
    /// When all of it is given up.
    until_ms: Option<u64>,
    /// Bytes of all buffers that there are: those above, and those that wait to be sent.
    bytes: Arc<AtomicUsize>,
}

/// A history's end in one lane's encoding.
struct Encoded {
    of: Arc<[Publication]>,
    bytes: Bytes,
    /// Where each publication's frame ends.
    ends: Vec<usize>,
}

/// A buffer that is counted for as long as anybody has a part of it.
struct Counted {
    buffer: Bytes,
    all: Arc<AtomicUsize>,
}

/// What a subscriber has missed, ready for it.
pub(super) enum Ready {
    /// For a lane's member: frames, one behind the other.
    Frames(Bytes),
    /// For a session, which is handed each.
    Publications,
}

impl Recovered {
    /// The frames of what was missed, one behind the other; `None` where they would take more than so many bytes, together with
    /// what there is already.
    fn frames(
        &mut self,
        now_ms: u64,
        key: Key,
        lane: &Lane,
        missed: &Missed,
        bytes_max: usize,
        compressors: &mut Compressors,
    ) -> Option<Bytes> {
        let (all, from) = missed.shared();
        if self
            .lanes
            .get(&key)
            .is_none_or(|encoded| !Arc::ptr_eq(&encoded.of, all))
        {
            self.lanes.remove(&key);
            let encoded = self.encode(all, lane, bytes_max, compressors)?;
            self.lanes.insert(key, encoded);
            self.until_ms.get_or_insert(now_ms.saturating_add(KEPT_MS));
        }
        let encoded = self.lanes.get(&key)?;
        let start = match from {
            0 => 0,
            from => encoded.ends[from - 1],
        };
        Some(encoded.bytes.slice(start..))
    }

    fn encode(
        &mut self,
        all: &Arc<[Publication]>,
        lane: &Lane,
        bytes_max: usize,
        compressors: &mut Compressors,
    ) -> Option<Encoded> {
        if self.bytes() >= bytes_max {
            // What is kept for the next alone can be made again.
            self.lanes = HashMap::new();
        }
        if self.bytes() >= bytes_max {
            return None;
        }
        let mut buffer = BytesMut::new();
        let put = |publication| {
            lane.encoding()
                .put_publication(&mut buffer, publication, compressors);
            buffer.len()
        };
        let ends = all.iter().map(put).collect();
        if self.bytes() + buffer.len() > bytes_max {
            self.lanes = HashMap::new();
        }
        if self.bytes() + buffer.len() > bytes_max {
            return None;
        }
        self.bytes.fetch_add(buffer.len(), Ordering::Relaxed);
        let counted = Counted {
            buffer: buffer.freeze(),
            all: self.bytes.clone(),
        };
        Some(Encoded {
            of: all.clone(),
            bytes: Bytes::from_owner(counted),
            ends,
        })
    }

    /// Bytes of all buffers that somebody has a part of.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
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

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(self.buffer.len(), Ordering::Relaxed);
    }
}

impl Shard {
    /// Makes ready what a subscriber has missed. A gap takes its place where too much waits for others already; there is
    /// nothing where the subscription has ended.
    pub(super) fn make_ready(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        recovery: &mut Recovery,
    ) -> Option<(Missed, Ready)> {
        let missed = recovery.missed().filter(|missed| !missed.is_empty())?;
        let connection = self.connections.table.get_mut(id)?;
        let subscription = connection.subscriptions.find_mut(number)?;
        match &subscription.place {
            Place::Active { lane, .. } => {
                let key = self.fanout.lanes.key_at(*lane)?;
                let lane = self.fanout.lanes.get(key)?;
                let bytes_max = self.config.limits.recovery_bytes_max;
                let compressors = &mut self.codec.compressors;
                let frames =
                    self.recovered
                        .frames(now_ms, key, lane, missed, bytes_max, compressors);
                match frames {
                    Some(frames) => Some((missed.clone(), Ready::Frames(frames))),
                    None => {
                        *recovery = Recovery::Gap;
                        self.counters.recoveries_refused += 1;
                        None
                    }
                }
            }
            Place::Handed(_) => Some((missed.clone(), Ready::Publications)),
            Place::Pending(_) | Place::Queue(_) => None,
        }
    }

    /// Sends a subscriber what it has missed: behind all that was said to it before, in front of all that is
    /// published from now on.
    pub(super) fn send_missed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        missed: &Missed,
        ready: Ready,
    ) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        // A client may say goodbye with its request, before anything was carried out of what the session wants.
        if connection.session.is_over() {
            return;
        }
        // The session may have ended it when it was told.
        if connection.subscriptions.find_mut(number).is_none() {
            return;
        }
        self.counters.recovered += missed.len() as u64;
        self.counters.deliveries += missed.len() as u64;
        match ready {
            Ready::Frames(frames) => {
                self.grant(id, frames.len());
                self.outbox.collect_replies();
                self.outbox.push_single(id, frames);
            }
            Ready::Publications => {
                for publication in missed.iter() {
                    self.call_session(now_ms, id, |session, around| {
                        session.handle_publication(number, publication, false, around);
                    });
                }
            }
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
            self.outbox.granted.push(id);
        }
    }
}
