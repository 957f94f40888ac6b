//! A client that was saved and restored, beside the one that it was made of.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::channel::{ChannelName, QueueFull, Refused};
use crate::config::{Config, Secret};
use crate::endpoint::context::Sight;
use crate::endpoint::stomp::settings::Settings;
use crate::endpoint::stomp::{Presented, Stomp};
use crate::endpoint::{
    Command, ConnectionName, Context, Endpoint, Message, Order, Payload, Timeout, Transport,
};
use crate::publication::{Begun, Kind, Missed, Position, Publication, Recovery};
use crate::rules::Rules;
use crate::stomp::Version;
use crate::table::Key;
use crate::ws::close::CloseCode;
use crate::ws::deflate::{Codec, CompressionSettings};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

const NAME: ConnectionName = ConnectionName {
    shard: 0,
    key: Key {
        slot: 3,
        generation: 1,
    },
};

/// Where the time of day begins, in ms since 1970.
const TODAY_MS: u64 = 1_700_000_000_000;

/// An instance of the endpoint and its one client.
struct World {
    stomp: Stomp,
    client: Client,
    next_number: u32,
    codec: Codec,
}

/// All that a callback causes: bytes to the client, commands, the close.
type Outcome = (Bytes, Vec<Command>, Option<(CloseCode, String)>);

impl World {
    fn new(config: &Config, token: Option<&str>) -> Self {
        let token = token.map(|token| Box::new(Presented(token.into())));
        Self {
            stomp: Stomp::new(Arc::new(Settings::new(config))),
            client: Client {
                reader: Reader::new(),
                stage: Stage::Connecting(token),
            },
            next_number: 0,
            codec: Codec::new(CompressionSettings {
                message_bytes_min: 0,
                level: 1,
                memory_level: 1,
            }),
        }
    }

    /// The same after an upgrade: another instance, and the client as it was saved.
    fn taken_over(&self, config: &Config) -> Option<Self> {
        let saved = Endpoint::save(&self.stomp, NAME, &self.client)?;
        let mut world = Self::new(config, None);
        world.client = Endpoint::restore(&mut world.stomp, NAME, &saved)?;
        world.next_number = self.next_number;
        Some(world)
    }

    fn act(&mut self, rules: &Rules, unix_ms: u64, call: &Call) -> Outcome {
        let (mut replies, mut commands) = (BytesMut::new(), Vec::new());
        let sight = Sight {
            name: NAME,
            rules,
            unix_ms,
            is_behind: false,
        };
        let mut context = Context::new(
            sight,
            &mut self.next_number,
            Transport::WebSocket(None),
            &mut self.codec,
            &mut replies,
            &mut commands,
        );
        let (stomp, client) = (&mut self.stomp, &mut self.client);
        match call.clone() {
            Call::Input(bytes) => stomp.message(client, Message::Binary(&bytes), &mut context),
            Call::Subscribed(number, result) => {
                stomp.subscribed(client, number, result, &mut context);
            }
            Call::Published(ticket, result) => {
                stomp.published(client, ticket, result, &mut context);
            }
            Call::Done(ticket) => stomp.done(client, ticket, &mut context),
            Call::Publication(number, publication) => {
                stomp.publication(client, number, &publication, false, &mut context);
            }
            Call::FallenBehind(number, last) => {
                stomp.fallen_behind(client, number, last, &mut context);
            }
            Call::Ordered(order) => stomp.ordered(client, order, &mut context),
            Call::Timeout(timeout) => stomp.timeout(client, timeout, &mut context),
            Call::Reloaded(config) => stomp.reloaded(&config),
            Call::Farewell => stomp.farewell(client, CloseCode::GOING_AWAY, "bye", &mut context),
        }
        let closing = context.into_closing();
        (replies.freeze(), commands, closing)
    }
}

/// What a shard calls.
#[derive(Clone, Debug)]
enum Call {
    Input(Vec<u8>),
    Subscribed(u32, Result<Begun, Refused>),
    Published(u32, Result<Position, Refused>),
    Done(u32),
    Publication(u32, Publication),
    FallenBehind(u32, Position),
    Ordered(Order),
    Timeout(Timeout),
    Reloaded(Box<Config>),
    Farewell,
}

