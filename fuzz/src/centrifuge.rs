//! Centrifugo's protocol: a client's lines are commands where a reader without shortcuts takes them for such, and `data` is what
//! was sent; whatever is published becomes one line of JSON that says it.

use std::fmt;

use base64::Engine as _;
use bytes::Bytes;
use pushring::centrifuge::command::{Request, lines};
use pushring::centrifuge::{Command, CommandError, encode};
use pushring::publication::{Kind, Position, Publication};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// What may be asked for, the first to count first, with the members of each and what they are.
const REQUESTS: [(&str, &[(&str, What)]); 12] = [
    (
        "connect",
        &[
            ("token", What::Text),
            ("name", What::Text),
            ("version", What::Text),
            ("subs", What::Subs),
        ],
    ),
    ("subscribe", SUBSCRIBE),
    ("unsubscribe", &[("channel", What::Text)]),
    (
        "publish",
        &[
            ("channel", What::Text),
            ("data", What::Any),
            ("type", What::Count),
        ],
    ),
    ("presence", &[("channel", What::Text)]),
    ("presence_stats", &[("channel", What::Text)]),
    (
        "history",
        &[
            ("channel", What::Text),
            ("limit", What::Number),
            ("since", What::Since),
            ("reverse", What::Flag),
        ],
    ),
    ("ping", &[]),
    ("send", &[]),
    ("rpc", &[]),
    ("refresh", &[("token", What::Text)]),
    (
        "sub_refresh",
        &[("channel", What::Text), ("token", What::Text)],
    ),
];

const SUBSCRIBE: &[(&str, What)] = &[
    ("channel", What::Text),
    ("token", What::Text),
    ("recover", What::Flag),
    ("epoch", What::Text),
    ("offset", What::Count),
    ("flag", What::Count),
    ("type", What::Count),
    ("tf", What::Any),
];

#[derive(Clone, Copy)]
enum What {
    Text,
    Flag,
    /// Not negative, perhaps as a string.
    Count,
    Number,
    Since,
    Subs,
    Any,
}

/// Takes a client's message, or what is published and its headers.
pub fn run(data: &[u8]) {
    for line in lines(data) {
        check_command(line);
    }
    let (headers, payload) = match data.iter().position(|&byte| byte == 0) {
        Some(nul) => (&data[..nul], &data[nul + 1..]),
        None => (&b""[..], data),
    };
    for kind in [Kind::Text, Kind::Binary] {
        check_push(kind, headers, payload);
    }
}

fn check_command(line: &[u8]) {
    let ours = Command::parse(line);
    if let Err(error) = &ours {
        assert!(!error.to_string().contains('\n'), "{error:?}");
    }
    let naive = read(line);
    match (&ours, naive) {
        (Ok(command), Some((id, asked))) => {
            assert_eq!(u64::from(command.id), id);
            let name = asked.as_ref().map(|(name, _)| *name);
            assert_eq!(name_of(&command.request), name);
            if let (Request::Publish(publish), Some((_, members))) = (&command.request, asked) {
                let sent = members.iter().find(|(name, _)| name == "data");
                let sent = sent.map(|(_, value)| value.get());
                assert_eq!(publish.data.map(RawValue::get), sent);
            }
        }
        (Err(CommandError::Malformed(_)), None) => {}
        (Err(CommandError::NoId), Some((0, Some((name, _))))) => assert_ne!(name, "send"),
        (Err(CommandError::Nothing(id)), Some((said, None))) => assert_eq!(u64::from(*id), said),
        (Ok(_) | Err(_), naive) => {
            let naive = naive.map(|(id, asked)| (id, asked.map(|(name, _)| name)));
            panic!(
                "{ours:?}, but {naive:?}: {:?}",
                String::from_utf8_lossy(line)
            );
        }
    }
}

fn name_of(request: &Request<'_>) -> Option<&'static str> {
    Some(match request {
        Request::Pong => return None,
        Request::Connect(_) => "connect",
        Request::Subscribe(_) => "subscribe",
        Request::Unsubscribe(_) => "unsubscribe",
        Request::Publish(_) => "publish",
        Request::Presence(_) => "presence",
        Request::PresenceStats(_) => "presence_stats",
        Request::History(_) => "history",
        Request::Ping => "ping",
        Request::Send => "send",
        Request::Rpc => "rpc",
        Request::Refresh(_) => "refresh",
        Request::SubRefresh(_) => "sub_refresh",
    })
}

/// The members of an object in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }

        deserializer.deserialize_map(All)
    }
}

