//! A world: shards, mailboxes, clients, a clock and a control thread, all drawn from one seed.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use pushring::channel::{ChannelName, Refused};
use pushring::publication::{Draft, Kind, Position};
use pushring::rules::Rules;
use pushring::session::Settings;
use pushring::shard::mail::{Delivery, Request, Ticket};
use pushring::shard::{Identity, Residue, Shard};

use super::cast;
use super::client::{self, Client, Quit, Role};
use super::driver::{Context, Driver};
use super::keeping::{self, Streams};
use super::mail::Mail;
use super::plan::Plan;
use super::reloads::Reloads;
use super::rng::Rng;
use super::stomper::Stomper;
use super::subscription::{Mode, To};
use super::upgrade::Upgrades;

/// Steps after which a world that still finds no rest is called restless.
pub(super) const RESTLESS: usize = 6_000;

/// What the control thread has published: channel, payload, and the answers it got.
pub struct Call {
    pub channel: usize,
    pub payload: Vec<u8>,
    pub answers: Vec<Result<Position, Refused>>,
}

pub struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now_ms: u64,
    pub step: usize,
    pub drivers: Vec<Driver>,
    pub mail: Mail,
    pub clients: Vec<Client>,
    pub streams: Streams,
    pub owners: Vec<usize>,
    pub calls: Vec<Call>,
    /// The clock has jumped, so that anybody may be taken for silent or late.
    pub jumped: bool,
    pub sabotaged: u64,
    /// Messages of queues for consumers that were behind.
    pub handed_behind: u64,
    /// Counts what happens to all clients.
    pub clock: Rc<Cell<u64>>,
    /// By channel: offset of the last publication that was answered before a drain began.
    pub answered: Vec<u64>,
    pub(super) calm: bool,
    draining: bool,
    pub(super) control_outgoing: VecDeque<(usize, Request)>,
    pub reloads: Reloads,
    /// What was wrong with a shard's word about a reload.
    pub reload_fault: Option<String>,
    pub upgrades: Upgrades,
}

impl World {
    pub fn new(plan: Plan, mut rng: Rng) -> Result<Self, String> {
        let sessions = Arc::new(Settings::new(&plan.config).map_err(|e| e.to_string())?);
        let rules = Arc::new(Rules::new(&plan.config).map_err(|e| e.to_string())?);
        let hash_seed = rng.next();
        let hasher = foldhash::quality::FixedState::with_seed(hash_seed);
        let drivers = (0..plan.shards)
            .map(|shard| {
                let identity = Identity {
                    shard,
                    shards: plan.shards,
                    hash_seed,
                    // 0 is no stream.
                    first_epoch: 1 + ((shard as u64) << 32),
                };
                let shard_of = Shard::new(
                    identity.clone(),
                    plan.config.clone(),
                    sessions.clone(),
                    rules.clone(),
                );
                Driver::new(shard_of, identity)
            })
            .collect();
        let owners = (0..plan.channels)
            .map(|i| name(i).map(|name| name.owner(&hasher, plan.shards)))
            .collect::<Result<_, _>>()?;
        let clock = Rc::new(Cell::new(0));
        let clients = cast::draw(&plan, &clock, &mut rng);
        Ok(Self {
            now_ms: rng.within(1..=1_000_000) as u64,
            step: 0,
            drivers,
            mail: Mail::new(plan.shards, plan.sabotage),
            clients,
            streams: Streams::new(plan.channels),
            owners,
            calls: Vec::new(),
            jumped: false,
            sabotaged: 0,
            handed_behind: 0,
            clock,
            answered: vec![0; plan.channels],
            calm: true,
            draining: false,
            control_outgoing: VecDeque::new(),
            reloads: Reloads::new(&plan.config, sessions, plan.shards),
            reload_fault: None,
            upgrades: Upgrades::default(),
            plan,
            rng,
        })
    }

    /// One subscriber of each channel comes before everything else.
    pub fn seat_references(&mut self) -> Result<(), String> {
        self.settle("while the first subscribers came")
    }

