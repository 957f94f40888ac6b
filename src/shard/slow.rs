//! What is done about connections that are behind by more than their backlog may hold: as their channels'
//! namespaces say.

use super::backlog::Droppable;
use super::connection::Phase;
use super::lane::Member;
use super::{ConnectionId, Shard};
use crate::channel::SlowPolicy;
use crate::table::Key;

impl Shard {
    /// Queues a lane's sealed buffer for a member that is behind.
    pub(super) fn push_backlog_of_lane(&mut self, key: Key, member: Member) {
        let Some(lane) = self.fanout.lanes.get(key) else {
            return;
        };
        let (Some(id), Some(sealed)) = (self.connections.table.key_at(member.slot), lane.sealed())
        else {
            return;
        };
        let bytes = sealed.bytes.clone();
        let (policy, frames) = (lane.policy(), sealed.frames);
        let (Some((last_from, last)), true) = (sealed.last, policy != SlowPolicy::Disconnect)
        else {
            return self.push_backlog(id, &bytes);
        };
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        let Some(backlog) = &mut connection.backlog else {
            return;
        };
        self.counters.backlog_bytes -= backlog.bytes() as u64;
        let of = Droppable {
            subscription: member.subscription,
            last,
            frames,
        };
        if policy == SlowPolicy::Conflate {
            let newest = bytes.slice(last_from as usize..);
            let dropped = backlog.push_newest(newest, Droppable { frames: 1, ..of });
            self.counters.conflated += u64::from(dropped + frames - 1);
        } else {
            backlog.push_droppable(bytes, of);
        }
        self.counters.backlog_bytes += backlog.bytes() as u64;
        self.check_backlog(id);
    }

    /// Sees to it that something is done about a backlog that has become too long.
    pub(super) fn check_backlog(&mut self, id: ConnectionId) {
        let bytes_max = self.config.slow_consumer.backlog_bytes_max;
        let Some(connection) = self.connections.table.get(id) else {
            return;
        };
        let Some(backlog) = &connection.backlog else {
            return;
        };
        let granted = connection
            .extra
            .as_ref()
            .map_or(0, |extra| extra.granted_bytes);
        if connection.phase == Phase::Closing || backlog.bytes() <= bytes_max + granted {
            return;
        }
        if backlog.has_droppable() {
            self.outbox.behind.push(id);
        } else {
            self.outbox.too_slow.push(id);
        }
    }

    /// Drops what may be dropped of backlogs that are too long, and has their sessions say so.
    pub(super) fn relieve_behind(&mut self, now_ms: u64) {
        for id in std::mem::take(&mut self.outbox.behind) {
            let Some(connection) = self.connections.table.get_mut(id) else {
                continue;
            };
            let Some(backlog) = &mut connection.backlog else {
                continue;
            };
            self.counters.backlog_bytes -= backlog.bytes() as u64;
            let dropped = backlog.drop_all();
            self.counters.backlog_bytes += backlog.bytes() as u64;
            for Droppable {
                subscription,
                last,
                frames,
            } in dropped
            {
                self.counters.dropped += u64::from(frames);
                self.call_session(now_ms, id, |session, around| {
                    session.handle_fallen_behind(subscription, last, around);
                });
            }
            self.check_backlog(id);
        }
    }
}
