//! Pushes of Centrifugo's protocol as subscribers receive them, and whether they are what was published.
//!
//! All subscribers get the same push: the first copy of each is looked at closely, and all others must be the very same bytes.

use serde::Deserialize;

use crate::ledger::Payload;

/// Where everything is published.
pub const CHANNEL: &str = "prices";

/// The server's ping, and the answer to it.
pub const PING: &[u8] = b"{}";

/// The pushes that subscribers have received of late, by sequence number.
pub struct Pushes {
    slots: Vec<Option<(u64, Vec<u8>)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    push: Push<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push<'a> {
    channel: &'a str,
    #[serde(borrow, rename = "pub")]
    publication: Publication<'a>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    data: &'a str,
    offset: u64,
}

impl Pushes {
    /// For at most `window` publications on their way at a time.
    pub fn new(window: u64) -> Self {
        let slots = window.max(1).next_power_of_two() as usize;
        Self {
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
        }
    }

    /// The sequence number of the publication that a subscriber, for whom `due` is the next, has received as `message`.
    /// `None` unless it is one push of the channel with the very text that was published and the offset behind the one
    /// before it.
    pub fn sequence(&mut self, message: &[u8], due: u64, payload: &Payload) -> Option<u64> {
        let mask = self.slots.len() as u64 - 1;
        let slot = |sequence: u64| (sequence & mask) as usize;
        if let Some((sequence, bytes)) = &self.slots[slot(due)]
            && *sequence == due
            && bytes == message
        {
            return Some(due);
        }
        let Line {
            push:
                Push {
                    channel,
                    publication: Publication { data, offset },
                },
        } = serde_json::from_slice(message).ok()?;
        let sequence = payload.sequence(data.as_bytes())?;
        if channel != CHANNEL || offset != sequence + 1 {
            return None;
        }
        // Other bytes than everybody else's, or than the time before.
        if let Some((known, bytes)) = &self.slots[slot(sequence)]
            && *known == sequence
            && bytes != message
        {
            return None;
        }
        self.slots[slot(sequence)] = Some((sequence, message.to_vec()));
        Some(sequence)
    }
}
