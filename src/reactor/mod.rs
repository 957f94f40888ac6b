//! Drives a shard on a real core: tokio-uring for readiness and waiting, the send ring for sending.
//!
//! This is the only floor with sockets, threads and `unsafe`, and it knows no protocol. Each shard
//! is driven by one task on one pinned thread; see `Reactor::run` for its turn.

mod accept;
mod clock;
mod error;
mod hold;
mod listen;
mod listeners;
mod mailbox;
mod probe;
mod ready;
mod rest;
mod rings;
mod send_ring;
mod sockets;
pub mod sys;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use error::SetupError;
pub use hold::{ResumeError, check};
pub use listen::{bind_alone, bind_shared, try_address, unanswered_max};
pub use listeners::{Given, Listener, Listeners};
pub use mailbox::{Doorbell, Mailboxes};
pub use probe::{Feature, RingTrial, SendFault};
pub use rings::try_rings;

use crate::config::Config;
use crate::metrics::ShardMetrics;
use crate::rules::Rules;
use crate::session;
use crate::shard::mail::{Delivery, Request};
use crate::shard::{Batch, Effect, Exception, Identity, Shard};
use accept::Acceptor;
use clock::Clock;
use hold::{Hold, Resumed};
use ready::{Armed, Token};
use rest::Sent;
use send_ring::SendRing;
use sockets::Sockets;

/// Tokens that one turn attends to; the rest has the next.
const TOKENS_A_TURN: usize = 512;

/// Mail of one kind from one peer that one turn takes.
const MAIL_A_TURN: usize = 1_024;

/// How long a turn sends before it looks at sockets, timers and mailboxes again.
const SENDING_A_TURN: Duration = Duration::from_millis(20);

/// What a shard's brain is made with.
pub struct Brain {
    /// Which shard it is.
    pub identity: Identity,
    /// The settings.
    pub config: Arc<Config>,
    /// What its sessions have in common with those of the others.
    pub sessions: Arc<session::Settings>,
    /// What holds for channels and users.
    pub rules: Arc<Rules>,
}

/// What a shard's thread is started with.
pub struct Parts {
    /// For its brain.
    pub brain: Brain,
    /// Its listening socket.
    pub listener: Listener,
    /// Its mailboxes.
    pub mail: Mailboxes,
    /// Where its numbers are published.
    pub metrics: Arc<ShardMetrics>,
    /// The core to stay on, if there are enough.
    pub core: Option<usize>,
    /// What the process before this one has left of it, after a live upgrade.
    pub saved: Option<Bytes>,
}

/// Runs a shard on the calling thread until it has drained.
///
/// `ready` is called once, when connections can be accepted or it is clear that they cannot. Only
/// if it returns true does the shard begin to.
pub fn run(parts: Parts, ready: impl FnOnce(Result<(), SetupError>) -> bool) {
    if let Some(core) = parts.core
        && let Err(error) = sys::pin_to(core)
    {
        tracing::warn!("cannot stay on core {core}: {error}");
    }
    match rings::set_up(&parts.brain.config, parts.saved.is_some()) {
        Ok((runtime, ring)) => {
            runtime.block_on(async {
                match Reactor::new(parts, ring) {
                    Ok(reactor) => reactor.run(ready).await,
                    Err(error) => {
                        ready(Err(error.into()));
                    }
                }
            });
        }
        Err(error) => {
            ready(Err(error));
        }
    }
}

struct Reactor {
    shard: Shard,
    sockets: Sockets,
    acceptor: Acceptor,
    ring: SendRing,
    mail: Mailboxes,
    bell: Option<Armed>,
    clock: Clock,
    /// Tokens that have come up and wait for attention.
    tokens: VecDeque<Token>,
    /// What is received goes here first, of whichever connection.
    scratch: Box<[u8]>,
    batch: Batch,
    exceptions: Vec<Exception>,
    metrics: Arc<ShardMetrics>,
    turn_count: u64,
    turn_ns: u64,
    published_ms: u64,
    hold: Hold,
}

