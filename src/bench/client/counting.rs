//! What one read of a connection comes to.

use super::super::frames::Opcode;
use super::super::ledger::Ledger;
use super::super::payload::Stamp;
use super::super::protocol::{Dialect, Said};
use super::connection::Stalled;
use super::load::LoadReport;
use super::shared::{Counter, Shared};

/// What the present load has come to.
#[derive(Default)]
pub(super) struct Tally {
    pub report: LoadReport,
    pub last_delivery_ns: u64,
}

/// What a read has brought besides deliveries.
#[derive(Default)]
pub(super) struct Happened {
    pub opened: bool,
    pub answers: Vec<(Opcode, Vec<u8>)>,
    pub refused: Option<String>,
    /// The close code.
    pub ended: Option<u16>,
}

/// Counts the deliveries of one read.
pub(super) struct Counting<'a> {
    pub ledger: &'a mut Ledger,
    pub tally: &'a mut Tally,
    pub shared: &'a Shared,
    pub subscriber: Option<u32>,
    /// Of a subscriber that has stalled: the others' counts know it no longer.
    pub stalled: Option<&'a mut Stalled>,
    pub awaits_first: &'a mut bool,
    pub began_ns: u64,
    pub now_ns: u64,
}

impl Counting<'_> {
    /// Channel and sequence number of the publication that is due.
    pub fn due(&self) -> Option<(u32, u64)> {
        self.ledger.due(self.subscriber?)
    }

    /// Deals with one word of the server, and returns the stamp of a delivery.
    #[inline]
    pub fn heed(
        &mut self,
        dialect: &Dialect,
        said: Said<'_>,
        happened: &mut Happened,
    ) -> Option<Stamp> {
        match said {
            Said::Delivery(payload) => {
                let stamp = dialect.form().read(payload);
                self.deliver(stamp);
                return stamp;
            }
            Said::Foreign => self.deliver(None),
            Said::Open => happened.opened = true,
            Said::Answer(message) => happened.answers.push((dialect.opcode(), message)),
            Said::Refused(words) => happened.refused = Some(words),
        }
        None
    }

    /// Counts a delivery, or a message that is none.
    #[inline]
    pub fn deliver(&mut self, stamp: Option<Stamp>) {
        let (Some(stamp), Some(subscriber)) = (stamp, self.subscriber) else {
            return self.ledger.count_foreign();
        };
        if let Some(stalled) = &mut self.stalled {
            return stalled.deliver(stamp.sequence);
        }
        let published = self.shared.published.get(stamp.channel as usize);
        let published = published.map_or(0, Counter::get);
        if !self.ledger.deliver(subscriber, stamp, published) {
            return;
        }
        let latency = self.now_ns.saturating_sub(stamp.due_ns).max(1);
        self.tally.report.latency.saturating_record(latency);
        self.tally.last_delivery_ns = self.now_ns;
        if std::mem::take(self.awaits_first) {
            let joined = &mut self.tally.report.joined;
            let took = (self.now_ns - self.began_ns).max(1);
            joined.open += 1;
            joined.opening.saturating_record(took);
        }
    }
}
