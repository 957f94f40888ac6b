//! Lanes: on one shard, all subscribers of a channel who get the very same bytes.
//!
//! A publication is encoded once and appended to the lane's pending buffer. At the end of the
//! turn the buffer is sealed and scattered to the members by a cursor, some hundred at a time, so
//! that a lane of a hundred thousand does not hold up the shard; what is published meanwhile
//! collects in the next buffer.
//!
//! Who joins gets nothing that already stood in a buffer: it waits aside, with its place in the
//! pending buffer, until that buffer is sealed. Who leaves is out of everything that has not been
//! handed to the ring yet.

use bytes::{Bytes, BytesMut};

use crate::channel::{ChannelName, SlowPolicy};
use crate::encoding::Encoding;
use crate::publication::{Event, Position, Publication};
use crate::ws::deflate::Compressors;

/// A subscriber: a connection's slot and which of its subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The connection.
    pub slot: u32,
    /// The connection's own number of the subscription.
    pub subscription: u32,
}

/// A member that has another position than before.
pub type Moved = Option<(Member, u32)>;

/// What one visit of a flush asks to be sent: `bytes[from..]` to each of the members.
pub struct Sealed {
    /// The frames, back to back.
    pub bytes: Bytes,
    /// How many frames that is.
    pub frames: u32,
    /// Where the last publication begins, and its place in the stream; none where there are only events.
    pub last: Option<(u32, Position)>,
    /// Next member to be served, by position.
    cursor: u32,
    /// Members from here on came after the buffer was sealed.
    end: u32,
}

/// Somebody who joined while frames were pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joiner {
    /// Who.
    pub member: Member,
    /// Bytes of the pending buffer that are none of its business.
    pub from: u32,
    /// Frames in those bytes.
    pub frames_before: u32,
}

/// What a subscriber has not been handed to the ring of yet.
#[derive(Default)]
pub struct Owed {
    /// The sealed buffer, if it is still to be served from it, and the frames in it.
    pub sealed: Option<(Bytes, u32)>,
    /// Where in the pending buffer its part begins, and the frames from there on.
    pub pending: Option<(u32, u32)>,
}

/// Position of a member that stands among the joiners, its index there in the other bits.
const JOINING: u32 = 1 << 31;

/// See the module's documentation.
pub struct Lane {
    channel: ChannelName,
    encoding: Encoding,
    /// What is done about members that are behind.
    policy: SlowPolicy,
    members: Vec<Member>,
    joining: Vec<Joiner>,
    pending: BytesMut,
    pending_frames: u32,
    /// As [`Sealed::last`].
    pending_last: Option<(u32, Position)>,
    sealed: Option<Sealed>,
}

impl Lane {
    /// A lane without members.
    pub fn new(channel: ChannelName, encoding: Encoding, policy: SlowPolicy) -> Self {
        Self {
            channel,
            encoding,
            policy,
            members: Vec::new(),
            joining: Vec::new(),
            pending: BytesMut::new(),
            pending_frames: 0,
            pending_last: None,
            sealed: None,
        }
    }

    /// The channel whose publications pass here.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// How they are put on the wire.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// What is done about members that are behind.
    pub fn policy(&self) -> SlowPolicy {
        self.policy
    }

    /// From now on something else is done about them. What waits for those who are behind already stays as it was put there.
    pub fn set_policy(&mut self, policy: SlowPolicy) {
        self.policy = policy;
    }

    /// Members and joiners.
    pub fn len(&self) -> usize {
        self.members.len() + self.joining.len()
    }

