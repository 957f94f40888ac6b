//! What subscribers and publishers of the protocols ask and hear before and beside the messages.

use std::io::{self, Read};
use std::net::TcpStream;

use crate::client::Protocol;
use crate::frames::{Frame, FrameReader};
use crate::handshake::push_masked;
use crate::pushes::PING;
use crate::{centrifuge, stomp};

/// What a client asks once its WebSocket is open: one after the other, each answered before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Of STOMP.
    Stomp(stomp::Step),
    /// Of Centrifugo's protocol.
    Centrifuge(centrifuge::Step),
}

impl Step {
    /// What is asked first, where anything is.
    pub fn first(protocol: Protocol) -> Option<Self> {
        match protocol {
            Protocol::Raw | Protocol::Deflate => None,
            Protocol::Stomp(_) => Some(Self::Stomp(stomp::Step::Connect)),
            Protocol::Centrifuge => Some(Self::Centrifuge(centrifuge::Step::Connect)),
        }
    }

    /// What a subscriber asks after it.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Stomp(step) => step.next().map(Self::Stomp),
            Self::Centrifuge(step) => step.next().map(Self::Centrifuge),
        }
    }

    /// Asks without waiting for the answer.
    pub fn ask(self, stream: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Stomp(step) => step.ask(stream),
            Self::Centrifuge(step) => step.ask(stream),
        }
    }

    /// Waits for the answer, which must be right and the only thing that comes.
    pub fn finish(self, stream: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Stomp(step) => step.finish(stream),
            Self::Centrifuge(step) => step.finish(stream),
        }
    }
}

/// What a publisher hears of what it has published.
pub enum Confirmations {
    /// Receipts of STOMP.
    Stomp(stomp::Receipts),
    /// Replies of Centrifugo's protocol.
    Centrifuge(centrifuge::Replies),
}

impl Confirmations {
    /// Of publishers that hear of it.
    pub fn of(protocol: Protocol) -> Option<Self> {
        match protocol {
            Protocol::Raw | Protocol::Deflate => None,
            Protocol::Stomp(_) => Some(Self::Stomp(stomp::Receipts::default())),
            Protocol::Centrifuge => Some(Self::Centrifuge(centrifuge::Replies::default())),
        }
    }

    /// How many have come.
    pub fn count(&self) -> u64 {
        match self {
            Self::Stomp(receipts) => receipts.count(),
            Self::Centrifuge(replies) => replies.count(),
        }
    }

    /// Appends the frame that publishes that as the publication of that number.
    pub fn push_publication(&self, out: &mut Vec<u8>, number: u64, payload: &[u8]) {
        match self {
            Self::Stomp(_) => stomp::push_send(out, number, payload),
            Self::Centrifuge(_) => centrifuge::push_publish(out, number, payload),
        }
    }

    /// Takes the next `bytes` of the publisher's stream; what has to be answered is appended to `out`. An error if they say
    /// anything but what is due.
    pub fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Stomp(receipts) => receipts.read(bytes),
            Self::Centrifuge(replies) => {
                for _ in 0..replies.read(bytes)? {
                    push_masked(out, PING);
                }
                Ok(())
            }
        }
    }
}

/// The one message that comes next, but for those that are passed over.
pub fn read_answer(
    stream: &mut TcpStream,
    wanted: &str,
    is_passed_over: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut reader = FrameReader::default();
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let mut chunk = [0; 1024];
    while answers.is_empty() {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            let message = format!("the connection was closed instead of {wanted}");
            return Err(io::Error::other(message));
        }
        let read = reader.read(&chunk[..count], |frame| match frame {
            Frame::Message(message) if is_passed_over(message) => {}
            Frame::Message(other) | Frame::Close(other) => answers.push(other.to_vec()),
            Frame::Compressed(_) | Frame::Ping(_) | Frame::Pong => {}
        });
        read.map_err(io::Error::other)?;
    }
    match &mut answers[..] {
        [answer] => Ok(std::mem::take(answer)),
        answers => Err(unexpected_instead(wanted, &answers.concat())),
    }
}

/// Something else came than what was due.
pub fn unexpected_instead(wanted: &str, message: &[u8]) -> io::Error {
    let beginning = String::from_utf8_lossy(&message[..message.len().min(200)]);
    io::Error::other(format!("{wanted} was due, this came: {beginning:?}"))
}
