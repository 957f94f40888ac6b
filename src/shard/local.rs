//! A channel as one shard sees it: who subscribes here, in which lanes or by which sessions.

use std::collections::HashMap;

use foldhash::quality::FixedState;

use super::handout::Handout;
use super::lane::Lane;
use crate::encoding::Encoding;
use crate::table::{Key, Table};

/// Lanes of one channel up to which they are searched one after the other.
const SCAN_MAX: usize = 16;

/// A channel with subscribers on this shard, or with some who wait for the owner's answer.
#[derive(Default)]
pub struct LocalChannel {
    /// Its lanes, in no order.
    pub lanes: LaneList,
    /// The subscribers whose sessions are handed the publications, if there are any.
    pub handout: Option<Box<Handout>>,
    /// Subscribers of all kinds, those who wait included.
    pub subscribers: usize,
    /// Whether it is a pattern, which stands for all channels that fit it.
    pub is_pattern: bool,
    /// Whether the owner wants to hear of each that leaves.
    pub counted: bool,
}

/// Positions of lanes by their encoding. Boxed where it is used, for nearly no channel has one.
type Index = HashMap<Encoding, u32, FixedState>;

/// The lanes of a channel: nearly always one or two, but clients that number their subscriptions at
/// random have one each.
#[derive(Default)]
pub struct LaneList {
    keys: Vec<Key>,
    /// Positions in `keys`, once there are many.
    index: Option<Box<Index>>,
}

impl LaneList {
    /// All lanes.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The lane of that encoding.
    pub fn find(&self, encoding: &Encoding, lanes: &Table<Lane>) -> Option<Key> {
        let at = match &self.index {
            Some(index) => *index.get(encoding)? as usize,
            None => self.keys.iter().position(|&key| {
                lanes
                    .get(key)
                    .is_some_and(|lane| lane.encoding() == encoding)
            })?,
        };
        self.keys.get(at).copied()
    }

    /// Adds a lane that is in the table already.
    pub fn add(&mut self, key: Key, lanes: &Table<Lane>, hasher: &FixedState) {
        self.keys.push(key);
        if let Some(index) = &mut self.index {
            if let Some(lane) = lanes.get(key) {
                index.insert(lane.encoding().clone(), self.keys.len() as u32 - 1);
            }
        } else if self.keys.len() > SCAN_MAX {
            let mut index = Index::with_hasher(hasher.clone());
            for (at, &key) in self.keys.iter().enumerate() {
                if let Some(lane) = lanes.get(key) {
                    index.insert(lane.encoding().clone(), at as u32);
                }
            }
            self.index = Some(Box::new(index));
        }
    }

    /// Takes a lane out, which may be out of the table already.
    pub fn remove(&mut self, key: Key, encoding: &Encoding, lanes: &Table<Lane>) {
        let found = match &mut self.index {
            Some(index) => index.remove(encoding).map(|at| at as usize),
            None => self.keys.iter().position(|&other| other == key),
        };
        let Some(at) = found else {
            return;
        };
        self.keys.swap_remove(at);
        if self.keys.len() <= SCAN_MAX / 2 {
            self.index = None;
        }
        if let Some(index) = &mut self.index
            && let Some(moved) = self.keys.get(at).and_then(|&key| lanes.get(key))
            && let Some(position) = index.get_mut(moved.encoding())
        {
            *position = at as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelName, SlowPolicy};
    use crate::encoding::Form;
    use crate::stomp::Version;

    fn encoding(subscription: usize) -> Encoding {
        let form = Form::stomp(Version::V1_2, &format!("sub-{subscription}"), "/topic/news");
        Encoding {
            form,
            deflate: None,
        }
    }

    #[test]
    fn lanes_are_found_however_many_come_and_go() {
        let hasher = FixedState::with_seed(1);
        let channel = ChannelName::parse("news").expect("a short name");
        let mut lanes = Table::default();
        let mut list = LaneList::default();
        let mut there: Vec<(usize, Key)> = Vec::new();
        for round in 0..200_usize {
            // Grows beyond the bound, shrinks below it, and again.
            if round / 50 % 2 == 0 {
                let key = lanes.insert(Lane::new(
                    channel.clone(),
                    encoding(round),
                    SlowPolicy::Disconnect,
                ));
                list.add(key, &lanes, &hasher);
                there.push((round, key));
            } else if !there.is_empty() {
                let (gone, key) = there.swap_remove(round * 7 % there.len());
                lanes.remove(key);
                list.remove(key, &encoding(gone), &lanes);
                assert_eq!(list.find(&encoding(gone), &lanes), None);
            }
            assert_eq!(list.keys().len(), there.len());
            for (subscription, key) in &there {
                assert_eq!(list.find(&encoding(*subscription), &lanes), Some(*key));
            }
        }
    }
}
