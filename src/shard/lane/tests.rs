use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::encoding::Form;
use crate::publication::{Kind, Position};
use crate::ws::deflate::CompressionSettings;

/// Drives a lane as the flush does, and keeps what each subscriber has been sent.
struct Flush {
    lane: Lane,
    compressors: Compressors,
    positions: HashMap<u32, u32>,
    received: HashMap<u32, Vec<u64>>,
    published: u64,
    next_slot: u32,
}

impl Flush {
    fn new() -> Self {
        let encoding = Encoding {
            form: Form::Raw,
            deflate: None,
        };
        Self {
            lane: Lane::new(
                ChannelName::parse("news").unwrap(),
                encoding,
                SlowPolicy::Disconnect,
            ),
            compressors: Compressors::new(CompressionSettings {
                message_bytes_min: 0,
                level: 1,
                memory_level: 1,
            }),
            positions: HashMap::new(),
            received: HashMap::new(),
            published: 0,
            next_slot: 0,
        }
    }

    fn join(&mut self) {
        let member = Member {
            slot: self.next_slot,
            subscription: 0,
        };
        self.positions.insert(member.slot, self.lane.join(member));
        self.received.insert(member.slot, Vec::new());
        self.next_slot += 1;
    }

    /// Takes any one of the subscribers out and forgets it.
    fn leave(&mut self, which: usize) {
        let mut slots: Vec<u32> = self.positions.keys().copied().collect();
        slots.sort_unstable();
        if slots.is_empty() {
            return;
        }
        let slot = slots[which % slots.len()];
        let position = self.positions.remove(&slot).unwrap();
        self.received.remove(&slot);
        for (member, position) in self.lane.leave(position).into_iter().flatten() {
            self.positions.insert(member.slot, position);
        }
    }

    fn publish(&mut self) {
        let position = Position {
            epoch: 1,
            offset: self.published,
        };
        let publication = Publication {
            position,
            kind: Kind::Binary,
            headers: Bytes::new(),
            payload: Bytes::copy_from_slice(&self.published.to_be_bytes()),
            publisher: None,
            channel: None,
        };
        self.lane.append(&publication, &mut self.compressors);
        self.published += 1;
    }

    /// Serves some members, sealing and finishing as needed.
    fn serve(&mut self, sends: usize) {
        let mut joined = Vec::new();
        for _ in 0..sends {
            if self.lane.sealed().is_none() {
                if !self.lane.has_pending() {
                    return;
                }
                self.lane.seal(&mut joined);
                self.settle(&mut joined);
            }
            let bytes = self.lane.sealed().unwrap().bytes.clone();
            match self.lane.next_unserved() {
                Some(member) => self.take(member.slot, &bytes),
                None => {
                    assert!(self.lane.finish(&mut joined).is_some());
                    for (joiner, position) in joined.drain(..) {
                        self.positions.insert(joiner.member.slot, position);
                    }
                }
            }
        }
    }

    /// Serves any one subscriber out of turn, as a merged send does.
    fn serve_out_of_turn(&mut self, which: usize) {
        let mut slots: Vec<u32> = self.positions.keys().copied().collect();
        slots.sort_unstable();
        if slots.is_empty() {
            return;
        }
        let slot = slots[which % slots.len()];
        if self.lane.awaits_seal(self.positions[&slot]) {
            let mut joined = Vec::new();
            self.lane.seal(&mut joined);
            self.settle(&mut joined);
        }
        let Some((sealed, moved)) = self.lane.serve(self.positions[&slot]) else {
            return;
        };
        let bytes = sealed.bytes.clone();
        self.take(slot, &bytes);
        for (member, position) in moved.into_iter().flatten() {
            self.positions.insert(member.slot, position);
        }
    }

    /// New members get their own part of what has just been sealed.
    fn settle(&mut self, joined: &mut Vec<(Joiner, u32)>) {
        let bytes = self.lane.sealed().unwrap().bytes.clone();
        for (joiner, position) in joined.drain(..) {
            self.positions.insert(joiner.member.slot, position);
            self.take(joiner.member.slot, &bytes[joiner.from as usize..]);
        }
    }

    /// What a subscriber has been sent, and would be if it had to be sent all now.
    fn received_and_owed(&self, slot: u32) -> Vec<u64> {
        let owed = self.lane.owed(self.positions[&slot]);
        let pending = self.lane.copy_pending();
        let mut copy = Self::new();
        copy.received.insert(slot, self.received[&slot].clone());
        if let Some((bytes, frames)) = owed.sealed {
            assert_eq!(bytes.len(), frames as usize * 10);
            copy.take(slot, &bytes);
        }
        if let Some((from, frames)) = owed.pending {
            let bytes = pending.slice(from as usize..);
            assert_eq!(bytes.len(), frames as usize * 10);
            copy.take(slot, &bytes);
        }
        copy.received[&slot].clone()
    }

    fn take(&mut self, slot: u32, frames: &[u8]) {
        let received = self
            .received
            .get_mut(&slot)
            .expect("who has left is sent nothing");
        for frame in frames.chunks(10) {
            received.push(u64::from_be_bytes(*frame.last_chunk().unwrap()));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Join,
    Leave(usize),
    Publish,
    Serve(usize),
    ServeOutOfTurn(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Join),
        2 => any::<usize>().prop_map(Step::Leave),
        4 => Just(Step::Publish),
        3 => (1usize..12).prop_map(Step::Serve),
        2 => any::<usize>().prop_map(Step::ServeOutOfTurn),
    ]
}

proptest! {
    #[test]
    fn whoever_stays_is_sent_all_from_its_joining_on_once_and_in_order(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut flush = Flush::new();
        let mut joined_at: HashMap<u32, u64> = HashMap::new();
        for step in steps {
            match step {
                Step::Join => {
                    joined_at.insert(flush.next_slot, flush.published);
                    flush.join();
                }
                Step::Leave(which) => flush.leave(which),
                Step::Publish => flush.publish(),
                Step::Serve(sends) => flush.serve(sends),
                Step::ServeOutOfTurn(which) => flush.serve_out_of_turn(which),
            }
        }
        for slot in flush.received.keys() {
            let expected: Vec<u64> = (joined_at[slot]..flush.published).collect();
            prop_assert_eq!(flush.received_and_owed(*slot), expected, "owed to slot {}", slot);
        }
        flush.serve(100_000);
        prop_assert!(flush.lane.is_clean());
        prop_assert_eq!(flush.lane.len(), flush.received.len());
        for (slot, received) in &flush.received {
            let expected: Vec<u64> = (joined_at[slot]..flush.published).collect();
            prop_assert_eq!(received, &expected, "slot {}", slot);
        }
    }
}
