//! Centrifugo's protocol by hand: commands as the test writes them, and what the server says to them.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use serde_json::{Value, json};

use super::DEADLINE;
use super::wire::{CLOSE, FIN, Socket, TEXT, frame};

/// Where the protocol is spoken.
pub const PATH: &str = "/connection/websocket";

/// What the server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A reply or a push.
    Said(Value),
    /// An empty object.
    Ping,
    /// A close frame.
    Closed { code: u16, reason: String },
    /// The server has shut its side down.
    End,
}

/// A connection. A thread of its own reads it at all times, and answers pings unless it is told not to.
pub struct Centrifuge {
    writer: TcpStream,
    heard: Receiver<Heard>,
    /// What a test has passed over so far.
    kept: VecDeque<Heard>,
    ids: u32,
    answers: Arc<AtomicBool>,
}

impl Centrifuge {
    /// Opens a WebSocket and says nothing yet.
    pub fn open(address: SocketAddr) -> Self {
        Self::open_at(address, PATH, &[])
    }

    /// The same with a path and more header lines.
    pub fn open_at(address: SocketAddr, path: &str, lines: &[&str]) -> Self {
        let (socket, _) = Socket::open_with(address, path, lines);
        let writer = socket.stream().try_clone().unwrap();
        writer.set_read_timeout(None).unwrap();
        let (tell, heard) = mpsc::channel();
        let answers = Arc::new(AtomicBool::new(true));
        let (answerer, may_answer) = (writer.try_clone().unwrap(), Arc::clone(&answers));
        thread::spawn(move || listen(socket, answerer, &may_answer, &tell));
        Self {
            writer,
            heard,
            kept: VecDeque::new(),
            ids: 0,
            answers,
        }
    }

