//! Connections whose tokens expire, under clocks of the test's own: one that only goes forward, and the time of day. And those
//! whose rights are others all at once.

use super::*;
use crate::access::{Access, AuthSettings, CLOCK_LEEWAY_MS, NewToken};
use crate::channel::{Namespace, Namespaces, SlowPolicy, Who};

/// The time of day at the beginning.
const BEGIN_MS: u64 = 1_800_000_000_000;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// One shard, and what it says to the one client that it has.
struct World {
    shard: Shard,
    now_ms: u64,
    /// By how much the time of day has been set.
    set_ms: i64,
    /// Whether the client's socket takes anything.
    takes: bool,
    said: String,
}

impl World {
    /// With a client that listens to an event stream, with a token that expires so long after the beginning.
    fn new(expires_in_ms: u64) -> Self {
        let auth = auth();
        let namespace = Namespace {
            slow_consumer: SlowPolicy::DropOldest,
            ..Namespace::default()
        };
        let rules = Rules {
            namespaces: Arc::new(Namespaces::uniform(namespace)),
            access: Access::new(&auth).expect("a secret"),
        };
        let mut config = Config::default();
        config.timeouts.ping_interval_ms = 3_600_000;
        config.slow_consumer.backlog_age_ms_max = 3_600_000;
        let mut world = Self::empty(config, rules);
        let token = auth.sign(&NewToken {
            user: "ann".to_owned(),
            expires_at_s: Some((BEGIN_MS + expires_in_ms) / 1_000),
            ..NewToken::default()
        });
        let head = format!(
            "GET /sub/news?token={} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
            token.expect("a token")
        );
        world.open(head.into_bytes());
        assert!(world.said.starts_with("HTTP/1.1 200 OK"), "{}", world.said);
        world
    }

    /// Without a client.
    fn empty(config: Config, rules: Rules) -> Self {
        let sessions = session::Settings::new(&config).expect("the default origins");
        Self {
            shard: shard_that_holds(config, sessions, rules),
            now_ms: 0,
            set_ms: 0,
            takes: true,
            said: String::new(),
        }
    }

    fn open(&mut self, mut head: Vec<u8>) -> ConnectionId {
        self.turn();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let id = self.shard.handle_accept(self.now_ms, peer);
        self.shard.handle_input(self.now_ms, id, &mut head);
        self.turn();
        id
    }

    fn say(&mut self, id: ConnectionId, text: &str) {
        let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.shard.handle_input(self.now_ms, id, &mut frame);
        self.turn();
    }

    fn turn(&mut self) {
        let unix_ms = (BEGIN_MS + self.now_ms).saturating_add_signed(self.set_ms);
        let mut batch = Batch::default();
        self.shard.begin_turn(self.now_ms, unix_ms);
        self.shard.handle_timeout(self.now_ms);
        while self.shard.poll_batch(self.now_ms, &mut batch) {
            let mut exceptions = Vec::new();
            for ((_, bytes), send) in batch.iter().zip(0..) {
                match self.takes {
                    true => self.said += &String::from_utf8_lossy(bytes),
                    false => exceptions.push(Exception { send, result: -11 }),
                }
            }
            self.shard
                .handle_scattered(self.now_ms, &batch, &exceptions);
        }
        self.shard.end_turn();
        while self.shard.poll_effect().is_some() {}
    }

    /// Lets time pass, and does what is due meanwhile.
    fn pass_until(&mut self, until_ms: u64) {
        while let Some(due_ms) = self.shard.next_timeout_ms().filter(|due| *due <= until_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.turn();
        }
        self.now_ms = until_ms;
    }

    fn expired(&self) -> u64 {
        self.shard.counters().closed_expired
    }
}

fn auth() -> AuthSettings {
    AuthSettings {
        hmac_secret: Some("a secret that is long enough for it".to_owned()),
        ..AuthSettings::default()
    }
}

#[test]
fn a_stream_ends_with_an_event_when_its_token_would_not_be_taken_any_more_and_not_before() {
    let mut world = World::new(60_000);
    world.pass_until(60_000 + CLOCK_LEEWAY_MS - 1);
    assert_eq!(world.expired(), 0);
    world.said.clear();
    world.pass_until(60_000 + CLOCK_LEEWAY_MS + 100);
    assert_eq!(world.expired(), 1);
    let event = "event: expired\ndata: the token has expired: connect again with a new one\n\n";
    assert!(world.said.starts_with(event), "{}", world.said);
    publish(&mut world.shard, "news");
    world.turn();
    assert!(!world.said.contains("hello"), "{}", world.said);
    assert_eq!(world.shard.residue().interests, 0);
}

