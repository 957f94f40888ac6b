//! A subscription and, where it acknowledges, its window.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::destination::Destination;
use crate::encoding::StompForm;
use crate::publication::{Missed, Position, Publication};
use crate::stomp::{AckMode, Version};

/// One SUBSCRIBE.
#[derive(Serialize, Deserialize)]
pub struct Subscription {
    /// Version, id and destination, shared with all who have the same.
    pub form: Arc<StompForm>,
    /// What the shard calls it.
    pub number: u32,
    /// Whether it consumes a queue.
    pub of_queue: bool,
    /// Whether its client has said from where on it wants to recover.
    pub recovers: bool,
    /// What it has not acknowledged; none with `ack:auto`.
    pub window: Option<Box<Window>>,
}

/// A message that was sent and that an ACK or a NACK names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// Of the subscription.
    pub number: u32,
    /// Of the message.
    pub position: Position,
}

/// What an ACK or NACK of a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for it.
    Unsettled,
    /// It has had one.
    Settled,
    /// It was never sent here.
    Unknown,
}

/// The messages of an acknowledging subscription.
#[derive(Serialize, Deserialize)]
pub struct Window {
    /// Messages that may be unsettled.
    size: usize,
    /// Whether an ACK is for all messages up to the one it names.
    cumulative: bool,
    /// In the order in which they were sent.
    unsettled: VecDeque<Position>,
    /// Publications of a topic that wait for room.
    waiting: VecDeque<Publication>,
    waiting_bytes: usize,
    /// So many of those bytes came at one go because the client had been away.
    granted_bytes: usize,
    /// The highest offset that was sent, and its epoch.
    newest: Option<Position>,
    /// Whether messages of several streams were sent, as a pattern of names finds them.
    is_mixed: bool,
}

impl Subscription {
    pub fn new(
        form: Arc<StompForm>,
        number: u32,
        destination: &Destination,
        mode: AckMode,
        prefetch_count: u32,
    ) -> Self {
        let window = (mode != AckMode::Auto).then(|| {
            Box::new(Window {
                size: prefetch_count as usize,
                cumulative: mode == AckMode::Client,
                unsettled: VecDeque::new(),
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                granted_bytes: 0,
                newest: None,
                is_mixed: false,
            })
        });
        Self {
            form,
            number,
            of_queue: matches!(destination, Destination::Queue(_)),
            recovers: false,
            window,
        }
    }

    /// How the client knows it.
    pub fn name(&self) -> &str {
        match self.form.subscription() {
            // Only 1.0 lets clients do without an id.
            "" if self.form.version() == Version::V1_0 => self.form.destination(),
            id => id,
        }
    }

    /// Where a message stands here.
    pub fn standing(&self, position: Position) -> Standing {
        self.window
            .as_ref()
            .map_or(Standing::Unknown, |window| window.standing(position))
    }
}

impl Window {
    /// Counts anew what waits: what a publication counts is the version's own. What counts against the bound stays.
    pub fn restored(&mut self) {
        // More may be granted than waits.
        let (before, granted) = (self.waiting_bytes, self.granted_bytes);
        self.waiting_bytes = self.waiting.iter().map(Publication::kept_bytes).sum();
        self.granted_bytes = granted
            .saturating_add(self.waiting_bytes)
            .saturating_sub(before);
    }

    /// Lets so many bytes wait that do not count: what a client has missed does not make it a slow one.
    pub fn grant(&mut self, missed: &Missed) {
        self.granted_bytes += missed.iter().map(Publication::kept_bytes).sum::<usize>();
    }

    /// Keeps a publication of a topic until there is room for it: the bytes that wait now and count.
    pub fn push_waiting(&mut self, publication: &Publication) -> usize {
        self.waiting_bytes += publication.kept_bytes();
        self.waiting.push_back(publication.clone());
        self.waiting_bytes.saturating_sub(self.granted_bytes)
    }

    /// Whether a publication may be sent right away.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.unsettled.len() < self.size
    }

    /// The next publication that there is room for.
    pub fn next_waiting(&mut self) -> Option<Publication> {
        if self.unsettled.len() >= self.size {
            return None;
        }
        let publication = self.waiting.pop_front()?;
        self.waiting_bytes -= publication.kept_bytes();
        self.granted_bytes = self.granted_bytes.min(self.waiting_bytes);
        Some(publication)
    }

    /// Notes that a message has been sent.
    pub fn note_sent(&mut self, position: Position) {
        self.unsettled.push_back(position);
        let other = |newest: Position| newest.epoch != position.epoch;
        self.is_mixed |= self.newest.is_some_and(other);
        if self
            .newest
            .is_none_or(|newest| newest.epoch != position.epoch || newest.offset < position.offset)
        {
            self.newest = Some(position);
        }
    }

    /// Takes out what an ACK or NACK of a message settles: that message, or all up to it.
    pub fn settle(&mut self, position: Position) -> Vec<u64> {
        let Some(at) = self.unsettled.iter().position(|sent| *sent == position) else {
            return Vec::new();
        };
        if self.cumulative {
            let settled = self.unsettled.drain(..=at);
            return settled.map(|position| position.offset).collect();
        }
        self.unsettled.remove(at);
        vec![position.offset]
    }

    fn standing(&self, position: Position) -> Standing {
        if self.unsettled.contains(&position) {
            return Standing::Unsettled;
        }
        // A gap at the beginning of a stream stands at 0.
        let was_sent = self.newest.is_some_and(|newest| {
            newest.epoch == position.epoch && position.offset <= newest.offset
        });
        // Of several streams it is not kept how far each has come.
        match was_sent || self.is_mixed {
            true => Standing::Settled,
            false => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::Kind;
    use bytes::Bytes;

    fn publication(offset: u64) -> Publication {
        Publication {
            position: Position { epoch: 1, offset },
            kind: Kind::Text,
            headers: Bytes::new(),
            payload: Bytes::from_static(&[b'x'; 100]),
            publisher: None,
            channel: None,
        }
    }

    fn window(size: u32) -> Box<Window> {
        let form = Arc::new(StompForm::new(Version::V1_2, "sub-0", "/topic/a"));
        let channel = crate::channel::ChannelName::parse("a").unwrap();
        let topic = Destination::Topic(channel);
        let subscription = Subscription::new(form, 0, &topic, AckMode::Client, size);
        subscription.window.unwrap()
    }

    #[test]
    fn what_was_missed_may_wait_beyond_what_counts_and_only_that() {
        let mut window = window(1);
        let missed: Vec<Publication> = (1..=10).map(publication).collect();
        window.grant(&Missed::new(missed.clone().into(), 0));
        window.note_sent(Position {
            epoch: 1,
            offset: 0,
        });
        for one in &missed {
            assert_eq!(window.push_waiting(one), 0);
        }
        let one = publication(11);
        assert_eq!(window.push_waiting(&one), one.kept_bytes());
        // As it catches up, what was granted is used up.
        for _ in 0..11 {
            let newest = *window.unsettled.back().unwrap();
            window.settle(newest);
            let next = window.next_waiting().unwrap();
            window.note_sent(next.position);
        }
        assert!(window.next_waiting().is_none());
        assert_eq!(window.push_waiting(&one), one.kept_bytes());
    }
}