impl Reactor {
    /// The brain is made on its own thread: endpoints need not be able to move to another.
    fn new(mut parts: Parts, ring: SendRing) -> Result<Self, ResumeError> {
        let Some(saved) = parts.saved.take() else {
            let Brain {
                identity,
                config,
                sessions,
                rules,
            } = &parts.brain;
            let shard = Shard::new(
                identity.clone(),
                config.clone(),
                sessions.clone(),
                rules.clone(),
            );
            return Ok(Self::with(shard, parts, ring));
        };
        let (shard, resumed) = Resumed::new(&parts.brain, &saved)?;
        let mut reactor = Self::with(shard, parts, ring);
        reactor.resume(resumed)?;
        Ok(reactor)
    }

    fn with(shard: Shard, parts: Parts, ring: SendRing) -> Self {
        Self {
            shard,
            sockets: Sockets::default(),
            acceptor: Acceptor::new(parts.listener),
            ring,
            mail: parts.mail,
            bell: None,
            clock: Clock::start(),
            tokens: VecDeque::new(),
            scratch: vec![0; parts.brain.config.fanout.recv_bytes].into_boxed_slice(),
            batch: Batch::default(),
            exceptions: Vec::new(),
            metrics: parts.metrics,
            turn_count: 0,
            turn_ns: 0,
            published_ms: u64::MAX,
            hold: Hold::default(),
        }
    }

    async fn run(mut self, ready: impl FnOnce(Result<(), SetupError>) -> bool) {
        if !ready(Ok(())) {
            return;
        }
        self.acceptor.watch();
        self.watch_bell();
        loop {
            let began = Instant::now();
            let now_ms = self.clock.now_ms();
            self.shard.begin_turn(now_ms, clock::unix_ms());
            self.attend(now_ms);
            self.take_mail(now_ms);
            if self.next_timeout_ms().is_some_and(|due| due <= now_ms) {
                self.acceptor.resume(now_ms);
                self.shard.handle_timeout(now_ms);
            }
            // Other shards, and those who wait for an answer, need not wait for this one's sends.
            self.post_mail();
            let sent = self.flush(now_ms, began);
            self.shard.end_turn();
            self.apply_effects();
            self.post_mail();
            self.answer_steps();
            self.note_turn(began, now_ms);
            if self.shard.is_drained() {
                self.say_drained().await;
                return;
            }
            self.rest(&sent).await;
            self.wait().await;
        }
    }

    /// Attends to what the kernel has reported.
    fn attend(&mut self, now_ms: u64) {
        ready::take_ready(&mut self.tokens);
        for _ in 0..TOKENS_A_TURN {
            let Some(token) = self.tokens.pop_front() else {
                return;
            };
            if self.hold.defers(token) {
                continue;
            }
            match token {
                Token::Read(slot) => {
                    if self.sockets.complete(token) {
                        self.read(now_ms, slot);
                    } else {
                        self.close_if_idle(slot);
                    }
                }
                Token::Write(slot) => {
                    if self.sockets.complete(token) {
                        if let Some((id, _)) = self.sockets.get(slot) {
                            self.shard.handle_writable(id);
                        }
                    } else {
                        self.close_if_idle(slot);
                    }
                }
                Token::Listener => {
                    self.acceptor
                        .accept(now_ms, &mut self.shard, &mut self.sockets);
                }
                Token::Doorbell => {
                    self.mail.bell().clear();
                    self.watch_bell();
                }
            }
        }
    }

    /// Receives once and watches on: who has sent more than fits comes up again.
    fn read(&mut self, now_ms: u64, slot: u32) {
        let Some((id, fd)) = self.sockets.get(slot) else {
            return;
        };
        if !self.shard.may_read(id) {
            return;
        }
        match sys::recv(fd, &mut self.scratch) {
            Ok(0) => self.shard.handle_end(now_ms, id),
            Ok(received) => {
                self.shard
                    .handle_input(now_ms, id, &mut self.scratch[..received]);
                self.sockets.watch_read(id);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                self.sockets.watch_read(id);
            }
            Err(_) => self.shard.handle_end(now_ms, id),
        }
    }