    /// Clients come, publish, are slow and go; everything that can go wrong does.
    pub fn run_traffic(&mut self) -> Result<(), String> {
        self.calm = false;
        let drain_at = self.plan.steps * 3 / 4;
        for step in 1..=self.plan.steps {
            self.step = step;
            if let Some(drain_ms) = self.plan.drain_ms
                && step == drain_at
            {
                self.drain(drain_ms);
            }
            self.now_ms += self.rng.below(4) as u64;
            if !self.draining && self.rng.chance(self.plan.clock_jump) {
                self.now_ms += self.rng.within(100..=40_000) as u64;
                self.jumped = true;
            }
            if !self.draining && self.rng.chance(self.plan.control_publishes) {
                self.publish_by_control();
            }
            if !self.draining && self.rng.chance(self.plan.reloads) {
                self.reload()?;
            }
            if !self.draining && self.rng.chance(self.plan.upgrades) {
                self.upgrade()?;
            }
            self.advance();
        }
        Ok(())
    }

    /// Nothing goes wrong any more: everybody reads, until nothing is left to be done.
    pub fn quiesce(&mut self) -> Result<(), String> {
        self.calm = true;
        self.step = self.plan.steps + 1;
        self.settle("after the traffic")?;
        // What is held back leaves in its time.
        for _ in 0..20 {
            if !self.streams.logs.iter().any(|log| log.is_holding) {
                return Ok(());
            }
            self.now_ms += 20;
            self.settle("while publications were held back")?;
        }
        Err("a publication is held back for ever".to_owned())
    }

    /// A drain goes on until its time is over.
    pub fn finish_drain(&mut self) -> Result<(), String> {
        let end_ms = self.now_ms + self.plan.drain_ms.unwrap_or(0) + 500;
        while self.now_ms < end_ms {
            self.now_ms += 4;
            self.advance();
        }
        self.settle("after the drain")
    }

    /// Everybody goes, each in another way: first those who take messages without a word, one after the other, or they
    /// would be sent what others give back, and throw it away.
    pub fn leave_all(&mut self) -> Result<(), String> {
        let takes = |client: &Client| {
            let mut all = client.stomper.iter().flat_map(|s| &s.subscriptions);
            all.any(|s| matches!((s.to, s.mode), (To::Queue(_), Mode::Auto)))
        };
        let all = 0..self.clients.len();
        let (first, others): (Vec<_>, Vec<_>) = all.partition(|&index| takes(&self.clients[index]));
        for index in first {
            if self.leave(index) {
                self.settle("after one had left")?;
            }
        }
        for index in others {
            self.leave(index);
        }
        self.settle("after all had left")
    }

    /// A client goes, if it is there.
    fn leave(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        if client.place != client::Place::Connected || client.has_quit.is_some() {
            return false;
        }
        // In the middle of a frame nobody can say goodbye.
        let quits: &[Quit] = match client.role {
            Role::Rogue(_) => &[Quit::End, Quit::Reset],
            Role::Stomp => &[Quit::Disconnect, Quit::Close, Quit::End, Quit::Reset],
            _ => &[Quit::Close, Quit::Close, Quit::End, Quit::Reset],
        };
        let quit = self.rng.pick(quits);
        client.quit(quit, &mut self.rng);
        true
    }

    /// One consumer a queue takes everything that is left in it, and goes.
    pub fn collect(&mut self) -> Result<(), String> {
        let first = self.clients.len();
        for queue in 0..self.plan.queues {
            let (index, shard) = (self.clients.len(), self.rng.below(self.plan.shards));
            let mut client = Client::new(index, Role::Stomp, 0, shard, 1 << 24);
            client.stomper = Some(Box::new(Stomper::collector(index, queue, &self.clock)));
            self.clients.push(client);
        }
        self.settle("while the queues were emptied")?;
        for client in &mut self.clients[first..] {
            client.quit(Quit::Disconnect, &mut self.rng);
        }
        self.settle("after the queues were emptied")
    }

