//! Publications for subscribers whose sessions want to see each of them.
//!
//! Where a lane moves bytes, a handout calls: each of its members' sessions with each publication,
//! one after the other, so many in a turn. What is published meanwhile waits here, bounded as a
//! lane's buffer is. Messages of queues are handed out the same way.

use std::collections::VecDeque;

use super::connection::{Extra, Phase};
use super::lane::{Member, Moved};
use super::mail::HandedMessage;
use super::{ConnectionId, Shard};
use crate::channel::ChannelName;
use crate::publication::Publication;

/// Calls for one channel before another has its turn.
const HANDOUT_VISIT: usize = 256;

/// See the module's documentation.
#[derive(Default)]
pub struct Handout {
    members: Vec<Handed>,
    pending: VecDeque<Publication>,
    pending_bytes: usize,
    /// The next member that is handed the oldest pending publication.
    cursor: u32,
    /// Whether it stands in the list of those that have something pending.
    pub queued: bool,
}

/// A member, and the offset that its subscription began behind.
#[derive(Clone, Copy)]
struct Handed {
    member: Member,
    begun_at: u64,
}

impl Handout {
    /// Adds a subscriber that gets what comes behind an offset; returns its position.
    pub fn join(&mut self, member: Member, begun_at: u64) -> u32 {
        self.members.push(Handed { member, begun_at });
        self.members.len() as u32 - 1
    }

    /// Takes the subscriber at a position out; returns who has another position now.
    pub fn leave(&mut self, position: u32) -> [Moved; 2] {
        let mut moved = [None; 2];
        let mut hole = position as usize;
        // Those who have been served stand in front of the others: the hole is handed on from one
        // part to the next.
        if hole < self.cursor as usize {
            self.cursor -= 1;
            let last_served = self.cursor as usize;
            if hole != last_served {
                self.members[hole] = self.members[last_served];
                moved[0] = Some((self.members[hole].member, hole as u32));
                hole = last_served;
            }
        }
        self.members.swap_remove(hole);
        if let Some(filled) = self.members.get(hole) {
            moved[1] = Some((filled.member, hole as u32));
        }
        moved
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Bytes that are pending.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Adds a publication; returns the bytes it counts.
    pub fn append(&mut self, publication: Publication) -> usize {
        let bytes = publication.kept_bytes();
        self.pending_bytes += bytes;
        self.pending.push_back(publication);
        bytes
    }

    /// The next call to make, and the bytes that are given up because all have had their
    /// publication. `None` when nothing is pending any more.
    pub fn next(&mut self) -> (usize, Option<(Member, Publication)>) {
        let mut freed = 0;
        while let Some(front) = self.pending.front() {
            let Some(handed) = self.members.get(self.cursor as usize) else {
                freed += front.kept_bytes();
                self.pending.pop_front();
                self.cursor = 0;
                continue;
            };
            self.cursor += 1;
            // Whoever subscribed later has its place behind this one.
            if handed.begun_at < front.position.offset {
                let next = (handed.member, front.clone());
                self.pending_bytes -= freed;
                return (freed, Some(next));
            }
        }
        self.pending_bytes -= freed;
        (freed, None)
    }
}

impl Shard {
    /// Calls sessions with what there is for them, as many as the turn may. Messages of queues and
    /// publications take turns.
    ///
    /// Messages that come because some of these are settled wait for the next call, behind a batch:
    /// then it is known whose socket is full, so that nobody is handed a long queue at one go.
    pub(super) fn hand_out(&mut self, now_ms: u64) {
        for _ in 0..self.dones.len() {
            if let Some(ticket) = self.dones.pop_front() {
                self.handle_done(now_ms, ticket);
            }
        }
        let mut visit = HANDOUT_VISIT;
        let mut messages = self.handed.len();
        let mut message_first = true;
        while self.hands_left > 0 {
            let channel = self.fanout.handouts.front();
            let takes_message = messages > 0 && (message_first || channel.is_none());
            message_first = !message_first;
            if takes_message {
                messages -= 1;
                if let Some(message) = self.handed.pop_front() {
                    self.hand_message(now_ms, message);
                }
            } else if let Some(channel) = channel.cloned() {
                let Some((member, publication)) = self.fanout.next_handed(&channel) else {
                    continue;
                };
                self.hand_publication(now_ms, member, &publication);
                visit -= 1;
                if visit == 0 {
                    visit = HANDOUT_VISIT;
                    self.rotate_handouts(&channel);
                }
            } else {
                return;
            }
            self.hands_left -= 1;
        }
    }