/// What happens next; numbers stand for one of those that there are.
#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        destination: usize,
        ack: usize,
        prefetch: u32,
        with_token: bool,
        since: bool,
    },
    Unsubscribe(Index),
    Send {
        destination: usize,
        transaction: Option<Index>,
        bytes: usize,
    },
    Acknowledge {
        which: Index,
        is_ack: bool,
        transaction: Option<Index>,
    },
    Begin,
    End {
        which: Index,
        commits: bool,
    },
    Beat,
    Nonsense,
    Disconnect,
    Answer {
        which: Index,
        refuses: bool,
        gap: bool,
    },
    Publish(Index, usize),
    FallBehind(Index),
    Ordered(bool),
    Timeout(Timeout),
    Reload,
    Farewell,
}

/// A step, whether its frame has a receipt, and where the frame is cut, if it is.
type Turn = (Step, bool, Option<Index>, u64);

fn turn() -> impl Strategy<Value = Turn> {
    let transaction = || prop::option::weighted(0.3, any::<Index>());
    let step = prop_oneof![
        20 => (0usize..4, 0usize..3, 1u32..4, any::<bool>(), any::<bool>()).prop_map(
            |(destination, ack, prefetch, with_token, since)| Step::Subscribe {
                destination, ack, prefetch, with_token, since,
            }
        ),
        8 => any::<Index>().prop_map(Step::Unsubscribe),
        20 => (0usize..4, transaction(), 0usize..100).prop_map(
            |(destination, transaction, bytes)| Step::Send { destination, transaction, bytes }
        ),
        20 => (any::<Index>(), any::<bool>(), transaction()).prop_map(
            |(which, is_ack, transaction)| Step::Acknowledge { which, is_ack, transaction }
        ),
        8 => Just(Step::Begin),
        8 => (any::<Index>(), any::<bool>()).prop_map(|(which, commits)| Step::End { which, commits }),
        4 => Just(Step::Beat),
        30 => (any::<Index>(), prop::bool::weighted(0.02), any::<bool>()).prop_map(
            |(which, refuses, gap)| Step::Answer { which, refuses, gap }
        ),
        40 => (any::<Index>(), 0usize..200).prop_map(|(which, bytes)| Step::Publish(which, bytes)),
        2 => any::<Index>().prop_map(Step::FallBehind),
        2 => prop::bool::weighted(0.1).prop_map(Step::Ordered),
        6 => Just(Step::Timeout(Timeout::Deadline)),
        2 => Just(Step::Timeout(Timeout::Beat)),
        2 => Just(Step::Reload),
        1 => prop_oneof![
            Just(Step::Nonsense),
            Just(Step::Disconnect),
            Just(Step::Farewell),
            Just(Step::Timeout(Timeout::Silence)),
        ],
    ];
    let cut = prop::option::weighted(0.3, any::<Index>());
    (step, any::<bool>(), cut, 0u64..3_000)
}

const DESTINATIONS: [&str; 4] = ["/topic/a", "/topic/b", "/queue/q", "/user/ann/c"];

fn config(with_tokens: bool, waiting_bytes_max: usize) -> Config {
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = waiting_bytes_max;
    config.stomp.transactions_max = 3;
    if with_tokens {
        config.auth.hmac_secret = Some(Secret::new(SECRET));
    }
    config
}

/// What a client and its shard know of their conversation.
struct Conversation {
    version: Version,
    with_tokens: bool,
    frames: u32,
    /// Ids of subscriptions whose SUBSCRIBE has not come whole yet, and whether they acknowledge.
    asked_for: VecDeque<(String, bool)>,
    /// Numbers of subscriptions, their ids, and whether they acknowledge.
    begun: Vec<(u32, String, bool)>,
    /// What was handed out, with the number of its subscription.
    handed: Vec<(u32, Position)>,
    transactions: Vec<String>,
    /// What waits for an answer.
    asked: Vec<Asked>,
    newest: u64,
    /// The rest of a frame that was cut.
    rest: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Asked {
    Subscribe(u32),
    Publish(u32),
    Done(u32),
}

impl Conversation {
    fn new(version: Version, with_tokens: bool) -> Self {
        Self {
            version,
            with_tokens,
            frames: 0,
            asked_for: VecDeque::new(),
            begun: Vec::new(),
            handed: Vec::new(),
            transactions: Vec::new(),
            asked: Vec::new(),
            newest: 0,
            rest: Vec::new(),
        }
    }

