//! Queues written down, and taken up again by the version of the program that takes over.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::single::{Queue, SavedQueue};
use super::{QueueLimits, QueueTally, Queues};
use crate::channel::ChannelName;
use crate::channel::restore_error::{Fault, RestoreError, is_countable};

/// All that [`Queues`] know.
#[derive(Clone, Serialize, Deserialize)]
pub struct SavedQueues<C> {
    queues: Vec<(ChannelName, SavedQueue<C>)>,
    limits: QueueLimits,
    next_epoch: u64,
    discarded: u64,
}

impl<C: Clone + Eq + Hash> Queues<C> {
    /// Writes everything down. Payloads are shared, not copied.
    #[must_use]
    pub fn save(&self) -> SavedQueues<C> {
        let queues = self.queues.iter();
        SavedQueues {
            queues: queues
                .map(|(name, queue)| (name.clone(), queue.save()))
                .collect(),
            limits: self.limits,
            next_epoch: self.next_epoch,
            discarded: self.tally.discarded,
        }
    }

    /// The queues that were saved, under the limits that they were saved under ([`Queues::set_limits`] sets others). From
    /// then on they do exactly what the others would have done. Epochs are counted on, at least from `first_epoch`;
    /// `may_be` says whether a consumer is one that there can be.
    ///
    /// # Errors
    /// [`RestoreError`] when what was saved does not hold together.
    pub fn restore(
        hasher: FixedState,
        first_epoch: u64,
        saved: SavedQueues<C>,
        may_be: impl Fn(&C) -> bool,
    ) -> Result<Self, RestoreError> {
        let mut restored = Self {
            queues: HashMap::with_capacity_and_hasher(saved.queues.len(), hasher.clone()),
            limits: saved.limits,
            next_epoch: saved.next_epoch.max(first_epoch),
            tally: QueueTally {
                discarded: saved.discarded,
                ..QueueTally::default()
            },
        };
        for (name, queue) in saved.queues {
            let queue = Queue::restore(hasher.clone(), &saved.limits, queue, &may_be)
                .and_then(|queue| {
                    let counts = is_countable(saved.next_epoch) && is_countable(saved.discarded);
                    Fault::Count.unless(counts && queue.epoch() < saved.next_epoch)?;
                    Fault::Twice.unless(!restored.queues.contains_key(&name))?;
                    Ok(queue)
                })
                .map_err(|fault| fault.of_queue(&name))?;
            let own = queue.tally();
            restored.tally.messages += own.messages;
            restored.tally.unsettled += own.unsettled;
            restored.tally.consumers += own.consumers;
            restored.tally.bytes += own.bytes;
            restored.queues.insert(name, queue);
        }
        Ok(restored)
    }
}

#[cfg(test)]
mod tests;
