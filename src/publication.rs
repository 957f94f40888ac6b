//! What is published: the payload and its place in its channel's stream.

use bytes::Bytes;

/// How the publisher sent the payload, and so how a WebSocket subscriber receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Names the stream. A channel that was forgotten and begun again has another epoch, so
    /// that offsets of the old stream are never mistaken for offsets of the new one.
    pub epoch: u64,
    /// Publications so far; the first publication of a stream has offset 1.
    pub offset: u64,
}

/// One published message. The payload reaches subscribers byte for byte as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}
