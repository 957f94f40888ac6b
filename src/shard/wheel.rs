//! A hashed timer wheel for very many coarse deadlines.
//!
//! A connection has one deadline at a time and pushes it back with every byte it sends. Moving
//! an entry at each push would cost more than the deadline is worth, so an entry stays where it
//! is: when it comes up, its owner looks whether the deadline has really passed, and schedules
//! the next one. An entry is eight bytes.

use serde::{Deserialize, Serialize};

/// Milliseconds in a tick, the resolution of deadlines.
pub const TICK_MS: u64 = 64;

/// Buckets of the wheel; with [`TICK_MS`] it turns round in 65 seconds.
const BUCKETS: usize = 1_024;

/// A moment in ticks since the shard's clock began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tick(pub u32);

impl Tick {
    /// Later than any that comes.
    pub const NEVER: Self = Self(u32::MAX);

    /// The tick that a moment lies in.
    pub fn at(now_ms: u64) -> Self {
        Self((now_ms / TICK_MS) as u32)
    }

    /// The first tick that begins no earlier than `delay_ms` from `now_ms`.
    pub fn after(now_ms: u64, delay_ms: u64) -> Self {
        Self((now_ms.saturating_add(delay_ms).div_ceil(TICK_MS)).min(u64::from(u32::MAX)) as u32)
    }

    /// When the tick begins, in ms.
    pub fn start_ms(self) -> u64 {
        u64::from(self.0) * TICK_MS
    }
}

/// Slots by the tick at which they want to be looked at.
pub struct Wheel {
    buckets: Vec<Vec<(u32, u32)>>,
    /// All ticks up to here have been handed out.
    current: Tick,
    len: usize,
    /// No bucket before this tick has anything in it; asked for in every turn.
    earliest: Option<Tick>,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            buckets: vec![Vec::new(); BUCKETS],
            current: Tick(0),
            len: 0,
            earliest: None,
        }
    }
}

impl Wheel {
    /// Has a slot handed out by the first [`Wheel::advance`] at or after the tick; the tick after
    /// the current one at the earliest.
    pub fn schedule(&mut self, tick: Tick, slot: u32) -> Tick {
        let tick = tick.max(Tick(self.current.0 + 1));
        self.buckets[tick.0 as usize % BUCKETS].push((tick.0, slot));
        self.len += 1;
        let comes_up = Tick(self.current.0 + 1 + (tick.0 - self.current.0 - 1) % BUCKETS as u32);
        self.earliest = Some(
            self.earliest
                .map_or(comes_up, |earliest| earliest.min(comes_up)),
        );
        tick
    }

    /// Hands out what is due at `now`, with the tick it was scheduled for.
    pub fn advance(&mut self, now: Tick, due: &mut Vec<(Tick, u32)>) {
        let from = self.current.0 + 1;
        self.current = self.current.max(now);
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        // After a pause longer than a turn of the wheel every bucket has come up once.
        let last = now.0.min(from.saturating_add(BUCKETS as u32 - 1));
        for tick in from..=last {
            let bucket = &mut self.buckets[tick as usize % BUCKETS];
            let before = due.len();
            bucket.retain(|&(at, slot)| {
                let later = at > now.0;
                if !later {
                    due.push((Tick(at), slot));
                }
                later
            });
            self.len -= due.len() - before;
            if bucket.is_empty() && bucket.capacity() > 64 {
                *bucket = Vec::new();
            }
        }
        self.earliest = self.find_earliest();
    }

    /// The earliest tick at which something may be due; `None` when nothing is scheduled.
    pub fn next(&self) -> Option<Tick> {
        self.earliest
    }

    fn find_earliest(&self) -> Option<Tick> {
        if self.len == 0 {
            return None;
        }
        (self.current.0 + 1..=self.current.0 + BUCKETS as u32)
            .find(|&tick| !self.buckets[tick as usize % BUCKETS].is_empty())
            .map(Tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_entry_comes_up_once_and_never_early(
            steps in prop::collection::vec((0u32..3_000, 0u32..400), 1..200)
        ) {
            let mut wheel = Wheel::default();
            let mut now = 0;
            let mut waiting: Vec<(u32, u32)> = Vec::new();
            for (slot, (delay, step)) in steps.into_iter().enumerate() {
                let tick = wheel.schedule(Tick(now + delay), slot as u32);
                prop_assert!(tick.0 > now);
                waiting.push((tick.0, slot as u32));
                now += step;
                let mut due = Vec::new();
                wheel.advance(Tick(now), &mut due);
                let mut due: Vec<_> = due.into_iter().map(|(t, s)| (t.0, s)).collect();
                let mut expected: Vec<_> = waiting.iter().copied().filter(|w| w.0 <= now).collect();
                waiting.retain(|w| w.0 > now);
                due.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(due, expected);
                prop_assert_eq!(wheel.len, waiting.len());
                prop_assert_eq!(wheel.next().is_none(), waiting.is_empty());
                if let Some(next) = wheel.next() {
                    prop_assert!(next.0 > now && waiting.iter().all(|w| w.0 >= next.0 || w.0 > now + BUCKETS as u32));
                }
            }
        }
    }

    #[test]
    fn a_jump_of_the_clock_hands_out_everything_that_has_passed() {
        let mut wheel = Wheel::default();
        for slot in 0..5_000 {
            wheel.schedule(Tick(slot), slot);
        }
        let mut due = Vec::new();
        wheel.advance(Tick(1_000_000), &mut due);
        assert_eq!(due.len(), 5_000);
        assert!(wheel.len == 0 && wheel.next().is_none());
    }

    #[test]
    fn a_deadline_is_never_rounded_down() {
        assert_eq!(Tick::after(0, 1), Tick(1));
        assert_eq!(Tick::after(63, 1), Tick(1));
        assert_eq!(Tick::after(64, 1), Tick(2));
        assert_eq!(Tick(2).start_ms(), 128);
    }
}