type Asked<'a> = (&'static str, Vec<(String, &'a RawValue)>);

/// A command's id, and what it asks for with its members; `None` where it is none.
fn read(line: &[u8]) -> Option<(u64, Option<Asked<'_>>)> {
    let Members(all) = serde_json::from_slice(line).ok()?;
    let mut id = 0;
    let mut asked: Option<(usize, Asked<'_>)> = None;
    for (name, value) in all {
        if name == "id" {
            id = count(value)?;
            continue;
        }
        let known = REQUESTS.iter().position(|(known, _)| *known == name);
        let Some(order) = known.filter(|_| value.get() != "null") else {
            continue;
        };
        let (name, shape) = REQUESTS[order];
        let members = object(value, shape)?;
        if asked.as_ref().is_none_or(|(first, _)| order < *first) {
            asked = Some((order, (name, members)));
        }
    }
    let asked = asked.map(|(_, asked)| asked);
    u32::try_from(id).ok()?;
    Some((id, asked))
}

/// The members of an object of that shape, each of which is there once at the most.
fn object<'a>(value: &'a RawValue, shape: &[(&str, What)]) -> Option<Vec<(String, &'a RawValue)>> {
    let Members(all) = serde_json::from_str(value.get()).ok()?;
    for (known, what) in shape {
        let mut given = all.iter().filter(|(name, _)| name == known);
        let first = given.next();
        if given.next().is_some() {
            return None;
        }
        if let Some((_, value)) = first {
            is_like(value, *what).then_some(())?;
        }
    }
    Some(all)
}

fn is_like(value: &RawValue, what: What) -> bool {
    let text = value.get();
    let is_null = text == "null";
    match what {
        What::Any => true,
        What::Text => is_null || serde_json::from_str::<String>(text).is_ok(),
        What::Flag => is_null || matches!(text, "true" | "false"),
        What::Count => count(value).is_some(),
        What::Number => is_null || serde_json::from_str::<i64>(text).is_ok(),
        What::Since => {
            const SINCE: &[(&str, What)] = &[("offset", What::Count), ("epoch", What::Text)];
            is_null || like_a_structure(value, SINCE)
        }
        What::Subs => {
            let is_like_all = |Members(all): Members<'_>| {
                all.iter()
                    .all(|(_, value)| like_a_structure(value, SUBSCRIBE))
            };
            is_null || serde_json::from_str(text).is_ok_and(is_like_all)
        }
    }
}

/// Inside of a request serde takes a list for a structure, too, whose elements are its members.
fn like_a_structure(value: &RawValue, shape: &[(&str, What)]) -> bool {
    if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        let mut all = elements.iter().zip(shape);
        return elements.len() <= shape.len()
            && all.all(|(value, (_, what))| is_like(value, *what));
    }
    object(value, shape).is_some()
}

fn count(value: &RawValue) -> Option<u64> {
    match value.get() {
        "null" => Some(0),
        text if text.starts_with('"') => {
            let digits: String = serde_json::from_str(text).ok()?;
            digits.parse().ok()
        }
        text => serde_json::from_str(text).ok(),
    }
}

/// What becomes of a publication is one line of JSON with the payload, by its own kind.
fn check_push(kind: Kind, headers: &[u8], payload: &[u8]) {
    let publication = Publication {
        position: Position {
            epoch: 1,
            offset: 7,
        },
        kind,
        headers: Bytes::copy_from_slice(headers),
        payload: Bytes::copy_from_slice(payload),
        publisher: None,
        channel: None,
    };
    let mut line = Vec::new();
    encode::put_push_head(&mut line, "a \"channel\"");
    encode::put_publication_push(&mut line, &publication);
    let line = String::from_utf8(line).expect("JSON is UTF-8");
    assert!(!line.contains(['\n', '\r']), "{line:?}");

    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        push: Push<'a>,
    }
    #[derive(Deserialize)]
    struct Push<'a> {
        #[serde(borrow, rename = "pub")]
        publication: Pub<'a>,
    }
    #[derive(Deserialize)]
    struct Pub<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
        offset: u64,
        #[serde(default)]
        tags: serde_json::Map<String, Value>,
    }
    let Line {
        push: Push { publication },
    } = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert_eq!(publication.offset, 7);
    assert!(publication.tags.values().all(Value::is_string));
    let data = publication.data.get();
    let text = std::str::from_utf8(payload)
        .ok()
        .filter(|_| kind == Kind::Text);
    let Some(text) = text else {
        let base64: String = serde_json::from_str(data).expect("a string");
        let engine = base64::engine::general_purpose::STANDARD;
        assert_eq!(engine.decode(base64).as_deref(), Ok(payload));
        return;
    };
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => assert_eq!(data, json.get().replace(['\n', '\r'], " ")),
        Err(_) => assert_eq!(
            serde_json::from_str::<String>(data).expect("a string"),
            text
        ),
    }
}
