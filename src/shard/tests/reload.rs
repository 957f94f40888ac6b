//! Other settings while a shard runs.

use super::*;
use crate::channel::{ChannelPattern, Namespaces};
use crate::config::NamespaceConfig;
use crate::endpoint::{Context, Endpoint, Message, Request as OpeningRequest, Route, Routes};
use crate::ws::handshake::Refusal;

/// The control thread's index, where there is one shard.
const CONTROL: usize = 1;

/// Says what it sees when it is told anything.
struct Teller {
    /// What the settings that it was told of say.
    told: Option<usize>,
}

impl Endpoint for Teller {
    type State = ();

    fn open(&mut self, _: &OpeningRequest<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, context: &mut Context<'_>) {
        let history_size = context.rules().namespaces.of("news").history_size;
        context.send_text(&format!(
            "at {}: keeps {history_size}, told {:?}",
            context.unix_ms(),
            self.told
        ));
    }

    fn reloaded(&mut self, config: &Config) {
        self.told = Some(config.limits.subscriptions_max);
    }
}

fn settings(config: &Config) -> session::Settings {
    let routes = vec![Route::new("/tell", || Teller { told: None })];
    let routes = Routes::new(routes, Vec::new(), (&["*".to_owned()], true), "nothing");
    session::Settings::with_routes(config, routes.expect("good routes"))
}

/// What a reload to that configuration makes.
fn live(version: u64, config: Config, sessions: &session::Settings) -> Request {
    Request::Reload(Arc::new(Live {
        version,
        sessions: Arc::new(sessions.renewed(&config).expect("the default origins")),
        rules: Arc::new(Rules::new(&config).expect("no keys")),
        config: Arc::new(config),
    }))
}

fn keeping(history_size: usize) -> Config {
    Config {
        namespaces: vec![NamespaceConfig {
            channels: ChannelPattern::all(),
            history_size,
            ..NamespaceConfig::default()
        }],
        ..Config::default()
    }
}

/// All that a turn sends, as text.
fn sent(shard: &mut Shard, unix_ms: u64) -> String {
    let mut sent = Vec::new();
    let mut batch = Batch::default();
    shard.begin_turn(0, unix_ms);
    while shard.poll_batch(0, &mut batch) {
        sent.extend(batch.iter().flat_map(|(_, bytes)| bytes.to_vec()));
        shard.handle_scattered(0, &batch, &[]);
    }
    shard.end_turn();
    String::from_utf8_lossy(&sent).into_owned()
}

/// A text of one letter, masked with zeros.
fn say(shard: &mut Shard, id: ConnectionId) {
    shard.handle_input(0, id, &mut [0x81, 0x81, 0, 0, 0, 0, b'?']);
}

#[test]
fn sessions_see_the_rules_and_the_time_of_day_of_the_turn() {
    let config = keeping(3);
    let sessions = settings(&config);
    let rules = Rules::new(&config).expect("no keys");
    let mut shard = shard_that_holds(config, sessions, rules);
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head("/tell", ""));
    sent(&mut shard, 1_700_000_000_000);
    say(&mut shard, id);
    let said = sent(&mut shard, 1_700_000_000_001);
    assert!(
        said.ends_with("at 1700000000000: keeps 3, told None"),
        "{said}"
    );
    say(&mut shard, id);
    let said = sent(&mut shard, 1_700_000_000_002);
    assert!(
        said.ends_with("at 1700000000001: keeps 3, told None"),
        "{said}"
    );
}

#[test]
fn other_settings_hold_from_the_next_turn_on_for_all_at_once() {
    let mut shard = shard_with(Config::default(), settings(&Config::default()));
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head("/tell", ""));
    sent(&mut shard, 0);
    let mut config = keeping(7);
    config.limits.subscriptions_max = 5;
    shard.handle_request(0, CONTROL, live(1, config, &settings(&Config::default())));
    assert!(shard.has_work(), "it must not sleep on it");
    assert!(!shard.has_delivery_for(CONTROL), "nothing holds yet");
    say(&mut shard, id);
    let said = sent(&mut shard, 0);
    assert!(said.ends_with("keeps 0, told None"), "{said}");
    assert_eq!(
        shard.poll_delivery(CONTROL),
        Some(Delivery::Reloaded { version: 1 })
    );
    say(&mut shard, id);
    let said = sent(&mut shard, 0);
    assert!(said.ends_with("keeps 7, told Some(5)"), "{said}");
    assert_eq!(shard.config().limits.subscriptions_max, 5);
    assert!(!shard.has_work());
}

