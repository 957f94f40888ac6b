//! Other settings while the shard runs.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::mail::Delivery;
use super::{Shard, directory_limits, queue_limits};
use crate::channel::ChannelName;
use crate::config::Config;
use crate::rules::Rules;
use crate::session;

/// What holds for all shards at the same time. A reload makes another one as a whole, and each shard takes it over between two
/// turns; so nothing is ever half of one and half of the other.
pub struct Live {
    /// Counts the reloads.
    pub version: u64,
    /// The settings. Those that take a restart are as they were at the start.
    pub config: Arc<Config>,
    /// The sessions' part of them, and the routes.
    pub sessions: Arc<session::Settings>,
    /// What holds for channels and users.
    pub rules: Arc<Rules>,
}

impl PartialEq for Live {
    /// Two are the same if they are of the same reload.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl Eq for Live {}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Shard {
    /// The settings that hold in this turn.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Has other settings hold from the next turn on, of which the sender is told then.
    pub(super) fn note_reload(&mut self, from: usize, live: Arc<Live>) {
        self.reloads.push_back((from, live));
    }

    /// Takes over what was noted. Connections and subscriptions stay, but for those to channels that are closed to all clients now; bounds that have become smaller hold for what comes, but
    /// histories are cut at once. Deadlines that are running are not changed.
    pub(super) fn take_over(&mut self, now_ms: u64) {
        while let Some((from, live)) = self.reloads.pop_front() {
            self.config = live.config.clone();
            self.sessions = live.sessions.clone();
            self.note_forbidden(&live.rules);
            self.rules = live.rules.clone();
            let namespaces = self.rules.namespaces.clone();
            self.fanout.set_namespaces(&namespaces);
            let limits = directory_limits(&self.config);
            self.directory.set_rules(now_ms, namespaces, limits);
            self.fanout
                .set_lane_bytes_max(self.config.fanout.lane_bytes_max);
            self.idempotency
                .set_keys_max(self.config.limits.idempotency_keys_max);
            self.codec.compressors.set(self.sessions.compression);
            self.endpoints.reload(&self.config);
            let mut out = Vec::new();
            self.queues.set_limits(queue_limits(&self.config), &mut out);
            self.send_handed(now_ms, out);
            let version = live.version;
            self.answer(now_ms, from, Delivery::Reloaded { version });
        }
    }

    /// Notes the subscriptions that no client may have any more by the rules that come.
    fn note_forbidden(&mut self, rules: &Rules) {
        let is_new = |channel: &&ChannelName| {
            rules.forbid_subscribing(channel) && !self.rules.forbid_subscribing(channel)
        };
        let channels = self.fanout.subscribers().map(|(channel, _)| channel);
        let channels: HashSet<&ChannelName> = channels.filter(is_new).collect();
        if channels.is_empty() {
            return;
        }
        let is_meant = |place| {
            self.channel_of(place)
                .is_some_and(|channel| channels.contains(channel))
        };
        let mut found = Vec::new();
        for (id, connection) in self.connections.table.iter() {
            let subscriptions = connection.subscriptions.iter();
            let meant = subscriptions.filter(|subscription| is_meant(&subscription.place));
            found.extend(meant.map(|subscription| (id, subscription.number)));
        }
        self.forbidden.extend(found);
    }

    /// Has sessions end those subscriptions, as many in a turn as the turn may send to.
    pub(super) fn end_forbidden(&mut self, now_ms: u64) {
        while self.orders_left > 0
            && let Some((id, number)) = self.forbidden.pop_front()
        {
            self.orders_left -= 1;
            let connection = self.connections.table.get(id);
            let is_there = connection.is_some_and(|connection| {
                let mut subscriptions = connection.subscriptions.iter();
                subscriptions.any(|subscription| subscription.number == number)
            });
            if is_there {
                self.call_session(now_ms, id, |session, around| {
                    session.handle_forbidden(number, around);
                });
            }
        }
    }
}
