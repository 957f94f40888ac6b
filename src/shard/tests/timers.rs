//! What endpoints are called with besides their clients' messages, under a clock of the test's own.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::channel::Refused;
use crate::endpoint::{Context, Endpoint, Heartbeat, Message, Request, Route, Routes, Timeout};
use crate::publication::Position;
use crate::ws::handshake::Refusal;

type Calls = Rc<RefCell<Vec<String>>>;

thread_local! {
    static CALLS: Calls = Rc::default();
}

/// Sets the timers that the path names and notes what it is called with.
struct Watcher(Calls);

impl Endpoint for Watcher {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let number = |name| request.parameter(name).and_then(|text| text.parse().ok());
        context.set_heartbeat(Heartbeat {
            send_every_ms: number("beat").unwrap_or(0),
            silence_ms_max: number("silence").unwrap_or(0),
        });
        context.set_deadline(number("deadline"));
        Ok(())
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message.as_bytes() {
            b"no deadline" => context.set_deadline(None),
            b"confirm" => {
                let ticket = context.publish_confirmed(&channel("news"), "x");
                self.0.borrow_mut().push(format!("ticket {ticket}"));
            }
            b"subscribe" => {
                context.subscribe(channel("chain:0"));
            }
            _ => {}
        }
    }

    fn subscribed(
        &mut self,
        (): &mut (),
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        if result.is_ok() {
            context.subscribe(channel(&format!("chain:{}", subscription + 1)));
        }
    }

    fn published(
        &mut self,
        (): &mut (),
        ticket: u32,
        result: Result<Position, Refused>,
        context: &mut Context<'_>,
    ) {
        let offset = result.expect("there is room for a channel").offset;
        self.0
            .borrow_mut()
            .push(format!("published {ticket} as {offset}"));
        context.publish_confirmed(&channel("news"), "again");
    }

    fn timeout(&mut self, (): &mut (), timeout: Timeout, _: &mut Context<'_>) {
        self.0.borrow_mut().push(format!("{timeout:?}"));
    }
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a short name")
}

fn watching(config: Config) -> (Shard, Calls) {
    let calls: Calls = CALLS.with(Rc::clone);
    calls.borrow_mut().clear();
    let route = Route::new("/{beat}/{silence}/{deadline}", || {
        Watcher(CALLS.with(Rc::clone))
    });
    let origins = (&["*".to_owned()][..], true);
    let routes = Routes::new(vec![route], Vec::new(), origins, "nothing").expect("a pattern");
    let sessions = session::Settings::with_routes(&config, routes);
    (shard_with(config, sessions), calls)
}

fn open(shard: &mut Shard, path: &str) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head(path, ""));
    id
}

fn say(shard: &mut Shard, now_ms: u64, id: ConnectionId, text: &str) {
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    shard.handle_input(now_ms, id, &mut frame);
}

/// Lets the time pass and returns when the endpoint was called, and with what.
fn pass(shard: &mut Shard, calls: &Calls, from_ms: u64, to_ms: u64) -> Vec<(u64, String)> {
    let mut heard = Vec::new();
    let mut now_ms = from_ms;
    while let Some(due) = shard.next_timeout_ms().filter(|due| *due <= to_ms) {
        now_ms = now_ms.max(due);
        shard.handle_timeout(now_ms);
        heard.extend(calls.borrow_mut().drain(..).map(|call| (now_ms, call)));
    }
    heard
}

#[test]
fn a_beat_comes_at_its_interval_whatever_the_client_says() {
    let (mut shard, calls) = watching(Config::default());
    let id = open(&mut shard, "/1000/0/none");
    say(&mut shard, 500, id, "hello");
    let beats = pass(&mut shard, &calls, 500, 4_500);
    assert_eq!(beats.len(), 4, "{beats:?}");
    for ((at_ms, call), n) in beats.iter().zip(1..) {
        assert_eq!(call, "Beat");
        // Each is as late as the timers are coarse.
        assert!(
            (n * 1_000..=n * 1_064 + 64).contains(at_ms),
            "{n}: {at_ms} ms"
        );
    }
}

#[test]
fn a_silence_is_told_once_and_counts_from_the_last_word() {
    let (mut shard, calls) = watching(Config::default());
    let id = open(&mut shard, "/0/2000/none");
    say(&mut shard, 1_500, id, "hello");
    assert_eq!(pass(&mut shard, &calls, 1_500, 3_400), []);
    let heard = pass(&mut shard, &calls, 3_400, 20_000);
    assert!(
        matches!(&*heard, [(3_500..=3_700, call)] if call == "Silence"),
        "{heard:?}"
    );
}

#[test]
fn a_deadline_passes_once_and_not_when_it_has_been_taken_back() {
    let (mut shard, calls) = watching(Config::default());
    open(&mut shard, "/0/0/700");
    let saved = open(&mut shard, "/0/0/700");
    say(&mut shard, 600, saved, "no deadline");
    let heard = pass(&mut shard, &calls, 600, 20_000);
    assert!(
        matches!(&*heard, [(700..=800, call)] if call == "Deadline"),
        "{heard:?}"
    );
}

#[test]
fn a_deadline_comes_in_time_although_a_ping_is_due_later_and_a_beat_earlier() {
    let (mut shard, calls) = watching(Config::default());
    open(&mut shard, "/300/5000/1000");
    let heard = pass(&mut shard, &calls, 0, 2_000);
    let deadline = heard.iter().find(|(_, call)| call == "Deadline");
    assert!(matches!(deadline, Some((1_000..=1_100, _))), "{heard:?}");
    assert_eq!(heard.len(), 7, "{heard:?}");
}

#[test]
fn a_session_that_publishes_when_it_is_told_of_a_publication_has_a_turn_for_each() {
    let (mut shard, calls) = watching(Config::default());
    let id = open(&mut shard, "/0/0/none");
    say(&mut shard, 0, id, "confirm");
    assert_eq!(
        calls.borrow_mut().drain(..).collect::<Vec<_>>(),
        ["ticket 0"]
    );
    for n in 0..3 {
        assert!(shard.has_work());
        turn(&mut shard);
        let told: Vec<String> = calls.borrow_mut().drain(..).collect();
        assert_eq!(told, [format!("published {n} as {}", n + 1)]);
    }
}

#[test]
fn a_session_that_subscribes_when_it_is_told_of_a_subscription_gets_as_many_as_it_may() {
    let mut config = Config::default();
    config.limits.subscriptions_max = 2_000;
    let (mut shard, _) = watching(config);
    let id = open(&mut shard, "/0/0/none");
    say(&mut shard, 0, id, "subscribe");
    // The one too many closes the connection, and that ends all of them.
    assert_eq!(shard.counters().closed_limit, 1);
    assert_eq!(shard.residue().interests, 0);
    assert_eq!(shard.counters().channels, 2_000);
}
