//! The only clocks that shards are driven by.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::sys;

/// The time of day, in ms since 1970 (UTC); 0 before that.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Milliseconds since the shard's start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock that stands at 0.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// The clock of another process, which goes on: as [`Clock::began_ns`] said there.
    pub fn resume(began_ns: u64) -> Self {
        let passed = Duration::from_nanos(sys::monotonic_ns().saturating_sub(began_ns));
        let now = Instant::now();
        Self {
            began: now.checked_sub(passed).unwrap_or(now),
        }
    }

    /// When it began, in ns by the kernel's clock that all processes share until the machine is started anew.
    pub fn began_ns(&self) -> u64 {
        sys::monotonic_ns().saturating_sub(self.began.elapsed().as_nanos() as u64)
    }

    /// The time, in ms.
    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// How long it is until a moment, rounded up to the resolution of timers.
    pub fn until(&self, moment_ms: u64) -> Duration {
        Duration::from_millis(moment_ms).saturating_sub(self.began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_resumed_shows_what_it_would_have_shown() {
        let clock = Clock {
            began: Instant::now() - Duration::from_millis(12_345),
        };
        let resumed = Clock::resume(clock.began_ns());
        let apart = clock.now_ms().abs_diff(resumed.now_ms());
        assert!(apart <= 1_000, "{apart} ms");
        assert!(resumed.now_ms() >= 12_000);
    }
}
