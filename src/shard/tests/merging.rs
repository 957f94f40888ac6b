//! Sends of what several lanes have for one connection, in all that can happen to them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::endpoint::Which;
use crate::ws::frame::{self, Opcode};

/// As the kernel says that a socket's buffer is full.
const EAGAIN: i32 = -11;

/// A shard with its clients' ends, by slot.
struct World {
    shard: Shard,
    received: BTreeMap<u32, Vec<u8>>,
    watched: Vec<ConnectionId>,
    /// Sends made.
    sends: usize,
}

impl World {
    fn new(config: Config) -> Self {
        Self {
            shard: shard(config),
            received: BTreeMap::new(),
            watched: Vec::new(),
            sends: 0,
        }
    }

    /// A connection on these channels, whose handshake is over.
    fn open(&mut self, channels: &[&str]) -> ConnectionId {
        let id = subscribe_to(&mut self.shard, channels);
        self.flush(|_, bytes| bytes.len());
        self.received.insert(id.slot, Vec::new());
        id
    }

    fn publish(&mut self, channel: &str, payload: &[u8]) {
        let request = Request::Publish {
            channel: ChannelName::parse(channel).expect("a short name"),
            draft: Draft::new(Kind::Text, Bytes::copy_from_slice(payload)),
            ticket: None,
        };
        self.shard.handle_request(0, 0, request);
    }

    /// A turn in which each socket takes as many bytes as `takes` says.
    fn flush(&mut self, takes: impl FnMut(u32, &[u8]) -> usize) {
        self.flush_some(usize::MAX, takes);
    }

    /// The same, which ends after so many batches.
    fn flush_some(&mut self, batches: usize, mut takes: impl FnMut(u32, &[u8]) -> usize) {
        let mut batch = Batch::default();
        self.shard.begin_turn(0, 0);
        for _ in 0..batches {
            if !self.shard.poll_batch(0, &mut batch) {
                break;
            }
            let mut exceptions = Vec::new();
            for (send, (slot, bytes)) in (0..).zip(batch.iter()) {
                let taken = takes(slot, bytes).min(bytes.len());
                let received = self.received.entry(slot).or_default();
                received.extend_from_slice(&bytes[..taken]);
                if taken < bytes.len() {
                    let result = if taken == 0 { EAGAIN } else { taken as i32 };
                    exceptions.push(Exception { send, result });
                }
            }
            self.sends += batch.len();
            self.shard.handle_scattered(0, &batch, &exceptions);
        }
        self.shard.end_turn();
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Watch(id) => self.watched.push(id),
                Effect::Close(id) => self.shard.handle_closed(id),
                Effect::Read(_) | Effect::Finish(_) => {}
            }
        }
    }

    /// The sockets that were full take bytes again.
    fn wake(&mut self) {
        for id in std::mem::take(&mut self.watched) {
            self.shard.handle_writable(id);
        }
    }

    /// Turns in which every socket takes everything, until there is nothing more to do.
    fn settle(&mut self) {
        loop {
            self.wake();
            self.flush(|_, bytes| bytes.len());
            if !self.shard.has_work() && self.watched.is_empty() {
                return;
            }
        }
    }

    /// What a client has received since it was asked last.
    fn take(&mut self, id: ConnectionId) -> Vec<u8> {
        let received = self.received.get_mut(&id.slot);
        received.map(std::mem::take).unwrap_or_default()
    }
}

/// What a client receives that is sent these payloads.
fn frames(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        frame::put_frame(&mut out, Opcode::Text, payload);
    }
    out
}

#[test]
fn wherever_a_merged_send_is_cut_and_its_rest_once_more_all_of_it_arrives() {
    let mut world = World::new(Config::default());
    let id = world.open(&["a", "b", "c"]);
    let other = world.open(&["a", "b", "c"]);
    let long = [b'x'; 200];
    let payloads: [&[u8]; 3] = [b"first", &long, b"third"];
    let merged = frames(&payloads);
    for cut in 0..merged.len() {
        for (channel, payload) in ["a", "b", "c"].iter().zip(payloads) {
            world.publish(channel, payload);
        }
        let is_cut = |slot, bytes: &[u8]| if slot == id.slot { cut } else { bytes.len() };
        world.flush(is_cut);
        world.publish("b", b"meanwhile");
        world.wake();
        world.flush(|slot, bytes| is_cut(slot, bytes) / 2);
        world.settle();
        let expected = [&merged[..], &frames(&[b"meanwhile"])].concat();
        assert_eq!(world.take(id), expected, "cut at {cut}");
        assert_eq!(world.take(other), expected, "cut at {cut}");
    }
    let counters = world.shard.counters();
    assert_eq!(counters.merged, 2 * merged.len() as u64);
    assert_eq!((counters.backlogged, counters.backlog_bytes), (0, 0));
}

