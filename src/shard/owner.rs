//! What a shard does as the owner of channels and queues, and how the others ask it.

use std::sync::Arc;

use super::mail::{Consumer, Delivery, HandedMessage, QueueRequest, Request, Ticket, Wishes};
use super::{ConnectionId, Shard};
use crate::channel::{ChannelName, Handed, Joining, MemberId, Published, Refused, ShardSet};
use crate::publication::{Begun, Draft, Event, Position, Publication, Recovery};

impl Shard {
    /// A request from a peer, or from the shard itself; as the owner of the channel.
    pub fn handle_request(&mut self, now_ms: u64, from: usize, request: Request) {
        match request {
            Request::Subscribe {
                channel,
                ticket,
                wishes,
            } => self.handle_subscribe(now_ms, from, &channel, ticket, wishes),
            Request::Depart { channel, ticket } => {
                let member = member_of(from, ticket);
                if let Some((info, shards)) = self.directory.depart(&channel, &member) {
                    self.spread(now_ms, &channel, &Event::Leave(info), shards);
                }
            }
            Request::SubscribePattern { pattern, ticket } => {
                let result = self.directory.subscribe_pattern(&pattern, from);
                let result = result.map_err(Refused::from);
                self.answer(now_ms, from, Delivery::PatternNoted { ticket, result });
            }
            Request::LeavePattern { pattern } => self.directory.leave_pattern(&pattern, from),
            Request::Ask {
                channel,
                question,
                ticket,
            } => {
                let answer = Box::new(self.directory.answer(now_ms, &channel, question));
                self.answer(now_ms, from, Delivery::Answered { ticket, answer });
            }
            Request::Leave { channel } => self.directory.leave(now_ms, &channel, from),
            Request::Publish {
                channel,
                draft,
                ticket,
            } => {
                let result = self.deliver(now_ms, &channel, draft);
                self.confirm(now_ms, from, ticket, result);
            }
            Request::PublishOnce {
                channel,
                key,
                draft,
                ticket,
            } => {
                let result = self.deliver_once(now_ms, channel, key, *draft);
                self.confirm(now_ms, from, ticket, result);
            }
            Request::Queue { queue, request } => {
                self.handle_queue_request(now_ms, from, &queue, *request);
            }
            Request::Connection { key, order } => self.handle_order(now_ms, key, order),
            Request::Survey { ticket, survey } => self.handle_survey(now_ms, from, ticket, *survey),
            Request::Drain { drain_ms } => self.drain(now_ms, drain_ms),
            Request::Reload(live) => self.note_reload(from, live),
            // The driver's business.
            Request::Upgrade(_) => {}
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
            Delivery::Subscribed {
                ticket,
                result,
                counted,
            } => {
                let id = ConnectionId::from_bits(ticket.asker);
                self.handle_subscribed(now_ms, id, ticket.subscription, result, counted);
            }
            Delivery::PatternNoted { ticket, result } => {
                self.handle_pattern_noted(now_ms, ticket, result);
            }
            Delivery::Event { channel, event } => {
                let compressors = &mut self.codec.compressors;
                self.fanout.append_event(&channel, &event, compressors);
            }
            Delivery::Answered { ticket, answer } => self.handle_answered(now_ms, ticket, *answer),
            // Its session is told when all that has arrived is taken in: one that settles it at once
            // causes the next.
            Delivery::Handed(message) => self.handed.push_back(*message),
            Delivery::Done { ticket } => self.note_done(ticket),
            Delivery::DrainBegun => {
                self.draining_peers += 1;
                self.go_on_draining(now_ms);
            }
            Delivery::Published { ticket, result } => self.handle_published(now_ms, ticket, result),
            // No shard asks for these.
            Delivery::Reloaded { .. }
            | Delivery::Drained
            | Delivery::Surveyed { .. }
            | Delivery::Probed(_)
            | Delivery::Saved(_) => {}
        }
    }

    /// Asks the owner to number and deliver a message.
    pub(super) fn publish(
        &mut self,
        now_ms: u64,
        channel: ChannelName,
        draft: Draft,
        ticket: Option<Ticket>,
    ) {
        let owner = self.owner_of(&channel);
        let request = Request::Publish {
            channel,
            draft,
            ticket,
        };
        self.ask(now_ms, owner, request);
    }

