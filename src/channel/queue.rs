//! Queues: channels whose messages go to one consumer each.
//!
//! What is sent to a queue is numbered and handed to one of its consumers, who take turns; each
//! has a window, a bound of what it may hold unsettled. A consumer settles what it was handed: it
//! accepts a message, which ends it, or returns it. What a consumer returns, or still holds when
//! it leaves, goes back to its old place in front of everything younger and is handed out again,
//! marked as redelivered. What was sent is therefore always in one of four states: ready,
//! unsettled with one consumer, settled or, after too many returns, discarded.
//!
//! First deliveries keep the order of the sends, so a message that fits into nobody's window holds
//! up those behind it until somebody settles enough. A consumer that holds nothing takes a message
//! of any size.
//!
//! With `n` consumers and messages in a queue, sending, settling one message and handing one out
//! take O(log n) each; a leave takes that for each message the consumer held.

mod consumers;
mod message;
mod rooms;
mod saved;
mod single;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

pub use self::message::MESSAGE_OVERHEAD_BYTES;
use self::message::Message;
pub use self::saved::SavedQueues;
use self::single::Queue;
use super::ChannelName;
use crate::publication::{Kind, Position, Publication};

/// How much the queues of one owner may hold.
///
/// A message counts as the bytes of its payload and its headers and [`MESSAGE_OVERHEAD_BYTES`],
/// from its send until it is settled or discarded. Room that was promised is kept: a message that
/// comes back is never refused. Not counted are the queues and the consumers themselves, some 600
/// and 500 bytes each: `queues_max` bounds the ones, the server's limits of connections and of
/// their subscriptions the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLimits {
    /// Queues at a time.
    pub queues_max: usize,
    /// Messages of one queue, ready and unsettled together.
    pub messages_max: usize,
    /// Bytes of one queue's messages, ready and unsettled together.
    pub bytes_max: usize,
    /// Bytes of all queues' messages.
    pub total_bytes_max: usize,
    /// How often one message is handed out. One that comes back after the last time is discarded
    /// and counted. 0 is taken for 1.
    pub deliveries_max: u32,
    /// Bytes that one consumer may hold unsettled. One message always passes, however long.
    pub window_bytes_max: usize,
}

/// Why a queue takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// The queue would be a new one, and there are as many as may be.
    #[error("the server has reached its limit of queues (queues.queues_max)")]
    Queues,
    /// As many messages as may be wait in the queue or are unsettled.
    #[error("the queue has reached its limit of messages (queues.queue_messages_max)")]
    Messages,
    /// The message would take the queue over its bytes.
    #[error("the queue has no room for a message of that size (queues.queue_bytes_max)")]
    Bytes,
    /// The message would take all queues together over their bytes.
    #[error("the server's queues have no room for a message of that size (queues.shard_bytes_max)")]
    TotalBytes,
}

/// A consumer's word on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is done with; the queue forgets it.
    Accept,
    /// Somebody else shall have it.
    Return,
}

/// A message that is now one consumer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed<C> {
    /// Whose.
    pub consumer: C,
    /// The message. Its position is the queue's epoch and the message's number, the same each
    /// time it is handed out.
    pub publication: Publication,
    /// Whether it has been handed out before.
    pub redelivered: bool,
}

/// What the queues of one owner hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTally {
    /// Queues with a consumer or a message.
    pub queues: usize,
    /// Messages that are ready to be handed out.
    pub messages: usize,
    /// Messages that a consumer holds.
    pub unsettled: usize,
    /// Consumers, each counted once for every queue that it is subscribed to.
    pub consumers: usize,
    /// Bytes of the messages, ready and unsettled, as [`QueueLimits`] counts them.
    pub bytes: usize,
    /// Messages discarded so far because they came back once too often.
    pub discarded: u64,
}

/// The queues that a shard owns. `C` names a consumer: one subscription of one connection.
///
/// Whatever a call hands out it appends to its `out`, each queue's messages in the order in which
/// they go. A queue without consumers and messages is forgotten; one of the same name that comes
/// later has another epoch. So a consumer that stays sees one epoch only.
pub struct Queues<C> {
    queues: HashMap<ChannelName, Queue<C>, FixedState>,
    limits: QueueLimits,
    next_epoch: u64,
    /// Kept by [`Queues::change`]; `queues` stays 0 here.
    tally: QueueTally,
}

impl<C: Clone + Eq + Hash> Queues<C> {
    /// No queues yet. Epochs are counted up from `first_epoch`: give every shard and every start
    /// of the process a range of its own.
    pub fn new(hasher: FixedState, limits: QueueLimits, first_epoch: u64) -> Self {
        Self {
            queues: HashMap::with_hasher(hasher),
            limits,
            next_epoch: first_epoch,
            tally: QueueTally::default(),
        }
    }

    /// From now on other limits hold. What is there already and beyond them stays; consumers that now have room are handed
    /// messages at once. Takes time for every queue.
    pub fn set_limits(&mut self, limits: QueueLimits, out: &mut Vec<Handed<C>>) {
        if limits == self.limits {
            return;
        }
        self.limits = limits;
        let names: Vec<ChannelName> = self.queues.keys().cloned().collect();
        for name in names {
            self.change(&name, |queue| queue.set_limits(&limits, out));
        }
    }

