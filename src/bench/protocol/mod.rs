//! The client protocols: what a connection says after its opening handshake, and where deliveries lie in what arrives.
//!
//! Each is a pair of functions on byte slices over one [`Link`]: `begin` and `read`. Deliveries are handed out where they lie
//! in the message; a whole client shares one [`Dialect`].

mod centrifuge;
mod mqtt;
mod nats;
mod pusher;
mod stomp;

use memchr::memmem::Finder;

use super::frames::Opcode;
use super::payload::{Embedding, Form};

/// A client protocol, as a target's file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The path subscribes, each message is a payload.
    Raw,
    /// STOMP 1.2.
    Stomp,
    /// Centrifugo's bidirectional JSON protocol, version 2.
    Centrifuge,
    /// The same, version 1 (2021).
    CentrifugeV1,
    /// NATS client protocol over WebSocket.
    Nats,
    /// MQTT 3.1.1 over WebSocket.
    Mqtt,
    /// Pusher protocol 7.
    Pusher,
}

impl Protocol {
    /// What the opening handshake asks for where the target's file says nothing else.
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Stomp => Some("v12.stomp"),
            Self::Mqtt => Some("mqtt"),
            _ => None,
        }
    }

    /// How a payload stands in a delivery.
    pub fn embedding(self) -> Embedding {
        match self {
            Self::Raw | Self::Stomp | Self::Nats | Self::Mqtt => Embedding::Plain,
            Self::Centrifuge | Self::CentrifugeV1 => Embedding::JsonValue,
            Self::Pusher => Embedding::JsonString,
        }
    }

    fn opcode(self) -> Opcode {
        match self {
            Self::Nats | Self::Mqtt => Opcode::Binary,
            _ => Opcode::Text,
        }
    }
}

/// Who a client says it is, where the protocol has a place for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// STOMP's `login`, MQTT's user name, NATS's `user`.
    pub login: Option<String>,
    /// The password to it.
    pub passcode: Option<String>,
    /// STOMP's `host`.
    pub host: Option<String>,
}

/// A protocol with all that its connections have in common.
pub struct Dialect {
    protocol: Protocol,
    credentials: Credentials,
    /// Names of the channels, by their numbers.
    channels: Vec<String>,
    form: Form,
    /// What stands in front of a payload in JSON.
    data: Finder<'static>,
}

/// What one connection is in the middle of.
#[derive(Debug, Default)]
pub struct Link {
    step: Step,
    /// Answers to subscriptions that have not come.
    unanswered: u32,
    /// A protocol's stream that a message has cut in two.
    rest: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Greeting,
    Subscribing,
    Open,
}

/// What a message from the server comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A payload, or what stands in its place.
    Delivery(&'a [u8]),
    /// All subscriptions are confirmed; said once.
    Open,
    /// This is to be sent back as one message.
    Answer(Vec<u8>),
    /// The server refused something, in its own words.
    Refused(String),
    /// Something that no server of this protocol says.
    Foreign,
}

impl Dialect {
    /// A dialect for payloads of that form, which must be embedded as [`Protocol::embedding`] says.
    pub fn new(
        protocol: Protocol,
        credentials: Credentials,
        channels: Vec<String>,
        form: Form,
    ) -> Self {
        Self {
            protocol,
            credentials,
            channels,
            form,
            data: Finder::new(b"\"data\":"),
        }
    }

    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The form of the payloads as they stand in messages.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What messages to the server are.
    pub fn opcode(&self) -> Opcode {
        self.protocol.opcode()
    }

    /// Begins after the opening handshake: to be called once. The connection is open already if the answer is
    /// [`Said::Open`].
    pub fn begin(&self, link: &mut Link, subscriptions: &[u32]) -> Option<Said<'static>> {
        match self.protocol {
            Protocol::Raw => {
                link.step = Step::Open;
                Some(Said::Open)
            }
            Protocol::Stomp => Some(Said::Answer(stomp::connect(&self.credentials))),
            Protocol::Centrifuge => Some(Said::Answer(centrifuge::connect())),
            Protocol::CentrifugeV1 => Some(Said::Answer(centrifuge::connect_v1())),
            Protocol::Mqtt => Some(Said::Answer(mqtt::connect(
                &self.credentials,
                subscriptions,
            ))),
            // These two wait for the server's word.
            Protocol::Nats | Protocol::Pusher => None,
        }
    }

    /// Takes a message and hands what it comes to to `each`, in order.
    #[inline]
    pub fn read(
        &self,
        link: &mut Link,
        subscriptions: &[u32],
        message: &[u8],
        each: &mut impl FnMut(Said<'_>),
    ) {
        match self.protocol {
            Protocol::Raw => each(Said::Delivery(message)),
            Protocol::Stomp => stomp::read(self, link, subscriptions, message, each),
            Protocol::Centrifuge => centrifuge::read(self, link, subscriptions, message, each),
            Protocol::CentrifugeV1 => {
                centrifuge::read_v1(self, link, subscriptions, message, each);
            }
            Protocol::Nats => nats::read(self, link, subscriptions, message, each),
            Protocol::Mqtt => mqtt::read(self, link, subscriptions, message, each),
            Protocol::Pusher => pusher::read(self, link, subscriptions, message, each),
        }
    }

    /// Appends a publication in the protocol's own words, as one message. `None` if the protocol has none.
    pub fn put_publication(&self, channel: u32, embedded: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let channel = &self.channels[channel as usize];
        match self.protocol {
            Protocol::Raw | Protocol::Pusher => return None,
            Protocol::Stomp => stomp::put_send(channel, embedded, out),
            Protocol::Centrifuge => centrifuge::put_publish(channel, embedded, out),
            Protocol::CentrifugeV1 => centrifuge::put_publish_v1(channel, embedded, out),
            Protocol::Nats => nats::put_pub(channel, embedded, out),
            Protocol::Mqtt => mqtt::put_publish(channel, embedded, out),
        }
        Some(())
    }

    fn channel(&self, number: u32) -> &str {
        &self.channels[number as usize]
    }

    fn channels_of<'a>(&'a self, subscriptions: &'a [u32]) -> impl Iterator<Item = &'a str> {
        subscriptions.iter().map(|&number| self.channel(number))
    }

    /// The payload in a line of JSON that pushes it: what follows a `"data":` and is one.
    fn payload_in_json<'a>(&self, json: &'a [u8]) -> Option<&'a [u8]> {
        let needle = self.data.needle().len();
        let mut places = self.data.find_iter(json);
        places.find_map(|at| self.form.at_beginning_of(&json[at + needle..]))
    }
}

/// The first `count` bytes of what a server said, as text for an error.
fn words(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 200;
    let shown = &bytes[..bytes.len().min(SHOWN_MAX)];
    String::from_utf8_lossy(shown).trim().to_owned()
}

#[cfg(test)]
mod tests;
