//! Real WebSocket clients, each a program of its own that does as it is told over its standard input and tells what it
//! sees on its standard output, one JSON object a line: tests/clients/drive.py (Python `websockets`) and drive.mjs (node
//! `ws`).
//!
//! | command (`do`, with `id`) | fields |
//! | --- | --- |
//! | `open` | `url`; `origin` if wanted; `deflate` with the parameters offered, where they are not those of the client |
//! | `send` | `text`, or `binary` in hex, or `fragments` of one text message |
//! | `ping` | `data` |
//! | `close` | `code`, `reason` |
//! | `pause`, `resume` | stops and goes on reading from the socket |
//!
//! The events are those of [`Event`].

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{DEADLINE, Message};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Python `websockets`.
    Python,
    /// node `ws`.
    Node,
}

pub const KINDS: [Kind; 2] = [Kind::Python, Kind::Node];

/// What a connection told.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The opening handshake is done.
    Open,
    /// The server answered the handshake with something else.
    Refused(Refusal),
    /// It came to nothing without an answer.
    Failed(String),
    Message(Message),
    /// A ping came; only node tells.
    Ping(String),
    Pong(String),
    /// 1006 stands for a connection that ended without a close frame.
    Closed {
        code: u16,
        reason: String,
    },
}

/// How the server answered a handshake that it did not accept.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// One client program with any number of connections, each with an id of the test's choice.
pub struct Client {
    pub kind: Kind,
    child: Child,
    commands: Option<ChildStdin>,
    events: Receiver<(String, Event)>,
    /// What was told by connections that the test was not looking at.
    waiting: HashMap<String, VecDeque<Event>>,
}

impl Client {
    /// Starts the program.
    pub fn start(kind: Kind) -> Self {
        let mut child = program(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start the {kind:?} client: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (told, events) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event =
                    parse(&line).unwrap_or_else(|error| panic!("a client told {line:?}: {error}"));
                if told.send(event).is_err() {
                    return;
                }
            }
        });
        Self {
            kind,
            commands: child.stdin.take(),
            child,
            events,
            waiting: HashMap::new(),
        }
    }

    /// Opens a WebSocket that the server accepts.
    pub fn open(&mut self, id: &str, url: &str) {
        self.begin_open(id, url);
        self.wait_until_open(id);
    }

    /// Begins to open a WebSocket.
    pub fn begin_open(&mut self, id: &str, url: &str) {
        self.tell("open", id, json!({ "url": url }));
    }

    pub fn wait_until_open(&mut self, id: &str) {
        let event = self.next(id);
        assert_eq!(event, Event::Open, "{:?} {id}", self.kind);
    }

    /// Opens a WebSocket as a page of that origin does.
    pub fn open_from(&mut self, id: &str, url: &str, origin: &str) {
        self.tell("open", id, json!({ "url": url, "origin": origin }));
        self.wait_until_open(id);
    }

    /// Opens a WebSocket that offers permessage-deflate with those parameters, by their names in RFC 7692, and compresses
    /// whatever it sends.
    pub fn open_deflating(&mut self, id: &str, url: &str, parameters: Value) {
        self.tell("open", id, json!({ "url": url, "deflate": parameters }));
        self.wait_until_open(id);
    }

    /// Tries to open a WebSocket that the server refuses.
    pub fn refusal(&mut self, id: &str, url: &str) -> Refusal {
        self.begin_open(id, url);
        self.expect_refusal(id)
    }

    /// The same as a page of that origin does.
    pub fn refusal_from(&mut self, id: &str, url: &str, origin: &str) -> Refusal {
        self.tell("open", id, json!({ "url": url, "origin": origin }));
        self.expect_refusal(id)
    }

    fn expect_refusal(&mut self, id: &str) -> Refusal {
        match self.next(id) {
            Event::Refused(refusal) => refusal,
            other => panic!("{:?} {id}: a refusal is expected, not {other:?}", self.kind),
        }
    }

    pub fn send(&mut self, id: &str, message: &Message) {
        let payload = match message {
            Message::Text(text) => json!({ "text": text }),
            Message::Binary(bytes) => json!({ "binary": hex(bytes) }),
        };
        self.tell("send", id, payload);
    }

    /// Sends one text message in that many frames.
    pub fn send_fragments(&mut self, id: &str, fragments: &[&str]) {
        self.tell("send", id, json!({ "fragments": fragments }));
    }

    pub fn ping(&mut self, id: &str, data: &str) {
        self.tell("ping", id, json!({ "data": data }));
    }

    pub fn close(&mut self, id: &str, code: u16, reason: &str) {
        self.tell("close", id, json!({ "code": code, "reason": reason }));
    }

    pub fn pause(&mut self, id: &str) {
        self.tell("pause", id, json!({}));
    }

    pub fn resume(&mut self, id: &str) {
        self.tell("resume", id, json!({}));
    }

    /// What the connection tells next.
    pub fn next(&mut self, id: &str) -> Event {
        self.next_within(id, DEADLINE)
            .unwrap_or_else(|| panic!("{:?} {id}: nothing was told in {DEADLINE:?}", self.kind))
    }

    /// The same, if it is told in time.
    pub fn next_within(&mut self, id: &str, at_most: Duration) -> Option<Event> {
        if let Some(event) = self.waiting.get_mut(id).and_then(VecDeque::pop_front) {
            return Some(event);
        }
        let until = Instant::now() + at_most;
        loop {
            match self
                .events
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok((of, event)) if of == id => return Some(event),
                Ok((of, event)) => self.waiting.entry(of).or_default().push_back(event),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the {:?} client has ended", self.kind)
                }
            }
        }
    }

    /// The next message; pings are passed over.
    pub fn message(&mut self, id: &str) -> Message {
        loop {
            match self.next(id) {
                Event::Message(message) => return message,
                Event::Ping(_) => {}
                other => panic!("{:?} {id}: a message is expected, not {other:?}", self.kind),
            }
        }
    }

    /// The next messages, in the order in which they came.
    pub fn messages(&mut self, id: &str, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.message(id)).collect()
    }

    /// Everything that comes before the connection is closed, and how it is closed.
    pub fn until_closed(&mut self, id: &str) -> (Vec<Message>, u16, String) {
        let mut messages = Vec::new();
        loop {
            match self.next(id) {
                Event::Message(message) => messages.push(message),
                Event::Closed { code, reason } => return (messages, code, reason),
                Event::Ping(_) => {}
                other => panic!("{:?} {id}: an end is expected, not {other:?}", self.kind),
            }
        }
    }

    fn tell(&mut self, what: &str, id: &str, mut command: Value) {
        command["do"] = what.into();
        command["id"] = id.into();
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{command}")
            .unwrap_or_else(|error| panic!("the {:?} client has ended: {error}", self.kind));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It fails when the program has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client's program, or the end of the test with a word on how to install it: a test is never skipped.
fn program(kind: Kind) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match kind {
        Kind::Python => {
            let mut command = Command::new(installed(root, "python/bin/python"));
            command.arg("-u").arg(root.join("tests/clients/drive.py"));
            command
        }
        Kind::Node => {
            installed(root, "node/node_modules/ws/package.json");
            let mut command = Command::new("node");
            command
                .arg(root.join("tests/clients/drive.mjs"))
                .arg(root.join("target/tools/node"));
            command
        }
    }
}

