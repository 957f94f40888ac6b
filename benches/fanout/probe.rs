//! New clients while the server is saturated: how long until each has its first message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::frames::{Frame, FrameReader};
use crate::handshake::{self, Offer};
use crate::ledger::{Counts, Payload};

/// Newcomers at a time.
const VISITS_MAX: usize = 8;
/// Time between two that begin, so that they come at different moments of the server's work.
const BEGIN_EVERY: Duration = Duration::from_millis(37);
/// Time between two looks at them: fine beside what is asked of the server, and cheap for the client.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Messages that a newcomer stays for, so that a gap or a repeat after its first one is seen.
const STAYS_FOR: u64 = 100;
/// Source addresses are shared with the subscribers; this index has one of its own.
const SOURCE_INDEX: u32 = 200_000;

/// Lets newcomers connect, subscribe, take some messages and leave. Never blocks: [`step`](Self::step) it often.
pub struct Probe {
    server: SocketAddrV4,
    payload: Payload,
    buffer: Vec<u8>,
    visits: Vec<Visit>,
    begun: Instant,
    looked: Instant,
    first_message_after: Vec<Duration>,
    counts: Counts,
}

struct Visit {
    began: Instant,
    stream: TcpStream,
    /// What of the request is not written yet.
    request: Vec<u8>,
    /// The response's head as far as it has come; `None` once it is complete.
    head: Option<Vec<u8>>,
    reader: FrameReader,
    next: Option<u64>,
    received: u64,
}

impl Probe {
    /// A probe of the channel that the client's subscribers are on.
    pub fn new(server: SocketAddrV4, payload_bytes: usize) -> Self {
        let now = Instant::now();
        Self {
            server,
            payload: Payload::new(payload_bytes),
            buffer: vec![0; 64 * 1024],
            visits: Vec::new(),
            begun: now,
            looked: now,
            first_message_after: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Goes on as far as it can without waiting, if it is time to look.
    pub fn step(&mut self) -> io::Result<()> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        if self.visits.len() < VISITS_MAX && self.begun.elapsed() >= BEGIN_EVERY {
            self.visits.push(Visit::begin(self.server)?);
            self.begun = Instant::now();
        }
        for visit in std::mem::take(&mut self.visits) {
            let staying = self.advance(visit)?;
            self.visits.extend(staying);
        }
        self.looked = Instant::now();
        Ok(())
    }

    /// Times from the begin of connecting to the first message. A newcomer that was still waiting at the last
    /// look counts with the time it had waited by then.
    pub fn finish(self) -> (Vec<Duration>, Counts) {
        let waiting = self.visits.iter().filter(|visit| visit.received == 0);
        let waited = waiting.map(|visit| self.looked - visit.began);
        let times = self.first_message_after.into_iter().chain(waited).collect();
        (times, self.counts)
    }

    /// The visit as it stands after all that can be done now, or `None` when it is over.
    fn advance(&mut self, mut visit: Visit) -> io::Result<Option<Visit>> {
        if !visit.send_request()? {
            return Ok(Some(visit));
        }
        let count = match visit.stream.read(&mut self.buffer) {
            Ok(0) => return Ok(self.end_closed()),
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(Some(visit));
            }
            Err(_) => return Ok(self.end_closed()),
        };
        let early;
        let frames = match &mut visit.head {
            None => &self.buffer[..count],
            Some(head) => {
                head.extend_from_slice(&self.buffer[..count]);
                let Some(length) = handshake::accepted(head, Offer::Nothing)? else {
                    return Ok(Some(visit));
                };
                early = head.split_off(length);
                visit.head = None;
                &early
            }
        };
        let was_new = visit.received == 0;
        let Visit {
            reader,
            next,
            received,
            ..
        } = &mut visit;
        let (payload, counts) = (&self.payload, &mut self.counts);
        let mut ended = false;
        let valid = reader.read(frames, |frame| match frame {
            Frame::Message(message) => {
                let Some(sequence) = payload.sequence(message) else {
                    counts.foreign += 1;
                    return;
                };
                // Everything from the first one on has to come, once and in order.
                match next.map(|next| sequence.cmp(&next)) {
                    Some(std::cmp::Ordering::Greater) => {
                        counts.lost += sequence - next.unwrap_or_default()
                    }
                    Some(std::cmp::Ordering::Less) => counts.doubled += 1,
                    Some(std::cmp::Ordering::Equal) | None => {}
                }
                *next = Some(sequence + 1);
                *received += 1;
                counts.delivered += 1;
            }
            Frame::Close(_) => ended = true,
            // Nobody agreed to it, so the reader never gives it.
            Frame::Compressed(_) => counts.foreign += 1,
            Frame::Ping(_) | Frame::Pong => {}
        });
        if was_new && visit.received > 0 {
            self.first_message_after.push(visit.began.elapsed());
        }
        if valid.is_err() || ended {
            return Ok(self.end_closed());
        }
        Ok((visit.received < STAYS_FOR).then_some(visit))
    }

    fn end_closed(&mut self) -> Option<Visit> {
        self.counts.closed += 1;
        None
    }
}

impl Visit {
    fn begin(server: SocketAddrV4) -> io::Result<Self> {
        let socket = handshake::socket_from(SOURCE_INDEX)?;
        socket.set_nonblocking(true)?;
        let began = Instant::now();
        match socket.connect(&server.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            began,
            stream: socket.into(),
            request: handshake::request(server, &Client::subscribe_path(), Offer::Nothing),
            head: Some(Vec::new()),
            reader: FrameReader::default(),
            next: None,
            received: 0,
        })
    }

    /// Whether the request is out.
    fn send_request(&mut self) -> io::Result<bool> {
        if self.request.is_empty() {
            return Ok(true);
        }
        match self.stream.write(&self.request) {
            Ok(count) => {
                self.request.drain(..count);
                Ok(self.request.is_empty())
            }
            // Not connected yet: the accept queue is full.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::NotConnected
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
