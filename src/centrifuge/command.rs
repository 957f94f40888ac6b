//! What clients say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A command: what a client asks for, and the id that the reply is to have.
#[derive(Debug)]
pub struct Command<'a> {
    /// Chosen by the client, more than 0; 0 with [`Request::Pong`] and [`Request::Send`] alone, which have
    /// no reply.
    pub id: u32,
    /// What it asks for.
    pub request: Request<'a>,
}

/// What a command asks for. Where a command has several, the first in this order counts.
#[derive(Debug)]
pub enum Request<'a> {
    /// An empty object: the answer to the server's ping.
    Pong,
    /// The client's first command.
    Connect(Connect<'a>),
    /// Get what is published to a channel.
    Subscribe(Subscribe<'a>),
    /// And no longer.
    Unsubscribe(Channel<'a>),
    /// Publish to a channel.
    Publish(Publish<'a>),
    /// Who is subscribed.
    Presence(Channel<'a>),
    /// How many are.
    PresenceStats(Channel<'a>),
    /// What has been published.
    History(History<'a>),
    /// Of version 1; not in use any more.
    Ping,
    /// A message for the server, which is not replied to.
    Send,
    /// Call something of the server's.
    Rpc,
    /// A new connection token.
    Refresh(Refresh<'a>),
    /// A new subscription token.
    SubRefresh(SubRefresh<'a>),
}

/// See [`Request::Connect`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Connect<'a> {
    /// Says who the client is.
    #[serde(borrow)]
    pub token: Text<'a>,
    /// Of the client program.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Of the client program.
    #[serde(borrow)]
    pub version: Text<'a>,
    /// Where the client is in channels that the server has it subscribed to, by their names.
    #[serde(borrow, deserialize_with = "nullable")]
    pub subs: BTreeMap<Text<'a>, Subscribe<'a>>,
}

/// See [`Request::Subscribe`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Subscribe<'a> {
    /// Which; empty in [`Connect::subs`].
    #[serde(borrow)]
    pub channel: Text<'a>,
    /// Says that the client may.
    #[serde(borrow)]
    pub token: Text<'a>,
    /// Whether what came behind the position is wanted.
    pub recover: Flag,
    /// Of the stream that the position is in; empty for any.
    #[serde(borrow)]
    pub epoch: Text<'a>,
    /// Of the last publication that the client has had.
    pub offset: Count,
    /// Bits: see [`Subscribe::rejects_unrecovered`].
    pub flag: Count,
    /// 0 for a stream; the other types are not of this server.
    #[serde(rename = "type")]
    pub kind: Count,
    /// A filter by tags, which this server has not.
    #[serde(borrow, rename = "tf")]
    pub filter: Option<&'a RawValue>,
}

impl Subscribe<'_> {
    /// Whether the client wants no subscription where it cannot have what it has missed.
    pub fn rejects_unrecovered(&self) -> bool {
        const REJECT_UNRECOVERED: u64 = 1 << 1;
        self.flag.0 & REJECT_UNRECOVERED != 0
    }
}

/// A request that names a channel and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Channel<'a> {
    /// Which.
    #[serde(borrow)]
    pub channel: Text<'a>,
}

/// See [`Request::Publish`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Publish<'a> {
    /// Where to.
    #[serde(borrow)]
    pub channel: Text<'a>,
    /// What subscribers receive: any JSON value, byte for byte as it was sent.
    #[serde(borrow, deserialize_with = "even_null")]
    pub data: Option<&'a RawValue>,
    /// 0 for a stream; the other types are not of this server.
    #[serde(rename = "type")]
    pub kind: Count,
}

/// See [`Request::History`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct History<'a> {
    /// Of which channel.
    #[serde(borrow)]
    pub channel: Text<'a>,
    /// So many publications at the most; 0 for none, only the position; less for all.
    #[serde(deserialize_with = "nullable")]
    pub limit: i64,
    /// From where on.
    #[serde(borrow)]
    pub since: Option<Since<'a>>,
    /// The newest first.
    pub reverse: Flag,
}

/// A place in a channel's stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Since<'a> {
    /// Of a publication.
    pub offset: Count,
    /// Of the stream.
    #[serde(borrow)]
    pub epoch: Text<'a>,
}

/// See [`Request::Refresh`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refresh<'a> {
    /// The new one.
    #[serde(borrow)]
    pub token: Text<'a>,
}

/// See [`Request::SubRefresh`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubRefresh<'a> {
    /// Of which subscription.
    #[serde(borrow)]
    pub channel: Text<'a>,
    /// The new one.
    #[serde(borrow)]
    pub token: Text<'a>,
}

/// Why a line is no command; the client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not JSON, or not of a command's shape.
    #[error("a command is malformed: {0}")]
    Malformed(String),
    /// No id where one is needed.
    #[error("a command has no id: number them from 1 on")]
    NoId,
    /// An id, and nothing that this protocol knows.
    #[error("the command {0} asks for nothing that there is")]
    Nothing(u32),
}

