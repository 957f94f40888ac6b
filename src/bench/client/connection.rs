//! One subscribing connection, from the first SYN to its end.

use std::io::{self, Write};

use mio::net::TcpStream;

use super::super::frames::{FrameReader, Opcode, put_frame};
use super::super::protocol::Link;

/// A connection and all that is remembered of it.
pub(super) struct Connection {
    /// `None` once it has ended.
    pub stream: Option<TcpStream>,
    pub state: State,
    /// Its number among all threads' connections.
    pub number: u32,
    /// Its index in the ledger, once it is open.
    pub subscriber: Option<u32>,
    pub channels: Box<[u32]>,
    pub reader: FrameReader,
    pub link: Link,
    /// What the socket did not take at once; of commands and pongs alone, so nearly always empty.
    unsent: Vec<u8>,
    /// When connecting began, in nanoseconds of the run's clock.
    pub began_ns: u64,
    /// Whether it came while publishing was under way and has received nothing yet.
    pub awaits_first: bool,
    pub stalled: Option<Box<Stalled>>,
}

/// How far a connection is.
pub(super) enum State {
    /// The kernel has not connected it yet.
    Connecting,
    /// The handshake's answer has come up to here.
    Upgrading(Vec<u8>),
    /// The protocol's own opening is under way.
    Opening,
    /// It is subscribed.
    Open,
}

/// Whether a subscriber reads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// It does, and has always done.
    #[default]
    Before,
    /// It does not.
    Asleep,
    /// It does again.
    Woken,
}

/// A subscriber that does not read for a while.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    pub rest: Rest,
    /// The sequence number that was due when it fell asleep.
    pub next: u64,
    /// What it has received since it woke, in order and without a gap.
    pub received: u64,
    /// Publications that are missing between two that came, or came in another order.
    pub missed: u64,
    /// How its connection ended: the close code, 1006 without one (RFC 6455, section 7.4.1).
    pub ended: Option<u16>,
}

impl Stalled {
    /// Takes the next publication that arrives after it woke.
    pub fn deliver(&mut self, sequence: u64) {
        if sequence == self.next {
            self.received += 1;
        } else {
            self.missed += sequence.abs_diff(self.next);
        }
        self.next = sequence + 1;
    }
}

impl Connection {
    pub fn new(stream: TcpStream, number: u32, channels: Vec<u32>, began_ns: u64) -> Self {
        Self {
            stream: Some(stream),
            state: State::Connecting,
            number,
            subscriber: None,
            channels: channels.into_boxed_slice(),
            reader: FrameReader::default(),
            link: Link::default(),
            unsent: Vec::new(),
            began_ns,
            awaits_first: false,
            stalled: None,
        }
    }

    pub fn is_asleep(&self) -> bool {
        self.stalled
            .as_ref()
            .is_some_and(|it| it.rest == Rest::Asleep)
    }

    /// Sends bytes after all that still waits.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Sends one message or control frame.
    pub fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        put_frame(&mut self.unsent, opcode, payload);
        self.flush()
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while !self.unsent.is_empty() {
            match stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }
}