#[test]
fn a_token_that_lives_for_longer_than_a_deadline_reaches_is_kept_to_its_time() {
    assert!(60 * DAY_MS > u64::from(u32::MAX));
    let mut world = World::new(60 * DAY_MS);
    for day in 1..=60 {
        world.now_ms = day * DAY_MS;
        world.turn();
        assert_eq!(world.expired(), 0, "day {day}");
    }
    world.pass_until(60 * DAY_MS + CLOCK_LEEWAY_MS + 100);
    assert_eq!(world.expired(), 1);
}

#[test]
fn a_clock_that_is_set_back_gives_the_token_that_time_too() {
    let mut world = World::new(60_000);
    world.pass_until(30_000);
    world.set_ms = -20_000;
    world.pass_until(75_000);
    assert_eq!(world.expired(), 0);
    world.pass_until(80_000 + CLOCK_LEEWAY_MS + 200);
    assert_eq!(world.expired(), 1);
}

#[test]
fn a_stream_that_is_behind_ends_as_well() {
    let mut world = World::new(60_000);
    world.takes = false;
    publish(&mut world.shard, "news");
    world.turn();
    assert!(world.shard.counters().backlog_bytes > 0);
    world.pass_until(60_000);
    assert_eq!(world.expired(), 0);
    world.pass_until(60_000 + CLOCK_LEEWAY_MS + 100);
    assert_eq!(world.expired(), 1);
    // A client that never takes anything is not waited for.
    world.pass_until(3_600_000 / 2);
    let counters = world.shard.counters();
    assert_eq!((counters.backlog_bytes, counters.closed_slow), (0, 0));
    assert_eq!(world.shard.residue().interests, 0);
}

/// Rules by which who may publish everywhere may publish to `news`, or nobody may.
fn rules(publish: Who) -> Arc<Rules> {
    let namespace = Namespace {
        publish,
        ..Namespace::default()
    };
    Arc::new(Rules {
        namespaces: Arc::new(Namespaces::uniform(namespace)),
        access: Access::new(&auth()).expect("a secret"),
    })
}

#[test]
fn a_publisher_whose_right_is_taken_away_is_closed_when_it_publishes() {
    let mut shard = shard(Config::default());
    shard.rules = rules(Who::Token);
    let token = auth().sign(&NewToken {
        publish: vec!["*".to_owned()],
        ..NewToken::default()
    });
    let path = format!("/pub/news?token={}", token.expect("a token"));
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head(&path, ""));
    let message = b"\x81\x85\0\0\0\0hello";
    shard.handle_input(0, id, &mut message.to_vec());
    assert_eq!(shard.counters().publications, 1);
    shard.rules = rules(Who::Nobody);
    assert_eq!(shard.counters().closed_unauthorized, 0);
    shard.handle_input(0, id, &mut message.to_vec());
    assert_eq!(shard.counters().publications, 1);
    assert_eq!(shard.counters().closed_unauthorized, 1);
}

#[test]
fn an_answer_to_a_ping_is_not_missed_while_nobody_reads_it() {
    let mut config = Config::default();
    config.timeouts.ping_interval_ms = 10_000;
    config.timeouts.pong_timeout_ms = 1_000;
    config.slow_consumer.backlog_age_ms_max = 3_600_000;
    let mut world = World::empty(config, Rules::default());
    let id = world.open(head("/connection/websocket", ""));
    world.say(id, r#"{"id":1,"connect":{}}"#);
    world.say(id, r#"{"id":2,"subscribe":{"channel":"news"}}"#);
    world.said.clear();
    world.pass_until(10_200);
    assert!(world.said.contains("{}"), "a ping: {}", world.said);
    world.takes = false;
    publish(&mut world.shard, "news");
    world.turn();
    assert!(world.shard.counters().backlog_bytes > 0);
    world.pass_until(18_000);
    assert_eq!(world.shard.residue().interests, 1, "it goes on");
    // It takes all, and has not answered.
    world.takes = true;
    world.shard.handle_writable(id);
    world.turn();
    world.pass_until(20_000);
    assert!(world.said.contains("no pong"), "{}", world.said);
    assert_eq!(world.shard.residue().interests, 0);
}
