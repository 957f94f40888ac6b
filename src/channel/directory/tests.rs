use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::publication::{Kind, Recovery};

mod bounds;

fn directory_with(channels_max: usize, namespace: Namespace) -> Directory {
    Directory::new(
        FixedState::with_seed(1),
        Arc::new(Namespaces::uniform(namespace)),
        DirectoryLimits {
            channels_max,
            history_bytes_max: 1_000_000,
            idle_ms: 1_000,
        },
        1,
    )
}

/// Sets what all histories may have together.
fn bound(directory: &mut Directory, history_bytes_max: usize) {
    let limits = DirectoryLimits {
        history_bytes_max,
        ..directory.limits
    };
    directory.set_rules(0, directory.namespaces.clone(), limits);
}

fn directory(channels_max: usize) -> Directory {
    directory_with(channels_max, Namespace::default())
}

fn with_history() -> Namespace {
    Namespace {
        history_size: 3,
        history_ttl_ms: 5_000,
        ..Namespace::default()
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

fn draft(payload: usize) -> Draft {
    Draft::new(Kind::Text, Bytes::from(vec![b'x'; payload]))
}

fn joining(shard: usize, asker: u64, since: Option<Since>) -> Joining {
    Joining {
        member: MemberId {
            shard,
            asker,
            subscription: 0,
        },
        since,
        info: Some(Arc::new(ClientInfo {
            client: asker.to_string().into(),
            ..ClientInfo::default()
        })),
    }
}

fn join(directory: &mut Directory, channel: &ChannelName, shard: usize) -> Begun {
    let joined = directory.subscribe(0, channel, joining(shard, 1, None));
    joined.expect("room").begun
}

fn publish(
    directory: &mut Directory,
    now_ms: u64,
    channel: &ChannelName,
) -> (Position, Vec<usize>) {
    match directory.publish(now_ms, channel, draft(10)).expect("room") {
        Published::Now(publication, shards) => (publication.position, shards.collect()),
        Published::Later(position) => panic!("held back: {position:?}"),
    }
}

/// Offsets of what a subscriber gets that asks for it.
fn recovered(directory: &mut Directory, now_ms: u64, since: Since) -> Option<Vec<u64>> {
    let joined = directory.subscribe(now_ms, &name("news"), joining(0, 9, Some(since)));
    match joined.expect("room").begun.recovery {
        Recovery::Whole(missed) | Recovery::Newest(missed) => {
            Some(missed.iter().map(|p| p.position.offset).collect())
        }
        Recovery::Gap => None,
        Recovery::Unasked => panic!("it was asked for"),
    }
}

#[test]
fn publications_are_numbered_from_1_and_go_to_interested_shards_only() {
    let mut directory = directory(10);
    let news = name("news");
    assert_eq!(join(&mut directory, &news, 3).position.offset, 0);
    join(&mut directory, &news, 63);
    let (position, shards) = publish(&mut directory, 0, &news);
    assert_eq!((position.offset, shards), (1, vec![3, 63]));
    directory.leave(0, &news, 3);
    let (position, shards) = publish(&mut directory, 0, &news);
    assert_eq!((position.offset, shards), (2, vec![63]));
}

#[test]
fn an_idle_stream_is_forgotten_after_its_time_and_begins_anew_with_another_epoch() {
    let mut directory = directory(10);
    let news = name("news");
    let (first, _) = publish(&mut directory, 0, &news);
    let (second, _) = publish(&mut directory, 900, &news);
    assert_eq!((second.epoch, second.offset), (first.epoch, 2));
    assert_eq!(directory.handle_due(1_000), None);
    assert_eq!(directory.len(), 1, "used 100 ms ago");
    directory.handle_due(1_900);
    assert!(directory.is_empty());
    let (third, _) = publish(&mut directory, 1_901, &news);
    assert_ne!(third.epoch, first.epoch);
    assert_eq!(third.offset, 1);
}

#[test]
fn a_stream_with_subscribers_is_never_forgotten() {
    let mut directory = directory(10);
    let news = name("news");
    join(&mut directory, &news, 0);
    directory.handle_due(1_000_000);
    assert_eq!(directory.len(), 1);
    directory.leave(1_000_000, &news, 0);
    directory.handle_due(1_000_999);
    assert_eq!(directory.len(), 1);
    directory.handle_due(1_001_000);
    assert!(directory.is_empty());
    assert_eq!(directory.next_due_ms(), None);
}

#[test]
fn the_limit_of_channels_refuses_new_ones_and_keeps_the_old() {
    let mut directory = directory(1);
    join(&mut directory, &name("a"), 0);
    let refused = directory.subscribe(0, &name("b"), joining(0, 1, None));
    assert_eq!(refused, Err(ChannelsFull.into()));
    let refused = directory.publish(0, &name("b"), draft(1));
    assert_eq!(refused, Err(ChannelsFull));
    assert_eq!(publish(&mut directory, 0, &name("a")).0.offset, 1);
}

#[test]
fn who_comes_back_gets_exactly_what_it_missed_or_is_told_of_the_gap() {
    let mut directory = directory_with(10, with_history());
    let news = name("news");
    let begun = join(&mut directory, &news, 0);
    assert!(begun.recoverable);
    let start = begun.position;
    for _ in 0..4 {
        publish(&mut directory, 0, &news);
    }
    let at = |offset| Since::Position(Position { offset, ..start });
    assert_eq!(recovered(&mut directory, 0, at(4)), Some(vec![]));
    assert_eq!(recovered(&mut directory, 0, at(1)), Some(vec![2, 3, 4]));
    assert_eq!(recovered(&mut directory, 0, at(0)), None, "1 is given up");
    assert_eq!(recovered(&mut directory, 0, at(5)), None, "never published");
    assert_eq!(
        recovered(&mut directory, 0, Since::Offset(3)),
        Some(vec![4])
    );
    assert_eq!(recovered(&mut directory, 0, Since::Newest), Some(vec![4]));
    let other = Position {
        epoch: start.epoch + 1,
        offset: 4,
    };
    assert_eq!(recovered(&mut directory, 0, Since::Position(other)), None);
    assert_eq!(recovered(&mut directory, 5_000, at(3)), None, "too old");
    assert_eq!(recovered(&mut directory, 5_000, at(4)), Some(vec![]));
}

#[test]
fn a_stream_that_nobody_hears_lives_as_long_as_its_history() {
    let mut directory = directory_with(10, with_history());
    let (first, _) = publish(&mut directory, 0, &name("news"));
    directory.handle_due(4_999);
    let since = Since::Position(Position { offset: 0, ..first });
    assert_eq!(recovered(&mut directory, 4_999, since), Some(vec![1]));
    directory.leave(4_999, &name("news"), 0);
    directory.handle_due(5_000);
    assert_eq!((directory.len(), directory.history_bytes()), (1, 0));
    directory.handle_due(5_999);
    assert!(directory.is_empty());
    assert_eq!(directory.next_due_ms(), None);
}

#[test]
fn all_histories_together_are_bounded() {
    let mut directory = directory_with(100, with_history());
    bound(&mut directory, 2_000);
    for round in 0..3 {
        for channel in 0..50 {
            publish(&mut directory, round, &name(&format!("c{channel}")));
            assert!(directory.history_bytes() <= 2_000);
        }
    }
    let kept: usize = directory
        .streams
        .values()
        .map(|stream| stream.load().bytes)
        .sum();
    assert_eq!(kept, directory.history_bytes());
    // What is the newest is what is left.
    let last = directory
        .streams
        .get(&name("c49"))
        .map(|stream| stream.load().bytes);
    assert!(last > Some(0));
}

#[test]
fn with_a_cache_newcomers_get_the_newest_publication() {
    let cache = Namespace {
        cache: true,
        ..Namespace::default()
    };
    let mut directory = directory_with(10, cache);
    let news = name("news");
    for _ in 0..3 {
        publish(&mut directory, 0, &news);
    }
    let begun = join(&mut directory, &news, 0);
    let missed = begun.recovery.missed().expect("the newest");
    assert_eq!(missed.iter().next().map(|p| p.position.offset), Some(3));
    assert!(!begun.recoverable);
    // Whoever has it already does not get it again.
    let since = Since::Position(begun.position);
    assert_eq!(recovered(&mut directory, 0, since), Some(vec![]));
    let behind = Position {
        offset: 1,
        ..begun.position
    };
    assert_eq!(
        recovered(&mut directory, 0, Since::Position(behind)),
        Some(vec![3])
    );
}

#[test]
fn a_held_message_never_leaves_behind_a_newer_one() {
    let paced = Namespace {
        latest_every_ms: 100,
        ..Namespace::default()
    };
    let mut directory = directory_with(10, paced);
    let news = name("news");
    publish(&mut directory, 50, &news);
    let held = directory.publish(60, &news, draft(1)).expect("room");
    assert!(matches!(held, Published::Later(_)));
    // Its interval is over, and the owner has not come to look at it when the next one comes.
    let (newest, _) = publish(&mut directory, 150, &news);
    assert_eq!(newest.offset, 2);
    assert_eq!(directory.handle_due(10_000), None);
}

#[test]
fn between_two_publications_of_a_paced_channel_there_is_its_interval_and_the_newest_leaves() {
    let paced = Namespace {
        latest_every_ms: 100,
        ..Namespace::default()
    };
    let mut directory = directory_with(10, paced);
    let news = name("news");
    join(&mut directory, &news, 2);
    let (first, _) = publish(&mut directory, 50, &news);
    assert_eq!(first.offset, 1);
    for payload in [1, 2, 3] {
        let held = directory.publish(60, &news, draft(payload)).expect("room");
        assert_eq!(held, Published::Later(Position { offset: 2, ..first }));
    }
    assert_eq!(directory.next_due_ms(), Some(150));
    assert_eq!(directory.handle_due(149), None);
    let (channel, publication, shards) = directory.handle_due(150).expect("it is due");
    assert_eq!(
        (channel, shards.collect::<Vec<_>>()),
        (news.clone(), vec![2])
    );
    assert_eq!(
        (publication.position.offset, publication.payload.len()),
        (2, 3)
    );
    assert_eq!(directory.handle_due(500), None);
    assert_eq!(publish(&mut directory, 500, &news).0.offset, 3);
}

#[test]
fn presence_knows_who_is_there_and_the_others_are_told() {
    let social = Namespace {
        presence: true,
        join_leave: true,
        subscribers_max: 2,
        ..Namespace::default()
    };
    let mut directory = directory_with(10, social);
    let room = name("room");
    let first = directory
        .subscribe(0, &room, joining(0, 1, None))
        .expect("room");
    assert!(first.counted);
    let (info, shards) = first.news.expect("news");
    assert_eq!((&*info.client, shards.collect::<Vec<_>>()), ("1", vec![0]));
    directory
        .subscribe(0, &room, joining(1, 2, None))
        .expect("room");
    let third = directory.subscribe(0, &room, joining(1, 3, None));
    assert_eq!(third, Err(SubscribersFull.into()));
    let stats = directory.answer(0, &room, Question::PresenceStats);
    assert_eq!(
        stats,
        Answer::PresenceStats {
            clients: 2,
            users: 1
        }
    );
    let leaver = joining(0, 1, None).member;
    let (info, shards) = directory.depart(&room, &leaver).expect("news");
    assert_eq!(
        (&*info.client, shards.collect::<Vec<_>>()),
        ("1", vec![0, 1])
    );
    assert_eq!(directory.depart(&room, &leaver), None, "it has left");
    directory.leave(0, &room, 1);
    assert_eq!(
        directory.members(),
        0,
        "a shard without subscribers has none"
    );
    let nobody = directory.answer(0, &name("other"), Question::PresenceStats);
    assert_eq!(
        nobody,
        Answer::PresenceStats {
            clients: 0,
            users: 0
        }
    );
    assert_eq!(directory.len(), 1, "a question makes no channel");
}

#[test]
fn new_rules_hold_for_channels_that_are_there() {
    let mut directory = directory_with(10, with_history());
    let news = name("news");
    for _ in 0..3 {
        publish(&mut directory, 0, &news);
    }
    let shorter = Namespace {
        history_size: 1,
        ..with_history()
    };
    let limits = directory.limits;
    directory.set_rules(0, Arc::new(Namespaces::uniform(shorter)), limits);
    let (last, _) = publish(&mut directory, 0, &news);
    let at = |offset| Since::Position(Position { offset, ..last });
    assert_eq!(recovered(&mut directory, 0, at(3)), Some(vec![4]));
    assert_eq!(recovered(&mut directory, 0, at(2)), None);
    directory.set_rules(0, Arc::new(Namespaces::default()), limits);
    assert_eq!(directory.history_bytes(), 0);
    directory.leave(0, &news, 0);
    directory.handle_due(6_000);
    assert!(directory.is_empty());
}

proptest! {
    #[test]
    fn bytes_of_histories_are_those_of_the_streams_whatever_happens(
        steps in prop::collection::vec((0u8..5, 0usize..4, 0u64..1_500, 0usize..300), 1..120),
        history_bytes_max in 0usize..3_000,
        latest_every_ms in prop_oneof![Just(0), Just(200)],
    ) {
        let namespace = Namespace { latest_every_ms, ..with_history() };
        let mut directory = directory_with(3, namespace);
        bound(&mut directory, history_bytes_max);
        let mut now_ms = 0;
        let mut newest: HashMap<(ChannelName, u64), u64> = HashMap::new();
        for (step, channel, pause_ms, payload) in steps {
            now_ms += pause_ms;
            let channel = name(&format!("c{channel}"));
            let mut seen = Vec::new();
            match step {
                0 => drop(directory.subscribe(now_ms, &channel, joining(payload % 3, 1, Some(Since::Offset(1))))),
                1 => directory.leave(now_ms, &channel, payload % 3),
                2 => {
                    if let Ok(Published::Now(publication, _)) = directory.publish(now_ms, &channel, draft(payload)) {
                        seen.push((channel, publication));
                    }
                }
                3 => drop(directory.answer(now_ms, &channel, Question::History { since: None, limit: None, reverse: false })),
                _ => {
                    while let Some((channel, publication, _)) = directory.handle_due(now_ms) {
                        seen.push((channel, publication));
                    }
                }
            }
            for (channel, publication) in seen {
                let Position { epoch, offset } = publication.position;
                let before = newest.insert((channel, epoch), offset).unwrap_or(0);
                prop_assert_eq!(offset, before + 1);
            }
            let bytes: usize = directory.streams.values().map(|stream| stream.load().bytes).sum();
            prop_assert_eq!(bytes, directory.history_bytes());
            prop_assert!(bytes <= history_bytes_max);
            prop_assert!(directory.len() <= 3);
        }
        // Everything ends.
        for shard in 0..3 {
            for channel in 0..4 {
                directory.leave(now_ms, &name(&format!("c{channel}")), shard);
            }
        }
        for _ in 0..20 {
            now_ms += 1_500;
            while directory.handle_due(now_ms).is_some() {}
        }
        prop_assert!(directory.is_empty());
        prop_assert_eq!(directory.next_due_ms(), None);
    }
}
