//! One connection's state machine: bytes in, commands and bytes out.
//!
//! A session knows the request head, the WebSocket framing and the client protocol of its
//! connection; it knows nothing of sockets, of time, or of who else is connected. Feed it what
//! has arrived with [`Session::handle_input`]; it appends its replies to one buffer and its
//! commands to a list, both of which the shard empties before it feeds the next.
//!
//! Between two messages a session holds no memory but itself.

#![forbid(unsafe_code)]

mod head;
mod route;

use bytes::{BufMut, Bytes};

use crate::channel::ChannelName;
use crate::config::Config;
use crate::encoding::Encoding;
use crate::publication::Kind;
use crate::raw;
use crate::ws::close::{self, CloseCode};
use crate::ws::frame::{self, Opcode};
use crate::ws::handshake::{HeadLimits, OriginPatternError, Origins, Refusal};
use crate::ws::message::{Item, Limits, Reader};

use head::HeadBuffer;
use route::Route;

/// What all sessions of a server have in common.
pub struct Settings {
    /// Bounds of the request head.
    pub head: HeadLimits,
    /// Bounds of messages.
    pub messages: Limits,
    /// Which `Origin` headers may upgrade.
    pub origins: Origins,
    /// Whether `/echo` exists.
    pub echo: bool,
}

impl Settings {
    /// The sessions' part of the configuration.
    ///
    /// # Errors
    /// An origin pattern that is none.
    pub fn new(config: &Config) -> Result<Self, OriginPatternError> {
        Ok(Self {
            head: HeadLimits {
                head_bytes_max: config.limits.head_bytes_max,
                headers_max: config.limits.headers_max,
            },
            messages: Limits {
                message_bytes_max: config.limits.message_bytes_max,
            },
            origins: Origins::parse(&config.origins.allowed, config.origins.missing_allowed)?,
            echo: config.echo,
        })
    }
}

/// What a session wants of its shard.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// The opening handshake is over; the connection is a WebSocket now.
    Opened,
    /// Subscribe to a channel.
    Subscribe {
        /// The session's number for it, which comes back with everything about it.
        subscription: u32,
        /// The channel.
        channel: ChannelName,
        /// How its publications leave.
        encoding: Encoding,
    },
    /// Publish a message.
    Publish {
        /// The channel.
        channel: ChannelName,
        /// Text or binary.
        kind: Kind,
        /// The message.
        payload: Bytes,
    },
    /// Nothing more will be said: close as soon as the replies are out.
    Close,
}

/// What one read brought, for the limits of the connection and for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Data messages that were completed.
    pub messages: u32,
    /// Whether the client broke a rule, and so is being closed.
    pub refused: bool,
}

/// See the module's documentation.
pub struct Session(State);

enum State {
    /// The request head is not complete yet.
    Head(Box<HeadBuffer>),
    /// `/sub/{channel}`: whatever the client says is checked and left alone.
    Subscriber(Reader),
    /// `/pub/{channel}`.
    Publisher(Reader, ChannelName),
    /// `/echo`.
    Echo(Reader),
    /// The last word is said; what still arrives is of no interest.
    Over,
}

impl Session {
    /// A session at its beginning. With a refusal it reads the request only to answer with that.
    pub fn new(refusal: Option<Refusal>) -> Self {
        Self(State::Head(Box::new(HeadBuffer::new(refusal))))
    }

    /// Takes in what has arrived, all of it. The input is used as scratch space.
    pub fn handle_input(
        &mut self,
        input: &mut [u8],
        settings: &Settings,
        replies: &mut impl BufMut,
        commands: &mut Vec<Command>,
    ) -> Progress {
        let mut frames_from = 0;
        if let State::Head(buffer) = &mut self.0 {
            match buffer.take(input, settings) {
                Ok(None) => return Progress::default(),
                Ok(Some((route, head_end))) => {
                    self.open(route, replies, commands);
                    frames_from = head_end;
                }
                Err(refusal) => return self.refuse(&refusal, replies, commands),
            }
        }
        let input = &mut input[frames_from..];
        self.handle_frames(input, settings, replies, commands)
    }

    /// Whether the opening handshake still has to be completed.
    pub fn is_in_handshake(&self) -> bool {
        matches!(self.0, State::Head(_))
    }

