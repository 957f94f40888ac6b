//! Subscribers that stop reading, and read again.

use std::time::Duration;

use super::connection::Rest;
use super::orders::StalledReport;
use super::shared::nanos;
use super::worker::{SLEEP, Worker};

/// How long a woken subscriber waits for more.
const SILENCE: Duration = Duration::from_millis(500);

impl Worker {
    /// Lets those fall asleep that are to stall, and returns how many they are.
    pub(super) fn stall(&mut self) -> u32 {
        let mut count = 0;
        for connection in &mut self.connections {
            let (Some(stalled), Some(subscriber), true) = (
                &mut connection.stalled,
                connection.subscriber,
                connection.stream.is_some(),
            ) else {
                continue;
            };
            stalled.rest = Rest::Asleep;
            stalled.next = self.ledger.due(subscriber).map_or(0, |(_, next)| next);
            self.ledger.forget(subscriber);
            count += 1;
        }
        count
    }

    /// Wakes them and tells what became of them.
    pub(super) fn wake(&mut self, at_most: Duration) -> Result<StalledReport, String> {
        let sleepers: Vec<usize> = (0..self.connections.len())
            .filter(|&index| self.connections[index].is_asleep())
            .collect();
        for &index in &sleepers {
            if let Some(stalled) = &mut self.connections[index].stalled {
                stalled.rest = Rest::Woken;
            }
            self.read(index, true);
        }
        let mut silent_since = self.shared.clock.now_ns();
        let until = silent_since + nanos(at_most);
        let received = |worker: &Self| -> u64 {
            let all = sleepers
                .iter()
                .filter_map(|&i| worker.connections[i].stalled.as_ref());
            all.map(|stalled| {
                stalled.received + stalled.missed + u64::from(stalled.ended.is_some())
            })
            .sum()
        };
        let mut before = received(self);
        loop {
            self.turn(SLEEP)?;
            let now = self.shared.clock.now_ns();
            let after = received(self);
            if after != before {
                (before, silent_since) = (after, now);
            }
            if now - silent_since > nanos(SILENCE) || now > until {
                break;
            }
        }
        let mut report = StalledReport::default();
        for &index in &sleepers {
            let connection = &self.connections[index];
            let Some(stalled) = &connection.stalled else {
                continue;
            };
            let published = self.shared.published[connection.channels[0] as usize].get();
            let missed = stalled.missed + published.saturating_sub(stalled.next);
            report.subscribers += 1;
            report.received += stalled.received;
            match stalled.ended {
                Some(code) => *report.closed.entry(code).or_default() += 1,
                None if missed == 0 => report.complete += 1,
                None => {
                    report.incomplete += 1;
                    report.missed += missed;
                }
            }
        }
        Ok(report)
    }
}