/// The commands of a message, which is one line each; empty lines are passed over. The message's length is
/// the bound of their number.
///
/// # Errors
/// [`CommandError`] for a line that is none. What stands behind it cannot be trusted.
pub fn commands(message: &[u8]) -> impl Iterator<Item = Result<Command<'_>, CommandError>> {
    lines(message).map(Command::parse)
}

/// The lines of a message that say something.
pub fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = message.split(|&byte| byte == b'\n');
    lines.filter(|line| !line.trim_ascii().is_empty())
}

impl<'a> Command<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        let Line {
            id: Count(id),
            request,
        } = serde_json::from_slice(line)
            .map_err(|error| CommandError::Malformed(error.to_string()))?;
        let id = u32::try_from(id)
            .map_err(|_| CommandError::Malformed("the id has more than 32 bits".to_owned()))?;
        match request {
            Some(request @ Request::Send) => Ok(Self { id, request }),
            Some(_) if id == 0 => Err(CommandError::NoId),
            Some(request) => Ok(Self { id, request }),
            None if id == 0 => Ok(Self {
                id,
                request: Request::Pong,
            }),
            None => Err(CommandError::Nothing(id)),
        }
    }
}

/// An object with an id and any requests, of which the first in the order of [`Request`] is kept.
struct Line<'a> {
    id: Count,
    request: Option<Request<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command, which is an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<'de>, A::Error> {
                let mut line = Line {
                    id: Count(0),
                    request: None,
                };
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    let map = &mut map;
                    let request = match &*key {
                        "id" => {
                            line.id = map.next_value()?;
                            None
                        }
                        "connect" => request(map)?.map(Request::Connect),
                        "subscribe" => request(map)?.map(Request::Subscribe),
                        "unsubscribe" => request(map)?.map(Request::Unsubscribe),
                        "publish" => request(map)?.map(Request::Publish),
                        "presence" => request(map)?.map(Request::Presence),
                        "presence_stats" => request(map)?.map(Request::PresenceStats),
                        "history" => request(map)?.map(Request::History),
                        "ping" => request(map)?.map(|Anything {}| Request::Ping),
                        "send" => request(map)?.map(|Anything {}| Request::Send),
                        "rpc" => request(map)?.map(|Anything {}| Request::Rpc),
                        "refresh" => request(map)?.map(Request::Refresh),
                        "sub_refresh" => request(map)?.map(Request::SubRefresh),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            None
                        }
                    };
                    line.take(request);
                }
                Ok(line)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A request's members: an object, or null where there is no such request.
fn request<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
) -> Result<Option<T>, A::Error> {
    struct Members<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = Object<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Object)
        }
    }

    /// A structure that may not be written as an array.
    struct Object<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Members(PhantomData))
        }
    }

    let object: Option<Object<T>> = map.next_value()?;
    Ok(object.map(|Object(request)| request))
}

impl<'a> Line<'a> {
    fn take(&mut self, request: Option<Request<'a>>) {
        let is_first = |request: &Request<'a>| {
            self.request
                .as_ref()
                .is_none_or(|kept| request.order() < kept.order())
        };
        if let Some(request) = request.filter(is_first) {
            self.request = Some(request);
        }
    }
}

impl Request<'_> {
    fn order(&self) -> u8 {
        match self {
            Self::Pong => 0,
            Self::Connect(_) => 1,
            Self::Subscribe(_) => 2,
            Self::Unsubscribe(_) => 3,
            Self::Publish(_) => 4,
            Self::Presence(_) => 5,
            Self::PresenceStats(_) => 6,
            Self::History(_) => 7,
            Self::Ping => 8,
            Self::Send => 9,
            Self::Rpc => 10,
            Self::Refresh(_) => 11,
            Self::SubRefresh(_) => 12,
        }
    }
}

/// A request of which nothing is looked at: any object.
#[derive(Debug, Deserialize)]
struct Anything {}

/// A string; null is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Characters;

        impl<'de> Visitor<'de> for Characters {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(Characters)
    }
}

/// A number that is not negative, which some clients write as a string; null is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl Visitor<'_> for Digits {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number that is not negative")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
                Ok(Count(number))
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Count, E> {
                let number = digits.parse();
                number
                    .map(Count)
                    .map_err(|_| E::custom("a number is expected"))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
        }

        deserializer.deserialize_any(Digits)
    }
}

/// True or false; null is false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        nullable(deserializer).map(Self)
    }
}