    /// Whether WebSocket frames may still be sent.
    pub fn is_open(&self) -> bool {
        !matches!(self.0, State::Head(_) | State::Over)
    }

    /// Appends a ping, the same for every connection.
    pub fn put_ping(replies: &mut impl BufMut) {
        frame::put_frame(replies, Opcode::Ping, b"");
    }

    /// Ends the session from the server's side: a close frame where the connection is a
    /// WebSocket, an answer with that status where it has not become one.
    pub fn put_close(
        &mut self,
        code: CloseCode,
        reason: &str,
        or_refusal: &Refusal,
        replies: &mut impl BufMut,
    ) {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Head(_) => or_refusal.put_response(replies),
            State::Over => {}
            State::Subscriber(_) | State::Publisher(..) | State::Echo(_) => {
                close::put_close(replies, code, reason);
            }
        }
    }

    fn open(&mut self, route: Route, replies: &mut impl BufMut, commands: &mut Vec<Command>) {
        route.upgrade.put_response(replies);
        commands.push(Command::Opened);
        self.0 = match route.endpoint {
            route::Endpoint::Subscribe(channel) => {
                commands.push(Command::Subscribe {
                    subscription: 0,
                    channel,
                    encoding: Encoding::Raw,
                });
                State::Subscriber(Reader::default())
            }
            route::Endpoint::Publish(channel) => State::Publisher(Reader::default(), channel),
            route::Endpoint::Echo => State::Echo(Reader::default()),
        };
    }

    fn refuse(
        &mut self,
        refusal: &Refusal,
        replies: &mut impl BufMut,
        commands: &mut Vec<Command>,
    ) -> Progress {
        refusal.put_response(replies);
        commands.push(Command::Close);
        self.0 = State::Over;
        Progress {
            messages: 0,
            refused: true,
        }
    }

    fn handle_frames(
        &mut self,
        input: &mut [u8],
        settings: &Settings,
        replies: &mut impl BufMut,
        commands: &mut Vec<Command>,
    ) -> Progress {
        let mut progress = Progress::default();
        let mut at = 0;
        while at < input.len() {
            let (reader, role) = match &mut self.0 {
                State::Subscriber(reader) => (reader, Role::Subscriber),
                State::Publisher(reader, channel) => (reader, Role::Publisher(channel)),
                State::Echo(reader) => (reader, Role::Echo),
                State::Head(_) | State::Over => return progress,
            };
            match reader.read(&mut input[at..], &settings.messages, None) {
                Ok((consumed, item)) => {
                    at += consumed;
                    match item {
                        None => {}
                        Some(Item::Text(payload)) => {
                            progress.messages += 1;
                            role.handle_message(Kind::Text, &payload, replies, commands);
                        }
                        Some(Item::Binary(payload)) => {
                            progress.messages += 1;
                            role.handle_message(Kind::Binary, &payload, replies, commands);
                        }
                        Some(Item::Ping(payload)) => {
                            frame::put_frame(replies, Opcode::Pong, &payload);
                        }
                        Some(Item::Pong) => {}
                        Some(Item::Close(said)) => {
                            let said = said.as_ref().map(|(code, reason)| (*code, &**reason));
                            close::put_echo(replies, said);
                            commands.push(Command::Close);
                            self.0 = State::Over;
                        }
                    }
                }
                Err(error) => {
                    close::put_close(replies, error.close_code(), &error.to_string());
                    commands.push(Command::Close);
                    self.0 = State::Over;
                    progress.refused = true;
                }
            }
        }
        progress
    }
}

/// What a connection does with the messages it sends.
enum Role<'a> {
    Subscriber,
    Publisher(&'a ChannelName),
    Echo,
}

impl Role<'_> {
    fn handle_message(
        self,
        kind: Kind,
        payload: &[u8],
        replies: &mut impl BufMut,
        commands: &mut Vec<Command>,
    ) {
        match self {
            Self::Subscriber => {}
            Self::Publisher(channel) => commands.push(Command::Publish {
                channel: channel.clone(),
                kind,
                payload: Bytes::copy_from_slice(payload),
            }),
            Self::Echo => frame::put_frame(replies, raw::opcode(kind), payload),
        }
    }
}
