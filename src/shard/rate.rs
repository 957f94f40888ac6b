//! Token buckets in integer arithmetic.

use serde::{Deserialize, Serialize};

/// Lets `per_second` units through a second, and as many at once after a second of rest.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Thousandths of a unit left.
    level: u64,
    updated_ms: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(now_ms: u64, per_second: u64) -> Self {
        Self {
            level: per_second.saturating_mul(1_000),
            updated_ms: now_ms,
        }
    }

    /// Takes units out; `false`, and nothing taken, when there are not as many. `per_second` 0
    /// lets everything through.
    pub fn take(&mut self, now_ms: u64, per_second: u64, units: u64) -> bool {
        if per_second == 0 {
            return true;
        }
        self.fill(now_ms, per_second);
        match self.level.checked_sub(units.saturating_mul(1_000)) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }

    /// Milliseconds until one unit is there.
    pub fn wait_ms(&mut self, now_ms: u64, per_second: u64) -> u64 {
        if per_second == 0 {
            return 0;
        }
        self.fill(now_ms, per_second);
        1_000u64.saturating_sub(self.level).div_ceil(per_second)
    }

    fn fill(&mut self, now_ms: u64, per_second: u64) {
        // One unit a second is one thousandth of a unit a millisecond.
        let passed = now_ms.saturating_sub(self.updated_ms);
        self.updated_ms = self.updated_ms.max(now_ms);
        self.level = self
            .level
            .saturating_add(passed.saturating_mul(per_second))
            .min(per_second.saturating_mul(1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_the_rate_through_and_no_more() {
        let mut bucket = Bucket::new(0, 10);
        let taken = (0..100).filter(|_| bucket.take(0, 10, 1)).count();
        assert_eq!(taken, 10, "a second's worth at once");
        assert!(!bucket.take(99, 10, 1));
        assert!(bucket.take(100, 10, 1));
        assert_eq!(bucket.wait_ms(100, 10), 100);
        let taken = (0..10_000).filter(|i| bucket.take(100 + i, 10, 1)).count();
        assert_eq!(taken, 99);
    }

    #[test]
    fn a_rate_of_0_is_no_limit() {
        let mut bucket = Bucket::new(0, 0);
        assert!((0..1_000).all(|_| bucket.take(0, 0, u64::MAX)));
        assert_eq!(bucket.wait_ms(0, 0), 0);
    }
}
