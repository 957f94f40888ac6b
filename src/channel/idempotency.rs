//! What was published with a key, so that a publisher that does not know whether its call got through can
//! make it again.

mod saved;

use std::collections::{HashMap, VecDeque};

pub use self::saved::SavedIdempotency;
use super::ChannelName;
use crate::publication::Position;

/// How long a key is remembered, in ms.
pub const REMEMBERED_MS: u64 = 5 * 60 * 1_000;

/// Longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 255;

/// A channel and a key that something was published to it with.
type Name = (ChannelName, Box<str>);

/// The keys of the last [`REMEMBERED_MS`], or of less where there were more than are kept.
#[derive(Debug)]
pub struct Idempotency {
    published: HashMap<Name, Position, foldhash::quality::FixedState>,
    /// When each is forgotten, in ms, the oldest first.
    order: VecDeque<(u64, Name)>,
    keys_max: usize,
    forgotten_early: u64,
}

impl Idempotency {
    /// Remembers at most so many keys.
    pub fn new(hasher: foldhash::quality::FixedState, keys_max: usize) -> Self {
        Self {
            published: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
            keys_max,
            forgotten_early: 0,
        }
    }

    /// From now on remembers at most so many keys.
    pub fn set_keys_max(&mut self, keys_max: usize) {
        self.keys_max = keys_max;
        self.bound();
    }

    /// The place that was given out for that key, if it is remembered.
    pub fn find(&mut self, now_ms: u64, channel: &ChannelName, key: &str) -> Option<Position> {
        self.forget(now_ms);
        let name = (channel.clone(), key.into());
        self.published.get(&name).copied()
    }

    /// Remembers the place that was given out for a key that was not found.
    pub fn note(&mut self, now_ms: u64, channel: ChannelName, key: Box<str>, position: Position) {
        let name = (channel, key);
        self.published.insert(name.clone(), position);
        self.order
            .push_back((now_ms.saturating_add(REMEMBERED_MS), name));
        self.bound();
    }

    /// Forgets the keys whose time is over.
    pub fn forget(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(due, _)| *due <= now_ms) {
            self.forget_oldest();
        }
    }

    /// Keys that were forgotten before their time, because there were too many.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    fn bound(&mut self) {
        while self.order.len() > self.keys_max {
            self.forget_oldest();
            self.forgotten_early += 1;
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, name)) = self.order.pop_front() {
            self.published.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn position(offset: u64) -> Position {
        Position { epoch: 1, offset }
    }

    fn keys(keys_max: usize) -> Idempotency {
        Idempotency::new(foldhash::quality::FixedState::with_seed(1), keys_max)
    }

    #[test]
    fn a_key_is_remembered_for_its_channel_and_its_time() {
        let mut keys = keys(10);
        assert_eq!(keys.find(0, &name("a"), "k"), None);
        keys.note(0, name("a"), "k".into(), position(7));
        assert_eq!(
            keys.find(REMEMBERED_MS - 1, &name("a"), "k"),
            Some(position(7))
        );
        assert_eq!(keys.find(1, &name("b"), "k"), None);
        assert_eq!(keys.find(1, &name("a"), "K"), None);
        assert_eq!(keys.find(REMEMBERED_MS, &name("a"), "k"), None);
        assert!(keys.published.is_empty() && keys.order.is_empty());
        assert_eq!(keys.forgotten_early(), 0);
    }

    #[test]
    fn beyond_the_bound_the_oldest_key_is_forgotten_and_counted() {
        let mut keys = keys(2);
        for (offset, key) in [(1, "x"), (2, "y"), (3, "z")] {
            keys.note(offset, name("a"), key.into(), position(offset));
        }
        assert_eq!(keys.find(3, &name("a"), "x"), None);
        assert_eq!(keys.find(3, &name("a"), "y"), Some(position(2)));
        assert_eq!(keys.find(3, &name("a"), "z"), Some(position(3)));
        assert_eq!(keys.forgotten_early(), 1);
    }
}
