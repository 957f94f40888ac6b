//! Drives one shard as the reactor does, on fake sockets and mailboxes.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use pushring::shard::{Admission, Batch, ConnectionId, Effect, Exception, Identity, Shard};

use super::client::{Client, Place};
use super::keeping::Streams;
use super::mail::Mail;
use super::plan::{Plan, Sabotage};
use super::rng::Rng;
use super::socket::{EAGAIN, Received};
use super::upgrade::Hold;

/// What all shards' turns have in common.
pub struct Context<'a> {
    pub now_ms: u64,
    pub rng: &'a mut Rng,
    pub plan: &'a Plan,
    pub mail: &'a mut Mail,
    pub clients: &'a mut [Client],
    pub streams: &'a mut Streams,
    /// The owner of each channel.
    pub owners: &'a [usize],
    /// No more faults.
    pub calm: bool,
    /// What the driver did deliberately wrong.
    pub sabotaged: &'a mut u64,
    /// Messages of queues for consumers that are behind.
    pub handed_behind: &'a mut u64,
}

/// The time of day when the world's clock stood at 0, in ms since 1970 (UTC).
const UNIX_BEGAN_MS: u64 = 1_700_000_000_000;

impl Context<'_> {
    /// The time of day, in ms since 1970 (UTC).
    fn unix_ms(&self) -> u64 {
        UNIX_BEGAN_MS + self.now_ms
    }
}

impl Context<'_> {
    pub(super) fn fault(&mut self, permille: usize) -> bool {
        !self.calm && self.rng.chance(permille)
    }
}

/// A one-shot poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    None,
    Armed,
    Fired,
}

pub(super) struct Entry {
    pub(super) id: ConnectionId,
    pub(super) client: usize,
    pub(super) read: Poll,
    pub(super) write: Poll,
    pub(super) closing: bool,
}

#[derive(Clone, Copy)]
pub enum Token {
    Read(u32),
    Write(u32),
}

pub struct Driver {
    pub shard: Shard,
    /// What it was made with.
    pub(super) identity: Identity,
    pub(super) index: usize,
    pub(super) entries: Vec<Option<Entry>>,
    pub(super) tokens: VecDeque<Token>,
    /// Clients that wait to be accepted.
    pub arrivals: VecDeque<usize>,
    pub(super) listens: bool,
    pub(super) resumes_at_ms: Option<u64>,
    batch: Batch,
    exceptions: Vec<Exception>,
    /// When a drain was asked for.
    pub drain_began_ms: Option<u64>,
    /// What a live upgrade has it do.
    pub(super) hold: Hold,
    /// What no shard may do.
    pub fault: Option<String>,
}

impl Entry {
    /// Whether the shard waits for its socket to take bytes.
    pub(super) fn is_behind(&self) -> bool {
        self.write != Poll::None && !self.closing
    }
}

impl Driver {
    pub fn new(shard: Shard, identity: Identity) -> Self {
        Self {
            shard,
            index: identity.shard,
            identity,
            entries: Vec::new(),
            tokens: VecDeque::new(),
            arrivals: VecDeque::new(),
            listens: true,
            resumes_at_ms: None,
            batch: Batch::default(),
            exceptions: Vec::new(),
            drain_began_ms: None,
            hold: Hold::default(),
            fault: None,
        }
    }

