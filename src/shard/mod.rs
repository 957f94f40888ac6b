//! The brain of a core's share of the server, without sockets, threads or clocks.
//!
//! A [`Shard`] is driven from outside: by the reactor in the server, by a seeded world in the
//! simulation. Time is always an argument, in milliseconds since any fixed moment. One turn is
//!
//! 1. [`Shard::begin_turn`];
//! 2. any number of `handle_*`: what has arrived, from sockets ([`Shard::handle_accept`],
//!    [`Shard::handle_input`], [`Shard::handle_end`], [`Shard::handle_writable`],
//!    [`Shard::handle_closed`]), from other shards ([`Shard::handle_request`],
//!    [`Shard::handle_delivery`]) and from the clock ([`Shard::handle_timeout`]);
//! 3. [`Shard::poll_batch`] until there is none, each carried out and its exceptions handed to
//!    [`Shard::handle_scattered`] before the next is asked for;
//! 4. [`Shard::end_turn`], then [`Shard::poll_effect`], [`Shard::poll_request`] and
//!    [`Shard::poll_delivery`] until there is none, or no room for it; mail may be polled in front of the
//!    batches as well, so that others need not wait for them;
//! 5. a wait for more, until [`Shard::next_timeout_ms`] at the latest, or none at all while
//!    [`Shard::has_work`].
//!
//! The getters that the driver asks before it feeds the shard keep every queue bounded:
//! [`Shard::may_accept`], [`Shard::may_read`], [`Shard::takes_requests_of`],
//! [`Shard::takes_deliveries`].

#![forbid(unsafe_code)]

mod backlog;
mod batch;
mod connection;
mod dirty;
mod drain;
mod fanout;
mod flush;
mod handout;
mod lane;
mod lifecycle;
mod local;
pub mod mail;
mod merge;
mod overlaps;
mod owner;
mod patterns;
mod pool;
mod post;
mod rate;
mod recover;
mod reload;
mod save;
mod slow;
mod subscribe;
mod survey;
mod timers;
mod users;
mod wheel;

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::quality::FixedState;

pub use batch::{Batch, Exception};
pub use lifecycle::Admission;
pub use reload::Live;
pub use save::{RestoreError, SavedShard};

use crate::channel::{Directory, DirectoryLimits, Idempotency, QueueLimits, Queues, Refused};
use crate::config::Config;
use crate::endpoint::Endpoints;
use crate::metrics::Counters;
use crate::publication::{Begun, Position};
use crate::rules::Rules;
use crate::session::{self, Command};
use crate::table::Key;
use crate::ws::deflate::Codec;
use connection::Connections;
use drain::Drain;
use fanout::Fanout;
use flush::Outbox;
use mail::{Consumer, Delivery, HandedMessage, Request, Ticket};
use patterns::PendingPatterns;
use post::Post;
use rate::Bucket;
use recover::Recovered;
use survey::Errand;
use users::Users;
use wheel::Wheel;

/// Names a connection of one shard.
pub type ConnectionId = Key;

/// What a shard is made with.
#[derive(Clone)]
pub struct Identity {
    /// Its index.
    pub shard: usize,
    /// How many shards there are; the control thread is the peer of that index.
    pub shards: usize,
    /// Seeds the hash that finds a channel's owner; the same on all shards of the process.
    pub hash_seed: u64,
    /// Where this shard counts the epochs of its channels from, and with bit 57 set those of its
    /// queues: a range of its own for every shard and every start of the process.
    pub first_epoch: u64,
}

/// The bit that tells epochs of queues from those of channels.
const QUEUES: u64 = 1 << 57;

/// What the driver is to do with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Watch for the socket to take bytes again, once, then [`Shard::handle_writable`].
    Watch(ConnectionId),
    /// Read the connection again, which had been left alone because [`Shard::may_read`] said so.
    Read(ConnectionId),
    /// Shut the sending direction down: the last byte is with the kernel.
    Finish(ConnectionId),
    /// Close the socket, then [`Shard::handle_closed`]; nothing else is said about it any more.
    Close(ConnectionId),
}

