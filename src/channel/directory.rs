//! The channels that one shard owns: it numbers their publications, keeps what their namespaces say, and
//! knows who is interested.

mod saved;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::FixedState;

pub use self::saved::SavedDirectory;
use super::budget::{Budgets, CrowdedOut, Load};
use super::deadlines::Deadlines;
use super::members::MemberId;
use super::namespace::{Namespace, Namespaces};
use super::patterns::{Patterns, is_pattern};
use super::stream::Stream;
use super::{Answer, ChannelName, Question, Refused, ShardSet};
use crate::publication::{Begun, ClientInfo, Draft, Position, Publication, Since};

/// The owner keeps as many channels as it is allowed to; a new one must wait for an old one's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has reached its limit of channels (limits.channels_max)")]
pub struct ChannelsFull;

/// The channel has as many subscribers as its namespace allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel has as many subscribers as it may have (namespace.subscribers_max)")]
pub struct SubscribersFull;

/// Bounds of all channels of a shard together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Channels.
    pub channels_max: usize,
    /// Bytes of all their histories.
    pub history_bytes_max: usize,
    /// How long a channel of no use is kept, in ms.
    pub idle_ms: u64,
}

/// A subscription that a shard asks for.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Whose.
    pub member: MemberId,
    /// What it wants of what was published before.
    pub since: Option<Since>,
    /// Who it is, if it says so.
    pub info: Option<Arc<ClientInfo>>,
}

/// What became of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Where it begins.
    pub begun: Begun,
    /// Whether the owner wants to hear of each subscription's end.
    pub counted: bool,
    /// Shards with subscribers that want to know who has come, and who has.
    pub news: Option<(Arc<ClientInfo>, ShardSet)>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It has its number and goes to these shards.
    Now(Publication, ShardSet),
    /// It waits for its interval's end, when it will have that place unless a newer one takes it.
    Later(Position),
}

/// The streams of the channels that a shard owns.
///
/// A stream that nobody is subscribed to is kept for `idle_ms` after its last use, or for as long as it
/// keeps a history, so that offsets go on rising for those who come back, and is then forgotten.
pub struct Directory {
    streams: HashMap<ChannelName, Stream, FixedState>,
    idle: VecDeque<(u64, ChannelName)>,
    /// When messages that are held back leave.
    held: Deadlines,
    /// What histories weigh, and when they have something to give up.
    budgets: Budgets,
    namespaces: Arc<Namespaces>,
    limits: DirectoryLimits,
    /// Streams that somebody is subscribed to.
    used: usize,
    next_epoch: u64,
    /// Who is subscribed to many channels at once; the same on all shards.
    patterns: Patterns,
}

impl Directory {
    /// An empty directory. Epochs are counted up from `first_epoch`: give every shard and every
    /// start of the process a range of its own.
    pub fn new(
        hasher: FixedState,
        namespaces: Arc<Namespaces>,
        limits: DirectoryLimits,
        first_epoch: u64,
    ) -> Self {
        Self {
            streams: HashMap::with_hasher(hasher),
            idle: VecDeque::new(),
            held: Deadlines::default(),
            budgets: Budgets::new(&namespaces, limits.history_bytes_max),
            namespaces,
            limits,
            used: 0,
            next_epoch: first_epoch,
            patterns: Patterns::default(),
        }
    }

    /// From now on other rules hold. Histories that are to be shorter are cut now.
    pub fn set_rules(&mut self, now_ms: u64, namespaces: Arc<Namespaces>, limits: DirectoryLimits) {
        self.namespaces = namespaces;
        self.limits = limits;
        self.budgets
            .begin_anew(&self.namespaces, limits.history_bytes_max);
        self.held = Deadlines::default();
        let mut without_deadline = Vec::new();
        for (channel, stream) in &mut self.streams {
            stream.set_namespace(now_ms, self.namespaces.of(channel.as_str()));
            self.budgets.count(channel, 0, stream);
            if let Some(due_ms) = stream.held_until_ms() {
                self.held.note(channel, due_ms);
            }
            if stream.due_ms().is_none() && !stream.queued && !stream.is_used() {
                without_deadline.push((stream.used_ms, channel.clone()));
            }
        }
        // In the order in which they are forgotten.
        without_deadline.sort_unstable();
        for (_, channel) in without_deadline {
            if let Some(stream) = self.streams.get_mut(&channel) {
                Self::queue(&mut self.idle, &self.limits, &channel, stream);
            }
        }
        self.bound_histories();
    }