    /// Sockets that are open.
    pub fn sockets(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    /// Clients whose sockets are open.
    pub fn clients(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().flatten().map(|entry| entry.client)
    }

    /// When it wants to be woken at the latest.
    pub fn next_timeout_ms(&self) -> Option<u64> {
        if self.hold.is_held {
            return None;
        }
        let shard = self.shard.next_timeout_ms();
        [shard, self.resumes_at_ms].into_iter().flatten().min()
    }

    /// Reports polls that have come up, in any order.
    pub fn poll_sockets(&mut self, ctx: &mut Context<'_>) {
        let mut fired = Vec::new();
        for entry in self.entries.iter_mut().flatten() {
            let socket = &ctx.clients[entry.client].socket;
            let spurious = !ctx.calm && ctx.rng.chance(ctx.plan.spurious_poll);
            if entry.read == Poll::Armed && (spurious || socket.is_readable() || entry.closing) {
                entry.read = Poll::Fired;
                fired.push(Token::Read(entry.id.slot));
            }
            let forgotten = ctx.plan.sabotage == Some(Sabotage::ForgetWritable) && !entry.closing;
            if entry.write == Poll::Armed && (spurious || socket.is_writable() || entry.closing) {
                if forgotten {
                    *ctx.sabotaged += 1;
                    continue;
                }
                entry.write = Poll::Fired;
                fired.push(Token::Write(entry.id.slot));
            }
        }
        ctx.rng.shuffle(&mut fired);
        self.tokens.extend(fired);
    }

    /// One turn, unless the shard sleeps and nothing wakes it; whether there was one.
    pub fn turn(&mut self, ctx: &mut Context<'_>) -> bool {
        let asleep = std::mem::take(&mut ctx.mail.asleep[self.index]);
        let due = self.next_timeout_ms().is_some_and(|due| due <= ctx.now_ms);
        let may_accept = self.resumes_at_ms.is_none() && !self.hold.is_held;
        let arrivals = !self.arrivals.is_empty() && may_accept;
        if asleep && !due && !arrivals && self.tokens.is_empty() {
            ctx.mail.asleep[self.index] = true;
            return false;
        }
        self.shard.begin_turn(ctx.now_ms, ctx.unix_ms());
        self.attend(ctx);
        self.take_mail(ctx);
        if self.next_timeout_ms().is_some_and(|due| due <= ctx.now_ms) {
            self.resumes_at_ms.take_if(|at| *at <= ctx.now_ms);
            let before = self.shard.counters().publications;
            self.shard.handle_timeout(ctx.now_ms);
            self.note_released(self.shard.counters().publications - before, ctx);
        }
        self.flush(ctx);
        self.shard.end_turn();
        self.apply_effects(ctx);
        self.post_mail(ctx);
        self.answer_probes(ctx);
        ctx.mail.asleep[self.index] = !self.has_work(ctx);
        true
    }

    fn attend(&mut self, ctx: &mut Context<'_>) {
        if self.hold.is_held {
            self.hold.deferred.append(&mut self.tokens);
            return;
        }
        self.accept(ctx);
        for _ in 0..ctx.plan.tokens_a_turn {
            match self.tokens.pop_front() {
                None => return,
                Some(Token::Read(slot)) => {
                    let Some(entry) = self.entry(slot) else {
                        continue;
                    };
                    entry.read = Poll::None;
                    if entry.closing {
                        self.close_if_idle(slot, ctx);
                    } else {
                        self.read(slot, ctx);
                    }
                }
                Some(Token::Write(slot)) => {
                    let Some(entry) = self.entry(slot) else {
                        continue;
                    };
                    entry.write = Poll::None;
                    if entry.closing {
                        self.close_if_idle(slot, ctx);
                    } else {
                        let id = entry.id;
                        self.shard.handle_writable(id);
                    }
                }
            }
        }
    }

    fn accept(&mut self, ctx: &mut Context<'_>) {
        while self.resumes_at_ms.is_none() && !self.arrivals.is_empty() {
            let admission = if self.listens {
                self.shard.may_accept(ctx.now_ms)
            } else {
                Admission::Never
            };
            match admission {
                Admission::Now => {
                    let Some(client) = self.arrivals.pop_front() else {
                        return;
                    };
                    let peer = IpAddr::V4(Ipv4Addr::new(127, 0, 0, client as u8));
                    let id = self.shard.handle_accept(ctx.now_ms, peer);
                    ctx.clients[client].place = Place::Connected;
                    self.insert(id, client);
                }
                Admission::After(pause_ms) => {
                    self.resumes_at_ms = Some(ctx.now_ms + pause_ms);
                }
                Admission::Never => {
                    self.listens = false;
                    for client in self.arrivals.drain(..) {
                        ctx.clients[client].place = Place::TurnedAway;
                    }
                }
            }
        }
    }

    fn insert(&mut self, id: ConnectionId, client: usize) {
        let slot = id.slot as usize;
        if self.entries.len() <= slot {
            self.entries.resize_with(slot + 1, || None);
        }
        if self.entries[slot].is_some() {
            self.fault = Some("a slot whose socket is open was given out again".to_owned());
        }
        self.entries[slot] = Some(Entry {
            id,
            client,
            read: Poll::Armed,
            write: Poll::None,
            closing: false,
        });
    }

    fn read(&mut self, slot: u32, ctx: &mut Context<'_>) {
        let Some(entry) = self.entry(slot) else {
            return;
        };
        let (id, client) = (entry.id, entry.client);
        if !self.shard.may_read(id) {
            return;
        }
        let most = if ctx.fault(ctx.plan.short_receive) {
            ctx.rng.within(1..=64)
        } else {
            4_096
        };
        match ctx.clients[client].socket.receive(most) {
            Received::Bytes(mut bytes) => {
                let before = self.shard.counters();
                self.shard.handle_input(ctx.now_ms, id, &mut bytes);
                self.note_input(&before, client, ctx);
                self.watch_read(id);
            }
            Received::WouldBlock => self.watch_read(id),
            Received::End | Received::Reset => self.shard.handle_end(ctx.now_ms, id),
        }
    }

    fn flush(&mut self, ctx: &mut Context<'_>) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut exceptions = std::mem::take(&mut self.exceptions);
        while self.shard.poll_batch(ctx.now_ms, &mut batch) {
            exceptions.clear();
            self.scatter(&batch, &mut exceptions, ctx);
            ctx.rng.shuffle(&mut exceptions);
            self.shard.handle_scattered(ctx.now_ms, &batch, &exceptions);
            if ctx.fault(ctx.plan.long_flush) {
                break;
            }
        }
        self.batch = batch;
        self.exceptions = exceptions;
    }

    /// What the send ring does: sends without waiting, and reports exceptions only.
    fn scatter(&mut self, batch: &Batch, exceptions: &mut Vec<Exception>, ctx: &mut Context<'_>) {
        let mut slots: Vec<u32> = batch.iter().map(|(slot, _)| slot).collect();
        slots.sort_unstable();
        if slots.windows(2).any(|pair| pair[0] == pair[1]) {
            self.fault = Some("a slot stands twice in one batch".to_owned());
        }
        if batch.len() > ctx.plan.config.fanout.scatter_entries as usize {
            self.fault = Some("a batch is larger than the send ring".to_owned());
        }
        for (send, (slot, bytes)) in batch.iter().enumerate() {
            let Some(entry) = self.entries.get(slot as usize).and_then(Option::as_ref) else {
                self.fault = Some("a send to a socket that is closed".to_owned());
                continue;
            };
            let most = if ctx.clients[entry.client].reference {
                usize::MAX
            } else if ctx.fault(ctx.plan.full_socket) {
                0
            } else if ctx.fault(ctx.plan.short_send) {
                ctx.rng.within(1..=bytes.len().max(1))
            } else {
                usize::MAX
            };
            let mut result = ctx.clients[entry.client].socket.send(bytes, most);
            if result >= 0 && result as usize == bytes.len() {
                continue;
            }
            match ctx.plan.sabotage {
                Some(Sabotage::InflateShortSend) if result > 0 => {
                    *ctx.sabotaged += 1;
                    result += 1;
                }
                Some(Sabotage::HideFullSocket) if result == EAGAIN => {
                    *ctx.sabotaged += 1;
                    continue;
                }
                _ => {}
            }
            exceptions.push(Exception {
                send: send as u32,
                result,
            });
        }
    }

    fn apply_effects(&mut self, ctx: &mut Context<'_>) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Watch(id) => {
                    if let Some(entry) = self.entry_of(id)
                        && !entry.closing
                        && entry.write == Poll::None
                    {
                        entry.write = Poll::Armed;
                    }
                }
                Effect::Read(id) => self.watch_read(id),
                Effect::Finish(id) => {
                    if let Some(entry) = self.entry_of(id) {
                        let client = entry.client;
                        ctx.clients[client].socket.server_ended = true;
                    }
                }
                Effect::Close(id) => {
                    if let Some(entry) = self.entry_of(id) {
                        entry.closing = true;
                        let client = entry.client;
                        ctx.clients[client].socket.server_ended = true;
                        self.close_if_idle(id.slot, ctx);
                    }
                }
            }
        }
    }

    fn watch_read(&mut self, id: ConnectionId) {
        if let Some(entry) = self.entry_of(id)
            && !entry.closing
            && entry.read == Poll::None
        {
            entry.read = Poll::Armed;
        }
    }

    fn close_if_idle(&mut self, slot: u32, ctx: &mut Context<'_>) {
        let Some(place) = self.entries.get_mut(slot as usize) else {
            return;
        };
        let idle = |entry: &mut Entry| {
            entry.closing && entry.read == Poll::None && entry.write == Poll::None
        };
        if let Some(entry) = place.take_if(idle) {
            ctx.clients[entry.client].socket.server_closed = true;
            if ctx.plan.sabotage == Some(Sabotage::ForgetClosed) {
                *ctx.sabotaged += 1;
            } else {
                self.shard.handle_closed(entry.id);
            }
        }
    }

    /// Whether the next turn would get something done; if not, the shard sleeps.
    pub(super) fn has_work(&self, ctx: &mut Context<'_>) -> bool {
        if !self.tokens.is_empty() || self.shard.has_work() {
            return true;
        }
        let entries = ctx.plan.config.mailbox.entries;
        let takes_deliveries = self.shard.takes_deliveries();
        let (own, shard, mail) = (self.index, &self.shard, &mut *ctx.mail);
        mail.peers_of(own).any(|peer| {
            (takes_deliveries && mail.has_delivery(peer, own))
                || (mail.has_request(peer, own) && shard.takes_requests_of(peer))
                || (shard.has_request_for(peer) && mail.has_room_for_request(own, peer, entries))
                || (shard.has_delivery_for(peer) && mail.has_room_for_delivery(own, peer, entries))
        })
    }

    fn entry(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    fn entry_of(&mut self, id: ConnectionId) -> Option<&mut Entry> {
        self.entry(id.slot).filter(|entry| entry.id == id)
    }
}
