//! What the client's threads share while a load runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The clock of one run: all times are nanoseconds since its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the beginning.
    #[inline]
    pub fn now_ns(self) -> u64 {
        nanos(self.0.elapsed())
    }
}

/// A duration in nanoseconds, at most some 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A counter on a cache line of its own: each has one writer.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Written by one thread, read by all.
#[derive(Debug)]
pub struct Shared {
    /// The run's clock.
    pub clock: Clock,
    /// Publications made, by channel.
    pub published: Vec<Counter>,
    /// By thread: publications of the slowest channel that have passed all its subscribers.
    pub everywhere: Vec<Counter>,
    /// By thread: deliveries so far.
    pub delivered: Vec<Counter>,
    /// By thread: connections that are open.
    pub open: Vec<Counter>,
    /// Whether the present phase still publishes.
    pub publishing: AtomicBool,
    /// Set when a phase was given up.
    pub gave_up: AtomicBool,
    /// Whether everything is to end early.
    pub stop: Arc<AtomicBool>,
}

impl Shared {
    /// For that many channels and threads.
    pub fn new(channels: u32, threads: usize, stop: Arc<AtomicBool>) -> Self {
        let counters = |count| {
            std::iter::repeat_with(Counter::default)
                .take(count)
                .collect()
        };
        Self {
            clock: Clock::start(),
            published: counters(channels as usize),
            everywhere: counters(threads),
            delivered: counters(threads),
            open: counters(threads),
            publishing: AtomicBool::new(false),
            gave_up: AtomicBool::new(false),
            stop,
        }
    }

    /// Publications of the slowest channel that have passed everybody.
    pub fn everywhere(&self) -> u64 {
        let all = self.everywhere.iter().map(Counter::get);
        all.min().unwrap_or(u64::MAX)
    }

    /// Whether somebody asked for an end.
    #[inline]
    pub fn must_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
