//! A connection's way from being accepted to being closed.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};

use super::connection::{Connection, Extra, Phase, Place, Subscriptions};
use super::mail::{QueueRequest, Request, Ticket};
use super::rate::Bucket;
use super::subscribe::ticket_of;
use super::wheel::Tick;
use super::{ConnectionId, Effect, Identity, Shard};
use crate::channel::{Answer, Refused, Verdict};
use crate::endpoint::{ClosedFor, ConnectionName, Error, Order};
use crate::publication::Position;
use crate::session::{Command, Framing, Progress, Session, Surroundings};
use crate::ws::close::CloseCode;
use crate::ws::handshake::Refusal;

/// Connections over the limit that may be there at one time to be told so.
const REFUSALS_AT_ONCE: usize = 64;

/// Seconds after which a refused client may try again.
const RETRY_AFTER_S: u32 = 5;

/// Whether the driver may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// One more.
    Now,
    /// Not for so many ms.
    After(u64),
    /// Never again: the shard is draining.
    Never,
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Slow,
    Rate,
    Subscriptions,
    Shutdown,
    Upgrade,
}

impl Reason {
    fn close(self) -> (CloseCode, &'static str) {
        match self {
            Self::Slow => (
                CloseCode::TRY_AGAIN_LATER,
                "too slow: more was waiting for you than the server keeps",
            ),
            Self::Rate => (
                CloseCode::POLICY,
                "too many messages or bytes a second: send less",
            ),
            Self::Subscriptions => (
                CloseCode::POLICY,
                "too many subscriptions: unsubscribe first",
            ),
            Self::Shutdown => (CloseCode::GOING_AWAY, "the server is shutting down"),
            Self::Upgrade => (
                CloseCode::SERVICE_RESTART,
                "the server is being upgraded: connect again",
            ),
        }
    }
}

impl Shard {
    /// Whether one more connection may be accepted.
    pub fn may_accept(&mut self, now_ms: u64) -> Admission {
        if self.drain.is_some() {
            return Admission::Never;
        }
        if self.connections.table.len() >= self.config.limits.connections_max + REFUSALS_AT_ONCE {
            self.counters.accept_full += 1;
            return Admission::After(100);
        }
        let rate = u64::from(self.config.limits.accepts_per_second_max);
        match self.accepts.wait_ms(now_ms, rate) {
            0 => Admission::Now,
            wait_ms => {
                self.counters.accept_throttled += 1;
                Admission::After(wait_ms)
            }
        }
    }

    /// Notes that the driver has no file descriptor left to accept with.
    pub fn note_starved(&mut self) {
        self.counters.accept_starved += 1;
    }

    /// Takes a connection in. One too many is taken in as well, to be told so once its request
    /// has been read.
    pub fn handle_accept(&mut self, now_ms: u64, peer: IpAddr) -> ConnectionId {
        self.counters.accepted += 1;
        let rate = u64::from(self.config.limits.accepts_per_second_max);
        self.accepts.take(now_ms, rate, 1);
        let per_peer = self.config.limits.connections_per_peer_max;
        let refusal = if self.connections.table.len() >= self.config.limits.connections_max {
            self.counters.refused_full += 1;
            Some(
                Refusal::new(
                    503,
                    "the server has as many connections as it takes (limits.connections_max)",
                )
                .with_retry_after(RETRY_AFTER_S),
            )
        } else if per_peer != 0 && self.connections.of_peer(peer) >= per_peer {
            self.counters.refused_peer += 1;
            Some(
                Refusal::new(
                    429,
                    "too many connections from your address (limits.connections_per_peer_max)",
                )
                .with_retry_after(RETRY_AFTER_S),
            )
        } else {
            None
        };
        let counted = per_peer != 0 && refusal.is_none();
        let id = self.connections.insert(Connection {
            session: Session::new(peer, refusal),
            subscriptions: Subscriptions::None,
            backlog: None,
            extra: counted.then(|| {
                Box::new(Extra {
                    peer: Some(peer),
                    ..Extra::default()
                })
            }),
            timer: Tick(0),
            heard: Tick::at(now_ms),
            since: Tick::at(now_ms),
            phase: Phase::Handshake,
            pinged: false,
            publishes: false,
            paused: false,
        });
        let due = Tick::after(now_ms, self.config.timeouts.head_ms);
        self.schedule(id, due);
        id
    }

