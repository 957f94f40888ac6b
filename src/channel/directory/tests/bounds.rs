//! What several histories may weigh together.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::*;
use crate::config::{ChannelPattern, Config, NamespaceConfig};

/// A publication's bytes besides those of its payload.
const EACH: usize = size_of::<Publication>();

fn namespaces(bounds: &[(&str, usize)]) -> Arc<Namespaces> {
    let namespaces = bounds
        .iter()
        .map(|&(pattern, histories_bytes_max)| NamespaceConfig {
            channels: ChannelPattern::parse(pattern).unwrap(),
            history_size: 4,
            history_ttl: Duration::from_secs(1),
            history_bytes_max: 4_000,
            histories_bytes_max,
            ..NamespaceConfig::default()
        });
    Arc::new(Namespaces::new(&Config {
        namespaces: namespaces.collect(),
        ..Config::default()
    }))
}

fn directory_of(bounds: &[(&str, usize)], history_bytes_max: usize) -> Directory {
    let limits = DirectoryLimits {
        channels_max: 100,
        history_bytes_max,
        idle_ms: 1_000,
    };
    Directory::new(FixedState::with_seed(1), namespaces(bounds), limits, 1)
}

fn bytes_of(directory: &Directory, beginning: &str) -> usize {
    let streams = directory.streams.iter();
    streams
        .filter(|(channel, _)| channel.as_str().starts_with(beginning))
        .map(|(_, stream)| stream.load().bytes)
        .sum()
}

fn send(directory: &mut Directory, now_ms: u64, channel: &str, payload: usize) {
    directory
        .publish(now_ms, &name(channel), draft(payload))
        .expect("room");
}

#[test]
fn a_namespace_over_its_bound_gives_up_what_would_expire_first_and_no_other_pays_for_it() {
    let mut directory = directory_of(&[("a*", 3 * EACH + 300), ("b*", 0)], 1_000_000);
    for (now_ms, channel) in [(1, "a1"), (2, "a2"), (3, "b1"), (4, "a3"), (5, "a1")] {
        send(&mut directory, now_ms, channel, 100);
    }
    let kept = |directory: &Directory, channel: &str| bytes_of(directory, channel) / (EACH + 100);
    let all = ["a1", "a2", "a3", "b1"].map(|channel| kept(&directory, channel));
    assert_eq!(all, [1, 1, 1, 1], "the first of a1 had to go");
    send(&mut directory, 6, "a3", 100);
    let all = ["a1", "a2", "a3", "b1"].map(|channel| kept(&directory, channel));
    assert_eq!(all, [1, 0, 2, 1], "that of a2 was the oldest then");
    assert_eq!(
        directory.crowded_out(),
        CrowdedOut {
            namespace: 2,
            ..CrowdedOut::default()
        }
    );
}

#[test]
fn a_publication_that_its_history_cannot_hold_leaves_nothing_that_is_counted() {
    let mut directory = directory_of(&[("*", 10_000)], 1_000_000);
    send(&mut directory, 0, "a", 10);
    send(&mut directory, 0, "a", 5_000);
    assert_eq!(bytes_of(&directory, "a"), 0);
    assert_eq!(directory.history_bytes(), 0);
    assert_eq!(directory.crowded_out().channel, 2);
    directory.handle_due(1_000);
    assert!(directory.is_empty(), "it is forgotten like any other");
}

#[test]
fn a_message_that_is_held_back_does_not_make_its_channels_history_the_first_to_go() {
    let mut directory = directory_of(&[("*", 0)], 3 * EACH + 100);
    let paced = Namespace {
        latest_every_ms: 10,
        ..directory.namespaces.of("paced").clone()
    };
    send(&mut directory, 1, "old", 10);
    send(&mut directory, 2, "paced", 10);
    let stream = directory.streams.get_mut(&name("paced")).unwrap();
    stream.set_namespace(2, &paced);
    send(&mut directory, 3, "paced", 10);
    send(&mut directory, 4, "paced", 10);
    assert!(directory.next_due_ms() < Some(1_000), "one is held back");
    send(&mut directory, 5, "new", 10);
    let all = ["old", "paced", "new"].map(|channel| bytes_of(&directory, channel) > 0);
    assert_eq!(all, [false, true, true]);
    assert_eq!(directory.crowded_out().shard, 1);
}

#[test]
fn a_smaller_bound_holds_as_soon_as_it_is_configured_and_a_larger_one_gives_room() {
    let mut directory = directory_of(&[("a*", 0), ("b*", 0)], 1_000_000);
    for channel in ["a1", "a2", "b1", "b2"] {
        send(&mut directory, 1, channel, 100);
    }
    let limits = directory.limits;
    // The namespaces change their places, too.
    let smaller = namespaces(&[("b*", 0), ("a*", EACH + 100)]);
    directory.set_rules(2, smaller, limits);
    assert_eq!(bytes_of(&directory, "a"), EACH + 100);
    assert_eq!(bytes_of(&directory, "b"), 2 * (EACH + 100));
    assert_eq!(directory.history_bytes(), 3 * (EACH + 100));
    directory.set_rules(
        2,
        namespaces(&[("a*", 2 * (EACH + 100)), ("b*", 0)]),
        limits,
    );
    send(&mut directory, 3, "a3", 100);
    assert_eq!(bytes_of(&directory, "a"), 2 * (EACH + 100));
    assert_eq!(directory.crowded_out().namespace, 1);
}

