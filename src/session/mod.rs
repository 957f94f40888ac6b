//! One connection's state machine: bytes in, commands and bytes out.
//!
//! A session knows the request head, the WebSocket framing, event streams and which endpoint its
//! connection is at; it knows nothing of sockets, of time, or of who else is connected. Feed it what has arrived
//! with [`Session::handle_input`]; it calls the endpoint, and appends replies to one buffer and
//! commands to a list, both of which the shard empties before it feeds the next.
//!
//! Between two messages a session holds no memory but itself and its endpoint's state.

#![forbid(unsafe_code)]

mod head;
mod open;
mod saved;
mod stream;

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::{BufMut, BytesMut};

use crate::channel::{Answer, Refused};
use crate::config::Config;
pub use crate::endpoint::Command;
use crate::endpoint::{
    self, Closed, ConnectionName, Context, Endpoints, Erased, Error, Message, Order, Publisher,
    RouteError, Routes, Side, Sight, State as EndpointState, Timeout, Transport,
};
use crate::publication::{Begun, Position, Publication};
use crate::rules::Rules;
use crate::sse;
use crate::ws::close::{self, CloseCode};
use crate::ws::deflate::{Codec, CompressionSettings, Policy, WindowBits};
use crate::ws::frame::{self, Opcode};
use crate::ws::handshake::{HeadLimits, Refusal};
use crate::ws::message::{Item, Limits, ReadError, Reader};

use head::HeadBuffer;
pub use saved::{RestoreError, RouteMap, SavedSession};

/// What all sessions of a server have in common.
pub struct Settings {
    /// Bounds of the request head.
    pub head: HeadLimits,
    /// Bounds of messages.
    pub messages: Limits,
    /// What is agreed to about compression; nothing without it.
    pub deflate: Option<Policy>,
    /// How messages are compressed where it is agreed on.
    pub compression: CompressionSettings,
    /// After about how long the clients of event streams are to connect again, in ms.
    pub retry_ms: u64,
    /// Which path leads where.
    pub routes: Routes,
}

impl Settings {
    /// The sessions' part of the configuration, with the routes of the default server.
    ///
    /// # Errors
    /// An origin pattern that is none.
    pub fn new(config: &Config) -> Result<Self, RouteError> {
        let origins = (&*config.origins.allowed, config.origins.missing_allowed);
        let routes = endpoint::protocols(config).collect();
        let routes = Routes::new(routes, Vec::new(), origins, endpoint::NOT_FOUND)?;
        Ok(Self::with_routes(config, routes))
    }

    /// The same with routes of one's own.
    pub fn with_routes(config: &Config, routes: Routes) -> Self {
        Self {
            head: HeadLimits {
                head_bytes_max: config.limits.head_bytes_max,
                headers_max: config.limits.headers_max,
            },
            messages: Limits {
                message_bytes_max: config.limits.message_bytes_max,
            },
            deflate: config.deflate.enabled.then(|| Policy {
                client_keeps_context: config.deflate.client_context,
                // The setting's bounds are those of a window.
                window_max: WindowBits::from_bits(config.deflate.window_bits_max)
                    .unwrap_or(WindowBits::W15),
            }),
            compression: CompressionSettings {
                message_bytes_min: config.deflate.message_bytes_min,
                level: config.deflate.level,
                memory_level: config.deflate.memory_level,
            },
            retry_ms: config.sse.retry_ms,
            routes,
        }
    }
}

impl Settings {
    /// The same routes with other settings.
    ///
    /// # Errors
    /// An origin pattern that is none.
    pub fn renewed(&self, config: &Config) -> Result<Self, RouteError> {
        Ok(Self::with_routes(config, self.routes.renewed(config)?))
    }
}

/// What a session works with while it is fed.
pub struct Surroundings<'a> {
    /// What holds for all.
    pub settings: &'a Settings,
    /// What holds for channels and users.
    pub rules: &'a Rules,
    /// The time of day at the beginning of the turn, in ms since 1970 (UTC).
    pub unix_ms: u64,
    /// Whether more waits for the client than its socket takes.
    pub is_behind: bool,
    /// The shard's endpoints.
    pub endpoints: &'a mut Endpoints,
    /// What the shard's connections compress and decompress with.
    pub codec: &'a mut Codec,
    /// The connection's name.
    pub name: ConnectionName,
    /// Bytes to the client are appended to this.
    pub replies: &'a mut BytesMut,
    /// What the session wants of its shard is appended to this.
    pub commands: &'a mut Vec<Command>,
}

