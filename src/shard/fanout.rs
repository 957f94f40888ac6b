//! The lanes and handouts of a shard, by channel: where a publication is put for its subscribers.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::FixedState;

use super::dirty::DirtyLanes;
use super::lane::{Joiner, Lane, Member, Moved};
use super::local::LocalChannel;
use super::overlaps::Overlaps;
use crate::channel::{ChannelName, Namespaces, SlowPolicy};
use crate::encoding::Encoding;
use crate::publication::{Event, Publication};
use crate::table::{Key, Table};
use crate::ws::deflate::Compressors;

/// Members that a survey meets at most for each send that the turn may make: a hundredth or two of
/// what those cost.
const MEETINGS_A_SEND: usize = 16;

/// The lanes of a shard.
pub struct Fanout {
    channels: HashMap<ChannelName, LocalChannel, FixedState>,
    hasher: FixedState,
    pub(super) lanes: Table<Lane>,
    /// Lanes with something to be sent.
    pub(super) dirty: DirtyLanes,
    /// The connections that several of those have something for.
    pub(super) overlaps: Overlaps,
    /// Channels with something to be handed to sessions, and some that had it until all of those left.
    pub(super) handouts: VecDeque<ChannelName>,
    lane_bytes_max: usize,
    /// Lanes and handouts whose pending bytes have reached their bound.
    full: usize,
    pending_bytes: usize,
}

impl Fanout {
    pub fn new(hasher: FixedState, lane_bytes_max: usize) -> Self {
        Self {
            channels: HashMap::with_hasher(hasher.clone()),
            hasher,
            lanes: Table::default(),
            dirty: DirtyLanes::default(),
            overlaps: Overlaps::default(),
            handouts: VecDeque::new(),
            lane_bytes_max,
            full: 0,
            pending_bytes: 0,
        }
    }

    /// From now on a lane or a handout with so many pending bytes is full.
    pub(super) fn set_lane_bytes_max(&mut self, lane_bytes_max: usize) {
        self.lane_bytes_max = lane_bytes_max;
        let lanes = self.lanes.iter().map(|(_, lane)| lane.pending_bytes());
        let handouts = self
            .channels
            .values()
            .filter_map(|local| local.handout.as_ref());
        let pending = lanes.chain(handouts.map(|handout| handout.pending_bytes()));
        self.full = pending.filter(|&bytes| bytes >= lane_bytes_max).count();
    }

    /// From now on these namespaces say what is done about subscribers that are behind.
    pub(super) fn set_namespaces(&mut self, namespaces: &Namespaces) {
        for lane in self.lanes.values_mut() {
            let policy = namespaces.of(lane.channel().as_str()).slow_consumer;
            lane.set_policy(policy);
        }
    }

    /// Whether some lane must be flushed before anything is added.
    pub fn is_full(&self) -> bool {
        self.full > 0
    }

    /// Whether some lane has something to be sent.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Subscribers of a channel here, those who wait for the owner's answer included; nothing where it has none.
    pub fn subscribers_of(&self, channel: &str) -> Option<(ChannelName, usize)> {
        let (channel, local) = self.channels.get_key_value(channel)?;
        Some((channel.clone(), local.subscribers))
    }

    /// The same of all channels.
    pub fn subscribers(&self) -> impl Iterator<Item = (&ChannelName, usize)> {
        let all = self.channels.iter();
        all.map(|(channel, local)| (channel, local.subscribers))
    }

    /// The channel of the lane in that slot.
    pub fn channel_of(&self, lane: u32) -> Option<&ChannelName> {
        let key = self.lanes.key_at(lane)?;
        self.lanes.get(key).map(Lane::channel)
    }

    /// All channels: whether they are patterns, and whether their owners want to hear of each that leaves.
    pub fn kinds(&self) -> impl Iterator<Item = (&ChannelName, bool, bool)> {
        let all = self.channels.iter();
        all.map(|(channel, local)| (channel, local.is_pattern, local.counted))
    }

