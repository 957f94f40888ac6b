//! What a shard's driver does with mail, and what it notes of it: how many publications there are, and
//! from where on a subscriber gets them.

use pushring::metrics::Counters;
use pushring::publication::Position;
use pushring::shard::mail::{Delivery, Request, Ticket};

use super::client::{self, Role};
use super::driver::{Context, Driver};
use super::keeping::Began;
use super::subscription::To;

impl Driver {
    /// What the shard numbered and whom it subscribed at once, being the owner itself.
    pub(super) fn note_input(&self, before: &Counters, client: usize, ctx: &mut Context<'_>) {
        let after = self.shard.counters();
        let client = &mut ctx.clients[client];
        let before_it = ctx.streams.positions();
        let numbered = after.publications - before.publications;
        let held = after.publications_held - before.publications_held;
        ctx.streams.logs[client.channel].note(ctx.now_ms, numbered, held, None);
        let positions = ctx.streams.positions();
        if let Some(stomper) = &mut client.stomper {
            for one in &mut stomper.subscriptions {
                // In the midst of its own publications, if there are some in the same input.
                if let To::Topic(channel) = one.to
                    && ctx.owners[channel] == self.index
                    && one.ends_at <= client.socket.taken
                    && one.start.is_none()
                {
                    one.start = Some((before_it[channel], positions[channel]));
                    one.began_ms = ctx.now_ms;
                }
            }
            return;
        }
        // One that is told of a gap is not subscribed when that is known.
        let was_refused = client.since.is_some() && client.was_asked();
        if matches!(client.role, Role::Publisher(_))
            || !(after.subscriptions > before.subscriptions || was_refused)
        {
            return;
        }
        for (subscription, channel) in client.channels().enumerate() {
            if ctx.owners[channel] == self.index {
                client.began[subscription].get_or_insert(Began {
                    position: positions[channel],
                    at_ms: ctx.now_ms,
                });
            }
        }
        if let Some(pattern) = &mut client.pattern {
            pattern.until = positions;
        }
    }

    /// Publications that were held back until now.
    pub(super) fn note_released(&mut self, released: u64, ctx: &mut Context<'_>) {
        let mut due = 0;
        for channel in (0..ctx.owners.len()).filter(|&c| ctx.owners[c] == self.index) {
            let every_ms = ctx.plan.keepings.of(channel).every_ms;
            let log = &mut ctx.streams.logs[channel];
            due += u64::from(log.release(ctx.now_ms, every_ms));
        }
        if due != released {
            let fault = format!("{released} held publications were released, {due} were due");
            self.fault.get_or_insert(fault);
        }
    }

    pub(super) fn take_mail(&mut self, ctx: &mut Context<'_>) {
        for peer in ctx.mail.peers_of(self.index) {
            for _ in 0..ctx.plan.mail_a_turn {
                if !self.shard.takes_deliveries() {
                    break;
                }
                let Some(delivery) = ctx.mail.take_delivery(peer, self.index) else {
                    break;
                };
                if let Delivery::Subscribed {
                    ticket,
                    result: Ok(begun),
                    ..
                } = &delivery
                {
                    self.note_subscribed(*ticket, begun.position, ctx);
                }
                if let Delivery::PatternNoted { ticket, .. } = &delivery {
                    self.note_pattern(*ticket, ctx);
                }
                if let Delivery::Handed(message) = &delivery {
                    self.note_handed(message.ticket, ctx);
                }
                self.hold.taken += u64::from(peer < ctx.plan.shards);
                self.shard.handle_delivery(ctx.now_ms, delivery);
            }
            for _ in 0..ctx.plan.mail_a_turn {
                if !self.shard.takes_requests_of(peer) {
                    break;
                }
                let Some(request) = ctx.mail.take_request(peer, self.index) else {
                    break;
                };
                if let Request::Upgrade(step) = request {
                    self.note_step(ctx.now_ms, step);
                    continue;
                }
                self.hold.taken += u64::from(peer < ctx.plan.shards);
                self.take_request(peer, request, ctx);
            }
            ctx.mail.ring_if_starved(self.index, peer);
        }
    }

