//! What a client's threads are told to do, and what they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::super::ledger::Counts;
use super::load::{Load, LoadReport};

pub(super) enum Order {
    Connect(Connect),
    OpenPublisher,
    Load(Load),
    Stall,
    Wake(Duration),
    Idle(Duration),
    Settle,
}

pub(super) enum Report {
    Connected(Connected),
    PublisherOpen,
    Load(Box<LoadReport>),
    Stalled(u32),
    Woken(StalledReport),
    Idled,
    Settled(Counts, BTreeMap<u16, u64>),
}

/// Connections to be opened by one thread.
#[derive(Debug, Clone, Copy)]
pub struct Connect {
    /// How many.
    pub count: u32,
    /// The number of the first.
    pub first_number: u32,
    /// From one number to the next.
    pub number_step: u32,
    /// How many may be under way at a time.
    pub at_once: u32,
}

/// How opening connections went.
#[derive(Debug, Clone)]
pub struct Connected {
    /// Connections that are open and subscribed.
    pub open: u64,
    /// Connections that the server, or the kernel, refused.
    pub failed: u64,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
    /// From the first SYN to the last subscription, in nanoseconds.
    pub wall_ns: u64,
    /// From each SYN to its subscription, in nanoseconds.
    pub opening: Histogram<u64>,
    /// Connections that agreed to compression.
    pub compressed: u64,
}

impl Default for Connected {
    fn default() -> Self {
        Self {
            open: 0,
            failed: 0,
            first_failure: None,
            wall_ns: 0,
            opening: super::histogram(),
            compressed: 0,
        }
    }
}

impl Connected {
    pub(super) fn fail(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.failed += other.failed;
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
        self.wall_ns = self.wall_ns.max(other.wall_ns);
        self.compressed += other.compressed;
        // Equal bounds.
        let _ = self.opening.add(&other.opening);
    }
}

/// What became of subscribers that did not read for a while.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StalledReport {
    /// How many there were.
    pub subscribers: u64,
    /// Connections that the server ended, by close code; 1006 is an end without one.
    pub closed: BTreeMap<u16, u64>,
    /// Those that were kept and received everything.
    pub complete: u64,
    /// Those that were kept and have missed something without being told.
    pub incomplete: u64,
    /// Publications that those have missed, those that never came included.
    pub missed: u64,
    /// Publications that came after they read again.
    pub received: u64,
}

impl StalledReport {
    /// Adds another report.
    pub fn add(&mut self, other: &Self) {
        self.subscribers += other.subscribers;
        for (code, count) in &other.closed {
            *self.closed.entry(*code).or_default() += count;
        }
        self.complete += other.complete;
        self.incomplete += other.incomplete;
        self.missed += other.missed;
        self.received += other.received;
    }
}