    /// Takes bytes in that a connection has sent, all of them. They are used as scratch space.
    pub fn handle_input(&mut self, now_ms: u64, id: ConnectionId, input: &mut [u8]) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        self.counters.bytes_in += input.len() as u64;
        connection.heard = Tick::at(now_ms);
        connection.pinged = false;
        if matches!(connection.phase, Phase::Closing | Phase::Gone) {
            return;
        }
        let handshaking = connection.phase == Phase::Handshake;
        let input_len = input.len();
        let Some((progress, mut commands)) =
            self.with_session(id, |session, around| session.handle_input(input, around))
        else {
            return;
        };
        self.count(progress, handshaking);
        if self.is_over_rate(now_ms, id, progress.messages, input_len) {
            self.counters.closed_rate += 1;
            commands.clear();
            self.end(now_ms, id, Reason::Rate);
        }
        self.handle_commands(now_ms, id, commands);
    }

    /// Does what somebody outside of the connection's callbacks has ordered.
    pub(super) fn handle_order(&mut self, now_ms: u64, id: ConnectionId, order: Order) {
        self.call_session(now_ms, id, |session, around| {
            session.handle_order(order, around);
        });
    }

    /// Tells a session what became of its publication.
    pub(super) fn handle_published(
        &mut self,
        now_ms: u64,
        ticket: Ticket,
        result: Result<Position, Refused>,
    ) {
        let id = ConnectionId::from_bits(ticket.asker);
        self.call_session(now_ms, id, |session, around| {
            session.handle_published(ticket.subscription, result, around);
        });
    }

    /// Tells a session what a channel's owner has answered.
    pub(super) fn handle_answered(&mut self, now_ms: u64, ticket: Ticket, answer: Answer) {
        let id = ConnectionId::from_bits(ticket.asker);
        self.call_session(now_ms, id, |session, around| {
            session.handle_answered(ticket.subscription, answer, around);
        });
    }

    /// Tells a session that something it has asked for is done.
    pub(super) fn handle_done(&mut self, now_ms: u64, ticket: Ticket) {
        let id = ConnectionId::from_bits(ticket.asker);
        self.call_session(now_ms, id, |session, around| {
            session.handle_done(ticket.subscription, around);
        });
    }

    /// The peer will send nothing more, or is gone.
    pub fn handle_end(&mut self, now_ms: u64, id: ConnectionId) {
        self.drop_connection(now_ms, id);
    }

    /// The driver has closed the socket as [`Effect::Close`] told it to.
    pub fn handle_closed(&mut self, id: ConnectionId) {
        if self.connections.remove(id).is_some() {
            self.counters.closed += 1;
        }
    }

    /// Says the last word to a connection and closes it when that is out. `false` when it was
    /// being closed already.
    pub(super) fn end(&mut self, now_ms: u64, id: ConnectionId, reason: Reason) -> bool {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return false;
        };
        if matches!(connection.phase, Phase::Closing | Phase::Gone) {
            return false;
        }
        let (code, text) = reason.close();
        let refusal = Refusal::new(503, text).with_retry_after(RETRY_AFTER_S);
        let is_limit = !matches!(reason, Reason::Shutdown | Reason::Upgrade);
        let error = is_limit.then_some(Error::Limit { code, reason: text });
        let mut last_words = BytesMut::new();
        let mut commands = std::mem::take(&mut self.commands);
        let framing = connection.session.framing();
        let is_behind = connection.backlog.is_some();
        connection.session.end(
            code,
            text,
            error.as_ref(),
            &refusal,
            &mut Surroundings {
                settings: &self.sessions,
                rules: &self.rules,
                unix_ms: self.unix_ms,
                is_behind,
                endpoints: &mut self.endpoints,
                codec: &mut self.codec,
                name: name_of(&self.identity, id),
                replies: &mut last_words,
                commands: &mut commands,
            },
        );
        self.say_last(id, last_words.freeze(), framing, reason);
        self.begin_closing(now_ms, id);
        self.handle_commands(now_ms, id, commands);
        true
    }

    /// Answers a request that did not become complete in time, and closes the connection.
    pub(super) fn end_handshake(&mut self, now_ms: u64, id: ConnectionId) {
        self.counters.refused_late += 1;
        let refusal = Refusal::new(
            408,
            "the request head did not arrive in time (timeouts.head_ms)",
        );
        self.with_session(id, |session, around| {
            session.end(CloseCode::POLICY, "", None, &refusal, around);
        });
        self.begin_closing(now_ms, id);
    }

    /// Ends a connection without a word and tells the driver to close its socket.
    pub(super) fn drop_connection(&mut self, now_ms: u64, id: ConnectionId) {
        self.leave_all(now_ms, id);
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        if connection.phase == Phase::Gone {
            return;
        }
        connection.phase = Phase::Gone;
        if let Some(backlog) = connection.backlog.take() {
            self.counters.backlog_bytes -= backlog.bytes() as u64;
            self.counters.backlogged -= 1;
            self.connections.unstall(id.slot);
        }
        self.effects.push_back(Effect::Close(id));
        self.call_session(now_ms, id, Session::lose);
    }

    /// Lets a session work and does what it wants.
    pub(super) fn call_session(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        work: impl FnOnce(&mut Session, &mut Surroundings<'_>),
    ) {
        if let Some(((), commands)) = self.with_session(id, work) {
            self.handle_commands(now_ms, id, commands);
        }
    }

    /// Lets a session work; what it replies is noted, what it wants is returned for
    /// [`Shard::handle_commands`].
    fn with_session<T>(
        &mut self,
        id: ConnectionId,
        work: impl FnOnce(&mut Session, &mut Surroundings<'_>) -> T,
    ) -> Option<(T, Vec<Command>)> {
        let connection = self.connections.table.get_mut(id)?;
        let replies_from = self.outbox.replies_len();
        let mut commands = std::mem::take(&mut self.commands);
        let is_behind = connection.backlog.is_some();
        let done = work(
            &mut connection.session,
            &mut Surroundings {
                settings: &self.sessions,
                rules: &self.rules,
                unix_ms: self.unix_ms,
                is_behind,
                endpoints: &mut self.endpoints,
                codec: &mut self.codec,
                name: name_of(&self.identity, id),
                replies: self.outbox.replies(),
                commands: &mut commands,
            },
        );
        self.outbox.note_reply(id, replies_from);
        Some((done, commands))
    }

    fn handle_commands(&mut self, now_ms: u64, id: ConnectionId, mut commands: Vec<Command>) {
        for command in commands.drain(..) {
            self.handle_command(now_ms, id, command);
        }
        // The list is kept for its room.
        self.commands = commands;
    }

    /// Queues a connection's last bytes. Where it is slow they stand behind the frame or the event it is in
    /// the middle of; but whoever is closed only because the server ends is sent all before them.
    fn say_last(&mut self, id: ConnectionId, last_words: Bytes, framing: Framing, reason: Reason) {
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        match &mut connection.backlog {
            Some(backlog) if !matches!(reason, Reason::Shutdown | Reason::Upgrade) => {
                self.counters.backlog_bytes -= backlog.bytes() as u64;
                backlog.cut_to(last_words, framing);
                self.counters.backlog_bytes += backlog.bytes() as u64;
            }
            _ => {
                let replies_from = self.outbox.replies_len();
                self.outbox.replies().extend_from_slice(&last_words);
                self.outbox.note_reply(id, replies_from);
            }
        }
    }

    /// The last word has been said: no more publications, a short while for it to get through.
    fn begin_closing(&mut self, now_ms: u64, id: ConnectionId) {
        self.leave_all(now_ms, id);
        let Some(connection) = self.connections.table.get_mut(id) else {
            return;
        };
        connection.phase = Phase::Closing;
        connection.since = Tick::at(now_ms);
        self.outbox.note_closing(id);
        let due = Tick::after(now_ms, self.config.timeouts.linger_ms);
        self.schedule_no_later(id, due);
        // What is still on its way must be read: unread bytes would turn the close into a reset.
        self.resume_reading(id);
    }

    fn handle_command(&mut self, now_ms: u64, id: ConnectionId, command: Command) {
        match command {
            Command::Opened => {
                self.counters.handshakes += 1;
                if let Some(connection) = self.connections.table.get_mut(id) {
                    connection.phase = Phase::Open;
                    self.counters.event_streams += u64::from(connection.session.is_event_stream());
                }
            }
            Command::Subscribe {
                subscription,
                subscribe,
            } => self.subscribe(now_ms, id, subscription, subscribe),
            Command::Ask {
                channel,
                question,
                ticket,
            } => {
                self.note_publishes(id);
                let owner = self.owner_of(&channel);
                let request = Request::Ask {
                    channel,
                    question,
                    ticket: ticket_of(id, ticket),
                };
                self.ask(now_ms, owner, request);
            }
            Command::Consume {
                subscription,
                queue,
                window,
            } => self.consume(now_ms, id, subscription, queue, window),
            Command::Unsubscribe { which, ticket } => {
                self.unsubscribe(now_ms, id, &which, ticket);
            }
            Command::Publish {
                channel,
                draft,
                ticket,
            } => {
                self.note_publishes(id);
                let ticket = ticket.map(|number| ticket_of(id, number));
                self.publish(now_ms, channel, draft, ticket);
            }
            Command::Enqueue {
                queue,
                kind,
                headers,
                payload,
                ticket,
            } => {
                self.note_publishes(id);
                let request = QueueRequest::Send {
                    kind,
                    headers,
                    payload,
                    ticket: ticket_of(id, ticket),
                };
                self.ask_queue(now_ms, queue, request);
            }
            Command::Settle {
                subscription,
                offsets,
                verdict,
                ticket,
            } => {
                self.note_publishes(id);
                let done = ticket.map(|number| ticket_of(id, number));
                self.settle(now_ms, id, subscription, offsets, verdict, done);
            }
            Command::NoteClosed(why) => self.count_closed(why),
            Command::Identify { user, client } => self.identify(id, &user, &client),
            Command::SetHeartbeat(heartbeat) => self.set_heartbeat(now_ms, id, heartbeat),
            Command::SetDeadline(after_ms) => self.set_deadline(now_ms, id, after_ms),
            Command::Close => self.begin_closing(now_ms, id),
        }
    }

    /// Says what became of messages of a queue, if the connection still consumes it.
    fn settle(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        number: u32,
        offsets: Vec<u64>,
        verdict: Verdict,
        done: Option<Ticket>,
    ) {
        let subscription = self
            .connections
            .table
            .get_mut(id)
            .and_then(|connection| connection.subscriptions.find_mut(number));
        if let Some(Place::Queue(queue)) = subscription.map(|subscription| &subscription.place) {
            let queue = (**queue).clone();
            let request = QueueRequest::Settle {
                ticket: ticket_of(id, number),
                offsets,
                verdict,
                done,
            };
            self.ask_queue(now_ms, queue, request);
        } else if let Some(done) = done {
            self.note_done(done);
        }
    }

    /// The connection causes requests: it is paused when those have no room.
    fn note_publishes(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.table.get_mut(id) {
            connection.publishes = true;
        }
    }

    fn count(&mut self, progress: Progress, handshaking: bool) {
        self.counters.messages_in += u64::from(progress.messages);
        if progress.unauthorized {
            self.counters.refused_unauthorized += 1;
        } else if progress.refused && handshaking {
            self.counters.refused_request += 1;
        } else if progress.refused {
            self.counters.closed_protocol += 1;
        }
    }

    fn count_closed(&mut self, why: ClosedFor) {
        let counter = match why {
            ClosedFor::Window => &mut self.counters.closed_window,
            ClosedFor::Unauthorized => &mut self.counters.closed_unauthorized,
            ClosedFor::TokenExpired => &mut self.counters.closed_expired,
        };
        *counter += 1;
    }

    fn is_over_rate(&mut self, now_ms: u64, id: ConnectionId, messages: u32, bytes: usize) -> bool {
        let limits = &self.config.limits;
        let messages_max = u64::from(limits.messages_per_second_max);
        let bytes_max = limits.bytes_per_second_max;
        if messages_max == 0 && bytes_max == 0 {
            return false;
        }
        let Some(connection) = self.connections.table.get_mut(id) else {
            return false;
        };
        if connection.phase != Phase::Open {
            return false;
        }
        let extra = connection.extra.get_or_insert_default();
        let (message_rate, byte_rate) = &mut **extra.rate.get_or_insert_with(|| {
            Box::new((
                Bucket::new(now_ms, messages_max),
                Bucket::new(now_ms, bytes_max),
            ))
        });
        !message_rate.take(now_ms, messages_max, u64::from(messages))
            | !byte_rate.take(now_ms, bytes_max, bytes as u64)
    }
}

pub(super) fn name_of(identity: &Identity, key: ConnectionId) -> ConnectionName {
    ConnectionName {
        shard: identity.shard as u32,
        key,
    }
}
