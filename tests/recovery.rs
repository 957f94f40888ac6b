//! Clients that come back say where they stood, and get what they have missed or are told that they cannot: whole
//! conversations with the real server by the raw protocol, by event streams and by STOMP.

#![forbid(unsafe_code)]

mod support;

mod recovery {
    mod bounds;
    mod cache;
    mod event_streams;
    mod memory;
    mod patterns;
    mod raw;
    mod stomp;
}

use support::http::Http;
use support::server::{Options, Server};

/// Channels of which much, little, the newest publication or nothing is kept; there are many of each, so that some are owned
/// by each shard.
fn server() -> Server {
    Server::start(Options::with_config(
        "[[namespace]]\nchannels = \"kept:*\"\nhistory_size = 1_000\nhistory_ttl = \"10m\"\n\
         [[namespace]]\nchannels = \"short:*\"\nhistory_size = 3\nhistory_ttl = \"10m\"\n\
         [[namespace]]\nchannels = \"newest:*\"\ncache = true\n",
    ))
}

/// Names of that kind, owned by all shards.
fn channels(kind: &str) -> impl Iterator<Item = String> {
    (0..6).map(move |number| format!("{kind}:{number}"))
}

/// A place of a channel's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    epoch: u64,
    offset: u64,
}

impl Place {
    fn at(&self, offset: u64) -> Self {
        Self { offset, ..*self }
    }

    /// As the raw protocol's query has it.
    fn query(&self) -> String {
        format!("epoch={:x}&offset={}", self.epoch, self.offset)
    }

    /// As the id of an event.
    fn event_id(&self) -> String {
        format!("{:x}:{}", self.epoch, self.offset)
    }

    /// As the `message-id` of a MESSAGE.
    fn message_id(&self) -> String {
        format!("{}-{}", self.epoch, self.offset)
    }
}

/// Publishes `1` to `count` and returns where the stream stands.
fn publish_numbers(http: &mut Http, channel: &str, count: u64) -> Place {
    let mut place = None;
    for number in 1..=count {
        place = Some(publish(http, channel, &number.to_string()));
    }
    place.expect("something is published")
}

fn publish(http: &mut Http, channel: &str, payload: &str) -> Place {
    let answer = http.post(&format!("/pub/{channel}"), payload).json();
    let epoch = answer["epoch"].as_str().expect("an epoch");
    Place {
        epoch: u64::from_str_radix(epoch, 16).expect("hexadecimal digits"),
        offset: answer["offset"].as_u64().expect("an offset"),
    }
}

/// The numbers from one to another, as they are published.
fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
