//! One thread of the client: an epoll, its share of the subscribers, and on the first thread the publisher.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::{Events, Poll};

use super::super::frames::{Frame, Opcode};
use super::super::ledger::Ledger;
use super::super::protocol::Said;
use super::Settings;
use super::connection::{Connection, Rest, State};
use super::counting::{Counting, Happened, Tally};
use super::orders::{Connected, Order, Report};
use super::publisher::Publisher;
use super::samples::Samples;
use super::shared::{Shared, nanos};

/// Tokens from here on are the publisher's.
pub(super) const PUBLISHER: usize = 1 << 32;
/// Bytes taken from one socket at a time.
const BUFFER_BYTES: usize = 512 * 1024;
/// Events taken from epoll at a time.
const EVENTS_MAX: usize = 256;
/// How long a thread without a load sleeps at most.
pub(super) const SLEEP: Duration = Duration::from_millis(10);

pub(super) struct Worker {
    index: usize,
    pub(super) settings: Arc<Settings>,
    pub(super) shared: Arc<Shared>,
    pub(super) poll: Poll,
    events: Events,
    pub(super) connections: Vec<Connection>,
    pub(super) ledger: Ledger,
    pub(super) publisher: Option<Publisher>,
    samples: Samples,
    pub(super) buffer: Vec<u8>,
    pub(super) tally: Tally,
    closes: BTreeMap<u16, u64>,
    /// Connections begun that are neither open nor failed.
    pub(super) under_way: u32,
    pub(super) connected: Connected,
    /// Whose turn to leave is next.
    pub(super) next_to_leave: usize,
}

