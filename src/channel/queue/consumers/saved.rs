//! The consumers of a queue written down, and taken up again.

use std::hash::Hash;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::super::message::Message;
use super::{Consumer, Consumers};
use crate::channel::restore_error::Fault;

/// The consumers in the order of their ring, without gaps.
#[derive(Clone, Serialize, Deserialize)]
pub struct SavedConsumers<C> {
    ring: Vec<Consumer<C>>,
    /// How many of them come in front of the cursor.
    before_cursor: usize,
}

impl<C: Clone + Eq + Hash> Consumers<C> {
    /// Writes everything down. Vacant slots are left out; they change nobody's turn.
    pub fn save(&self) -> SavedConsumers<C> {
        SavedConsumers {
            ring: self.slots.iter().flatten().cloned().collect(),
            before_cursor: self.slots.iter().take(self.cursor).flatten().count(),
        }
    }

    /// The consumers that were saved.
    pub fn restore(
        hasher: FixedState,
        window_bytes_max: usize,
        saved: SavedConsumers<C>,
        may_be: impl Fn(&C) -> bool,
    ) -> Result<Self, Fault> {
        let mut restored = Self::new(hasher, window_bytes_max);
        Fault::Missing.unless(saved.before_cursor <= saved.ring.len())?;
        for (slot, mut consumer) in saved.ring.into_iter().enumerate() {
            Fault::Consumer.unless(may_be(&consumer.name) && consumer.window > 0)?;
            let known = restored.slot_of.insert(consumer.name.clone(), slot);
            Fault::Twice.unless(known.is_none())?;
            let held = consumer.held.values();
            consumer.held_bytes = held.map(|message| message.bytes()).sum();
            restored.slots.push(Some(consumer));
        }
        restored.cursor = saved.before_cursor;
        // Makes the row of their rooms.
        restored.pack();
        Ok(restored)
    }

    /// All that they hold, with the numbers, in no order.
    pub fn held(&self) -> impl Iterator<Item = (u64, &Message<C>)> {
        let held = self.slots.iter().flatten().map(|consumer| &consumer.held);
        held.flatten()
            .map(|(offset, message)| (*offset, &**message))
    }
}
