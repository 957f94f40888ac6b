//! All clients, on one thread and one epoll: they come at once, are counted, go without a word, and come back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use pushring::bench::frames::{Frame, FrameReader, Opcode, put_frame};
use pushring::bench::handshake::{self, Request};
use pushring::bench::ledger::{Counts, Ledger, Plan};
use pushring::bench::payload::Form;

use crate::protocol::{Heard, Protocol};
use crate::server::{DEADLINE, Place, Server};

/// Events taken from epoll at a time.
const EVENTS_MAX: usize = 256;
/// More than what one client has missed.
const READ_BYTES: usize = 256 * 1024;

/// All clients, of which each is connected or away.
pub struct Clients {
    protocol: Protocol,
    form: Form,
    epoll: Epoll,
    clients: Vec<Client>,
    ledger: Ledger,
    /// Publications made.
    published: u64,
    /// Clients whose subscription has begun.
    begun: usize,
    buffer: Vec<u8>,
    /// What was said that may not be said, the first time.
    fault: Option<String>,
}

#[derive(Default)]
struct Client {
    stream: Option<TcpStream>,
    /// What is not written yet.
    outgoing: Vec<u8>,
    /// The response's head as far as it has come.
    head: Vec<u8>,
    has_head: bool,
    reader: FrameReader,
    has_begun: bool,
}

impl Clients {
    /// So many clients that are away, and the publications that they will count.
    pub fn new(protocol: Protocol, count: u32, form: Form) -> io::Result<Self> {
        let mut ledger = Ledger::new(Plan { all: 1, each: 1 });
        for number in 0..count {
            ledger.subscribe(number);
        }
        Ok(Self {
            protocol,
            form,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            clients: (0..count).map(|_| Client::default()).collect(),
            ledger,
            published: 0,
            begun: 0,
            buffer: vec![0; READ_BYTES],
            fault: None,
        })
    }

    /// Counts one more publication as made.
    pub fn note_published(&mut self) {
        self.published += 1;
    }

    /// All connect at once and subscribe, behind a place if there is one; returns when all subscriptions have begun and all that
    /// was published has arrived everywhere, with the time that it took.
    pub fn come(&mut self, server: &Server, since: Option<&Place>) -> io::Result<Duration> {
        let request = Request {
            host: server.public().to_string(),
            subprotocol: None,
            headers: Vec::new(),
            deflate: false,
        };
        let request_bytes = request.bytes(&self.protocol.path(since));
        let commands = self.protocol.commands(since);
        let started = Instant::now();
        for (client, index) in self.clients.iter_mut().zip(0_u32..) {
            let stream = handshake::connect(server.public(), index, None)?;
            let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            self.epoll
                .add(&stream, EpollEvent::new(both, u64::from(index)))?;
            *client = Client {
                stream: Some(stream),
                outgoing: request_bytes.clone(),
                ..Client::default()
            };
            client.write()?;
        }
        let all = self.clients.len();
        self.run(&request, &commands, |clients| {
            clients.begun == all && clients.is_current()
        })?;
        Ok(started.elapsed())
    }

    /// Waits until all that was published has arrived everywhere.
    pub fn catch_up(&mut self) -> io::Result<()> {
        let request = Request {
            host: String::new(),
            subprotocol: None,
            headers: Vec::new(),
            deflate: false,
        };
        self.run(&request, &[], Self::is_current)
    }

    /// All go, and take nothing back that they have.
    pub fn go(&mut self) {
        for client in &mut self.clients {
            // Closing it resets the connection.
            *client = Client::default();
        }
        self.begun = 0;
    }

    /// What was counted; what has not arrived by now is lost.
    pub fn counts(&self) -> Counts {
        self.ledger.settle(|_| self.published)
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.ledger.delivered()
    }

