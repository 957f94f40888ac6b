//! Subscriptions to many channels at once.

use super::*;
use crate::channel::{Namespace, Namespaces};
use crate::config::{ChannelPattern, NamespaceConfig};
use crate::shard::mail::Delivery;

fn ruled_by(namespaces: Namespaces) -> Rules {
    Rules {
        namespaces: Arc::new(namespaces),
        ..Rules::default()
    }
}

/// Two shards that are connected without delay.
struct Pair([Shard; 2]);

impl Pair {
    fn new(wildcards: bool) -> Self {
        let config = Config::default();
        let sessions = Arc::new(session::Settings::new(&config).expect("the default origins"));
        let config = Arc::new(config);
        let namespace = Namespace {
            wildcards,
            ..Namespace::default()
        };
        let rules = Arc::new(ruled_by(Namespaces::uniform(namespace)));
        Self([0, 1].map(|shard| {
            let identity = Identity {
                shard,
                shards: 2,
                hash_seed: 1,
                first_epoch: 1,
            };
            Shard::new(identity, config.clone(), sessions.clone(), rules.clone())
        }))
    }

    /// Carries mail until there is none.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for from in [0, 1] {
                let to = 1 - from;
                while let Some(request) = self.0[from].poll_request(to) {
                    self.0[to].handle_request(0, from, request);
                    moved = true;
                }
                while let Some(delivery) = self.0[from].poll_delivery(to) {
                    self.0[to].handle_delivery(0, delivery);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn publish(&mut self, channel: &str) {
        let shard = &mut self.0[0];
        let channel = ChannelName::parse(channel).expect("a short name");
        let draft = Draft::new(Kind::Text, Bytes::from_static(b"hello"));
        shard.publish(0, channel, draft, None);
        self.settle();
    }

    /// Publications sent to subscribers of each shard so far.
    fn deliveries(&mut self) -> [u64; 2] {
        for shard in &mut self.0 {
            turn(shard);
        }
        [0, 1].map(|shard| self.0[shard].counters().deliveries)
    }
}

#[test]
fn a_pattern_hears_channels_of_every_owner_and_each_publication_once() {
    let mut pair = Pair::new(true);
    for shard in &mut pair.0 {
        subscribe(shard, "prices.*");
        subscribe(shard, "prices.*");
    }
    subscribe(&mut pair.0[1], "prices.%3E");
    subscribe(&mut pair.0[1], "prices.usd");
    pair.settle();
    // Enough for both to own some.
    for channel in ["usd", "eur", "gbp", "chf", "jpy"] {
        pair.publish(&format!("prices.{channel}"));
    }
    assert_eq!(pair.deliveries(), [10, 10 + 5 + 1]);
    let owned = pair.0.each_ref().map(|shard| shard.counters().publications);
    assert!(owned[0] > 0 && owned[1] > 0, "{owned:?}");
    pair.publish("prices.usd.spot");
    pair.publish("prices");
    assert_eq!(pair.deliveries(), [10, 17]);
}

#[test]
fn a_pattern_that_nobody_hears_any_more_leaves_nothing_behind() {
    let mut pair = Pair::new(true);
    let ids = [0, 1].map(|shard| subscribe(&mut pair.0[shard], "a.*"));
    let early = subscribe(&mut pair.0[0], "b.*");
    // It goes before all have answered.
    pair.0[0].handle_end(0, early);
    pair.settle();
    assert_eq!(pair.0[0].residue().interests, 2);
    for (shard, id) in ids.into_iter().enumerate() {
        pair.0[shard].handle_end(0, id);
    }
    pair.settle();
    for shard in &pair.0 {
        assert_eq!(shard.residue().interests, 0);
        assert_eq!(shard.residue().local_channels, 0);
        assert!(shard.pending_patterns.is_empty());
    }
    pair.publish("a.b");
    assert_eq!(pair.deliveries(), [0, 0]);
}

#[test]
fn where_the_namespace_does_not_allow_patterns_a_star_is_a_star() {
    let mut pair = Pair::new(false);
    subscribe(&mut pair.0[0], "a.*");
    pair.settle();
    pair.publish("a.b");
    assert_eq!(pair.deliveries(), [0, 0]);
    pair.publish("a.*");
    assert_eq!(pair.deliveries(), [1, 0]);
}

#[test]
fn a_pattern_too_many_is_refused() {
    let mut config = Config::default();
    config.limits.channels_max = 1;
    let namespace = Namespace {
        wildcards: true,
        ..Namespace::default()
    };
    let sessions = session::Settings::new(&config).expect("the default origins");
    let mut shard = shard_that_holds(config, sessions, ruled_by(Namespaces::uniform(namespace)));
    subscribe(&mut shard, "a.*");
    subscribe(&mut shard, "a.*");
    assert_eq!(shard.counters().subscriptions_refused, 0);
    subscribe(&mut shard, "b.*");
    assert_eq!(shard.counters().subscriptions_refused, 1);
    assert_eq!(shard.residue().interests, 1);
}

#[test]
fn a_stomp_subscriber_to_a_pattern_is_told_which_channel_it_was() {
    let mut pair = Pair::new(true);
    let pattern = ChannelName::parse("prices.*").expect("a short name");
    let ticket = Ticket {
        asker: 1,
        subscription: 0,
    };
    let request = Request::SubscribePattern { pattern, ticket };
    pair.0[0].handle_request(0, 1, request);
    let channel = ChannelName::parse("prices.usd").expect("a short name");
    let publish = Request::Publish {
        channel,
        draft: Draft::new(Kind::Text, Bytes::from_static(b"1.1")),
        ticket: None,
    };
    pair.0[0].handle_request(0, 0, publish);
    let mut told = Vec::new();
    while let Some(delivery) = pair.0[0].poll_delivery(1) {
        if let Delivery::Publication {
            channel,
            publication,
        } = delivery
        {
            let form = crate::encoding::StompForm::new(
                crate::stomp::Version::V1_2,
                "sub-0",
                "/topic/prices.*",
            );
            told.push((
                channel.to_string(),
                form.destination_of(&publication).into_owned(),
            ));
        }
    }
    let expected = ("prices.*".to_owned(), "/topic/prices.usd".to_owned());
    assert_eq!(told, [expected]);
}

#[test]
fn a_pattern_does_not_reach_into_another_namespace() {
    let namespace = |pattern: &str| NamespaceConfig {
        channels: ChannelPattern::parse(pattern).expect("a pattern"),
        wildcards: true,
        ..NamespaceConfig::default()
    };
    let config = Config {
        namespaces: vec![namespace("prices.*"), namespace("prices.secret.*")],
        ..Config::default()
    };
    let namespaces = Namespaces::new(&config);
    let sessions = session::Settings::new(&config).expect("the default origins");
    let mut shard = shard_that_holds(config, sessions, ruled_by(namespaces));
    for pattern in ["prices.%3E", "prices.secret.%3E", "%3E", "*.usd"] {
        subscribe(&mut shard, pattern);
    }
    publish(&mut shard, "prices.usd");
    turn(&mut shard);
    assert_eq!(shard.counters().deliveries, 1);
    publish(&mut shard, "prices.secret.usd");
    turn(&mut shard);
    assert_eq!(shard.counters().deliveries, 2);
    publish(&mut shard, "other.usd");
    turn(&mut shard);
    assert_eq!(shard.counters().deliveries, 2, "no patterns there");
}
