//! What a shard does as the owner of channels and queues, and how the others ask it.

use bytes::Bytes;

use super::mail::{Consumer, Delivery, HandedMessage, QueueRequest, Request, Ticket};
use super::{ConnectionId, Shard};
use crate::channel::{ChannelName, Handed, Refused};
use crate::publication::{Kind, Position, Publication};

impl Shard {
    /// A request from a peer, or from the shard itself; as the owner of the channel.
    pub fn handle_request(&mut self, now_ms: u64, from: usize, request: Request) {
        match request {
            Request::Subscribe { channel, ticket } => {
                let result = self.directory.subscribe(now_ms, &channel, from);
                let result = result.map_err(Refused::from);
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
                self.confirm(now_ms, from, ticket, result);
            }
            Request::Queue { queue, request } => {
                self.handle_queue_request(now_ms, from, &queue, *request);
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
            // Its session is told when all that has arrived is taken in: one that settles it at once
            // causes the next.
            Delivery::Handed(message) => self.handed.push_back(*message),
            Delivery::Done { ticket } => self.note_done(ticket),
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

    fn answer(&mut self, now_ms: u64, to: usize, delivery: Delivery) {
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

    /// Numbers a message and sends it to every shard with subscribers.
    fn deliver(
        &mut self,
        now_ms: u64,
        channel: ChannelName,
        kind: Kind,
        headers: Bytes,
        payload: Bytes,
    ) -> Result<Position, Refused> {
        let (position, shards) = match self.directory.publish(now_ms, &channel) {
            Ok(published) => published,
            Err(full) => {
                self.counters.publications_refused += 1;
                return Err(full.into());
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
                let result = result.map_err(Refused::from);
                begun = Some(Delivery::Subscribed { ticket, result });
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
        if let Some(begun) = begun {
            self.answer(now_ms, from, begun);
        }
    }
}
