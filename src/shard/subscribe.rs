//! Who is subscribed to what, and how a subscription begins and ends.

use super::connection::{Phase, Place, Subscription};
use super::lane::{Joiner, Lane, Member};
use super::lifecycle::Reason;
use super::mail::{QueueRequest, Request, Ticket, Wishes};
use super::{BegunSubscription, ConnectionId, Shard};
use crate::channel::{ChannelName, Refused};
use crate::encoding::Encoding;
use crate::endpoint::{Subscribe, Via, Which};
use crate::publication::Begun;

impl Shard {
    /// Asks the owner to count the connection in; [`Shard::handle_subscribed`] follows. Nothing
    /// happens if it is in that lane already, or about to be.
    pub(super) fn subscribe(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        subscribe: Subscribe,
    ) {
        let Subscribe {
            channel,
            via,
            since,
            info,
        } = subscribe;
        if let Via::Lane(encoding) = &via
            && self.is_in_lane(id, &channel, encoding)
        {
            return;
        }
        let place = Place::Pending(Box::new((channel.clone(), via)));
        if !self.add_subscription(now_ms, id, number, place) {
            return;
        }
        let is_pattern = self.directory.takes_as_pattern(&channel);
        let ticket = ticket_of(id, number);
        if self.fanout.count_in(&channel, is_pattern) {
            self.subscribe_pattern(now_ms, &channel, ticket, since.is_some());
            return;
        }
        let owner = self.owner_of(&channel);
        let wishes = (since.is_some() || info.is_some()).then(|| Box::new(Wishes { since, info }));
        let request = Request::Subscribe {
            channel,
            ticket,
            wishes,
        };
        self.ask(now_ms, owner, request);
    }

    /// Asks the owner of a queue for its messages; [`Shard::handle_subscribed`] follows.
    pub(super) fn consume(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        queue: ChannelName,
        window: u32,
    ) {
        let place = Place::Queue(Box::new(queue.clone()));
        if !self.add_subscription(now_ms, id, number, place) {
            return;
        }
        let ticket = ticket_of(id, number);
        let request = QueueRequest::Consume { window, ticket };
        self.ask_queue(now_ms, queue, request);
    }

    /// Ends a connection's subscriptions of which that is true, if there are any.
    /// The ticket comes back when that is done.
    pub(super) fn unsubscribe(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        which: &Which,
        ticket: Option<u32>,
    ) {
        let mut done = ticket.map(|number| ticket_of(id, number));
        let numbers = match which {
            Which::Number(number) => vec![*number],
            Which::Channel(channel) => self.numbers_of(id, channel),
            Which::All => {
                let connection = self.connections.table.get(id);
                connection.map_or_else(Vec::new, |connection| {
                    let all = connection.subscriptions.iter();
                    all.map(|subscription| subscription.number).collect()
                })
            }
        };
        for number in numbers {
            if let Some(connection) = self.connections.table.get_mut(id)
                && let Some(subscription) = connection.subscriptions.remove(number)
            {
                self.leave(now_ms, id, subscription, &mut done);
            }
        }
        self.connections.note_subscriptions(id);
        // No queue's owner has been asked for it.
        if let Some(done) = done {
            self.note_done(done);
        }
    }

    /// Takes a connection out of all its lanes, handouts and queues, and from its user.
    pub(super) fn leave_all(&mut self, now_ms: u64, id: ConnectionId) {
        self.users.forget(id);
        while let Some(subscription) = self
            .connections
            .table
            .get_mut(id)
            .and_then(|connection| connection.subscriptions.pop())
        {
            self.leave(now_ms, id, subscription, &mut None);
        }
        self.connections.note_subscriptions(id);
    }