    /// Hands out everything that there is now, however much: the connections are about to be closed.
    pub(super) fn hand_out_all(&mut self, now_ms: u64) {
        let before = std::mem::replace(&mut self.hands_left, usize::MAX);
        self.hand_out(now_ms);
        self.hands_left = before;
    }

    /// Whether there is something to be handed out.
    pub(super) fn has_handouts(&self) -> bool {
        !self.dones.is_empty() || !self.handed.is_empty() || !self.fanout.handouts.is_empty()
    }

    /// Takes up the messages again that a connection was not handed because it was behind, in front of
    /// those that have come for it since.
    pub(super) fn take_up_parked(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.table.get_mut(id)
            && let Some(extra) = &mut connection.extra
        {
            for message in std::mem::take(&mut extra.parked).into_iter().rev() {
                self.handed.push_front(message);
            }
            connection.extra.take_if(|extra| extra.is_idle());
        }
    }

    fn hand_publication(&mut self, now_ms: u64, member: Member, publication: &Publication) {
        if let Some(id) = self.connections.table.key_at(member.slot) {
            self.counters.deliveries += 1;
            self.call_session(now_ms, id, |session, around| {
                session.handle_publication(member.subscription, publication, false, around);
            });
        }
    }

    /// A message of a queue. A connection that is behind gets it when it has caught up: until then it
    /// stays unsettled, and goes back to the queue if the connection does not survive.
    fn hand_message(&mut self, now_ms: u64, message: HandedMessage) {
        let id = ConnectionId::from_bits(message.ticket.asker);
        let stalled = self.connections.is_stalled(id.slot);
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if connection.phase != Phase::Open {
            return;
        }
        if stalled {
            let extra = connection.extra.get_or_insert_with(Box::<Extra>::default);
            extra.parked.push(message);
            return;
        }
        self.counters.deliveries += 1;
        self.call_session(now_ms, id, |session, around| {
            session.handle_publication(
                message.ticket.subscription,
                &message.publication,
                message.redelivered,
                around,
            );
        });
    }

    fn rotate_handouts(&mut self, channel: &ChannelName) {
        if self.fanout.handouts.front() == Some(channel) {
            self.fanout.handouts.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::publication::{Kind, Position};

    fn publication(offset: u64) -> Publication {
        Publication {
            position: Position { epoch: 1, offset },
            kind: Kind::Text,
            headers: Bytes::new(),
            payload: Bytes::from_static(b"hello"),
            publisher: None,
            channel: None,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join,
        Leave(usize),
        Append,
        Next,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Join),
            any::<usize>().prop_map(Step::Leave),
            Just(Step::Append),
            Just(Step::Next),
            Just(Step::Next),
            Just(Step::Next),
        ]
    }

    proptest! {
        #[test]
        fn each_member_is_handed_what_was_published_while_it_was_in_once_and_in_order(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let mut handout = Handout::default();
            let mut positions: HashMap<u32, u32> = HashMap::new();
            // What each member has yet to get.
            let mut owed: HashMap<u32, VecDeque<u64>> = HashMap::new();
            let (mut members, mut offset) = (0, 0);
            for step in steps.into_iter().chain(std::iter::repeat_n(Step::Next, 4_000)) {
                match step {
                    Step::Join => {
                        let member = Member { slot: members, subscription: 0 };
                        members += 1;
                        positions.insert(member.slot, handout.join(member, offset));
                        owed.insert(member.slot, VecDeque::new());
                    }
                    Step::Leave(which) if !positions.is_empty() => {
                        let mut slots: Vec<_> = positions.keys().copied().collect();
                        slots.sort_unstable();
                        let slot = slots[which % slots.len()];
                        let position = positions.remove(&slot).unwrap_or_default();
                        for (member, position) in handout.leave(position).into_iter().flatten() {
                            positions.insert(member.slot, position);
                        }
                        owed.remove(&slot);
                    }
                    Step::Leave(_) => {}
                    Step::Append if offset < 20 => {
                        offset += 1;
                        handout.append(publication(offset));
                        owed.values_mut().for_each(|owed| owed.push_back(offset));
                    }
                    Step::Append => {}
                    Step::Next => {
                        if let (_, Some((member, publication))) = handout.next() {
                            let owed = owed.get_mut(&member.slot);
                            let expected = owed.and_then(VecDeque::pop_front);
                            prop_assert_eq!(expected, Some(publication.position.offset));
                        }
                    }
                }
            }
            prop_assert!(owed.values().all(VecDeque::is_empty));
            prop_assert_eq!(handout.pending_bytes(), 0);
        }
    }
}