    fn connect(&self, beats: bool) -> Vec<u8> {
        let version = self.version.as_str();
        let beats = if beats {
            "heart-beat:30000,30000\n"
        } else {
            ""
        };
        let login = "login:ann\n";
        format!("CONNECT\naccept-version:{version}\n{beats}{login}\n\0").into_bytes()
    }

    /// What is called for a step: what is left of a frame that was cut, then what the step says.
    fn calls(&mut self, turn: &Turn, config: &Config) -> Vec<Call> {
        let mut calls = Vec::new();
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            calls.push(Call::Input(rest));
        }
        let (step, with_receipt, cut, _) = turn;
        self.frames += 1;
        let receipt = match with_receipt {
            true => format!("receipt:r{}\n", self.frames),
            false => String::new(),
        };
        match self.frame(step, &receipt) {
            Some(frame) => {
                let at = cut.map_or(frame.len(), |cut| cut.index(frame.len()));
                self.rest = frame[at..].to_vec();
                calls.push(Call::Input(frame[..at].to_vec()));
            }
            None => calls.extend(self.of_shard(step, config)),
        }
        calls
    }

    fn frame(&mut self, step: &Step, receipt: &str) -> Option<Vec<u8>> {
        let header = |name: &str, value: &str| format!("{name}:{value}\n");
        let in_transaction = |which: &Option<Index>| match which {
            Some(which) if !self.transactions.is_empty() => {
                header("transaction", which.get::<String>(&self.transactions))
            }
            _ => String::new(),
        };
        let frame = match step {
            Step::Subscribe {
                destination,
                ack,
                prefetch,
                with_token,
                since,
            } => {
                let destination = ["/topic/a", "/topic/b", "/queue/q", "/user/c"][*destination];
                let id = format!("s{}", self.frames);
                let mut more = String::new();
                if *with_token && self.with_tokens && destination == "/topic/b" {
                    let claims = r#"{"sub":"ann","channel":"b","exp":1700000100}"#;
                    more += &header("token", &token(claims));
                }
                if *since && destination.starts_with("/topic") {
                    more += "since:1-1\n";
                }
                self.asked_for.push_back((id.clone(), *ack > 0));
                let ack = ["auto", "client", "client-individual"][*ack];
                format!(
                    "SUBSCRIBE\nid:{id}\ndestination:{destination}\nack:{ack}\n\
                     prefetch-count:{prefetch}\n{more}{receipt}\n\0"
                )
            }
            Step::Unsubscribe(which) => {
                if self.begun.is_empty() {
                    return None;
                }
                let (_, id, _) = self.begun.remove(which.index(self.begun.len()));
                format!("UNSUBSCRIBE\nid:{id}\n{receipt}\n\0")
            }
            Step::Send {
                destination,
                transaction,
                bytes,
            } => {
                let destination = DESTINATIONS[*destination];
                let transaction = in_transaction(transaction);
                let body = "x".repeat(*bytes);
                format!("SEND\ndestination:{destination}\nmy:own\n{transaction}{receipt}\n{body}\0")
            }
            Step::Acknowledge {
                which,
                is_ack,
                transaction,
            } => {
                if self.handed.is_empty() {
                    return None;
                }
                let (number, position) = *which.get(&self.handed);
                let (_, subscription, _) = self.begun.iter().find(|(of, ..)| *of == number)?;
                let id = format!("{}-{}", position.epoch, position.offset);
                let transaction = in_transaction(transaction);
                let command = if *is_ack || self.version == Version::V1_0 {
                    "ACK"
                } else {
                    "NACK"
                };
                format!(
                    "{command}\nid:{number}-{id}\nmessage-id:{id}\n\
                     subscription:{subscription}\n{transaction}{receipt}\n\0"
                )
            }
            Step::Begin => {
                let name = format!("t{}", self.frames);
                if self.transactions.len() >= 3 {
                    return None;
                }
                self.transactions.push(name.clone());
                format!("BEGIN\ntransaction:{name}\n{receipt}\n\0")
            }
            Step::End { which, commits } => {
                if self.transactions.is_empty() {
                    return None;
                }
                let name = self
                    .transactions
                    .remove(which.index(self.transactions.len()));
                let command = if *commits { "COMMIT" } else { "ABORT" };
                format!("{command}\ntransaction:{name}\n{receipt}\n\0")
            }
            Step::Beat => "\r\n".to_owned(),
            Step::Nonsense => "SEND\nnonsense\n\n\0".to_owned(),
            Step::Disconnect => format!("DISCONNECT\n{receipt}\n\0"),
            _ => return None,
        };
        Some(frame.into_bytes())
    }