    /// A channel whose subscribers come next, from another process.
    pub(super) fn expect(&mut self, channel: ChannelName, is_pattern: bool, counted: bool) {
        let local = self.channels.entry(channel).or_default();
        local.is_pattern = is_pattern;
        local.counted = counted;
    }

    /// Counts in a subscriber from there.
    pub(super) fn count_in_restored(&mut self, channel: &ChannelName) {
        self.channels
            .entry(channel.clone())
            .or_default()
            .subscribers += 1;
    }

    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Encodes a publication once for each lane of its channel, and keeps it for those whose sessions
    /// are handed it.
    pub(super) fn append(
        &mut self,
        channel: &ChannelName,
        publication: &Publication,
        compressors: &mut Compressors,
    ) {
        let Some(local) = self.channels.get_mut(channel) else {
            return;
        };
        if let Some(handout) = &mut local.handout {
            let before = handout.pending_bytes();
            let added = handout.append(publication.clone());
            self.pending_bytes += added;
            if before < self.lane_bytes_max && before + added >= self.lane_bytes_max {
                self.full += 1;
            }
            if !handout.queued {
                handout.queued = true;
                self.handouts.push_back(channel.clone());
            }
        }
        for &key in local.lanes.keys() {
            let Some(lane) = self.lanes.get_mut(key) else {
                continue;
            };
            let before = lane.pending_bytes();
            let added = lane.append(publication, compressors);
            self.pending_bytes += added;
            if before < self.lane_bytes_max && before + added >= self.lane_bytes_max {
                self.full += 1;
            }
            self.dirty.add(key);
        }
    }

    /// The same with somebody's coming or leaving, in lanes whose protocol tells of that.
    pub(super) fn append_event(
        &mut self,
        channel: &ChannelName,
        event: &Event,
        compressors: &mut Compressors,
    ) {
        let Some(local) = self.channels.get(channel) else {
            return;
        };
        for &key in local.lanes.keys() {
            let Some(lane) = self.lanes.get_mut(key) else {
                continue;
            };
            let before = lane.pending_bytes();
            let added = lane.append_event(event, compressors);
            if added == 0 {
                continue;
            }
            self.pending_bytes += added;
            if before < self.lane_bytes_max && before + added >= self.lane_bytes_max {
                self.full += 1;
            }
            self.dirty.add(key);
        }
    }

    /// Seals a lane's pending buffer.
    pub(super) fn seal(&mut self, key: Key, joined: &mut Vec<(Joiner, u32)>) {
        if let Some(lane) = self.lanes.get_mut(key) {
            let bytes = lane.pending_bytes();
            lane.seal(joined);
            self.forget_bytes(bytes, bytes);
        }
    }

    /// Meets the connections that dirty lanes have something for, in the lanes that come first, as
    /// many members as are worth it with so many sends to be made.
    pub(super) fn survey(&mut self, connections: usize, sends: usize) {
        self.overlaps.begin(connections);
        let mut left = sends.saturating_mul(MEETINGS_A_SEND);
        let each = sends.max(left / self.dirty.len().max(1));
        for key in self.dirty.iter() {
            let members = self.lanes.get(key).map_or(&[][..], Lane::unserved);
            let members = &members[..members.len().min(each).min(left)];
            for member in members {
                self.overlaps.meet(member.slot);
            }
            // A lane costs something, too.
            left = left.saturating_sub(members.len() + 1);
            if left == 0 {
                break;
            }
        }
    }

    /// Counts a subscriber, which waits for the owner's answer. The first one decides whether the name is a
    /// pattern, which is returned: rules may change, but not what is done about those who are there.
    pub(super) fn count_in(&mut self, channel: &ChannelName, is_pattern: bool) -> bool {
        let local = self.channels.entry(channel.clone()).or_default();
        if local.subscribers == 0 {
            local.is_pattern = is_pattern;
        }
        local.subscribers += 1;
        local.is_pattern
    }

    /// The owner wants to hear of each subscriber that leaves.
    pub(super) fn note_counted(&mut self, channel: &ChannelName) {
        if let Some(local) = self.channels.get_mut(channel) {
            local.counted = true;
        }
    }

