//! The clients of a world: raw subscribers and publishers, STOMP clients, and some that misbehave.

use super::keeping::{Began, Since};
use super::mischief::Mischief;
use super::rng::Rng;
use super::saying::Line;
use super::socket::Socket;
use super::stomper::Stomper;
use super::wire::{self, Incoming, Said};

/// Bytes that a client's kernel takes before the shard has received them.
const INBOUND_MAX: usize = 3_000;

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Subscriber,
    /// Sends so many messages.
    Publisher(u32),
    /// Does what its [`Stomper`] says.
    Stomp,
    Rogue(Mischief),
}

/// How a client goes of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quit {
    /// With a close frame.
    Close,
    /// With DISCONNECT, if it speaks STOMP.
    Disconnect,
    /// By ending the connection without one.
    End,
    /// With a reset.
    Reset,
    /// Without a word: it neither reads nor writes any more.
    Vanish,
}

/// How fast a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Fast,
    /// So many bytes a step.
    Slow(usize),
    /// Not at all from one step to another.
    Stops(usize, usize),
}

/// Where a client's connection stands, as the world knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Has not connected yet.
    Away,
    /// Waits to be accepted.
    Waiting,
    Connected,
    /// The listener was closed when it came.
    TurnedAway,
    /// Has closed its own end.
    Gone,
}

pub struct Client {
    pub index: usize,
    pub role: Role,
    pub channel: usize,
    /// More channels that a subscriber is on.
    pub others: Vec<usize>,
    /// A subscriber to all channels that fit this, and not to a channel.
    pub pattern: Option<Pattern>,
    /// Which client it goes on for.
    pub follows: Option<usize>,
    /// From where on it wants its channel's publications.
    pub since: Option<Since>,
    pub shard: usize,
    pub pace: Pace,
    /// One that nothing is done to and that does nothing: it sees every publication.
    pub reference: bool,
    pub stomper: Option<Box<Stomper>>,
    /// Offers compression, and compresses what it publishes if the server agrees.
    pub offers_deflate: bool,
    /// A subscriber that asks for an event stream and not for a WebSocket.
    pub wants_stream: bool,
    pub connects_at: usize,
    pub quits: Option<(usize, Quit)>,
    pub place: Place,
    pub socket: Socket,
    /// Whether it has quit.
    pub has_quit: Option<Quit>,
    /// When each of its subscriptions began, that to its own channel first.
    pub began: Vec<Option<Began>>,
    pub received: Vec<Vec<u8>>,
    pub status: Option<u16>,
    /// The code of the server's close frame, 0 for none, and when it was read.
    pub told: Option<(u16, u64)>,
    /// Where it was told that the stream stands behind a gap.
    pub gap: Option<u64>,
    /// The server's bytes have ended.
    pub saw_end: bool,
    /// What the server may not have sent.
    pub fault: Option<String>,
    /// Messages handed to its own kernel or about to be.
    pub published: u32,
    outgoing: Vec<u8>,
    incoming: Incoming,
    said_close: bool,
    /// Bytes of its request.
    request_bytes: u64,
}

/// A subscription to many channels.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub text: &'static str,
    /// Publications of each channel before it can have begun.
    pub after: Vec<u64>,
    /// The same when it has begun; empty until then.
    pub until: Vec<u64>,
}

impl Client {
    pub fn new(index: usize, role: Role, channel: usize, shard: usize, capacity: usize) -> Self {
        Self {
            index,
            role,
            channel,
            others: Vec::new(),
            pattern: None,
            follows: None,
            since: None,
            shard,
            pace: Pace::Fast,
            reference: false,
            stomper: None,
            offers_deflate: false,
            wants_stream: false,
            connects_at: 0,
            quits: None,
            place: Place::Away,
            socket: Socket::new(capacity),
            has_quit: None,
            began: vec![None],
            received: Vec::new(),
            status: None,
            told: None,
            gap: None,
            saw_end: false,
            fault: None,
            published: 0,
            outgoing: Vec::new(),
            incoming: Incoming::default(),
            said_close: false,
            request_bytes: 0,
        }
    }

    /// Subscribes it to more channels.
    pub fn add_channels(&mut self, others: Vec<usize>) {
        self.began = vec![None; 1 + others.len()];
        self.others = others;
    }

    /// Its channels, its own first; none for a subscriber to a pattern.
    pub fn channels(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.pattern.is_none().then_some(self.channel);
        own.into_iter().chain(self.others.clone())
    }

    /// Whether the shard has received its whole request.
    pub fn was_asked(&self) -> bool {
        self.request_bytes > 0 && self.socket.taken >= self.request_bytes
    }

