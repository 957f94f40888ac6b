//! The load: all subscribers of one channel and its publisher, on one thread and one epoll.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::dialogue::Step;
use crate::handshake::{self, Offer};
use crate::ledger::{Answer, Counts, Ledger, Payload};
use crate::messages::Sharing;
use crate::publisher::Publisher;
use crate::{centrifuge, stomp};

/// The channel that everything is published on.
pub const CHANNEL: &str = "prices";
/// Connections being opened at a time: below every server's accept queue.
const OPENING_MAX: usize = 64;
/// Events taken from epoll at a time, so that what is done between them is done often.
const EVENTS_MAX: usize = 64;
/// More than what one subscriber can be sent while one window is outstanding.
const READ_BYTES: usize = 512 * 1024;
/// Silence after which what is outstanding is given up.
const STALL: Duration = Duration::from_secs(5);
/// How long a client that sleeps sleeps at most, so that its own clock is looked at.
const SLEEP_MS: u8 = 50;
/// The publisher's token among the subscribers' indices.
const PUBLISHER: u64 = u64::MAX;

/// What the client does when nothing is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// Asks again: no send of the server has to wake the client's core.
    Spin,
    /// Sleeps in epoll: the server's sends pay for waking the client.
    Sleep,
}

/// What subscribers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The raw protocol: payloads.
    Raw,
    /// The raw protocol with permessage-deflate.
    Deflate,
    /// STOMP, and so does the publisher.
    Stomp(Sharing),
    /// Centrifugo's protocol, and so does the publisher.
    Centrifuge,
}

impl Protocol {
    fn offer(self) -> Offer {
        match self {
            Self::Raw | Self::Centrifuge => Offer::Nothing,
            Self::Deflate => Offer::Deflate,
            Self::Stomp(_) => Offer::Stomp,
        }
    }
}

/// Connected subscribers and, once there is one, the publisher.
pub struct Client {
    server: SocketAddrV4,
    waiting: Waiting,
    window: u64,
    protocol: Protocol,
    epoll: Epoll,
    ledger: Ledger,
    subscribers: Vec<TcpStream>,
    publisher: Option<Publisher>,
    buffer: Vec<u8>,
    /// Bytes read by subscribers.
    received_bytes: u64,
}

/// A connection that is to be a subscriber.
struct Opening {
    stream: TcpStream,
    /// What is to be answered; the opening handshake if it is nothing.
    asked: Option<Step>,
}

/// What happened while messages were published.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// From the first publication to the last delivery, or to its confirmation where that is later.
    pub wall: Duration,
    /// The part of it in which the client found nothing to read.
    pub client_idle: Duration,
    /// Publications made.
    pub published: u64,
    /// Deliveries counted.
    pub delivered: u64,
    /// Bytes that subscribers received for them.
    pub received_bytes: u64,
    /// Whether something outstanding never came.
    pub stalled: bool,
}

