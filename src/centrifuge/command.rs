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
        // Serde passes over what nobody wants, whatever bytes are in it.
        let line = simdutf8::basic::from_utf8(line)
            .map_err(|_| CommandError::Malformed("it is not UTF-8".to_owned()))?;
        let Line {
            id: Count(id),
            request,
        } = serde_json::from_str(line)
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
mod tests;