    /// Takes a message in and tells its place. It is handed out at once if it is its turn and a
    /// consumer has room.
    ///
    /// `headers` are as in [`Publication::headers`]. Bytes are counted by their length: a payload
    /// that is a small part of a larger shared buffer keeps the whole buffer alive uncounted.
    ///
    /// # Errors
    /// [`QueueFull`] names the limit that the message would break; nothing has changed then.
    pub fn send(
        &mut self,
        queue: &ChannelName,
        kind: Kind,
        headers: Bytes,
        payload: Bytes,
        out: &mut Vec<Handed<C>>,
    ) -> Result<Position, QueueFull> {
        let message = Message::new(kind, headers, payload);
        self.admit(queue, message.bytes())?;
        self.open(queue)?;
        let sent = self.change(queue, |queue| queue.send(message, out));
        sent.ok_or(QueueFull::Queues)
    }

    /// Adds a consumer, which may hold up to `window` messages unsettled (0 is taken for 1) and
    /// [`QueueLimits::window_bytes_max`], and tells where the queue stands: what was sent last. It
    /// is handed at once what is ready and fits.
    ///
    /// A consumer that is there already keeps its place and what it holds, and gets the new window.
    ///
    /// # Errors
    /// [`QueueFull::Queues`] when the queue is new and there are `queues_max` already.
    pub fn subscribe(
        &mut self,
        queue: &ChannelName,
        consumer: C,
        window: u32,
        out: &mut Vec<Handed<C>>,
    ) -> Result<Position, QueueFull> {
        self.open(queue)?;
        let joined = self.change(queue, |queue| queue.join(consumer, window, out));
        joined.ok_or(QueueFull::Queues)
    }

    /// Settles messages that a consumer holds, by their offsets in the queue's present epoch.
    /// Offsets of messages that it does not hold are ignored.
    ///
    /// All of them are settled before anything is handed out. A returned message goes to another
    /// consumer than this one if another has room for it at that moment, and to this one otherwise.
    pub fn settle(
        &mut self,
        queue: &ChannelName,
        consumer: &C,
        offsets: &[u64],
        verdict: Verdict,
        out: &mut Vec<Handed<C>>,
    ) {
        self.change(queue, |queue| queue.settle(consumer, offsets, verdict, out));
    }

    /// Takes a consumer out of a queue, if it is there. All it holds is returned.
    pub fn leave(&mut self, queue: &ChannelName, consumer: &C, out: &mut Vec<Handed<C>>) {
        self.change(queue, |queue| queue.leave(consumer, out));
    }

    /// What there is now; takes constant time.
    pub fn tally(&self) -> QueueTally {
        QueueTally {
            queues: self.queues.len(),
            ..self.tally
        }
    }

    /// Whether a message of so many bytes may come in.
    fn admit(&self, queue: &ChannelName, bytes: usize) -> Result<(), QueueFull> {
        let held = match self.queues.get(queue) {
            Some(queue) => queue.tally(),
            None if self.queues.len() >= self.limits.queues_max => return Err(QueueFull::Queues),
            None => QueueTally::default(),
        };
        if held.messages + held.unsettled >= self.limits.messages_max {
            return Err(QueueFull::Messages);
        }
        if held.bytes.saturating_add(bytes) > self.limits.bytes_max {
            return Err(QueueFull::Bytes);
        }
        if self.tally.bytes.saturating_add(bytes) > self.limits.total_bytes_max {
            return Err(QueueFull::TotalBytes);
        }
        Ok(())
    }

    /// Makes the queue if it is not there.
    fn open(&mut self, queue: &ChannelName) -> Result<(), QueueFull> {
        if self.queues.contains_key(queue) {
            return Ok(());
        }
        if self.queues.len() >= self.limits.queues_max {
            return Err(QueueFull::Queues);
        }
        let opened = Queue::new(self.queues.hasher().clone(), &self.limits, self.next_epoch);
        self.next_epoch += 1;
        self.queues.insert(queue.clone(), opened);
        Ok(())
    }

    /// Does something to a queue, if it is there, and keeps the tally; every change passes here.
    fn change<T>(&mut self, name: &ChannelName, act: impl FnOnce(&mut Queue<C>) -> T) -> Option<T> {
        let queue = self.queues.get_mut(name)?;
        let before = queue.tally();
        let result = act(queue);
        let after = queue.tally();
        let all = &mut self.tally;
        all.messages = all.messages - before.messages + after.messages;
        all.unsettled = all.unsettled - before.unsettled + after.unsettled;
        all.consumers = all.consumers - before.consumers + after.consumers;
        all.bytes = all.bytes - before.bytes + after.bytes;
        all.discarded += after.discarded - before.discarded;
        if after.messages + after.unsettled + after.consumers == 0 {
            self.queues.remove(name);
        }
        Some(result)
    }
}
