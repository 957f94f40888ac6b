//! The end of a turn: batches of sends, and what becomes of those that did not go through whole.
//!
//! The order of a flush is: what slow connections have caught up with, then replies, then what is
//! for single members of a lane, then the lanes themselves, each in turn for some hundred sends.
//! Replies before publications is what puts the answer to a subscribe in front of the first
//! publication.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::backlog::Backlog;
use super::batch::{Batch, Exception};
use super::connection::{Admit, Phase, STAMP_MAX};
use super::lane::Joiner;
use super::lifecycle::Reason;
use super::merge::MERGED_BYTES_MAX;
use super::wheel::Tick;
use super::{ConnectionId, Effect, Shard};
use crate::table::Key;

/// Sends of one lane before another lane has its turn.
const LANE_VISIT: usize = 1_024;

/// Results of a send, as the kernel's negative error numbers, after which it may be tried again.
const EAGAIN: i32 = -11;
const EINTR: i32 = -4;
const ENOBUFS: i32 = -105;
const ENOMEM: i32 = -12;

/// A range of the replies' buffer that goes to one connection.
struct Segment {
    id: ConnectionId,
    start: usize,
    end: usize,
}

/// What waits to be put into batches, apart from the lanes.
#[derive(Default)]
pub struct Outbox {
    /// Replies of all connections, one behind the other.
    replies: BytesMut,
    segments: Vec<Segment>,
    /// Replies and parts of lanes' buffers that go to one connection each.
    singles: VecDeque<(ConnectionId, Bytes)>,
    /// Connections with a backlog whose sockets take bytes again.
    resumed: VecDeque<ConnectionId>,
    /// Connections to be finished as soon as nothing waits for them.
    closing: Vec<ConnectionId>,
    /// Told they are too slow as soon as the batch is made.
    pub(super) too_slow: Vec<ConnectionId>,
    /// Relieved of what may be dropped as soon as the batch is made.
    pub(super) behind: Vec<ConnectionId>,
    /// Connections whose backlogs may be longer for what they are sent in this turn.
    pub(super) granted: Vec<ConnectionId>,
    /// Marks the connections of the batch in the making; never 0.
    stamp: u32,
    /// Sends to lanes that this turn may still make.
    pub(super) sends_left: usize,
    /// Whether this turn has found out which connections several lanes have something for.
    pub(super) surveyed: bool,
    /// Scratch space: lanes and positions of one connection.
    pub(super) places: Vec<(u32, u32)>,
}

impl Outbox {
    pub fn begin_turn(&mut self, sends_max: usize) {
        self.sends_left = sends_max;
        self.surveyed = false;
    }

    pub fn has_work(&self) -> bool {
        !self.segments.is_empty()
            || !self.singles.is_empty()
            || !self.resumed.is_empty()
            || !self.too_slow.is_empty()
            || !self.behind.is_empty()
    }

    /// The buffer to append replies to; [`Outbox::note_reply`] then says whose they are.
    pub fn replies(&mut self) -> &mut BytesMut {
        &mut self.replies
    }

    pub fn replies_len(&self) -> usize {
        self.replies.len()
    }

    /// What has been appended since the buffer had that length is for that connection.
    pub fn note_reply(&mut self, id: ConnectionId, from: usize) {
        let end = self.replies.len();
        match self.segments.last_mut() {
            _ if from == end => {}
            Some(last) if last.id == id && last.end == from => last.end = end,
            _ => self.segments.push(Segment {
                id,
                start: from,
                end,
            }),
        }
    }

    /// Gives up what waits for one connection.
    fn forget(&mut self, id: ConnectionId) {
        self.singles.retain(|(other, _)| *other != id);
        self.segments.retain(|segment| segment.id != id);
    }

    pub fn note_closing(&mut self, id: ConnectionId) {
        self.closing.push(id);
    }

    /// Queues bytes for one connection, behind those queued before and in front of replies that
    /// have been noted since [`Outbox::collect_replies`].
    pub fn push_single(&mut self, id: ConnectionId, bytes: Bytes) {
        self.singles.push_back((id, bytes));
    }

    /// Cuts the replies' buffer into what goes to each connection.
    pub fn collect_replies(&mut self) {
        if self.segments.is_empty() {
            return;
        }
        let replies = self.replies.split().freeze();
        for segment in self.segments.drain(..) {
            let bytes = replies.slice(segment.start..segment.end);
            self.singles.push_back((segment.id, bytes));
        }
    }

