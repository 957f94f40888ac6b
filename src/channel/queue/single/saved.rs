//! A queue written down, and taken up again.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::super::QueueLimits;
use super::super::consumers::{Consumers, SavedConsumers};
use super::super::message::Message;
use super::Queue;
use crate::channel::restore_error::{Fault, is_countable};
use crate::publication::Position;

/// All that a [`Queue`] knows but its limits.
#[derive(Clone, Serialize, Deserialize)]
pub struct SavedQueue<C> {
    position: Position,
    ready: BTreeMap<u64, Box<Message<C>>>,
    consumers: SavedConsumers<C>,
    discarded: u64,
}

impl<C: Clone + Eq + Hash> Queue<C> {
    /// Writes everything down. Payloads are shared, not copied.
    pub fn save(&self) -> SavedQueue<C> {
        SavedQueue {
            position: self.position,
            ready: self.ready.clone(),
            consumers: self.consumers.save(),
            discarded: self.discarded,
        }
    }

    /// The queue that was saved.
    pub fn restore(
        hasher: FixedState,
        limits: &QueueLimits,
        saved: SavedQueue<C>,
        may_be: impl Fn(&C) -> bool,
    ) -> Result<Self, Fault> {
        let window_bytes_max = limits.window_bytes_max;
        let mut restored = Self {
            position: saved.position,
            ready: saved.ready,
            consumers: Consumers::restore(hasher, window_bytes_max, saved.consumers, may_be)?,
            unsettled: 0,
            bytes: 0,
            discarded: saved.discarded,
            deliveries_max: limits.deliveries_max,
        };
        restored.count()?;
        Ok(restored)
    }

    /// Names the queue's stream.
    pub fn epoch(&self) -> u64 {
        self.position.epoch
    }

    /// Counts what is there, and looks whether it can be.
    fn count(&mut self) -> Result<(), Fault> {
        let newest = self.position.offset;
        let is_number = |offset| (1..=newest).contains(&offset);
        let mut held = HashSet::new();
        let mut bytes = 0;
        for (offset, message) in self.consumers.held() {
            Fault::Order.unless(is_number(offset))?;
            Fault::Twice.unless(held.insert(offset))?;
            bytes += message.bytes();
        }
        for (offset, message) in &self.ready {
            Fault::Order.unless(is_number(*offset))?;
            Fault::Twice.unless(!held.contains(offset))?;
            // It is counted on when it is handed out.
            Fault::Count.unless(message.deliveries < u32::MAX)?;
            bytes += message.bytes();
        }
        Fault::Count.unless(is_countable(newest) && is_countable(self.discarded))?;
        Fault::Empty.unless(!self.ready.is_empty() || self.consumers.len() > 0)?;
        (self.unsettled, self.bytes) = (held.len(), bytes);
        Ok(())
    }
}
