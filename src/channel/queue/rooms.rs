//! How much room each of many has, and who is the first with enough.

/// The room of who takes whatever comes.
pub const ANY_SIZE: usize = usize::MAX;

/// A row of numbers, all 0 at first, in which the first large enough one from some place on is
/// found in logarithmic time: a complete binary tree in which a node holds the larger of its two
/// children. The root is at 1, the children of `i` at `2 * i` and `2 * i + 1`.
#[derive(Default)]
pub struct Rooms {
    tree: Vec<usize>,
}

impl Rooms {
    /// A row of at least so many places, and fewer than twice as many.
    pub fn new(places: usize) -> Self {
        Self {
            tree: vec![0; 2 * places.next_power_of_two()],
        }
    }

    /// Number of places.
    pub fn len(&self) -> usize {
        self.tree.len() / 2
    }

    /// Writes one number; `place` is below [`Rooms::len`].
    pub fn set(&mut self, place: usize, room: usize) {
        let mut node = self.len() + place;
        self.tree[node] = room;
        while node > 1 {
            node /= 2;
            let larger = self.tree[2 * node].max(self.tree[2 * node + 1]);
            if self.tree[node] == larger {
                return;
            }
            self.tree[node] = larger;
        }
    }

    /// The first place at or behind `from` with at least so much room; `needed` is not 0.
    pub fn first_from(&self, from: usize, needed: usize) -> Option<usize> {
        if from >= self.len() {
            return None;
        }
        let mut node = self.len() + from;
        while self.tree[node] < needed {
            // On to what lies right of this node: up while it is a right child or the root.
            while node % 2 == 1 {
                node /= 2;
                if node == 0 {
                    return None;
                }
            }
            node += 1;
        }
        while node < self.len() {
            node *= 2;
            if self.tree[node] < needed {
                node += 1;
            }
        }
        Some(node - self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_without_places_has_no_room() {
        assert_eq!(Rooms::default().first_from(0, 1), None);
    }

    proptest! {
        #[test]
        fn the_first_with_room_is_the_one_that_a_scan_finds(
            places in 1usize..70,
            writes in prop::collection::vec((any::<usize>(), 0usize..9), 0..100),
        ) {
            let mut rooms = Rooms::new(places);
            let mut row = vec![0; rooms.len()];
            prop_assert!(row.len() >= places && row.len() < 2 * places);
            for (place, room) in writes {
                let place = place % row.len();
                let room = if room == 8 { ANY_SIZE } else { room };
                rooms.set(place, room);
                row[place] = room;
                for needed in 1..=8 {
                    for from in 0..=row.len() {
                        let scanned = (from..row.len()).find(|&place| row[place] >= needed);
                        prop_assert_eq!(rooms.first_from(from, needed), scanned);
                    }
                }
            }
        }
    }
}
