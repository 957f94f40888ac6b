//! Whether and how long a shard rests behind a flush.
//!
//! A send costs much the same however little it holds. A shard that flushes again as soon as it has
//! flushed sends one or two messages at a time and is never idle; one that lets messages collect for a
//! part of the time that the flush took sends more at a time, for less CPU. It pays only where a flush is
//! long, its sends are short, and more has come in meanwhile.

use std::time::Duration;

/// Flushes of fewer sends are over too soon for a rest behind them to gather anything.
const RESTED_SENDS_MIN: u64 = 256;

/// Where a send holds more bytes than this, it costs more for holding still more.
const RESTED_BYTES_MAX: u64 = 4_096;

/// The longest rest behind a flush.
const REST_MAX: Duration = Duration::from_millis(2);

/// What one turn's flush has sent.
#[derive(Default)]
pub struct Sent {
    /// Sends made.
    pub sends: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Time that took.
    pub took: Duration,
}

impl Sent {
    /// How long it pays to let messages collect after it, if more wait already.
    pub fn rest(&self, percent: u32) -> Duration {
        if self.sends < RESTED_SENDS_MIN || self.bytes / self.sends >= RESTED_BYTES_MAX {
            return Duration::ZERO;
        }
        (self.took * percent / 100).min(REST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sends: u64, bytes_each: u64, took_us: u64) -> Sent {
        Sent {
            sends,
            bytes: sends * bytes_each,
            took: Duration::from_micros(took_us),
        }
    }

    #[test]
    fn a_long_flush_of_short_sends_is_followed_by_its_percentage() {
        let sent = sent(500, 260, 1_800);
        assert_eq!(sent.rest(50), Duration::from_micros(900));
        assert_eq!(sent.rest(100), Duration::from_micros(1_800));
        assert_eq!(sent.rest(0), Duration::ZERO);
    }

    #[test]
    fn no_rest_is_longer_than_the_bound() {
        assert_eq!(sent(4_096, 130, 16_000).rest(50), REST_MAX);
    }

    #[test]
    fn few_sends_long_sends_and_none_are_followed_by_no_rest() {
        assert_eq!(
            sent(RESTED_SENDS_MIN - 1, 130, 900).rest(50),
            Duration::ZERO
        );
        assert_eq!(sent(500, RESTED_BYTES_MAX, 4_000).rest(50), Duration::ZERO);
        assert_eq!(Sent::default().rest(50), Duration::ZERO);
    }
}
