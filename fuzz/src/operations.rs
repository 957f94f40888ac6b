//! A shard under any operations and any results of its sends, against a model that knows only who is
//! subscribed to what from when on.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use pushring::channel::ChannelName;
use pushring::config::{ChannelPattern, Config, NamespaceConfig};
use pushring::endpoint::{Order, OrderedSubscription};
use pushring::publication::{Draft, Kind};
use pushring::rules::Rules;
use pushring::session::Settings;
use pushring::shard::mail::Request;
use pushring::shard::{Batch, ConnectionId, Effect, Exception, Identity, Residue, Shard};
use pushring::ws::close::CloseCode;

use crate::operations_model::{Client, Model};

/// Most connections of one run.
const CLIENTS_MAX: usize = 12;

/// Publications that each channel keeps.
const KEPT: [u16; 4] = [0, 1, 5, 1_000];

const EAGAIN: i32 = -11;
const ECONNRESET: i32 = -104;

/// One step.
#[derive(Arbitrary, Debug)]
enum Operation {
    /// A client connects and is subscribed to a channel.
    Connect(u8),
    /// The same, and it has missed so many of the channel's publications; of the largest numbers it is ahead of the channel.
    Return(u8, u8),
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    Publish(u8),
    /// The server closes a connection.
    Close(u8),
    /// The client sends an empty frame of one of eight kinds.
    Say(u8, u8),
    /// The client is gone.
    Vanish(u8),
    /// Its socket takes bytes again.
    Writable(u8),
    /// So many tenths of a second pass.
    Pass(u8),
    Turn,
}

/// What becomes of a send.
#[derive(Arbitrary, Clone, Copy)]
enum Fate {
    Whole,
    Short(u8),
    Full,
    Dead,
}

struct World {
    shard: Shard,
    now_ms: u64,
    model: Model,
    /// Fates of sends to come; whole when there are none left.
    fates: Vec<Fate>,
}

/// Takes a list of fates and then operations.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(fates) = input.arbitrary::<[Fate; 16]>() else {
        return;
    };
    let mut world = World {
        shard: shard(),
        now_ms: 1_000,
        model: Model::default(),
        fates: fates.into(),
    };
    for _ in 0..400 {
        match input.arbitrary() {
            Ok(operation) if !input.is_empty() => world.operate(operation),
            _ => break,
        }
    }
    world.settle();
    world.model.check();
    world.empty();
}

fn shard() -> Shard {
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = 1_024;
    config.limits.subscriptions_max = 3;
    config.fanout.scatter_entries = 16;
    config.fanout.sends_per_turn_max = 16;
    config.timeouts.channel_idle_ms = 86_400_000;
    config.namespaces = (0..4)
        .map(|channel| NamespaceConfig {
            channels: ChannelPattern::parse(name(channel).as_str()).expect("a name"),
            history_size: usize::from(KEPT[usize::from(channel)]),
            history_ttl: Duration::from_secs(86_400),
            ..NamespaceConfig::default()
        })
        .collect();
    let sessions = Settings::new(&config).expect("the default origins");
    let rules = Rules::new(&config).expect("namespaces that differ");
    let identity = Identity {
        shard: 0,
        shards: 1,
        hash_seed: 1,
        first_epoch: 1,
    };
    Shard::new(
        identity,
        Arc::new(config),
        Arc::new(sessions),
        Arc::new(rules),
    )
}