/// See the module's documentation.
pub struct Shard {
    identity: Identity,
    config: Arc<Config>,
    sessions: Arc<session::Settings>,
    rules: Arc<Rules>,
    /// The time of day at the beginning of the turn, in ms since 1970 (UTC).
    unix_ms: u64,
    endpoints: Endpoints,
    hasher: FixedState,
    connections: Connections,
    fanout: Fanout,
    directory: Directory,
    queues: Queues<Consumer>,
    /// What was published to channels owned here with keys.
    idempotency: Idempotency,
    /// Whose connections there are here.
    users: Users,
    /// What users' connections have yet to be told.
    errands: VecDeque<Errand>,
    /// Subscriptions to channels that a reload has closed to all clients, by their connections' numbers.
    forbidden: VecDeque<(ConnectionId, u32)>,
    /// Connections that this turn may still tell something.
    orders_left: usize,
    /// What all its connections and lanes compress and decompress with.
    codec: Codec,
    post: Post,
    outbox: Outbox,
    wheel: Wheel,
    accepts: Bucket,
    /// Connections that are not read until there is room for what they cause.
    paused: Vec<ConnectionId>,
    effects: VecDeque<Effect>,
    drain: Option<Drain>,
    /// Shards that have begun to drain: nothing from before their drain is under way any more.
    draining_peers: usize,
    /// Shards that have not been sent word of this one's drain yet.
    drain_letters: usize,
    counters: Counters,
    /// Scratch space for one session's commands.
    commands: Vec<Command>,
    /// Subscriptions that have begun and of which their sessions have not been told.
    begun: VecDeque<BegunSubscription>,
    /// Whether somebody is telling them.
    telling: bool,
    /// Own publications of which their sessions are told in the next turn.
    confirmations: VecDeque<(Ticket, Result<Position, Refused>)>,
    /// What queues' owners have done, of which sessions are told before they are handed anything.
    dones: VecDeque<Ticket>,
    /// Messages of queues that sessions are to be handed.
    handed: VecDeque<HandedMessage>,
    /// Sessions that this turn may still hand something to.
    hands_left: usize,
    /// What those who came back have missed, as lanes send it.
    recovered: Recovered,
    /// Settings to be taken over with the next turn, and who is told then.
    reloads: VecDeque<(usize, Arc<Live>)>,
    /// Subscriptions to patterns that some shard has not answered for yet.
    pending_patterns: PendingPatterns,
}

/// A connection, its number for a subscription, and what became of that.
type BegunSubscription = (ConnectionId, u32, Result<Begun, Refused>);

impl Shard {
    /// A shard without connections, with its own instances of the endpoints; so it stays on the
    /// thread where it is made.
    pub fn new(
        identity: Identity,
        config: Arc<Config>,
        sessions: Arc<session::Settings>,
        rules: Arc<Rules>,
    ) -> Self {
        let hasher = FixedState::with_seed(identity.hash_seed);
        Self {
            connections: Connections::default(),
            fanout: Fanout::new(hasher.clone(), config.fanout.lane_bytes_max),
            directory: Directory::new(
                hasher.clone(),
                rules.namespaces.clone(),
                directory_limits(&config),
                identity.first_epoch,
            ),
            queues: Queues::new(
                hasher.clone(),
                queue_limits(&config),
                identity.first_epoch | QUEUES,
            ),
            idempotency: Idempotency::new(hasher.clone(), config.limits.idempotency_keys_max),
            users: Users::new(hasher.clone()),
            errands: VecDeque::new(),
            forbidden: VecDeque::new(),
            orders_left: 0,
            codec: Codec::new(sessions.compression),
            post: Post::new(identity.shards + 1, config.mailbox.entries),
            outbox: Outbox::default(),
            wheel: Wheel::default(),
            accepts: Bucket::new(0, u64::from(config.limits.accepts_per_second_max)),
            paused: Vec::new(),
            effects: VecDeque::new(),
            drain: None,
            draining_peers: 0,
            drain_letters: 0,
            counters: Counters::default(),
            commands: Vec::new(),
            begun: VecDeque::new(),
            telling: false,
            confirmations: VecDeque::new(),
            dones: VecDeque::new(),
            handed: VecDeque::new(),
            hands_left: 0,
            recovered: Recovered::default(),
            reloads: VecDeque::new(),
            pending_patterns: PendingPatterns::default(),
            endpoints: Endpoints::new(&sessions.routes),
            hasher,
            identity,
            config,
            sessions,
            rules,
            unix_ms: 0,
        }
    }