    /// Takes mail: deliveries first, for they cause no further mail.
    fn take_mail(&mut self, now_ms: u64) {
        for peer in self.mail.peers() {
            for _ in 0..MAIL_A_TURN {
                if !self.shard.takes_deliveries() {
                    break;
                }
                let Some(delivery) = self.mail.take_delivery(peer) else {
                    break;
                };
                self.hold.taken += u64::from(self.is_shard(peer));
                self.shard.handle_delivery(now_ms, delivery);
            }
            for _ in 0..MAIL_A_TURN {
                if !self.shard.takes_requests_of(peer) {
                    break;
                }
                let Some(request) = self.mail.take_request(peer) else {
                    break;
                };
                if let Request::Upgrade(step) = request {
                    self.note_step(now_ms, step);
                    continue;
                }
                self.hold.taken += u64::from(self.is_shard(peer));
                self.acceptor.note_request(&request);
                self.shard.handle_request(now_ms, peer, request);
            }
            self.mail.ring_if_starved(peer);
        }
    }

    /// Carries out all sends of the turn, or as many as fit into its time.
    fn flush(&mut self, now_ms: u64, began: Instant) -> Sent {
        let mut sent = Sent::default();
        let flush_began = Instant::now();
        while self.shard.poll_batch(now_ms, &mut self.batch) {
            self.exceptions.clear();
            if let Err(error) =
                self.ring
                    .scatter(&self.batch, self.sockets.fds(), &mut self.exceptions)
            {
                // The kernel has no memory for the batch or the like: nobody's fault, and as if
                // every socket had been full.
                tracing::error!("a batch of {} sends failed: {error}", self.batch.len());
                self.exceptions.clear();
                self.exceptions
                    .extend((0..self.batch.len() as u32).map(|send| Exception {
                        send,
                        result: -libc::EAGAIN,
                    }));
            }
            self.shard
                .handle_scattered(now_ms, &self.batch, &self.exceptions);
            sent.sends += self.batch.len() as u64;
            sent.bytes += self.batch.bytes_len();
            if began.elapsed() > SENDING_A_TURN {
                break;
            }
        }
        if sent.sends > 0 {
            sent.took = flush_began.elapsed();
        }
        sent
    }

    /// After a flush of many short sends during which more has come in, lets still more come in: what
    /// arrives together leaves together, and a send costs much the same however much it holds.
    async fn rest(&mut self, sent: &Sent) {
        let rest = sent.rest(self.shard.config().fanout.rest_percent);
        if rest.is_zero() || self.shard.has_work() {
            return;
        }
        self.enter_kernel().await;
        if self.has_work() {
            // The thread has nothing else to do.
            std::thread::sleep(rest);
        }
    }

