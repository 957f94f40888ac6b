//! The load of several channels: every subscriber is on some of them, and all of them are published to, together or in turn.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::client::{Phase, Waiting};
use crate::frames::{Frame, FrameReader};
use crate::handshake::{self, Offer};
use crate::ledger::Counts;

/// Channels there are.
const CHANNELS: usize = 100;
/// Channels that each subscriber is on.
const EACH: usize = 20;
/// Bytes of every message: channel, sequence, filler.
const PAYLOAD_BYTES: usize = 128;
/// Bytes of the message in front of the filler.
const NUMBERS_BYTES: usize = 24;
/// Events taken from epoll at a time.
const EVENTS_MAX: usize = 64;
/// Silence after which what is outstanding is given up.
const STALL: Duration = Duration::from_secs(5);
/// How long a client that sleeps sleeps at most.
const SLEEP_MS: u8 = 50;

/// When which channels are published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All of them, and all again when everything has arrived everywhere: subscribers get much from many channels at a time.
    Together,
    /// One after the other, so many messages outstanding; of neighbours in this order no subscriber is on two, as long as
    /// there are no more than [`APART`].
    InTurn {
        /// Messages outstanding, at most [`APART`].
        outstanding: u64,
    },
}

/// So many channels in a row have no subscriber in common.
const APART: usize = CHANNELS / EACH;

/// Subscribers on some channels each, and a publisher for each channel.
pub struct Channels {
    server: SocketAddrV4,
    pace: Pace,
    waiting: Waiting,
    epoll: Epoll,
    subscribers: Vec<Subscriber>,
    /// Subscribers of each channel.
    audiences: [u64; CHANNELS],
    publishers: Vec<TcpStream>,
    /// Messages published to each channel.
    published: [u64; CHANNELS],
    /// Deliveries that all of them make.
    due: u64,
    /// The next channel in turn.
    next: usize,
    received_bytes: u64,
    counts: Counts,
    buffer: Vec<u8>,
}

struct Subscriber {
    stream: TcpStream,
    reader: FrameReader,
    /// The next sequence number of each of its channels.
    next: [u64; EACH],
    closed: bool,
}

impl Channels {
    /// A client without connections.
    pub fn new(server: SocketAddrV4, pace: Pace, waiting: Waiting) -> io::Result<Self> {
        Ok(Self {
            server,
            pace,
            waiting,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            subscribers: Vec::new(),
            audiences: [0; CHANNELS],
            publishers: Vec::new(),
            published: [0; CHANNELS],
            due: 0,
            next: 0,
            received_bytes: 0,
            counts: Counts::default(),
            buffer: vec![0; 512 * 1024],
        })
    }

    /// Opens `count` subscribing connections and a publishing one for each channel.
    pub fn connect(&mut self, count: u32) -> io::Result<()> {
        for index in 0..count {
            let channels: Vec<String> = (0..EACH)
                .map(|which| format!("channel=c{}", channel_of(index as usize, which)))
                .collect();
            let path = format!("/sub?{}", channels.join("&"));
            let mut stream = handshake::begin(self.server, &path, Offer::Nothing, index)?;
            let early = handshake::finish(&mut stream, Offer::Nothing)?;
            stream.set_nonblocking(true)?;
            let readable = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
            let token = u64::from(index);
            self.epoll.add(&stream, EpollEvent::new(readable, token))?;
            self.subscribers.push(Subscriber {
                stream,
                reader: FrameReader::default(),
                next: [0; EACH],
                closed: false,
            });
            (0..EACH).for_each(|which| self.audiences[channel_of(index as usize, which)] += 1);
            self.receive(index as usize, &early);
        }
        for channel in 0..CHANNELS {
            let path = format!("/pub/c{channel}");
            let mut stream = handshake::begin(self.server, &path, Offer::Nothing, 0)?;
            handshake::finish(&mut stream, Offer::Nothing)?;
            self.publishers.push(stream);
        }
        Ok(())
    }

    /// Publishes at its pace for as long as `publish_for` says, at least once, until everything has arrived.
    pub fn drive(&mut self, publish_for: Duration) -> io::Result<Phase> {
        let started = Instant::now();
        let (published_before, delivered_before) = (self.messages(), self.counts.delivered);
        let received_before = self.received_bytes;
        let mut client_idle = Duration::ZERO;
        let mut last_delivery = started;
        let mut stalled = false;
        loop {
            let first = self.messages() == published_before;
            if first || started.elapsed() < publish_for {
                self.publish()?;
            } else if self.counts.delivered >= self.due {
                break;
            }
            let delivered = self.counts.delivered;
            client_idle += self.read_ready()?;
            if self.counts.delivered > delivered {
                last_delivery = Instant::now();
            } else if last_delivery.elapsed() > STALL {
                stalled = true;
                break;
            }
        }
        Ok(Phase {
            wall: last_delivery - started,
            client_idle,
            published: self.messages() - published_before,
            delivered: self.counts.delivered - delivered_before,
            received_bytes: self.received_bytes - received_before,
            stalled,
        })
    }

