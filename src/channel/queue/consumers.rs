//! The consumers of one queue: whose turn it is, and what each holds.

mod saved;

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

pub use self::saved::SavedConsumers;
use super::message::Message;
use super::rooms::{ANY_SIZE, Rooms};

/// What a consumer has been handed and has not settled, by number.
pub type Held<C> = BTreeMap<u64, Box<Message<C>>>;

/// A ring of consumers in the order in which they joined.
///
/// A turn goes to the first consumer with room at the cursor or behind it, and the cursor behind
/// that one. Each has a slot, and who joins gets the slot behind the last. Slots that were left
/// stay vacant until the ring is packed: when the slots run out, or when few of them are in use.
pub struct Consumers<C> {
    slots: Vec<Option<Consumer<C>>>,
    slot_of: HashMap<C, usize, FixedState>,
    /// For each slot how long a message may be that its consumer takes now.
    rooms: Rooms,
    cursor: usize,
    window_bytes_max: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct Consumer<C> {
    name: C,
    window: u32,
    held: Held<C>,
    /// Counted anew when it is restored.
    #[serde(skip)]
    held_bytes: usize,
}

/// A consumer whose turn it is.
pub struct Turn<'a, C> {
    consumer: &'a mut Consumer<C>,
    slot: usize,
    rooms: &'a mut Rooms,
    cursor: &'a mut usize,
    window_bytes_max: usize,
}

impl<C: Clone + Eq + Hash> Consumers<C> {
    /// Nobody yet.
    pub fn new(hasher: FixedState, window_bytes_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            slot_of: HashMap::with_hasher(hasher),
            rooms: Rooms::default(),
            cursor: 0,
            window_bytes_max,
        }
    }

    /// From now on each may hold so many bytes.
    pub fn set_window_bytes_max(&mut self, window_bytes_max: usize) {
        self.window_bytes_max = window_bytes_max;
        for (slot, consumer) in self.slots.iter().enumerate() {
            if let Some(consumer) = consumer {
                self.rooms.set(slot, consumer.room(window_bytes_max));
            }
        }
    }

    /// Number of consumers.
    pub fn len(&self) -> usize {
        self.slot_of.len()
    }

    /// Where a consumer is, until somebody joins or leaves.
    pub fn slot(&self, name: &C) -> Option<usize> {
        self.slot_of.get(name).copied()
    }

    /// Adds a consumer at the end, or gives the one of that name another window.
    pub fn join(&mut self, name: C, window: u32) {
        if let Some(slot) = self.slot(&name) {
            if let Some(Some(consumer)) = self.slots.get_mut(slot) {
                consumer.window = window;
                self.rooms.set(slot, consumer.room(self.window_bytes_max));
            }
            return;
        }
        if self.slots.len() == self.rooms.len() {
            self.pack();
        }
        let consumer = Consumer {
            name: name.clone(),
            window,
            held: BTreeMap::new(),
            held_bytes: 0,
        };
        let slot = self.slots.len();
        self.rooms.set(slot, consumer.room(self.window_bytes_max));
        self.slots.push(Some(consumer));
        self.slot_of.insert(name, slot);
    }

    /// Takes a consumer out with all it holds.
    pub fn leave(&mut self, name: &C) -> Option<Held<C>> {
        let slot = self.slot_of.remove(name)?;
        let consumer = self.slots.get_mut(slot)?.take()?;
        self.rooms.set(slot, 0);
        if self.len() < self.rooms.len() / 4 {
            self.pack();
        }
        Some(consumer.held)
    }

    /// Takes a message away from the consumer in that slot, if it holds it.
    pub fn take_back(&mut self, slot: usize, offset: u64) -> Option<Box<Message<C>>> {
        let consumer = self.slots.get_mut(slot)?.as_mut()?;
        let message = consumer.held.remove(&offset)?;
        consumer.held_bytes -= message.bytes();
        self.rooms.set(slot, consumer.room(self.window_bytes_max));
        Some(message)
    }

    /// Who is to have a message of so many bytes, if anybody has room: not who refused it, unless
    /// nobody else has.
    pub fn next(&mut self, bytes: usize, refused_by: Option<&C>) -> Option<Turn<'_, C>> {
        let mut slot = self.find(self.cursor, bytes)?;
        if refused_by.and_then(|refuser| self.slot(refuser)) == Some(slot) {
            // Comes round to the same slot if it is the only one.
            slot = self.find(slot + 1, bytes)?;
        }
        Some(Turn {
            consumer: self.slots.get_mut(slot)?.as_mut()?,
            slot,
            rooms: &mut self.rooms,
            cursor: &mut self.cursor,
            window_bytes_max: self.window_bytes_max,
        })
    }

    /// The first with room, going round from that slot.
    fn find(&self, from: usize, bytes: usize) -> Option<usize> {
        self.rooms
            .first_from(from, bytes)
            .or_else(|| self.rooms.first_from(0, bytes))
    }

    /// Closes the gaps, in the same order, with room for half as many again and one more. Before
    /// the next time that many must join or about a quarter leave, so each of them has but a
    /// constant share in the cost.
    fn pack(&mut self) {
        let before_cursor = self.slots.iter().take(self.cursor).flatten().count();
        let places = self.len() + self.len() / 2 + 1;
        let slots = std::mem::take(&mut self.slots);
        self.slots.reserve_exact(places.next_power_of_two());
        self.slots.extend(slots.into_iter().filter(Option::is_some));
        self.rooms = Rooms::new(places);
        self.slot_of.shrink_to(places);
        self.cursor = before_cursor;
        for (slot, consumer) in self.slots.iter().flatten().enumerate() {
            self.rooms.set(slot, consumer.room(self.window_bytes_max));
            if let Some(old) = self.slot_of.get_mut(&consumer.name) {
                *old = slot;
            }
        }
    }
}

