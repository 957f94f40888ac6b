//! The only clocks that shards are driven by.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

    /// The time, in ms.
    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// How long it is until a moment, rounded up to the resolution of timers.
    pub fn until(&self, moment_ms: u64) -> Duration {
        Duration::from_millis(moment_ms).saturating_sub(self.began.elapsed())
    }
}
