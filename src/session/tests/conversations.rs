//! Conversations in which a live upgrade may come between any two words.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use proptest::sample::Index;
use ring::hmac;
use serde_json::{Value, json};

use super::world::{NAME, World};
use super::*;
use crate::access::{Access, AuthSettings};
use crate::channel::{ChannelsFull, Namespace, Namespaces};
use crate::endpoint::OrderedSubscription;
use crate::publication::{ClientInfo, Kind, Missed, Recovery};

const SECRET: &str = "a secret that is long enough for it";

/// The time of day at which tokens are made, in s.
const NOW_S: u64 = 1_800_000_000;

/// What a client says, or what comes for it.
#[derive(Clone, Debug)]
enum Step {
    /// A text message, in two pieces if it is cut.
    Say(String, Option<Index>),
    /// The shard answers one of those things that it was asked for and has not answered, somehow.
    Answer(usize, u8),
    Timeout(Timeout),
    /// So many ms pass.
    Pass(u64),
    Behind(bool),
    Order(Order),
    FallenBehind(u32),
    End(CloseCode),
}

/// All that has come of the steps; an upgrade behind each for which `upgrades` has a true.
fn converse(head: &[u8], rules: Rules, steps: &[Step], upgrades: &[bool]) -> World {
    let mut world = World::new(rules, None);
    let mut upgrades = upgrades.iter().copied().cycle();
    let mut upgrade = move |world: &mut World| {
        if upgrades.next() == Some(true) {
            world.upgrade();
        }
    };
    world.feed(head);
    upgrade(&mut world);
    let mut pending = Pending::default();
    for step in steps {
        pending.note(&world.commands);
        match step {
            Step::Say(text, cut) => {
                let frame = text_frame(text);
                let (first, rest) = frame.split_at(cut.map_or(0, |cut| cut.index(frame.len())));
                world.feed(first);
                upgrade(&mut world);
                world.feed(rest);
            }
            Step::Answer(which, how) => pending.answer(&mut world, *which, *how),
            Step::Timeout(timeout) => {
                world.act(|session, around| session.handle_timeout(*timeout, around));
            }
            Step::Pass(ms) => world.unix_ms += ms,
            Step::Behind(is_behind) => world.is_behind = *is_behind,
            Step::Order(order) => {
                world.act(|session, around| session.handle_order(order.clone(), around));
            }
            Step::FallenBehind(number) => world.act(|session, around| {
                session.handle_fallen_behind(*number, position(9), around);
            }),
            Step::End(code) => world.act(|session, around| {
                let refusal = Refusal::new(503, "over");
                session.end(*code, "over", None, &refusal, around);
            }),
        }
        world.said.extend(b"\n--\n");
        upgrade(&mut world);
    }
    world
}

/// What the session has asked its shard for.
#[derive(Default)]
struct Pending {
    commands: VecDeque<Command>,
    noted: usize,
}

impl Pending {
    fn note(&mut self, commands: &[Command]) {
        let new = commands[self.noted..].iter();
        let wants_answer = |command: &&Command| {
            matches!(
                command,
                Command::Subscribe { .. } | Command::Ask { .. } | Command::Publish { .. }
            )
        };
        self.commands.extend(new.filter(wants_answer).cloned());
        self.noted = commands.len();
    }

    fn answer(&mut self, world: &mut World, which: usize, how: u8) {
        if self.commands.is_empty() {
            return;
        }
        let Some(command) = self.commands.remove(which % self.commands.len()) else {
            return;
        };
        let refused = Refused::Channels(ChannelsFull);
        world.act(|session, around| match command {
            Command::Subscribe { subscription, .. } => {
                let missed = || Missed::new((5..7).map(publication).collect(), 1);
                let recovery = match how % 6 {
                    0 => return session.handle_subscribed(subscription, Err(refused), around),
                    1 | 2 => Recovery::Unasked,
                    3 => Recovery::Gap,
                    4 => Recovery::Newest(missed()),
                    _ => Recovery::Whole(missed()),
                };
                let begun = Begun {
                    position: position(6),
                    recovery,
                    recoverable: how & 8 == 0,
                };
                session.handle_subscribed(subscription, Ok(begun), around);
            }
            Command::Publish {
                ticket: Some(ticket),
                ..
            } => {
                let result = match how % 3 {
                    0 => Err(refused),
                    _ => Ok(position(7)),
                };
                session.handle_published(ticket, result, around);
            }
            Command::Ask { ticket, .. } => {
                let answer = match how % 8 {
                    0 => Answer::Refused(refused),
                    1 => Answer::NotKept,
                    2 => Answer::Unrecoverable(position(6)),
                    3 => Answer::Presence([Arc::new(info())].into()),
                    4 => Answer::PresenceStats {
                        clients: 3,
                        users: 2,
                    },
                    _ => Answer::History {
                        position: position(6),
                        publications: vec![publication(5), publication(6)],
                    },
                };
                session.handle_answered(ticket, answer, around);
            }
            _ => {}
        });
    }
}

