//! What a client of STOMP and its shard may say to each other.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::Call;
use crate::channel::{ChannelName, QueueFull, Refused};
use crate::config::Config;
use crate::endpoint::{Command, Order, Payload, Timeout};
use crate::publication::{Begun, Kind, Missed, Position, Publication, Recovery};
use crate::stomp::Version;

/// What tokens are signed with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What happens next; numbers stand for one of those that there are.
#[derive(Clone, Debug)]
pub enum Step {
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
pub type Turn = (Step, bool, Option<Index>, u64);

pub fn turn() -> impl Strategy<Value = Turn> {
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

/// What a client and its shard know of their conversation.
pub struct Conversation {
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
    pub fn new(version: Version, with_tokens: bool) -> Self {
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

    pub fn connect(&self, beats: bool) -> Vec<u8> {
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
    pub fn calls(&mut self, turn: &Turn, config: &Config) -> Vec<Call> {
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
    pub fn note(&mut self, commands: &[Command]) {
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

pub fn token(claims: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