impl World {
    fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Connect(channel) => self.connect(channel % 4, None),
            Operation::Return(channel, missed) => {
                let published = self.model.published(channel % 4);
                let offset = match missed {
                    0..240 => published.saturating_sub(u16::from(missed % 16)),
                    ahead => published + u16::from(ahead - 239),
                };
                self.connect(channel % 4, Some(offset));
            }
            Operation::Subscribe(who, channel) => {
                let subscription = OrderedSubscription::to(name(channel));
                if let Some(id) = self.order(who, Order::Subscribe(subscription.into())) {
                    self.model.subscribe(id, channel % 4, 3);
                }
            }
            Operation::Unsubscribe(who, channel) => {
                if let Some(id) = self.order(who, Order::Unsubscribe(Some(name(channel)))) {
                    self.model.unsubscribe(id, channel % 4);
                }
            }
            Operation::Publish(channel) => self.publish(channel % 4),
            Operation::Close(who) => {
                let (code, reason) = (CloseCode::NORMAL, "enough".to_owned());
                if let Some(id) = self.order(who, Order::Close { code, reason }) {
                    self.model.close(id);
                }
            }
            Operation::Say(who, first) => self.say(who, first),
            Operation::Vanish(who) => {
                if let Some(id) = self.model.pick(who) {
                    self.model.close(id);
                    self.shard.handle_end(self.now_ms, id);
                }
            }
            Operation::Writable(who) => {
                if let Some(id) = self.model.pick(who)
                    && self.model.take_watched(id)
                {
                    self.shard.handle_writable(id);
                }
            }
            Operation::Pass(tenths) => {
                self.now_ms += 100 * u64::from(tenths);
                self.shard.handle_timeout(self.now_ms);
            }
            Operation::Turn => self.turn(),
        }
    }

    fn connect(&mut self, channel: u8, offset: Option<u16>) {
        if self.model.clients.len() >= CLIENTS_MAX {
            return;
        }
        let id = self
            .shard
            .handle_accept(self.now_ms, IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.model.clients.push(Client::new(id));
        let query = offset.map_or_else(String::new, |offset| format!("?offset={offset}"));
        let mut head = format!(
            "GET /sub/{channel}{query} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into_bytes();
        self.shard.handle_input(self.now_ms, id, &mut head);
        match offset {
            None => self.model.subscribe(id, channel, 3),
            Some(offset) => {
                self.model
                    .subscribe_since(id, channel, offset, KEPT[usize::from(channel)])
            }
        }
    }

    /// Gives an order to a connection that is there, open or not.
    fn order(&mut self, who: u8, order: Order) -> Option<ConnectionId> {
        let key = self.model.pick(who)?;
        let request = Request::Connection { key, order };
        self.shard.handle_request(self.now_ms, 1, request);
        Some(key)
    }

    fn publish(&mut self, channel: u8) {
        if !self.shard.takes_requests_of(1) {
            return;
        }
        let request = Request::Publish {
            channel: name(channel),
            draft: Draft::new(Kind::Binary, self.model.publish(channel)),
            ticket: None,
        };
        self.shard.handle_request(self.now_ms, 1, request);
    }

    fn say(&mut self, who: u8, first: u8) {
        let Some(id) = self.model.pick(who) else {
            return;
        };
        // Messages, ping and pong are fine; a close frame, a reserved opcode or bit and a
        // continuation of nothing end the connection.
        let first = [0x81, 0x82, 0x89, 0x8a, 0x88, 0x83, 0xc1, 0x80][usize::from(first % 8)];
        if self.shard.may_read(id) {
            if !matches!(first, 0x81 | 0x82 | 0x89 | 0x8a) {
                self.model.close(id);
            }
            self.shard
                .handle_input(self.now_ms, id, &mut [first, 0x80, 0, 0, 0, 0]);
        }
    }

    fn turn(&mut self) {
        self.shard.begin_turn(self.now_ms, self.now_ms);
        let mut batch = Batch::default();
        while self.shard.poll_batch(self.now_ms, &mut batch) {
            let mut exceptions = Vec::new();
            let mut named = Vec::new();
            for (send, (slot, bytes)) in (0..).zip(batch.iter()) {
                assert!(!named.contains(&slot), "a slot stands twice in one batch");
                named.push(slot);
                let client = self.model.at(slot);
                let fate = self.fates.pop().unwrap_or(Fate::Whole);
                let sent = match fate {
                    Fate::Whole => bytes.len(),
                    Fate::Short(most) => bytes.len().min(usize::from(most).max(1)),
                    Fate::Full | Fate::Dead => 0,
                };
                client.received.extend_from_slice(&bytes[..sent]);
                let result = match fate {
                    Fate::Full => EAGAIN,
                    Fate::Dead => ECONNRESET,
                    _ if sent < bytes.len() => sent as i32,
                    _ => continue,
                };
                if matches!(fate, Fate::Dead) {
                    client.close();
                }
                exceptions.push(Exception { send, result });
            }
            self.shard
                .handle_scattered(self.now_ms, &batch, &exceptions);
        }
        self.shard.end_turn();
        self.apply_effects();
    }

    fn apply_effects(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Watch(id) => self.model.watch(id),
                Effect::Read(_) => {}
                Effect::Finish(id) => self.model.close(id),
                Effect::Close(id) => {
                    self.model.close(id);
                    self.model.remove(id);
                    self.shard.handle_closed(id);
                }
            }
        }
    }

    /// No more faults: whatever waits is sent, and everybody takes it.
    fn settle(&mut self) {
        self.fates.clear();
        for _ in 0..10_000 {
            for id in self.model.all_watched() {
                self.shard.handle_writable(id);
            }
            self.turn();
            if !self.shard.has_work() && !self.model.is_watching() {
                return;
            }
        }
        panic!("the shard finds no rest");
    }

    /// Everybody goes; nothing is left of them.
    fn empty(&mut self) {
        for id in self.model.ids() {
            self.shard.handle_end(self.now_ms, id);
        }
        self.settle();
        assert_eq!(self.shard.residue(), Residue::default());
    }
}

fn name(channel: u8) -> ChannelName {
    ChannelName::parse(&(channel % 4).to_string()).expect("a digit")
}

/// A publication's payload: its channel and its number.
pub fn payload(channel: u8, number: u16) -> Bytes {
    let [high, low] = number.to_be_bytes();
    Bytes::copy_from_slice(&[channel, high, low])
}
