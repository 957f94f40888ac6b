//! Deadlines: of the handshake, of pings and their answers, of backlogs, of the last word, and those
//! that endpoints have set.

use super::connection::{Connection, Phase};
use super::lifecycle::Reason;
use super::wheel::{TICK_MS, Tick};
use super::{ConnectionId, Shard};
use crate::endpoint::{Heartbeat, Timeout};

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
        self.handle_channels_due(now_ms);
        self.recovered.handle_timeout(now_ms);
        // Nobody waits for this: it only gives back what it takes.
        self.idempotency.forget(now_ms);
        self.go_on_draining(now_ms);
    }

    /// When [`Shard::handle_timeout`] has something to do next.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        let wheel = self.wheel.next().map(Tick::start_ms);
        let channels = self.directory.next_due_ms();
        let recovered = self.recovered.until_ms();
        [wheel, channels, recovered, self.next_drain_ms()]
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

    /// From now on the endpoint is called at these intervals.
    pub(super) fn set_heartbeat(&mut self, now_ms: u64, id: ConnectionId, heartbeat: Heartbeat) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        let timers = &mut connection.extra.get_or_insert_default().timers;
        timers.heartbeat = heartbeat;
        timers.beat = Tick::after(now_ms, u64::from(heartbeat.send_every_ms));
        connection.extra.take_if(|extra| extra.is_idle());
        if let Some(due) = self.due(id) {
            self.schedule_no_later(id, due);
        }
    }

    /// From now on the endpoint is called after so many ms, or not.
    pub(super) fn set_deadline(&mut self, now_ms: u64, id: ConnectionId, after_ms: Option<u32>) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if after_ms.is_none() && connection.extra.is_none() {
            return;
        }
        let timers = &mut connection.extra.get_or_insert_default().timers;
        timers.deadline = after_ms.map(|ms| Tick::after(now_ms, u64::from(ms)));
        // Many connections set one only for their beginning.
        connection.extra.take_if(|extra| extra.is_idle());
        if let Some(due) = self.due(id) {
            self.schedule_no_later(id, due);
        }
    }

    /// The deadline of a connection as it is now.
    pub(super) fn due(&self, id: ConnectionId) -> Option<Tick> {
        let timeouts = &self.config.timeouts;
        let connection = self.connections.table.get(id)?;
        match connection.phase {
            Phase::Handshake => Some(after(connection.since, timeouts.head_ms)),
            Phase::Closing => Some(after(connection.since, timeouts.linger_ms)),
            Phase::Gone => None,
            Phase::Open => Some(if let Some(too_old) = self.backlog_due(connection) {
                // What ends at a certain time ends then also for who is slow.
                too_old.min(deadline(connection).unwrap_or(Tick::NEVER))
            } else {
                let timeout = next_timeout(connection).map(|(due, _)| due);
                self.ping_due(connection)
                    .min(timeout.unwrap_or(Tick::NEVER))
            }),
        }
    }

    /// When the backlog of a slow connection has got too old.
    fn backlog_due(&self, connection: &Connection) -> Option<Tick> {
        let age_ms_max = self.config.slow_consumer.backlog_age_ms_max;
        let backlog = connection.backlog.as_ref()?;
        Some(Tick::after(backlog.since_ms(), age_ms_max))
    }

    /// When an open connection is to be sent a ping, or has left one unanswered for too long.
    fn ping_due(&self, connection: &Connection) -> Tick {
        let timeouts = &self.config.timeouts;
        if connection.pinged {
            after(connection.since, timeouts.pong_timeout_ms)
        } else {
            after(connection.heard, timeouts.ping_interval_ms)
        }
    }

    /// The deadline has passed.
    fn act(&mut self, now_ms: u64, id: ConnectionId) {
        let Some(connection) = self.connections.table.get(id) else {
            return;
        };
        let now = Tick::at(now_ms);
        let ping_due = self.ping_due(connection) <= now;
        let backlog_due = self.backlog_due(connection);
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        match connection.phase {
            Phase::Handshake => self.end_handshake(now_ms, id),
            Phase::Closing => self.drop_connection(now_ms, id),
            Phase::Gone => {}
            Phase::Open if backlog_due.is_some_and(|due| due <= now) => {
                if self.end(now_ms, id, Reason::Slow) {
                    self.counters.closed_slow += 1;
                }
            }
            Phase::Open if backlog_due.is_some() => {
                self.call_timeout(now_ms, id, Timeout::Deadline);
            }
            Phase::Open if !ping_due => {
                if let Some((_, timeout)) = next_timeout(connection) {
                    self.call_timeout(now_ms, id, timeout);
                }
            }
            Phase::Open if connection.pinged => {
                self.counters.closed_silent += 1;
                self.drop_connection(now_ms, id);
            }
            Phase::Open => {
                let replies_from = self.outbox.replies_len();
                if connection.session.put_keep_alive(self.outbox.replies()) {
                    connection.pinged = true;
                    connection.since = Tick::at(now_ms);
                    self.counters.pings += 1;
                } else {
                    // Nobody will answer. That the peer is gone is for TCP to find out.
                    connection.heard = Tick::at(now_ms);
                    self.counters.keep_alives += 1;
                }
                self.outbox.note_reply(id, replies_from);
            }
        }
    }

    /// Calls the endpoint for one of its timers, which is due.
    fn call_timeout(&mut self, now_ms: u64, id: ConnectionId, timeout: Timeout) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if let Some(extra) = &mut connection.extra {
            let timers = &mut extra.timers;
            match timeout {
                Timeout::Beat => {
                    let every_ms = u64::from(timers.heartbeat.send_every_ms);
                    timers.beat = Tick::after(now_ms, every_ms);
                }
                // Once is enough, until it is set anew.
                Timeout::Silence => timers.heartbeat.silence_ms_max = 0,
                Timeout::Deadline => timers.deadline = None,
            }
        }
        self.call_session(now_ms, id, |session, around| {
            session.handle_timeout(timeout, around);
        });
    }
}

/// The endpoint's timer that comes first, if it has set any.
fn next_timeout(connection: &Connection) -> Option<(Tick, Timeout)> {
    let timers = &connection.extra.as_ref()?.timers;
    let Heartbeat {
        send_every_ms,
        silence_ms_max,
    } = timers.heartbeat;
    let beat = (send_every_ms != 0).then_some((timers.beat, Timeout::Beat));
    let silence_ms = u64::from(silence_ms_max);
    let silence =
        (silence_ms != 0).then(|| (after(connection.heard, silence_ms), Timeout::Silence));
    let deadline = deadline(connection).map(|due| (due, Timeout::Deadline));
    [deadline, silence, beat]
        .into_iter()
        .flatten()
        .min_by_key(|(due, _)| *due)
}

/// The deadline that the endpoint has set.
fn deadline(connection: &Connection) -> Option<Tick> {
    connection.extra.as_ref()?.timers.deadline
}

/// So many ms after a tick at the earliest: the tick may have been nearly over.
fn after(since: Tick, ms: u64) -> Tick {
    Tick::after(since.start_ms() + TICK_MS - 1, ms)
}
