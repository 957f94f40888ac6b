//! From a publication to the lanes of its channel, and who is in which lane.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use foldhash::quality::FixedState;

use super::connection::{Phase, Place, Subscription};
use super::lane::{Joiner, Lane, Member};
use super::mail::{Delivery, Request, Ticket};
use super::{Begun, ConnectionId, Shard};
use crate::channel::{ChannelName, ChannelsFull};
use crate::encoding::Encoding;
use crate::endpoint::Which;
use crate::publication::{Kind, Position, Publication};
use crate::table::{Key, Table};
use crate::ws::deflate::Compressors;

/// A channel with subscribers on this shard, or with some who wait for the owner's answer.
#[derive(Default)]
struct LocalChannel {
    lanes: Vec<Key>,
    subscribers: usize,
}

/// The lanes of a shard.
pub struct Fanout {
    channels: HashMap<ChannelName, LocalChannel, FixedState>,
    pub(super) lanes: Table<Lane>,
    /// Lanes with something to be sent.
    pub(super) dirty: VecDeque<Key>,
    lane_bytes_max: usize,
    /// Lanes whose pending buffer has reached its bound.
    full: usize,
    pending_bytes: usize,
}

impl Fanout {
    pub fn new(hasher: FixedState, lane_bytes_max: usize) -> Self {
        Self {
            channels: HashMap::with_hasher(hasher),
            lanes: Table::default(),
            dirty: VecDeque::new(),
            lane_bytes_max,
            full: 0,
            pending_bytes: 0,
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

    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Encodes a publication once for each lane of its channel.
    fn append(
        &mut self,
        channel: &ChannelName,
        publication: &Publication,
        compressors: &mut Compressors,
    ) {
        let Some(local) = self.channels.get(channel) else {
            return;
        };
        for &key in &local.lanes {
            let Some(lane) = self.lanes.get_mut(key) else {
                continue;
            };
            let before = lane.pending_bytes();
            let added = lane.append(publication, compressors);
            self.pending_bytes += added;
            if before < self.lane_bytes_max && before + added >= self.lane_bytes_max {
                self.full += 1;
            }
            if !lane.queued {
                lane.queued = true;
                self.dirty.push_back(key);
            }
        }
    }

    /// Seals a lane's pending buffer.
    pub(super) fn seal(&mut self, key: Key, joined: &mut Vec<(Joiner, u32)>) {
        if let Some(lane) = self.lanes.get_mut(key) {
            Self::forget_pending(
                lane,
                &mut self.pending_bytes,
                &mut self.full,
                self.lane_bytes_max,
            );
            lane.seal(joined);
        }
    }

    fn join(&mut self, channel: &ChannelName, encoding: &Encoding, member: Member) -> (Key, u32) {
        let local = self.channels.entry(channel.clone()).or_default();
        let found = local.lanes.iter().copied().find(|&key| {
            self.lanes
                .get(key)
                .is_some_and(|lane| lane.encoding() == encoding)
        });
        let key = found.unwrap_or_else(|| {
            let key = self
                .lanes
                .insert(Lane::new(channel.clone(), encoding.clone()));
            local.lanes.push(key);
            key
        });
        let position = self.lanes.get_mut(key).map_or(0, |lane| lane.join(member));
        (key, position)
    }

    /// Gives up a lane that nobody is in any more.
    fn remove_if_empty(&mut self, key: Key) {
        if !self.lanes.get(key).is_some_and(Lane::is_empty) {
            return;
        }
        if let Some(mut lane) = self.lanes.remove(key) {
            Self::forget_pending(
                &mut lane,
                &mut self.pending_bytes,
                &mut self.full,
                self.lane_bytes_max,
            );
            if let Some(local) = self.channels.get_mut(lane.channel()) {
                local.lanes.retain(|&other| other != key);
            }
        }
    }

    fn forget_pending(lane: &mut Lane, pending_bytes: &mut usize, full: &mut usize, max: usize) {
        let bytes = lane.pending_bytes();
        *pending_bytes -= bytes;
        if bytes >= max {
            *full -= 1;
        }
    }
}

impl Shard {
    /// A request from a peer, or from the shard itself; as the owner of the channel.
    pub fn handle_request(&mut self, now_ms: u64, from: usize, request: Request) {
        match request {
            Request::Subscribe { channel, ticket } => {
                let result = self.directory.subscribe(now_ms, &channel, from);
                self.answer(now_ms, from, Delivery::Subscribed { ticket, result });
            }
            Request::Leave { channel } => self.directory.leave(now_ms, &channel, from),
            Request::Publish {
                channel,
                kind,
                headers,
                payload,
                ticket,
            } => {
                let result = self.deliver(now_ms, channel, kind, headers, payload);
                match ticket {
                    // A session that publishes again when it is told must not be told at once.
                    Some(ticket) if from == self.identity.shard => {
                        self.confirmations.push_back((ticket, result));
                    }
                    Some(ticket) => {
                        self.answer(now_ms, from, Delivery::Published { ticket, result });
                    }
                    None => {}
                }
            }
            Request::Connection { key, order } => self.handle_order(now_ms, key, order),
            Request::Drain { drain_ms } => self.drain(now_ms, drain_ms),
        }
    }

    /// A delivery from the owner of a channel.
    pub fn handle_delivery(&mut self, now_ms: u64, delivery: Delivery) {
        match delivery {
            Delivery::Publication {
                channel,
                publication,
            } => {
                self.counters.publications_taken += 1;
                let compressors = &mut self.codec.compressors;
                self.fanout.append(&channel, &publication, compressors);
            }
            Delivery::Subscribed { ticket, result } => {
                let id = ConnectionId::from_bits(ticket.asker);
                self.handle_subscribed(now_ms, id, ticket.subscription, result);
            }
            Delivery::DrainBegun => {
                self.draining_peers += 1;
                self.go_on_draining(now_ms);
            }
            Delivery::Published { ticket, result } => self.handle_published(now_ms, ticket, result),
            // Nobody on a shard asks for this.
            Delivery::Drained => {}
        }
    }

    /// Asks the owner to number and deliver a message.
    pub(super) fn publish(
        &mut self,
        now_ms: u64,
        channel: ChannelName,
        kind: Kind,
        headers: Bytes,
        payload: Bytes,
        ticket: Option<Ticket>,
    ) {
        let owner = self.owner_of(&channel);
        let request = Request::Publish {
            channel,
            kind,
            headers,
            payload,
            ticket,
        };
        self.ask(now_ms, owner, request);
    }

    /// Asks the owner to count the connection in; [`Shard::handle_subscribed`] follows.
    pub(super) fn subscribe(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        subscription: u32,
        channel: ChannelName,
    ) {
        self.counters.subscriptions += 1;
        self.fanout
            .channels
            .entry(channel.clone())
            .or_default()
            .subscribers += 1;
        let ticket = Ticket {
            asker: id.to_bits(),
            subscription,
        };
        let owner = self.owner_of(&channel);
        self.ask(now_ms, owner, Request::Subscribe { channel, ticket });
    }

    /// Whether the connection is subscribed to the channel in that encoding, or about to be.
    pub(super) fn is_subscribed(
        &self,
        id: ConnectionId,
        channel: &ChannelName,
        encoding: &Encoding,
    ) -> bool {
        self.connections.table.get(id).is_some_and(|connection| {
            connection
                .subscriptions
                .iter()
                .any(|subscription| self.place_of(&subscription.place) == Some((channel, encoding)))
        })
    }

    /// Ends a connection's subscriptions of which that is true, if there are any.
    pub(super) fn unsubscribe(&mut self, now_ms: u64, id: ConnectionId, which: &Which) {
        let Some(connection) = self.connections.table.get(id) else {
            return;
        };
        let numbers: Vec<u32> = connection
            .subscriptions
            .iter()
            .filter(|subscription| match which {
                Which::Number(number) => subscription.number == *number,
                Which::Channel(channel) => self
                    .place_of(&subscription.place)
                    .is_some_and(|(other, _)| other == channel),
            })
            .map(|subscription| subscription.number)
            .collect();
        for number in numbers {
            if let Some(connection) = self.connections.table.get_mut(id)
                && let Some(subscription) = connection.subscriptions.remove(number)
            {
                self.leave(now_ms, subscription);
            }
        }
        self.connections.note_subscriptions(id);
    }

    /// Takes a connection out of all its lanes.
    pub(super) fn leave_all(&mut self, now_ms: u64, id: ConnectionId) {
        while let Some(subscription) = self
            .connections
            .table
            .get_mut(id)
            .and_then(|connection| connection.subscriptions.pop())
        {
            self.leave(now_ms, subscription);
        }
    }

    /// Tells members of their new positions.
    pub(super) fn note_joined(&mut self, joined: &[(Joiner, u32)]) {
        for (joiner, position) in joined {
            self.set_position(joiner.member, *position);
        }
    }

    fn leave(&mut self, now_ms: u64, subscription: Subscription) {
        self.counters.subscriptions -= 1;
        let channel = match subscription.place {
            Place::Pending(pending) => pending.0,
            Place::Active { lane, position } => {
                let Some(key) = self.fanout.lanes.key_at(lane) else {
                    return;
                };
                let Some(lane) = self.fanout.lanes.get_mut(key) else {
                    return;
                };
                let channel = lane.channel().clone();
                for (member, position) in lane.leave(position).into_iter().flatten() {
                    self.set_position(member, position);
                }
                self.fanout.remove_if_empty(key);
                channel
            }
        };
        let Some(local) = self.fanout.channels.get_mut(&channel) else {
            return;
        };
        local.subscribers -= 1;
        if local.subscribers == 0 {
            self.fanout.channels.remove(&channel);
            let owner = self.owner_of(&channel);
            self.ask(now_ms, owner, Request::Leave { channel });
        }
    }

    fn place_of<'a>(&'a self, place: &'a Place) -> Option<(&'a ChannelName, &'a Encoding)> {
        match place {
            Place::Pending(pending) => Some((&pending.0, &pending.1)),
            Place::Active { lane, .. } => {
                let key = self.fanout.lanes.key_at(*lane)?;
                let lane = self.fanout.lanes.get(key)?;
                Some((lane.channel(), lane.encoding()))
            }
        }
    }

    pub(super) fn set_position(&mut self, member: Member, position: u32) {
        if let Some(Subscription {
            place: Place::Active { position: old, .. },
            ..
        }) = self
            .connections
            .table
            .at_mut(member.slot)
            .and_then(|connection| connection.subscriptions.find_mut(member.subscription))
        {
            *old = position;
        }
    }

    /// The owner has answered: from here on the connection gets what is published.
    fn handle_subscribed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        result: Result<Position, ChannelsFull>,
    ) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if connection.phase != Phase::Open {
            return;
        }
        let Some(subscription) = connection.subscriptions.find_mut(number) else {
            return;
        };
        let Place::Pending(pending) = &subscription.place else {
            return;
        };
        if result.is_err() {
            self.counters.refused_channels += 1;
            if let Some(subscription) = connection.subscriptions.remove(number) {
                self.leave(now_ms, subscription);
            }
            self.connections.note_subscriptions(id);
            self.tell_begun(now_ms, (id, number, result));
            return;
        }
        let (channel, encoding) = &**pending;
        let member = Member {
            slot: id.slot,
            subscription: number,
        };
        let (lane, position) = self.fanout.join(channel, encoding, member);
        subscription.place = Place::Active {
            lane: lane.slot,
            position,
        };
        self.tell_begun(now_ms, (id, number, result));
    }

    /// Tells a session of a subscription. One that subscribes again when it is told is told of that
    /// when it has returned.
    fn tell_begun(&mut self, now_ms: u64, begun: Begun) {
        self.begun.push_back(begun);
        if self.telling {
            return;
        }
        self.telling = true;
        while let Some((id, number, result)) = self.begun.pop_front() {
            self.call_session(now_ms, id, |session, around| {
                session.handle_subscribed(number, result, around);
            });
        }
        self.telling = false;
    }

    fn owner_of(&self, channel: &ChannelName) -> usize {
        channel.owner(&self.hasher, self.identity.shards)
    }

    fn ask(&mut self, now_ms: u64, owner: usize, request: Request) {
        if owner == self.identity.shard {
            self.handle_request(now_ms, owner, request);
        } else {
            self.post.request(owner, request);
        }
    }

    fn answer(&mut self, now_ms: u64, to: usize, delivery: Delivery) {
        if to == self.identity.shard {
            self.handle_delivery(now_ms, delivery);
        } else {
            self.post.deliver(to, delivery);
        }
    }

    /// Numbers a message and sends it to every shard with subscribers.
    fn deliver(
        &mut self,
        now_ms: u64,
        channel: ChannelName,
        kind: Kind,
        headers: Bytes,
        payload: Bytes,
    ) -> Result<Position, ChannelsFull> {
        let (position, shards) = match self.directory.publish(now_ms, &channel) {
            Ok(published) => published,
            Err(full) => {
                self.counters.publications_refused += 1;
                return Err(full);
            }
        };
        self.counters.publications += 1;
        let publication = Publication {
            position,
            kind,
            headers,
            payload,
        };
        for shard in shards {
            self.answer(
                now_ms,
                shard,
                Delivery::Publication {
                    channel: channel.clone(),
                    publication: publication.clone(),
                },
            );
        }
        Ok(position)
    }
}