impl Worker {
    pub fn new(index: usize, settings: Arc<Settings>, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            index,
            ledger: Ledger::new(settings.plan),
            settings,
            shared,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            publisher: None,
            samples: Samples::new(),
            buffer: vec![0; BUFFER_BYTES],
            tally: Tally::default(),
            closes: BTreeMap::new(),
            under_way: 0,
            connected: Connected::default(),
            next_to_leave: 0,
        })
    }

    /// Carries orders out until nobody gives any.
    pub fn run(
        &mut self,
        orders: &Receiver<Order>,
        report: impl Fn(Result<Report, String>) -> bool,
    ) {
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    let answer = self.carry_out(order);
                    self.tell_others(self.ledger.delivered());
                    if !report(answer) {
                        return;
                    }
                }
                Err(TryRecvError::Empty) => {
                    // A publisher that is lost now is missed by the next load.
                    let _ = self.turn(SLEEP);
                }
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, order: Order) -> Result<Report, String> {
        Ok(match order {
            Order::Connect(connect) => Report::Connected(self.connect(connect)?),
            Order::OpenPublisher => {
                self.open_publisher()?;
                Report::PublisherOpen
            }
            Order::Load(load) => Report::Load(Box::new(self.load(load)?)),
            Order::Stall => Report::Stalled(self.stall()),
            Order::Wake(at_most) => Report::Woken(self.wake(at_most)?),
            Order::Idle(duration) => {
                let until = self.shared.clock.now_ns() + nanos(duration);
                while self.shared.clock.now_ns() < until && !self.shared.must_stop() {
                    self.turn(SLEEP)?;
                }
                Report::Idled
            }
            Order::Settle => {
                let published = |channel: u32| self.shared.published[channel as usize].get();
                Report::Settled(self.ledger.settle(published), self.closes.clone())
            }
        })
    }

    fn open_publisher(&mut self) -> Result<(), String> {
        let Some(publishing) = self.settings.publishing.clone() else {
            return Err("this target has no way to publish".to_owned());
        };
        let mut publisher = Publisher::open(publishing, &self.settings.dialect)?;
        publisher
            .register(self.poll.registry(), PUBLISHER)
            .map_err(|error| error.to_string())?;
        self.publisher = Some(publisher);
        Ok(())
    }

    pub(super) fn begin_tally(&mut self) {
        self.tally = Tally::default();
    }

    /// Tells the other threads how far this one's subscribers are.
    #[inline]
    pub(super) fn tell_others(&self, delivered: u64) {
        self.shared.delivered[self.index].set(delivered);
        self.shared.everywhere[self.index].set(self.ledger.everywhere());
    }

    /// Waits for events, `timeout` at most, and deals with them. True if there were any.
    ///
    /// # Errors
    /// When the publisher is lost; whatever happens to a subscriber is counted.
    pub(super) fn turn(&mut self, timeout: Duration) -> Result<bool, String> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let went = self.deal_with_events(&mut events, timeout);
        self.events = events;
        went
    }

    fn deal_with_events(&mut self, events: &mut Events, timeout: Duration) -> Result<bool, String> {
        match self.poll.poll(events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(format!("epoll: {error}")),
        }
        for event in events.iter() {
            let index = event.token().0;
            if index >= PUBLISHER {
                self.read_publisher(event.token())?;
                continue;
            }
            if event.is_writable() {
                self.write(index);
            }
            let ends = event.is_read_closed() || event.is_error();
            if event.is_readable() || ends {
                self.read(index, ends);
            }
        }
        Ok(!events.is_empty())
    }

    /// Goes on where the socket had no room, or was not connected.
    fn write(&mut self, index: usize) {
        let settings = &self.settings;
        let connection = &mut self.connections[index];
        let Some(stream) = &mut connection.stream else {
            return;
        };
        let went = match connection.state {
            State::Connecting => match (stream.take_error(), stream.peer_addr()) {
                (Ok(None), Ok(_)) => {
                    connection.state = State::Upgrading(Vec::new());
                    let first = *connection.channels.first().unwrap_or(&0) as usize;
                    let path = &settings.paths[first % settings.paths.len()];
                    connection.send(&settings.request.bytes(path))
                }
                (Ok(None), Err(_)) => Ok(()),
                (Ok(Some(error)) | Err(error), _) => Err(error),
            },
            _ => connection.flush(),
        };
        if let Err(error) = went {
            self.end(index, 1006, &format!("cannot connect: {error}"));
        }
    }

    /// Reads until there is nothing more.
    pub(super) fn read(&mut self, index: usize, closed: bool) {
        loop {
            let connection = &mut self.connections[index];
            let is_asleep = connection.is_asleep();
            let Some(stream) = &mut connection.stream else {
                return;
            };
            if is_asleep {
                return;
            }
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => return self.end(index, 1006, "the server closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.end(index, 1006, &error.to_string()),
            };
            self.tally.report.received_bytes += count as u64;
            self.take(index, count);
            // A short read of a stream socket has emptied it (epoll(7)), unless its end is what follows.
            if count < self.buffer.len() && !closed {
                return;
            }
        }
    }

    /// Takes the first `count` bytes of the buffer, which are the next of this connection.
    fn take(&mut self, index: usize, count: usize) {
        let connection = &mut self.connections[index];
        match &mut connection.state {
            State::Open | State::Opening => self.take_frames(index, 0..count),
            State::Connecting => {}
            State::Upgrading(head) => {
                head.extend_from_slice(&self.buffer[..count]);
                match self.settings.request.accepted(head) {
                    Ok(None) => {}
                    Ok(Some(accepted)) => {
                        let early = head.split_off(accepted.head_len);
                        if accepted.compressed {
                            connection.reader.take_compressed();
                            self.connected.compressed += 1;
                        }
                        connection.state = State::Opening;
                        self.begin_protocol(index);
                        self.buffer[..early.len()].copy_from_slice(&early);
                        self.take_frames(index, 0..early.len());
                    }
                    Err(why) => self.end(index, 1006, &why),
                }
            }
        }
    }

    fn begin_protocol(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let dialect = &self.settings.dialect;
        let mut happened = Happened::default();
        match dialect.begin(&mut connection.link, &connection.channels) {
            Some(Said::Answer(message)) => happened.answers.push((dialect.opcode(), message)),
            Some(Said::Open) => happened.opened = true,
            _ => {}
        }
        self.heed(index, happened);
    }

    fn take_frames(&mut self, index: usize, range: std::ops::Range<usize>) {
        let now_ns = self.shared.clock.now_ns();
        let Connection {
            reader,
            link,
            channels,
            subscriber,
            stalled,
            awaits_first,
            began_ns,
            ..
        } = &mut self.connections[index];
        let mut counting = Counting {
            ledger: &mut self.ledger,
            tally: &mut self.tally,
            shared: &self.shared,
            subscriber: *subscriber,
            stalled: stalled.as_deref_mut().filter(|it| it.rest == Rest::Woken),
            awaits_first,
            began_ns: *began_ns,
            now_ns,
        };
        let dialect = &self.settings.dialect;
        let mut happened = Happened::default();
        let samples = &mut self.samples;
        let valid = reader.read(&self.buffer[range], |frame| match frame {
            Frame::Message(message) => {
                dialect.read(link, channels, message, &mut |said| {
                    counting.heed(dialect, said, &mut happened);
                });
            }
            Frame::Compressed(compressed) => {
                if let Some(stamp) = counting.due().and_then(|due| samples.find(due, compressed)) {
                    return counting.deliver(Some(stamp));
                }
                let Ok(message) = samples.inflate(compressed) else {
                    return counting.deliver(None);
                };
                let (mut only, mut words) = (None, 0);
                dialect.read(link, channels, &message, &mut |said| {
                    words += 1;
                    only = counting.heed(dialect, said, &mut happened);
                });
                if let (Some(stamp), 1) = (only, words) {
                    samples.keep(stamp, compressed);
                }
            }
            Frame::Ping(payload) => happened.answers.push((Opcode::Pong, payload.to_vec())),
            Frame::Pong => {}
            Frame::Close(payload) => {
                happened.ended = Some(match payload {
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    _ => 1005,
                });
            }
        });
        if let Err(violation) = valid {
            happened.refused = Some(violation.to_string());
        }
        self.heed(index, happened);
    }

    /// Does what a read has called for.
    fn heed(&mut self, index: usize, happened: Happened) {
        for (opcode, payload) in happened.answers {
            if let Err(error) = self.connections[index].send_frame(opcode, &payload) {
                return self.end(index, 1006, &error.to_string());
            }
        }
        if happened.opened && matches!(self.connections[index].state, State::Opening) {
            self.open(index);
        }
        if let Some(code) = happened.ended {
            self.end(index, code, &format!("the server closed it with {code}"));
        } else if let Some(why) = happened.refused {
            self.end(index, 1006, &why);
        }
    }

    fn open(&mut self, index: usize) {
        let now = self.shared.clock.now_ns();
        let connection = &mut self.connections[index];
        connection.state = State::Open;
        self.under_way -= 1;
        if connection.awaits_first {
            connection.subscriber = Some(self.ledger.subscribe_late(connection.number));
            return;
        }
        connection.subscriber = Some(self.ledger.subscribe(connection.number));
        let opening = (now - connection.began_ns).max(1);
        self.connected.open += 1;
        self.connected.opening.saturating_record(opening);
        let open = &self.shared.open[self.index];
        open.set(open.get() + 1);
    }

    /// Counts the end of a connection, once.
    fn end(&mut self, index: usize, code: u16, why: &str) {
        let connection = &mut self.connections[index];
        if connection.stream.take().is_none() {
            return;
        }
        match (&connection.state, connection.subscriber) {
            (State::Open, Some(subscriber)) => {
                if let Some(stalled) = connection
                    .stalled
                    .as_mut()
                    .filter(|it| it.rest != Rest::Before)
                {
                    stalled.ended = Some(code);
                    return;
                }
                self.ledger.close(subscriber);
                *self.closes.entry(code).or_default() += 1;
            }
            _ => {
                self.under_way -= 1;
                let late = connection.awaits_first;
                self.count_failure(late, why.to_owned());
            }
        }
    }
}
