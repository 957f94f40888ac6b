//! One stretch of load: publish for a while, then wait until everything has arrived.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::Token;

use super::super::payload::Stamp;
use super::orders::Connected;
use super::shared::nanos;
use super::worker::Worker;

/// How fast to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The next message to every channel when all channels are fewer than this many behind.
    Window(u64),
    /// A message every so many nanoseconds, whatever happens, to one channel after the other.
    Every(u64),
}

/// What to publish.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How fast.
    pub pace: Pace,
    /// For how long; at least one message to every channel.
    pub duration: Duration,
    /// Silence after which what is outstanding is given up.
    pub patience: Duration,
    /// How often one subscriber leaves and another comes, in nanoseconds; 0: never.
    pub churn_every_ns: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// Publications made.
    pub published: u64,
    /// Deliveries, those of stalled subscribers not included.
    pub deliveries: u64,
    /// From the beginning to the last delivery, in nanoseconds.
    pub wall_ns: u64,
    /// From when a publication was due to its delivery, in nanoseconds.
    pub latency: Histogram<u64>,
    /// From when publications were due to when they were made, in nanoseconds.
    pub lateness: Histogram<u64>,
    /// Bytes received.
    pub received_bytes: u64,
    /// The busiest thread's share of the time in which it found something to do.
    pub busy: f64,
    /// Whether it was given up.
    pub gave_up: bool,
    /// Publications that the server refused.
    pub refused: u64,
    /// In its words, the first time.
    pub first_refusal: Option<String>,
    /// Subscribers that left.
    pub left: u64,
    /// From the first SYN of those that came to their first message; those that failed.
    pub joined: Connected,
}

impl Default for LoadReport {
    fn default() -> Self {
        Self {
            published: 0,
            deliveries: 0,
            wall_ns: 0,
            latency: super::histogram(),
            lateness: super::histogram(),
            received_bytes: 0,
            busy: 0.0,
            gave_up: false,
            refused: 0,
            first_refusal: None,
            left: 0,
            joined: Connected::default(),
        }
    }
}

impl LoadReport {
    pub(super) fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.deliveries += other.deliveries;
        self.wall_ns = self.wall_ns.max(other.wall_ns);
        // Equal bounds.
        let _ = self.latency.add(&other.latency);
        let _ = self.lateness.add(&other.lateness);
        self.received_bytes += other.received_bytes;
        self.busy = self.busy.max(other.busy);
        self.refused += other.refused;
        if self.first_refusal.is_none() {
            self.first_refusal.clone_from(&other.first_refusal);
        }
        self.left += other.left;
        self.joined.add(&other.joined);
    }
}

/// What publishing is in the middle of.
struct Schedule {
    began_ns: u64,
    until_ns: u64,
    /// Publications made, or due.
    count: u64,
}

impl Worker {
    /// Carries a load out, with the publisher if this thread has it.
    pub(super) fn load(&mut self, load: Load) -> Result<LoadReport, String> {
        let began_ns = self.shared.clock.now_ns();
        self.begin_tally();
        let mut schedule = Schedule {
            began_ns,
            until_ns: began_ns + nanos(load.duration),
            count: 0,
        };
        let delivered_before = self.ledger.delivered();
        let mut last_progress = (began_ns, u64::MAX);
        let mut idle_ns = 0;
        let mut next_churn = began_ns + load.churn_every_ns;
        let mut now = began_ns;
        loop {
            let mut worked = self.turn(Duration::ZERO)?;
            if self.publisher.is_some() {
                worked |= self.publish(&load, &mut schedule)?;
            }
            if load.churn_every_ns > 0 && now >= next_churn && now < schedule.until_ns {
                next_churn += load.churn_every_ns;
                self.replace_one();
                worked = true;
            }
            let after = self.shared.clock.now_ns();
            if !worked {
                idle_ns += after - now;
            }
            now = after;
            let delivered = self.ledger.delivered();
            self.tell_others(delivered);
            // Whoever publishes at a pace waits for the next message too: silence counts from then.
            let published: u64 = self
                .shared
                .published
                .iter()
                .map(super::shared::Counter::get)
                .sum();
            if last_progress.1 != delivered.wrapping_add(published) {
                last_progress = (now, delivered.wrapping_add(published));
            }
            if self.shared.must_stop() {
                break;
            }
            let publishing = self.shared.publishing.load(Ordering::Acquire);
            if !publishing && self.has_everything() {
                break;
            }
            let starved = now - last_progress.0 > nanos(load.patience);
            if self.shared.gave_up.load(Ordering::Acquire) || (starved && !self.has_everything()) {
                self.shared.gave_up.store(true, Ordering::Release);
                self.shared.publishing.store(false, Ordering::Release);
                break;
            }
        }
        let wall_ns = self.tally.last_delivery_ns.max(began_ns + 1) - began_ns;
        let mut report = std::mem::take(&mut self.tally.report);
        report.deliveries = self.ledger.delivered() - delivered_before;
        report.wall_ns = wall_ns;
        report.busy = 1.0 - idle_ns as f64 / (now - began_ns).max(1) as f64;
        if let Some(publisher) = &self.publisher {
            let (refused, first) = publisher.refused();
            report.refused = refused;
            report.first_refusal = first.map(str::to_owned);
        }
        Ok(report)
    }

