//! What the control thread asks of a shard, and what is published with keys.

use super::*;
use crate::channel::{Glob, REMEMBERED_MS};
use crate::endpoint::{Addressee, Context, Endpoint, Message, Order, Request as Opening};
use crate::endpoint::{Route, Routes};
use crate::shard::mail::{Survey, Surveyed};
use crate::ws::close::CloseCode;
use crate::ws::handshake::Refusal;

/// The control thread, the peer behind the only shard.
const CONTROL: usize = 1;

/// Is one of the user's that the path names.
struct Member;

impl Endpoint for Member {
    type State = ();

    fn open(&mut self, request: &Opening<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let user = request.parameter("user").unwrap_or_default();
        context.identify(user, &context.name().to_string());
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}

fn shard_of_members(config: Config) -> Shard {
    let routes = vec![Route::new("/{user}", || Member)];
    let routes = Routes::new(routes, Vec::new(), (&["*".to_owned()], true), "nothing");
    let sessions = session::Settings::with_routes(&config, routes.expect("good routes"));
    shard_with(config, sessions)
}

fn come(shard: &mut Shard, path: &str) -> ConnectionId {
    let id = shard.handle_accept(0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    shard.handle_input(0, id, &mut head(path, ""));
    id
}

fn ask(shard: &mut Shard, survey: Survey) {
    let ticket = Ticket {
        asker: 7,
        subscription: 0,
    };
    let survey = Box::new(survey);
    shard.handle_request(0, CONTROL, Request::Survey { ticket, survey });
}

/// The answer, if it is there.
fn answer(shard: &mut Shard) -> Option<Surveyed> {
    match shard.poll_delivery(CONTROL)? {
        Delivery::Surveyed { ticket, answer } => {
            assert_eq!(ticket.asker, 7);
            Some(*answer)
        }
        other => panic!("no answer to a survey: {other:?}"),
    }
}

fn close(user: &str) -> Survey {
    Survey::User {
        addressee: Addressee::user(user),
        order: Order::Close {
            code: CloseCode::NORMAL,
            reason: "enough".to_owned(),
        },
    }
}

#[test]
fn an_order_to_very_many_connections_is_obeyed_over_several_turns_and_answered_when_all_have() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 16;
    let mut shard = shard_of_members(config);
    for _ in 0..40 {
        come(&mut shard, "/ann");
    }
    let bob = come(&mut shard, "/bob");
    for _ in 0..8 {
        turn(&mut shard);
    }
    ask(&mut shard, close("ann"));
    ask(&mut shard, close("bob"));
    let mut left = Vec::new();
    while answer(&mut shard).is_none() {
        left.push(
            shard
                .users
                .find(&Addressee::user("ann"), |_| String::new())
                .len(),
        );
        assert!(shard.has_work());
        turn(&mut shard);
    }
    assert_eq!(left, [40 - 16, 40 - 32]);
    assert!(
        shard
            .users
            .find(&Addressee::user("ann"), |_| String::new())
            .is_empty()
    );
    // The answer was the one to the first; the second is obeyed behind it.
    for _ in 0..8 {
        turn(&mut shard);
    }
    assert_eq!(answer(&mut shard), Some(Surveyed::Told(1)));
    assert_eq!(shard.residue().users, 0);
    assert!(
        shard.connections.table.get(bob).is_some(),
        "it is being closed"
    );
}

#[test]
fn a_connection_that_goes_is_nobodys() {
    let mut shard = shard_of_members(Config::default());
    let gone = come(&mut shard, "/ann");
    come(&mut shard, "/ann");
    turn(&mut shard);
    assert_eq!(shard.residue().users, 1);
    shard.handle_end(0, gone);
    ask(&mut shard, close("ann"));
    assert_eq!(answer(&mut shard), Some(Surveyed::Told(1)));
    assert_eq!(shard.residue().users, 0);
    ask(&mut shard, close("ann"));
    assert_eq!(answer(&mut shard), Some(Surveyed::Told(0)));
}

#[test]
fn a_shard_counts_what_it_has() {
    let mut shard = shard(Config::default());
    for channel in ["a", "a", "b"] {
        subscribe(&mut shard, channel);
    }
    let gone = subscribe(&mut shard, "c");
    turn(&mut shard);
    shard.handle_end(0, gone);
    publish(&mut shard, "nobody");
    ask(&mut shard, Survey::Counts);
    let counts = Surveyed::Counts {
        connections: 4,
        subscriptions: 3,
        channels: 2,
        users: Some(Vec::new()),
    };
    assert_eq!(answer(&mut shard), Some(counts), "one is being closed");
    let mut channels = |pattern: Option<&str>, channels_max| {
        let pattern = pattern.map(|text| Glob::parse(text).expect("a good pattern"));
        let survey = Survey::Channels {
            pattern,
            channels_max,
        };
        ask(&mut shard, survey);
        match answer(&mut shard) {
            Some(Surveyed::Channels(mut found)) => {
                found.sort();
                let found = found.into_iter();
                Some(
                    found
                        .map(|(channel, count)| (channel.to_string(), count))
                        .collect::<Vec<_>>(),
                )
            }
            Some(Surveyed::TooManyChannels) => None,
            other => panic!("no channels: {other:?}"),
        }
    };
    let found = |all: &[(&str, usize)]| {
        let all = all
            .iter()
            .map(|(channel, count)| ((*channel).to_owned(), *count));
        Some(all.collect::<Vec<_>>())
    };
    assert_eq!(channels(None, 2), found(&[("a", 2), ("b", 1)]));
    assert_eq!(channels(None, 1), None);
    assert_eq!(channels(Some("[b-z]"), 1), found(&[("b", 1)]));
    assert_eq!(channels(Some("a"), 0), found(&[("a", 2)]));
    assert_eq!(channels(Some("c"), 1), found(&[]));
}

#[test]
fn a_key_is_good_for_one_publication_in_five_minutes() {
    let mut shard = shard(Config::default());
    let mut publish_once = |now_ms, key: &str| {
        let request = Request::PublishOnce {
            channel: ChannelName::parse("news").expect("a short name"),
            key: key.into(),
            draft: Box::new(Draft::new(Kind::Text, Bytes::from_static(b"hello"))),
            ticket: Some(Ticket {
                asker: 1,
                subscription: 0,
            }),
        };
        shard.handle_request(now_ms, CONTROL, request);
        match shard.poll_delivery(CONTROL) {
            Some(Delivery::Published { result, .. }) => result.expect("room").offset,
            other => panic!("no place: {other:?}"),
        }
    };
    assert_eq!(publish_once(0, "a"), 1);
    assert_eq!(publish_once(1, "a"), 1);
    assert_eq!(publish_once(2, "b"), 2);
    assert_eq!(publish_once(REMEMBERED_MS - 1, "a"), 1);
    assert_eq!(publish_once(REMEMBERED_MS, "a"), 3);
    let counters = shard.counters();
    assert_eq!(
        (counters.publications, counters.publications_repeated),
        (3, 2)
    );
}
