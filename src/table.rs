//! A table of reusable slots, grown a chunk at a time.
//!
//! Connections are named by slot and generation, never by a pointer: a name that outlives its
//! connection finds nothing instead of somebody else's connection. The table grows by whole
//! chunks because a doubling vector leaves half its size behind as garbage at every step, and
//! with hundreds of thousands of small entries that garbage is most of the memory.

use serde::{Deserialize, Serialize};

/// Entries in one chunk.
const CHUNK: usize = 256;

/// Marks the end of the list of vacant slots.
const NONE: u32 = u32::MAX;

/// The name of an entry: where it is, and how often that place had been given out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Index of the entry; small and dense, fit for indexing side tables.
    pub slot: u32,
    /// Counts the uses of the slot, wrapping.
    pub generation: u32,
}

impl Key {
    /// The key as one number, for a completion's `user_data` or a letter's ticket.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The inverse of [`Key::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self {
            slot: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

struct Slot<T> {
    generation: u32,
    entry: Entry<T>,
}

enum Entry<T> {
    Vacant { next: u32 },
    Occupied(T),
}

/// Reusable slots holding `T`; inserting, finding and removing take constant time.
pub struct Table<T> {
    chunks: Vec<Box<[Slot<T>]>>,
    vacant: u32,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            vacant: NONE,
            len: 0,
        }
    }
}