    /// What the driver is to do next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next request for a peer; ask only when there is room for it.
    pub fn poll_request(&mut self, peer: usize) -> Option<Request> {
        self.post.take_request(peer)
    }

    /// The next delivery for a peer; ask only when there is room for it.
    pub fn poll_delivery(&mut self, peer: usize) -> Option<Delivery> {
        let delivery = self.post.take_delivery(peer)?;
        if matches!(delivery, Delivery::DrainBegun) {
            self.drain_letters -= 1;
        }
        Some(delivery)
    }

    /// Queues a delivery of the driver's own behind the shard's.
    pub fn post_delivery(&mut self, peer: usize, delivery: Delivery) {
        self.post.deliver(peer, delivery);
    }

    /// Whether a request for that peer waits.
    pub fn has_request_for(&self, peer: usize) -> bool {
        self.post.has_request_for(peer)
    }

    /// Whether a delivery for that peer waits.
    pub fn has_delivery_for(&self, peer: usize) -> bool {
        self.post.has_delivery_for(peer)
    }

    /// Whether that peer's requests may be handed in.
    pub fn takes_requests_of(&self, peer: usize) -> bool {
        self.post.takes_requests_of(peer) && !self.fanout.is_full()
    }

    /// Whether deliveries may be handed in: no lane is so full that it must be flushed first.
    pub fn takes_deliveries(&self) -> bool {
        !self.fanout.is_full()
    }

    /// Whether the connection is to be read. When not, forget that it is readable:
    /// [`Effect::Read`] follows.
    pub fn may_read(&mut self, id: ConnectionId) -> bool {
        let congested = self.is_congested();
        let stalled = self.connections.is_stalled(id.slot);
        let Some(connection) = self.connections.table.get_mut(id) else {
            return false;
        };
        if congested && connection.publishes && !connection.paused {
            connection.paused = true;
            self.paused.push(id);
            self.counters.publisher_pauses += 1;
        }
        if connection.paused {
            return false;
        }
        if stalled {
            // Read on only when it has taken what it was given; `unstall` says so.
            connection.paused = true;
            return false;
        }
        true
    }

    /// Whether another turn would get something done without anything new arriving.
    pub fn has_work(&self) -> bool {
        self.outbox.has_work()
            || !self.reloads.is_empty()
            || self.fanout.is_dirty()
            || !self.confirmations.is_empty()
            || self.has_handouts()
            || !self.errands.is_empty()
            || !self.forbidden.is_empty()
            || !self.effects.is_empty()
            // Posting the mail may have made the room that they wait for.
            || (!self.paused.is_empty() && !self.is_congested())
    }

    /// Whether a drain has ended and nothing is left.
    pub fn is_drained(&self) -> bool {
        self.drain.is_some()
            && self.connections.table.is_empty()
            && self.all_drain()
            && self.drain_letters == 0
    }

    /// The shard's numbers as of now.
    pub fn counters(&self) -> Counters {
        let sent = self.codec.compressors.tally;
        let received = self.codec.decompressor.tally;
        let queues = self.queues.tally();
        let crowded_out = self.directory.crowded_out();
        Counters {
            compressions: sent.compressed,
            compressions_vain: sent.incompressible,
            compressed_bytes_in: sent.bytes_in,
            compressed_bytes_out: sent.bytes_out,
            decompressions: received.messages,
            decompressed_bytes_in: received.bytes_in,
            decompressed_bytes_out: received.bytes_out,
            connections: self.connections.table.len() as u64,
            lanes: self.fanout.lanes() as u64,
            channels: self.directory.len() as u64,
            history_bytes: self.directory.history_bytes() as u64,
            recovery_bytes: self.recovered.bytes() as u64,
            crowded_out_channel: crowded_out.channel,
            crowded_out_namespace: crowded_out.namespace,
            crowded_out_shard: crowded_out.shard,
            users: self.users.len() as u64,
            idempotency_forgotten: self.idempotency.forgotten_early(),
            queues: queues.queues as u64,
            queue_messages: queues.messages as u64,
            queue_unsettled: queues.unsettled as u64,
            queue_bytes: queues.bytes as u64,
            queue_discarded: queues.discarded,
            mailbox_depth: self.post.depth() as u64,
            ..self.counters
        }
    }

