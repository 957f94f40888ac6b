//! Who publishes: over WebSocket, over HTTP, or in the protocol's own words; on one connection, so that order means something.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::super::frames::{Frame, FrameReader, Opcode, put_frame};
use super::super::handshake::{Request, connect};
use super::super::payload::{Form, Stamp};
use super::super::protocol::{Dialect, Link, Said};
use super::http::Posts;

/// How long one publishing connection may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that may wait for the server before no more is published in a window.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is heard of each connection.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How to publish.
#[derive(Debug, Clone)]
pub enum Way {
    /// One frame a message, on the connection of its channel: the paths of all channels, or one for all.
    WebSocket {
        /// By channel; a single one is everybody's.
        paths: Vec<String>,
        /// What stands around the payload, by channel.
        around: Vec<Around>,
    },
    /// One POST a message.
    Http(Box<Posts>),
    /// The protocol's own command; this is the path of its connection.
    Protocol {
        /// Of the WebSocket.
        path: String,
    },
}

/// A message's text before and after the payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// All a publisher needs to know.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// Where.
    pub server: SocketAddr,
    /// For the opening handshake.
    pub request: Request,
    /// How.
    pub way: Way,
    /// The payloads as they are published.
    pub form: Form,
}

/// A publisher on its connections.
pub(super) struct Publisher {
    settings: Publishing,
    lines: Vec<Line>,
    scratch: Vec<u8>,
    /// Where connections are registered, and the token of the first.
    registry: Option<(Registry, Token)>,
}

struct Line {
    /// `None` once it has ended; over HTTP, another connection takes its place.
    stream: Option<TcpStream>,
    unsent: Vec<u8>,
    sent: usize,
    reader: FrameReader,
    link: Link,
}

impl Publisher {
    /// Opens the connections; blocks until they are.
    ///
    /// # Errors
    /// One sentence that says what failed.
    pub fn open(settings: Publishing, dialect: &Dialect) -> Result<Self, String> {
        let paths = match &settings.way {
            Way::WebSocket { paths, .. } => paths.clone(),
            Way::Protocol { path } => vec![path.clone()],
            Way::Http(_) => vec![String::new()],
        };
        let mut lines = Vec::new();
        for path in paths {
            let line = Line::open(&settings, &path, dialect)
                .map_err(|error| format!("the publishing connection: {error}"))?;
            lines.push(line);
        }
        Ok(Self {
            settings,
            lines,
            scratch: Vec::new(),
            registry: None,
        })
    }

    /// Registers the connections with tokens from `first` on.
    pub fn register(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        for (line, token) in self.lines.iter_mut().zip(first..) {
            if let Some(stream) = &mut line.stream {
                registry.register(stream, Token(token), INTEREST)?;
            }
        }
        self.registry = Some((registry.try_clone()?, Token(first)));
        Ok(())
    }

    /// Puts one publication in line; [`Publisher::flush`] sends it.
    pub fn publish(&mut self, dialect: &Dialect, stamp: Stamp) {
        let Publishing { way, form, .. } = &mut self.settings;
        let payload = form.stamped(stamp);
        let channel = stamp.channel as usize;
        match way {
            Way::WebSocket { around, .. } => {
                let line = channel % self.lines.len();
                let Around { before, after } = &around[channel % around.len()];
                let out = &mut self.lines[line].unsent;
                if before.is_empty() && after.is_empty() {
                    put_frame(out, Opcode::Text, payload);
                    return;
                }
                self.scratch.clear();
                self.scratch.extend_from_slice(before.as_bytes());
                self.scratch.extend_from_slice(payload);
                self.scratch.extend_from_slice(after.as_bytes());
                put_frame(out, Opcode::Text, &self.scratch);
            }
            Way::Http(posts) => posts.put(channel, payload, &mut self.lines[0].unsent),
            Way::Protocol { .. } => {
                self.scratch.clear();
                // Targets of protocols without publishing are refused when their file is read.
                if let Some(()) = dialect.put_publication(stamp.channel, payload, &mut self.scratch)
                {
                    put_frame(&mut self.lines[0].unsent, dialect.opcode(), &self.scratch);
                }
            }
        }
    }

