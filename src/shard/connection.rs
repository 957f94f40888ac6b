//! One accepted socket and its protocol state.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::backlog::Backlog;
use super::mail::HandedMessage;
use super::rate::Bucket;
use super::wheel::Tick;
use crate::channel::ChannelName;
use crate::endpoint::{Heartbeat, Via};
use crate::session::Session;
use crate::table::{Key, Table};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The request head is not complete.
    Handshake,
    /// A WebSocket.
    Open,
    /// The last word is said, or waits in the backlog; what still arrives is thrown away.
    Closing,
    /// The reactor has been told to close the socket.
    Gone,
}

/// A connection; small, because there are very many and nearly all of them idle.
pub struct Connection {
    /// Its protocol state.
    pub session: Session,
    /// What it is subscribed to.
    pub subscriptions: Subscriptions,
    /// What it has not been able to take, while it is behind.
    pub backlog: Option<Box<Backlog>>,
    /// What only some connections need.
    pub extra: Option<Box<Extra>>,
    /// The earliest tick at which the wheel hands it out.
    pub timer: Tick,
    /// When it was last heard of.
    pub heard: Tick,
    /// When the phase began, or the ping was sent that has not been answered.
    pub since: Tick,
    /// How far it has come.
    pub phase: Phase,
    /// Whether a ping waits for an answer.
    pub pinged: bool,
    /// Whether it has caused requests, and so is paused when those have no room.
    pub publishes: bool,
    /// Whether it is not read at present.
    pub paused: bool,
}

/// What only connections under a limit, or with timers of their own, need.
#[derive(Default)]
pub struct Extra {
    /// Its address, while connections are counted by address.
    pub peer: Option<IpAddr>,
    /// Messages and bytes it may still send. In a box, for most who have timers have no limit.
    pub rate: Option<Box<(Bucket, Bucket)>>,
    /// When its endpoint wants to be called.
    pub timers: Timers,
    /// Messages of queues that it is handed when it has caught up.
    pub parked: Vec<HandedMessage>,
    /// Bytes by which its backlog may be longer until it has caught up.
    pub granted_bytes: usize,
}

impl Extra {
    /// Whether there is nothing in it that is needed.
    pub fn is_idle(&self) -> bool {
        self.peer.is_none()
            && self.rate.is_none()
            && self.timers.deadline.is_none()
            && self.timers.heartbeat == Heartbeat::default()
            && self.parked.is_empty()
            && self.granted_bytes == 0
    }
}

/// When an endpoint wants to be called for a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers {
    /// At which intervals.
    pub heartbeat: Heartbeat,
    /// When the next beat is due.
    pub beat: Tick,
    /// Once.
    pub deadline: Option<Tick>,
}

/// Where a subscription stands.
#[derive(Debug)]
pub enum Place {
    /// The owner has not answered yet.
    Pending(Box<(ChannelName, Via)>),
    /// In a lane (by slot) at a position.
    Active {
        /// The lane's slot.
        lane: u32,
        /// As the lane told it.
        position: u32,
    },
    /// In the channel's handout, at a position.
    Handed(Box<(ChannelName, u32)>),
    /// A consumer of a queue.
    Queue(Box<ChannelName>),
}

/// One subscription of a connection.
#[derive(Debug)]
pub struct Subscription {
    /// The session's number for it.
    pub number: u32,
    /// Where it stands.
    pub place: Place,
}

/// The subscriptions of a connection; most have one.
#[derive(Debug, Default)]
pub enum Subscriptions {
    /// None at all.
    #[default]
    None,
    /// Exactly one.
    One(Subscription),
    /// Any number.
    Many(Vec<Subscription>),
}

impl Subscriptions {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    /// Adds one.
    pub fn add(&mut self, subscription: Subscription) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(subscription),
            Self::One(first) => Self::Many(vec![first, subscription]),
            Self::Many(mut all) => {
                all.push(subscription);
                Self::Many(all)
            }
        };
    }

    /// The one of that number.
    pub fn find_mut(&mut self, number: u32) -> Option<&mut Subscription> {
        match self {
            Self::None => None,
            Self::One(one) => Some(one).filter(|s| s.number == number),
            Self::Many(all) => all.iter_mut().find(|s| s.number == number),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Subscription> {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
        .iter()
    }

    /// Lanes (by slot) and positions of those that get publications.
    pub fn active(&self) -> impl Iterator<Item = (u32, u32)> {
        self.iter().filter_map(|one| match one.place {
            Place::Active { lane, position } => Some((lane, position)),
            Place::Pending(_) | Place::Handed(_) | Place::Queue(_) => None,
        })
    }

    /// Takes the one of that number out.
    pub fn remove(&mut self, number: u32) -> Option<Subscription> {
        match self {
            Self::None => None,
            Self::One(one) if one.number == number => self.pop(),
            Self::One(_) => None,
            Self::Many(all) => {
                let at = all.iter().position(|s| s.number == number)?;
                let removed = all.swap_remove(at);
                if all.is_empty() {
                    *self = Self::None;
                }
                Some(removed)
            }
        }
    }

    /// Takes any one out.
    pub fn pop(&mut self) -> Option<Subscription> {
        match std::mem::take(self) {
            Self::None => None,
            Self::One(one) => Some(one),
            Self::Many(mut all) => {
                let last = all.pop();
                if !all.is_empty() {
                    *self = Self::Many(all);
                }
                last
            }
        }
    }
}

/// Set in a gate while the connection has a backlog.
const STALLED: u32 = 1 << 31;

/// Set in a gate while the connection is counted as one with more than one subscription.
const SEVERAL: u32 = 1 << 30;

/// Stamps of batches are no larger.
pub const STAMP_MAX: u32 = SEVERAL - 1;

/// What a batch may do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Send to it.
    Send,
    /// It has a backlog: queue behind that.
    Stalled,
    /// It is in this batch already: finish the batch first.
    Later,
}