    /// Notes a subscription, and tells where it begins and what it has missed.
    ///
    /// # Errors
    /// [`Refused`] when the channel is new and there are as many as there may be already, or when its namespace
    /// allows no more subscribers.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        channel: &ChannelName,
        joining: Joining,
    ) -> Result<Joined, Refused> {
        let budgets = &mut self.budgets;
        let stream = Self::stream(
            &mut self.streams,
            &mut self.idle,
            &self.namespaces,
            &self.limits,
            &mut self.next_epoch,
            now_ms,
            channel,
        )?;
        let (before, was_used) = (stream.load().bytes, stream.is_used());
        let joined = stream.join(now_ms, joining);
        budgets.count(channel, before, stream);
        self.used += usize::from(stream.is_used() && !was_used);
        joined
    }

    /// Notes that a subscription is over. Shards whose subscribers want to know who has left, and who has.
    pub fn depart(
        &mut self,
        channel: &ChannelName,
        member: &MemberId,
    ) -> Option<(Arc<ClientInfo>, ShardSet)> {
        self.streams.get_mut(channel)?.depart(member)
    }

    /// Notes that a shard's last subscriber has gone.
    pub fn leave(&mut self, now_ms: u64, channel: &ChannelName, shard: usize) {
        if let Some(stream) = self.streams.get_mut(channel) {
            let was_used = stream.is_used();
            stream.leave(now_ms, shard);
            self.used -= usize::from(was_used && !stream.is_used());
            Self::queue(&mut self.idle, &self.limits, channel, stream);
        }
    }

    /// Numbers a message, keeps it, and names the shards that want it.
    ///
    /// # Errors
    /// [`ChannelsFull`] when the channel is new and there are `channels_max` already.
    pub fn publish(
        &mut self,
        now_ms: u64,
        channel: &ChannelName,
        draft: Draft,
    ) -> Result<Published, ChannelsFull> {
        let stream = Self::stream(
            &mut self.streams,
            &mut self.idle,
            &self.namespaces,
            &self.limits,
            &mut self.next_epoch,
            now_ms,
            channel,
        )?;
        let before = stream.load().bytes;
        let published = stream.publish(now_ms, draft);
        self.budgets.count(channel, before, stream);
        if let Some(due_ms) = stream.held_until_ms() {
            self.held.note(channel, due_ms);
        }
        Self::queue_unless_due(&mut self.idle, &self.limits, channel, stream);
        self.bound_histories();
        Ok(published)
    }

    /// Whether a subscription to that name is one to all channels that it fits.
    pub fn takes_as_pattern(&self, name: &ChannelName) -> bool {
        is_pattern(name.as_str()) && self.namespaces.of(name.as_str()).wildcards
    }

    /// Notes that a shard has subscribers to a pattern.
    ///
    /// # Errors
    /// [`ChannelsFull`] when the pattern is new and there are as many as there may be channels.
    pub fn subscribe_pattern(
        &mut self,
        pattern: &ChannelName,
        shard: usize,
    ) -> Result<(), ChannelsFull> {
        if self.patterns.len() >= self.limits.channels_max && !self.patterns.contains(pattern) {
            return Err(ChannelsFull);
        }
        self.patterns.insert(pattern, shard);
        Ok(())
    }

    /// Notes that a shard has no subscriber to a pattern left.
    pub fn leave_pattern(&mut self, pattern: &ChannelName, shard: usize) {
        self.patterns.remove(pattern, shard);
    }

    /// The patterns that a channel fits, and the shards with subscribers to them. A pattern reaches the
    /// channels of its own namespace only: what another one says about who may hear it holds for that.
    pub fn matches(&self, channel: &ChannelName) -> Vec<(ChannelName, ShardSet)> {
        if self.patterns.is_empty() || channel.user().is_some() {
            return Vec::new();
        }
        let namespace = self.namespaces.of(channel.as_str());
        if !namespace.wildcards {
            return Vec::new();
        }
        let mut matches = self.patterns.matches(channel.as_str());
        matches
            .retain(|(pattern, _)| std::ptr::eq(self.namespaces.of(pattern.as_str()), namespace));
        matches
    }

    /// Answers a question about a channel. Only one about its history makes a channel that is not there, so
    /// that the place that the answer names stays true.
    pub fn answer(&mut self, now_ms: u64, channel: &ChannelName, question: Question) -> Answer {
        let is_lasting = matches!(question, Question::History { .. });
        if !is_lasting && !self.streams.contains_key(channel) {
            let mut nobody = Stream::new(now_ms, 0, self.namespaces.of(channel.as_str()));
            return nobody.answer(now_ms, question);
        }
        let stream = Self::stream(
            &mut self.streams,
            &mut self.idle,
            &self.namespaces,
            &self.limits,
            &mut self.next_epoch,
            now_ms,
            channel,
        );
        match stream {
            Ok(stream) => {
                let before = stream.load().bytes;
                let answer = stream.answer(now_ms, question);
                self.budgets.count(channel, before, stream);
                Self::queue_unless_due(&mut self.idle, &self.limits, channel, stream);
                answer
            }
            Err(full) => Answer::Refused(full.into()),
        }
    }

    /// Gives up what is too old, forgets streams that have been of no use to anyone for the set time, and
    /// returns the next held message that is due: call it again until there is none.
    pub fn handle_due(&mut self, now_ms: u64) -> Option<(ChannelName, Publication, ShardSet)> {
        while let Some(channel) = self
            .budgets
            .take_due(now_ms)
            .or_else(|| self.held.take_due(now_ms))
        {
            let Some(stream) = self.streams.get_mut(&channel) else {
                continue;
            };
            let before = stream.load().bytes;
            let released = stream.handle_due(now_ms);
            self.budgets.count(&channel, before, stream);
            if let Some(due_ms) = stream.held_until_ms() {
                self.held.note(&channel, due_ms);
            }
            Self::queue_unless_due(&mut self.idle, &self.limits, &channel, stream);
            if let Some((publication, shards)) = released {
                self.bound_histories();
                return Some((channel, publication, shards));
            }
        }
        self.forget_idle(now_ms);
        None
    }

    /// When [`Directory::handle_due`] has something to do next, in ms.
    pub fn next_due_ms(&self) -> Option<u64> {
        let forget = self.idle.front().map(|(due, _)| *due);
        [forget, self.budgets.next_due_ms(), self.held.next_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The channels that somebody is subscribed to, with their subscriptions where these are counted.
    pub fn channels(&self) -> impl Iterator<Item = (&ChannelName, usize)> {
        let used = self.streams.iter().filter(|(_, stream)| stream.is_used());
        used.map(|(channel, stream)| (channel, stream.members()))
    }

    /// How much was published to each channel since the last call: of those that it was anything to, and that have a
    /// name.
    pub fn published_since(&mut self) -> impl Iterator<Item = (&ChannelName, u64)> {
        let all = self.streams.iter_mut();
        all.filter_map(|(channel, stream)| match stream.count_since() {
            0 => None,
            _ if channel.user().is_some() => None,
            since => Some((channel, u64::from(since))),
        })
    }

    /// Where the stream of a channel stands, if there is one.
    pub fn position(&self, channel: &ChannelName) -> Option<Position> {
        self.streams.get(channel).map(Stream::position)
    }

    /// Channels that somebody is subscribed to.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Channels kept.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no channel is kept.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Bytes of all histories.
    pub fn history_bytes(&self) -> usize {
        self.budgets.bytes()
    }

    /// Publications that were given up before their time, by the bound that they were over.
    pub fn crowded_out(&self) -> CrowdedOut {
        self.budgets.crowded_out
    }

    /// Number of (channel or pattern, shard) pairs with interest: what must be zero when nobody is left.
    pub fn interests(&self) -> usize {
        let streams = self.streams.values().map(Stream::interests);
        streams.sum::<usize>() + self.patterns.interests()
    }

    /// Subscriptions that are counted one by one: what must be zero when nobody is left.
    pub fn members(&self) -> usize {
        self.streams.values().map(Stream::members).sum()
    }

    /// Gives up the publications that would be given up first anyway until the histories of each namespace, and all together,
    /// are within their bounds.
    fn bound_histories(&mut self) {
        loop {
            let streams = &self.streams;
            let channel = self
                .budgets
                .take_crowded(|channel| load_of(streams, channel));
            let Some(channel) = channel else {
                return;
            };
            if let Some(stream) = self.streams.get_mut(&channel) {
                let before = stream.load().bytes;
                stream.evict();
                self.budgets.count(&channel, before, stream);
                Self::queue_unless_due(&mut self.idle, &self.limits, &channel, stream);
            }
        }
    }

    fn forget_idle(&mut self, now_ms: u64) {
        while self.idle.front().is_some_and(|(due, _)| *due <= now_ms) {
            let Some((_, channel)) = self.idle.pop_front() else {
                return;
            };
            let Some(stream) = self.streams.get_mut(&channel) else {
                continue;
            };
            stream.queued = false;
            // One with a history is queued again when that is over.
            if stream.is_used() || stream.due_ms().is_some() {
                continue;
            }
            if stream.idle_at_ms(self.limits.idle_ms) <= now_ms {
                self.streams.remove(&channel);
            } else {
                Self::queue(&mut self.idle, &self.limits, &channel, stream);
            }
        }
    }

    /// The stream of a channel, made if there is none. Of the parts, so that the others stay free.
    fn stream<'a>(
        streams: &'a mut HashMap<ChannelName, Stream, FixedState>,
        idle: &mut VecDeque<(u64, ChannelName)>,
        namespaces: &Namespaces,
        limits: &DirectoryLimits,
        next_epoch: &mut u64,
        now_ms: u64,
        channel: &ChannelName,
    ) -> Result<&'a mut Stream, ChannelsFull> {
        if !streams.contains_key(channel) {
            if streams.len() >= limits.channels_max {
                return Err(ChannelsFull);
            }
            let namespace: &Namespace = namespaces.of(channel.as_str());
            let mut stream = Stream::new(now_ms, *next_epoch, namespace);
            *next_epoch += 1;
            Self::queue(idle, limits, channel, &mut stream);
            streams.insert(channel.clone(), stream);
        }
        let stream = streams.get_mut(channel).ok_or(ChannelsFull)?;
        stream.used_ms = now_ms;
        Ok(stream)
    }

    /// [`Directory::queue`] for a stream that has nothing else to do; one that has is queued when that is done.
    fn queue_unless_due(
        idle: &mut VecDeque<(u64, ChannelName)>,
        limits: &DirectoryLimits,
        channel: &ChannelName,
        stream: &mut Stream,
    ) {
        if stream.due_ms().is_none() {
            Self::queue(idle, limits, channel, stream);
        }
    }

    /// Has a stream that nobody is subscribed to looked at when its time is over.
    fn queue(
        idle: &mut VecDeque<(u64, ChannelName)>,
        limits: &DirectoryLimits,
        channel: &ChannelName,
        stream: &mut Stream,
    ) {
        if !stream.queued && !stream.is_used() {
            stream.queued = true;
            // All wait equally long, so the queue is in order; who has a longer history is looked at
            // again.
            idle.push_back((stream.idle_at_ms(limits.idle_ms), channel.clone()));
        }
    }
}

fn load_of(
    streams: &HashMap<ChannelName, Stream, FixedState>,
    channel: &ChannelName,
) -> Option<Load> {
    streams.get(channel).map(Stream::load)
}

#[cfg(test)]
mod tests;