    /// Opens a WebSocket and connects without a token.
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address);
        client.call("connect", json!({}));
        client
    }

    /// The same with members of the connect command, and the reply's `connect`.
    pub fn connect_with(address: SocketAddr, members: Value) -> (Self, Value) {
        let mut client = Self::open(address);
        let reply = client.call("connect", members);
        (client, reply)
    }

    /// Answers no ping from now on.
    pub fn fall_silent(&self) {
        self.answers.store(false, Ordering::Relaxed);
    }

    /// Sends one text message.
    pub fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    /// The same of bytes that may be no text.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.say_frame(FIN | TEXT, bytes);
    }

    /// Sends a frame of that first byte.
    pub fn say_frame(&mut self, first: u8, bytes: &[u8]) {
        // The server may have ended the connection, which who listens next hears of.
        let _ = self.writer.write_all(&frame(first, bytes));
    }

    /// Sends a command, and returns its id.
    pub fn command(&mut self, name: &str, members: Value) -> u32 {
        self.ids += 1;
        let command = json!({ "id": self.ids, name: members });
        self.say(&command.to_string());
        self.ids
    }

    /// Sends a command that is obeyed, and returns what its reply says.
    pub fn call(&mut self, name: &str, members: Value) -> Value {
        let id = self.command(name, members);
        let mut reply = self.reply(id);
        assert!(reply.get(name).is_some(), "{name}: {reply}");
        reply[name].take()
    }

    /// Sends a command that is not obeyed, and returns the error's code and message.
    pub fn error(&mut self, name: &str, members: Value) -> (u64, String) {
        let id = self.command(name, members);
        let reply = self.reply(id);
        let error = &reply["error"];
        let code = error["code"].as_u64();
        let message = error["message"].as_str();
        match (code, message) {
            (Some(code), Some(message)) => (code, message.to_owned()),
            _ => panic!("{name}: an error is expected, not {reply}"),
        }
    }

    /// The reply of that id; what comes before it is kept for later.
    pub fn reply(&mut self, id: u32) -> Value {
        let mut before = VecDeque::new();
        let reply = loop {
            match self.next() {
                Heard::Said(said) if said["id"] == id => break said,
                Heard::Closed { code, reason } => {
                    panic!("closed with {code} {reason:?} instead of reply {id}")
                }
                Heard::End => panic!("the end instead of reply {id}"),
                other => before.push_back(other),
            }
        };
        before.append(&mut self.kept);
        self.kept = before;
        reply
    }

    /// Subscribes, and returns what the reply says.
    pub fn subscribe(&mut self, channel: &str) -> Value {
        self.call("subscribe", json!({ "channel": channel }))
    }

    /// Publishes and waits for the reply.
    pub fn publish(&mut self, channel: &str, data: Value) {
        self.call("publish", json!({ "channel": channel, "data": data }));
    }

    /// The next push, which must come next but for pings.
    pub fn push(&mut self) -> Value {
        loop {
            match self.next() {
                Heard::Ping => {}
                Heard::Said(mut said) if said.get("push").is_some() => return said["push"].take(),
                other => panic!("a push is expected, not {other:?}"),
            }
        }
    }

    /// The next push, which must be a publication in that channel: its `pub`.
    pub fn publication(&mut self, channel: &str) -> Value {
        let mut push = self.push();
        assert_eq!(push["channel"], channel, "{push}");
        assert!(push.get("pub").is_some(), "{push}");
        push["pub"].take()
    }

    /// What is said next.
    pub fn next(&mut self) -> Heard {
        if let Some(kept) = self.kept.pop_front() {
            return kept;
        }
        match self.heard.recv_timeout(DEADLINE) {
            Ok(heard) => heard,
            Err(mpsc::RecvTimeoutError::Disconnected) => Heard::End,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing was said in {DEADLINE:?}"),
        }
    }

    /// The code and the reason that the server closes with, whatever it says before, and then its end.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next() {
                Heard::Closed { code, reason } => {
                    assert_eq!(self.next(), Heard::End, "after a close frame comes the end");
                    return (code, reason);
                }
                Heard::End => panic!("the end without a close frame"),
                Heard::Said(_) | Heard::Ping => {}
            }
        }
    }

    /// Asserts that the connection is well and has been told nothing but pings.
    pub fn assert_undisturbed(&mut self) {
        let id = self.command("rpc", json!({}));
        loop {
            match self.next() {
                Heard::Ping => {}
                Heard::Said(said) if said["id"] == id => return,
                other => panic!("nothing is expected, not {other:?}"),
            }
        }
    }

    /// Goes without a word.
    pub fn drop_connection(&mut self) {
        let _ = self.writer.shutdown(Shutdown::Both);
    }
}

impl Drop for Centrifuge {
    fn drop(&mut self) {
        self.drop_connection();
    }
}

/// Tells what the server says until its end.
fn listen(
    mut socket: Socket,
    mut answerer: TcpStream,
    may_answer: &AtomicBool,
    tell: &Sender<Heard>,
) {
    while let Some((first, payload)) = socket.next_frame() {
        match first & 0x0f {
            CLOSE => {
                let code = payload
                    .first_chunk()
                    .map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).unwrap_or_default();
                let reason = String::from_utf8_lossy(reason).into_owned();
                let _ = tell.send(Heard::Closed { code, reason });
            }
            TEXT => {
                for line in payload.split(|&byte| byte == b'\n') {
                    let said: Value = serde_json::from_slice(line).unwrap_or_else(|error| {
                        panic!("{error}: {:?}", String::from_utf8_lossy(line))
                    });
                    let is_ping = said.as_object().is_some_and(|said| said.is_empty());
                    if is_ping && may_answer.load(Ordering::Relaxed) {
                        let _ = answerer.write_all(&frame(FIN | TEXT, b"{}"));
                    }
                    let _ = tell.send(if is_ping {
                        Heard::Ping
                    } else {
                        Heard::Said(said)
                    });
                }
            }
            // Pings of the WebSocket's own are none of this protocol's.
            _ => {}
        }
    }
    let _ = tell.send(Heard::End);
}
