//! A directory that was saved and restored, beside the one that it was made of.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::channel::{Answer, ChannelPattern, Joining, MemberId, Published, Question};
use crate::config::{Config, NamespaceConfig};
use crate::publication::{ClientInfo, Draft, Kind, Position, Since};

const SHARDS: usize = 3;

const LIMITS: DirectoryLimits = DirectoryLimits {
    channels_max: 8,
    history_bytes_max: 4_000,
    idle_ms: 1_000,
};

/// In each namespace two; a pattern is among them where it may be one.
const CHANNELS: [&str; 11] = [
    "plain", "h:1", "h:2", "c:1", "c:2", "s:1", "s:2", "p:1", "p:2", "w.1", "w.2",
];

const PATTERNS: [&str; 3] = ["w.*", "w.>", "w.1.>"];

/// Namespaces for all that an owner may keep: of two kinds, as a reload may change them.
fn namespaces(others: bool) -> Arc<Namespaces> {
    let general = |pattern: &str| NamespaceConfig {
        channels: ChannelPattern::parse(pattern).unwrap(),
        history_ttl: std::time::Duration::from_millis(1_500),
        ..NamespaceConfig::default()
    };
    let namespaces = vec![
        NamespaceConfig {
            history_size: if others { 2 } else { 5 },
            history_bytes_max: 2_000,
            histories_bytes_max: if others { 2_000 } else { 3_000 },
            ..general("h:*")
        },
        NamespaceConfig {
            cache: !others,
            ..general("c:*")
        },
        NamespaceConfig {
            presence: true,
            join_leave: !others,
            subscribers_max: 4,
            ..general("s:*")
        },
        NamespaceConfig {
            history_size: 3,
            latest_every_ms: if others { 0 } else { 300 },
            presence: others,
            ..general("p:*")
        },
        NamespaceConfig {
            wildcards: true,
            ..general("w.*")
        },
    ];
    Arc::new(Namespaces::new(&Config {
        namespaces,
        ..Config::default()
    }))
}

fn empty() -> Directory {
    Directory::new(FixedState::with_seed(1), namespaces(false), LIMITS, 1)
}

/// The directory of what was read again, as the new version of the program reads it.
fn restored(
    now_ms: u64,
    namespaces: Arc<Namespaces>,
    saved: SavedDirectory,
) -> Result<Directory, RestoreError> {
    let hasher = FixedState::with_seed(1);
    Directory::restore(hasher, namespaces, LIMITS, 1, SHARDS, now_ms, saved)
}

fn written(directory: &Directory) -> Vec<u8> {
    postcard::to_allocvec(&directory.save()).unwrap()
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(usize, MemberId, Option<Since>, Option<u8>),
    Depart(usize, MemberId),
    Leave(usize, usize),
    Publish(usize, usize, bool, Option<u8>),
    Ask(usize, Question),
    SubscribePattern(usize, usize),
    LeavePattern(usize, usize),
    Match(usize),
    HandleDue,
}

fn info(of: u8) -> Arc<ClientInfo> {
    Arc::new(ClientInfo {
        client: of.to_string().into(),
        user: (of % 2).to_string().into(),
        conn_info: Bytes::from_static(b"{}"),
        chan_info: Bytes::new(),
    })
}

