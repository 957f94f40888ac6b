//! The channels that one shard owns: it numbers their publications and knows who is interested.

use std::collections::{HashMap, VecDeque};

use super::ChannelName;
use crate::publication::Position;

/// A set of shards by index; 64 at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// More shards than this do not fit.
    pub const SHARDS_MAX: usize = 64;

    fn insert(&mut self, shard: usize) {
        self.0 |= 1 << shard;
    }

    fn remove(&mut self, shard: usize) {
        self.0 &= !(1 << shard);
    }

    /// Whether no shard is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for ShardSet {
    type Item = usize;

    /// Takes the lowest index out.
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let shard = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(shard)
    }
}

/// The owner keeps as many channels as it is allowed to; a new one must wait for an old one's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has reached its limit of channels (limits.channels_max)")]
pub struct ChannelsFull;

struct Stream {
    position: Position,
    interested: ShardSet,
    /// When it was last published to or left, in ms.
    used_ms: u64,
    /// Whether it stands in the queue of streams that may be forgotten.
    queued: bool,
}

/// The streams of the channels that a shard owns.
///
/// A stream that nobody is subscribed to is kept for `idle_ms` after its last use, so that
/// offsets go on rising for a publisher whose subscribers come and go, and is then forgotten.
pub struct Directory {
    streams: HashMap<ChannelName, Stream, foldhash::quality::FixedState>,
    idle: VecDeque<(u64, ChannelName)>,
    idle_ms: u64,
    channels_max: usize,
    next_epoch: u64,
}

impl Directory {
    /// An empty directory. Epochs are counted up from `first_epoch`: give every shard and every
    /// start of the process a range of its own.
    pub fn new(
        hasher: foldhash::quality::FixedState,
        channels_max: usize,
        idle_ms: u64,
        first_epoch: u64,
    ) -> Self {
        Self {
            streams: HashMap::with_hasher(hasher),
            idle: VecDeque::new(),
            idle_ms,
            channels_max,
            next_epoch: first_epoch,
        }
    }