    fn of_shard(&mut self, step: &Step, config: &Config) -> Option<Call> {
        Some(match step {
            Step::Answer {
                which,
                refuses,
                gap,
            } => {
                if self.asked.is_empty() {
                    return None;
                }
                let asked = self.asked.remove(which.index(self.asked.len()));
                let full = Refused::Queue(QueueFull::Messages);
                let position = Position {
                    epoch: 1,
                    offset: self.newest,
                };
                match asked {
                    Asked::Subscribe(number) => {
                        let missed: Arc<[Publication]> = [self.publication(1, 50)].into();
                        let recovery = match gap {
                            true => Recovery::Gap,
                            false => Recovery::Whole(Missed::new(missed, 0)),
                        };
                        let begun = Begun {
                            position,
                            recovery,
                            recoverable: true,
                        };
                        Call::Subscribed(number, if *refuses { Err(full) } else { Ok(begun) })
                    }
                    Asked::Publish(ticket) => {
                        Call::Published(ticket, if *refuses { Err(full) } else { Ok(position) })
                    }
                    Asked::Done(ticket) => Call::Done(ticket),
                }
            }
            Step::Publish(which, bytes) => {
                if self.begun.is_empty() {
                    return None;
                }
                let (number, _, acknowledges) = which.get(&self.begun).clone();
                self.newest += 1;
                let publication = self.publication(self.newest, *bytes);
                if acknowledges {
                    self.handed.push((number, publication.position));
                }
                Call::Publication(number, publication)
            }
            Step::FallBehind(which) => {
                if self.begun.is_empty() {
                    return None;
                }
                let (number, _, acknowledges) = which.get(&self.begun).clone();
                let last = Position {
                    epoch: 1,
                    offset: self.newest,
                };
                if acknowledges {
                    self.handed.push((number, last));
                }
                Call::FallenBehind(number, last)
            }
            Step::Ordered(unsubscribes) => Call::Ordered(match unsubscribes {
                true => Order::Unsubscribe(ChannelName::parse("a").ok()),
                false => Order::Send(Payload::from("a word from the server")),
            }),
            Step::Timeout(timeout) => Call::Timeout(*timeout),
            Step::Reload => {
                let mut config = config.clone();
                config.stomp.prefetch_count = 1;
                config.limits.message_bytes_max /= 2;
                Call::Reloaded(Box::new(config))
            }
            Step::Farewell => Call::Farewell,
            _ => return None,
        })
    }

    fn publication(&self, offset: u64, bytes: usize) -> Publication {
        Publication {
            position: Position { epoch: 1, offset },
            kind: Kind::Text,
            headers: Bytes::from_static(b"my:own\n"),
            payload: Bytes::from(vec![b'y'; bytes]),
            publisher: None,
            channel: None,
        }
    }

