//! The count of every publication at every subscriber.
//!
//! Publications of each channel carry sequence numbers from 0 up. A subscriber has to receive each of them once and in order;
//! whatever else happens is lost, doubled, reordered or foreign, and is kept apart exactly: a number that was skipped is
//! reordered if it comes later, and lost if it does not.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::payload::Stamp;

/// Deliveries counted, and everything that was not a delivery in order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Publications that reached a subscriber for the first time.
    pub delivered: u64,
    /// Publications that a subscriber never received.
    pub lost: u64,
    /// Publications received again.
    pub doubled: u64,
    /// Publications received after a later one.
    pub reordered: u64,
    /// Messages that nobody published, or not to that subscriber.
    pub foreign: u64,
    /// Subscribers whose connection ended, or whose stream was not valid. What they missed from then on is lost.
    pub closed: u64,
}

impl Counts {
    /// Whether every publication reached every subscriber once, in order and unchanged.
    pub fn are_clean(&self) -> bool {
        let Self {
            delivered: _,
            lost,
            doubled,
            reordered,
            foreign,
            closed,
        } = *self;
        lost + doubled + reordered + foreign + closed == 0
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.closed += other.closed;
    }
}

/// Which channels a subscriber is on: `each` of them in a row, from `first` on, around the end of `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Channels there are.
    pub all: u32,
    /// Channels that each subscriber is on.
    pub each: u32,
}

impl Plan {
    /// The channels of subscriber number `index`.
    pub fn channels_of(self, index: u32) -> Vec<u32> {
        let first = index % self.all;
        (0..self.each)
            .map(|place| (first + place) % self.all)
            .collect()
    }

    /// The place among its channels that `channel` has for subscriber number `index`.
    #[inline]
    fn place(self, index: u32, channel: u32) -> Option<usize> {
        if channel >= self.all {
            return None;
        }
        let first = index % self.all;
        let place = (channel + self.all - first) % self.all;
        (place < self.each).then_some(place as usize)
    }
}

/// The subscribers of one client thread and what they have received.
pub struct Ledger {
    plan: Plan,
    channels: Vec<Channel>,
    subscribers: Vec<Subscriber>,
    /// The sequence number after the highest received, by subscriber and place.
    next: Vec<u64>,
    /// What was skipped so far, by subscriber and channel.
    skipped: HashMap<(u32, u32), Vec<Range<u64>>>,
    counts: Counts,
}

struct Subscriber {
    /// Its number among all threads' subscribers, which decides its channels.
    number: u32,
    /// Whether everybody waits for it.
    counts: bool,
}

/// Marks a subscription that has received nothing yet and owes nothing before its first message.
const FRESH: u64 = u64::MAX;

#[derive(Default)]
struct Channel {
    /// All publications below this one have passed everybody.
    everywhere: u64,
    /// How many have passed each of those that follow.
    passed: VecDeque<u32>,
    /// Subscribers that are waited for.
    waited_for: u32,
}

impl Channel {
    /// A subscriber that is waited for goes from `from` to `to`.
    #[inline]
    fn pass(&mut self, from: u64, to: u64) {
        for sequence in from.max(self.everywhere)..to {
            let place = (sequence - self.everywhere) as usize;
            if place >= self.passed.len() {
                self.passed.resize(place + 1, 0);
            }
            self.passed[place] += 1;
        }
        self.advance();
    }

    #[inline]
    fn advance(&mut self) {
        while self.waited_for > 0 && self.passed.front() == Some(&self.waited_for) {
            self.passed.pop_front();
            self.everywhere += 1;
        }
    }

    /// A subscriber whose next is `next` is waited for from now on.
    fn join(&mut self, next: u64) {
        self.waited_for += 1;
        self.pass(0, next);
    }

    /// And from now on no more.
    fn leave(&mut self, next: u64) {
        self.waited_for -= 1;
        let passed = (next.saturating_sub(self.everywhere) as usize).min(self.passed.len());
        for count in self.passed.iter_mut().take(passed) {
            *count -= 1;
        }
        self.advance();
    }
}

impl Ledger {
    /// A ledger without subscribers.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            channels: std::iter::repeat_with(Channel::default)
                .take(plan.all as usize)
                .collect(),
            subscribers: Vec::new(),
            next: Vec::new(),
            skipped: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Adds a subscriber from the first publication on, and returns its index. `number` is its number among those of all threads.
    pub fn subscribe(&mut self, number: u32) -> u32 {
        let index = self.add(number, 0);
        self.subscribers[index as usize].counts = true;
        for channel in self.plan.channels_of(number) {
            self.channels[channel as usize].join(0);
        }
        index
    }

    /// Adds one who comes while publishing is under way: what it owes begins with the first message that it receives.
    pub fn subscribe_late(&mut self, number: u32) -> u32 {
        self.add(number, FRESH)
    }

    fn add(&mut self, number: u32, next: u64) -> u32 {
        let index = self.subscribers.len() as u32;
        self.subscribers.push(Subscriber {
            number,
            counts: false,
        });
        self.next
            .extend(std::iter::repeat_n(next, self.plan.each as usize));
        index
    }

