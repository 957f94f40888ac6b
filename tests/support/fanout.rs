//! Groups of subscribers on real clients, and what each of them must have received.

use std::time::{Duration, Instant};

use super::client::{Client, Event, KINDS};
use super::http::Http;
use super::server::Server;
use super::{DEADLINE, Message};

/// What is published while subscriptions take effect, and what ends that.
const PROBE: &str = "are you there?";
const BEGIN: &str = "all are there";

/// Connections of one client that are subscribed to one channel.
pub struct Subscribers {
    pub client: Client,
    pub ids: Vec<String>,
}

impl Subscribers {
    /// Opens that many connections to `/sub/{channel}` (percent-encoded).
    pub fn open(mut client: Client, server: &Server, channel: &str, count: usize) -> Self {
        let url = server.url(&format!("/sub/{channel}"));
        let ids: Vec<String> = (0..count).map(|i| format!("{channel} {i}")).collect();
        for id in &ids {
            client.begin_open(id, &url);
        }
        for id in &ids {
            client.wait_until_open(id);
        }
        Self { client, ids }
    }

    /// Asserts that what each of them receives next is just this.
    pub fn assert_all_receive(&mut self, expected: &[Message]) {
        for id in &self.ids {
            let received = self.client.messages(id, expected.len());
            assert_same(&format!("{:?} {id}", self.client.kind), &received, expected);
        }
    }
}

/// Does the same with each client, a program of its own each time.
pub fn with_each_client(mut test: impl FnMut(Client)) {
    for kind in KINDS {
        test(Client::start(kind));
    }
}

/// Subscribers of one channel, some on each client.
pub fn open_on_each_client(server: &Server, channel: &str, count_each: usize) -> Vec<Subscribers> {
    KINDS
        .map(|kind| Subscribers::open(Client::start(kind), server, channel, count_each))
        .into()
}

/// The same, and their subscriptions have taken effect.
pub fn subscribers_on_each_client(
    server: &Server,
    publisher: &mut Http,
    channel: &str,
    count_each: usize,
) -> Vec<Subscribers> {
    let mut groups = open_on_each_client(server, channel, count_each);
    settle(publisher, channel, &mut groups);
    groups
}

pub fn texts(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Message> {
    texts
        .into_iter()
        .map(|text| Message::text(text.as_ref()))
        .collect()
}

/// Waits until every subscriber of all groups gets what is published to the channel: the raw protocol does not say when a
/// subscription takes effect. What comes after is what is published after.
pub fn settle(publisher: &mut Http, channel: &str, groups: &mut [Subscribers]) {
    let until = Instant::now() + DEADLINE;
    let mut pending: Vec<(usize, String)> = groups
        .iter()
        .enumerate()
        .flat_map(|(group, subscribers)| subscribers.ids.iter().map(move |id| (group, id.clone())))
        .collect();
    let all = pending.clone();
    while !pending.is_empty() {
        assert!(
            Instant::now() < until,
            "not subscribed after {DEADLINE:?}: {pending:?}"
        );
        publisher.publish(channel, PROBE);
        pending.retain(|(group, id)| {
            groups[*group]
                .client
                .next_within(id, Duration::from_millis(50))
                != Some(Event::Message(Message::text(PROBE)))
        });
    }
    publisher.publish(channel, BEGIN);
    for (group, id) in &all {
        while groups[*group].client.message(id) != Message::text(BEGIN) {}
    }
}

/// Asserts that two sequences of messages are the same, and says where they part.
pub fn assert_same(who: &str, received: &[Message], expected: &[Message]) {
    let parted = received
        .iter()
        .zip(expected)
        .position(|(received, expected)| received != expected);
    if let Some(at) = parted {
        panic!(
            "{who}: message {at} is {:?}, expected is {:?}",
            received[at], expected[at]
        );
    }
    assert_eq!(received.len(), expected.len(), "{who}: messages received");
}