    /// Takes note of what the shard has been told.
    fn note(&mut self, commands: &[Command]) {
        for command in commands {
            let subscription = match command {
                Command::Subscribe { subscription, .. } | Command::Consume { subscription, .. } => {
                    *subscription
                }
                Command::Publish {
                    ticket: Some(ticket),
                    ..
                }
                | Command::Enqueue { ticket, .. } => {
                    self.asked.push(Asked::Publish(*ticket));
                    continue;
                }
                Command::Unsubscribe {
                    ticket: Some(ticket),
                    ..
                }
                | Command::Settle {
                    ticket: Some(ticket),
                    ..
                } => {
                    self.asked.push(Asked::Done(*ticket));
                    continue;
                }
                _ => continue,
            };
            self.asked.push(Asked::Subscribe(subscription));
            if let Some((id, acknowledges)) = self.asked_for.pop_front() {
                self.begun.push((subscription, id, acknowledges));
            }
        }
    }
}

fn token(claims: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// How a conversation begins.
fn beginning() -> impl Strategy<Value = (Version, bool, bool, usize)> {
    let versions = prop::sample::select(vec![Version::V1_0, Version::V1_1, Version::V1_2]);
    // Sometimes few bytes may wait for an acknowledgement, sometimes many.
    (
        versions,
        any::<bool>(),
        any::<bool>(),
        prop_oneof![Just(1_000usize), Just(1_000_000)],
    )
}

fn world(config: &Config, with_tokens: bool) -> World {
    let claims = r#"{"sub":"ann","subscribe":["*"],"publish":["*"],"exp":1700000200}"#;
    let token = token(claims);
    World::new(config, with_tokens.then_some(&*token))
}

proptest! {
    #[test]
    fn a_restored_client_goes_on_as_the_one_that_was_saved_would_have(
        (version, with_tokens, beats, waiting_bytes_max) in beginning(),
        turns in prop::collection::vec(turn(), 1..70),
        upgrades in prop::collection::vec(any::<Index>(), 1..4),
    ) {
        let config = config(with_tokens, waiting_bytes_max);
        let rules = Rules::new(&config).unwrap();
        let mut conversation = Conversation::new(version, with_tokens);
        let mut oracle = world(&config, with_tokens);
        let mut restored = oracle.taken_over(&config).unwrap();
        let mut now_ms = TODAY_MS;
        let mut current = config.clone();
        let hello = Call::Input(conversation.connect(beats));
        for (at, turn) in turns.iter().enumerate() {
            let calls = match at {
                0 => vec![hello.clone()],
                _ => conversation.calls(turn, &config),
            };
            now_ms += turn.3;
            for call in calls {
                let expected = oracle.act(&rules, now_ms, &call);
                prop_assert_eq!(&restored.act(&rules, now_ms, &call), &expected, "{:?}", call);
                conversation.note(&expected.1);
                if let Call::Reloaded(config) = &call {
                    current = (**config).clone();
                }
            }
            if upgrades.iter().any(|upgrade| upgrade.index(turns.len()) == at) {
                restored = restored.taken_over(&current).unwrap();
            }
        }
    }

    #[test]
    fn damaged_bytes_of_a_client_are_nothing_or_a_client_and_never_a_panic(
        (version, with_tokens, beats, waiting_bytes_max) in beginning(),
        turns in prop::collection::vec(turn(), 2..60),
        upgrade in any::<Index>(),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let config = config(with_tokens, waiting_bytes_max);
        let rules = Rules::new(&config).unwrap();
        let mut conversation = Conversation::new(version, with_tokens);
        let mut world = world(&config, with_tokens);
        let upgrade = upgrade.index(turns.len());
        let hello = Call::Input(conversation.connect(beats));
        for (number, turn) in turns.iter().enumerate() {
            let calls = match number {
                0 => vec![hello.clone()],
                _ => conversation.calls(turn, &config),
            };
            for call in calls {
                let (_, commands, _) = world.act(&rules, TODAY_MS, &call);
                conversation.note(&commands);
            }
            if number == upgrade {
                let mut saved = Endpoint::save(&world.stomp, NAME, &world.client).unwrap();
                let at = at.index(saved.len());
                prop_assert!(Endpoint::restore(&mut world.stomp, NAME, &saved[..at]).is_none());
                saved[at] = byte;
                if let Some(client) = Endpoint::restore(&mut world.stomp, NAME, &saved) {
                    world.client = client;
                }
            }
        }
    }
}
