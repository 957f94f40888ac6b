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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::channel::{ChannelName, REMEMBERED_MS};

    const KEYS_MAX: usize = 4;

    fn restored(keys_max: usize, bytes: &[u8]) -> Option<Idempotency> {
        let saved = postcard::from_bytes(bytes).ok()?;
        Idempotency::restore(FixedState::with_seed(1), keys_max, saved).ok()
    }

    fn written(keys: &Idempotency) -> Vec<u8> {
        postcard::to_allocvec(&keys.save()).unwrap()
    }

    /// Publishes with a key, as an owner does: the place that was given out for it before, if there is one.
    fn publish(keys: &mut Idempotency, now_ms: u64, which: u8, offset: u64) -> Option<Position> {
        let channel = ChannelName::parse(["a", "b"][usize::from(which % 2)]).unwrap();
        let key = (which / 2).to_string();
        let found = keys.find(now_ms, &channel, &key);
        if found.is_none() {
            keys.note(now_ms, channel, key.into(), Position { epoch: 1, offset });
        }
        found
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, u8)>> {
        prop::collection::vec((0..REMEMBERED_MS / 3, 0u8..12), 0..40)
    }

    proptest! {
        #[test]
        fn restored_keys_are_remembered_as_those_that_were_saved(
            before in steps(),
            after in steps(),
            keys_max in 0..=KEYS_MAX,
        ) {
            let mut oracle = Idempotency::new(FixedState::with_seed(1), KEYS_MAX);
            let (mut now_ms, mut offset) = (0, 0);
            for (pause_ms, which) in before {
                now_ms += pause_ms;
                offset += 1;
                publish(&mut oracle, now_ms, which, offset);
            }
            let mut keys = restored(keys_max, &written(&oracle)).unwrap();
            oracle.set_keys_max(keys_max);
            for (pause_ms, which) in after {
                now_ms += pause_ms;
                offset += 1;
                let expected = publish(&mut oracle, now_ms, which, offset);
                prop_assert_eq!(publish(&mut keys, now_ms, which, offset), expected);
                prop_assert_eq!(keys.forgotten_early(), oracle.forgotten_early());
                prop_assert_eq!(keys.order.len(), oracle.order.len());
            }
        }

        #[test]
        fn damaged_bytes_of_keys_are_an_error_or_keys_and_never_a_panic(
            before in steps(),
            at in any::<Index>(),
            byte in any::<u8>(),
        ) {
            let mut keys = Idempotency::new(FixedState::with_seed(1), KEYS_MAX);
            for (offset, (now_ms, which)) in (0..).zip(before) {
                publish(&mut keys, now_ms, which, offset);
            }
            let mut bytes = written(&keys);
            let at = at.index(bytes.len());
            prop_assert!(restored(KEYS_MAX, &bytes[..at]).is_none());
            bytes[at] = byte;
            if let Some(mut keys) = restored(KEYS_MAX, &bytes) {
                for which in 0..12 {
                    publish(&mut keys, REMEMBERED_MS, which, 1);
                }
            }
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        let mut keys = Idempotency::new(FixedState::with_seed(1), KEYS_MAX);
        publish(&mut keys, 0, 0, 1);
        let mut saved = keys.save();
        saved.keys.extend(saved.keys.clone());
        let refused = Idempotency::restore(FixedState::with_seed(1), KEYS_MAX, saved);
        let channel = ChannelName::parse("a").unwrap();
        assert_eq!(refused.unwrap_err(), Fault::Twice.of_channel(&channel));
    }
}
