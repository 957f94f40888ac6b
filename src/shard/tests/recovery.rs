//! What subscribers that come back are sent.

use std::collections::HashMap;

use super::*;
use crate::channel::{Namespace, Namespaces};
use crate::endpoint::{Context, Endpoint, Message, Request as OpeningRequest, Route, Routes};
use crate::publication::{Position, Publication, Recovery, Since};
use crate::ws::handshake::Refusal;

/// Subscribes since the offset that the path names, and says how that began.
#[derive(Clone, Copy)]
struct Returning {
    /// Whether the publications are handed to it, of which it says the offsets.
    handed: bool,
}

impl Endpoint for Returning {
    type State = ();

    fn open(
        &mut self,
        request: &OpeningRequest<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let channel = ChannelName::parse("news")?;
        let offset = request
            .parameter("offset")
            .and_then(|text| text.parse().ok());
        let since = offset.map(Since::Offset);
        match (self.handed, since) {
            (true, since) => context.subscribe_handed_since(channel, since),
            (false, Some(since)) => context.subscribe_since(channel, since),
            (false, None) => context.subscribe(channel),
        };
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn subscribed(
        &mut self,
        (): &mut (),
        _: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        let text = match result {
            Ok(begun) => match begun.recovery {
                Recovery::Unasked => "unasked".to_owned(),
                Recovery::Whole(missed) => format!("whole {}", missed.len()),
                Recovery::Newest(missed) => format!("newest {}", missed.len()),
                Recovery::Gap => "gap".to_owned(),
            },
            Err(refused) => refused.to_string(),
        };
        context.send_text(&text);
    }

    fn publication(
        &mut self,
        (): &mut (),
        _: u32,
        publication: &Publication,
        _: bool,
        context: &mut Context<'_>,
    ) {
        let Position { offset, .. } = publication.position;
        context.send_text(&format!("handed {offset}"));
    }
}

fn shard_that_keeps(namespace: Namespace, config: Config) -> Shard {
    let routes = [("/lane/{offset}", false), ("/handed/{offset}", true)]
        .map(|(path, handed)| Route::new(path, move || Returning { handed }));
    let routes = Routes::new(
        routes.into(),
        Vec::new(),
        (&["*".to_owned()], true),
        "nothing",
    );
    let routes = routes.expect("good routes");
    let sessions = session::Settings::with_routes(&config, routes);
    let rules = Rules {
        namespaces: Arc::new(Namespaces::uniform(namespace)),
        ..Rules::default()
    };
    shard_that_holds(config, sessions, rules)
}

fn keeping(history_size: usize) -> Namespace {
    Namespace {
        history_size,
        history_ttl_ms: 60_000,
        history_bytes_max: 100_000_000,
        ..Namespace::default()
    }
}

fn come(shard: &mut Shard, path: &str) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head(path, ""));
    id
}

fn publish_numbered(shard: &mut Shard, number: u64) {
    let payload = format!("publication {number}").into();
    let request = Request::Publish {
        channel: ChannelName::parse("news").expect("a short name"),
        draft: Draft::new(Kind::Text, payload),
        ticket: None,
    };
    shard.handle_request(0, 0, request);
}

/// What each connection is sent in one turn, as texts.
fn texts(shard: &mut Shard, id: ConnectionId) -> Vec<String> {
    let mut bytes = Vec::new();
    let mut batch = Batch::default();
    shard.begin_turn(0, 0);
    while shard.poll_batch(0, &mut batch) {
        for (slot, part) in batch.iter() {
            if slot == id.slot {
                bytes.extend_from_slice(part);
            }
        }
        shard.handle_scattered(0, &batch, &[]);
    }
    shard.end_turn();
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let mut frames = &bytes[head.map_or(0, |at| at + 4)..];
    let mut texts = Vec::new();
    while let [0x81, len, rest @ ..] = frames {
        let (payload, behind) = rest.split_at(usize::from(*len));
        texts.push(String::from_utf8_lossy(payload).into_owned());
        frames = behind;
    }
    assert!(frames.is_empty(), "{frames:?}");
    texts
}

#[test]
fn what_was_missed_comes_behind_what_the_session_says_and_in_front_of_what_is_published_then() {
    let mut shard = shard_that_keeps(keeping(10), Config::default());
    for number in 1..=3 {
        publish_numbered(&mut shard, number);
    }
    let id = come(&mut shard, "/lane/1");
    publish_numbered(&mut shard, 4);
    let expected = ["whole 2", "publication 2", "publication 3", "publication 4"];
    assert_eq!(texts(&mut shard, id), expected);
    publish_numbered(&mut shard, 5);
    assert_eq!(texts(&mut shard, id), ["publication 5"]);
    assert_eq!(shard.counters().recovered, 2);
}

#[test]
fn a_session_that_is_handed_publications_is_handed_what_it_missed_first() {
    let mut shard = shard_that_keeps(keeping(10), Config::default());
    for number in 1..=3 {
        publish_numbered(&mut shard, number);
    }
    let id = come(&mut shard, "/handed/1");
    publish_numbered(&mut shard, 4);
    let expected = ["whole 2", "handed 2", "handed 3", "handed 4"];
    assert_eq!(texts(&mut shard, id), expected);
}