impl<C> Consumer<C> {
    /// How long a message may be that it takes now, in bytes.
    fn room(&self, window_bytes_max: usize) -> usize {
        if self.held.is_empty() {
            ANY_SIZE
        } else if self.held.len() >= self.window as usize {
            0
        } else {
            window_bytes_max.saturating_sub(self.held_bytes)
        }
    }
}

impl<'a, C> Turn<'a, C> {
    /// The message is the consumer's now, and the next turn somebody else's.
    pub fn take(self, offset: u64, message: Box<Message<C>>) -> &'a C {
        let consumer = self.consumer;
        consumer.held_bytes += message.bytes();
        consumer.held.insert(offset, message);
        let room = consumer.room(self.window_bytes_max);
        self.rooms.set(self.slot, room);
        *self.cursor = self.slot + 1;
        &consumer.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumers(names: std::ops::Range<u32>) -> Consumers<u32> {
        let mut consumers = Consumers::new(FixedState::with_seed(1), 1_000);
        for name in names {
            consumers.join(name, 1);
        }
        consumers
    }

    #[test]
    fn slots_are_given_back_when_most_consumers_have_left() {
        let mut consumers = consumers(0..10_000);
        for name in (0..10_000).filter(|name| name % 1_000 != 0) {
            consumers.leave(&name);
        }
        assert_eq!(consumers.len(), 10);
        assert!(consumers.slots.capacity() <= 40 && consumers.rooms.len() <= 40);
        assert!(consumers.slot_of.capacity() <= 80);
    }

    #[test]
    fn the_ring_is_packed_seldom_however_many_come_and_go() {
        // 2047 is worst for a row of 2048 places: it must not be packed for each that comes.
        for live in [100, 2_047, 2_048] {
            let mut consumers = consumers(0..live);
            let mut packed = 0;
            for name in live..live + 10_000 {
                let slots = consumers.slots.len();
                consumers.leave(&(name - live));
                consumers.join(name, 1);
                packed += u32::from(consumers.slots.len() <= slots);
            }
            assert_eq!(consumers.len(), live as usize);
            assert!(
                packed * (live / 2) <= 10_000,
                "{packed} times with {live} consumers"
            );
        }
    }
}
