//! Who must have received what: subscriptions with their beginnings and ends, nothing of lanes,
//! buffers or backlogs.

use bytes::Bytes;
use pushring::shard::ConnectionId;

use crate::operations::payload;

/// A time that a client was subscribed to a channel: from behind the publication of that number, to
/// that of the other one.
struct Period {
    channel: u8,
    after: u16,
    until: Option<u16>,
}

/// What the model knows of one connection.
pub struct Client {
    id: ConnectionId,
    periods: Vec<Period>,
    /// All that its socket has taken.
    pub received: Vec<u8>,
    /// From now on what it receives may end anywhere.
    closed: bool,
    /// Its slot may be somebody else's.
    removed: bool,
    watched: bool,
}

#[derive(Default)]
pub struct Model {
    pub clients: Vec<Client>,
    published: [u16; 4],
}

impl Client {
    pub fn new(id: ConnectionId) -> Self {
        Self {
            id,
            periods: Vec::new(),
            received: Vec::new(),
            closed: false,
            removed: false,
            watched: false,
        }
    }

    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Its publications are those of its periods, in order and without a gap, and nothing else.
    fn check(&self, published: &[u16; 4]) {
        let mut messages = messages(&self.received, self.closed);
        for channel in 0..4 {
            let mut numbers = Vec::new();
            messages.retain(|(of, number)| {
                if *of == channel {
                    numbers.push(*number);
                }
                *of != channel
            });
            let mut rest = &numbers[..];
            for period in self.periods.iter().filter(|p| p.channel == channel) {
                let until = period.until.unwrap_or(published[usize::from(channel)]);
                let expected: Vec<u16> = (period.after + 1..=until).collect();
                let there = rest
                    .iter()
                    .zip(&expected)
                    .take_while(|(a, b)| a == b)
                    .count();
                rest = &rest[there..];
                let all = period.until.is_none() && !self.closed;
                assert!(
                    !all || there == expected.len(),
                    "{:?} has {numbers:?} of channel {channel}, not all of {expected:?}",
                    self.id
                );
            }
            assert!(
                rest.is_empty(),
                "{:?} has {rest:?} of channel {channel} for nothing",
                self.id
            );
        }
        assert!(messages.is_empty(), "{:?} has {messages:?}", self.id);
    }
}

impl Model {
    pub fn pick(&self, who: u8) -> Option<ConnectionId> {
        let there: Vec<_> = self
            .clients
            .iter()
            .filter(|client| !client.removed)
            .collect();
        match there.len() {
            0 => None,
            len => Some(there[usize::from(who) % len].id),
        }
    }

    pub fn at(&mut self, slot: u32) -> &mut Client {
        self.clients
            .iter_mut()
            .find(|client| client.id.slot == slot && !client.removed)
            .expect("a send to a socket that is there")
    }

    /// As an order does it: nothing happens to who is subscribed already; one too many closes.
    pub fn subscribe(&mut self, id: ConnectionId, channel: u8, subscriptions_max: usize) {
        let after = self.published[usize::from(channel)];
        let Some(client) = self.open(id) else {
            return;
        };
        let open = || client.periods.iter().filter(|p| p.until.is_none());
        if open().any(|period| period.channel == channel) {
            return;
        }
        if open().count() >= subscriptions_max {
            self.close(id);
            return;
        }
        client.periods.push(Period {
            channel,
            after,
            until: None,
        });
    }

    /// As a connection's only subscription, behind a publication: all that came since, if it is kept, or the end.
    pub fn subscribe_since(&mut self, id: ConnectionId, channel: u8, offset: u16, kept: u16) {
        let published = self.published[usize::from(channel)];
        let is_kept = published
            .checked_sub(offset)
            .is_some_and(|missed| missed <= kept);
        let Some(client) = self.open(id) else {
            return;
        };
        if !is_kept {
            return self.close(id);
        }
        client.periods.push(Period {
            channel,
            after: offset,
            until: None,
        });
    }

    pub fn unsubscribe(&mut self, id: ConnectionId, channel: u8) {
        let until = self.published[usize::from(channel)];
        if let Some(client) = self.open(id) {
            let period = |p: &&mut Period| p.channel == channel && p.until.is_none();
            if let Some(period) = client.periods.iter_mut().find(period) {
                period.until = Some(until);
            }
        }
    }

    /// Publications of a channel so far.
    pub fn published(&self, channel: u8) -> u16 {
        self.published[usize::from(channel)]
    }

    pub fn publish(&mut self, channel: u8) -> Bytes {
        let published = &mut self.published[usize::from(channel)];
        *published += 1;
        payload(channel, *published)
    }

    pub fn close(&mut self, id: ConnectionId) {
        if let Some(client) = self.find(id) {
            client.closed = true;
        }
    }

    pub fn remove(&mut self, id: ConnectionId) {
        if let Some(client) = self.find(id) {
            client.removed = true;
            client.watched = false;
        }
    }

    pub fn watch(&mut self, id: ConnectionId) {
        if let Some(client) = self.find(id) {
            client.watched = true;
        }
    }

    pub fn take_watched(&mut self, id: ConnectionId) -> bool {
        self.find(id)
            .is_some_and(|client| std::mem::take(&mut client.watched))
    }

    pub fn all_watched(&mut self) -> Vec<ConnectionId> {
        let ids = self.ids();
        ids.into_iter()
            .filter(|&id| self.take_watched(id))
            .collect()
    }

    pub fn is_watching(&self) -> bool {
        self.clients.iter().any(|client| client.watched)
    }

    pub fn ids(&self) -> Vec<ConnectionId> {
        let there = self.clients.iter().filter(|client| !client.removed);
        there.map(|client| client.id).collect()
    }

    pub fn check(&self) {
        for client in &self.clients {
            client.check(&self.published);
        }
    }

    fn find(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.id == id)
    }

    fn open(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.find(id).filter(|client| !client.closed)
    }
}

/// The publications in what a client has received: channel and number. What is cut at the end is
/// allowed to be if the connection was closed.
fn messages(received: &[u8], closed: bool) -> Vec<(u8, u16)> {
    let head_len = received
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .map(|at| at + 4);
    let Some(head_len) = head_len else {
        assert!(closed, "the handshake has no answer");
        return Vec::new();
    };
    assert!(received.starts_with(b"HTTP/1.1 101 "));
    let mut rest = &received[head_len..];
    let mut messages = Vec::new();
    while let [first, len, tail @ ..] = rest {
        let len = usize::from(*len);
        assert!(len <= 125, "no frame is so long");
        let Some(payload) = tail.get(..len) else {
            break;
        };
        match (first, payload) {
            (0x82, [channel, high, low]) => {
                messages.push((*channel, u16::from_be_bytes([*high, *low])));
            }
            (0x88..=0x8a, _) => {}
            _ => panic!("a frame that nobody sent: {first:x} {payload:?}"),
        }
        rest = &tail[len..];
    }
    assert!(rest.is_empty() || closed, "a frame is cut");
    messages
}