    /// Prepares what it says first.
    pub fn connect(&mut self, rng: &mut Rng) {
        self.place = Place::Waiting;
        let path = match self.role {
            Role::Publisher(_) => format!("/pub/{}", channel_name(self.channel)),
            Role::Stomp => rng.pick(&["/stomp", "/ws"]).to_owned(),
            Role::Rogue(Mischief::NoConnect | Mischief::NoStomp | Mischief::StrayAck) => {
                "/stomp".to_owned()
            }
            _ if let Some(pattern) = &self.pattern => format!("/sub/{}", pattern.text),
            _ if self.others.is_empty() => {
                let query = self.since.as_ref().map_or_else(String::new, Since::query);
                format!("/sub/{}{query}", channel_name(self.channel))
            }
            _ => {
                let names = self
                    .channels()
                    .map(|c| format!("channel={}", channel_name(c)));
                format!("/sub?{}", names.collect::<Vec<_>>().join("&"))
            }
        };
        self.outgoing = match self.wants_stream {
            true => wire::stream_request(&path, self.since.as_ref().filter(|_| rng.chance(500))),
            false => wire::request(&path, self.offers_deflate),
        };
        self.request_bytes = self.outgoing.len() as u64;
        if let Role::Rogue(mischief) = self.role {
            self.misbehave(mischief, rng);
        }
    }

    /// One step of its life; whether anything happened.
    pub fn step(&mut self, step: usize, now_ms: u64, calm: bool, rng: &mut Rng) -> bool {
        if matches!(self.place, Place::Away | Place::TurnedAway | Place::Gone)
            || self.has_quit == Some(Quit::Vanish)
        {
            return false;
        }
        if let Some((at, quit)) = self.quits
            && at <= step
            && self.has_quit.is_none()
            && self.place == Place::Connected
        {
            self.quit(quit, rng);
            return true;
        }
        let read = self.read(step, now_ms, calm, rng);
        let wrote = self.write(calm, rng);
        read | wrote
    }

    /// Goes.
    pub fn quit(&mut self, quit: Quit, rng: &mut Rng) {
        self.has_quit = Some(quit);
        match quit {
            Quit::Disconnect if self.speaks_stomp() && self.told.is_none() => {
                self.with_stomper(rng, |stomper, line| stomper.disconnect(line));
            }
            Quit::Disconnect if self.status == Some(101) => self.say_close(),
            Quit::Close if self.status == Some(101) => self.say_close(),
            Quit::Close | Quit::Disconnect | Quit::End => self.end(),
            Quit::Reset => {
                self.socket.reset();
                self.place = Place::Gone;
            }
            Quit::Vanish => {}
        }
    }

    /// Whether it is a WebSocket or an event stream that nobody has begun to close.
    pub fn is_open(&self) -> bool {
        self.place == Place::Connected
            && self.was_let_in()
            && self.told.is_none()
            && self.has_quit.is_none()
            && !self.saw_end
    }

    /// Whether it has become a WebSocket or an event stream.
    pub fn was_let_in(&self) -> bool {
        self.status == Some(101) || self.incoming.is_stream()
    }

    /// Whether it is connected by STOMP, as far as it knows.
    pub fn speaks_stomp(&self) -> bool {
        self.stomper.as_ref().is_some_and(|s| s.connected)
    }

    /// Whether it has bytes that it would write.
    pub fn is_writing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    fn read(&mut self, step: usize, now_ms: u64, calm: bool, rng: &mut Rng) -> bool {
        let most = match self.pace {
            _ if calm => usize::MAX,
            Pace::Fast => usize::MAX,
            Pace::Slow(bytes) => rng.within(0..=bytes),
            Pace::Stops(from, to) if (from..to).contains(&step) => 0,
            Pace::Stops(..) => usize::MAX,
        };
        let len = self.socket.outbound.len().min(most);
        if len > 0 {
            let bytes: Vec<u8> = self.socket.outbound.drain(..len).collect();
            self.hear(&bytes, now_ms);
        }
        let ended = self.socket.server_ended || self.socket.server_closed;
        if ended && self.socket.outbound.is_empty() && !self.saw_end {
            self.saw_end = true;
            if (self.status.is_none() || self.was_let_in()) && self.incoming.has_half() {
                // A connection that is dropped may be dropped in the middle of a frame; one that
                // has been told why may not, unless more follows, as when a stream is told when to come again.
                if self.told.is_some() && !self.wants_stream {
                    self.fault = Some("bytes behind the close frame".to_owned());
                }
            }
            self.end();
            return true;
        }
        len > 0
    }