/// What may be null, which is then as if it were not there.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A value that is there, even if it is null.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command<'_> {
        Command::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn data_is_taken_byte_for_byte() {
        for data in [
            "1.10",
            "1E400",
            "12345678901234567890123456789012",
            "null",
            r#""\u00e9 \ud800""#,
            "[ 1 ,\t2,{ \"a\" : [ ] } ]",
            r#"{"data": {"data": "}]"}, "channel": 3}"#,
        ] {
            for line in [
                format!(r#"{{"id":1,"publish":{{"channel":"news","data":{data}}}}}"#),
                format!(
                    "{{ \"publish\" : {{\"data\" :\t{data} ,\r\"channel\": \"news\" }} , \"id\" : 1}}"
                ),
            ] {
                let Request::Publish(publish) = parse(&line).request else {
                    panic!("{line}");
                };
                assert_eq!(&*publish.channel, "news");
                assert_eq!(publish.data.map(RawValue::get), Some(data), "{line}");
            }
        }
        let Request::Publish(publish) = parse(r#"{"id":1,"publish":{"channel":"a"}}"#).request
        else {
            panic!("a publish");
        };
        assert!(publish.data.is_none());
    }

    #[test]
    fn null_is_as_if_it_were_not_there() {
        let line = r#"{"id":7,"connect":null,"subscribe":{"channel":null,"token":null,"recover":null,
            "epoch":null,"offset":null,"flag":null,"tf":null,"type":null}}"#
            .replace('\n', " ");
        let command = parse(&line);
        let Request::Subscribe(subscribe) = command.request else {
            panic!("{command:?}");
        };
        assert_eq!((command.id, &*subscribe.channel), (7, ""));
        assert!(!subscribe.recover.0 && subscribe.offset.0 == 0 && subscribe.filter.is_none());
        assert!(matches!(parse(r#"{"id":null}"#).request, Request::Pong));
        let subs = parse(r#"{"id":1,"connect":{"subs":null}}"#);
        assert!(matches!(subs.request, Request::Connect(connect) if connect.subs.is_empty()));
    }

    #[test]
    fn every_request_is_known_by_its_name() {
        for (name, order) in [
            ("connect", 1),
            ("subscribe", 2),
            ("unsubscribe", 3),
            ("publish", 4),
            ("presence", 5),
            ("presence_stats", 6),
            ("history", 7),
            ("ping", 8),
            ("send", 9),
            ("rpc", 10),
            ("refresh", 11),
            ("sub_refresh", 12),
        ] {
            let line = format!(r#"{{"id":3,"{name}":{{"unknown":[1,{{}}]}}}}"#);
            let command = parse(&line);
            assert_eq!((command.id, command.request.order()), (3, order), "{line}");
        }
    }

    #[test]
    fn the_first_of_several_requests_counts_wherever_it_stands() {
        for line in [
            r#"{"id":1,"publish":{},"subscribe":{"channel":"a"},"rpc":{}}"#,
            r#"{"id":1,"subscribe":{"channel":"a"},"publish":{}}"#,
        ] {
            assert!(
                matches!(parse(line).request, Request::Subscribe(subscribe) if &*subscribe.channel == "a")
            );
        }
    }

    #[test]
    fn offsets_may_be_strings_and_limits_negative() {
        let line = r#"{"id":1,"history":{"channel":"a","limit":-1,"reverse":true,
            "since":{"offset":"18446744073709551615","epoch":"x"}}}"#;
        let Request::History(history) = parse(&line.replace('\n', " ")).request else {
            panic!("{line}");
        };
        let since = history.since.expect("a position");
        assert_eq!((since.offset.0, &*since.epoch), (u64::MAX, "x"));
        assert_eq!((history.limit, history.reverse.0), (-1, true));
    }

    #[test]
    fn only_a_pong_and_a_message_need_no_id() {
        assert!(matches!(parse("{}").request, Request::Pong));
        assert!(matches!(
            parse(r#"{"send":{"data":1}}"#).request,
            Request::Send
        ));
        assert_eq!(
            Command::parse(br#"{"connect":{}}"#).unwrap_err(),
            CommandError::NoId
        );
        assert_eq!(
            Command::parse(br#"{"id":4,"fly":{}}"#).unwrap_err(),
            CommandError::Nothing(4)
        );
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in [
            "",
            "null",
            "[]",
            "1",
            "{",
            "{} {}",
            "{}x",
            r#"{"id":-1,"connect":{}}"#,
            r#"{"id":4294967296,"connect":{}}"#,
            r#"{"id":1.5,"connect":{}}"#,
            r#"{"id":1,"connect":[]}"#,
            r#"{"id":1,"subscribe":{"channel":1}}"#,
            r#"{"id":1,"subscribe":{"offset":-1}}"#,
            r#"{"id":1,"publish":{"data":01}}"#,
            r#"{"id":1,"publish":{"data":}}"#,
            r#"{"id":1,"publish":{"data":[1}}"#,
            r#"{"id":1,"publish":{"data":1,"data":2}}"#,
            "{\"id\":1,\"publish\":{\"data\":\"\u{1}\"}}",
            "{\"id\":1,\"publish\":{\"data\":1\0}}",
        ] {
            let error = Command::parse(line.as_bytes()).map(|command| command.id);
            assert!(matches!(error, Err(CommandError::Malformed(_))), "{line}");
        }
        assert!(Command::parse(b"{\"id\":1,\"publish\":{\"data\":\"\xff\"}}").is_err());
    }

    #[test]
    fn a_message_has_a_command_a_line() {
        let message = b"{\"id\":1,\"connect\":{}}\n\n{}\r\n  \n{\"id\":2,\"rpc\":{}}\n";
        let ids: Vec<u32> = commands(message).map(|c| c.expect("a command").id).collect();
        assert_eq!(ids, [1, 0, 2]);
        assert_eq!(commands(b"").count(), 0);
    }
}
