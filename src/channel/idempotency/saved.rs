//! Remembered keys written down, and taken up again by the version of the program that takes over.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::{Idempotency, Name};
use crate::channel::restore_error::{Fault, RestoreError};
use crate::publication::Position;

/// All that an [`Idempotency`] knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedIdempotency {
    /// When each is forgotten, in ms, the oldest first, and the place that was given out for it.
    keys: Vec<(u64, Name, Position)>,
    forgotten_early: u64,
}

impl Idempotency {
    /// Writes everything down.
    #[must_use]
    pub fn save(&self) -> SavedIdempotency {
        let keys = self.order.iter().filter_map(|(due_ms, name)| {
            let position = self.published.get(name)?;
            Some((*due_ms, name.clone(), *position))
        });
        SavedIdempotency {
            keys: keys.collect(),
            forgotten_early: self.forgotten_early,
        }
    }

    /// The keys that were saved; of more than `keys_max` the oldest are forgotten and counted.
    ///
    /// # Errors
    /// [`RestoreError`] when what was saved does not hold together.
    pub fn restore(
        hasher: FixedState,
        keys_max: usize,
        saved: SavedIdempotency,
    ) -> Result<Self, RestoreError> {
        let mut restored = Self {
            published: HashMap::with_capacity_and_hasher(saved.keys.len(), hasher),
            order: VecDeque::with_capacity(saved.keys.len()),
            keys_max,
            forgotten_early: saved.forgotten_early,
        };
        for (due_ms, name, position) in saved.keys {
            let known = restored.published.insert(name.clone(), position);
            if known.is_some() {
                return Err(Fault::Twice.of_channel(&name.0));
            }
            restored.order.push_back((due_ms, name));
        }
        restored.bound();
        Ok(restored)
    }
}