#[test]
fn of_two_reloads_in_one_turn_the_later_holds_and_both_are_answered() {
    let mut shard = shard(Config::default());
    let sessions = settings(&Config::default());
    for (version, history_size) in [(1, 1), (2, 2)] {
        let request = live(version, keeping(history_size), &sessions);
        shard.handle_request(0, CONTROL, request);
    }
    shard.begin_turn(0, 0);
    let answers = std::iter::from_fn(|| shard.poll_delivery(CONTROL));
    let versions = [1, 2].map(|version| Delivery::Reloaded { version });
    assert_eq!(answers.collect::<Vec<_>>(), versions);
    assert_eq!(shard.rules.namespaces.of("news").history_size, 2);
}

#[test]
fn a_reload_that_turns_history_off_gives_up_what_is_kept_and_keeps_subscribers() {
    let config = keeping(10);
    let rules = Rules {
        namespaces: Arc::new(Namespaces::new(&config)),
        ..Rules::default()
    };
    let sessions = session::Settings::new(&config).expect("the default origins");
    let renewable = session::Settings::new(&config).expect("the default origins");
    let mut shard = shard_that_holds(config, sessions, rules);
    subscribe(&mut shard, "news");
    turn(&mut shard);
    publish(&mut shard, "news");
    assert_eq!(turn(&mut shard).len(), 1);
    assert!(shard.counters().history_bytes > 0);
    shard.handle_request(0, CONTROL, live(1, Config::default(), &renewable));
    turn(&mut shard);
    assert_eq!(shard.counters().history_bytes, 0);
    publish(&mut shard, "news");
    assert_eq!(turn(&mut shard).len(), 1, "the subscriber is still there");
}

#[test]
fn the_bound_of_lanes_holds_at_once_for_what_stands_in_them() {
    let config = Config::default();
    let sessions = session::Settings::new(&config).expect("the default origins");
    let mut shard = shard(config.clone());
    subscribe(&mut shard, "news");
    turn(&mut shard);
    publish(&mut shard, "news");
    assert!(shard.takes_deliveries());
    let mut narrow = config.clone();
    narrow.fanout.lane_bytes_max = 1;
    shard.handle_request(0, CONTROL, live(1, narrow, &sessions));
    shard.begin_turn(0, 0);
    assert!(!shard.takes_deliveries(), "the lane is full now");
    shard.handle_request(0, CONTROL, live(2, config, &sessions));
    shard.begin_turn(0, 0);
    assert!(shard.takes_deliveries());
    // What was counted as full before is counted out as it was counted in.
    let mut narrow = Config::default();
    narrow.fanout.lane_bytes_max = 1;
    shard.handle_request(0, CONTROL, live(3, narrow, &sessions));
    turn(&mut shard);
    assert!(shard.takes_deliveries());
    assert_eq!(shard.residue().pending_bytes, 0);
}

#[test]
fn origins_and_the_longest_message_are_those_of_the_newest_settings() {
    let before = Config::default();
    let sessions = session::Settings::new(&before).expect("the default origins");
    let mut now = Config::default();
    now.origins.allowed = vec!["https://good.example".to_owned()];
    now.limits.message_bytes_max = 4;
    let mut shard = shard(before);
    let knock = |shard: &mut Shard, origin: &str, path: &str| {
        let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let origin = format!("Origin: https://{origin}.example\r\n");
        shard.handle_input(0, id, &mut head(path, &origin));
        let answer = sent(shard, 0);
        (id, answer[9..12].to_owned())
    };
    let (old, status) = knock(&mut shard, "evil", "/pub/news");
    assert_eq!(status, "101");
    shard.handle_request(0, CONTROL, live(1, now, &sessions));
    sent(&mut shard, 0);
    assert_eq!(knock(&mut shard, "evil", "/pub/news").1, "403");
    assert_eq!(knock(&mut shard, "good", "/pub/news").1, "101");
    assert_eq!(knock(&mut shard, "evil", "/stomp").1, "403");
    // Who is in stays in, and is held to the new bound.
    shard.handle_input(
        0,
        old,
        &mut [0x81, 0x85, 0, 0, 0, 0, b'f', b'i', b'v', b'e', b'!'],
    );
    let said = sent(&mut shard, 0);
    assert!(
        said.ends_with("a message has more than 4 bytes"),
        "{said:?}"
    );
}