fn step() -> impl Strategy<Value = Step> {
    let channel = || 0..CHANNELS.len();
    let pattern = || 0..PATTERNS.len();
    let place = || (1u64..12, 0u64..6).prop_map(|(epoch, offset)| Position { epoch, offset });
    let since = prop_oneof![
        place().prop_map(Since::Position),
        (0u64..6).prop_map(Since::Offset),
        Just(Since::Newest),
    ];
    let member = || {
        (0..SHARDS, 0u64..3).prop_map(|(shard, asker)| MemberId {
            shard,
            asker,
            subscription: 7,
        })
    };
    let question = prop_oneof![
        (
            prop::option::of(place()),
            prop::option::of(0usize..4),
            any::<bool>()
        )
            .prop_map(|(since, limit, reverse)| Question::History {
                since,
                limit,
                reverse
            }),
        Just(Question::RemoveHistory),
        Just(Question::Presence),
        Just(Question::PresenceStats),
    ];
    let infos = || prop::option::of(0u8..4);
    prop_oneof![
        4 => (channel(), member(), prop::option::of(since), infos())
            .prop_map(|(channel, member, since, info)| Step::Subscribe(channel, member, since, info)),
        2 => (channel(), member()).prop_map(|(channel, member)| Step::Depart(channel, member)),
        2 => (channel(), 0..SHARDS).prop_map(|(channel, shard)| Step::Leave(channel, shard)),
        6 => (channel(), 0usize..600, any::<bool>(), infos())
            .prop_map(|(channel, bytes, skip, info)| Step::Publish(channel, bytes, skip, info)),
        3 => (channel(), question).prop_map(|(channel, question)| Step::Ask(channel, question)),
        1 => (pattern(), 0..SHARDS).prop_map(|(pattern, shard)| Step::SubscribePattern(pattern, shard)),
        1 => (pattern(), 0..SHARDS).prop_map(|(pattern, shard)| Step::LeavePattern(pattern, shard)),
        1 => channel().prop_map(Step::Match),
        4 => Just(Step::HandleDue),
    ]
}

fn steps(max: usize) -> impl Strategy<Value = Vec<(u64, Step)>> {
    prop::collection::vec((0u64..500, step()), 0..max)
}

/// Does it, and tells all that came of it. What is in no order is put into one.
fn act(directory: &mut Directory, now_ms: u64, step: &Step) -> String {
    match step.clone() {
        Step::Subscribe(channel, member, since, of) => {
            let joining = Joining {
                member,
                since,
                info: of.map(info),
            };
            format!(
                "{:?}",
                directory.subscribe(now_ms, &name(CHANNELS[channel]), joining)
            )
        }
        Step::Depart(channel, member) => {
            format!("{:?}", directory.depart(&name(CHANNELS[channel]), &member))
        }
        Step::Leave(channel, shard) => {
            directory.leave(now_ms, &name(CHANNELS[channel]), shard);
            String::new()
        }
        Step::Publish(channel, bytes, skip_history, of) => {
            let draft = Draft {
                skip_history,
                publisher: of.map(info),
                headers: Bytes::from_static(b"a:b\n"),
                ..Draft::new(Kind::Binary, Bytes::from(vec![bytes as u8; bytes]))
            };
            format!(
                "{:?}",
                directory.publish(now_ms, &name(CHANNELS[channel]), draft)
            )
        }
        Step::Ask(channel, question) => {
            match directory.answer(now_ms, &name(CHANNELS[channel]), question) {
                Answer::Presence(infos) => {
                    let mut infos: Vec<String> =
                        infos.iter().map(|info| format!("{info:?}")).collect();
                    infos.sort();
                    format!("{infos:?}")
                }
                other => format!("{other:?}"),
            }
        }
        Step::SubscribePattern(pattern, shard) => {
            format!(
                "{:?}",
                directory.subscribe_pattern(&name(PATTERNS[pattern]), shard)
            )
        }
        Step::LeavePattern(pattern, shard) => {
            directory.leave_pattern(&name(PATTERNS[pattern]), shard);
            String::new()
        }
        Step::Match(channel) => {
            let mut matches = directory.matches(&name(CHANNELS[channel]));
            matches.sort_by(|a, b| a.0.cmp(&b.0));
            format!("{matches:?}")
        }
        Step::HandleDue => all_due(directory, now_ms),
    }
}

fn all_due(directory: &mut Directory, now_ms: u64) -> String {
    let due: Vec<_> = std::iter::from_fn(|| directory.handle_due(now_ms)).collect();
    format!("{due:?}")
}