/// The connections of a shard.
#[derive(Default)]
pub struct Connections {
    /// All of them, by slot and generation.
    pub table: Table<Connection>,
    /// By slot: the last batch the connection was in, whether it is stalled, and whether it is
    /// counted as one with several subscriptions. Apart from the table because this is all that a
    /// scatter reads of a connection with one.
    gates: Vec<u32>,
    /// Connections with several subscriptions.
    several: usize,
    /// Connections of each address, while they are limited.
    peers: HashMap<IpAddr, usize>,
}

impl Connections {
    /// Adds a connection.
    pub fn insert(&mut self, connection: Connection) -> Key {
        if let Some(peer) = connection.extra.as_ref().and_then(|extra| extra.peer) {
            *self.peers.entry(peer).or_default() += 1;
        }
        let key = self.table.insert(connection);
        if self.gates.len() < self.table.capacity() {
            let more = self.table.capacity() - self.gates.len();
            self.gates.reserve_exact(more);
            self.gates.resize(self.table.capacity(), 0);
        }
        self.gates[key.slot as usize] = 0;
        key
    }

    /// Those of another process, none of them behind or with a subscription so far.
    pub fn restore(table: Table<Connection>) -> Self {
        let mut peers = HashMap::new();
        for (_, connection) in table.iter() {
            if let Some(peer) = connection.extra.as_ref().and_then(|extra| extra.peer) {
                *peers.entry(peer).or_default() += 1;
            }
        }
        Self {
            gates: vec![0; table.capacity()],
            table,
            several: 0,
            peers,
        }
    }

    /// Takes a connection out.
    pub fn remove(&mut self, key: Key) -> Option<Connection> {
        let connection = self.table.remove(key)?;
        if let Some(peer) = connection.extra.as_ref().and_then(|extra| extra.peer)
            && let Some(count) = self.peers.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer);
            }
        }
        Some(connection)
    }

    /// Connections of that address; counted only for those inserted with their address.
    pub fn of_peer(&self, peer: IpAddr) -> usize {
        self.peers.get(&peer).copied().unwrap_or(0)
    }

    /// Whether a connection may be put into the batch of that stamp, 1 to [`STAMP_MAX`].
    pub fn admit(&mut self, slot: u32, stamp: u32) -> Admit {
        let gate = &mut self.gates[slot as usize];
        if *gate & STALLED != 0 {
            Admit::Stalled
        } else if *gate & STAMP_MAX == stamp {
            Admit::Later
        } else {
            *gate = *gate & SEVERAL | stamp;
            Admit::Send
        }
    }

    /// Whether the backlog of a stalled connection may be put into the batch of that stamp: once.
    pub fn admit_stalled(&mut self, slot: u32, stamp: u32) -> bool {
        let gate = &mut self.gates[slot as usize];
        let first = *gate & !SEVERAL != stamp | STALLED;
        *gate = *gate & SEVERAL | stamp | STALLED;
        first
    }

    /// How many have more than one subscription.
    pub fn several(&self) -> usize {
        self.several
    }

    /// To be called when the connection has got or lost a subscription.
    pub fn note_subscriptions(&mut self, id: Key) {
        let Some(connection) = self.table.get(id) else {
            return;
        };
        let gate = &mut self.gates[id.slot as usize];
        let (had, has) = (*gate & SEVERAL != 0, connection.subscriptions.len() > 1);
        if had != has {
            *gate ^= SEVERAL;
            match has {
                true => self.several += 1,
                false => self.several -= 1,
            }
        }
    }

    /// Leaves the connection out of scatters until it has taken its backlog.
    pub fn stall(&mut self, slot: u32) {
        self.gates[slot as usize] |= STALLED;
    }

    /// Lets the connection take part in scatters again.
    pub fn unstall(&mut self, slot: u32) {
        self.gates[slot as usize] &= !STALLED;
    }

    /// The slots of connections that have a backlog.
    pub fn stalled(&self) -> impl Iterator<Item = u32> {
        let slots = self.gates.iter().zip(0..);
        slots.filter_map(|(gate, slot)| (gate & STALLED != 0).then_some(slot))
    }

    /// Whether the connection has a backlog.
    pub fn is_stalled(&self, slot: u32) -> bool {
        self.gates
            .get(slot as usize)
            .is_some_and(|gate| gate & STALLED != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_stays_small() {
        assert!(
            size_of::<Connection>() <= 96,
            "{} bytes a connection",
            size_of::<Connection>()
        );
        // What a connection has besides whose endpoint sends pings of its own.
        assert!(size_of::<Extra>() <= 80, "{} bytes", size_of::<Extra>());
    }
}
