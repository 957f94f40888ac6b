//! Shards, the mailboxes between them and the sockets they serve, all made of plain values.
//!
//! [`World::turn`] does what the reactor does, with faults: the kernel takes a part of a send,
//! nothing of it, or reports a dead peer; readiness comes late and in any order; mailboxes are
//! small and taken from in small portions; a flush is cut short.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use pushring::config::Config;
use pushring::session::Settings;
use pushring::shard::mail::{Delivery, Request};
use pushring::shard::{Admission, Batch, ConnectionId, Effect, Exception, Identity, Shard};

use super::client::{Client, Pace, Role};
use super::rng::Rng;

const ECONNRESET: i32 = -104;
const EAGAIN: i32 = -11;

/// Probabilities in percent, drawn for each seed.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub short_send: usize,
    pub late_readiness: usize,
    pub cut_flush: usize,
    pub idle_shard: usize,
}

impl Faults {
    pub const NONE: Self = Self {
        short_send: 0,
        late_readiness: 0,
        cut_flush: 0,
        idle_shard: 0,
    };
}

/// What a driver might get wrong; the checks must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    None,
    LoseDelivery,
    DoubleDelivery,
    HideShortSend,
    ForgetClose,
}

struct Socket {
    id: ConnectionId,
    client: usize,
    /// Bytes the kernel has taken and the client has not.
    sent: VecDeque<u8>,
    send_buffer: usize,
    read_armed: bool,
    write_armed: bool,
    /// The server has closed its side, or all of it.
    finished: bool,
}

pub struct World {
    pub rng: Rng,
    pub now_ms: u64,
    pub shards: Vec<Shard>,
    pub clients: Vec<Client>,
    pub faults: Faults,
    pub sabotage: Sabotage,
    /// Answers to the control thread's publishes: call, offset.
    pub answers: Vec<(u64, u64)>,
    pub seed: u64,
    sockets: Vec<BTreeMap<u32, Socket>>,
    connecting: Vec<VecDeque<usize>>,
    /// `[from][to]`, the control thread last.
    requests: Vec<Vec<VecDeque<Request>>>,
    deliveries: Vec<Vec<VecDeque<Delivery>>>,
    mailbox_entries: usize,
}

impl World {
    pub fn new(seed: u64, shards: usize, config: Config, faults: Faults) -> Self {
        let settings = Arc::new(Settings::new(&config).expect("the default origins"));
        let config = Arc::new(config);
        let peers = shards + 1;
        Self {
            rng: Rng::new(seed),
            now_ms: 0,
            shards: (0..shards)
                .map(|shard| {
                    let identity = Identity {
                        shard,
                        shards,
                        hash_seed: seed,
                        first_epoch: 1,
                    };
                    Shard::new(identity, config.clone(), settings.clone())
                })
                .collect(),
            clients: Vec::new(),
            faults,
            sabotage: Sabotage::None,
            answers: Vec::new(),
            seed,
            sockets: (0..shards).map(|_| BTreeMap::new()).collect(),
            connecting: (0..shards).map(|_| VecDeque::new()).collect(),
            requests: vec![vec![VecDeque::new(); peers]; peers],
            deliveries: vec![vec![VecDeque::new(); peers]; peers],
            mailbox_entries: config.mailbox.entries,
        }
    }

    /// A client begins to connect to any shard.
    pub fn connect(&mut self, client: Client) -> usize {
        self.clients.push(client);
        let shard = self.rng.below(self.shards.len());
        self.connecting[shard].push_back(self.clients.len() - 1);
        self.clients.len() - 1
    }

    /// The control thread sends a request; `false` where its mailbox is full.
    pub fn request(&mut self, to: usize, request: Request) -> bool {
        let control = self.shards.len();
        let queue = &mut self.requests[control][to];
        if queue.len() >= self.mailbox_entries {
            return false;
        }
        queue.push_back(request);
        true
    }

    /// Sockets that are open by the world's account.
    pub fn open_sockets(&self) -> usize {
        self.sockets.iter().map(BTreeMap::len).sum::<usize>()
            + self.connecting.iter().map(VecDeque::len).sum::<usize>()
    }

    /// What will still happen without the clock or a client; `None` when nothing will.
    pub fn unrest(&self) -> Option<String> {
        let mail = self
            .requests
            .iter()
            .flatten()
            .map(VecDeque::len)
            .sum::<usize>()
            + self
                .deliveries
                .iter()
                .flatten()
                .map(VecDeque::len)
                .sum::<usize>();
        if mail > 0 {
            return Some(format!("{mail} letters in mailboxes"));
        }
        if let Some(shard) = self.shards.iter().position(|s| s.residue().mail > 0) {
            return Some(format!("shard {shard} has mail to post"));
        }
        if let Some(shard) = self.shards.iter().position(Shard::has_work) {
            return Some(format!("shard {shard} has work"));
        }
        if self.connecting.iter().any(|queue| !queue.is_empty()) {
            return Some("clients connecting".into());
        }
        self.sockets
            .iter()
            .flat_map(BTreeMap::values)
            .find_map(|socket| self.unrest_of(socket))
    }