#[test]
fn who_is_behind_is_left_out_of_merged_sends_until_it_has_caught_up() {
    let mut world = World::new(Config::default());
    let [behind, other] = [(); 2].map(|()| world.open(&["a", "b"]));
    // In the first round nobody knows yet that it is behind.
    for (round, merged) in [(0, 2), (1, 3), (2, 4)] {
        world.publish("a", format!("a{round}").as_bytes());
        world.publish("b", format!("b{round}").as_bytes());
        world.flush(|slot, bytes| if slot == behind.slot { 0 } else { bytes.len() });
        assert_eq!(world.shard.counters().merged, merged, "round {round}");
    }
    world.settle();
    let expected = frames(&[b"a0", b"b0", b"a1", b"b1", b"a2", b"b2"]);
    for id in [behind, other] {
        assert_eq!(world.take(id), expected);
    }
    world.publish("a", b"a3");
    world.publish("b", b"b3");
    world.settle();
    assert_eq!(world.shard.counters().merged, 6);
}

#[test]
fn wherever_a_merged_send_is_cut_a_close_for_being_slow_comes_behind_the_frame_half_sent() {
    let payloads: [&[u8]; 3] = [&[b'x'; 100], &[b'y'; 200], &[b'z'; 300]];
    let merged = frames(&payloads);
    let ends: Vec<usize> = (1..=3).map(|n| frames(&payloads[..n]).len()).collect();
    for cut in 0..400 {
        let mut config = Config::default();
        config.slow_consumer.backlog_bytes_max = 200;
        let mut world = World::new(config);
        let id = world.open(&["a", "b", "c"]);
        for (channel, payload) in ["a", "b", "c"].iter().zip(payloads) {
            world.publish(channel, payload);
        }
        world.flush(|_, _| cut);
        world.settle();
        let received = world.take(id);
        let end = *ends.iter().find(|&&end| end >= cut).expect("a frame");
        let end = if cut == 0 { 0 } else { end };
        assert_eq!(received[..end], merged[..end], "cut at {cut}");
        let close = &received[end..];
        assert_eq!(
            (close[0], &close[2..4]),
            (0x88, &1013u16.to_be_bytes()[..]),
            "cut at {cut}"
        );
        assert_eq!(
            frame::server_frame_len(close),
            Some(close.len()),
            "cut at {cut}"
        );
    }
}

#[test]
fn lanes_too_large_for_one_turn_are_merged_to_the_last_member() {
    for lanes in [3, 40] {
        let mut config = Config::default();
        config.fanout.sends_per_turn_max = 100;
        let mut world = World::new(config);
        let channels: Vec<String> = (0..lanes).map(|lane| format!("c{lane}")).collect();
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        for _ in 0..450 {
            subscribe_to(&mut world.shard, &channels);
        }
        world.settle();
        world.sends = 0;
        for channel in &channels {
            world.publish(channel, b"hello");
        }
        world.settle();
        assert_eq!(world.sends, 450, "{lanes} lanes");
        assert_eq!(world.shard.counters().deliveries, 450 * lanes);
    }
}

#[test]
fn a_connection_is_looked_at_only_when_two_of_its_channels_have_something() {
    let mut world = World::new(Config::default());
    let both = world.open(&["a", "b", "c"]);
    let apart: Vec<_> = (0..100)
        .map(|i| world.open(&[if i % 2 == 0 { "a" } else { "b" }, "c", "d"]))
        .collect();
    world.publish("a", b"hello");
    world.publish("b", b"hello");
    world.shard.begin_turn(0, 0);
    world.shard.find_overlaps();
    assert!(world.shard.fanout.overlaps.has(both.slot));
    for id in apart {
        assert!(!world.shard.fanout.overlaps.has(id.slot));
    }
    world.settle();
    assert_eq!(world.shard.counters().merged, 1);
}

#[test]
fn with_a_bound_of_0_nothing_is_merged() {
    let mut config = Config::default();
    config.fanout.merge_bytes_max = 0;
    let mut world = World::new(config);
    let id = world.open(&["a", "b"]);
    world.publish("a", b"one");
    world.publish("b", b"two");
    world.settle();
    assert_eq!(world.take(id), frames(&[b"one", b"two"]));
    assert_eq!(world.shard.counters().merged, 0);
}

/// What happens to a shard; numbers choose, modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// On each channel whose bit is set.
    Open(u8),
    Leave(usize, usize),
    Close(usize),
    Publish(usize),
    Wake,
    /// So many batches, and what the sockets take of each send in turn.
    Flush(usize, Vec<usize>),
}

const CHANNELS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn step() -> impl Strategy<Value = Step> {
    // Most sends go through whole.
    let takes = prop_oneof![4 => Just(usize::MAX), 1 => 0usize..30];
    prop_oneof![
        2 => (1u8..32).prop_map(Step::Open),
        1 => any::<(usize, usize)>().prop_map(|(who, channel)| Step::Leave(who, channel)),
        1 => any::<usize>().prop_map(Step::Close),
        8 => (0..CHANNELS.len()).prop_map(Step::Publish),
        1 => Just(Step::Wake),
        3 => (1usize..6, proptest::collection::vec(takes, 1..6))
            .prop_map(|(batches, takes)| Step::Flush(batches, takes)),
    ]
}