    fn take_request(&mut self, peer: usize, request: Request, ctx: &mut Context<'_>) {
        let channel = match &request {
            Request::Publish { channel, .. } => {
                (0..ctx.owners.len()).find(|&i| client::channel_name(i) == channel.as_str())
            }
            Request::Drain { .. } => {
                self.listens = false;
                self.resumes_at_ms = None;
                self.drain_began_ms = Some(ctx.now_ms);
                None
            }
            _ => None,
        };
        let newest = match &request {
            Request::Publish { draft, .. } => Some(draft.payload.to_vec()),
            _ => None,
        };
        if let Request::Subscribe { ticket, .. } = &request {
            let of = (peer, ticket.asker, ticket.subscription);
            ctx.streams.asked.insert(of, ctx.now_ms);
        }
        let before = self.shard.counters();
        self.shard.handle_request(ctx.now_ms, peer, request);
        if let Some(channel) = channel {
            let after = self.shard.counters();
            let numbered = after.publications - before.publications;
            let held = after.publications_held - before.publications_held;
            ctx.streams.logs[channel].note(ctx.now_ms, numbered, held, newest);
        }
    }

    fn note_handed(&self, ticket: Ticket, ctx: &mut Context<'_>) {
        let mut entries = self.entries.iter().flatten();
        let is_behind = entries.any(|e| e.id.to_bits() == ticket.asker && e.is_behind());
        *ctx.handed_behind += u64::from(is_behind);
    }

    fn note_subscribed(&self, ticket: Ticket, position: Position, ctx: &mut Context<'_>) {
        let Position { epoch, offset } = position;
        let of = (self.index, ticket.asker, ticket.subscription);
        let at_ms = ctx.streams.asked.get(&of).copied().unwrap_or(ctx.now_ms);
        let Some(client) = self.client_of(ticket) else {
            return;
        };
        let client = &mut ctx.clients[client];
        if let Some(stomper) = &mut client.stomper {
            let mut subscriptions = stomper.subscriptions.iter_mut();
            if let Some(one) = subscriptions.find(|s| s.number == ticket.subscription) {
                one.start = Some((offset, offset));
                one.began_ms = at_ms;
            }
            return;
        }
        let subscription = ticket.subscription as usize;
        client.began[subscription] = Some(Began {
            position: offset,
            at_ms,
        });
        if let Some(channel) = client.channels().nth(subscription) {
            ctx.streams.epochs[channel] = Some(epoch);
        }
    }

    /// A shard knows of a subscription to a pattern; perhaps it is the last that had to.
    fn note_pattern(&self, ticket: Ticket, ctx: &mut Context<'_>) {
        if let Some(client) = self.client_of(ticket)
            && let Some(pattern) = &mut ctx.clients[client].pattern
        {
            pattern.until = ctx.streams.positions();
        }
    }

    fn client_of(&self, ticket: Ticket) -> Option<usize> {
        let mut entries = self.entries.iter().flatten();
        let entry = entries.find(|entry| entry.id.to_bits() == ticket.asker)?;
        Some(entry.client)
    }

    pub(super) fn post_mail(&mut self, ctx: &mut Context<'_>) {
        for peer in ctx.mail.peers_of(self.index) {
            let mut entries = ctx.plan.config.mailbox.entries;
            if ctx.fault(ctx.plan.busy_peer) {
                entries *= 3;
            }
            if !self.shard.has_request_for(peer) && !self.shard.has_delivery_for(peer) {
                continue;
            }
            let mut posted = 0;
            while ctx.mail.has_room_for_request(self.index, peer, entries)
                && let Some(request) = self.shard.poll_request(peer)
            {
                ctx.mail.send_request(self.index, peer, request);
                posted += 1;
            }
            while ctx.mail.has_room_for_delivery(self.index, peer, entries)
                && let Some(delivery) = self.shard.poll_delivery(peer)
            {
                ctx.mail.send_delivery(self.index, peer, delivery);
                posted += 1;
            }
            if posted > 0 {
                ctx.mail.ring(peer);
            }
            if peer < ctx.plan.shards {
                self.hold.sent += posted;
            }
        }
    }
}
