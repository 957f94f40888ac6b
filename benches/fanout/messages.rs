//! STOMP frames as subscribers receive them, and whether they are what was published.
//!
//! Where a server gives all subscribers the same frame, the first copy of each is looked at closely and all others must be
//! the very same bytes; where each gets one of its own, each is looked at closely.

use crate::ledger::Payload;

/// The subscription id of every subscriber, as stomp.js numbers them.
pub const SUBSCRIPTION: &str = "sub-0";
/// Where everything is published.
pub const DESTINATION: &str = "/topic/prices";

/// One frame (STOMP 1.2, "STOMP Frames"). Nothing is unescaped: nothing that the bench has to do with needs it.
pub struct Frame<'a> {
    /// Such as `MESSAGE`.
    pub command: &'a [u8],
    head: &'a [u8],
    /// The bytes in front of the NUL.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The one frame that a WebSocket message holds; line feeds may follow it. `None` if that is not what it holds, a line of
    /// its head has no colon, or a `content-length` is not the length of its body.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let last = (message.iter()).rposition(|byte| !matches!(byte, b'\n' | b'\r'))?;
        let frame = message[..=last].strip_suffix(b"\0")?;
        let head_bytes = memchr::memmem::find(frame, b"\n\n")?;
        let (command_and_head, body) = (&frame[..head_bytes], &frame[head_bytes + 2..]);
        let command_bytes = memchr::memchr(b'\n', command_and_head).unwrap_or(head_bytes);
        let frame = Self {
            command: &command_and_head[..command_bytes],
            head: &command_and_head[(command_bytes + 1).min(head_bytes)..],
            body,
        };
        let has_colons = frame.lines().all(|line| line.contains(&b':'));
        let length = frame.header("content-length");
        let is_long = |length: &[u8]| length == body.len().to_string().as_bytes();
        (has_colons && length.is_none_or(is_long)).then_some(frame)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.lines()
            .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.head.split(|&byte| byte == b'\n');
        lines.filter(|line| !line.is_empty())
    }
}

/// Whether a WebSocket message is nothing but heart-beats.
pub fn is_heart_beat(message: &[u8]) -> bool {
    message.iter().all(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Who gets the same frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// All subscribers, byte for byte.
    All,
    /// Nobody: the frames of each subscriber have message ids of their own.
    Nobody,
}

/// The MESSAGE frames that subscribers have received of late.
pub struct Messages {
    sharing: Sharing,
    /// By sequence number where they are shared, by subscriber otherwise.
    slots: Vec<Option<Message>>,
}

struct Message {
    sequence: u64,
    bytes: Vec<u8>,
    id: Vec<u8>,
}

impl Messages {
    /// For at most `window` publications on their way at a time.
    pub fn new(sharing: Sharing, window: u64) -> Self {
        let slots = match sharing {
            Sharing::All => window.max(1).next_power_of_two() as usize,
            Sharing::Nobody => 0,
        };
        Self {
            sharing,
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
        }
    }

    /// Adds a subscriber with the next index.
    pub fn subscribe(&mut self) {
        if self.sharing == Sharing::Nobody {
            self.slots.push(None);
        }
    }

    /// The sequence number of the publication that a subscriber, for whom `due` is the next, has received as `message`.
    /// `None` unless it is one MESSAGE of its subscription and destination, first delivered now, whose message id no other
    /// message had, with the length and the very body that was published.
    pub fn sequence(
        &mut self,
        subscriber: u32,
        message: &[u8],
        due: u64,
        payload: &Payload,
    ) -> Option<u64> {
        let is_known = |known: &Message| known.sequence == due && known.bytes == message;
        if self.slots[self.slot(subscriber, due)]
            .as_ref()
            .is_some_and(is_known)
        {
            return Some(due);
        }
        let frame = Frame::parse(message)?;
        let id = frame.header("message-id").filter(|id| !id.is_empty())?;
        let is_right = frame.command == b"MESSAGE"
            && frame.header("subscription") == Some(SUBSCRIPTION.as_bytes())
            && frame.header("destination") == Some(DESTINATION.as_bytes())
            && frame.header("content-length").is_some()
            && matches!(frame.header("redelivered"), None | Some(b"false"));
        let sequence = payload.sequence(frame.body).filter(|_| is_right)?;
        let slot = self.slot(subscriber, sequence);
        let rivals = match self.sharing {
            Sharing::All => &self.slots[..],
            Sharing::Nobody => &self.slots[slot..=slot],
        };
        let is_rival = |known: &Message| match known.sequence == sequence {
            // Other bytes than everybody else's, or than the time before.
            true => known.bytes != message,
            false => known.id == id,
        };
        if rivals.iter().flatten().any(is_rival) {
            return None;
        }
        self.slots[slot] = Some(Message {
            sequence,
            bytes: message.to_vec(),
            id: id.to_vec(),
        });
        Some(sequence)
    }

    fn slot(&self, subscriber: u32, sequence: u64) -> usize {
        match self.sharing {
            Sharing::All => (sequence & (self.slots.len() as u64 - 1)) as usize,
            Sharing::Nobody => subscriber as usize,
        }
    }
}