    fn next_stamp(&mut self) -> u32 {
        self.stamp = (self.stamp + 1) & STAMP_MAX;
        self.stamp = self.stamp.max(1);
        self.stamp
    }
}

impl Shard {
    /// The next sends, each to another connection; `false` when there are none left for this
    /// turn. Hand the exceptions in with [`Shard::handle_scattered`] before asking again.
    pub fn poll_batch(&mut self, now_ms: u64, batch: &mut Batch) -> bool {
        batch.clear();
        self.hand_out(now_ms);
        let stamp = self.outbox.next_stamp();
        let room = self.config.fanout.scatter_entries as usize;
        loop {
            // Only here, with no batch under way: a backlog must not be cut while it is sent.
            self.relieve_behind(now_ms);
            self.end_too_slow(now_ms);
            self.collect_resumed(batch, stamp, room);
            // While single sends are left, the lanes wait: their frames come later.
            if self.collect_singles(batch, stamp, room) {
                self.collect_lanes(batch, stamp, room);
            }
            if !batch.is_empty() {
                self.counters.scatters += 1;
                self.counters.sends += batch.len() as u64;
                self.counters.bytes_out += batch.bytes_len();
                return true;
            }
            if self.outbox.too_slow.is_empty() && self.outbox.behind.is_empty() {
                return false;
            }
        }
    }

    /// What became of a batch: the sends that did not go through whole, in any order. All others
    /// did.
    pub fn handle_scattered(&mut self, now_ms: u64, batch: &Batch, exceptions: &[Exception]) {
        for exception in exceptions {
            let Some(send) = batch.send(exception.send) else {
                continue;
            };
            let Some(id) = self.connections.table.key_at(send.slot) else {
                continue;
            };
            let sent = match exception.result {
                sent if sent >= 0 => {
                    self.counters.exceptions_short += 1;
                    sent as usize
                }
                EAGAIN | EINTR | ENOBUFS | ENOMEM => {
                    self.counters.exceptions_full += 1;
                    0
                }
                _ => {
                    self.counters.exceptions_dead += 1;
                    self.drop_connection(now_ms, id);
                    continue;
                }
            };
            if (exception.send as usize) < batch.resumed {
                self.take_from_backlog(id, sent);
                self.effects.push_back(Effect::Watch(id));
            } else if sent < send.len() {
                self.stall(now_ms, id, batch.bytes(send), sent);
            }
        }
        for index in 0..batch.resumed as u32 {
            if exceptions.iter().any(|e| e.send == index) {
                continue;
            }
            if let Some(send) = batch.send(index)
                && let Some(id) = self.connections.table.key_at(send.slot)
            {
                self.take_from_backlog(id, send.len());
                self.go_on_or_unstall(now_ms, id);
            }
        }
    }

    /// A socket watched because of [`Effect::Watch`] takes bytes again, or is dead.
    pub fn handle_writable(&mut self, id: ConnectionId) {
        if self.connections.table.get(id).is_some() && self.connections.is_stalled(id.slot) {
            self.outbox.resumed.push_back(id);
        }
    }

    fn end_too_slow(&mut self, now_ms: u64) {
        for id in std::mem::take(&mut self.outbox.too_slow) {
            if self.end(now_ms, id, Reason::Slow) {
                self.counters.closed_slow += 1;
            }
        }
    }