    /// Asks the owner of a queue for something.
    pub(super) fn ask_queue(&mut self, now_ms: u64, queue: ChannelName, request: QueueRequest) {
        let owner = self.owner_of(&queue);
        let request = Box::new(request);
        self.ask(now_ms, owner, Request::Queue { queue, request });
    }

    pub(super) fn owner_of(&self, channel: &ChannelName) -> usize {
        channel.owner(&self.hasher, self.identity.shards)
    }

    pub(super) fn ask(&mut self, now_ms: u64, owner: usize, request: Request) {
        if owner == self.identity.shard {
            self.handle_request(now_ms, owner, request);
        } else {
            self.post.request(owner, request);
        }
    }

    pub(super) fn answer(&mut self, now_ms: u64, to: usize, delivery: Delivery) {
        if to == self.identity.shard {
            self.handle_delivery(now_ms, delivery);
        } else {
            self.post.deliver(to, delivery);
        }
    }

    /// Has a session told that something is done.
    pub(super) fn note_done(&mut self, ticket: Ticket) {
        self.dones.push_back(ticket);
    }

    /// Tells who has published what became of it, if it wants to know.
    fn confirm(
        &mut self,
        now_ms: u64,
        from: usize,
        ticket: Option<Ticket>,
        result: Result<Position, Refused>,
    ) {
        match ticket {
            // A session that publishes again when it is told must not be told at once.
            Some(ticket) if from == self.identity.shard => {
                self.confirmations.push_back((ticket, result));
            }
            Some(ticket) => self.answer(now_ms, from, Delivery::Published { ticket, result }),
            None => {}
        }
    }

    /// Counts a subscriber in and tells it where it begins; behind that, who has come.
    fn handle_subscribe(
        &mut self,
        now_ms: u64,
        from: usize,
        channel: &ChannelName,
        ticket: Ticket,
        wishes: Option<Box<Wishes>>,
    ) {
        let (since, info) = wishes.map_or((None, None), |wishes| (wishes.since, wishes.info));
        let joining = Joining {
            member: member_of(from, ticket),
            since,
            info,
        };
        let (result, counted, news) = match self.directory.subscribe(now_ms, channel, joining) {
            Ok(joined) => (Ok(joined.begun), joined.counted, joined.news),
            Err(refused) => (Err(refused), false, None),
        };
        let answer = Delivery::Subscribed {
            ticket,
            result,
            counted,
        };
        self.answer(now_ms, from, answer);
        if let Some((info, shards)) = news {
            self.spread(now_ms, channel, &Event::Join(info), shards);
        }
    }

    /// Publishes a message unless something was published with that key shortly before.
    fn deliver_once(
        &mut self,
        now_ms: u64,
        channel: ChannelName,
        key: Box<str>,
        draft: Draft,
    ) -> Result<Position, Refused> {
        if let Some(position) = self.idempotency.find(now_ms, &channel, &key) {
            self.counters.publications_repeated += 1;
            return Ok(position);
        }
        let position = self.deliver(now_ms, &channel, draft)?;
        self.idempotency.note(now_ms, channel, key, position);
        Ok(position)
    }

    /// Numbers a message and sends it to every shard with subscribers.
    fn deliver(
        &mut self,
        now_ms: u64,
        channel: &ChannelName,
        draft: Draft,
    ) -> Result<Position, Refused> {
        match self.directory.publish(now_ms, channel, draft) {
            Ok(Published::Now(publication, shards)) => {
                let position = publication.position;
                self.send_out(now_ms, channel, &publication, shards);
                Ok(position)
            }
            Ok(Published::Later(position)) => {
                self.counters.publications_held += 1;
                Ok(position)
            }
            Err(full) => {
                self.counters.publications_refused += 1;
                Err(full.into())
            }
        }
    }

    /// Does what channels have to do at their time: messages that were held back leave, what is too old
    /// is given up.
    pub(super) fn handle_channels_due(&mut self, now_ms: u64) {
        while let Some((channel, publication, shards)) = self.directory.handle_due(now_ms) {
            self.send_out(now_ms, &channel, &publication, shards);
        }
    }