fn installed(root: &Path, tool: &str) -> PathBuf {
    let path = root.join("target/tools").join(tool);
    assert!(
        path.exists(),
        "{} is not there: tests/run installs the clients that the tests drive (tests/install-tools does just that)",
        path.display()
    );
    path
}

/// An event as the programs write it.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Open {
        id: String,
    },
    Refused {
        id: String,
        status: u16,
        headers: HashMap<String, String>,
        body: String,
    },
    Failed {
        id: String,
        error: String,
    },
    Message {
        id: String,
        text: Option<String>,
        binary: Option<String>,
    },
    Ping {
        id: String,
        data: String,
    },
    Pong {
        id: String,
        data: String,
    },
    Closed {
        id: String,
        code: u16,
        reason: String,
    },
}

fn parse(line: &str) -> Result<(String, Event), serde_json::Error> {
    Ok(match serde_json::from_str(line)? {
        Line::Open { id } => (id, Event::Open),
        Line::Refused {
            id,
            status,
            headers,
            body,
        } => (
            id,
            Event::Refused(Refusal {
                status,
                headers,
                body,
            }),
        ),
        Line::Failed { id, error } => (id, Event::Failed(error)),
        Line::Message { id, text, binary } => {
            let message = match binary {
                Some(digits) => Message::Binary(unhex(&digits)),
                None => Message::Text(text.unwrap_or_default()),
            };
            (id, Event::Message(message))
        }
        Line::Ping { id, data } => (id, Event::Ping(data)),
        Line::Pong { id, data } => (id, Event::Pong(data)),
        Line::Closed { id, code, reason } => (id, Event::Closed { code, reason }),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
