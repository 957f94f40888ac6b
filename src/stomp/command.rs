//! The commands that begin a client's frame.

#![forbid(unsafe_code)]

use std::fmt;

use super::error::{Fault, excerpt};
use super::version::Version;

/// What a client's frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Begins the session.
    Connect,
    /// The same by another name; not in 1.0.
    Stomp,
    /// Publishes the body.
    Send,
    /// Asks for a destination's messages.
    Subscribe,
    /// Ends a subscription.
    Unsubscribe,
    /// Says that messages have been consumed.
    Ack,
    /// Says that messages have not been consumed; not in 1.0.
    Nack,
    /// Begins a transaction.
    Begin,
    /// Carries a transaction out.
    Commit,
    /// Gives a transaction up.
    Abort,
    /// Ends the session.
    Disconnect,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Connect,
        Self::Stomp,
        Self::Send,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Ack,
        Self::Nack,
        Self::Begin,
        Self::Commit,
        Self::Abort,
        Self::Disconnect,
    ];

    /// As frames have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
        }
    }

    /// Whether it begins the session: the heads of such frames have no escapes.
    pub fn connects(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp)
    }

    /// Reads a command line without its end.
    pub(super) fn parse(line: &[u8], version: Option<Version>) -> Result<Self, Fault> {
        let command = match line {
            b"CONNECT" => Self::Connect,
            b"STOMP" => Self::Stomp,
            b"SEND" => Self::Send,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            b"ACK" => Self::Ack,
            b"NACK" => Self::Nack,
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ABORT" => Self::Abort,
            b"DISCONNECT" => Self::Disconnect,
            b"CONNECTED" => return Err(Fault::ServerCommand("CONNECTED")),
            b"MESSAGE" => return Err(Fault::ServerCommand("MESSAGE")),
            b"RECEIPT" => return Err(Fault::ServerCommand("RECEIPT")),
            b"ERROR" => return Err(Fault::ServerCommand("ERROR")),
            _ => return Err(Fault::UnknownCommand(excerpt(line))),
        };
        if version == Some(Version::V1_0) && matches!(command, Self::Stomp | Self::Nack) {
            return Err(Fault::NotIn10(command));
        }
        Ok(command)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