    fn send_out(
        &mut self,
        now_ms: u64,
        channel: &ChannelName,
        publication: &Publication,
        shards: ShardSet,
    ) {
        self.counters.publications += 1;
        for shard in shards {
            let delivery = Delivery::Publication {
                channel: channel.clone(),
                publication: publication.clone(),
            };
            self.answer(now_ms, shard, delivery);
        }
        let matches = self.directory.matches(channel);
        if matches.is_empty() {
            return;
        }
        let publication = Publication {
            channel: Some(Arc::new(channel.as_str().into())),
            ..publication.clone()
        };
        for (pattern, shards) in matches {
            for shard in shards {
                let delivery = Delivery::Publication {
                    channel: pattern.clone(),
                    publication: publication.clone(),
                };
                self.answer(now_ms, shard, delivery);
            }
        }
    }

    /// Tells every shard with subscribers who has come or left.
    fn spread(&mut self, now_ms: u64, channel: &ChannelName, event: &Event, shards: ShardSet) {
        for shard in shards {
            let delivery = Delivery::Event {
                channel: channel.clone(),
                event: event.clone(),
            };
            self.answer(now_ms, shard, delivery);
        }
    }

    fn handle_queue_request(
        &mut self,
        now_ms: u64,
        from: usize,
        queue: &ChannelName,
        request: QueueRequest,
    ) {
        let mut out = Vec::new();
        let mut begun = None;
        let mut done = None;
        match request {
            QueueRequest::Send {
                kind,
                headers,
                payload,
                ticket,
            } => {
                let result = self.queues.send(queue, kind, headers, payload, &mut out);
                match &result {
                    Ok(_) => self.counters.queued += 1,
                    Err(_) => self.counters.publications_refused_queue += 1,
                }
                let result = result.map_err(Refused::from);
                self.confirm(now_ms, from, Some(ticket), result);
            }
            QueueRequest::Consume { window, ticket } => {
                let consumer = Consumer {
                    shard: from,
                    ticket,
                };
                let result = self.queues.subscribe(queue, consumer, window, &mut out);
                let result = result.map(|position| Begun {
                    position,
                    recovery: Recovery::Unasked,
                    recoverable: false,
                });
                begun = Some(Delivery::Subscribed {
                    ticket,
                    result: result.map_err(Refused::from),
                    counted: false,
                });
            }
            QueueRequest::Settle {
                ticket,
                offsets,
                verdict,
                done: asked,
            } => {
                done = asked;
                let consumer = Consumer {
                    shard: from,
                    ticket,
                };
                self.queues
                    .settle(queue, &consumer, &offsets, verdict, &mut out);
            }
            QueueRequest::Leave {
                ticket,
                done: asked,
            } => {
                done = asked;
                let consumer = Consumer {
                    shard: from,
                    ticket,
                };
                self.queues.leave(queue, &consumer, &mut out);
            }
        }
        // On its way to another shard the answer goes in front of the first message. Here, where messages
        // wait until sessions are called, it comes last: the session may cause more of them.
        let is_own = from == self.identity.shard;
        if let Some(begun) = begun.take_if(|_| !is_own) {
            self.answer(now_ms, from, begun);
        }
        if let Some(ticket) = done {
            self.answer(now_ms, from, Delivery::Done { ticket });
        }
        self.send_handed(now_ms, out);
        if let Some(begun) = begun {
            self.answer(now_ms, from, begun);
        }
    }

    /// Sends messages of queues to who has them now.
    pub(super) fn send_handed(&mut self, now_ms: u64, out: Vec<Handed<Consumer>>) {
        for Handed {
            consumer,
            publication,
            redelivered,
        } in out
        {
            let message = HandedMessage {
                ticket: consumer.ticket,
                publication,
                redelivered,
            };
            self.answer(now_ms, consumer.shard, Delivery::Handed(Box::new(message)));
        }
    }
}

/// The name by which the owner of a channel knows a subscription.
fn member_of(shard: usize, ticket: Ticket) -> MemberId {
    MemberId {
        shard,
        asker: ticket.asker,
        subscription: ticket.subscription,
    }
}
