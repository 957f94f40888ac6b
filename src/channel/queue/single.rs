//! One queue: what is ready, in order, and the consumers that hold the rest.

mod saved;

use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::quality::FixedState;

pub use self::saved::SavedQueue;
use super::consumers::Consumers;
use super::message::Message;
use super::{Handed, QueueLimits, QueueTally, Verdict};
use crate::publication::Position;

/// A queue and its consumers.
pub struct Queue<C> {
    /// The queue's epoch and the number of its newest message.
    position: Position,
    /// By number, so that what comes back finds its old place. Boxed, because the nodes of a tree
    /// have room for several entries even where there is but one.
    ready: BTreeMap<u64, Box<Message<C>>>,
    consumers: Consumers<C>,
    unsettled: usize,
    /// Of all messages, ready and unsettled.
    bytes: usize,
    discarded: u64,
    deliveries_max: u32,
}

impl<C: Clone + Eq + Hash> Queue<C> {
    /// Without messages and consumers.
    pub fn new(hasher: FixedState, limits: &QueueLimits, epoch: u64) -> Self {
        Self {
            position: Position { epoch, offset: 0 },
            ready: BTreeMap::new(),
            consumers: Consumers::new(hasher, limits.window_bytes_max),
            unsettled: 0,
            bytes: 0,
            discarded: 0,
            deliveries_max: limits.deliveries_max,
        }
    }

    /// From now on other limits hold.
    pub fn set_limits(&mut self, limits: &QueueLimits, out: &mut Vec<Handed<C>>) {
        self.deliveries_max = limits.deliveries_max;
        self.consumers.set_window_bytes_max(limits.window_bytes_max);
        self.hand_out(out);
    }

    /// Numbers a message and puts it behind all others.
    pub fn send(&mut self, message: Message<C>, out: &mut Vec<Handed<C>>) -> Position {
        self.position.offset += 1;
        let position = self.position;
        self.bytes += message.bytes();
        self.ready.insert(position.offset, Box::new(message));
        self.hand_out(out);
        position
    }

    /// Adds a consumer, or gives one another window; tells the number of the newest message.
    pub fn join(&mut self, consumer: C, window: u32, out: &mut Vec<Handed<C>>) -> Position {
        self.consumers.join(consumer, window.max(1));
        self.hand_out(out);
        self.position
    }

    /// Ends or takes back what the consumer holds of these.
    pub fn settle(
        &mut self,
        consumer: &C,
        offsets: &[u64],
        verdict: Verdict,
        out: &mut Vec<Handed<C>>,
    ) {
        let Some(slot) = self.consumers.slot(consumer) else {
            return;
        };
        for &offset in offsets {
            let Some(message) = self.consumers.take_back(slot, offset) else {
                continue;
            };
            self.unsettled -= 1;
            match verdict {
                Verdict::Accept => self.bytes -= message.bytes(),
                Verdict::Return => self.put_back(offset, message, Some(consumer)),
            }
        }
        self.hand_out(out);
    }

    /// Takes a consumer out, and back what it holds.
    pub fn leave(&mut self, consumer: &C, out: &mut Vec<Handed<C>>) {
        let Some(held) = self.consumers.leave(consumer) else {
            return;
        };
        self.unsettled -= held.len();
        for (offset, message) in held {
            self.put_back(offset, message, None);
        }
        self.hand_out(out);
    }

    /// What this queue holds, as one queue.
    pub fn tally(&self) -> QueueTally {
        QueueTally {
            queues: 1,
            messages: self.ready.len(),
            unsettled: self.unsettled,
            consumers: self.consumers.len(),
            bytes: self.bytes,
            discarded: self.discarded,
        }
    }

    /// Makes a message ready again, or discards it.
    fn put_back(&mut self, offset: u64, mut message: Box<Message<C>>, refused_by: Option<&C>) {
        if message.deliveries >= self.deliveries_max {
            self.bytes -= message.bytes();
            self.discarded += 1;
            return;
        }
        message.refused_by = refused_by.cloned();
        self.ready.insert(offset, message);
    }

    /// Hands out from the front for as long as somebody has room for the front.
    fn hand_out(&mut self, out: &mut Vec<Handed<C>>) {
        while let Some(front) = self.ready.first_entry() {
            let message = front.get();
            let refuser = message.refused_by.as_ref();
            let Some(turn) = self.consumers.next(message.bytes(), refuser) else {
                return;
            };
            let (offset, mut message) = front.remove_entry();
            let redelivered = message.deliveries > 0;
            message.deliveries += 1;
            let publication = message.publication(Position {
                offset,
                ..self.position
            });
            self.unsettled += 1;
            out.push(Handed {
                consumer: turn.take(offset, message).clone(),
                publication,
                redelivered,
            });
        }
    }
}