    /// Whether the server has taken enough to publish more.
    pub fn has_room(&self) -> bool {
        self.lines
            .iter()
            .all(|line| line.unsent.len() - line.sent < UNSENT_BYTES_MAX)
    }

    /// Whether everything has gone out, and over HTTP been answered.
    pub fn is_done(&self) -> bool {
        let answered = match &self.settings.way {
            Way::Http(posts) => posts.is_done(),
            _ => true,
        };
        answered && self.lines.iter().all(|line| line.unsent.is_empty())
    }

    /// Publications that the server refused, and the first reason.
    pub fn refused(&self) -> (u64, Option<&str>) {
        match &self.settings.way {
            Way::Http(posts) => posts.refused(),
            _ => (0, None),
        }
    }

    /// Sends what waits, as far as the sockets take it.
    ///
    /// # Errors
    /// When a connection has ended, and over HTTP when another one is refused.
    pub fn flush(&mut self) -> Result<(), String> {
        if let Way::Http(posts) = &mut self.settings.way {
            posts.release(&mut self.lines[0].unsent);
            if self.lines[0].stream.is_none() && !self.lines[0].unsent.is_empty() {
                self.connect_anew()?;
            }
        }
        for line in &mut self.lines {
            line.flush().map_err(|error| lost(&error.to_string()))?;
        }
        Ok(())
    }

    /// Takes what the server has to say to connection `index`.
    ///
    /// # Errors
    /// When the connection has ended, unless over HTTP with every answer given.
    pub fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        dialect: &Dialect,
    ) -> Result<(), String> {
        let Some(line) = self.lines.get_mut(index) else {
            return Ok(());
        };
        while let Some(stream) = &mut line.stream {
            let count = match stream.read(buffer) {
                Ok(0) => {
                    let Way::Http(posts) = &mut self.settings.way else {
                        return Err(lost("the server closed it"));
                    };
                    posts.end().map_err(|error| lost(&error))?;
                    line.end();
                    // Only the next publication needs another: one that waits could be closed for its silence, again and again.
                    break;
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(lost(&error.to_string())),
            };
            match &mut self.settings.way {
                Way::Http(posts) => {
                    if posts.read(&buffer[..count]).map_err(|error| lost(&error))? {
                        line.end();
                        // At once, so that the next publication does not wait for it.
                        self.connect_anew()?;
                        break;
                    }
                }
                Way::WebSocket { .. } => line.take(&buffer[..count], None)?,
                Way::Protocol { .. } => line.take(&buffer[..count], Some(dialect))?,
            }
        }
        self.flush()
    }

    /// Begins to connect in place of the ended connection over HTTP; what is unsent goes out once it is open.
    fn connect_anew(&mut self) -> Result<(), String> {
        let anew = || {
            let stream = connect(self.settings.server, 0, None)?;
            let mut stream = TcpStream::from_std(stream);
            if let Some((registry, token)) = &self.registry {
                registry.register(&mut stream, *token, INTEREST)?;
            }
            Ok(stream)
        };
        let stream = anew().map_err(|error: io::Error| lost(&error.to_string()))?;
        self.lines[0].stream = Some(stream);
        Ok(())
    }
}

fn lost(why: &str) -> String {
    format!("the publishing connection was lost: {why}")
}

impl Line {
    fn open(settings: &Publishing, path: &str, dialect: &Dialect) -> Result<Self, String> {
        let until = Instant::now() + OPEN_TIMEOUT;
        let stream = connect(settings.server, 0, None).map_err(|error| error.to_string())?;
        let stream = TcpStream::from_std(stream);
        while stream.peer_addr().is_err() {
            if let Ok(Some(error)) = stream.take_error() {
                return Err(format!("{}: {error}", settings.server));
            }
            pause(until)?;
        }
        let mut line = Self {
            stream: Some(stream),
            unsent: Vec::new(),
            sent: 0,
            reader: FrameReader::default(),
            link: Link::default(),
        };
        if !matches!(settings.way, Way::Http(_)) {
            line.upgrade(settings, path, until)?;
        }
        if let Way::Protocol { .. } = settings.way {
            line.open_protocol(dialect, until)?;
        }
        Ok(line)
    }

