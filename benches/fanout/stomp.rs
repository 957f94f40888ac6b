//! The client's side of STOMP 1.2: how subscribers begin, and what the publisher sends and hears.

use std::io::{self, Write};
use std::net::TcpStream;

use crate::dialogue::{read_answer, unexpected_instead};
use crate::frames::{Frame as WsFrame, FrameReader};
use crate::handshake::push_masked;
use crate::messages::{self, DESTINATION, Frame, SUBSCRIPTION};

/// Where both servers have STOMP.
pub const PATH: &str = "/ws";
/// Nothing is heard of an idle subscriber, so no heart-beats are wanted either way.
const CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\n\n\0";
/// The receipt that a subscriber asks for.
const SUBSCRIBED: &str = "subscribed";

/// What a client asks once its WebSocket is open: one after the other, each answered before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// CONNECT, answered with CONNECTED.
    Connect,
    /// SUBSCRIBE, answered with its receipt.
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
        let subscribe = format!(
            "SUBSCRIBE\nid:{SUBSCRIPTION}\ndestination:{DESTINATION}\nack:auto\nreceipt:{SUBSCRIBED}\n\n\0"
        );
        let mut out = Vec::new();
        push_masked(
            &mut out,
            match self {
                Self::Connect => CONNECT,
                Self::Subscribe => subscribe.as_bytes(),
            },
        );
        stream.write_all(&out)
    }

    /// Waits for the answer, which must be right and the only thing that comes.
    pub fn finish(self, stream: &mut TcpStream) -> io::Result<()> {
        let wanted = format!("the answer to {self:?}");
        let answer = read_answer(stream, &wanted, messages::is_heart_beat)?;
        match Frame::parse(&answer) {
            Some(frame) if self.is_answer(&frame) => Ok(()),
            _ => Err(unexpected_instead(&wanted, &answer)),
        }
    }

    fn is_answer(self, answer: &Frame<'_>) -> bool {
        match self {
            Self::Connect => {
                answer.command == b"CONNECTED" && answer.header("version") == Some(b"1.2")
            }
            Self::Subscribe => {
                answer.command == b"RECEIPT"
                    && answer.header("receipt-id") == Some(SUBSCRIBED.as_bytes())
            }
        }
    }
}

/// Appends the WebSocket frame of a SEND that asks for the receipt of that number.
pub fn push_send(out: &mut Vec<u8>, receipt: u64, body: &[u8]) {
    let length = body.len();
    let mut send =
        format!("SEND\ndestination:{DESTINATION}\nreceipt:{receipt}\ncontent-length:{length}\n\n")
            .into_bytes();
    send.extend_from_slice(body);
    send.push(0);
    push_masked(out, &send);
}

/// The receipts of what was sent: one for each SEND, in order.
#[derive(Default)]
pub struct Receipts {
    reader: FrameReader,
    /// The number of the next one.
    next: u64,
}

impl Receipts {
    /// How many have come.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Takes the next `bytes` of the publisher's stream. An error if they say anything but what is due.
    pub fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { reader, next } = self;
        let mut unexpected = None;
        let read = reader.read(bytes, |frame| match frame {
            WsFrame::Message(message) if messages::is_heart_beat(message) => {}
            WsFrame::Message(message) if is_receipt(message, *next) => *next += 1,
            WsFrame::Message(other) | WsFrame::Close(other) => {
                unexpected.get_or_insert_with(|| other.to_vec());
            }
            WsFrame::Compressed(_) | WsFrame::Ping(_) | WsFrame::Pong => {}
        });
        match (read, unexpected) {
            (Ok(()), None) => Ok(()),
            (Err(violation), _) => Err(io::Error::other(violation)),
            (_, Some(message)) => Err(unexpected_instead(&format!("receipt {next}"), &message)),
        }
    }
}

fn is_receipt(message: &[u8], number: u64) -> bool {
    Frame::parse(message).is_some_and(|frame| {
        frame.command == b"RECEIPT"
            && frame.header("receipt-id") == Some(number.to_string().as_bytes())
    })
}
