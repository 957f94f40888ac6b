//! Channels that are published to without a pause, and what each of their subscribers has had of them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::payload;

/// A channel and its subscribers' progress. Its publications are numbered from 1 on.
pub struct Channel {
    pub index: usize,
    pub name: String,
    /// Publications that its publisher has sent off.
    pub published: AtomicU64,
    /// By subscriber, how many publications have come.
    heard: Vec<AtomicU64>,
    /// All of them together.
    delivered: AtomicU64,
}

impl Channel {
    pub fn new(index: usize, name: String, subscribers: usize) -> Self {
        Self {
            index,
            name,
            published: AtomicU64::new(0),
            heard: (0..subscribers).map(|_| AtomicU64::new(0)).collect(),
            delivered: AtomicU64::new(0),
        }
    }

    pub fn subscribers(&self) -> usize {
        self.heard.len()
    }

    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// How many publications its subscribers have on average.
    pub fn mean_heard(&self) -> u64 {
        self.delivered() / self.subscribers().max(1) as u64
    }

    /// How many the subscriber has that has the fewest.
    pub fn least_heard(&self) -> u64 {
        let all = self.heard.iter();
        let all = all.map(|heard| heard.load(Ordering::Relaxed));
        all.min().unwrap_or(u64::MAX)
    }

    pub fn note_heard(&self, subscriber: usize) {
        self.heard[subscriber].fetch_add(1, Ordering::Relaxed);
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }
}

/// What has gone wrong with publications on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Never came.
    pub lost: u64,
    /// Came once more.
    pub doubled: u64,
    /// Came behind a later one.
    pub reordered: u64,
}

impl Counts {
    pub fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.doubled += more.doubled;
        self.reordered += more.reordered;
    }
}

/// What one subscriber has had of its channel.
#[derive(Default)]
pub struct Journal {
    /// The latest number.
    last: u64,
    /// Earlier ones that have not come.
    missing: BTreeSet<u64>,
    doubled: u64,
    reordered: u64,
}

impl Journal {
    /// A publication has come, known to the last byte; an error if nobody has published it.
    pub fn note(
        &mut self,
        channel: &Channel,
        offset: Option<u64>,
        text: &str,
    ) -> Result<(), String> {
        let number = payload::number(channel.index, text)?;
        if offset.is_some_and(|offset| offset != number) {
            return Err(format!("publication {number} as {offset:?}"));
        }
        if number > self.last {
            self.missing.extend(self.last + 1..number);
            self.last = number;
        } else if self.missing.remove(&number) {
            self.reordered += 1;
        } else {
            self.doubled += 1;
        }
        Ok(())
    }

    /// What has gone wrong when so many publications should have come.
    pub fn counts(&self, published: u64) -> Counts {
        Counts {
            lost: self.missing.len() as u64 + published.saturating_sub(self.last),
            doubled: self.doubled,
            reordered: self.reordered,
        }
    }
}