    fn upgrade(&mut self, settings: &Publishing, path: &str, until: Instant) -> Result<(), String> {
        self.unsent = settings.request.bytes(path);
        let mut received = Vec::new();
        loop {
            self.flush().map_err(|error| error.to_string())?;
            if let Some(accepted) = settings.request.accepted(&received)? {
                // What follows is read with the rest of the protocol's opening.
                let early = received.split_off(accepted.head_len);
                return self.take(&early, None);
            }
            // Byte by byte, so that what follows the head stays in the socket.
            self.read_some(&mut [0], &mut received, until)?;
        }
    }

    fn open_protocol(&mut self, dialect: &Dialect, until: Instant) -> Result<(), String> {
        let mut open = false;
        match dialect.begin(&mut self.link, &[]) {
            Some(Said::Answer(message)) => {
                put_frame(&mut self.unsent, dialect.opcode(), &message);
            }
            Some(Said::Open) => open = true,
            _ => {}
        }
        while !open {
            self.flush().map_err(|error| error.to_string())?;
            let mut received = Vec::new();
            self.read_some(&mut [0; 4096], &mut received, until)?;
            open = self.take_protocol(&received, dialect)?;
        }
        self.flush().map_err(|error| error.to_string())
    }

    fn read_some(
        &mut self,
        chunk: &mut [u8],
        received: &mut Vec<u8>,
        until: Instant,
    ) -> Result<(), String> {
        while let Some(stream) = &mut self.stream {
            match stream.read(chunk) {
                Ok(0) => return Err("the server closed it".to_owned()),
                Ok(count) => {
                    received.extend_from_slice(&chunk[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause(until)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the server closed it".to_owned())
    }

    /// Takes bytes after the opening.
    fn take(&mut self, bytes: &[u8], dialect: Option<&Dialect>) -> Result<(), String> {
        if let Some(dialect) = dialect {
            return self.take_protocol(bytes, dialect).map(|_| ());
        }
        let (mut closed, unsent) = (None, &mut self.unsent);
        let valid = self.reader.read(bytes, |frame| match frame {
            Frame::Ping(payload) => put_frame(unsent, Opcode::Pong, payload),
            Frame::Close(payload) => closed = Some(close_words(payload)),
            // Acknowledgements of its own kind.
            Frame::Message(_) | Frame::Compressed(_) | Frame::Pong => {}
        });
        valid.map_err(|violation| lost(&violation.to_string()))?;
        closed.map_or(Ok(()), |words| Err(lost(&words)))
    }

    /// The same with the protocol's own answers; true once it is open.
    fn take_protocol(&mut self, bytes: &[u8], dialect: &Dialect) -> Result<bool, String> {
        let (mut open, mut failed) = (false, None);
        let Self {
            reader,
            link,
            unsent,
            ..
        } = self;
        let valid = reader.read(bytes, |frame| match frame {
            Frame::Ping(payload) => put_frame(unsent, Opcode::Pong, payload),
            Frame::Close(payload) => failed = Some(close_words(payload)),
            Frame::Message(message) => {
                dialect.read(link, &[], message, &mut |said| match said {
                    Said::Answer(message) => put_frame(unsent, dialect.opcode(), &message),
                    Said::Open => open = true,
                    Said::Refused(words) => failed = Some(words),
                    Said::Delivery(_) | Said::Foreign => {}
                });
            }
            Frame::Compressed(_) | Frame::Pong => {}
        });
        valid.map_err(|violation| lost(&violation.to_string()))?;
        failed.map_or(Ok(open), |words| Err(lost(&words)))
    }

    /// Closes it; what was still to be sent is held by its requests.
    fn end(&mut self) {
        self.stream = None;
        self.unsent.clear();
        self.sent = 0;
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while self.sent < self.unsent.len() {
            match stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }
}

/// Waits a moment for a connection that is being opened.
fn pause(until: Instant) -> Result<(), String> {
    if Instant::now() > until {
        return Err(format!(
            "it was not open after {} s",
            OPEN_TIMEOUT.as_secs()
        ));
    }
    std::thread::sleep(Duration::from_micros(200));
    Ok(())
}

/// The code and the reason of a close frame.
fn close_words(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => format!(
            "closed with {} {:?}",
            u16::from_be_bytes([*high, *low]),
            String::from_utf8_lossy(reason)
        ),
        _ => "closed without a code".to_owned(),
    }
}
