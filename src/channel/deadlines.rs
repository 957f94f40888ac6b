//! When which channel has something to do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::ChannelName;

/// Entries that do not count any more and are not worth a look at all of them.
const SLACK: usize = 64;

/// The next deadline of each channel that has one.
#[derive(Default)]
pub struct Deadlines {
    /// Earliest first. Of a channel only the entry that `next` names counts.
    queue: BinaryHeap<Reverse<(u64, ChannelName)>>,
    next: HashMap<ChannelName, u64>,
}

impl Deadlines {
    /// Sees to it that the channel is taken at that time in ms, or before.
    pub fn note(&mut self, channel: &ChannelName, due_ms: u64) {
        if self.next.get(channel).is_some_and(|&next| next <= due_ms) {
            return;
        }
        self.next.insert(channel.clone(), due_ms);
        self.queue.push(Reverse((due_ms, channel.clone())));
    }

    /// The channel has no deadline any more.
    pub fn forget(&mut self, channel: &ChannelName) {
        if self.next.remove(channel).is_some() && self.queue.len() > 2 * self.next.len() + SLACK {
            let next = &self.next;
            self.queue
                .retain(|Reverse((due_ms, channel))| next.get(channel) == Some(due_ms));
        }
    }

    /// Takes a channel whose time has come.
    pub fn take_due(&mut self, now_ms: u64) -> Option<ChannelName> {
        self.take_if(|due_ms| due_ms <= now_ms)
            .map(|(_, channel)| channel)
    }

    /// Takes the channel whose time is next, whenever that is, and that time in ms.
    pub fn take_first(&mut self) -> Option<(u64, ChannelName)> {
        self.take_if(|_| true)
    }

    /// When the next one may be taken, in ms; seldom too early.
    pub fn next_ms(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((due_ms, _))| *due_ms)
    }

    fn take_if(&mut self, is_due: impl Fn(u64) -> bool) -> Option<(u64, ChannelName)> {
        while let Some(Reverse((due_ms, _))) = self.queue.peek()
            && is_due(*due_ms)
        {
            let Reverse((due_ms, channel)) = self.queue.pop()?;
            if self.next.get(&channel) == Some(&due_ms) {
                self.next.remove(&channel);
                return Some((due_ms, channel));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    #[test]
    fn a_channel_is_taken_once_at_its_earliest_deadline() {
        let mut deadlines = Deadlines::default();
        deadlines.note(&name("a"), 20);
        deadlines.note(&name("b"), 15);
        deadlines.note(&name("a"), 10);
        deadlines.note(&name("a"), 30);
        assert_eq!(deadlines.next_ms(), Some(10));
        assert_eq!(deadlines.take_due(9), None);
        assert_eq!(deadlines.take_due(15), Some(name("a")));
        assert_eq!(deadlines.take_due(15), Some(name("b")));
        assert_eq!(deadlines.take_due(100), None);
        deadlines.note(&name("a"), 40);
        assert_eq!(deadlines.take_first(), Some((40, name("a"))));
        assert_eq!(deadlines.take_first(), None);
        assert_eq!(deadlines.next_ms(), None);
    }

    #[test]
    fn what_is_forgotten_is_not_taken_and_takes_no_room() {
        let mut deadlines = Deadlines::default();
        deadlines.note(&name("stays"), 5);
        for round in 0..1_000 {
            deadlines.note(&name("goes"), 10 + round);
            deadlines.forget(&name("goes"));
            assert!(deadlines.queue.len() <= 3 + SLACK);
        }
        deadlines.forget(&name("never there"));
        assert_eq!(deadlines.take_first(), Some((5, name("stays"))));
        assert_eq!(deadlines.take_first(), None);
    }
}
