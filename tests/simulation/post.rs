//! What a shard's driver does with mail, and what it notes of it: how many publications there are, and
//! from where on a subscriber gets them.

use pushring::metrics::Counters;
use pushring::shard::mail::{Delivery, Request, Ticket};

use super::client::{self, Role};
use super::driver::{Context, Driver};
use super::subscription::To;

impl Driver {
    /// What the shard numbered and whom it subscribed at once, being the owner itself.
    pub(super) fn note_input(&self, before: &Counters, client: usize, ctx: &mut Context<'_>) {
        let after = self.shard.counters();
        let client = &mut ctx.clients[client];
        let numbered_before = ctx.numbered.to_vec();
        ctx.numbered[client.channel] += after.publications - before.publications;
        if let Some(stomper) = &mut client.stomper {
            for one in &mut stomper.subscriptions {
                // In the midst of its own publications, if there are some in the same input.
                if let To::Topic(channel) = one.to
                    && ctx.owners[channel] == self.index
                    && one.ends_at <= client.socket.taken
                    && one.start.is_none()
                {
                    one.start = Some((numbered_before[channel], ctx.numbered[channel]));
                }
            }
            return;
        }
        if !matches!(client.role, Role::Publisher(_)) && after.subscriptions > before.subscriptions
        {
            for (start, channel) in client.channels().enumerate() {
                if ctx.owners[channel] == self.index {
                    client.starts[start] = Some(ctx.numbered[channel]);
                }
            }
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
                    self.note_subscribed(*ticket, begun.position.offset, ctx);
                }
                if let Delivery::Handed(message) = &delivery {
                    self.note_handed(message.ticket, ctx);
                }
                self.shard.handle_delivery(ctx.now_ms, delivery);
            }
            for _ in 0..ctx.plan.mail_a_turn {
                if !self.shard.takes_requests_of(peer) {
                    break;
                }
                let Some(request) = ctx.mail.take_request(peer, self.index) else {
                    break;
                };
                self.take_request(peer, request, ctx);
            }
            ctx.mail.ring_if_starved(self.index, peer);
        }
    }

    fn take_request(&mut self, peer: usize, request: Request, ctx: &mut Context<'_>) {
        let channel = match &request {
            Request::Publish { channel, .. } => {
                (0..ctx.numbered.len()).find(|&i| client::channel_name(i) == channel.as_str())
            }
            Request::Drain { .. } => {
                self.listens = false;
                self.resumes_at_ms = None;
                self.drain_began_ms = Some(ctx.now_ms);
                None
            }
            _ => None,
        };
        let before = self.shard.counters().publications;
        self.shard.handle_request(ctx.now_ms, peer, request);
        if let Some(channel) = channel {
            ctx.numbered[channel] += self.shard.counters().publications - before;
        }
    }

    fn note_handed(&self, ticket: Ticket, ctx: &mut Context<'_>) {
        let mut entries = self.entries.iter().flatten();
        let is_behind = entries.any(|e| e.id.to_bits() == ticket.asker && e.is_behind());
        *ctx.handed_behind += u64::from(is_behind);
    }

    fn note_subscribed(&self, ticket: Ticket, offset: u64, ctx: &mut Context<'_>) {
        let entry = self
            .entries
            .iter()
            .flatten()
            .find(|entry| entry.id.to_bits() == ticket.asker);
        if let Some(entry) = entry {
            if let Some(stomper) = &mut ctx.clients[entry.client].stomper {
                let subscriptions = &mut stomper.subscriptions;
                if let Some(one) = subscriptions
                    .iter_mut()
                    .find(|s| s.number == ticket.subscription)
                {
                    one.start = Some((offset, offset));
                }
                return;
            }
            ctx.clients[entry.client].starts[ticket.subscription as usize] = Some(offset);
        }
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
            let mut posted = false;
            while ctx.mail.has_room_for_request(self.index, peer, entries)
                && let Some(request) = self.shard.poll_request(peer)
            {
                ctx.mail.send_request(self.index, peer, request);
                posted = true;
            }
            while ctx.mail.has_room_for_delivery(self.index, peer, entries)
                && let Some(delivery) = self.shard.poll_delivery(peer)
            {
                ctx.mail.send_delivery(self.index, peer, delivery);
                posted = true;
            }
            if posted {
                ctx.mail.ring(peer);
            }
        }
    }
}