impl<'a> Surroundings<'a> {
    /// What callbacks can look at.
    fn sight(&self) -> Sight<'a> {
        Sight {
            name: self.name,
            rules: self.rules,
            unix_ms: self.unix_ms,
            is_behind: self.is_behind,
        }
    }
}

/// What one read brought, for the limits of the connection and for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Data messages that were completed.
    pub messages: u32,
    /// Whether the client broke a rule, and so is being closed.
    pub refused: bool,
    /// Whether that was a request for something that its client may not have (401, 403).
    pub unauthorized: bool,
}

/// See the module's documentation.
pub struct Session(State);

enum State {
    /// The request head is not complete yet.
    Head(Box<HeadBuffer>),
    /// At an endpoint, as a WebSocket or as an event stream.
    Open(Open),
    /// The last word is said; what still arrives is of no interest.
    Over,
}

/// A connection at an endpoint.
struct Open {
    /// Of a WebSocket; an event stream has no use for it.
    reader: Reader,
    /// The endpoint's own.
    state: EndpointState,
    /// Which endpoint.
    route: u16,
    /// Kept small: it has room for the variants of the enum around it.
    transport: Transport,
    /// Of the next subscription, or of the next publication to be confirmed.
    next_number: u32,
}

/// How what is sent to a connection falls into parts that must not be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// WebSocket frames, behind the answer to the opening handshake.
    Frames,
    /// The blocks of an event stream, behind the answer's head.
    Blocks,
}

impl Session {
    /// A session at its beginning. With a refusal it reads the request only to answer with that.
    pub fn new(peer: IpAddr, refusal: Option<Refusal>) -> Self {
        Self(State::Head(Box::new(HeadBuffer::new(peer, refusal))))
    }

    /// Takes in what has arrived, all of it. The input is used as scratch space.
    pub fn handle_input(&mut self, input: &mut [u8], around: &mut Surroundings<'_>) -> Progress {
        let mut frames_from = 0;
        if let State::Head(buffer) = &mut self.0 {
            match open::handle_head(buffer, input, around) {
                Ok(None) => return Progress::default(),
                Ok(Some(opened)) => {
                    self.0 = opened.state;
                    frames_from = opened.head_end;
                    self.close_if(opened.closing, around);
                }
                Err(refusal) => return self.refuse(&refusal, around),
            }
        }
        let input = &mut input[frames_from..];
        match self.is_event_stream() {
            true => self.pass_over(input.len(), around),
            false => self.handle_frames(input, around),
        }
    }

    /// Does what somebody else has ordered, if the connection is open.
    pub fn handle_order(&mut self, order: Order, around: &mut Surroundings<'_>) {
        self.call(around, |endpoint, state, context| {
            endpoint.ordered(state, order, context);
        });
    }

    /// No client may have a subscription to that channel any more.
    pub fn handle_forbidden(&mut self, subscription: u32, around: &mut Surroundings<'_>) {
        self.call(around, |endpoint, state, context| {
            endpoint.forbidden(state, subscription, context);
        });
    }

    /// A subscription has begun, or was refused.
    pub fn handle_subscribed(
        &mut self,
        subscription: u32,
        result: Result<Begun, Refused>,
        around: &mut Surroundings<'_>,
    ) {
        self.call(around, |endpoint, state, context| {
            endpoint.subscribed(state, subscription, result, context);
        });
    }

    /// A publication of the connection has its place, or was refused.
    pub fn handle_published(
        &mut self,
        ticket: u32,
        result: Result<Position, Refused>,
        around: &mut Surroundings<'_>,
    ) {
        self.call(around, |endpoint, state, context| {
            endpoint.published(state, ticket, result, context);
        });
    }

    /// Publications of a subscription have been dropped, because the connection was too far behind.
    pub fn handle_fallen_behind(
        &mut self,
        subscription: u32,
        last: Position,
        around: &mut Surroundings<'_>,
    ) {
        self.call(around, |endpoint, state, context| {
            endpoint.fallen_behind(state, subscription, last, context);
        });
    }