    /// Takes back what was granted to connections that have taken everything at once. The others keep it until they have.
    pub(super) fn end_grants(&mut self) {
        if !self.outbox.singles.is_empty() || !self.outbox.segments.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.outbox.granted) {
            if let Some(connection) = self.connections.table.get_mut(id)
                && connection.backlog.is_none()
            {
                if let Some(extra) = &mut connection.extra {
                    extra.granted_bytes = 0;
                }
                connection.extra.take_if(|extra| extra.is_idle());
            }
        }
    }

    /// Finishes the connections whose last word is with the kernel.
    pub(super) fn finish_closing(&mut self) {
        if !self.outbox.singles.is_empty() || !self.outbox.segments.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.outbox.closing) {
            // A stalled one comes up again when it has taken its backlog.
            let closing = self
                .connections
                .table
                .get(id)
                .is_some_and(|connection| connection.phase == Phase::Closing);
            if closing && !self.connections.is_stalled(id.slot) {
                self.effects.push_back(Effect::Finish(id));
            }
        }
    }

    /// The front of each backlog whose socket takes bytes again.
    fn collect_resumed(&mut self, batch: &mut Batch, stamp: u32, room: usize) {
        let mut again = VecDeque::new();
        while batch.len() < room
            && let Some(id) = self.outbox.resumed.pop_front()
        {
            let Some(front) = self
                .connections
                .table
                .get(id)
                .and_then(|connection| connection.backlog.as_ref()?.front())
            else {
                continue;
            };
            if !self.connections.admit_stalled(id.slot, stamp) {
                again.push_back(id);
                continue;
            }
            let len = front.len();
            batch.add_source(front);
            batch.add_send(id.slot, 0, len);
        }
        batch.resumed = batch.len();
        self.outbox.resumed.append(&mut again);
    }

    /// Replies and other sends to single connections; `false` when not all had room.
    fn collect_singles(&mut self, batch: &mut Batch, stamp: u32, room: usize) -> bool {
        self.outbox.collect_replies();
        while let Some((id, bytes)) = self.outbox.singles.pop_front() {
            let gone = self
                .connections
                .table
                .get(id)
                .is_none_or(|connection| connection.phase == Phase::Gone);
            if gone {
                continue;
            }
            if batch.len() >= room {
                self.outbox.singles.push_front((id, bytes));
                return false;
            }
            match self.connections.admit(id.slot, stamp) {
                Admit::Send => {
                    let len = bytes.len();
                    batch.add_source(bytes);
                    batch.add_send(id.slot, 0, len);
                }
                Admit::Stalled => self.push_backlog(id, &bytes),
                Admit::Later => {
                    self.outbox.singles.push_front((id, bytes));
                    return false;
                }
            }
        }
        true
    }

    fn collect_lanes(&mut self, batch: &mut Batch, stamp: u32, room: usize) {
        let mut joined: Vec<(Joiner, u32)> = Vec::new();
        self.find_overlaps();
        while let Some(key) = self.fanout.dirty.front() {
            let Some(lane) = self.fanout.lanes.get_mut(key) else {
                self.fanout.dirty.skip();
                continue;
            };
            if lane.sealed().is_none() {
                self.fanout.seal(key, &mut joined);
                self.serve_joined(key, &mut joined);
            }
            match self.collect_lane(key, batch, stamp, room) {
                Visit::Over => {
                    self.fanout.dirty.finish();
                    self.finish_lane(key, &mut joined);
                }
                Visit::Rotate => self.fanout.dirty.rotate(),
                Visit::BatchFull => {
                    // The next batch begins with another lane, or small ones would wait behind
                    // huge ones for as long as a batch is no longer than a visit.
                    self.fanout.dirty.rotate();
                    return;
                }
            }
        }
    }

    /// Puts the next members of a lane into the batch.
    fn collect_lane(&mut self, key: Key, batch: &mut Batch, stamp: u32, room: usize) -> Visit {
        let Some(sealed) = self.fanout.lanes.get(key).and_then(|lane| lane.sealed()) else {
            return Visit::Over;
        };
        let bytes = sealed.bytes.clone();
        let frames = u64::from(sealed.frames);
        let mut visit = LANE_VISIT;
        // Other lanes may have something for the same connections.
        let is_alone = self.fanout.dirty.len() == 1;
        let mut is_source = false;
        loop {
            let is_full = batch.len() >= room || batch.merged_len() >= MERGED_BYTES_MAX;
            if is_full || self.outbox.sends_left == 0 {
                return Visit::BatchFull;
            }
            if visit == 0 {
                return Visit::Rotate;
            }
            let Some(lane) = self.fanout.lanes.get_mut(key) else {
                return Visit::Over;
            };
            let Some(member) = lane.next_unserved() else {
                return Visit::Over;
            };
            match self.connections.admit(member.slot, stamp) {
                Admit::Send => {
                    let may_merge = !is_alone && self.fanout.overlaps.has(member.slot);
                    if !may_merge || !self.merge(key, member.slot, &bytes, batch) {
                        if !std::mem::replace(&mut is_source, true) {
                            batch.add_source(bytes.clone());
                        }
                        batch.add_send(member.slot, 0, bytes.len());
                    }
                    self.outbox.sends_left -= 1;
                    visit -= 1;
                }
                Admit::Stalled => {
                    self.push_backlog_of_lane(key, member);
                }
                Admit::Later => {
                    lane.unserve();
                    return Visit::BatchFull;
                }
            }
            self.counters.deliveries += frames;
        }
    }

    /// Sends those who joined while the buffer filled their own part of it.
    pub(super) fn serve_joined(&mut self, key: Key, joined: &mut Vec<(Joiner, u32)>) {
        self.note_joined(joined);
        let Some(sealed) = self.fanout.lanes.get(key).and_then(|lane| lane.sealed()) else {
            return;
        };
        for (joiner, _) in joined.drain(..) {
            let bytes = sealed.bytes.slice(joiner.from as usize..);
            if bytes.is_empty() {
                continue;
            }
            if let Some(id) = self.connections.table.key_at(joiner.member.slot) {
                self.counters.deliveries += u64::from(sealed.frames - joiner.frames_before);
                self.outbox.singles.push_back((id, bytes));
            }
        }
    }

    fn finish_lane(&mut self, key: Key, joined: &mut Vec<(Joiner, u32)>) {
        let Some(lane) = self.fanout.lanes.get_mut(key) else {
            return;
        };
        lane.finish(joined);
        if lane.has_pending() {
            self.fanout.dirty.add(key);
        }
        self.note_joined(joined);
        joined.clear();
    }

    /// The socket has not taken all of it: from now on there is a backlog.
    fn stall(&mut self, now_ms: u64, id: ConnectionId, bytes: Bytes, sent: usize) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if connection.phase == Phase::Gone {
            return;
        }
        let mut backlog = Backlog::new(now_ms);
        backlog.push(bytes, sent);
        self.counters.backlogged += 1;
        self.counters.backlog_bytes += backlog.bytes() as u64;
        connection.backlog = Some(Box::new(backlog));
        self.connections.stall(id.slot);
        self.effects.push_back(Effect::Watch(id));
        let due = Tick::after(now_ms, self.config.slow_consumer.backlog_age_ms_max);
        self.schedule_no_later(id, due);
        self.check_backlog(id);
    }

    pub(super) fn push_backlog(&mut self, id: ConnectionId, bytes: &Bytes) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if let Some(backlog) = &mut connection.backlog {
            self.counters.backlog_bytes -= backlog.bytes() as u64;
            backlog.push(bytes.clone(), 0);
            self.counters.backlog_bytes += backlog.bytes() as u64;
            self.check_backlog(id);
        }
    }

    fn take_from_backlog(&mut self, id: ConnectionId, sent: usize) {
        if let Some(connection) = self.connections.table.get_mut(id)
            && let Some(backlog) = &mut connection.backlog
        {
            self.counters.backlog_bytes -= backlog.bytes() as u64;
            backlog.advance(sent);
            self.counters.backlog_bytes += backlog.bytes() as u64;
        }
    }

    /// After the front of a backlog has gone out whole: the next part, or back into the scatters.
    fn go_on_or_unstall(&mut self, now_ms: u64, id: ConnectionId) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        let Some(backlog) = &connection.backlog else {
            return;
        };
        if !backlog.is_empty() {
            self.outbox.resumed.push_back(id);
            return;
        }
        // What waits for a batch since before the last word would go out behind it.
        if backlog.is_closed() {
            self.outbox.forget(id);
        }
        connection.backlog = None;
        if let Some(extra) = &mut connection.extra {
            extra.granted_bytes = 0;
        }
        connection.extra.take_if(|extra| extra.is_idle());
        // It takes bytes, so it lives; what it said meanwhile, a pong perhaps, was not read.
        connection.heard = Tick::at(now_ms);
        connection.pinged = false;
        if connection.phase == Phase::Closing {
            self.outbox.note_closing(id);
        }
        self.counters.backlogged -= 1;
        self.connections.unstall(id.slot);
        self.take_up_parked(id);
        self.resume_reading(id);
        // The deadline was the backlog's; pings and beats may be due earlier.
        if let Some(due) = self.due(id) {
            self.schedule_no_later(id, due);
        }
    }
}

/// How a visit to a lane ended.
enum Visit {
    /// All members have been served.
    Over,
    /// Other lanes have their turn.
    Rotate,
    /// The batch, or the turn, takes no more.
    BatchFull,
}
