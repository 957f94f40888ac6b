//! What clients of each protocol say when they come, and what they make of what they hear: bytes in, bytes out.

use std::fmt;

use crate::Place;
use crate::centrifuge::Centrifuge;
use crate::event_stream::EventStream;
use crate::raw::Raw;
use crate::stomp::Stomp;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Raw,
    /// With permessage-deflate.
    Deflated,
    EventStream,
    Stomp,
    /// STOMP with acknowledgements.
    StompAck,
    Centrifuge,
}

pub const SPEECHES: [Speech; 6] = [
    Speech::Raw,
    Speech::Deflated,
    Speech::EventStream,
    Speech::Stomp,
    Speech::StompAck,
    Speech::Centrifuge,
];

/// What a client hears.
#[derive(Debug)]
pub enum Heard {
    /// A publication, and its offset where the protocol tells it.
    Publication {
        offset: Option<u64>,
        payload: String,
    },
    /// What was missed cannot be had. The stream goes on behind that place where the protocol names one; otherwise the
    /// client has to begin anew.
    Gap(Option<Place>),
    /// The server ends the connection because the client is too slow.
    TooSlow,
}

/// One connection.
pub trait Conversation {
    /// What the client says before it has heard anything.
    fn begin(&mut self) -> Vec<u8>;

    /// Takes what the server says next. What is heard goes to `heard`, what is answered to `outgoing`.
    ///
    /// An error is what no server may say.
    fn take(
        &mut self,
        bytes: &[u8],
        heard: &mut Vec<Heard>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), String>;

    /// Whether the bytes so far end within a frame.
    fn is_inside(&self) -> bool;
}

impl Speech {
    /// A connection to that channel that wants all that came behind a place, where one is given. Clients of one protocol
    /// differ by their numbers.
    pub fn converse(
        self,
        client: usize,
        channel: &str,
        since: Option<Place>,
    ) -> Box<dyn Conversation> {
        match self {
            Self::Raw => Box::new(Raw::new(channel, since, false)),
            Self::Deflated => Box::new(Raw::new(channel, since, true)),
            Self::EventStream => Box::new(EventStream::new(channel, since)),
            Self::Stomp => Box::new(Stomp::new(client, channel, "auto", since)),
            Self::StompAck => {
                let mode = ["client", "client-individual"][client / 3 % 2];
                Box::new(Stomp::new(client, channel, mode, since))
            }
            Self::Centrifuge => Box::new(Centrifuge::new(channel, since)),
        }
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Deflated => "raw, compressed",
            Self::EventStream => "event streams",
            Self::Stomp => "STOMP",
            Self::StompAck => "STOMP with acknowledgements",
            Self::Centrifuge => "Centrifugo's protocol",
        })
    }
}
