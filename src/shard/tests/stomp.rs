//! Shards with STOMP clients, whose sockets take as many bytes as a test lets them.

use std::collections::HashMap;

use super::*;

/// Shards that share mailboxes of any length, and their clients.
pub struct House {
    pub shards: Vec<Shard>,
    /// What each client has been sent, by its shard and slot.
    sent: HashMap<(usize, u32), Vec<u8>>,
    /// Bytes that a socket still takes; as many as there are where none is said.
    room: HashMap<(usize, u32), usize>,
    /// Batches of a turn, behind which it is broken off as if it took too long.
    pub batches_max: usize,
    /// Sockets to be watched until they take bytes again.
    watched: Vec<(usize, ConnectionId)>,
}

/// A STOMP client: its shard, and its name there.
#[derive(Clone, Copy)]
pub struct Peer {
    pub shard: usize,
    pub id: ConnectionId,
}

impl Peer {
    fn key(self) -> (usize, u32) {
        (self.shard, self.id.slot)
    }
}

impl House {
    pub fn new(shards: usize, config: Config) -> Self {
        let config = Arc::new(config);
        let sessions = Arc::new(session::Settings::new(&config).expect("the default origins"));
        let shard = |shard| {
            let identity = Identity {
                shard,
                shards,
                hash_seed: 1,
                first_epoch: 1 + ((shard as u64) << 32),
            };
            Shard::new(identity, config.clone(), sessions.clone(), Arc::default())
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            sent: HashMap::new(),
            room: HashMap::new(),
            batches_max: usize::MAX,
            watched: Vec::new(),
        }
    }

    /// A client that is connected by STOMP 1.2.
    pub fn connect(&mut self, shard: usize) -> Peer {
        self.connect_by(shard, "1.2")
    }

    pub fn connect_by(&mut self, shard: usize, version: &str) -> Peer {
        let id = self.shards[shard].handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.shards[shard].handle_input(0, id, &mut head("/stomp", ""));
        let peer = Peer { shard, id };
        self.say(peer, &format!("CONNECT\naccept-version:{version}\n\n"));
        self.turns(2);
        assert!(self.take(peer).contains("CONNECTED\n"));
        peer
    }

    /// Says a frame, which needs no end.
    pub fn say(&mut self, peer: Peer, frame: &str) {
        let mut message = vec![0x81];
        match frame.len() + 1 {
            len @ 0..=125 => message.push(0x80 | len as u8),
            len => {
                message.push(0x80 | 126);
                message.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(frame.as_bytes());
        message.push(0);
        self.shards[peer.shard].handle_input(0, peer.id, &mut message);
    }

    pub fn subscribe(&mut self, peer: Peer, id: &str, destination: &str, more: &str) {
        let frame = format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\n{more}\n");
        self.say(peer, &frame);
    }

    pub fn send(&mut self, peer: Peer, destination: &str, body: &str) {
        self.say(peer, &format!("SEND\ndestination:{destination}\n\n{body}"));
    }

    /// Its socket takes so many bytes more, and no longer what comes behind.
    pub fn fill(&mut self, peer: Peer, room: usize) {
        self.room.insert(peer.key(), room);
    }

    /// Its socket takes bytes again, as many as it has room for.
    pub fn writable(&mut self, peer: Peer) {
        self.watched
            .retain(|(shard, id)| *shard != peer.shard || *id != peer.id);
        self.shards[peer.shard].handle_writable(peer.id);
    }

    /// Messages whose last byte it was sent since it was asked last.
    pub fn ends(&mut self, peer: Peer) -> usize {
        let sent = self.take(peer);
        sent.matches('\0').count()
    }

    /// What it was sent since it was asked last.
    pub fn take(&mut self, peer: Peer) -> String {
        let bytes = self.sent.remove(&peer.key()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bodies of the messages that it was sent since it was asked last, with a star behind those
    /// that were redelivered. A body has no other bytes than letters and digits.
    pub fn bodies(&mut self, peer: Peer) -> Vec<String> {
        let sent = self.take(peer);
        let messages = sent.split("MESSAGE\n").skip(1);
        messages
            .map(|message| {
                let (head, rest) = message.split_once("\n\n").expect("the end of a head");
                let (body, _) = rest.split_once('\0').expect("the end of a frame");
                let star = match head.contains("redelivered:true") {
                    true => "*",
                    false => "",
                };
                format!("{body}{star}")
            })
            .collect()
    }

    /// So many turns of all shards, with their mail.
    pub fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            for shard in 0..self.shards.len() {
                self.turn(shard);
            }
            self.carry_mail();
        }
    }

    pub fn turn(&mut self, index: usize) {
        let shard = &mut self.shards[index];
        let mut batch = Batch::default();
        shard.begin_turn(0, 0);
        let mut batches = 0;
        while batches < self.batches_max && shard.poll_batch(0, &mut batch) {
            batches += 1;
            let mut exceptions = Vec::new();
            for (send, (slot, bytes)) in batch.iter().enumerate() {
                let key = (index, slot);
                let taken = match self.room.get_mut(&key) {
                    Some(room) => {
                        let taken = bytes.len().min(*room);
                        *room -= taken;
                        taken
                    }
                    None => bytes.len(),
                };
                let sent = self.sent.entry(key).or_default();
                sent.extend_from_slice(&bytes[..taken]);
                if taken < bytes.len() {
                    exceptions.push(Exception {
                        send: send as u32,
                        result: if taken == 0 { -11 } else { taken as i32 },
                    });
                }
            }
            shard.handle_scattered(0, &batch, &exceptions);
        }
        shard.end_turn();
        while let Some(effect) = shard.poll_effect() {
            match effect {
                Effect::Watch(id) => self.watched.push((index, id)),
                Effect::Close(id) => {
                    shard.handle_closed(id);
                    self.sent.remove(&(index, id.slot));
                    self.room.remove(&(index, id.slot));
                }
                Effect::Read(_) | Effect::Finish(_) => {}
            }
        }
    }

    /// Carries all mail that waits to whom it is for.
    pub fn carry_mail(&mut self) {
        for from in 0..self.shards.len() {
            for to in 0..self.shards.len() {
                while let Some(request) = self.shards[from].poll_request(to) {
                    self.shards[to].handle_request(0, from, request);
                }
            }
        }
        for from in 0..self.shards.len() {
            for to in 0..self.shards.len() {
                while let Some(delivery) = self.shards[from].poll_delivery(to) {
                    self.shards[to].handle_delivery(0, delivery);
                }
            }
        }
    }

    /// The shard that owns a destination's channel or queue.
    pub fn owner(&self, name: &str) -> usize {
        let name = ChannelName::parse(name).expect("a short name");
        self.shards[0].owner_of(&name)
    }
}