impl Client {
    /// A client without connections, at most `window` publications outstanding.
    pub fn new(
        server: SocketAddrV4,
        waiting: Waiting,
        payload: Payload,
        window: u64,
        protocol: Protocol,
    ) -> io::Result<Self> {
        let mut ledger = Ledger::new(payload, window);
        match protocol {
            Protocol::Raw => {}
            Protocol::Deflate => ledger.expect_compressed(),
            Protocol::Stomp(sharing) => ledger.expect_stomp(sharing),
            Protocol::Centrifuge => ledger.expect_pushes(),
        }
        Ok(Self {
            server,
            waiting,
            window,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            ledger,
            protocol,
            received_bytes: 0,
            subscribers: Vec::new(),
            publisher: None,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// The path that subscribes to the channel in the raw protocol.
    pub fn subscribe_path() -> String {
        format!("/sub/{CHANNEL}")
    }

    /// Opens `count` subscribing connections, a bounded number of them at a time.
    pub fn subscribe(&mut self, count: u32) -> io::Result<()> {
        let path = match self.protocol {
            Protocol::Raw | Protocol::Deflate => Self::subscribe_path(),
            Protocol::Stomp(_) => stomp::PATH.to_owned(),
            Protocol::Centrifuge => centrifuge::PATH.to_owned(),
        };
        let offer = self.protocol.offer();
        let mut opening = VecDeque::with_capacity(OPENING_MAX);
        for index in 0..count {
            while opening.len() == OPENING_MAX {
                self.advance_first(&mut opening)?;
            }
            opening.push_back(Opening {
                stream: handshake::begin(self.server, &path, offer, index)?,
                asked: None,
            });
        }
        while !opening.is_empty() {
            self.advance_first(&mut opening)?;
        }
        Ok(())
    }

    /// Waits for what the first of those that are being opened has asked; it asks its next question and is the last then, or is
    /// a subscriber. All ask as many questions, so that the first to begin is the first to be one.
    fn advance_first(&mut self, opening: &mut VecDeque<Opening>) -> io::Result<()> {
        let Some(Opening { mut stream, asked }) = opening.pop_front() else {
            return Ok(());
        };
        let mut early = Vec::new();
        let next = match asked {
            None => {
                early = handshake::finish(&mut stream, self.protocol.offer())?;
                Step::first(self.protocol)
            }
            Some(step) => {
                step.finish(&mut stream)?;
                step.next()
            }
        };
        match next {
            None => self.admit(stream, &early),
            Some(_) if !early.is_empty() => Err(io::Error::other(
                "the server said something before it was asked",
            )),
            Some(step) => {
                step.ask(&mut stream)?;
                opening.push_back(Opening {
                    stream,
                    asked: Some(step),
                });
                Ok(())
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, early: &[u8]) -> io::Result<()> {
        let index = self.ledger.subscribe();
        self.ledger.receive(index, early);
        stream.set_nonblocking(true)?;
        let readable = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll
            .add(&stream, EpollEvent::new(readable, u64::from(index)))?;
        self.subscribers.push(stream);
        // The first ones may be sent pings while the last ones come.
        if self.subscribers.len().is_multiple_of(EVENTS_MAX) {
            let mut events = [EpollEvent::empty(); EVENTS_MAX];
            let ready = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
            self.take(&events[..ready])?;
        }
        Ok(())
    }

    /// Opens the connection that publishes.
    pub fn connect_publisher(&mut self) -> io::Result<()> {
        let publisher = Publisher::connect(self.server, self.protocol)?;
        let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll
            .add(publisher.stream(), EpollEvent::new(both, PUBLISHER))?;
        self.publisher = Some(publisher);
        Ok(())
    }

    /// Publishes for as long as `publish_for` says, at least once, never more than the window ahead of the slowest
    /// subscriber, and returns when the last publication has arrived everywhere or nothing has come for 5 s. A publication
    /// that should have been confirmed by then and was not is an error.
    /// While it publishes, `between` is called after every few reads.
    pub fn drive(
        &mut self,
        publish_for: Duration,
        mut between: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Phase> {
        let started = Instant::now();
        let (published_before, delivered_before) =
            (self.ledger.published(), self.ledger.delivered());
        let received_before = self.received_bytes;
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let timeout = match self.waiting {
            Waiting::Spin => EpollTimeout::ZERO,
            Waiting::Sleep => EpollTimeout::from(SLEEP_MS),
        };
        let mut now = started;
        let mut last_heard = started;
        let mut client_idle = Duration::ZERO;
        let mut stalled = false;
        loop {
            let first = self.ledger.published() == published_before;
            let publishing = now - started < publish_for;
            if first || publishing {
                self.publish_up_to_window()?;
            }
            if let Some(publisher) = &mut self.publisher {
                publisher.flush()?;
            }
            let publisher = self.publisher.as_ref();
            let unconfirmed = publisher.map_or(0, Publisher::unconfirmed);
            if self.ledger.outstanding() == 0 && unconfirmed == 0 {
                break;
            }
            let before_wait = Instant::now();
            let ready = self.epoll.wait(&mut events, timeout)?;
            let heard = self.heard();
            if self.waiting == Waiting::Sleep {
                now = Instant::now();
                client_idle += now - before_wait;
            }
            self.take(&events[..ready])?;
            if publishing {
                between()?;
            }
            now = Instant::now();
            if self.waiting == Waiting::Spin && ready == 0 {
                client_idle += now - before_wait;
            }
            if self.heard() > heard {
                last_heard = now;
            } else if now - last_heard > STALL {
                if self.ledger.outstanding() == 0 {
                    return Err(io::Error::other(format!(
                        "{unconfirmed} publications were not confirmed"
                    )));
                }
                stalled = true;
                break;
            }
        }
        Ok(Phase {
            wall: last_heard - started,
            client_idle,
            published: self.ledger.published() - published_before,
            delivered: self.ledger.delivered() - delivered_before,
            received_bytes: self.received_bytes - received_before,
            stalled,
        })
    }

    /// Deliveries and confirmations so far.
    fn heard(&self) -> u64 {
        let confirmed = self.publisher.as_ref().map_or(0, Publisher::confirmed);
        self.ledger.delivered() + confirmed
    }

    fn publish_up_to_window(&mut self) -> io::Result<()> {
        let Some(publisher) = &mut self.publisher else {
            return Err(io::Error::other(
                "nothing can be published without a publisher",
            ));
        };
        while self.ledger.outstanding() < self.window {
            publisher.publish(self.ledger.publish());
        }
        Ok(())
    }

    fn take(&mut self, events: &[EpollEvent]) -> io::Result<()> {
        for event in events {
            match event.data() {
                PUBLISHER => {
                    if let Some(publisher) = &mut self.publisher {
                        publisher.read(&mut self.buffer)?;
                    }
                }
                index => self.read_subscriber(index as u32, event.events())?,
            }
        }
        Ok(())
    }

    fn read_subscriber(&mut self, index: u32, events: EpollFlags) -> io::Result<()> {
        let ended = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        let until_the_end = events.intersects(ended);
        let mut stream = &self.subscribers[index as usize];
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => self.ledger.close(index),
                Ok(count) => {
                    self.received_bytes += count as u64;
                    let mut pong = Vec::new();
                    match self.ledger.receive(index, &self.buffer[..count]) {
                        Answer::None => {}
                        Answer::Pong(payload) => handshake::push_pong(&mut pong, &payload),
                        Answer::Message(message) => handshake::push_masked(&mut pong, message),
                    }
                    stream.write_all(&pong)?;
                    // A read that did not fill the buffer has emptied the socket; what comes later raises a new
                    // edge. Only an end that came with the data has raised its edge already.
                    if count == self.buffer.len() || until_the_end {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.ledger.close(index),
            }
            return Ok(());
        }
    }

    /// Everything counted since the first publication.
    pub fn counts(&self) -> Counts {
        self.ledger.settle()
    }
}