    /// What was said that may not be said, if anything was.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn is_current(&self) -> bool {
        self.ledger.is_complete(|_| self.published)
    }

    /// Reads and writes until that is so. It never sleeps: no send of the server has to wake this core.
    fn run(
        &mut self,
        request: &Request,
        commands: &[u8],
        is_done: impl Fn(&Self) -> bool,
    ) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let mut last = Instant::now();
        while !is_done(self) {
            let ready = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
            for event in &events[..ready] {
                let index = event.data() as u32;
                self.clients[index as usize].write()?;
                self.read(index, request, commands)?;
            }
            if ready > 0 {
                last = Instant::now();
            } else if last.elapsed() > DEADLINE {
                return Err(self.stalled());
            }
        }
        Ok(())
    }

    fn stalled(&self) -> io::Error {
        let counts = self.counts();
        io::Error::other(format!(
            "nothing has come for {} s: {} of {} subscriptions have begun, {counts:?}{}",
            DEADLINE.as_secs(),
            self.begun,
            self.clients.len(),
            self.fault().unwrap_or_default()
        ))
    }

    fn read(&mut self, index: u32, request: &Request, commands: &[u8]) -> io::Result<()> {
        loop {
            let client = &mut self.clients[index as usize];
            let Some(stream) = &mut client.stream else {
                return Ok(());
            };
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => return self.lose(index, "the server has closed a connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.lose(index, &error.to_string()),
            };
            let mut bytes = &self.buffer[..count];
            let early;
            if !client.has_head {
                client.head.extend_from_slice(bytes);
                let accepted = request.accepted(&client.head).map_err(io::Error::other)?;
                let Some(accepted) = accepted else { continue };
                early = client.head.split_off(accepted.head_len);
                bytes = &early;
                client.head = Vec::new();
                client.has_head = true;
                client.outgoing.extend_from_slice(commands);
                // What the path says is subscribed to when it is answered.
                client.has_begun = commands.is_empty();
                self.begun += usize::from(client.has_begun);
            }
            let mut ended = None;
            let (protocol, form, ledger) = (self.protocol, &self.form, &mut self.ledger);
            let (published, fault, begun) = (self.published, &mut self.fault, &mut self.begun);
            let Client {
                reader,
                outgoing,
                has_begun,
                ..
            } = client;
            let read = reader.read(bytes, |frame| match frame {
                Frame::Message(message) => protocol.read(message, |heard| match heard {
                    Heard::Payload(payload) => match form.read(payload) {
                        Some(stamp) => {
                            ledger.deliver(index, stamp, published);
                        }
                        None => ledger.count_foreign(),
                    },
                    Heard::Begun if !*has_begun => {
                        *has_begun = true;
                        *begun += 1;
                    }
                    Heard::Ping => put_frame(outgoing, Opcode::Text, b"{}"),
                    Heard::Begun | Heard::Foreign => {
                        ledger.count_foreign();
                        fault.get_or_insert_with(|| String::from_utf8_lossy(message).into_owned());
                    }
                    Heard::Nothing => {}
                }),
                Frame::Ping(payload) => put_frame(outgoing, Opcode::Pong, payload),
                Frame::Pong | Frame::Compressed(_) => ledger.count_foreign(),
                Frame::Close(payload) => {
                    ended = Some(format!("closed: {}", String::from_utf8_lossy(payload)));
                }
            });
            client.write()?;
            if let Err(violation) = read {
                ended = Some(violation.to_string());
            }
            if let Some(why) = ended {
                return self.lose(index, &why);
            }
        }
    }

    /// A connection has ended that should not have.
    fn lose(&mut self, index: u32, why: &str) -> io::Result<()> {
        self.clients[index as usize].stream = None;
        self.ledger.close(index);
        self.fault.get_or_insert_with(|| why.to_owned());
        Err(io::Error::other(format!("client {index}: {why}")))
    }
}

impl Client {
    /// Writes what the socket takes.
    fn write(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while !self.outgoing.is_empty() {
            match stream.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                // Not connected yet, where the accept queue is full.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::NotConnected
                    ) =>
                {
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