    /// Lets time pass until the shards have forgotten everybody.
    pub fn forget_all(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            let due = self
                .drivers
                .iter()
                .filter_map(|d| d.next_timeout_ms())
                .min();
            let clean = self.drivers.iter().all(|d| {
                d.shard.residue() == Residue::default()
                    && d.sockets() == 0
                    && d.shard.counters().channels == 0
            });
            if clean && self.mail.is_empty() {
                return Ok(());
            }
            let Some(due) = due else { break };
            // Many histories have a publication for every step.
            self.now_ms = self.now_ms.max(due) + 20;
            self.settle("while time passed")?;
        }
        let left: Vec<_> = self
            .drivers
            .iter()
            .map(|d| (d.shard.residue(), d.sockets(), d.shard.counters().channels))
            .collect();
        Err(format!("something is left when nobody is: {left:?}"))
    }

    fn drain(&mut self, drain_ms: u64) {
        self.draining = true;
        for call in &self.calls {
            // What is held back may be replaced.
            let is_sure = self.plan.keepings.of(call.channel).publishes_all();
            if let [Ok(position)] = call.answers[..]
                && is_sure
            {
                let last = &mut self.answered[call.channel];
                *last = position.offset.max(*last);
            }
        }
        for shard in 0..self.plan.shards {
            self.control_outgoing
                .push_back((shard, Request::Drain { drain_ms }));
        }
    }

    fn reload(&mut self) -> Result<(), String> {
        let request = self.reloads.draw(&mut self.rng)?;
        let all = (0..self.plan.shards).map(|shard| (shard, request.clone()));
        self.control_outgoing.extend(all);
        Ok(())
    }

    fn publish_by_control(&mut self) {
        let channel = self.rng.below(self.plan.channels);
        let publisher = CONTROL + channel;
        let number = self.calls.iter().filter(|c| c.channel == channel).count() as u32;
        let payload = client::payload(publisher, number, &mut self.rng);
        let kind = if payload[0] == b't' {
            Kind::Text
        } else {
            Kind::Binary
        };
        let Ok(name) = name(channel) else { return };
        let request = Request::Publish {
            channel: name,
            draft: Draft::new(kind, Bytes::from(payload.clone())),
            ticket: Some(Ticket {
                asker: self.calls.len() as u64,
                subscription: 0,
            }),
        };
        self.control_outgoing
            .push_back((self.owners[channel], request));
        self.calls.push(Call {
            channel,
            payload,
            answers: Vec::new(),
        });
    }

    /// Until nothing has happened for some steps.
    fn settle(&mut self, when: &str) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..RESTLESS {
            self.now_ms += 1;
            quiet = if self.advance() { 0 } else { quiet + 1 };
            let waiting = self.drivers.iter().any(|d| !d.arrivals.is_empty());
            if quiet >= 3 && !waiting {
                return self.find_stuck(when);
            }
        }
        Err(format!("the world finds no rest {when}"))
    }

    /// Nothing happens any more; so nothing may be left that should.
    fn find_stuck(&self, when: &str) -> Result<(), String> {
        if !self.mail.is_empty() || !self.control_outgoing.is_empty() {
            return Err(format!("mail lies about and nobody takes it {when}"));
        }
        for driver in &self.drivers {
            if driver.shard.residue().mail != 0 {
                return Err(format!("mail waits for a mailbox with room {when}"));
            }
            if driver.shard.residue().pending_bytes != 0 {
                return Err(format!("a lane is not flushed {when}"));
            }
            for index in driver.clients() {
                let client = &self.clients[index];
                let reads = client.has_quit != Some(Quit::Vanish);
                if reads && !client.socket.inbound.is_empty() {
                    return Err(format!("bytes of client {index} are not received {when}"));
                }
                if reads && client.is_writing() {
                    return Err(format!("client {index} cannot write {when}"));
                }
            }
        }
        Ok(())
    }

    /// One step of everything; whether anything happened.
    pub(super) fn advance(&mut self) -> bool {
        let mut happened = self.step_clients();
        happened |= self.step_control();
        let mut order: Vec<usize> = (0..self.drivers.len()).collect();
        self.rng.shuffle(&mut order);
        for index in order {
            let mut ctx = Context {
                now_ms: self.now_ms,
                rng: &mut self.rng,
                plan: &self.plan,
                mail: &mut self.mail,
                clients: &mut self.clients,
                streams: &mut self.streams,
                owners: &self.owners,
                calm: self.calm,
                sabotaged: &mut self.sabotaged,
                handed_behind: &mut self.handed_behind,
            };
            self.drivers[index].poll_sockets(&mut ctx);
            if self.calm || !ctx.rng.chance(ctx.plan.late_turn) {
                happened |= self.drivers[index].turn(&mut ctx);
            } else {
                happened = true;
            }
        }
        happened
    }

    fn step_clients(&mut self) -> bool {
        let mut happened = false;
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            if client.place == client::Place::Away && client.connects_at <= self.step {
                self.look_up_place(index);
                let client = &mut self.clients[index];
                client.connect(&mut self.rng);
                let shard = client.shard;
                self.drivers[shard].arrivals.push_back(index);
                happened = true;
            }
            happened |= self.clients[index].step(self.step, self.now_ms, self.calm, &mut self.rng);
        }
        happened
    }

    /// Where a client begins that goes on for another, and between where one to a pattern may.
    fn look_up_place(&mut self, index: usize) {
        let positions = self.streams.positions();
        if let Some(before) = self.clients[index].follows {
            let before = &self.clients[before];
            let start = keeping::start(&self.plan.keepings, &self.streams, before, 0);
            let place = start.map(|start| start + before.received.len() as u64);
            let epoch = self.streams.epochs[before.channel];
            let since = place.map(|place| keeping::ask(place, epoch, &mut self.rng));
            self.clients[index].since = since;
        }
        if let Some(pattern) = &mut self.clients[index].pattern {
            pattern.after = positions;
        }
    }

    /// The control thread posts and takes its mail, when it is not busy with something else.
    fn step_control(&mut self) -> bool {
        let is_busy = !self.calm && !self.upgrades.is_under_way;
        if is_busy && self.rng.chance(self.plan.control_rests) {
            return true;
        }
        let control = self.plan.shards;
        let entries = self.plan.config.mailbox.entries;
        let mut happened = false;
        for peer in 0..control {
            while let Some(delivery) = self.mail.take_delivery(peer, control) {
                happened = true;
                match delivery {
                    Delivery::Published { ticket, result } => {
                        if let Some(call) = self.calls.get_mut(ticket.asker as usize) {
                            if let Ok(position) = &result {
                                self.streams.epochs[call.channel] = Some(position.epoch);
                            }
                            call.answers.push(result);
                        }
                    }
                    Delivery::Reloaded { version } => {
                        let fault = self.reloads.note(peer, version).err();
                        self.reload_fault = self.reload_fault.take().or(fault);
                    }
                    Delivery::Probed(probed) => self.upgrades.note(peer, probed),
                    _ => {}
                }
            }
            self.mail.ring_if_starved(control, peer);
        }
        let mut blocked = vec![false; control];
        for (peer, request) in std::mem::take(&mut self.control_outgoing) {
            if blocked[peer] || !self.mail.has_room_for_request(control, peer, entries) {
                blocked[peer] = true;
                self.control_outgoing.push_back((peer, request));
                continue;
            }
            self.mail.send_request(control, peer, request);
            self.mail.ring(peer);
            happened = true;
        }
        happened
    }
}

/// The control thread's publications to a channel bear this and the channel as publisher.
pub const CONTROL: usize = 1_000;

fn name(channel: usize) -> Result<ChannelName, String> {
    ChannelName::parse(&client::channel_name(channel)).map_err(|e| e.to_string())
}
