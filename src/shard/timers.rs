//! Deadlines: of the handshake, of pings and their answers, of backlogs, of the last word.

use super::connection::Phase;
use super::lifecycle::Reason;
use super::wheel::{TICK_MS, Tick};
use super::{ConnectionId, Shard};
use crate::session::Session;

impl Shard {
    /// Does what is due. Call it at [`Shard::next_timeout_ms`], or any time earlier or later.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let mut due = Vec::new();
        self.wheel.advance(Tick::at(now_ms), &mut due);
        for (tick, slot) in due {
            if let Some(id) = self.connections.table.key_at(slot) {
                self.handle_due(now_ms, id, tick);
            }
        }
        self.directory.forget_idle(now_ms);
        self.go_on_draining(now_ms);
    }

    /// When [`Shard::handle_timeout`] has something to do next.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        let wheel = self.wheel.next().map(Tick::start_ms);
        let forget = self.directory.next_forget_ms();
        [wheel, forget, self.next_drain_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Puts a connection on the wheel.
    pub(super) fn schedule(&mut self, id: ConnectionId, tick: Tick) {
        if let Some(connection) = self.connections.table.get_mut(id) {
            connection.timer = self.wheel.schedule(tick, id.slot);
        }
    }

    /// Sees to it that the connection comes up at that tick, or before.
    pub(super) fn schedule_no_later(&mut self, id: ConnectionId, tick: Tick) {
        if let Some(connection) = self.connections.table.get(id)
            && tick < connection.timer
        {
            // The entry that stands later on the wheel finds another tick here and is ignored.
            self.schedule(id, tick);
        }
    }

    fn handle_due(&mut self, now_ms: u64, id: ConnectionId, tick: Tick) {
        let Some(connection) = self.connections.table.get(id) else {
            return;
        };
        if connection.timer != tick {
            return;
        }
        let Some(due) = self.due(id) else {
            return;
        };
        if due <= Tick::at(now_ms) {
            self.act(now_ms, id);
        }
        if let Some(next) = self.due(id) {
            self.schedule(id, next);
        }
    }

    /// The deadline of a connection as it is now.
    fn due(&self, id: ConnectionId) -> Option<Tick> {
        let timeouts = &self.config.timeouts;
        let connection = self.connections.table.get(id)?;
        // The tick in which it began may have been nearly over.
        let after = |since: Tick, ms| Tick::after(since.start_ms() + TICK_MS - 1, ms);
        match connection.phase {
            Phase::Handshake => Some(after(connection.since, timeouts.head_ms)),
            Phase::Closing => Some(after(connection.since, timeouts.linger_ms)),
            Phase::Gone => None,
            Phase::Open => Some(if let Some(backlog) = &connection.backlog {
                Tick::after(
                    backlog.since_ms(),
                    self.config.slow_consumer.backlog_age_ms_max,
                )
            } else if connection.pinged {
                after(connection.since, timeouts.pong_timeout_ms)
            } else {
                after(connection.heard, timeouts.ping_interval_ms)
            }),
        }
    }

    /// The deadline has passed.
    fn act(&mut self, now_ms: u64, id: ConnectionId) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        match connection.phase {
            Phase::Handshake => self.end_handshake(now_ms, id),
            Phase::Closing => self.drop_connection(now_ms, id),
            Phase::Gone => {}
            Phase::Open if connection.backlog.is_some() => {
                if self.end(now_ms, id, Reason::Slow) {
                    self.counters.closed_slow += 1;
                }
            }
            Phase::Open if connection.pinged => {
                self.counters.closed_silent += 1;
                self.drop_connection(now_ms, id);
            }
            Phase::Open => {
                connection.pinged = true;
                connection.since = Tick::at(now_ms);
                self.counters.pings += 1;
                let replies_from = self.outbox.replies_len();
                Session::put_ping(self.outbox.replies());
                self.outbox.note_reply(id, replies_from);
            }
        }
    }
}