    /// The sequence number that a subscriber of a single channel is to receive next, and that channel.
    #[inline]
    pub fn due(&self, index: u32) -> Option<(u32, u64)> {
        let number = self.subscribers[index as usize].number;
        (self.plan.each == 1).then(|| (number % self.plan.all, self.next[index as usize]))
    }

    /// Counts a publication that has arrived; `published` are all there are of its channel. True if it is the first time.
    #[inline]
    pub fn deliver(&mut self, index: u32, stamp: Stamp, published: u64) -> bool {
        let Subscriber { number, counts } = self.subscribers[index as usize];
        let Some(place) = self.plan.place(number, stamp.channel) else {
            self.counts.foreign += 1;
            return false;
        };
        if stamp.sequence >= published {
            self.counts.foreign += 1;
            return false;
        }
        let place = index as usize * self.plan.each as usize + place;
        let next = self.next[place];
        let after = stamp.sequence + 1;
        if stamp.sequence == next {
            self.next[place] = after;
            if counts {
                self.channels[stamp.channel as usize].pass(next, after);
            }
        } else if next == FRESH {
            self.next[place] = after;
            // Subscribers of several channels are waited for on none before all have begun; late ones have one.
            if !counts && self.plan.each == 1 {
                self.subscribers[index as usize].counts = true;
                self.channels[stamp.channel as usize].join(after);
            }
        } else if stamp.sequence > next {
            let skipped = self.skipped.entry((index, stamp.channel)).or_default();
            skipped.push(next..stamp.sequence);
            self.next[place] = after;
            if counts {
                self.channels[stamp.channel as usize].pass(next, after);
            }
        } else if self.take_skipped(index, stamp) {
            self.counts.reordered += 1;
        } else {
            self.counts.doubled += 1;
            return false;
        }
        self.counts.delivered += 1;
        true
    }

    /// Whether the publication was skipped before; it no longer is then.
    #[cold]
    fn take_skipped(&mut self, index: u32, stamp: Stamp) -> bool {
        let Some(ranges) = self.skipped.get_mut(&(index, stamp.channel)) else {
            return false;
        };
        let Some(at) = ranges
            .iter()
            .position(|range| range.contains(&stamp.sequence))
        else {
            return false;
        };
        let range = ranges.swap_remove(at);
        let parts = [range.start..stamp.sequence, stamp.sequence + 1..range.end];
        ranges.extend(parts.into_iter().filter(|part| !part.is_empty()));
        true
    }

    /// Counts a message that is no publication.
    pub fn count_foreign(&mut self) {
        self.counts.foreign += 1;
    }

    /// Counts that a subscriber's connection has ended, and waits for it no longer.
    pub fn close(&mut self, index: u32) {
        self.counts.closed += 1;
        self.excuse(index);
    }

    /// Waits for a subscriber no longer; what it does not receive from now on still counts, unless it is forgotten.
    pub fn excuse(&mut self, index: u32) {
        let number = self.subscribers[index as usize].number;
        if !std::mem::take(&mut self.subscribers[index as usize].counts) {
            return;
        }
        for (place, channel) in self.plan.channels_of(number).into_iter().enumerate() {
            let next = self.next[index as usize * self.plan.each as usize + place];
            self.channels[channel as usize].leave(next);
        }
    }

    /// A subscriber that leaves on its own, or is judged elsewhere: what follows is nobody's loss. What it skipped stays lost.
    pub fn forget(&mut self, index: u32) {
        self.excuse(index);
        let begin = index as usize * self.plan.each as usize;
        self.next[begin..begin + self.plan.each as usize].fill(FRESH);
    }

    /// Publications of the slowest channel that have passed everybody who is waited for; `u64::MAX` if nobody is.
    pub fn everywhere(&self) -> u64 {
        let waited_for = self
            .channels
            .iter()
            .filter(|channel| channel.waited_for > 0);
        waited_for
            .map(|channel| channel.everywhere)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Whether all publications have passed everybody who is waited for.
    pub fn is_complete(&self, published: impl Fn(u32) -> u64) -> bool {
        (self.channels.iter().zip(0..)).all(|(channel, number)| {
            channel.waited_for == 0 || channel.everywhere >= published(number)
        })
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.counts.delivered
    }

    /// The counts, were this the end: what has not arrived by now is lost.
    pub fn settle(&self, published: impl Fn(u32) -> u64) -> Counts {
        let skipped: u64 = (self.skipped.values().flatten())
            .map(|range| range.end - range.start)
            .sum();
        let mut never_reached = 0;
        let each = self.plan.each as usize;
        for (subscriber, next) in self.subscribers.iter().zip(self.next.chunks_exact(each)) {
            for (channel, &next) in self
                .plan
                .channels_of(subscriber.number)
                .into_iter()
                .zip(next)
            {
                if next != FRESH {
                    never_reached += published(channel) - next;
                }
            }
        }
        Counts {
            lost: skipped + never_reached,
            ..self.counts
        }
    }
}

#[cfg(test)]
mod tests;