    /// The owner has answered: from here on the connection gets what is published.
    pub(super) fn handle_subscribed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        result: Result<Begun, Refused>,
        counted: bool,
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
        let member = Member {
            slot: id.slot,
            subscription: number,
        };
        match (&result, &subscription.place) {
            (Err(_), _) => {
                self.counters.subscriptions_refused += 1;
                if let Some(subscription) = connection.subscriptions.remove(number) {
                    self.leave(now_ms, id, subscription, &mut None);
                }
                self.connections.note_subscriptions(id);
            }
            (Ok(begun), Place::Pending(pending)) => {
                let (channel, via) = &**pending;
                if counted {
                    self.fanout.note_counted(channel);
                }
                subscription.place = match via {
                    Via::Lane(encoding) => {
                        let namespace = self.rules.namespaces.of(channel.as_str());
                        let policy = namespace.slow_consumer;
                        let (lane, position) = self.fanout.join(channel, encoding, member, policy);
                        Place::Active {
                            lane: lane.slot,
                            position,
                        }
                    }
                    Via::Session => {
                        let position =
                            self.fanout
                                .join_handout(channel, member, begun.position.offset);
                        Place::Handed(Box::new((channel.clone(), position)))
                    }
                };
            }
            (Ok(_), Place::Queue(_)) => {}
            // Nobody is answered twice.
            (Ok(_), Place::Active { .. } | Place::Handed(_)) => return,
        }
        self.tell_begun(now_ms, (id, number, result));
    }

    /// Tells members of their new positions.
    pub(super) fn note_joined(&mut self, joined: &[(Joiner, u32)]) {
        for (joiner, position) in joined {
            self.set_position(joiner.member, *position);
        }
    }

    pub(super) fn set_position(&mut self, member: Member, position: u32) {
        let subscription = self
            .connections
            .table
            .at_mut(member.slot)
            .and_then(|connection| connection.subscriptions.find_mut(member.subscription));
        match subscription.map(|subscription| &mut subscription.place) {
            Some(Place::Active { position: old, .. }) => *old = position,
            Some(Place::Handed(handed)) => handed.1 = position,
            Some(Place::Pending(_) | Place::Queue(_)) | None => {}
        }
    }

    /// Notes a subscription that the owner is asked for. `false` if the connection may not have it, and
    /// so is closed.
    fn add_subscription(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        place: Place,
    ) -> bool {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return false;
        };
        if connection.phase != Phase::Open {
            return false;
        }
        if connection.subscriptions.len() >= self.config.limits.subscriptions_max {
            self.counters.closed_limit += 1;
            self.end(now_ms, id, Reason::Subscriptions);
            return false;
        }
        connection.subscriptions.add(Subscription { number, place });
        self.connections.note_subscriptions(id);
        self.counters.subscriptions += 1;
        true
    }

    /// Whether the connection is in that lane of the channel, or about to be.
    fn is_in_lane(&self, id: ConnectionId, channel: &ChannelName, encoding: &Encoding) -> bool {
        let same = |place: &Place| match place {
            Place::Pending(pending) => {
                pending.0 == *channel && matches!(&pending.1, Via::Lane(other) if other == encoding)
            }
            Place::Active { lane, .. } => self.fanout.lanes.key_at(*lane).is_some_and(|key| {
                self.fanout
                    .lanes
                    .get(key)
                    .is_some_and(|lane| lane.channel() == channel && lane.encoding() == encoding)
            }),
            Place::Handed(_) | Place::Queue(_) => false,
        };
        self.connections
            .table
            .get(id)
            .is_some_and(|connection| connection.subscriptions.iter().any(|one| same(&one.place)))
    }

    /// The numbers of a connection's subscriptions to a channel.
    fn numbers_of(&self, id: ConnectionId, channel: &ChannelName) -> Vec<u32> {
        let Some(connection) = self.connections.table.get(id) else {
            return Vec::new();
        };
        let subscriptions = connection.subscriptions.iter();
        subscriptions
            .filter(|subscription| self.channel_of(&subscription.place) == Some(channel))
            .map(|subscription| subscription.number)
            .collect()
    }

    /// The channel that a subscription is to; none of a queue's consumer.
    pub(super) fn channel_of<'s>(&'s self, place: &'s Place) -> Option<&'s ChannelName> {
        match place {
            Place::Pending(pending) => Some(&pending.0),
            Place::Handed(handed) => Some(&handed.0),
            Place::Active { lane, .. } => {
                let key = self.fanout.lanes.key_at(*lane)?;
                self.fanout.lanes.get(key).map(Lane::channel)
            }
            Place::Queue(_) => None,
        }
    }

    /// What has to be done about a subscription that the connection does not have any more. A queue's
    /// owner is given the ticket of who waits for it.
    fn leave(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        subscription: Subscription,
        done: &mut Option<Ticket>,
    ) {
        self.counters.subscriptions -= 1;
        let is_pending = matches!(subscription.place, Place::Pending(_));
        let ticket = ticket_of(id, subscription.number);
        let channel = match subscription.place {
            Place::Pending(pending) => pending.0,
            Place::Handed(handed) => {
                let (channel, position) = *handed;
                for (member, position) in self
                    .fanout
                    .leave_handout(&channel, position)
                    .into_iter()
                    .flatten()
                {
                    self.set_position(member, position);
                }
                channel
            }
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
            Place::Queue(queue) => {
                let request = QueueRequest::Leave {
                    ticket,
                    done: done.take(),
                };
                self.ask_queue(now_ms, *queue, request);
                return;
            }
        };
        let is_counted = is_pending || self.fanout.is_counted(&channel);
        let (was_last, is_pattern) = self.fanout.count_out(&channel);
        if is_pattern {
            if was_last {
                self.leave_pattern(now_ms, &channel);
            }
            return;
        }
        let owner = self.owner_of(&channel);
        if is_counted {
            let channel = channel.clone();
            self.ask(now_ms, owner, Request::Depart { channel, ticket });
        }
        if was_last {
            self.ask(now_ms, owner, Request::Leave { channel });
        }
    }

    /// Tells a session of a subscription, and sends what it has missed behind what the session says. One
    /// that subscribes again when it is told is told of that when it has returned.
    fn tell_begun(&mut self, now_ms: u64, begun: BegunSubscription) {
        self.begun.push_back(begun);
        if self.telling {
            return;
        }
        self.telling = true;
        while let Some((id, number, mut result)) = self.begun.pop_front() {
            let recovery = result.as_mut().ok().map(|begun| &mut begun.recovery);
            let missed =
                recovery.and_then(|recovery| self.make_ready(now_ms, id, number, recovery));
            self.call_session(now_ms, id, |session, around| {
                session.handle_subscribed(number, result, around);
            });
            if let Some((missed, ready)) = missed {
                self.send_missed(now_ms, id, number, &missed, ready);
            }
        }
        self.telling = false;
    }
}

/// By which the owner's answer finds the subscription.
pub(super) fn ticket_of(id: ConnectionId, number: u32) -> Ticket {
    Ticket {
        asker: id.to_bits(),
        subscription: number,
    }
}
