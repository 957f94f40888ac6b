//! How long the machine takes its cores away: from a thread that does nothing but look at the clock.
//!
//! On a machine that is shared, a virtual core stands still now and then. No server can be quicker than that: where a core
//! is held up for more than one hundredth of the time, a 99th percentile says more about the machine than about
//! the servers.

use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::machine::pin;

/// Between two looks at the clock there is less than this, unless the thread was held up.
const GAP_MIN: Duration = Duration::from_micros(100);

/// What one core was held up while it was watched and nothing else was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldUps {
    /// Which core.
    pub core: usize,
    /// How long it was watched, in microseconds.
    pub watched_us: f64,
    /// How much of that it stood still, in microseconds.
    pub held_up_us: f64,
    /// The longest of it, in microseconds.
    pub longest_us: f64,
}

impl HoldUps {
    /// Nothing watched yet.
    pub fn of(core: usize) -> Self {
        Self {
            core,
            watched_us: 0.0,
            held_up_us: 0.0,
            longest_us: 0.0,
        }
    }

    /// The share of the time that it stood still, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.watched_us > 0.0 {
            self.held_up_us / self.watched_us
        } else {
            0.0
        }
    }

    fn note(&mut self, gap: Duration) {
        let gap_us = gap.as_secs_f64() * 1e6;
        self.watched_us += gap_us;
        if gap >= GAP_MIN {
            self.held_up_us += gap_us;
            self.longest_us = self.longest_us.max(gap_us);
        }
    }
}

/// Watches all of these cores at one time, and adds what is seen. A core that the process may not use is left as it is.
pub fn watch(cores: &mut [HoldUps], time: Duration) {
    thread::scope(|scope| {
        for core in cores {
            scope.spawn(move || {
                if pin(&[core.core]).is_err() {
                    return;
                }
                let began = Instant::now();
                let mut last = began;
                while last - began < time {
                    let now = Instant::now();
                    core.note(now - last);
                    last = now;
                }
            });
        }
    });
}

/// One sentence for all cores.
pub fn sentence(cores: &[HoldUps]) -> Option<String> {
    let each: Vec<String> = cores
        .iter()
        .filter(|core| core.watched_us > 0.0)
        .map(|core| {
            format!(
                "core {} {:.1} % of the time, {:.1} ms at the longest",
                core.core,
                core.share() * 100.0,
                core.longest_us / 1e3
            )
        })
        .collect();
    (!each.is_empty()).then(|| {
        format!(
            "held up by the machine while nothing ran: {}",
            each.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_from_the_bound_on_count_as_held_up() {
        let mut core = HoldUps::of(3);
        assert_eq!(core.share(), 0.0);
        assert_eq!(sentence(std::slice::from_ref(&core)), None);
        for gap_us in [900, 40, 60, 2_000] {
            core.note(Duration::from_micros(gap_us));
        }
        assert_eq!(core.held_up_us, 2_900.0);
        assert_eq!(core.longest_us, 2_000.0);
        assert!((core.share() - 2_900.0 / 3_000.0).abs() < 1e-9);
        assert_eq!(
            sentence(&[core]).as_deref(),
            Some(
                "held up by the machine while nothing ran: core 3 96.7 % of the time, 2.0 ms at the longest"
            )
        );
    }

    #[test]
    fn a_core_is_watched_for_the_time_asked_for() {
        let core = super::super::machine::allowed_cores().unwrap_or_default();
        let mut cores: Vec<HoldUps> = core.into_iter().take(1).map(HoldUps::of).collect();
        watch(&mut cores, Duration::from_millis(5));
        watch(&mut cores, Duration::from_millis(5));
        assert!(cores.iter().all(|core| core.watched_us >= 10_000.0));
    }
}
