//! What is wrong with a client's frame.

#![forbid(unsafe_code)]

use std::fmt;

use super::command::Command;
use super::version::Version;

/// Most bytes of a client's text that an error quotes.
const EXCERPT_BYTES_MAX: usize = 40;

/// A frame that no client may send; the client's fault, and the end of the session.
///
/// As text it is one line: the command, what is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// What is wrong.
    pub fault: Fault,
    /// The frame's command, when it is known.
    pub command: Option<Command>,
    /// The frame's `receipt` header, when it stood in front of the fault: the ERROR frame's `receipt-id`.
    pub receipt: Option<Box<str>>,
}

/// One kind of fault. Lines are counted from the frame's command line, which is 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line is no command.
    #[error(
        "unknown command \"{0}\": write CONNECT, STOMP, SEND, SUBSCRIBE, UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT or \
         DISCONNECT, in capitals, and a line feed"
    )]
    UnknownCommand(Box<str>),
    /// A frame for the other direction.
    #[error("{0} is for servers: a client must not send it")]
    ServerCommand(&'static str),
    /// Later versions have it.
    #[error("STOMP 1.0 has no {0}: ask for 1.1 or 1.2 in accept-version")]
    NotIn10(Command),
    /// The frame ends inside of its head.
    #[error("line {line} has a NUL: end the headers with an empty line")]
    Nul {
        /// Where.
        line: usize,
    },
    /// STOMP 1.2: only at the end of a line.
    #[error("line {line}, \"{text}\", has a carriage return inside: escape it, or leave it out")]
    CarriageReturn {
        /// Where.
        line: usize,
        /// How the line begins.
        text: Box<str>,
    },
    /// A header is a name, a colon and a value.
    #[error("line {line}, \"{text}\", has no colon: write name:value")]
    NoColon {
        /// Where.
        line: usize,
        /// How the line begins.
        text: Box<str>,
    },
    /// Nothing in front of the colon.
    #[error("line {line}, \"{text}\", has no name in front of the colon: write name:value")]
    NoName {
        /// Where.
        line: usize,
        /// How the line begins.
        text: Box<str>,
    },
    /// STOMP 1.2, "Value Encoding": fatal.
    #[error(
        "line {line}, \"{text}\", has an undefined escape: STOMP {} knows {}",
        version.as_str(),
        if *version == Version::V1_2 { r"\r, \n, \c and \\" } else { r"\n, \c and \\" }
    )]
    Escape {
        /// Where.
        line: usize,
        /// How the line begins.
        text: Box<str>,
        /// Whose escapes hold.
        version: Version,
    },
    /// STOMP 1.2, "Value Encoding".
    #[error("line {line}, \"{text}\", is not UTF-8")]
    NotUtf8 {
        /// Where.
        line: usize,
        /// How the line begins.
        text: Box<str>,
    },
    /// More than [`headers_max`](super::Limits::headers_max).
    #[error("more than {0} headers")]
    TooManyHeaders(usize),
    /// More than [`head_bytes_max`](super::Limits::head_bytes_max).
    #[error("command and headers have more than {0} bytes")]
    HeadTooLong(usize),
    /// The header must be a number of bytes.
    #[error(
        "line {line}: content-length \"{text}\" is no number: write the body's bytes in digits"
    )]
    ContentLength {
        /// Where.
        line: usize,
        /// How the value begins.
        text: Box<str>,
    },
    /// More than [`body_bytes_max`](super::Limits::body_bytes_max), announced or sent.
    #[error("the body has more than {0} bytes, or the NUL behind it is missing")]
    BodyTooLong(usize),
    /// Where the body of a frame with `content-length` ends, there must be NUL.
    #[error("no NUL behind the {0} bytes of the body that content-length announces")]
    NoNul(usize),
    /// Something in front of the command, which a `content-length` that is too short may have left.
    #[error("a NUL between two frames: one ends a frame, more are not allowed")]
    NulBetween,
    /// Between two frames, only as a part of CR LF.
    #[error("a carriage return between two frames with no line feed behind it")]
    CarriageReturnBetween,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.command {
            Some(command) => write!(f, "{command}: {}", self.fault),
            None => write!(f, "{}", self.fault),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

impl From<Fault> for FrameError {
    /// Outside of a frame, or before anything is known of it.
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            command: None,
            receipt: None,
        }
    }
}

/// The beginning of a client's text on one line, fit to be quoted.
pub(super) fn excerpt(text: &[u8]) -> Box<str> {
    let quoted = &text[..text.len().min(EXCERPT_BYTES_MAX)];
    let rest = if quoted.len() < text.len() { "…" } else { "" };
    let shown: String = String::from_utf8_lossy(quoted)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    (shown + rest).into()
}
