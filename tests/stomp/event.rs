//! What a connection tells.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

/// Names and values; of repeated headers the first.
pub type Headers = BTreeMap<String, String>;

/// As the programs write it, beside the connection's `id`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// CONNECTED has come.
    Connected(Connected),
    Message(Message),
    /// RECEIPT, by its `receipt-id`.
    Receipt {
        receipt: String,
    },
    /// ERROR.
    Error(ErrorFrame),
    /// A heart-beat has come.
    Beat,
    /// The library has sent one.
    BeatSent,
    /// 1006 stands for a connection that ended without a close frame, 1005 for a close frame without a code.
    Closed {
        code: u16,
        reason: String,
    },
    /// The library complained, or told what it must not.
    Failed {
        error: String,
    },
}

impl Event {
    /// Whether it is an end or a failure.
    pub fn is_bad(&self) -> bool {
        matches!(
            self,
            Self::Error(_) | Self::Closed { .. } | Self::Failed { .. }
        )
    }
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Connected {
    /// As the library reads it; empty where the server named none.
    pub version: String,
    /// The WebSocket subprotocol, empty for none.
    pub subprotocol: String,
    pub headers: Headers,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Which message of its connection it is, to be named in ACK and NACK.
    pub number: usize,
    pub subscription: String,
    pub headers: Headers,
    #[serde(flatten, deserialize_with = "content")]
    pub body: Vec<u8>,
}

impl Message {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header that must be there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }
}

impl fmt::Debug for Message {
    /// Long bodies are shown by their beginning, so that a failed assertion can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 80;
        let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN_MAX)]);
        let (subscription, headers, length) = (&self.subscription, &self.headers, self.body.len());
        write!(
            f,
            "Message({subscription} {headers:?} {shown:?}, {length} bytes)"
        )
    }
}

#[derive(PartialEq, Eq, Deserialize)]
pub struct ErrorFrame {
    pub headers: Headers,
    #[serde(flatten, deserialize_with = "content")]
    pub body: Vec<u8>,
}

impl fmt::Debug for ErrorFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "ErrorFrame({:?} {body:?})", self.headers)
    }
}

/// Reads a line of the programs: the connection's id, and what it tells.
pub fn parse(line: &str) -> Result<(String, Event), serde_json::Error> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        #[serde(flatten)]
        event: Event,
    }
    let Line { id, event } = serde_json::from_str(line)?;
    Ok((id, event))
}

/// A body: `text`, or `binary` in hex.
fn content<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    struct Content {
        text: Option<String>,
        binary: Option<String>,
    }
    let content = Content::deserialize(from)?;
    Ok(match content.binary {
        Some(digits) => unhex(&digits),
        None => content.text.unwrap_or_default().into_bytes(),
    })
}

fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