    /// Everything counted so far; what has not arrived by now is lost.
    pub fn counts(&self) -> Counts {
        let missing = |(index, subscriber): (usize, &Subscriber)| -> u64 {
            (0..EACH)
                .map(|which| self.published[channel_of(index, which)] - subscriber.next[which])
                .sum()
        };
        let subscribers = self.subscribers.iter().enumerate();
        Counts {
            lost: self.counts.lost + subscribers.map(missing).sum::<u64>(),
            ..self.counts
        }
    }

    /// Messages published so far.
    fn messages(&self) -> u64 {
        self.published.iter().sum()
    }

    /// Publishes what is due by now.
    fn publish(&mut self) -> io::Result<()> {
        let outstanding = |channels: &Self| channels.due.saturating_sub(channels.counts.delivered);
        match self.pace {
            Pace::Together if outstanding(self) > 0 => {}
            Pace::Together => {
                for channel in 0..CHANNELS {
                    self.publish_to(channel)?;
                }
            }
            Pace::InTurn { outstanding: most } => {
                // Each channel has as many subscribers as any other.
                while outstanding(self) <= (most - 1) * self.audiences[self.next] {
                    self.publish_to(self.next)?;
                    self.next = (self.next + 1) % CHANNELS;
                }
            }
        }
        Ok(())
    }

    fn publish_to(&mut self, channel: usize) -> io::Result<()> {
        let mut frame = Vec::with_capacity(PAYLOAD_BYTES + 8);
        handshake::push_masked(&mut frame, &payload(channel, self.published[channel]));
        self.publishers[channel].write_all(&frame)?;
        self.published[channel] += 1;
        self.due += self.audiences[channel];
        Ok(())
    }

    /// Reads what is there; returns how long it waited for nothing.
    fn read_ready(&mut self) -> io::Result<Duration> {
        let timeout = match self.waiting {
            Waiting::Spin => EpollTimeout::ZERO,
            Waiting::Sleep => EpollTimeout::from(SLEEP_MS),
        };
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let before = Instant::now();
        let ready = self.epoll.wait(&mut events, timeout)?;
        let waited = before.elapsed();
        for event in &events[..ready] {
            self.read(event.data() as usize)?;
        }
        let idle = self.waiting == Waiting::Sleep || ready == 0;
        Ok(if idle { waited } else { Duration::ZERO })
    }

    fn read(&mut self, index: usize) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match self.subscribers[index].stream.read(&mut buffer) {
                Ok(0) => {
                    break Err(io::Error::other(
                        "the server closed a subscriber's connection",
                    ));
                }
                Ok(count) => {
                    self.received_bytes += count as u64;
                    self.receive(index, &buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.buffer = buffer;
        result
    }

    fn receive(&mut self, index: usize, bytes: &[u8]) {
        let Self {
            subscribers,
            counts,
            published,
            ..
        } = self;
        let Subscriber {
            reader,
            next,
            closed,
            ..
        } = &mut subscribers[index];
        let valid = reader.read(bytes, |frame| match frame {
            Frame::Message(message) => {
                let Some((channel, sequence)) = numbers(message) else {
                    counts.foreign += 1;
                    return;
                };
                let which = (0..EACH).find(|&which| channel_of(index, which) == channel);
                let Some(which) = which.filter(|_| sequence < published[channel]) else {
                    counts.foreign += 1;
                    return;
                };
                match sequence.cmp(&next[which]) {
                    std::cmp::Ordering::Less => counts.doubled += 1,
                    std::cmp::Ordering::Equal => counts.delivered += 1,
                    std::cmp::Ordering::Greater => {
                        counts.lost += sequence - next[which];
                        counts.delivered += 1;
                    }
                }
                next[which] = next[which].max(sequence + 1);
            }
            Frame::Ping(_) | Frame::Pong => {}
            Frame::Compressed(_) | Frame::Close(_) => counts.foreign += 1,
        });
        if valid.is_err() && !*closed {
            *closed = true;
            counts.closed += 1;
        }
    }
}

/// The channels of a subscriber: every fifth, from one of its own on; so each channel has as many subscribers, if those are a
/// multiple of [`APART`], and no subscriber is on two of [`APART`] channels in a row.
fn channel_of(subscriber: usize, which: usize) -> usize {
    (subscriber + which * APART) % CHANNELS
}

fn payload(channel: usize, sequence: u64) -> Vec<u8> {
    let mut payload = format!("{channel:03}:{sequence:019}:").into_bytes();
    payload.resize(PAYLOAD_BYTES, b'x');
    payload
}

/// Channel and sequence of a message, if it is one that [`payload`] makes.
fn numbers(message: &[u8]) -> Option<(usize, u64)> {
    let (numbers, filler) = message.split_at_checked(NUMBERS_BYTES)?;
    let (channel, sequence) = std::str::from_utf8(numbers).ok()?.split_once(':')?;
    let numbers = (
        channel.parse().ok()?,
        sequence.strip_suffix(':')?.parse().ok()?,
    );
    let whole = filler.len() == PAYLOAD_BYTES - NUMBERS_BYTES && filler.iter().all(|&b| b == b'x');
    whole.then_some(numbers)
}