    fn apply_effects(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Watch(id) => self.sockets.watch_write(id),
                Effect::Read(id) => self.sockets.watch_read(id),
                Effect::Finish(id) => self.sockets.finish(id),
                Effect::Close(id) => {
                    self.sockets.shut_down(id);
                    self.close_if_idle(id.slot);
                }
            }
        }
    }

    fn close_if_idle(&mut self, slot: u32) {
        if let Some(id) = self.sockets.close_if_idle(slot) {
            self.shard.handle_closed(id);
            self.acceptor.note_closed();
        }
    }

    /// Posts as much mail as has room, and rings at each peer once.
    fn post_mail(&mut self) {
        for peer in self.mail.peers() {
            if !self.shard.has_request_for(peer) && !self.shard.has_delivery_for(peer) {
                continue;
            }
            let mut posted = 0;
            while self.mail.has_room_for_request(peer)
                && let Some(request) = self.shard.poll_request(peer)
            {
                posted += u64::from(self.mail.send_request(peer, request).is_ok());
            }
            while self.mail.has_room_for_delivery(peer)
                && let Some(delivery) = self.shard.poll_delivery(peer)
            {
                posted += u64::from(self.mail.send_delivery(peer, delivery).is_ok());
            }
            if posted > 0 {
                self.mail.ring(peer);
            }
            if self.is_shard(peer) {
                self.hold.sent += posted;
            }
        }
    }

    /// Lets the thread park, without which nothing that was armed reaches the kernel; sleeps only
    /// when there is nothing to do.
    async fn wait(&mut self) {
        if !self.has_work() {
            self.mail.bell().fall_asleep();
            if !self.has_work() {
                self.publish_metrics();
                let due_ms = self.next_timeout_ms();
                match due_ms {
                    None => ready::wait().await,
                    Some(due_ms) => {
                        let timeout = self.clock.until(due_ms);
                        // Either way there is a new turn.
                        let _ = tokio::time::timeout(timeout, ready::wait()).await;
                    }
                }
                self.mail.bell().wake_up();
                return;
            }
            self.mail.bell().wake_up();
        }
        self.enter_kernel().await;
    }

    /// Parks the thread, but does not let it sleep.
    async fn enter_kernel(&mut self) {
        // Completes at once, but only after the thread has been in the kernel.
        if let Err(error) = tokio_uring::no_op().await {
            tracing::error!("the reactor's ring refused a no-op: {error}");
        }
    }

    /// Whether a turn would get something done now.
    fn has_work(&mut self) -> bool {
        if !self.tokens.is_empty() || !ready::is_empty() || self.shard.has_work() {
            return true;
        }
        let takes_deliveries = self.shard.takes_deliveries();
        self.mail.peers().any(|peer| {
            (takes_deliveries && self.mail.has_delivery(peer))
                || (self.mail.has_request(peer) && self.shard.takes_requests_of(peer))
                || (self.shard.has_request_for(peer) && self.mail.has_room_for_request(peer))
                || (self.shard.has_delivery_for(peer) && self.mail.has_room_for_delivery(peer))
        })
    }

    /// Whether a peer is a shard, not the control thread.
    fn is_shard(&self, peer: usize) -> bool {
        self.mail.peers().last() != Some(peer)
    }

    fn next_timeout_ms(&self) -> Option<u64> {
        if self.hold.is_held() {
            return None;
        }
        let shard = self.shard.next_timeout_ms();
        let accept = self.acceptor.resumes_at_ms();
        [shard, accept].into_iter().flatten().min()
    }

    fn watch_bell(&mut self) {
        self.bell = Some(Armed::new(
            Token::Doorbell,
            self.mail.bell().fd(),
            libc::POLLIN,
        ));
    }

    fn note_turn(&mut self, began: Instant, now_ms: u64) {
        let took = began.elapsed();
        self.turn_count += 1;
        self.turn_ns += took.as_nanos() as u64;
        self.metrics.note_turn(took.as_micros() as u64);
        // Nobody reads more often than that.
        if now_ms != self.published_ms {
            self.published_ms = now_ms;
            self.publish_metrics();
        }
    }

    fn publish_metrics(&self) {
        let mut counters = self.shard.counters();
        counters.turns = self.turn_count;
        counters.turn_ns = self.turn_ns;
        self.metrics.publish(&counters);
    }

    /// Tells the control thread that nothing is left to be done.
    async fn say_drained(&mut self) {
        self.publish_metrics();
        let Some(control) = self.mail.peers().last() else {
            return;
        };
        // Answers first: somebody waits for them.
        while self.shard.has_delivery_for(control) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.post_mail();
        }
        let mut drained = Delivery::Drained;
        while let Err(full) = self.mail.send_delivery(control, drained) {
            drained = full;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.mail.ring(control);
    }
}

/// Whether a request ends the accepting of connections.
fn is_drain(request: &Request) -> bool {
    matches!(request, Request::Drain { .. })
}