/// A connection, and for each of its channels from which publication on, and to which if it has left.
struct Client {
    id: ConnectionId,
    spans: BTreeMap<usize, (usize, Option<usize>)>,
}

impl Client {
    /// Each channel's publications came in order and once, as many as they should.
    fn check(&self, received: &[u8], published: &[usize]) -> Result<bool, TestCaseError> {
        let mut next: BTreeMap<usize, usize> = self
            .spans
            .iter()
            .map(|(&channel, span)| (channel, span.0))
            .collect();
        let head = received.windows(4).position(|end| end == b"\r\n\r\n");
        let mut rest = &received[head.map_or(0, |head| head + 4)..];
        let mut closed = false;
        while !rest.is_empty() {
            prop_assert!(!closed, "something behind the close");
            let len = frame::server_frame_len(rest).filter(|&len| len <= rest.len());
            let Some(len) = len else {
                return Err(TestCaseError::fail("a frame that is not whole"));
            };
            let (frame, behind) = rest.split_at(len);
            rest = behind;
            closed = frame[0] == 0x88;
            if closed {
                continue;
            }
            let text = String::from_utf8_lossy(&frame[2..]).into_owned();
            let (channel, number) = text.split_once(':').expect("a payload of this test");
            let channel: usize = channel.parse().expect("a channel");
            let expected = next.get_mut(&channel).expect("one of its channels");
            prop_assert_eq!(number.parse(), Ok(*expected), "channel {}", channel);
            *expected += 1;
        }
        for (channel, (_, left)) in &self.spans {
            match left {
                Some(left) => prop_assert!(next[channel] <= *left),
                None => prop_assert_eq!(next[channel], published[*channel]),
            }
        }
        Ok(closed)
    }
}

/// Takes the steps, then lets everything settle, or drains.
fn live(config: Config, steps: Vec<Step>, drains: bool) -> Result<(), TestCaseError> {
    let mut world = World::new(config);
    let mut clients: Vec<Client> = Vec::new();
    let mut published = [0; CHANNELS.len()];
    for step in steps {
        match step {
            Step::Open(bits) => {
                let on: Vec<usize> = (0..CHANNELS.len()).filter(|i| bits >> i & 1 != 0).collect();
                let names: Vec<&str> = on.iter().map(|&i| CHANNELS[i]).collect();
                let id = subscribe_to(&mut world.shard, &names);
                world.received.insert(id.slot, Vec::new());
                let spans = on.iter().map(|&i| (i, (published[i], None))).collect();
                clients.push(Client { id, spans });
            }
            Step::Leave(who, channel) if !clients.is_empty() => {
                let who = who % clients.len();
                let channel = channel % CHANNELS.len();
                if let Some((_, left @ None)) = clients[who].spans.get_mut(&channel) {
                    *left = Some(published[channel]);
                    let name = ChannelName::parse(CHANNELS[channel]).expect("a short name");
                    let which = Which::Channel(name);
                    world.shard.unsubscribe(0, clients[who].id, &which, None);
                }
            }
            Step::Close(who) if !clients.is_empty() => {
                let client = clients.swap_remove(who % clients.len());
                world.shard.handle_end(0, client.id);
            }
            Step::Leave(..) | Step::Close(_) => {}
            Step::Publish(channel) => {
                let payload = format!("{channel}:{}", published[channel]);
                world.publish(CHANNELS[channel], payload.as_bytes());
                published[channel] += 1;
            }
            Step::Wake => world.wake(),
            Step::Flush(batches, takes) => {
                let mut takes = takes.into_iter().cycle();
                world.flush_some(batches, |_, _| takes.next().unwrap_or(usize::MAX));
            }
        }
    }
    if drains {
        world.shard.drain(0, 1);
        world.shard.handle_timeout(10);
    }
    world.settle();
    for client in &clients {
        let received = world.take(client.id);
        let closed = client.check(&received, &published)?;
        prop_assert_eq!(closed, drains);
    }
    for client in clients {
        world.shard.handle_end(0, client.id);
    }
    world.settle();
    prop_assert_eq!(world.shard.residue(), Residue::default());
    Ok(())
}

proptest! {
    #[test]
    fn each_channel_arrives_once_and_in_order_whoever_comes_leaves_closes_is_slow_or_drained(
        steps in proptest::collection::vec(step(), 1..120),
        entries in proptest::sample::select(vec![1u32, 2, 3, 16]),
        sends in proptest::sample::select(vec![1usize, 2, 5, 100]),
        bytes in proptest::sample::select(vec![0usize, 12, 40, 16_384]),
        drains: bool,
    ) {
        let mut config = Config::default();
        config.fanout.scatter_entries = entries;
        config.fanout.sends_per_turn_max = sends;
        config.fanout.merge_bytes_max = bytes;
        live(config, steps, drains)?;
    }
}
