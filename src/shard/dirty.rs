//! The lanes with something to be sent: in which order, and a bit for each lane's slot.
//!
//! The bits are for a connection's other lanes: which of very many have something takes one load
//! each, and no look at the lanes themselves.

use std::collections::VecDeque;

use crate::table::Key;

const BITS: u32 = u64::BITS;

/// See the module's documentation.
#[derive(Default)]
pub struct DirtyLanes {
    /// In the order of their turns; a lane that has been given up stays until its turn comes.
    turns: VecDeque<Key>,
    /// By slot; set while the lane now in the slot stands among the turns.
    bits: Vec<u64>,
}

impl DirtyLanes {
    /// How many turns there are.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whether no lane has anything.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether the lane in a slot has something.
    pub fn contains(&self, slot: u32) -> bool {
        let word = self.bits.get((slot / BITS) as usize);
        word.is_some_and(|word| word >> (slot % BITS) & 1 != 0)
    }

    /// Queues a lane unless it stands there already.
    pub fn add(&mut self, key: Key) {
        let word = (key.slot / BITS) as usize;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let bit = 1 << (key.slot % BITS);
        if self.bits[word] & bit == 0 {
            self.bits[word] |= bit;
            self.turns.push_back(key);
        }
    }

    /// Whose turn it is.
    pub fn front(&self) -> Option<Key> {
        self.turns.front().copied()
    }

    /// The lane whose turn it is has nothing any more.
    pub fn finish(&mut self) {
        if let Some(key) = self.turns.pop_front() {
            self.forget(key.slot);
        }
    }

    /// The lane whose turn it is has been given up; its slot may be another's by now.
    pub fn skip(&mut self) {
        self.turns.pop_front();
    }

    /// The lane in a slot is given up.
    pub fn forget(&mut self, slot: u32) {
        if let Some(word) = self.bits.get_mut((slot / BITS) as usize) {
            *word &= !(1 << (slot % BITS));
        }
    }

    /// The turn is the next one's.
    pub fn rotate(&mut self) {
        if !self.turns.is_empty() {
            self.turns.rotate_left(1);
        }
    }

    /// All of them, in the order of their turns.
    pub fn iter(&self) -> impl Iterator<Item = Key> {
        self.turns.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32, generation: u32) -> Key {
        Key { slot, generation }
    }

    #[test]
    fn each_lane_stands_there_once_and_in_the_order_of_coming() {
        let mut dirty = DirtyLanes::default();
        for slot in [70, 3, 70, 64, 3] {
            dirty.add(key(slot, 0));
        }
        let slots = |dirty: &DirtyLanes| dirty.iter().map(|key| key.slot).collect::<Vec<_>>();
        assert_eq!(slots(&dirty), [70, 3, 64]);
        dirty.rotate();
        assert_eq!(slots(&dirty), [3, 64, 70]);
        dirty.finish();
        let has: Vec<u32> = (0..200).filter(|&slot| dirty.contains(slot)).collect();
        assert_eq!(has, [64, 70]);
    }

    #[test]
    fn a_lane_given_up_leaves_its_slot_to_another() {
        let mut dirty = DirtyLanes::default();
        dirty.add(key(5, 0));
        dirty.forget(5);
        assert!(!dirty.contains(5));
        dirty.add(key(5, 1));
        assert_eq!(dirty.front(), Some(key(5, 0)));
        dirty.skip();
        assert_eq!(dirty.front(), Some(key(5, 1)));
        assert!(dirty.contains(5), "the other is still to be sent");
    }
}