    /// The owner of a channel has answered a question of the connection's.
    pub fn handle_answered(&mut self, ticket: u32, answer: Answer, around: &mut Surroundings<'_>) {
        self.call(around, |endpoint, state, context| {
            endpoint.answered(state, ticket, answer, context);
        });
    }

    /// Something that the connection has asked for has been done.
    pub fn handle_done(&mut self, ticket: u32, around: &mut Surroundings<'_>) {
        self.call(around, |endpoint, state, context| {
            endpoint.done(state, ticket, context);
        });
    }

    /// A publication has come on a subscription that hands them over.
    pub fn handle_publication(
        &mut self,
        subscription: u32,
        publication: &Publication,
        redelivered: bool,
        around: &mut Surroundings<'_>,
    ) {
        self.call(around, |endpoint, state, context| {
            endpoint.publication(state, subscription, publication, redelivered, context);
        });
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, timeout: Timeout, around: &mut Surroundings<'_>) {
        self.call(around, |endpoint, state, context| {
            endpoint.timeout(state, timeout, context);
        });
    }

    /// Whether the opening handshake still has to be completed.
    pub fn is_in_handshake(&self) -> bool {
        matches!(self.0, State::Head(_))
    }

    /// Whether its last word is said.
    pub fn is_over(&self) -> bool {
        matches!(self.0, State::Over)
    }

    /// Whether the connection is an event stream that has not ended.
    pub fn is_event_stream(&self) -> bool {
        matches!(
            &self.0,
            State::Open(Open {
                transport: Transport::EventStream(_),
                ..
            })
        )
    }

    /// What the bytes consist of that are being sent to the client.
    pub fn framing(&self) -> Framing {
        match self.is_event_stream() {
            true => Framing::Blocks,
            false => Framing::Frames,
        }
    }

    /// Appends what keeps an idle connection alive: a ping, or a comment where the client of an event stream cannot
    /// answer. Whether an answer is to be expected.
    pub fn put_keep_alive(&self, replies: &mut impl BufMut) -> bool {
        if self.is_event_stream() {
            sse::put_keep_alive(replies);
            return false;
        }
        frame::put_frame(replies, Opcode::Ping, b"");
        true
    }

    /// Ends the session from the server's side: a close frame where the connection is a
    /// WebSocket, a word on when to come again where it is an event stream, an answer with that status where it has not
    /// become either. An error where one is the reason.
    pub fn end(
        &mut self,
        code: CloseCode,
        reason: &str,
        error: Option<&Error>,
        or_refusal: &Refusal,
        around: &mut Surroundings<'_>,
    ) {
        match &self.0 {
            State::Head(_) => {
                or_refusal.put_response(around.replies);
                self.0 = State::Over;
            }
            State::Over => {}
            State::Open(_) => {
                let (code, reason) = self.say_farewell(code, reason, around);
                self.put_close(code, &reason, around);
                self.leave(&Closed::by_server(code, &reason), error, around);
            }
        }
    }

    /// The connection broke, or its client fell silent: nothing can be said any more.
    pub fn lose(&mut self, around: &mut Surroundings<'_>) {
        self.leave(&Closed::lost(), Some(&Error::Lost), around);
    }

    fn refuse(&mut self, refusal: &Refusal, around: &mut Surroundings<'_>) -> Progress {
        refusal.put_response(around.replies);
        around.commands.push(Command::Close);
        self.0 = State::Over;
        Progress {
            refused: true,
            unauthorized: refusal.is_unauthorized(),
            ..Progress::default()
        }
    }

    fn handle_frames(&mut self, input: &mut [u8], around: &mut Surroundings<'_>) -> Progress {
        let mut progress = Progress::default();
        let mut at = 0;
        while at < input.len() {
            let State::Open(open) = &mut self.0 else {
                return progress;
            };
            let Transport::WebSocket(deflate) = open.transport else {
                return progress;
            };
            let decompression = around.codec.decompression(deflate);
            let settings = around.settings;
            let limits = settings.routes.limits(open.route, settings.messages);
            let read = open.reader.read(&mut input[at..], &limits, decompression);
            match read {
                Ok((consumed, item)) => {
                    at += consumed;
                    if let Some(item) = item {
                        progress.messages += u32::from(self.handle_item(item, around));
                    }
                }
                Err(error) => {
                    self.refuse_input(error, around);
                    progress.refused = true;
                }
            }
        }
        progress
    }