/// What metrics and checks are told.
fn figures(directory: &Directory) -> ([usize; 6], CrowdedOut) {
    let counts = [
        directory.len(),
        directory.used(),
        directory.history_bytes(),
        directory.interests(),
        directory.members(),
        directory.channels().map(|(_, members)| members).sum(),
    ];
    (counts, directory.crowded_out())
}

proptest! {
    #[test]
    fn a_restored_directory_goes_on_as_the_one_that_was_saved_would_have(
        before in steps(80),
        middle in steps(20),
        after in steps(60),
        others in any::<bool>(),
    ) {
        let mut now_ms = 0;
        let mut oracle = empty();
        for (pause_ms, step) in &before {
            now_ms += pause_ms;
            act(&mut oracle, now_ms, step);
        }
        let mut directory = None;
        // Two upgrades, one behind the other, the first with other settings or the same.
        for steps in [&middle, &after] {
            let saved = postcard::from_bytes(&written(directory.as_ref().unwrap_or(&oracle)));
            let mut taken_over = restored(now_ms, namespaces(others), saved.unwrap()).unwrap();
            if others && directory.is_none() {
                oracle.set_rules(now_ms, namespaces(true), LIMITS);
            }
            prop_assert_eq!(all_due(&mut oracle, now_ms), all_due(&mut taken_over, now_ms));
            prop_assert_eq!(figures(&oracle), figures(&taken_over));
            for (pause_ms, step) in steps {
                now_ms += pause_ms;
                let expected = act(&mut oracle, now_ms, step);
                prop_assert_eq!(act(&mut taken_over, now_ms, step), expected, "{:?}", step);
                prop_assert_eq!(figures(&oracle), figures(&taken_over), "{:?}", step);
                // An alarm of the oracle may be one for nothing.
                let (due, oracles) = (taken_over.next_due_ms(), oracle.next_due_ms());
                prop_assert!(due.is_none() || oracles.is_some_and(|oracles| Some(oracles) <= due));
            }
            directory = Some(taken_over);
        }
        // Everything ends there, too.
        let mut directory = directory.unwrap();
        for (channel, shard) in CHANNELS.iter().flat_map(|channel| (0..SHARDS).map(move |shard| (channel, shard))) {
            directory.leave(now_ms, &name(channel), shard);
        }
        for _ in 0..20 {
            now_ms += 1_500;
            all_due(&mut directory, now_ms);
        }
        prop_assert!(directory.is_empty());
        prop_assert_eq!(directory.next_due_ms(), None);
    }

    #[test]
    fn damaged_bytes_of_a_directory_are_an_error_or_a_directory_and_never_a_panic(
        before in steps(60),
        at in any::<Index>(),
        byte in any::<u8>(),
        after in steps(40),
    ) {
        let mut now_ms = 0;
        let mut directory = empty();
        for (pause_ms, step) in &before {
            now_ms += pause_ms;
            act(&mut directory, now_ms, step);
        }
        let mut bytes = written(&directory);
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(postcard::from_bytes::<SavedDirectory>(cut).is_err());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let Ok(saved) = postcard::from_bytes::<SavedDirectory>(&bytes) else {
            return Ok(());
        };
        if let Ok(mut directory) = restored(now_ms, namespaces(false), saved) {
            for (pause_ms, step) in &after {
                now_ms += pause_ms;
                act(&mut directory, now_ms, step);
                figures(&directory);
            }
        }
    }
}

fn publish(directory: &mut Directory, now_ms: u64, channel: &str, bytes: usize) -> Position {
    let draft = Draft::new(Kind::Text, Bytes::from(vec![b'x'; bytes]));
    match directory.publish(now_ms, &name(channel), draft).unwrap() {
        Published::Now(publication, _) => publication.position,
        Published::Later(position) => position,
    }
}

