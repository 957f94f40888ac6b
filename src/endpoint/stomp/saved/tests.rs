//! A client that was saved and restored, beside the one that it was made of.

mod conversation;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;

use self::conversation::{Conversation, SECRET, token, turn};
use super::*;
use crate::channel::Refused;
use crate::config::{Config, Secret};
use crate::endpoint::context::Sight;
use crate::endpoint::stomp::settings::Settings;
use crate::endpoint::stomp::{Presented, Stomp};
use crate::endpoint::{
    Command, ConnectionName, Context, Endpoint, Message, Order, Timeout, Transport,
};
use crate::publication::{Begun, Position, Publication};
use crate::rules::Rules;
use crate::stomp::Version;
use crate::table::Key;
use crate::ws::close::CloseCode;
use crate::ws::deflate::{Codec, CompressionSettings};

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

fn config(with_tokens: bool, waiting_bytes_max: usize) -> Config {
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = waiting_bytes_max;
    config.stomp.transactions_max = 3;
    if with_tokens {
        config.auth.hmac_secret = Some(Secret::new(SECRET));
    }
    config
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