    /// Whether the lane has no reason to be.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is nothing to be sent.
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty() && self.sealed.is_none()
    }

    /// Adds a subscriber and returns its position, which it must remember for [`Lane::leave`].
    pub fn join(&mut self, member: Member) -> u32 {
        if self.is_clean() {
            self.members.push(member);
            return self.members.len() as u32 - 1;
        }
        self.joining.push(Joiner {
            member,
            from: self.pending.len() as u32,
            frames_before: self.pending_frames,
        });
        (self.joining.len() as u32 - 1) | JOINING
    }

    /// Takes the subscriber at a position out and tells who has moved to which other position.
    pub fn leave(&mut self, position: u32) -> [Moved; 3] {
        if position & JOINING != 0 {
            let index = (position & !JOINING) as usize;
            self.joining.swap_remove(index);
            let moved = self.joining.get(index).map(|j| (j.member, position));
            return [moved, None, None];
        }
        let mut moved = [None; 3];
        let mut hole = position as usize;
        if let Some(sealed) = &mut self.sealed {
            // Three kinds of members in a row: served, to be served, came later. The hole is
            // handed on from border to border so that every member stays among its kind.
            if hole < sealed.cursor as usize {
                sealed.cursor -= 1;
                hole = Self::fill(
                    &mut self.members,
                    hole,
                    sealed.cursor as usize,
                    &mut moved[0],
                );
            }
            if hole < sealed.end as usize {
                sealed.end -= 1;
                hole = Self::fill(&mut self.members, hole, sealed.end as usize, &mut moved[1]);
            }
        }
        let last = self.members.len() - 1;
        Self::fill(&mut self.members, hole, last, &mut moved[2]);
        self.members.pop();
        moved
    }

    /// What the subscriber at a position has yet to be sent.
    pub fn owed(&self, position: u32) -> Owed {
        let (from, frames_before) = if position & JOINING == 0 {
            (0, 0)
        } else {
            let joiner = &self.joining[(position & !JOINING) as usize];
            (joiner.from, joiner.frames_before)
        };
        let to_be_served = |sealed: &&Sealed| (sealed.cursor..sealed.end).contains(&position);
        Owed {
            sealed: self
                .sealed
                .as_ref()
                .filter(to_be_served)
                .map(|sealed| (sealed.bytes.clone(), sealed.frames)),
            pending: (from < self.pending.len() as u32)
                .then_some((from, self.pending_frames - frames_before)),
        }
    }

    /// A copy of the pending buffer.
    pub fn copy_pending(&self) -> Bytes {
        Bytes::copy_from_slice(&self.pending)
    }

    /// Encodes a publication behind what is pending; returns the bytes it takes.
    pub fn append(&mut self, publication: &Publication, compressors: &mut Compressors) -> usize {
        let before = self.pending.len();
        self.encoding
            .put_publication(&mut self.pending, publication, compressors);
        self.pending_frames += 1;
        self.pending_last = Some((before as u32, publication.position));
        self.pending.len() - before
    }

    /// The same with an event; 0 where the protocol does not tell of it.
    pub fn append_event(&mut self, event: &Event, compressors: &mut Compressors) -> usize {
        let before = self.pending.len();
        self.encoding
            .put_event(&mut self.pending, event, compressors);
        let added = self.pending.len() - before;
        self.pending_frames += u32::from(added > 0);
        added
    }

    /// Seals the pending buffer for sending. Whoever joined while it filled becomes a member and
    /// is handed out, to be served by itself from its own place on; tell it its new position.
    ///
    /// Only when nothing is sealed any more and something is pending.
    pub fn seal(&mut self, joined: &mut Vec<(Joiner, u32)>) {
        debug_assert!(self.sealed.is_none() && !self.pending.is_empty());
        self.sealed = Some(Sealed {
            bytes: self.pending.split().freeze(),
            frames: std::mem::take(&mut self.pending_frames),
            last: self.pending_last.take(),
            cursor: 0,
            end: self.members.len() as u32,
        });
        for joiner in std::mem::take(&mut self.joining) {
            joined.push((joiner, self.members.len() as u32));
            self.members.push(joiner.member);
        }
    }

    /// The buffer being sent, if one is.
    pub fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_ref()
    }

    /// Whether frames wait for the next seal.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes that wait for the next seal.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// The members that what is to be sent first is for.
    pub fn unserved(&self) -> &[Member] {
        match &self.sealed {
            Some(sealed) => &self.members[sealed.cursor as usize..sealed.end as usize],
            None if self.pending.is_empty() => &[],
            None => &self.members,
        }
    }

    /// The next member to be served with the sealed buffer; the one after it the next time.
    pub fn next_unserved(&mut self) -> Option<Member> {
        let sealed = self.sealed.as_mut()?;
        if sealed.cursor >= sealed.end {
            return None;
        }
        let member = self.members[sealed.cursor as usize];
        sealed.cursor += 1;
        Some(member)
    }

    /// Serves the member at a position out of turn: the sealed buffer, and who has another position
    /// now. `None` if it is not to be served with that buffer.
    pub fn serve(&mut self, position: u32) -> Option<(&Sealed, [Moved; 2])> {
        let sealed = self.sealed.as_mut()?;
        let next = sealed.cursor;
        // A joiner's position is beyond any end.
        if !(next..sealed.end).contains(&position) {
            return None;
        }
        sealed.cursor += 1;
        self.members.swap(next as usize, position as usize);
        let moved = [position, next].map(|at| (self.members[at as usize], at));
        let moved = match position == next {
            true => [None; 2],
            false => moved.map(Some),
        };
        Some((sealed, moved))
    }

    /// Whether the member at a position is to be sent what is pending, when that is sealed.
    pub fn awaits_seal(&self, position: u32) -> bool {
        self.sealed.is_none() && !self.pending.is_empty() && position & JOINING == 0
    }

    /// Takes the last [`Lane::next_unserved`] back: it will be the next once more.
    pub fn unserve(&mut self) {
        if let Some(sealed) = &mut self.sealed {
            sealed.cursor -= 1;
        }
    }

    /// Gives up the sealed buffer when all have been served. Joiners of a lane that is clean again
    /// become members; tell them their new positions.
    pub fn finish(&mut self, joined: &mut Vec<(Joiner, u32)>) -> Option<Sealed> {
        let sealed = self.sealed.take_if(|sealed| sealed.cursor >= sealed.end)?;
        if self.pending.is_empty() {
            for joiner in std::mem::take(&mut self.joining) {
                joined.push((joiner, self.members.len() as u32));
                self.members.push(joiner.member);
            }
        }
        Some(sealed)
    }

    /// Moves the member at `from` into the hole; the hole is at `from` then.
    fn fill(members: &mut [Member], hole: usize, from: usize, moved: &mut Moved) -> usize {
        if hole != from {
            members[hole] = members[from];
            *moved = Some((members[hole], hole as u32));
        }
        from
    }
}

#[cfg(test)]
mod tests;