/// Keeps every publication in a list, and looks through all of them for everything.
#[derive(Default)]
struct Naive {
    /// When each expires and how many bytes it has.
    channels: BTreeMap<String, VecDeque<(u64, usize)>>,
    crowded_out: CrowdedOut,
}

impl Naive {
    fn publish(&mut self, now_ms: u64, channel: &str, bytes: usize) {
        let kept = self.channels.entry(channel.to_owned()).or_default();
        kept.push_back((now_ms + 1_000, bytes));
        if kept.len() > 4 {
            kept.pop_front();
        }
        while kept.iter().map(|(_, bytes)| bytes).sum::<usize>() > 4_000 {
            kept.pop_front();
            self.crowded_out.channel += 1;
        }
    }

    fn expire(&mut self, now_ms: u64) {
        for kept in self.channels.values_mut() {
            kept.retain(|(expires_at_ms, _)| *expires_at_ms > now_ms);
        }
    }

    fn bytes(&self, beginning: &str) -> usize {
        let these = self
            .channels
            .iter()
            .filter(|(channel, _)| channel.starts_with(beginning));
        these
            .flat_map(|(_, kept)| kept)
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// Gives up what expires first until these histories are within a bound; how many that were.
    fn bound(&mut self, beginning: &str, bytes_max: usize) -> u64 {
        let mut given_up = 0;
        while self.bytes(beginning) > bytes_max {
            let these = self
                .channels
                .iter_mut()
                .filter(|(channel, _)| channel.starts_with(beginning));
            let first = these
                .filter_map(|(channel, kept)| Some((kept.front()?.0, channel, kept)))
                .min_by_key(|(expires_at_ms, channel, _)| (*expires_at_ms, channel.to_owned()));
            first.expect("bytes are of publications").2.pop_front();
            given_up += 1;
        }
        given_up
    }
}

proptest! {
    #[test]
    fn histories_keep_within_all_bounds_what_a_look_at_every_publication_would_keep(
        steps in prop::collection::vec((0usize..6, 0u64..200, 0usize..1_500, 0u8..12), 1..120),
        bounds in prop::collection::vec(prop_oneof![Just(0), 1usize..6_000], 4),
        history_bytes_max in 1usize..12_000,
    ) {
        let patterns = ["a*", "b*"];
        let bounds_of = |from: usize| [(patterns[0], bounds[from]), (patterns[1], bounds[from + 1])];
        let mut now = bounds_of(0);
        let mut directory = directory_of(&now, history_bytes_max);
        let limits = directory.limits;
        let mut naive = Naive::default();
        let mut now_ms = 0;
        for (channel, pause_ms, payload, step) in steps {
            let channel = ["a1", "a2", "a3", "b1", "b2", "c"][channel];
            now_ms += pause_ms;
            directory.handle_due(now_ms);
            naive.expire(now_ms);
            match step {
                0 => {
                    // There and back, each time with other bounds or none.
                    now = bounds_of(if now == bounds_of(0) { 2 } else { 0 });
                    directory.set_rules(now_ms, namespaces(&now), limits);
                }
                1 => {
                    let (hasher, saved) = (FixedState::with_seed(1), directory.save());
                    let written = postcard::to_allocvec(&saved).expect("what can be written");
                    let saved = postcard::from_bytes(&written).expect("what was written");
                    let restored = Directory::restore(hasher, namespaces(&now), limits, 1, 64, now_ms, saved);
                    directory = restored.expect("what was saved");
                }
                2 => {
                    directory.answer(now_ms, &name(channel), Question::RemoveHistory);
                    naive.channels.remove(channel);
                }
                _ => {
                    send(&mut directory, now_ms, channel, payload);
                    if channel != "c" {
                        naive.publish(now_ms, channel, payload + EACH);
                    }
                }
            }
            for (pattern, bytes_max) in now {
                if bytes_max > 0 {
                    naive.crowded_out.namespace += naive.bound(&pattern[..1], bytes_max);
                }
            }
            naive.crowded_out.shard += naive.bound("", history_bytes_max);
            for channel in ["a1", "a2", "a3", "b1", "b2", "c"] {
                prop_assert_eq!(bytes_of(&directory, channel), naive.bytes(channel), "{}", channel);
            }
            prop_assert_eq!(directory.history_bytes(), naive.bytes(""));
            prop_assert_eq!(directory.crowded_out(), naive.crowded_out);
        }
        directory.handle_due(now_ms + 1_000);
        prop_assert_eq!(directory.history_bytes(), 0);
        directory.handle_due(now_ms + 2_000);
        prop_assert!(directory.is_empty());
        prop_assert_eq!(directory.next_due_ms(), None);
    }
}