#[test]
fn a_gap_is_told_and_nothing_of_the_past_is_sent() {
    let mut shard = shard_that_keeps(keeping(2), Config::default());
    for number in 1..=5 {
        publish_numbered(&mut shard, number);
    }
    for path in ["/lane/2", "/handed/2", "/lane/6"] {
        let id = come(&mut shard, path);
        assert_eq!(texts(&mut shard, id), ["gap"], "{path}");
    }
    let id = come(&mut shard, "/lane/3");
    let expected = ["whole 2", "publication 4", "publication 5"];
    assert_eq!(texts(&mut shard, id), expected);
}

#[test]
fn all_who_come_back_are_sent_parts_of_one_buffer() {
    let mut shard = shard_that_keeps(keeping(100), Config::default());
    for number in 1..=100 {
        publish_numbered(&mut shard, number);
    }
    for missed in [100, 50, 99, 1] {
        come(&mut shard, &format!("/lane/{}", 100 - missed));
    }
    let mut batch = Batch::default();
    shard.begin_turn(0, 0);
    let mut ends = Vec::new();
    while shard.poll_batch(0, &mut batch) {
        ends.extend(
            batch
                .iter()
                .filter(|(_, part)| part.starts_with(b"\x81") && part.ends_with(b"publication 100"))
                .map(|(_, part)| part.as_ptr_range().end),
        );
        shard.handle_scattered(0, &batch, &[]);
    }
    shard.end_turn();
    assert_eq!(ends.len(), 4);
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    assert_eq!(shard.counters().recovered, 250);
    // It is not kept for long.
    assert!(shard.next_timeout_ms().is_some_and(|at| at <= 1_000));
    shard.handle_timeout(1_000);
    assert_eq!(shard.recovered.until_ms(), None);
}

#[test]
fn what_waits_for_those_who_come_back_is_bounded_and_who_comes_too_many_is_told_of_a_gap() {
    let mut config = Config::default();
    config.limits.recovery_bytes_max = 4_096;
    let mut shard = shard_that_keeps(keeping(1_000), config);
    for number in 1..=50 {
        publish_numbered(&mut shard, number);
    }
    // Each has missed something else, so that nobody gets parts of another's buffer.
    let mut came = Vec::new();
    for number in 51..=60 {
        publish_numbered(&mut shard, number);
        came.push((number, come(&mut shard, "/lane/0")));
        assert!(shard.counters().recovery_bytes <= 4_096);
    }
    let mut batch = Batch::default();
    let mut sent: HashMap<u32, Vec<u8>> = HashMap::new();
    shard.begin_turn(0, 0);
    while shard.poll_batch(0, &mut batch) {
        for (slot, part) in batch.iter() {
            sent.entry(slot).or_default().extend_from_slice(part);
        }
        shard.handle_scattered(0, &batch, &[]);
    }
    batch.clear();
    shard.end_turn();
    let mut gaps = 0;
    for (newest, id) in came {
        let sent = String::from_utf8_lossy(&sent[&id.slot]).into_owned();
        let whole = sent.contains(&format!("whole {newest}"));
        assert_eq!(sent.contains("publication 1\u{fffd}"), whole, "{sent}");
        assert!(whole || sent.contains("gap"), "{sent}");
        gaps += u64::from(!whole);
    }
    assert!((1..10).contains(&gaps), "{gaps}");
    assert_eq!(shard.counters().recoveries_refused, gaps);
    // When that is sent there is room again.
    let id = come(&mut shard, "/lane/0");
    assert_eq!(texts(&mut shard, id).len(), 61);
    shard.handle_timeout(2_000);
    assert_eq!(shard.counters().recovery_bytes, 0);
}

/// It keeps 2,000 publications, and a backlog has room for 4,096 bytes.
fn shard_with_more_than_a_backlog_holds() -> Shard {
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = 4_096;
    let mut shard = shard_that_keeps(keeping(2_000), config);
    for number in 1..=2_000 {
        publish_numbered(&mut shard, number);
    }
    shard
}

#[test]
fn who_takes_at_once_what_it_has_missed_has_no_longer_backlog_afterwards() {
    let mut shard = shard_with_more_than_a_backlog_holds();
    let id = come(&mut shard, "/lane/0");
    assert_eq!(texts(&mut shard, id).len(), 2_001);
    let connection = shard.connections.table.get(id).expect("it lives");
    assert!(connection.extra.is_none(), "what was granted is over");
}

#[test]
fn more_than_a_backlog_may_hold_can_be_recovered_by_one_that_takes_it_slowly() {
    let mut shard = shard_with_more_than_a_backlog_holds();
    let id = come(&mut shard, "/lane/0");
    let mut batch = Batch::default();
    let mut taken = 0;
    for _ in 0..10_000 {
        shard.begin_turn(0, 0);
        while shard.poll_batch(0, &mut batch) {
            let exceptions: Vec<Exception> = batch
                .iter()
                .zip(0..)
                .filter(|((_, part), _)| part.len() > 100)
                .map(|(_, send)| Exception { send, result: 100 })
                .collect();
            for ((_, part), send) in batch.iter().zip(0..) {
                let short = exceptions.iter().any(|one| one.send == send);
                taken += if short { 100 } else { part.len() };
            }
            shard.handle_scattered(0, &batch, &exceptions);
        }
        shard.end_turn();
        while shard.poll_effect().is_some() {}
        shard.handle_writable(id);
        if !shard.connections.is_stalled(id.slot) {
            break;
        }
    }
    assert!(taken > 30_000, "{taken}");
    assert_eq!(shard.counters().closed_slow, 0);
    let connection = shard.connections.table.get(id).expect("it lives");
    assert!(connection.extra.is_none(), "what was granted is over");
}
