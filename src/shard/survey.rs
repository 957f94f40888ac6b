//! What the control thread asks of all shards at once.

use std::collections::HashMap;

use super::connection::Place;
use super::lifecycle::name_of;
use super::mail::{Delivery, Look, Survey, Surveyed, Ticket};
use super::{ConnectionId, Shard};
use crate::channel::{ChannelName, Glob};
use crate::endpoint::{Addressee, Order};

/// Channels that are looked at for one answer: some 20 ms, as long as a turn may send.
const LOOKED_AT_MAX: usize = 200_000;

/// Connections with backlogs that are looked at for one answer; so many are behind only where everything is.
const BEHIND_LOOKED_AT_MAX: usize = 10_000;

/// Something that a user's connections are to do, as many of them in one turn as the turn may send to.
pub struct Errand {
    left: Vec<ConnectionId>,
    order: Order,
    /// Whom to tell when all have been told, and how many they were.
    from: usize,
    ticket: Ticket,
    told: usize,
}

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
            Survey::Counts => Surveyed::Counts {
                connections: self.connections.table.len(),
                subscriptions: self.counters.subscriptions as usize,
                channels: self.directory.used(),
                users: (self.users.len() <= LOOKED_AT_MAX)
                    .then(|| self.users.hashes(&self.hasher).collect()),
            },
            Survey::Busiest { channels_max } => self.survey_busiest(channels_max),
            Survey::Looks(channels) => Surveyed::Looks {
                shard: self.identity.shard,
                looks: self.look_at(&channels),
            },
            Survey::User { addressee, order } => {
                let left = self.connections_of(&addressee);
                self.errands.push_back(Errand {
                    told: left.len(),
                    left,
                    order,
                    from,
                    ticket,
                });
                self.run_errands(now_ms);
                return;
            }
        };
        self.answer_survey(now_ms, from, ticket, answer);
    }

    /// Says whose a connection is.
    pub(super) fn identify(&mut self, id: ConnectionId, user: &str, client: &str) {
        if self.connections.table.get(id).is_some() {
            self.users.identify(id, user, client);
        }
    }

    /// Has connections do what they have been ordered, as far as the turn goes.
    pub(super) fn run_errands(&mut self, now_ms: u64) {
        while self.orders_left > 0
            && let Some(errand) = self.errands.front_mut()
        {
            if let Some(id) = errand.left.pop() {
                self.orders_left -= 1;
                let order = errand.order.clone();
                self.handle_order(now_ms, id, order);
            } else if let Some(done) = self.errands.pop_front() {
                let answer = Surveyed::Told(done.told);
                self.answer_survey(now_ms, done.from, done.ticket, answer);
            }
        }
    }

    fn answer_survey(&mut self, now_ms: u64, to: usize, ticket: Ticket, answer: Surveyed) {
        let answer = Box::new(answer);
        self.answer(now_ms, to, Delivery::Surveyed { ticket, answer });
    }

    fn survey_channels(&self, pattern: Option<&Glob>, channels_max: usize) -> Surveyed {
        if let Some(name) = pattern.and_then(Glob::exact) {
            let found = self.fanout.subscribers_of(&name);
            return Surveyed::Channels(found.into_iter().collect());
        }
        if self.fanout.channels() > LOOKED_AT_MAX {
            return Surveyed::TooManyChannels;
        }
        // What is said to single users is nobody else's business.
        let is_meant = |channel: &ChannelName| {
            channel.user().is_none()
                && pattern.is_none_or(|pattern| pattern.matches(channel.as_str()))
        };
        let all = self.fanout.subscribers();
        let meant = all.filter(|(channel, _)| is_meant(channel));
        let found: Vec<_> = meant
            .take(channels_max + 1)
            .map(|(channel, subscribers)| (channel.clone(), subscribers))
            .collect();
        match found.len() <= channels_max {
            true => Surveyed::Channels(found),
            false => Surveyed::TooManyChannels,
        }
    }

    fn survey_busiest(&mut self, channels_max: usize) -> Surveyed {
        if self.fanout.channels().max(self.directory.len()) > LOOKED_AT_MAX {
            return Surveyed::TooManyChannels;
        }
        let published = most(self.directory.published_since(), channels_max);
        let subscribed = self.fanout.subscribers();
        let subscribed = subscribed.filter(|(channel, _)| channel.user().is_none());
        Surveyed::Busiest {
            published,
            subscribed: most(subscribed, channels_max),
        }
    }

    fn look_at(&self, channels: &[ChannelName]) -> Vec<Look> {
        let look = |channel: &ChannelName| Look {
            subscribers: self
                .fanout
                .subscribers_of(channel.as_str())
                .map_or(0, |(_, subscribers)| subscribers),
            behind: 0,
            position: self.directory.position(channel),
        };
        let mut looks: Vec<Look> = channels.iter().map(look).collect();
        if self.counters.backlogged == 0 {
            return looks;
        }
        let places: HashMap<&ChannelName, usize> = channels.iter().zip(0..).collect();
        for slot in self.connections.stalled().take(BEHIND_LOOKED_AT_MAX) {
            let id = self.connections.table.key_at(slot);
            let Some(connection) = id.and_then(|id| self.connections.table.get(id)) else {
                continue;
            };
            for subscription in connection.subscriptions.iter() {
                let channel = match &subscription.place {
                    Place::Active { lane, .. } => self.fanout.channel_of(*lane),
                    Place::Handed(place) => Some(&place.0),
                    Place::Pending(_) | Place::Queue(_) => None,
                };
                if let Some(&place) = channel.and_then(|channel| places.get(channel)) {
                    looks[place].behind += 1;
                }
            }
        }
        looks
    }

    fn connections_of(&self, addressee: &Addressee) -> Vec<ConnectionId> {
        let session = |key| name_of(&self.identity, key).to_string();
        self.users.find(addressee, session)
    }
}

/// The channels with the highest numbers, the highest first.
fn most<'a, N: Copy + Ord>(
    channels: impl Iterator<Item = (&'a ChannelName, N)>,
    channels_max: usize,
) -> Vec<(ChannelName, N)> {
    let mut found: Vec<(N, &ChannelName)> = channels
        .map(|(channel, number)| (number, channel))
        .collect();
    // Those of the same number by their names, so that the list does not change where nothing does.
    let order = |one: &(N, &ChannelName), other: &(N, &ChannelName)| {
        other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1))
    };
    if found.len() > channels_max {
        found.select_nth_unstable_by(channels_max, order);
        found.truncate(channels_max);
    }
    found.sort_unstable_by(order);
    let owned = |(number, channel): (N, &ChannelName)| (channel.clone(), number);
    found.into_iter().map(owned).collect()
}
