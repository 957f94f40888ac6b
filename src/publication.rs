//! What is published: the payload and its place in its channel's stream.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How the publisher sent the payload, and so how a WebSocket subscriber receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// UTF-8 text; leaves as text frames.
    Text,
    /// Any bytes; leaves as binary frames.
    Binary,
}

impl Kind {
    /// Text where the bytes are UTF-8, binary otherwise: for publishers that do not say.
    pub fn of(payload: &[u8]) -> Self {
        match simdutf8::basic::from_utf8(payload) {
            Ok(_) => Self::Text,
            Err(_) => Self::Binary,
        }
    }
}

/// Where a channel's stream stands: the number of its newest publication, and which stream it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Names the stream. A channel that was forgotten and begun again has another epoch, so
    /// that offsets of the old stream are never mistaken for offsets of the new one.
    pub epoch: u64,
    /// Publications so far; the first publication of a stream has offset 1.
    pub offset: u64,
}

/// Bytes that [`Position::as_id`] takes at the most: two numbers and a hyphen.
pub const ID_BYTES_MAX: usize = 41;

impl Position {
    /// The position as a text, `epoch-offset`, written into a buffer.
    pub fn as_id(self, buffer: &mut [u8; ID_BYTES_MAX]) -> &str {
        let mut at = put_number(buffer, ID_BYTES_MAX, self.offset) - 1;
        buffer[at] = b'-';
        at = put_number(buffer, at, self.epoch);
        // Digits and a hyphen.
        str::from_utf8(&buffer[at..]).unwrap_or_default()
    }

    /// The position that [`Position::as_id`] has written so.
    pub fn of_id(id: &str) -> Option<Self> {
        let (epoch, offset) = id.split_once('-')?;
        let is_plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_plain(epoch) && is_plain(offset)).then_some(())?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

/// Writes a number in front of `end` and returns where it begins.
fn put_number(buffer: &mut [u8; ID_BYTES_MAX], end: usize, mut number: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}

/// A message on its way to the owner who gives it its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// As [`Publication::kind`].
    pub kind: Kind,
    /// As [`Publication::headers`].
    pub headers: Bytes,
    /// As [`Publication::payload`].
    pub payload: Bytes,
    /// As [`Publication::publisher`].
    pub publisher: Option<Arc<ClientInfo>>,
    /// Not to keep it: whoever is away when it is published never gets it, and misses nothing by that.
    pub skip_history: bool,
}

impl Draft {
    /// A message without headers, of nobody in particular.
    pub fn new(kind: Kind, payload: Bytes) -> Self {
        Self {
            kind,
            headers: Bytes::new(),
            payload,
            publisher: None,
            skip_history: false,
        }
    }

    /// The publication at that place.
    pub fn numbered(self, position: Position) -> Publication {
        Publication {
            position,
            kind: self.kind,
            headers: self.headers,
            payload: self.payload,
            publisher: self.publisher,
            channel: None,
        }
    }
}

/// One published message. The payload reaches subscribers byte for byte as it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its place in the stream.
    pub position: Position,
    /// Text or binary.
    pub kind: Kind,
    /// Header lines that the publisher's protocol carries along, in the form of STOMP 1.2
    /// (`name:value\n`, escaped as its section "Value Encoding" says); empty for most.
    pub headers: Bytes,
    /// The published bytes, shared by all who hold them.
    pub payload: Bytes,
    /// Who has published it, where its protocol tells the others that.
    pub publisher: Option<Arc<ClientInfo>>,
    /// The channel that it was published to, for subscribers that it reaches by a pattern of names. Behind
    /// a thin pointer, because publications are moved through mailboxes.
    pub channel: Option<Arc<Box<str>>>,
}

/// Who a client is, as presence shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Names the connection; no other of the server has the same.
    pub client: Box<str>,
    /// The user that the client has proven to be; empty for an anonymous one.
    pub user: Box<str>,
    /// What the connection's token says about it: JSON, or nothing.
    pub conn_info: Bytes,
    /// What the subscription's token says about it: JSON, or nothing.
    pub chan_info: Bytes,
}

/// Somebody has come to a channel, or left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new subscriber.
    Join(Arc<ClientInfo>),
    /// A subscriber that is not there any more.
    Leave(Arc<ClientInfo>),
}

/// What a subscriber wants of what was published before it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Since {
    /// All that came behind that place of that stream.
    Position(Position),
    /// The same of whatever stream there is.
    Offset(u64),
    /// The newest publication, if one is kept.
    Newest,
}

/// How a subscription has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What is published behind this place comes to the subscriber.
    pub position: Position,
    /// What it gets of what was published before.
    pub recovery: Recovery,
    /// Whether the channel keeps a history, from which a later subscription could recover.
    pub recoverable: bool,
}

/// What became of [`Since`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was not asked for.
    Unasked,
    /// All of it, in front of the live publications.
    Whole(Missed),
    /// The newest publication alone, or none if none is kept: what [`Since::Newest`] asks for, and what
    /// channels that are there for their last value give whatever is asked for.
    Newest(Missed),
    /// Not all of it is kept, or the stream is another one: nothing.
    Gap,
}

impl Recovery {
    /// What the subscriber gets in front of the live publications.
    pub fn missed(&self) -> Option<&Missed> {
        match self {
            Self::Whole(missed) | Self::Newest(missed) => Some(missed),
            Self::Unasked | Self::Gap => None,
        }
    }
}

/// Publications that a subscriber has missed, shared by all who ask at about the same time.
#[derive(Clone, Debug)]
pub struct Missed {
    shared: Arc<[Publication]>,
    from: usize,
}

impl Missed {
    /// Those from an index on.
    pub fn new(shared: Arc<[Publication]>, from: usize) -> Self {
        let from = from.min(shared.len());
        Self { shared, from }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.shared.len() - self.from
    }

    /// Whether nothing was missed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In the order in which they were published.
    pub fn iter(&self) -> std::slice::Iter<'_, Publication> {
        self.shared[self.from..].iter()
    }

    /// All that those who share it have missed, and from which index on this one has.
    pub fn shared(&self) -> (&Arc<[Publication]>, usize) {
        (&self.shared, self.from)
    }
}

impl PartialEq for Missed {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Missed {}

impl Publication {
    /// What it is counted with where it is kept, in bytes: itself, its headers and its payload. An empty
    /// one counts, too, so that no bound in bytes lets any number of them in.
    pub fn kept_bytes(&self) -> usize {
        size_of::<Self>() + self.headers.len() + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_from_the_id_that_it_was_written_as() {
        for (epoch, offset) in [
            (0, 0),
            (1, 10),
            (99, 100),
            (u64::MAX, u64::MAX),
            (7 << 57, 1),
        ] {
            let position = Position { epoch, offset };
            let mut buffer = [0; ID_BYTES_MAX];
            let id = position.as_id(&mut buffer);
            assert_eq!(id, format!("{epoch}-{offset}"));
            assert_eq!(Position::of_id(id), Some(position));
        }
    }

    #[test]
    fn what_is_no_position_is_not_read_as_one() {
        for id in [
            "", "-", "1", "1-", "-1", "+1-2", "1-2-3", "1--2", "a-b", "1- 2",
        ] {
            assert_eq!(Position::of_id(id), None, "{id:?}");
        }
        assert_eq!(Position::of_id("18446744073709551616-1"), None);
    }
}