    fn hear(&mut self, bytes: &[u8], now_ms: u64) {
        let mut said = Vec::new();
        if let Err(fault) = self.incoming.push(bytes, &mut said) {
            self.fault.get_or_insert(fault);
        }
        for one in said {
            match one {
                Said::Status(status) => self.status = Some(status),
                Said::Data { payload, .. } if self.stomper.is_some() => {
                    if let Some(Err(fault)) = self.stomper.as_mut().map(|s| s.hear(&payload)) {
                        self.fault.get_or_insert(fault);
                    }
                }
                // A rogue at the STOMP endpoint is sent an ERROR.
                Said::Data { .. } if matches!(self.role, Role::Rogue(_)) => {}
                Said::Data { text, payload } => {
                    if text != (payload.first() == Some(&b't')) {
                        self.fault = Some("text has become binary, or the reverse".to_owned());
                    }
                    self.received.push(payload);
                }
                Said::Ping(payload) => {
                    let pong = wire::masked(wire::PONG, &payload, [1, 2, 3, 4]);
                    self.outgoing.extend_from_slice(&pong);
                }
                Said::Gap(offset) if self.gap.is_none() && self.received.is_empty() => {
                    self.gap = Some(offset);
                }
                Said::Gap(_) => self.fault = Some("a gap in the midst of the stream".to_owned()),
                Said::Pong => self.fault = Some("a pong that nobody asked for".to_owned()),
                Said::Close(code) => {
                    self.told = Some((code.unwrap_or(0), now_ms));
                    if !self.wants_stream {
                        self.say_close();
                    }
                }
            }
        }
    }

    fn write(&mut self, calm: bool, rng: &mut Rng) -> bool {
        let mut happened = false;
        if let Role::Publisher(total) = self.role
            && self.published < total
            && self.has_quit.is_none()
            && self.told.is_none()
            && self.outgoing.len() < 600
            // Some don't wait for the answer to their handshake.
            && (self.status == Some(101) || self.index.is_multiple_of(3))
        {
            for _ in 0..rng.within(1..=4).min((total - self.published) as usize) {
                self.publish(rng);
            }
            happened = true;
        }
        if self.role == Role::Stomp
            && self.has_quit.is_none()
            && self.told.is_none()
            && self.outgoing.len() < 600
            && self.status == Some(101)
        {
            happened |= self.with_stomper(rng, |stomper, line| stomper.act(calm, line));
        }
        if self.socket.server_closed || self.socket.client_ended {
            self.outgoing.clear();
            return happened;
        }
        let room = INBOUND_MAX.saturating_sub(self.socket.inbound.len());
        let len = self.outgoing.len().min(room);
        if len == 0 {
            return happened;
        }
        // Cut anywhere: in the middle of the head, of a frame's header, of its payload.
        let len = if calm { len } else { rng.within(0..=len) };
        self.socket.inbound.extend(self.outgoing.drain(..len));
        if self.said_close && self.outgoing.is_empty() && self.told.is_some() {
            self.end();
        }
        true
    }

    fn with_stomper<T: Default>(
        &mut self,
        rng: &mut Rng,
        work: impl FnOnce(&mut Stomper, &mut Line<'_>) -> T,
    ) -> T {
        let mut line = Line {
            written: self.socket.taken + self.socket.inbound.len() as u64,
            deflates: self.incoming.has_agreed(),
            outgoing: &mut self.outgoing,
            rng,
        };
        match &mut self.stomper {
            Some(stomper) => work(stomper, &mut line),
            None => T::default(),
        }
    }

    fn publish(&mut self, rng: &mut Rng) {
        let payload = payload(self.index, self.published, rng);
        self.published += 1;
        let opcode = if payload[0] == b't' {
            wire::TEXT
        } else {
            wire::BINARY
        };
        let key = (rng.next() as u32).to_be_bytes();
        let frame = if self.incoming.has_agreed() && rng.chance(700) {
            wire::masked(wire::COMPRESSED | opcode, &wire::stored(&payload), key)
        } else {
            wire::masked(opcode, &payload, key)
        };
        self.outgoing.extend_from_slice(&frame);
    }

    fn say_close(&mut self) {
        if !self.said_close {
            self.said_close = true;
            let close = wire::masked(wire::CLOSE, &1000u16.to_be_bytes(), [9, 8, 7, 6]);
            self.outgoing.extend_from_slice(&close);
        }
    }

    /// Closes its own end as soon as there is nothing to be written.
    fn end(&mut self) {
        self.socket.client_ended = true;
        if self.saw_end {
            self.place = Place::Gone;
        }
    }

    fn misbehave(&mut self, mischief: Mischief, rng: &mut Rng) {
        mischief.add_to(&mut self.outgoing, self.offers_deflate, rng);
    }
}

/// The name of a world's channel.
pub fn channel_name(index: usize) -> String {
    format!("news.{index}")
}

/// A publication that says whose it is and the how manieth.
pub fn payload(publisher: usize, number: u32, rng: &mut Rng) -> Vec<u8> {
    let kind = rng.pick(&["t", "b"]);
    let padding = rng.pick(&[0, 3, 40, 130, 400, 1_500]);
    let mut payload = format!("{kind}:{publisher}:{number}:").into_bytes();
    payload.resize(payload.len() + padding, b'.');
    payload
}

/// Publisher and number of a publication.
pub fn parse_payload(payload: &[u8]) -> Option<(usize, u32)> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut parts = text.split(':').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