    fn unrest_of(&self, socket: &Socket) -> Option<String> {
        let client = &self.clients[socket.client];
        let readable = !client.to_server.is_empty() || client.finished || client.reset;
        let takes = client.pace != Pace::Stopped;
        let what = if socket.read_armed && readable {
            "can be read"
        } else if takes && !socket.sent.is_empty() {
            "has bytes for its client"
        } else if takes && socket.write_armed {
            "can be written"
        } else if takes && socket.finished {
            "is finished"
        } else {
            return None;
        };
        Some(format!(
            "the socket of client {} ({:?}, {:?}) {what}",
            socket.client, client.role, client.pace
        ))
    }

    /// Every shard has a turn, in any order, and every client reads.
    pub fn round(&mut self) -> Result<(), String> {
        let first = self.rng.below(self.shards.len());
        for step in 0..self.shards.len() {
            let shard = (first + step) % self.shards.len();
            if !self.rng.percent(self.faults.idle_shard) {
                self.turn(shard)?;
            }
        }
        self.take_answers();
        self.clients_read()
    }

    fn turn(&mut self, shard: usize) -> Result<(), String> {
        self.shards[shard].begin_turn();
        self.accept(shard);
        self.attend(shard);
        self.take_mail(shard);
        if self.shards[shard]
            .next_timeout_ms()
            .is_some_and(|due| due <= self.now_ms)
        {
            self.shards[shard].handle_timeout(self.now_ms);
        }
        self.flush(shard)?;
        self.shards[shard].end_turn();
        self.apply_effects(shard)?;
        self.post_mail(shard);
        Ok(())
    }

    fn accept(&mut self, shard: usize) {
        while let Some(&client) = self.connecting[shard].front() {
            match self.shards[shard].may_accept(self.now_ms) {
                Admission::Now => {}
                Admission::After(_) => return,
                Admission::Never => {
                    for client in self.connecting[shard].drain(..) {
                        self.clients[client].reset = true;
                    }
                    return;
                }
            }
            self.connecting[shard].pop_front();
            let id = self.shards[shard].handle_accept(self.now_ms, IpAddr::V4(Ipv4Addr::LOCALHOST));
            let send_buffer = match self.clients[client].role {
                Role::Witness => usize::MAX,
                _ => 1 + self.rng.below(3_000),
            };
            let socket = Socket {
                id,
                client,
                sent: VecDeque::new(),
                send_buffer,
                read_armed: true,
                write_armed: false,
                finished: false,
            };
            let old = self.sockets[shard].insert(id.slot, socket);
            assert!(
                old.is_none(),
                "a slot is used again while its socket is open"
            );
        }
    }

    fn attend(&mut self, shard: usize) {
        let mut slots: Vec<u32> = self.sockets[shard].keys().copied().collect();
        for i in (1..slots.len()).rev() {
            slots.swap(i, self.rng.below(i + 1));
        }
        for slot in slots {
            let socket = self.sockets[shard].get_mut(&slot).expect("just listed");
            let client = &mut self.clients[socket.client];
            let witness = client.role == Role::Witness;
            if !witness && self.rng.percent(self.faults.late_readiness) {
                continue;
            }
            let id = socket.id;
            if socket.write_armed && (socket.sent.len() < socket.send_buffer || client.reset) {
                socket.write_armed = false;
                self.shards[shard].handle_writable(id);
            }
            let readable = !client.to_server.is_empty() || client.finished || client.reset;
            if !socket.read_armed || !readable {
                continue;
            }
            socket.read_armed = false;
            if !self.shards[shard].may_read(id) {
                continue;
            }
            if client.reset || client.to_server.is_empty() {
                self.shards[shard].handle_end(self.now_ms, id);
                continue;
            }
            let most = client.to_server.len().min(1 + self.rng.below(700));
            let mut input: Vec<u8> = client.to_server.drain(..most).collect();
            self.shards[shard].handle_input(self.now_ms, id, &mut input);
            socket.read_armed = true;
        }
    }

    fn take_mail(&mut self, shard: usize) {
        for from in 0..=self.shards.len() {
            for _ in 0..self.rng.below(20) {
                if !self.shards[shard].takes_deliveries() {
                    break;
                }
                let Some(delivery) = self.deliveries[from][shard].pop_front() else {
                    break;
                };
                self.shards[shard].handle_delivery(self.now_ms, delivery);
            }
            for _ in 0..self.rng.below(20) {
                if !self.shards[shard].takes_requests_of(from) {
                    break;
                }
                let Some(request) = self.requests[from][shard].pop_front() else {
                    break;
                };
                self.shards[shard].handle_request(self.now_ms, from, request);
            }
        }
    }