    /// Starts a turn: the sends of a turn are counted anew. `unix_ms` is the time of day, in ms since 1970 (UTC), for what
    /// ends at a certain time; nothing here waits by it.
    pub fn begin_turn(&mut self, now_ms: u64, unix_ms: u64) {
        self.unix_ms = unix_ms;
        self.take_over(now_ms);
        // Only those that are there: what is published in answer to one has the next turn.
        for _ in 0..self.confirmations.len() {
            if let Some((ticket, result)) = self.confirmations.pop_front() {
                self.handle_published(now_ms, ticket, result);
            }
        }
        self.hands_left = self.config.fanout.sends_per_turn_max;
        self.orders_left = self.config.fanout.sends_per_turn_max;
        self.run_errands(now_ms);
        self.end_forbidden(now_ms);
        self.outbox
            .begin_turn(self.config.fanout.sends_per_turn_max);
    }

    /// Ends a turn's flush: connections whose last word is with the kernel are finished, paused
    /// ones read again where there is room.
    pub fn end_turn(&mut self) {
        self.finish_closing();
        self.end_grants();
        if !self.paused.is_empty() && !self.is_congested() {
            for id in std::mem::take(&mut self.paused) {
                self.resume_reading(id);
            }
        }
    }

    /// What is left of connections, lanes, queues and interests: all zero when nobody is left.
    /// For tests of leaks.
    pub fn residue(&self) -> Residue {
        Residue {
            connections: self.connections.table.len(),
            lanes: self.fanout.lanes(),
            local_channels: self.fanout.channels(),
            subscriptions: self.counters.subscriptions as usize,
            several: self.connections.several(),
            backlog_bytes: self.counters.backlog_bytes as usize,
            backlogged: self.counters.backlogged as usize,
            pending_bytes: self.fanout.pending_bytes(),
            interests: self.directory.interests(),
            members: self.directory.members(),
            mail: self.post.depth(),
            consumers: self.queues.tally().consumers,
            unsettled: self.queues.tally().unsettled,
            handed: self.handed.len(),
            users: self.users.len() + self.errands.len(),
        }
    }

    fn is_congested(&self) -> bool {
        self.fanout.is_full() || self.post.is_congested()
    }

    fn resume_reading(&mut self, id: ConnectionId) {
        if self.connections.is_stalled(id.slot) {
            return;
        }
        if let Some(connection) = self.connections.table.get_mut(id)
            && connection.paused
        {
            connection.paused = false;
            self.effects.push_back(Effect::Read(id));
        }
    }
}

fn queue_limits(config: &Config) -> QueueLimits {
    QueueLimits {
        queues_max: config.queues.queues_max,
        messages_max: config.queues.queue_messages_max,
        bytes_max: config.queues.queue_bytes_max,
        total_bytes_max: config.queues.shard_bytes_max,
        window_bytes_max: config.queues.window_bytes_max,
        deliveries_max: config.queues.deliveries_max,
    }
}

fn directory_limits(config: &Config) -> DirectoryLimits {
    DirectoryLimits {
        channels_max: config.limits.channels_max,
        history_bytes_max: config.limits.history_bytes_max,
        idle_ms: config.timeouts.channel_idle_ms,
    }
}

/// See [`Shard::residue`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residue {
    /// Slots in use.
    pub connections: usize,
    /// Lanes.
    pub lanes: usize,
    /// Channels with subscribers here.
    pub local_channels: usize,
    /// Subscriptions counted.
    pub subscriptions: usize,
    /// Connections counted that have several.
    pub several: usize,
    /// Bytes in backlogs.
    pub backlog_bytes: usize,
    /// Backlogs.
    pub backlogged: usize,
    /// Bytes in lanes.
    pub pending_bytes: usize,
    /// Shards noted as interested in channels owned here.
    pub interests: usize,
    /// Subscriptions that owners count one by one.
    pub members: usize,
    /// Mail not posted.
    pub mail: usize,
    /// Consumers of queues owned here.
    pub consumers: usize,
    /// Messages of queues owned here that consumers have not settled.
    pub unsettled: usize,
    /// Messages that sessions have not been handed.
    pub handed: usize,
    /// Users with connections here, and orders to users under way.
    pub users: usize,
}

#[cfg(test)]
mod tests;
