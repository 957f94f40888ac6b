//! What the control thread asks of all shards at once.

use super::mail::{Delivery, Survey, Surveyed, Ticket};
use super::{ConnectionId, Shard};
use crate::channel::{ChannelName, Glob};
use crate::endpoint::{Addressee, Order};

/// Channels that are looked at for one answer: some 20 ms, as long as a turn may send.
const LOOKED_AT_MAX: usize = 200_000;

impl Shard {
    /// Answers a survey.
    pub(super) fn handle_survey(
        &mut self,
        now_ms: u64,
        from: usize,
        ticket: Ticket,
        survey: Survey,
    ) {
        let answer = match survey {
            Survey::Channels {
                pattern,
                channels_max,
            } => self.survey_channels(pattern.as_ref(), channels_max),
            Survey::Node => Surveyed::Node {
                connections: self.connections.table.len(),
                subscriptions: self.counters.subscriptions as usize,
                channels: self.directory.used(),
            },
            Survey::User { addressee, order } => {
                Surveyed::Told(self.order_user(now_ms, &addressee, &order))
            }
        };
        let answer = Box::new(answer);
        self.answer(now_ms, from, Delivery::Surveyed { ticket, answer });
    }

    fn survey_channels(&self, pattern: Option<&Glob>, channels_max: usize) -> Surveyed {
        if let Some(name) = pattern.and_then(Glob::exact) {
            let found = self.fanout.subscribers_of(&name);
            return Surveyed::Channels(found.into_iter().collect());
        }
        if self.fanout.channels() > LOOKED_AT_MAX {
            return Surveyed::TooManyChannels;
        }
        let is_meant = |(channel, _): &(ChannelName, usize)| {
            // What is said to single users is nobody else's business.
            !channel.is_of_user() && pattern.is_none_or(|pattern| pattern.matches(channel.as_str()))
        };
        let all = self.fanout.subscribers().filter(is_meant);
        let found: Vec<_> = all.take(channels_max + 1).collect();
        match found.len() <= channels_max {
            true => Surveyed::Channels(found),
            false => Surveyed::TooManyChannels,
        }
    }

    /// Has the connections of a user do something: how many they were.
    fn order_user(&mut self, now_ms: u64, addressee: &Addressee, order: &Order) -> usize {
        let session = |key| self.name_of(key).to_string();
        let meant = self.users.find(addressee, session);
        for id in &meant {
            self.handle_order(now_ms, *id, order.clone());
        }
        meant.len()
    }

    /// Says whose a connection is.
    pub(super) fn identify(&mut self, id: ConnectionId, user: &str, client: &str) {
        if self.connections.table.get(id).is_some() {
            self.users.identify(id, user, client);
        }
    }
}