    /// Whether the item was a message.
    fn handle_item(&mut self, item: Item<'_>, around: &mut Surroundings<'_>) -> bool {
        match item {
            Item::Text(text) => {
                self.handle_message(Message::Text(&text), around);
                true
            }
            Item::Binary(bytes) => {
                self.handle_message(Message::Binary(&bytes), around);
                true
            }
            Item::Ping(payload) => {
                frame::put_frame(around.replies, Opcode::Pong, &payload);
                false
            }
            Item::Pong => false,
            Item::Close(said) => {
                let said = said.as_ref().map(|(code, reason)| (*code, &**reason));
                close::put_echo(around.replies, said);
                around.commands.push(Command::Close);
                let (code, reason) = said.unwrap_or((Closed::NO_CODE, ""));
                let closed = Closed {
                    code,
                    reason: Cow::Borrowed(reason),
                    by: Side::Client,
                };
                self.leave(&closed, None, around);
                false
            }
        }
    }

    fn handle_message(&mut self, message: Message<'_>, around: &mut Surroundings<'_>) {
        self.call(around, |endpoint, state, context| {
            endpoint.message(state, message, context);
        });
    }

    /// The client broke the protocol.
    fn refuse_input(&mut self, error: ReadError, around: &mut Surroundings<'_>) {
        let (code, reason) = self.say_farewell(error.close_code(), &error.to_string(), around);
        close::put_close(around.replies, code, &reason);
        around.commands.push(Command::Close);
        let closed = Closed::by_server(code, &reason);
        self.leave(&closed, Some(&Error::Protocol(error)), around);
    }

    /// Appends the last that the server says: a close frame, or an event stream's last words.
    fn put_close(&self, code: CloseCode, reason: &str, around: &mut Surroundings<'_>) {
        if self.is_event_stream() {
            stream::put_end(
                around.replies,
                reason,
                around.name,
                around.settings.retry_ms,
            );
        } else {
            close::put_close(around.replies, code, reason);
        }
    }

    /// Lets the endpoint say its last word in front of the server's close frame, and have another code and
    /// reason in that.
    fn say_farewell(
        &mut self,
        code: CloseCode,
        reason: &str,
        around: &mut Surroundings<'_>,
    ) -> (CloseCode, String) {
        let own = self.call_open(around, |endpoint, state, context| {
            endpoint.farewell(state, code, reason, context);
        });
        own.unwrap_or_else(|| (code, reason.to_owned()))
    }

    /// Lets something be done with an open connection.
    fn call(
        &mut self,
        around: &mut Surroundings<'_>,
        work: impl FnOnce(&mut dyn Erased, &mut EndpointState, &mut Context<'_>),
    ) {
        let closing = self.call_open(around, work);
        self.close_if(closing, around);
    }

    /// The same without the close that the endpoint may ask for, which is returned.
    fn call_open(
        &mut self,
        around: &mut Surroundings<'_>,
        work: impl FnOnce(&mut dyn Erased, &mut EndpointState, &mut Context<'_>),
    ) -> Option<(CloseCode, String)> {
        let State::Open(open) = &mut self.0 else {
            return None;
        };
        let sight = around.sight();
        let endpoint = around.endpoints.of(open.route);
        let mut context = Context::new(
            sight,
            &mut open.next_number,
            open.transport,
            around.codec,
            around.replies,
            around.commands,
        );
        work(endpoint, &mut open.state, &mut context);
        context.into_closing()
    }

    /// Closes the connection if a callback has asked for that.
    fn close_if(&mut self, closing: Option<(CloseCode, String)>, around: &mut Surroundings<'_>) {
        if let Some((code, reason)) = closing {
            self.put_close(code, &reason, around);
            around.commands.push(Command::Close);
            self.leave(&Closed::by_server(code, &reason), None, around);
        }
    }

    /// Takes the connection from its endpoint.
    fn leave(&mut self, closed: &Closed<'_>, error: Option<&Error>, around: &mut Surroundings<'_>) {
        let State::Open(mut open) = std::mem::replace(&mut self.0, State::Over) else {
            return;
        };
        let endpoint = around.endpoints.of(open.route);
        let mut publisher = Publisher::new(around.name, around.commands);
        if let Some(error) = error {
            endpoint.error(&mut open.state, error, &mut publisher);
        }
        endpoint.close(open.state, closed, &mut publisher);
    }
}

#[cfg(test)]
mod tests;