#[test]
fn new_channels_have_epochs_that_neither_version_has_given_out() {
    let mut directory = empty();
    let first = publish(&mut directory, 0, "plain", 1);
    for (first_epoch, next) in [(0, first.epoch + 1), (1_000, 1_000)] {
        let hasher = FixedState::with_seed(1);
        let saved = directory.save();
        let mut restored = Directory::restore(
            hasher,
            namespaces(false),
            LIMITS,
            first_epoch,
            SHARDS,
            0,
            saved,
        )
        .unwrap();
        assert_eq!(publish(&mut restored, 0, "plain", 1).epoch, first.epoch);
        assert_eq!(publish(&mut restored, 0, "other", 1).epoch, next);
    }
}

#[test]
fn a_message_that_is_held_back_leaves_at_its_time_after_the_upgrade() {
    let mut directory = empty();
    publish(&mut directory, 100, "p:1", 1);
    publish(&mut directory, 150, "p:1", 2);
    let mut restored = restored(200, namespaces(false), directory.save()).unwrap();
    assert_eq!(restored.next_due_ms(), Some(400));
    assert_eq!(restored.handle_due(399), None);
    let (channel, publication, _) = restored.handle_due(400).expect("it is due");
    assert_eq!(channel, name("p:1"));
    assert_eq!(
        (publication.position.offset, publication.payload.len()),
        (2, 2)
    );
}

#[test]
fn what_names_the_same_client_shares_it_again() {
    let mut directory = empty();
    let member = |asker| MemberId {
        shard: 0,
        asker,
        subscription: 0,
    };
    for asker in 0..2 {
        let joining = Joining {
            member: member(asker),
            since: None,
            info: Some(info(3)),
        };
        directory.subscribe(0, &name("s:1"), joining).unwrap();
    }
    let saved = postcard::from_bytes(&written(&directory)).unwrap();
    let mut restored = restored(0, namespaces(false), saved).unwrap();
    let Answer::Presence(infos) = restored.answer(0, &name("s:1"), Question::Presence) else {
        panic!("presence is kept");
    };
    assert!(Arc::ptr_eq(&infos[0], &infos[1]));
}

#[test]
fn what_does_not_hold_together_is_refused_with_the_channel_and_the_reason() {
    let mut directory = empty();
    publish(&mut directory, 0, "h:1", 1);
    publish(&mut directory, 0, "h:1", 1);
    let joining = Joining {
        member: MemberId {
            shard: 2,
            asker: 1,
            subscription: 0,
        },
        since: None,
        info: None,
    };
    directory.subscribe(0, &name("h:1"), joining).unwrap();
    directory.subscribe_pattern(&name("w.*"), 1).unwrap();
    let saved = directory.save();
    let refused = |shards, change: &dyn Fn(&mut SavedDirectory)| {
        let mut saved = saved.clone();
        change(&mut saved);
        let hasher = FixedState::with_seed(1);
        let result = Directory::restore(hasher, namespaces(false), LIMITS, 1, shards, 0, saved);
        result.map(|_| ()).unwrap_err().to_string()
    };
    let of = |channel, says: Fault| format!("the saved state of channel \"{channel}\" {says}");
    assert_eq!(refused(2, &|_| {}), of("h:1", Fault::Shard));
    assert_eq!(
        refused(SHARDS, &|saved| saved.streams.extend(saved.streams.clone())),
        of("h:1", Fault::Twice)
    );
    assert_eq!(
        refused(SHARDS, &|saved| saved.idle.extend(saved.idle.clone())),
        of("h:1", Fault::Twice)
    );
    assert_eq!(
        refused(SHARDS, &|saved| saved.idle.push((0, name("gone")))),
        of("gone", Fault::Missing)
    );
    assert_eq!(
        refused(SHARDS, &|saved| saved.next_epoch = 1),
        of("h:1", Fault::Count)
    );
    assert_eq!(
        refused(SHARDS, &|saved| saved.patterns[0].1.insert(9)),
        of("w.*", Fault::Shard)
    );
}