    /// Whether it does.
    pub(super) fn is_counted(&self, channel: &ChannelName) -> bool {
        self.channels
            .get(channel)
            .is_some_and(|local| local.counted)
    }

    /// Counts a subscriber out: whether it was the last one here, and whether the name is a pattern.
    pub(super) fn count_out(&mut self, channel: &ChannelName) -> (bool, bool) {
        let Some(local) = self.channels.get_mut(channel) else {
            return (false, false);
        };
        local.subscribers -= 1;
        let (was_last, is_pattern) = (local.subscribers == 0, local.is_pattern);
        if was_last {
            self.channels.remove(channel);
        }
        (was_last, is_pattern)
    }

    /// Puts a subscriber into the lane of its encoding: the lane, and the position there.
    pub(super) fn join(
        &mut self,
        channel: &ChannelName,
        encoding: &Encoding,
        member: Member,
        policy: SlowPolicy,
    ) -> (Key, u32) {
        let local = self.channels.entry(channel.clone()).or_default();
        let key = local.lanes.find(encoding, &self.lanes).unwrap_or_else(|| {
            let lane = Lane::new(channel.clone(), encoding.clone(), policy);
            let key = self.lanes.insert(lane);
            local.lanes.add(key, &self.lanes, &self.hasher);
            key
        });
        let position = self.lanes.get_mut(key).map_or(0, |lane| lane.join(member));
        (key, position)
    }

    /// Hands a subscriber what is published behind an offset from now on: its position.
    pub(super) fn join_handout(
        &mut self,
        channel: &ChannelName,
        member: Member,
        begun_at: u64,
    ) -> u32 {
        let local = self.channels.entry(channel.clone()).or_default();
        let handout = local.handout.get_or_insert_default();
        handout.join(member, begun_at)
    }

    /// Takes a subscriber out of a channel's handout; returns who has another position now.
    pub(super) fn leave_handout(&mut self, channel: &ChannelName, position: u32) -> [Moved; 2] {
        let Some(local) = self.channels.get_mut(channel) else {
            return [None; 2];
        };
        let Some(handout) = &mut local.handout else {
            return [None; 2];
        };
        let moved = handout.leave(position);
        if handout.is_empty() {
            let bytes = handout.pending_bytes();
            // If it stands in the list, it is taken out when its turn comes.
            local.handout = None;
            self.forget_bytes(bytes, bytes);
        }
        moved
    }

    /// The next session to be handed something by the first channel of [`Fanout::handouts`], and what.
    /// `None` when there is nothing left for any of them; the channel is out of the list then.
    pub(super) fn next_handed(&mut self, channel: &ChannelName) -> Option<(Member, Publication)> {
        let handout = self
            .channels
            .get_mut(channel)
            .and_then(|local| local.handout.as_mut());
        let before = handout
            .as_ref()
            .map_or(0, |handout| handout.pending_bytes());
        let (freed, next) = handout.map_or((0, None), |handout| {
            let (freed, next) = handout.next();
            handout.queued = next.is_some();
            (freed, next)
        });
        self.forget_bytes(before, freed);
        if next.is_none() && self.handouts.front() == Some(channel) {
            self.handouts.pop_front();
        }
        next
    }

    /// Gives up a lane that nobody is in any more.
    pub(super) fn remove_if_empty(&mut self, key: Key) {
        if !self.lanes.get(key).is_some_and(Lane::is_empty) {
            return;
        }
        if let Some(lane) = self.lanes.remove(key) {
            self.dirty.forget(key.slot);
            let bytes = lane.pending_bytes();
            self.forget_bytes(bytes, bytes);
            if let Some(local) = self.channels.get_mut(lane.channel()) {
                local.lanes.remove(key, lane.encoding(), &self.lanes);
            }
        }
    }

    /// Of so many pending bytes in one place, some are no longer.
    fn forget_bytes(&mut self, before: usize, freed: usize) {
        self.pending_bytes -= freed;
        if before >= self.lane_bytes_max && before - freed < self.lane_bytes_max {
            self.full -= 1;
        }
    }
}