fn position(offset: u64) -> Position {
    Position { epoch: 77, offset }
}

fn publication(offset: u64) -> Publication {
    crate::publication::Draft::new(Kind::Text, Bytes::from(format!("{{\"n\":{offset}}}")))
        .numbered(position(offset))
}

fn info() -> ClientInfo {
    ClientInfo {
        client: "3-1-1".into(),
        user: "bob".into(),
        ..ClientInfo::default()
    }
}

fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0xfe];
    match text.len() {
        len @ 0..126 => frame[1] = 0x80 | len as u8,
        len => frame.extend((len as u16).to_be_bytes()),
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token of ann's that the server takes for so many s.
fn connection_token(for_s: u64) -> String {
    token(&json!({
        "sub": "ann",
        "exp": NOW_S + for_s,
        "info": { "name": "Ann" },
        "channels": ["told"],
        "subs": { "more": { "info": { "x": 1 }, "data": { "y": 2 } } },
        "publish": ["news"],
        "subscribe": ["*"],
    }))
}

fn plain_token(for_s: u64) -> String {
    token(&json!({ "sub": "ann", "exp": NOW_S + for_s, "publish": ["*"], "subscribe": ["*"] }))
}

fn subscription_token(channel: &str, for_s: u64) -> String {
    let exp = NOW_S + for_s;
    token(&json!({ "sub": "ann", "channel": channel, "exp": exp, "info": { "c": channel } }))
}

fn rules(takes_tokens: bool, namespace: Namespace) -> Rules {
    let settings = AuthSettings {
        hmac_secret: takes_tokens.then(|| SECRET.to_owned()),
        ..AuthSettings::default()
    };
    Rules {
        namespaces: Arc::new(Namespaces::uniform(namespace)),
        access: Access::new(&settings).expect("a secret"),
    }
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let flags = any::<(bool, bool, bool)>();
    (flags, prop::sample::select(&[0_usize, 0, 10])).prop_map(
        |((takes_tokens, presence, cache), history_size)| {
            let namespace = Namespace {
                history_size,
                presence,
                cache,
                ..Namespace::default()
            };
            rules(takes_tokens, namespace)
        },
    )
}

/// What may come for any connection.
fn event() -> impl Strategy<Value = Step> {
    let channel = || prop::sample::select(&["a", "b", "news", "told"]);
    let name = |text: &str| ChannelName::parse(text).expect("a name");
    let ordered = channel().prop_map(move |channel| {
        Order::Subscribe(Box::new(OrderedSubscription {
            info: Bytes::from_static(br#"{"o":1}"#),
            data: Bytes::from_static(br#"{"d":1}"#),
            ..OrderedSubscription::to(name(channel))
        }))
    });
    let order = prop_oneof![
        3 => ordered,
        2 => Just(Order::Send("by order".into())),
        2 => channel().prop_map(move |channel| Order::Unsubscribe(Some(name(channel)))),
        1 => Just(Order::Unsubscribe(None)),
        1 => Just(Order::Close { code: CloseCode::POLICY, reason: "by order".to_owned() }),
    ];
    prop_oneof![
        24 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Answer(which, how)),
        6 => Just(Step::Timeout(Timeout::Beat)),
        6 => Just(Step::Timeout(Timeout::Deadline)),
        6 => (0_u64..40_000).prop_map(Step::Pass),
        3 => any::<bool>().prop_map(Step::Behind),
        6 => order.prop_map(Step::Order),
        2 => (0_u32..4).prop_map(Step::FallenBehind),
        1 => prop::sample::select(vec![CloseCode::SERVICE_RESTART, CloseCode::TRY_AGAIN_LATER]).prop_map(Step::End),
    ]
}

fn centrifuge_command() -> impl Strategy<Value = String> {
    let channel = || prop::sample::select(&["a", "b", "news", "told"]);
    let subscribe = (channel(), any::<bool>(), 0_u64..8, 0_u64..3, any::<bool>()).prop_map(
        |(channel, recover, offset, flag, with_token)| {
            let token = match with_token {
                true => subscription_token(channel, 30),
                false => String::new(),
            };
            json!({ "subscribe": {
                "channel": channel, "recover": recover, "offset": offset, "flag": flag, "token": token,
            } })
        },
    );
    let one = prop_oneof![
        8 => subscribe,
        3 => channel().prop_map(|channel| json!({ "unsubscribe": { "channel": channel } })),
        4 => channel().prop_map(|channel| json!({ "publish": { "channel": channel, "data": { "n": 1 } } })),
        2 => channel().prop_map(|channel| json!({ "presence": { "channel": channel } })),
        1 => channel().prop_map(|channel| json!({ "presence_stats": { "channel": channel } })),
        2 => channel().prop_map(|channel| json!({ "history": { "channel": channel, "limit": 5 } })),
        2 => Just(json!({ "refresh": { "token": plain_token(60) } })),
        2 => channel().prop_map(|channel| json!({ "sub_refresh": {
            "channel": channel, "token": subscription_token(channel, 90),
        } })),
        1 => Just(json!({ "rpc": {} })),
    ];
    let numbered = (1_u32..1_000, one).prop_map(|(id, mut command)| {
        command["id"] = id.into();
        command.to_string()
    });
    prop_oneof![20 => numbered, 4 => Just("{}".to_owned()), 1 => Just("{".to_owned())]
}

fn centrifuge_step() -> impl Strategy<Value = Step> {
    let said = prop::collection::vec(centrifuge_command(), 1..3).prop_map(|lines| lines.join("\n"));
    let cut = prop::option::of(any::<Index>());
    prop_oneof![
        1 => (said, cut).prop_map(|(said, cut)| Step::Say(said, cut)),
        1 => event(),
    ]
}

/// The first command of most.
fn connect() -> impl Strategy<Value = Step> {
    let token = prop_oneof![
        4 => Just(connection_token(20)),
        2 => Just(plain_token(20)),
        2 => Just(String::new()),
        1 => Just("nonsense".to_owned()),
    ];
    let subs = prop_oneof![
        Just(json!({})),
        Just(json!({ "told": { "recover": true, "offset": 5, "epoch": "77" } })),
        Just(json!({ "told": { "recover": true, "offset": 2 } })),
    ];
    (token, subs).prop_map(|(token, subs)| {
        let command = json!({ "id": 1, "connect": { "token": token, "subs": subs } });
        Step::Say(command.to_string(), None)
    })
}

fn centrifuge_steps() -> impl Strategy<Value = Vec<Step>> {
    let connect = prop_oneof![9 => connect().prop_map(Some), 1 => Just(None)];
    let more = prop::collection::vec(centrifuge_step(), 0..30);
    (connect, more).prop_map(|(first, more)| first.into_iter().chain(more).collect())
}

fn centrifuge_head(token: Option<&str>) -> Vec<u8> {
    websocket_head(&match token {
        Some(token) => format!("/connection/websocket?token={token}"),
        None => "/connection/websocket".to_owned(),
    })
}

fn websocket_head(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A request of the raw protocol's, for a WebSocket or for an event stream.
fn raw_head() -> impl Strategy<Value = Vec<u8>> {
    let path = prop::sample::select(&[
        "/sub/news?",
        "/sub/news?offset=3",
        "/sub?channel=a&channel=b",
        "/sub?channel=a&channel=a",
        "/pub/news?",
    ]);
    let token = prop_oneof![
        Just(String::new()),
        Just(plain_token(20)),
        Just(subscription_token("news", 20)),
    ];
    let request = (path, token, any::<bool>(), any::<bool>());
    request.prop_map(|(path, token, is_stream, returns)| {
        let path = match token.is_empty() {
            true => path.to_owned(),
            false => format!("{path}&token={token}"),
        };
        let last = if returns {
            "Last-Event-ID: 77-4\r\n"
        } else {
            ""
        };
        match is_stream {
            true => {
                format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n{last}\r\n")
                    .into_bytes()
            }
            false => websocket_head(&path),
        }
    })
}

fn raw_step() -> impl Strategy<Value = Step> {
    let cut = prop::option::of(any::<Index>());
    prop_oneof![
        1 => ("[a-z]{0,10}", cut).prop_map(|(text, cut)| Step::Say(text, cut)),
        2 => event(),
    ]
}

fn assert_alike(one: &World, other: &World) {
    let text = |world: &World| String::from_utf8_lossy(&world.said).into_owned();
    assert_eq!(text(one), text(other));
    assert_eq!(one.said, other.said);
    assert_eq!(one.commands, other.commands);
}

proptest! {
    #[test]
    fn a_conversation_in_centrifugos_protocol_is_the_same_with_upgrades_in_it(
        rules in any_rules(),
        token in prop_oneof![3 => Just(None), 1 => Just(Some(connection_token(20)))],
        steps in centrifuge_steps(),
        upgrades in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let head = centrifuge_head(token.as_deref());
        let alone = converse(&head, rules.clone(), &steps, &[false]);
        assert_alike(&converse(&head, rules.clone(), &steps, &[true]), &alone);
        assert_alike(&converse(&head, rules, &steps, &upgrades), &alone);
    }

    #[test]
    fn a_conversation_in_the_raw_protocol_or_on_a_stream_is_the_same_with_upgrades_in_it(
        rules in any_rules(),
        head in raw_head(),
        steps in prop::collection::vec(raw_step(), 0..20),
        upgrades in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let alone = converse(&head, rules.clone(), &steps, &[false]);
        assert_alike(&converse(&head, rules.clone(), &steps, &[true]), &alone);
        assert_alike(&converse(&head, rules, &steps, &upgrades), &alone);
    }

    #[test]
    fn a_client_whose_saved_state_is_damaged_ends_nothing_but_its_connection(
        rules in any_rules(),
        steps in centrifuge_steps(),
        after in prop::collection::vec(centrifuge_step(), 0..10),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut world = converse(&centrifuge_head(None), rules, &steps, &[false]);
        let mut saved = world.save().expect("an endpoint that saves");
        for (at, byte) in damage {
            let at = at.index(saved.len());
            saved[at] ^= byte;
        }
        if world.restore(&saved).is_ok() {
            for step in after {
                match step {
                    Step::Say(text, _) => world.feed(&text_frame(&text)),
                    Step::Timeout(timeout) => {
                        world.act(|session, around| session.handle_timeout(timeout, around));
                    }
                    _ => {}
                }
            }
            world.act(|session, around| session.lose(around));
        }
    }
}

/// The last that was said, and whether the connection is open.
fn last(world: &World) -> (String, bool) {
    let said = String::from_utf8_lossy(&world.said);
    let mut said = said.rsplit("\n--\n");
    let last = said.find(|said| !said.is_empty()).unwrap_or_default();
    (last.to_owned(), !world.session().is_over())
}

#[test]
fn a_token_expires_at_its_time_whatever_the_program_is_that_it_was_shown_to() {
    let rules = rules(true, Namespace::default());
    for path in ["/sub/news", "/sub?channel=a&channel=b", "/pub/news"] {
        let joint = if path.contains('?') { '&' } else { '?' };
        let head = websocket_head(&format!("{path}{joint}token={}", plain_token(20)));
        let early = [Step::Pass(20_000), Step::Timeout(Timeout::Deadline)];
        let world = converse(&head, rules.clone(), &early, &[true]);
        assert!(last(&world).1, "{path}: its time has not come");
        let late = [Step::Pass(25_000), Step::Timeout(Timeout::Deadline)];
        let world = converse(&head, rules.clone(), &late, &[true]);
        let (said, is_open) = last(&world);
        assert!(
            !is_open && said.contains("the token has expired"),
            "{path}: {said}"
        );
    }
}

#[test]
fn a_client_that_waits_for_its_reply_to_connect_gets_it_from_the_next_program() {
    let namespace = Namespace {
        history_size: 10,
        ..Namespace::default()
    };
    let connect = json!({ "id": 1, "connect": { "token": connection_token(20) } }).to_string();
    let subscribe = json!({ "id": 2, "subscribe": { "channel": "a" } }).to_string();
    let steps = [
        Step::Say(connect, None),
        Step::Say(subscribe, None),
        Step::Answer(0, 5),
        Step::Answer(0, 5),
    ];
    let world = converse(
        &centrifuge_head(None),
        rules(true, namespace),
        &steps,
        &[true],
    );
    let (said, is_open) = last(&world);
    assert!(is_open, "{said}");
    for part in [
        &format!("\"client\":\"{NAME}\""),
        "\"told\":",
        "\"more\":",
        "\"offset\":6",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let subscribed = world.commands.iter().filter_map(|command| match command {
        Command::Subscribe { subscribe, .. } => Some(subscribe.channel.as_str()),
        _ => None,
    });
    assert_eq!(subscribed.collect::<Vec<_>>(), ["more", "told", "a"]);
}