impl<T> Table<T> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the table holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of slots that exist, occupied or not; every key's slot is below it.
    pub fn capacity(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Puts an entry into a vacant slot, growing by a chunk where there is none.
    pub fn insert(&mut self, value: T) -> Key {
        if self.vacant == NONE {
            self.grow();
        }
        let slot = self.vacant;
        let place = &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK];
        let Entry::Vacant { next } = place.entry else {
            unreachable!("the list of vacant slots names vacant slots only");
        };
        self.vacant = next;
        place.entry = Entry::Occupied(value);
        self.len += 1;
        Key {
            slot,
            generation: place.generation,
        }
    }

    /// Takes an entry out; its key finds nothing from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let vacant = self.vacant;
        let place = self.place_mut(key.slot)?;
        if place.generation != key.generation || matches!(place.entry, Entry::Vacant { .. }) {
            return None;
        }
        place.generation = place.generation.wrapping_add(1);
        let entry = std::mem::replace(&mut place.entry, Entry::Vacant { next: vacant });
        self.vacant = key.slot;
        self.len -= 1;
        match entry {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    /// The entry of that name, if it is still there.
    pub fn get(&self, key: Key) -> Option<&T> {
        let place = self.place(key.slot)?;
        match &place.entry {
            Entry::Occupied(value) if place.generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry of that name, if it is still there.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.place_mut(key.slot)?;
        match &mut place.entry {
            Entry::Occupied(value) if place.generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry now in a slot, whatever its generation.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        match &mut self.place_mut(slot)?.entry {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    /// The name of the entry now in a slot.
    pub fn key_at(&self, slot: u32) -> Option<Key> {
        let place = self.place(slot)?;
        matches!(place.entry, Entry::Occupied(_)).then_some(Key {
            slot,
            generation: place.generation,
        })
    }

    /// All entries with their names, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .enumerate()
            .filter_map(|(slot, place)| match &place.entry {
                Entry::Occupied(value) => Some((
                    Key {
                        slot: slot as u32,
                        generation: place.generation,
                    },
                    value,
                )),
                Entry::Vacant { .. } => None,
            })
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let places = self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut());
        places.filter_map(|place| match &mut place.entry {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant { .. } => None,
        })
    }

    /// How often each slot has been given out before, by slot: with the entries all that [`Table::restore`] needs.
    pub fn generations(&self) -> Vec<u32> {
        let slots = self.chunks.iter().flat_map(|chunk| chunk.iter());
        slots.map(|place| place.generation).collect()
    }

    /// A table with these entries under the names that they had in another, whose other slots have been given out
    /// as often: a name that found nothing there finds nothing here, however many entries come. `None` where an entry has
    /// no slot, or two have the same.
    pub fn restore(
        generations: &[u32],
        entries: impl IntoIterator<Item = (Key, T)>,
    ) -> Option<Self> {
        let mut table = Self::default();
        while table.capacity() < generations.len() {
            table.grow();
        }
        let slots = table.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut());
        for (place, &generation) in slots.zip(generations) {
            place.generation = generation;
        }
        for (key, value) in entries {
            let place = table.place_mut(key.slot)?;
            if matches!(place.entry, Entry::Occupied(_)) {
                return None;
            }
            place.generation = key.generation;
            place.entry = Entry::Occupied(value);
            table.len += 1;
        }
        table.link_vacant();
        Some(table)
    }

    /// Makes the list of vacant slots anew, in rising order.
    fn link_vacant(&mut self) {
        let mut next_vacant = NONE;
        for slot in (0..self.capacity() as u32).rev() {
            if let Some(place) = self.place_mut(slot)
                && let Entry::Vacant { next } = &mut place.entry
            {
                *next = next_vacant;
                next_vacant = slot;
            }
        }
        self.vacant = next_vacant;
    }

    fn place(&self, slot: u32) -> Option<&Slot<T>> {
        self.chunks
            .get(slot as usize / CHUNK)
            .map(|chunk| &chunk[slot as usize % CHUNK])
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.chunks
            .get_mut(slot as usize / CHUNK)
            .map(|chunk| &mut chunk[slot as usize % CHUNK])
    }

    /// Adds a chunk, its slots in rising order at the head of the vacant list.
    fn grow(&mut self) {
        let first = self.capacity() as u32;
        let last = first + CHUNK as u32 - 1;
        let chunk = (first..=last)
            .map(|slot| Slot {
                generation: 0,
                entry: Entry::Vacant {
                    next: if slot == last { self.vacant } else { slot + 1 },
                },
            })
            .collect();
        self.chunks.push(chunk);
        self.vacant = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_key_outliving_its_entry_finds_nothing() {
        let mut table = Table::default();
        let first = table.insert("first");
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second");
        assert_eq!(second.slot, first.slot, "the slot is used again");
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&"second"));
        assert_eq!(table.key_at(first.slot), Some(second));
    }

    #[test]
    fn a_key_survives_the_trip_through_a_number() {
        let key = Key {
            slot: 0xdead_beef,
            generation: 0x0123_4567,
        };
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }

    #[test]
    fn entries_without_a_slot_or_with_one_slot_for_two_are_no_table() {
        let key = |slot| Key {
            slot,
            generation: 3,
        };
        assert!(Table::restore(&[0; CHUNK], [(key(CHUNK as u32), "beyond")]).is_none());
        assert!(Table::restore(&[0; CHUNK], [(key(1), "one"), (key(1), "other")]).is_none());
        let table = Table::restore(&[0; CHUNK], [(key(1), "one")]).expect("a table");
        assert_eq!(table.get(key(1)), Some(&"one"));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_of_keys(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..2_000)) {
            let mut table = Table::default();
            let mut model: HashMap<Key, u16> = HashMap::new();
            let mut keys = Vec::new();
            for (insert, number) in steps {
                if insert || keys.is_empty() {
                    let key = table.insert(number);
                    prop_assert_eq!(model.insert(key, number), None, "a key given out twice");
                    keys.push(key);
                } else {
                    let key = keys[number as usize % keys.len()];
                    prop_assert_eq!(table.remove(key), model.remove(&key));
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for key in &keys {
                prop_assert_eq!(table.get(*key), model.get(key));
            }
            prop_assert_eq!(table.iter().count(), model.len());

            // One that is restored knows the same names, and gives none of them out again.
            let entries: Vec<_> = table.iter().map(|(key, &value)| (key, value)).collect();
            let mut restored = Table::restore(&table.generations(), entries).expect("names of a table");
            prop_assert_eq!((restored.len(), restored.capacity()), (table.len(), table.capacity()));
            for key in &keys {
                prop_assert_eq!(restored.get(*key), model.get(key));
            }
            for _ in 0..keys.len() + 1 {
                let key = restored.insert(0);
                prop_assert!(!keys.contains(&key), "a key given out twice");
                keys.push(key);
            }
        }
    }
}