    /// Whether everything that was published has passed everybody here, and was taken from the publisher.
    fn has_everything(&self) -> bool {
        let sent = self
            .publisher
            .as_ref()
            .is_none_or(|publisher| publisher.is_done());
        sent && self
            .ledger
            .is_complete(|channel| self.shared.published[channel as usize].get())
    }

    /// Makes the publications that are due. True if there were some.
    fn publish(&mut self, load: &Load, schedule: &mut Schedule) -> Result<bool, String> {
        if !self.shared.publishing.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let now = self.shared.clock.now_ns();
        let channels = u64::from(self.settings.plan.all);
        let before = schedule.count;
        if self.shared.everywhere() == u64::MAX {
            // Nobody is left to publish to.
            self.shared.gave_up.store(true, Ordering::Release);
        }
        let has_room = self
            .publisher
            .as_ref()
            .is_some_and(|publisher| publisher.has_room());
        match load.pace {
            Pace::Window(window) => {
                let rounds = self.shared.published[0].get();
                let behind = rounds.saturating_sub(self.shared.everywhere());
                if now >= schedule.until_ns && schedule.count > 0 {
                    self.shared.publishing.store(false, Ordering::Release);
                } else if has_room {
                    for _ in behind..window {
                        for channel in 0..channels {
                            self.publish_one(channel as u32, now);
                        }
                        schedule.count += channels;
                    }
                }
            }
            Pace::Every(interval_ns) => loop {
                let due = schedule.began_ns + schedule.count * interval_ns;
                if due >= schedule.until_ns && schedule.count >= channels {
                    self.shared.publishing.store(false, Ordering::Release);
                    break;
                }
                if due > now {
                    break;
                }
                self.publish_one((schedule.count % channels) as u32, due);
                schedule.count += 1;
            },
        }
        let made = schedule.count - before;
        self.tally.report.published += made;
        if made > 0
            && let Some(publisher) = &mut self.publisher
        {
            publisher.flush()?;
        }
        Ok(made > 0)
    }

    fn publish_one(&mut self, channel: u32, due_ns: u64) {
        let counter = &self.shared.published[channel as usize];
        let sequence = counter.get();
        // Before it goes out, or another thread could take its delivery for foreign.
        counter.set(sequence + 1);
        let now = self.shared.clock.now_ns();
        self.tally
            .report
            .lateness
            .saturating_record((now - due_ns).max(1));
        let stamp = Stamp {
            channel,
            sequence,
            due_ns,
        };
        if let Some(publisher) = &mut self.publisher {
            publisher.publish(&self.settings.dialect, stamp);
        }
    }

    /// Takes what a publishing connection has to say.
    pub(super) fn read_publisher(&mut self, token: Token) -> Result<(), String> {
        let Some(publisher) = &mut self.publisher else {
            return Ok(());
        };
        let index = token.0 - super::worker::PUBLISHER;
        publisher.read(index, &mut self.buffer, &self.settings.dialect)
    }
}
