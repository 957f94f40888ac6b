//! The client's side of Centrifugo's protocol: how subscribers begin, and what the publisher sends and hears.

use std::io::{self, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::dialogue::{read_answer, unexpected_instead};
use crate::frames::{Frame, FrameReader};
use crate::handshake::push_masked;
use crate::pushes::{CHANNEL, PING};

/// Where the protocol is spoken.
pub const PATH: &str = "/connection/websocket";

/// What a client asks once its WebSocket is open: one after the other, each answered before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// connect.
    Connect,
    /// subscribe.
    Subscribe,
}

impl Step {
    /// What a subscriber asks after it.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Connect => Some(Self::Subscribe),
            Self::Subscribe => None,
        }
    }

    /// Asks without waiting for the answer.
    pub fn ask(self, stream: &mut TcpStream) -> io::Result<()> {
        let command = match self {
            Self::Connect => r#"{"id":1,"connect":{"name":"js"}}"#.to_owned(),
            Self::Subscribe => {
                format!(r#"{{"id":2,"subscribe":{{"channel":"{CHANNEL}","flag":1}}}}"#)
            }
        };
        let mut out = Vec::new();
        push_masked(&mut out, command.as_bytes());
        stream.write_all(&out)
    }

    /// Waits for the answer, which must be right and the only thing that comes.
    pub fn finish(self, stream: &mut TcpStream) -> io::Result<()> {
        let wanted = format!("the answer to {self:?}");
        let answer = read_answer(stream, &wanted, |_| false)?;
        let (id, name) = match self {
            Self::Connect => (1, "connect"),
            Self::Subscribe => (2, "subscribe"),
        };
        match is_reply(&answer, id, name) {
            true => Ok(()),
            false => Err(unexpected_instead(&wanted, &answer)),
        }
    }
}

/// Appends the WebSocket frame of a publish command with an id of that number and 2 more.
pub fn push_publish(out: &mut Vec<u8>, number: u64, text: &[u8]) {
    let id = number + 2;
    let mut command =
        format!(r#"{{"id":{id},"publish":{{"channel":"{CHANNEL}","data":""#).into_bytes();
    command.extend_from_slice(text);
    command.extend_from_slice(b"\"}}");
    push_masked(out, &command);
}

/// The replies to what was published: one for each command, in order.
#[derive(Default)]
pub struct Replies {
    reader: FrameReader,
    /// The number of the next one.
    next: u64,
}

impl Replies {
    /// How many have come.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Takes the next `bytes` of the publisher's stream, and returns how many pings are among them. An error if they say
    /// anything but what is due.
    pub fn read(&mut self, bytes: &[u8]) -> io::Result<u32> {
        let Self { reader, next } = self;
        let mut unexpected = None;
        let mut pings = 0;
        let read = reader.read(bytes, |frame| match frame {
            Frame::Message(PING) => pings += 1,
            Frame::Message(message) if is_reply(message, *next + 2, "publish") => *next += 1,
            Frame::Message(other) | Frame::Close(other) => {
                unexpected.get_or_insert_with(|| other.to_vec());
            }
            Frame::Compressed(_) | Frame::Ping(_) | Frame::Pong => {}
        });
        match (read, unexpected) {
            (Ok(()), None) => Ok(pings),
            (Err(violation), _) => Err(io::Error::other(violation)),
            (_, Some(message)) => Err(unexpected_instead(&format!("reply {next}"), &message)),
        }
    }
}

fn is_reply(message: &[u8], id: u64, name: &str) -> bool {
    let reply: Value = serde_json::from_slice(message).unwrap_or_default();
    reply["id"] == id && reply.get(name).is_some()
}