    fn flush(&mut self, shard: usize) -> Result<(), String> {
        let mut batch = Batch::default();
        while self.shards[shard].poll_batch(self.now_ms, &mut batch) {
            let mut seen = HashSet::new();
            let mut exceptions = Vec::new();
            for (index, (slot, bytes)) in batch.iter().enumerate() {
                if !seen.insert(slot) {
                    return Err(format!("slot {slot} is twice in one batch"));
                }
                let socket = self.sockets[shard]
                    .get_mut(&slot)
                    .ok_or("a send to a socket that is closed")?;
                if let Some(result) = send(socket, &self.clients, bytes, &mut self.rng, self.faults)
                {
                    if self.sabotage == Sabotage::HideShortSend && result > 0 {
                        continue;
                    }
                    exceptions.push(Exception {
                        send: index as u32,
                        result,
                    });
                }
            }
            self.shards[shard].handle_scattered(self.now_ms, &batch, &exceptions);
            if self.rng.percent(self.faults.cut_flush) {
                break;
            }
        }
        Ok(())
    }

    fn apply_effects(&mut self, shard: usize) -> Result<(), String> {
        while let Some(effect) = self.shards[shard].poll_effect() {
            let (Effect::Watch(id) | Effect::Read(id) | Effect::Finish(id) | Effect::Close(id)) =
                effect;
            let Some(socket) = self.sockets[shard].get_mut(&id.slot).filter(|s| s.id == id) else {
                return Err(format!("{effect:?} for a socket that is closed"));
            };
            match effect {
                Effect::Watch(_) => socket.write_armed = true,
                Effect::Read(_) => socket.read_armed = true,
                Effect::Finish(_) => socket.finished = true,
                Effect::Close(_) if self.sabotage == Sabotage::ForgetClose => {}
                Effect::Close(_) => {
                    let socket = self.sockets[shard].remove(&id.slot).expect("just found");
                    let client = &mut self.clients[socket.client];
                    // What the kernel has taken still reaches a client that reads.
                    if client.pace != Pace::Stopped && !client.reset {
                        let rest: Vec<u8> = socket.sent.into_iter().collect();
                        client.receive(&rest)?;
                    }
                    client.ended = true;
                    self.shards[shard].handle_closed(id);
                }
            }
        }
        Ok(())
    }

    fn post_mail(&mut self, shard: usize) {
        for peer in (0..=self.shards.len()).filter(|&peer| peer != shard) {
            while self.requests[shard][peer].len() < self.mailbox_entries
                && let Some(request) = self.shards[shard].poll_request(peer)
            {
                self.requests[shard][peer].push_back(request);
            }
            while self.deliveries[shard][peer].len() < self.mailbox_entries
                && let Some(delivery) = self.shards[shard].poll_delivery(peer)
            {
                let publication = matches!(delivery, Delivery::Publication { .. });
                if publication && self.rng.percent(5) {
                    match self.sabotage {
                        Sabotage::LoseDelivery => continue,
                        Sabotage::DoubleDelivery => {
                            self.deliveries[shard][peer].push_back(delivery.clone());
                        }
                        _ => {}
                    }
                }
                self.deliveries[shard][peer].push_back(delivery);
            }
        }
    }

    fn take_answers(&mut self) {
        let control = self.shards.len();
        for shard in 0..self.shards.len() {
            for delivery in self.deliveries[shard][control].drain(..) {
                match delivery {
                    Delivery::Published { ticket, result } => {
                        let offset = result.map_or(0, |position| position.offset);
                        self.answers.push((ticket.asker, offset));
                    }
                    Delivery::Drained => {}
                    other => panic!("{other:?} is nothing for the control thread"),
                }
            }
        }
    }

    fn clients_read(&mut self) -> Result<(), String> {
        for socket in self.sockets.iter_mut().flat_map(BTreeMap::values_mut) {
            let client = &mut self.clients[socket.client];
            let most = match client.pace {
                _ if client.reset => 0,
                Pace::Fast => usize::MAX,
                Pace::Slow(bytes) => bytes,
                Pace::Stopped => 0,
            };
            let most = most.min(socket.sent.len());
            let bytes: Vec<u8> = socket.sent.drain(..most).collect();
            client
                .receive(&bytes)
                .map_err(|e| format!("client {} ({:?}): {e}", socket.client, client.role))?;
            // A client that has read the end of the stream closes as well.
            if socket.finished && socket.sent.is_empty() && client.pace != Pace::Stopped {
                client.to_server.clear();
                client.finished = true;
            }
        }
        Ok(())
    }
}

/// What the kernel makes of a send: `None` when all of it went through.
fn send(
    socket: &mut Socket,
    clients: &[Client],
    bytes: &[u8],
    rng: &mut Rng,
    faults: Faults,
) -> Option<i32> {
    if clients[socket.client].reset {
        return Some(ECONNRESET);
    }
    let witness = clients[socket.client].role == Role::Witness;
    let mut room = socket.send_buffer.saturating_sub(socket.sent.len());
    if !witness && rng.percent(faults.short_send) {
        room = room.min(rng.below(bytes.len() + 1));
    }
    let taken = room.min(bytes.len());
    socket.sent.extend(&bytes[..taken]);
    match taken {
        _ if taken == bytes.len() => None,
        0 => Some(EAGAIN),
        taken => Some(taken as i32),
    }
}