    /// Notes that a shard has subscribers, and tells where the stream stands.
    ///
    /// # Errors
    /// [`ChannelsFull`] when the channel is new and there are `channels_max` already.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        channel: &ChannelName,
        shard: usize,
    ) -> Result<Position, ChannelsFull> {
        let stream = self.stream(now_ms, channel)?;
        stream.interested.insert(shard);
        Ok(stream.position)
    }

    /// Notes that a shard's last subscriber has gone.
    pub fn leave(&mut self, now_ms: u64, channel: &ChannelName, shard: usize) {
        if let Some(stream) = self.streams.get_mut(channel) {
            stream.interested.remove(shard);
            stream.used_ms = now_ms;
            Self::queue(&mut self.idle, self.idle_ms, channel, stream);
        }
    }

    /// Numbers a publication and names the shards that want it.
    ///
    /// # Errors
    /// [`ChannelsFull`] when the channel is new and there are `channels_max` already.
    pub fn publish(
        &mut self,
        now_ms: u64,
        channel: &ChannelName,
    ) -> Result<(Position, ShardSet), ChannelsFull> {
        let stream = self.stream(now_ms, channel)?;
        stream.position.offset += 1;
        Ok((stream.position, stream.interested))
    }

    /// Forgets the streams that have been of no use to anyone for the set time.
    pub fn forget_idle(&mut self, now_ms: u64) {
        while self.idle.front().is_some_and(|(due, _)| *due <= now_ms) {
            let Some((_, channel)) = self.idle.pop_front() else {
                return;
            };
            let Some(stream) = self.streams.get_mut(&channel) else {
                continue;
            };
            stream.queued = false;
            if !stream.interested.is_empty() {
                continue;
            }
            if stream.used_ms.saturating_add(self.idle_ms) <= now_ms {
                self.streams.remove(&channel);
            } else {
                Self::queue(&mut self.idle, self.idle_ms, &channel, stream);
            }
        }
    }

    /// When [`Directory::forget_idle`] has something to look at next, in ms.
    pub fn next_forget_ms(&self) -> Option<u64> {
        self.idle.front().map(|(due, _)| *due)
    }

    /// Channels kept.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no channel is kept.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Number of (channel, shard) pairs with interest: what must be zero when nobody is left.
    pub fn interests(&self) -> usize {
        self.streams.values().map(|s| s.interested.count()).sum()
    }

    fn stream(&mut self, now_ms: u64, channel: &ChannelName) -> Result<&mut Stream, ChannelsFull> {
        if !self.streams.contains_key(channel) {
            if self.streams.len() >= self.channels_max {
                return Err(ChannelsFull);
            }
            let mut stream = Stream {
                position: Position {
                    epoch: self.next_epoch,
                    offset: 0,
                },
                interested: ShardSet::default(),
                used_ms: now_ms,
                queued: false,
            };
            self.next_epoch += 1;
            Self::queue(&mut self.idle, self.idle_ms, channel, &mut stream);
            self.streams.insert(channel.clone(), stream);
        }
        match self.streams.get_mut(channel) {
            Some(stream) => {
                stream.used_ms = now_ms;
                Ok(stream)
            }
            None => Err(ChannelsFull),
        }
    }

    fn queue(
        idle: &mut VecDeque<(u64, ChannelName)>,
        idle_ms: u64,
        channel: &ChannelName,
        stream: &mut Stream,
    ) {
        if !stream.queued && stream.interested.is_empty() {
            stream.queued = true;
            idle.push_back((stream.used_ms.saturating_add(idle_ms), channel.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(channels_max: usize) -> Directory {
        Directory::new(
            foldhash::quality::FixedState::with_seed(1),
            channels_max,
            1_000,
            1,
        )
    }

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    #[test]
    fn publications_are_numbered_from_1_and_go_to_interested_shards_only() {
        let mut directory = directory(10);
        let news = name("news");
        assert_eq!(directory.subscribe(0, &news, 3).unwrap().offset, 0);
        directory.subscribe(0, &news, 63).unwrap();
        let (position, shards) = directory.publish(0, &news).unwrap();
        assert_eq!(position.offset, 1);
        assert_eq!(shards.collect::<Vec<_>>(), [3, 63]);
        directory.leave(0, &news, 3);
        let (position, shards) = directory.publish(0, &news).unwrap();
        assert_eq!(position.offset, 2);
        assert_eq!(shards.collect::<Vec<_>>(), [63]);
    }

    #[test]
    fn an_idle_stream_is_forgotten_after_its_time_and_begins_anew_with_another_epoch() {
        let mut directory = directory(10);
        let news = name("news");
        let (first, _) = directory.publish(0, &news).unwrap();
        let (second, _) = directory.publish(900, &news).unwrap();
        assert_eq!((second.epoch, second.offset), (first.epoch, 2));
        directory.forget_idle(1_000);
        assert_eq!(directory.len(), 1, "used 100 ms ago");
        directory.forget_idle(1_900);
        assert!(directory.is_empty());
        let (third, _) = directory.publish(1_901, &news).unwrap();
        assert_ne!(third.epoch, first.epoch);
        assert_eq!(third.offset, 1);
    }

    #[test]
    fn a_stream_with_subscribers_is_never_forgotten() {
        let mut directory = directory(10);
        let news = name("news");
        directory.subscribe(0, &news, 0).unwrap();
        directory.forget_idle(1_000_000);
        assert_eq!(directory.len(), 1);
        directory.leave(1_000_000, &news, 0);
        directory.forget_idle(1_000_999);
        assert_eq!(directory.len(), 1);
        directory.forget_idle(1_001_000);
        assert!(directory.is_empty());
        assert_eq!(directory.next_forget_ms(), None);
    }

    #[test]
    fn the_limit_of_channels_refuses_new_ones_and_keeps_the_old() {
        let mut directory = directory(1);
        directory.subscribe(0, &name("a"), 0).unwrap();
        assert_eq!(directory.subscribe(0, &name("b"), 0), Err(ChannelsFull));
        assert_eq!(directory.publish(0, &name("b")), Err(ChannelsFull));
        assert_eq!(directory.publish(0, &name("a")).unwrap().0.offset, 1);
    }
}
