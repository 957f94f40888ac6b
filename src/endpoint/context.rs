//! What a callback may do.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{
    ClosedFor, Command, ConnectionName, Heartbeat, Message, Order, OrderedSubscription, Payload,
    Subscribe, Via, Which,
};
use crate::channel::{ChannelName, Question, Verdict};
use crate::encoding::{Encoding, Form};
use crate::publication::{ClientInfo, Draft, Kind, Since};
use crate::raw;
use crate::rules::Rules;
use crate::sse;
use crate::ws::close::CloseCode;
use crate::ws::deflate::{Agreement, Codec};

/// How a connection is spoken to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Transport {
    /// In WebSocket frames, compressed as agreed.
    WebSocket(Option<Agreement>),
    /// In events. How much the client has said that nobody wanted to hear, in pieces.
    EventStream(u8),
}

/// What a callback can look at.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// The connection's name.
    pub name: ConnectionName,
    /// What holds for channels and users.
    pub rules: &'a Rules,
    /// The time of day at the beginning of the turn, in ms since 1970 (UTC).
    pub unix_ms: u64,
    /// Whether more waits for the client than its socket takes.
    pub is_behind: bool,
}

/// The connection that a callback is called for, and the channels.
pub struct Context<'a> {
    sight: Sight<'a>,
    next_number: &'a mut u32,
    transport: Transport,
    codec: &'a mut Codec,
    out: &'a mut BytesMut,
    commands: &'a mut Vec<Command>,
    closing: Option<(CloseCode, String)>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        sight: Sight<'a>,
        next_number: &'a mut u32,
        transport: Transport,
        codec: &'a mut Codec,
        out: &'a mut BytesMut,
        commands: &'a mut Vec<Command>,
    ) -> Self {
        Self {
            sight,
            next_number,
            transport,
            codec,
            out,
            commands,
            closing: None,
        }
    }

    /// The connection's name, by which the server's handle reaches it from any thread.
    pub fn name(&self) -> ConnectionName {
        self.sight.name
    }

    /// What holds for channels and users at this moment; it may be something else at the next callback.
    pub fn rules(&self) -> &'a Rules {
        self.sight.rules
    }

    /// The time of day, in ms since 1970 (UTC): for what ends at a certain time, such as a token. The same for all callbacks
    /// of a turn. It jumps when somebody sets the clock.
    pub fn unix_ms(&self) -> u64 {
        self.sight.unix_ms
    }

    /// Says whose connection this is, so that the server's handle and the HTTP API find it by its user, and
    /// what the client is called among that user's. What was said before does not hold any more; an empty
    /// user is nobody. A connection of which nothing is said costs nothing.
    pub fn identify(&mut self, user: &str, client: &str) {
        self.commands.push(Command::Identify {
            user: user.into(),
            client: client.into(),
        });
    }

    /// Does what somebody outside has ordered: sends the message, subscribes as [`Context::subscribe`] does,
    /// unsubscribes, or closes.
    pub fn obey(&mut self, order: Order) {
        match order {
            Order::Send(payload) => self.send_payload(&payload),
            Order::Subscribe(subscription) => {
                let OrderedSubscription { channel, since, .. } = *subscription;
                match since {
                    Some(since) => self.subscribe_since(channel, since),
                    None => self.subscribe(channel),
                };
            }
            Order::Unsubscribe(Some(channel)) => self.unsubscribe(channel),
            Order::Unsubscribe(None) => self.unsubscribe_all(),
            Order::Close { code, reason } => self.close(code, reason),
        }
    }

    /// Whether more waits for the client than its socket takes. It is not read as long; of the times that an endpoint has set,
    /// only the deadline is kept.
    pub fn is_behind(&self) -> bool {
        self.sight.is_behind
    }

    /// Whether the connection is an event stream ([`Route::event_stream`](super::Route::event_stream)), whose client
    /// cannot answer, and not a WebSocket.
    pub fn is_event_stream(&self) -> bool {
        matches!(self.transport, Transport::EventStream(_))
    }

    /// Sends a message to this connection, in front of all publications that have not left yet.
    pub fn send(&mut self, message: Message<'_>) {
        self.put(message.kind(), message.as_bytes());
    }

    /// Sends a text to this connection.
    pub fn send_text(&mut self, text: &str) {
        self.send(Message::Text(text));
    }

    /// Sends bytes to this connection.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send(Message::Binary(bytes));
    }

    /// Subscribes this connection: from now on it gets what is published to the channel, each
    /// publication as one message. Nothing happens if it is subscribed already.
    ///
    /// One subscription too many (`limits.subscriptions_max`) closes the connection.
    ///
    /// Returns the number that [`Endpoint::subscribed`](super::Endpoint::subscribed) is called with
    /// when it has begun.
    pub fn subscribe(&mut self, channel: ChannelName) -> u32 {
        let form = match self.transport {
            Transport::WebSocket(_) => Form::Raw,
            // There may be more channels.
            Transport::EventStream(_) => Form::Sse { with_ids: false },
        };
        self.subscribe_in(channel, form)
    }

    /// Subscribes this connection to publications in a form of a protocol's own.
    pub(crate) fn subscribe_in(&mut self, channel: ChannelName, form: Form) -> u32 {
        self.subscribe_with(channel, form, None, None)
    }

    /// The same with what is wanted of the publications that have been, and who the others are told
    /// that it is.
    pub(crate) fn subscribe_with(
        &mut self,
        channel: ChannelName,
        form: Form,
        since: Option<Since>,
        info: Option<Arc<ClientInfo>>,
    ) -> u32 {
        let deflate = match self.transport {
            Transport::WebSocket(deflate) => deflate.map(Agreement::server_window),
            Transport::EventStream(_) => None,
        };
        self.push_subscribe(Subscribe {
            channel,
            via: Via::Lane(Encoding { form, deflate }),
            since,
            info,
        })
    }

    /// Subscribes as [`Context::subscribe`] does, and recovers: what was published since that place comes
    /// first, if the channel's history has it all. [`Endpoint::subscribed`](super::Endpoint::subscribed) is
    /// told whether it has.
    ///
    /// On an event stream every event of that channel has its position as its id, which a client brings back in
    /// `Last-Event-ID`. It can name one channel only.
    pub fn subscribe_since(&mut self, channel: ChannelName, since: Since) -> u32 {
        self.subscribe_alone(channel, Some(since))
    }

    /// Subscribes to the one channel of a connection: the ids of an event stream speak for it.
    pub(crate) fn subscribe_alone(&mut self, channel: ChannelName, since: Option<Since>) -> u32 {
        let form = match self.transport {
            Transport::WebSocket(_) => Form::Raw,
            Transport::EventStream(_) => Form::Sse { with_ids: true },
        };
        self.subscribe_with(channel, form, since, None)
    }

    /// Subscribes this connection so that
    /// [`Endpoint::publication`](super::Endpoint::publication) is called with each publication, to
    /// send of it what it likes. That costs a call for each subscriber where
    /// [`Context::subscribe`] costs none.
    ///
    /// Returns a number as [`Context::subscribe`] does.
    pub fn subscribe_handed(&mut self, channel: ChannelName) -> u32 {
        self.subscribe_handed_since(channel, None)
    }

    /// The same from a place on, as [`Context::subscribe_since`].
    pub fn subscribe_handed_since(&mut self, channel: ChannelName, since: Option<Since>) -> u32 {
        self.push_subscribe(Subscribe {
            channel,
            via: Via::Session,
            since,
            info: None,
        })
    }

    /// Asks the owner of a channel for what it keeps; [`Endpoint::answered`](super::Endpoint::answered) is
    /// called with the answer and the number that this returns.
    pub fn ask(&mut self, channel: ChannelName, question: Question) -> u32 {
        let ticket = self.next_number();
        self.commands.push(Command::Ask {
            channel,
            question,
            ticket,
        });
        ticket
    }

    /// Takes messages from a queue, each of which goes to one consumer at a time:
    /// [`Endpoint::publication`](super::Endpoint::publication) is called with them, and
    /// [`Context::settle`] wants to hear what became of them. No more than `window` (at least 1) are
    /// unsettled at one time. What is unsettled when the connection or the subscription ends goes
    /// back to the queue.
    ///
    /// Returns a number as [`Context::subscribe`] does.
    pub fn consume(&mut self, queue: ChannelName, window: u32) -> u32 {
        let subscription = self.next_number();
        self.commands.push(Command::Consume {
            subscription,
            queue,
            window,
        });
        subscription
    }

    /// Says what became of messages of a queue, by their offsets. Those that are not unsettled at
    /// this consumer are left alone.
    pub fn settle(&mut self, subscription: u32, offsets: Vec<u64>, verdict: Verdict) {
        self.commands.push(Command::Settle {
            subscription,
            offsets,
            verdict,
            ticket: None,
        });
    }

    /// The same; [`Endpoint::done`](super::Endpoint::done) is called with the number that this returns
    /// when the queue knows it.
    pub fn settle_confirmed(
        &mut self,
        subscription: u32,
        offsets: Vec<u64>,
        verdict: Verdict,
    ) -> u32 {
        let ticket = self.next_number();
        self.commands.push(Command::Settle {
            subscription,
            offsets,
            verdict,
            ticket: Some(ticket),
        });
        ticket
    }

    /// Puts a message into a queue and returns the number that
    /// [`Endpoint::published`](super::Endpoint::published) is called with when it stands there.
    pub fn enqueue(&mut self, queue: &ChannelName, message: impl Into<Payload>) -> u32 {
        let (kind, payload) = message.into().into_parts();
        self.enqueue_with(queue.clone(), kind, Bytes::new(), payload)
    }

    /// The same with header lines, as in [`Publication::headers`](crate::publication::Publication::headers).
    pub(crate) fn enqueue_with(
        &mut self,
        queue: ChannelName,
        kind: Kind,
        headers: Bytes,
        payload: Bytes,
    ) -> u32 {
        let ticket = self.next_number();
        self.commands.push(Command::Enqueue {
            queue,
            kind,
            headers,
            payload,
            ticket,
        });
        ticket
    }

    /// Ends the subscription of that number, if there is one.
    pub fn end_subscription(&mut self, subscription: u32) {
        self.commands.push(Command::Unsubscribe {
            which: Which::Number(subscription),
            ticket: None,
        });
    }

    /// The same; [`Endpoint::done`](super::Endpoint::done) is called with the number that this returns
    /// when what a consumer had unsettled is its queue's again.
    pub fn end_subscription_confirmed(&mut self, subscription: u32) -> u32 {
        let ticket = self.next_number();
        self.commands.push(Command::Unsubscribe {
            which: Which::Number(subscription),
            ticket: Some(ticket),
        });
        ticket
    }

    /// Ends the subscription to a channel, if there is one.
    pub fn unsubscribe(&mut self, channel: ChannelName) {
        self.commands.push(Command::Unsubscribe {
            which: Which::Channel(channel),
            ticket: None,
        });
    }

    /// Ends all subscriptions.
    pub fn unsubscribe_all(&mut self) {
        self.commands.push(Command::Unsubscribe {
            which: Which::All,
            ticket: None,
        });
    }

    /// Publishes a message to all subscribers of a channel, wherever they are.
    ///
    /// When there is more to publish than the server gets rid of, this connection is not read for
    /// as long.
    pub fn publish(&mut self, channel: &ChannelName, message: impl Into<Payload>) {
        self.publisher().publish(channel, message);
    }

    /// Publishes a message and returns the number that
    /// [`Endpoint::published`](super::Endpoint::published) is called with when it has its place in
    /// the channel's stream: from then on nothing but the end of the process keeps it from its
    /// subscribers.
    pub fn publish_confirmed(&mut self, channel: &ChannelName, message: impl Into<Payload>) -> u32 {
        let ticket = self.next_number();
        let command = publish(channel, message.into(), Some(ticket));
        self.commands.push(command);
        ticket
    }

    /// [`Context::publish_confirmed`] with all that a message may have.
    pub(crate) fn publish_draft(&mut self, channel: ChannelName, draft: Draft) -> u32 {
        let ticket = self.next_number();
        self.commands.push(Command::Publish {
            channel,
            draft,
            ticket: Some(ticket),
        });
        ticket
    }

    /// Counts why the client is closed now.
    pub(crate) fn note_closed(&mut self, why: ClosedFor) {
        self.commands.push(Command::NoteClosed(why));
    }

    /// Has the endpoint called at intervals, instead of those set before.
    pub fn set_heartbeat(&mut self, heartbeat: Heartbeat) {
        self.commands.push(Command::SetHeartbeat(heartbeat));
    }

    /// Has the endpoint called once after so many ms, instead of at the deadline set before; with
    /// `None` not at all.
    pub fn set_deadline(&mut self, after_ms: Option<u32>) {
        self.commands.push(Command::SetDeadline(after_ms));
    }

    /// The same at a time of day, in ms since 1970 (UTC). It may be called earlier: a deadline reaches 49 days, and clocks are
    /// set. Who then finds that the time has not come sets it again.
    pub fn set_deadline_at(&mut self, unix_ms: Option<u64>) {
        let now_ms = self.unix_ms();
        self.set_deadline(unix_ms.map(|at_ms| {
            let after_ms = at_ms.saturating_sub(now_ms);
            u32::try_from(after_ms).unwrap_or(u32::MAX)
        }));
    }

    /// Closes this connection with a code and a reason, of which at most 123 bytes are sent,
    /// behind what was sent to it before. Nothing is received any more.
    ///
    /// An event stream has no codes: its client sees the end and connects again, unless an event has told it not to.
    pub fn close(&mut self, code: CloseCode, reason: impl Into<String>) {
        self.closing.get_or_insert_with(|| (code, reason.into()));
    }

    /// Sends bytes of which is known what they are: a text must be UTF-8.
    pub(crate) fn send_kind(&mut self, kind: Kind, bytes: &[u8]) {
        self.put(kind, bytes);
    }

    /// Appends what only event streams have: blocks of the stream, whole. Nothing on a WebSocket.
    pub(crate) fn send_blocks(&mut self, put: impl FnOnce(&mut BytesMut)) {
        if self.is_event_stream() && self.closing.is_none() {
            put(self.out);
        }
    }

    pub(crate) fn send_payload(&mut self, payload: &Payload) {
        self.put(payload.kind(), payload.as_bytes());
    }

    /// What [`Context::close`] was called with.
    pub(crate) fn into_closing(self) -> Option<(CloseCode, String)> {
        self.closing
    }

    fn put(&mut self, kind: Kind, bytes: &[u8]) {
        if self.closing.is_some() {
            return;
        }
        match self.transport {
            Transport::WebSocket(deflate) => {
                let opcode = raw::opcode(kind);
                self.codec.put_frame(self.out, deflate, opcode, bytes);
            }
            Transport::EventStream(_) => sse::put_message(self.out, kind, bytes),
        }
    }

    fn push_subscribe(&mut self, subscribe: Subscribe) -> u32 {
        let subscription = self.next_number();
        self.commands.push(Command::Subscribe {
            subscription,
            subscribe,
        });
        subscription
    }

    fn next_number(&mut self) -> u32 {
        let number = *self.next_number;
        *self.next_number = number.wrapping_add(1);
        number
    }

    fn publisher(&mut self) -> Publisher<'_> {
        Publisher {
            name: self.sight.name,
            commands: self.commands,
        }
    }
}

/// The channels, where there is no connection any more to speak to.
pub struct Publisher<'a> {
    name: ConnectionName,
    commands: &'a mut Vec<Command>,
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(name: ConnectionName, commands: &'a mut Vec<Command>) -> Self {
        Self { name, commands }
    }

    /// The name of the connection that ends.
    pub fn name(&self) -> ConnectionName {
        self.name
    }

    /// Publishes a message to all subscribers of a channel, wherever they are.
    pub fn publish(&mut self, channel: &ChannelName, message: impl Into<Payload>) {
        self.commands.push(publish(channel, message.into(), None));
    }
}

fn publish(channel: &ChannelName, message: Payload, ticket: Option<u32>) -> Command {
    let (kind, payload) = message.into_parts();
    Command::Publish {
        channel: channel.clone(),
        draft: Draft::new(kind, payload),
        ticket,
    }
}
