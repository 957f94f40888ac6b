//! The shards' code in a seeded world: several shards, their mailboxes, and sockets with every
//! fault that a kernel and a client can bring about.
//!
//! `PUSHRING_SIM_SEEDS` sets how many seeds are tried, `PUSHRING_SIM_SEED` repeats one.

#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/rng.rs"]
mod rng;
#[path = "simulation/world.rs"]
mod world;

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::quality::FixedState;
use pushring::channel::ChannelName;
use pushring::config::Config;
use pushring::publication::Kind;
use pushring::shard::Residue;
use pushring::shard::mail::{Request, Ticket};

use client::{Client, Pace, Role};
use rng::Rng;
use world::{Faults, Sabotage, World};

const SEEDS: u64 = 1_000;

/// Rounds after which a world without faults must have come to rest.
const QUIET_ROUNDS: usize = 20_000;

#[test]
fn every_subscriber_that_stays_gets_everything_once_and_in_order_and_nothing_leaks() {
    if let Some(seed) = number("PUSHRING_SIM_SEED") {
        run(seed, Sabotage::None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        return;
    }
    for seed in 0..number("PUSHRING_SIM_SEEDS").unwrap_or(SEEDS) {
        if let Err(error) = run(seed, Sabotage::None) {
            panic!(
                "seed {seed}: {error}\nrepeat it with: PUSHRING_SIM_SEED={seed} cargo test --test simulation"
            );
        }
    }
}

#[test]
fn the_checks_notice_what_a_driver_does_wrong() {
    for sabotage in [
        Sabotage::LoseDelivery,
        Sabotage::DoubleDelivery,
        Sabotage::HideShortSend,
        Sabotage::ForgetClose,
    ] {
        let noticed = (0..40).filter(|&seed| run(seed, sabotage).is_err()).count();
        assert!(noticed > 0, "{sabotage:?} goes unnoticed");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number")),
    )
}

/// What has been published, beside the clients' own records.
struct Story {
    world: World,
    channels: usize,
    /// The control thread's publishes: channel and text by call.
    calls: Vec<(usize, String)>,
    /// Length of each channel's stream when a client was known to be subscribed.
    settled: HashMap<usize, usize>,
}

fn run(seed: u64, sabotage: Sabotage) -> Result<(), String> {
    let mut story = Story::begin(seed, sabotage);
    story.connect_witnesses()?;
    let steps = 30 + story.world.rng.below(120);
    for _ in 0..steps {
        story.step()?;
    }
    story.come_to_rest()?;
    story.check_order()?;
    story.end()
}

impl Story {
    fn begin(seed: u64, sabotage: Sabotage) -> Self {
        let mut rng = Rng::new(!seed);
        let mut config = Config::default();
        config.limits.message_bytes_max = 200;
        config.slow_consumer.backlog_bytes_max = 1_024 + rng.below(4_000);
        config.slow_consumer.backlog_age_ms_max = 20_000;
        // A client whose socket takes a byte a round is to hear the last word all the same.
        config.timeouts.linger_ms = 20_000;
        config.fanout.lane_bytes_max = 4_096;
        config.fanout.scatter_entries = [16, 17, 64][rng.below(3)];
        config.fanout.sends_per_turn_max = 16 + rng.below(40);
        config.mailbox.entries = 16;
        let faults = Faults {
            short_send: [0, 5, 30][rng.below(3)],
            late_readiness: [0, 20, 60][rng.below(3)],
            cut_flush: [0, 30][rng.below(2)],
            idle_shard: [0, 30, 60][rng.below(3)],
        };
        let shards = 1 + rng.below(7);
        let mut world = World::new(seed, shards, config, faults);
        world.sabotage = sabotage;
        Self {
            world,
            channels: 1 + rng.below(4),
            calls: Vec::new(),
            settled: HashMap::new(),
        }
    }

    /// One client a channel sees all of it, so that its record is the channel's stream.
    fn connect_witnesses(&mut self) -> Result<(), String> {
        for channel in 0..self.channels {
            self.world
                .connect(Client::new(Role::Witness, channel, Pace::Fast));
        }
        self.rest("the witnesses")
    }

    /// Something happens, then every shard has a turn.
    fn step(&mut self) -> Result<(), String> {
        let world = &mut self.world;
        let channel = world.rng.below(self.channels);
        match world.rng.below(20) {
            0..=3 => {
                let pace = match world.rng.below(10) {
                    0 => Pace::Stopped,
                    1 | 2 => Pace::Slow(1 + world.rng.below(300)),
                    _ => Pace::Fast,
                };
                world.connect(Client::new(Role::Subscriber, channel, pace));
            }
            4 => {
                world.connect(Client::new(Role::Publisher, channel, Pace::Fast));
            }
            5 => self.connect_misbehaver(channel),
            6 | 7 => self.call(channel),
            8 => self.lose_somebody(),
            // Short enough for clients to answer their pings in between.
            9 => world.now_ms += world.rng.below(5_000) as u64,
            10 if self.world.rng.percent(20) => self.settle()?,
            _ => self.publish(),
        }
        self.world.now_ms += self.world.rng.below(30) as u64;
        for _ in 0..1 + self.world.rng.below(4) {
            self.world.round()?;
        }
        Ok(())
    }

    fn connect_misbehaver(&mut self, channel: usize) {
        let mut client = Client::new(Role::Misbehaver, channel, Pace::Fast);
        match self.world.rng.below(5) {
            0 => client.to_server = b"\x16\x03\x01".to_vec().into(),
            1 => client.to_server.truncate(20),
            2 => client.to_server.extend([0x81, 0x05]),
            3 => client.send_frame(0x83, b"reserved"),
            _ => client
                .to_server
                .extend([0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4]),
        }
        self.world.connect(client);
    }

    /// The control thread publishes, and will be answered.
    fn call(&mut self, channel: usize) {
        let call = self.calls.len();
        let text = format!("control:{call}:");
        let name = name(channel);
        let owner = name.owner(&FixedState::with_seed(self.seed()), self.world.shards.len());
        let request = Request::Publish {
            channel: name,
            kind: Kind::Text,
            payload: Bytes::from(text.clone()),
            ticket: Some(Ticket {
                asker: call as u64,
                subscription: 0,
            }),
        };
        if self.world.request(owner, request) {
            self.calls.push((channel, text));
        }
    }

    /// Publishers write some messages.
    fn publish(&mut self) {
        let world = &mut self.world;
        for index in 0..world.clients.len() {
            let client = &mut world.clients[index];
            if client.role != Role::Publisher || !client.is_open() || world.rng.percent(50) {
                continue;
            }
            for _ in 0..world.rng.below(30) {
                let padding = "x".repeat(world.rng.below(60));
                let text = format!("{index}:{}:{padding}", client.written);
                client.send_frame(0x81, text.as_bytes());
                client.written += 1;
            }
        }
    }

    fn lose_somebody(&mut self) {
        let world = &mut self.world;
        let index = world.rng.below(world.clients.len());
        let kind = world.rng.below(3);
        let client = &mut world.clients[index];
        if client.role == Role::Witness || !client.is_open() {
            return;
        }
        match kind {
            0 => client.reset = true,
            1 => client.finished = true,
            _ => client.send_frame(0x88, &1000u16.to_be_bytes()),
        }
    }

    /// Lets the world rest; who is subscribed then must get whatever comes later.
    fn settle(&mut self) -> Result<(), String> {
        self.rest("settling")?;
        for (index, client) in self.world.clients.iter().enumerate() {
            if client.role == Role::Subscriber && client.is_open() && client.status == Some(101) {
                let stream = self.stream(client.channel).len();
                self.settled.entry(index).or_insert(stream);
            }
        }
        Ok(())
    }

    fn come_to_rest(&mut self) -> Result<(), String> {
        self.settle()?;
        self.world.faults = Faults::NONE;
        for client in &mut self.world.clients {
            if let Pace::Slow(_) = client.pace {
                client.pace = Pace::Fast;
            }
        }
        self.rest("the end")
    }

    fn rest(&mut self, when: &str) -> Result<(), String> {
        for _ in 0..QUIET_ROUNDS {
            self.world.round()?;
            if self.world.unrest().is_none() {
                return Ok(());
            }
        }
        let unrest = self.world.unrest();
        Err(format!("no rest, {when}: {unrest:?}"))
    }

    fn check_order(&self) -> Result<(), String> {
        for channel in 0..self.channels {
            self.check_stream(channel)?;
        }
        for (index, client) in self.world.clients.iter().enumerate() {
            let who = format!("client {index} ({:?}, {:?})", client.role, client.pace);
            match client.role {
                Role::Witness if !client.is_open() => return Err(format!("{who} was closed")),
                Role::Subscriber => self
                    .check_subscriber(index, client)
                    .map_err(|error| format!("{who}: {error}"))?,
                Role::Misbehaver if client.close_code == Some(1000) => {
                    return Err(format!("{who} was closed as if all were well"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A channel's stream has every message once, those of one publisher in its order.
    fn check_stream(&self, channel: usize) -> Result<(), String> {
        let mut next: HashMap<&str, usize> = HashMap::new();
        for text in self.stream(channel) {
            let mut parts = text.split(':');
            let (publisher, number) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let number: usize = number
                .parse()
                .map_err(|_| format!("{text:?} was never sent"))?;
            if publisher == "control" {
                if self.calls.get(number).map(|c| c.0) != Some(channel) {
                    return Err(format!("{text:?} is of another channel"));
                }
                continue;
            }
            let expected = next.entry(publisher).or_default();
            if number != *expected {
                return Err(format!(
                    "publisher {publisher}: {number} in place of {expected}"
                ));
            }
            *expected += 1;
        }
        for (index, client) in self.world.clients.iter().enumerate() {
            if client.role == Role::Publisher && client.channel == channel && client.is_open() {
                let arrived = next.get(&*index.to_string()).copied().unwrap_or(0);
                if arrived != client.written {
                    return Err(format!(
                        "publisher {index}: {arrived} of {}",
                        client.written
                    ));
                }
            }
        }
        self.check_answers(channel)
    }

    /// Each call of the control thread is answered once, with its message's place.
    fn check_answers(&self, channel: usize) -> Result<(), String> {
        let stream = self.stream(channel);
        for (call, (_, text)) in self
            .calls
            .iter()
            .enumerate()
            .filter(|(_, c)| c.0 == channel)
        {
            let offsets: Vec<u64> = self
                .world
                .answers
                .iter()
                .filter(|(answered, _)| *answered == call as u64)
                .map(|(_, offset)| *offset)
                .collect();
            let places: Vec<u64> = (1..)
                .zip(stream)
                .filter(|(_, other)| *other == text)
                .map(|(place, _)| place)
                .collect();
            if offsets != places || offsets.len() != 1 {
                return Err(format!(
                    "call {call}: answered {offsets:?}, arrived at {places:?}"
                ));
            }
        }
        Ok(())
    }

    /// A subscriber has a part of the stream without gap or repeat; all to the end if it stayed.
    fn check_subscriber(&self, index: usize, client: &Client) -> Result<(), String> {
        let stream = self.stream(client.channel);
        let stays = client.is_open() && client.pace != Pace::Stopped;
        let begin = match client.messages.first() {
            Some(first) => stream
                .iter()
                .position(|text| text == first)
                .ok_or_else(|| format!("{first:?} is not in the stream"))?,
            None if stays => stream.len(),
            None => return Ok(()),
        };
        let end = begin + client.messages.len();
        if stream.get(begin..end) != Some(&client.messages[..]) {
            return Err("what it got is no unbroken part of the stream".into());
        }
        if stays && client.status == Some(101) && end != stream.len() {
            return Err(format!("it stayed and got {end} of {}", stream.len()));
        }
        if let Some(&settled) = self.settled.get(&index)
            && begin > settled
            && client.messages.len() + usize::from(stays) > 0
        {
            return Err(format!(
                "subscribed at {settled}, its first message is {begin}"
            ));
        }
        Ok(())
    }

    /// Everybody leaves, by themselves or by a drain, and nothing is left behind.
    fn end(mut self) -> Result<(), String> {
        let drain = self.world.rng.percent(50);
        let shards = self.world.shards.len();
        if drain {
            for shard in 0..shards {
                if !self.world.request(shard, Request::Drain { drain_ms: 300 }) {
                    return Err("no room for a drain in an empty mailbox".into());
                }
            }
        } else {
            for client in &mut self.world.clients {
                client.finished = true;
            }
        }
        let open: Vec<usize> = (0..self.world.clients.len())
            .filter(|&index| {
                let client = &self.world.clients[index];
                client.is_open() && client.pace == Pace::Fast && client.status == Some(101)
            })
            .collect();
        for _ in 0..600 {
            self.world.now_ms += 150;
            self.world.round()?;
        }
        for (index, shard) in self.world.shards.iter().enumerate() {
            if shard.residue() != Residue::default() {
                return Err(format!("shard {index} keeps {:?}", shard.residue()));
            }
            if drain && !shard.is_drained() {
                return Err(format!("shard {index} does not end"));
            }
        }
        if self.world.open_sockets() != 0 {
            return Err(format!("{} sockets stay open", self.world.open_sockets()));
        }
        if drain {
            for index in open {
                let code = self.world.clients[index].close_code;
                if code != Some(1001) {
                    return Err(format!("client {index} saw {code:?} in a drain, not 1001"));
                }
            }
        }
        Ok(())
    }

    fn stream(&self, channel: usize) -> &[String] {
        &self.world.clients[channel].messages
    }

    fn seed(&self) -> u64 {
        self.world.seed
    }
}

fn name(channel: usize) -> ChannelName {
    ChannelName::parse(&format!("c{channel}")).expect("a short name")
}
