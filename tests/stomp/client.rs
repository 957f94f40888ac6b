//! Real STOMP clients: what a test lets them do, and what they tell.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::event::{Connected, ErrorFrame, Event, Message};
use super::program::Program;
use crate::support::DEADLINE;

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `@stomp/stompjs` in node.
    StompJs,
    /// The same in Chromium.
    Chromium,
    /// `webstomp-client` in node.
    Webstomp,
    /// Python `stomp.py`.
    StompPy,
}

impl Kind {
    /// Whether it escapes and unescapes header values in STOMP 1.2.
    pub fn escapes(self) -> bool {
        self != Self::Webstomp
    }
}

/// How a client connects. The default is what its library does when it is told nothing else, without heart-beats.
#[derive(Clone, Default)]
pub struct Options {
    /// The one version that it can; `None` for all that the library can.
    pub version: Option<&'static str>,
    /// The WebSocket subprotocols offered, where they are not those of the library.
    pub subprotocols: Option<Vec<&'static str>>,
    /// How often it can send heart-beats and wants them, in milliseconds; 0 for never.
    pub beats_ms: (u32, u32),
    /// Headers of CONNECT.
    pub headers: Vec<(&'static str, String)>,
    /// After how long the library connects again by itself, where it does.
    pub reconnect_ms: Option<u32>,
    /// Whether frames go in binary WebSocket messages.
    pub binary: bool,
    /// Whether long frames are split over several WebSocket messages, where the library does not do so anyway.
    pub split: bool,
}

impl Options {
    pub fn version(version: &'static str) -> Self {
        Self {
            version: Some(version),
            ..Self::default()
        }
    }

    pub fn beats(sent_ms: u32, wanted_ms: u32) -> Self {
        Self {
            beats_ms: (sent_ms, wanted_ms),
            ..Self::default()
        }
    }
}

/// What is sent.
pub enum Body<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> From<&'a str> for Body<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Body<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// Any number of connections of one client, each with an id of the test's choice.
pub struct Client {
    pub kind: Kind,
    program: Arc<Program>,
    /// Which client of the program it is.
    number: usize,
    events: Receiver<(String, Event)>,
    /// What was told and has not been asked for, by connections.
    told: HashMap<String, VecDeque<Event>>,
    receipts: usize,
}

impl Client {
    /// Starts the client's program, or makes use of the one browser.
    pub fn start(kind: Kind) -> Self {
        let program = Program::of(kind);
        let (number, events) = program.add_client();
        Self {
            kind,
            program,
            number,
            events,
            told: HashMap::new(),
            receipts: 0,
        }
    }

    /// Connects, which the server accepts.
    pub fn connect(&mut self, id: &str, url: &str, options: &Options) -> Connected {
        self.begin_connect(id, url, options);
        self.connected(id)
    }

    /// Begins to connect.
    pub fn begin_connect(&mut self, id: &str, url: &str, options: &Options) {
        let mut command = json!({
            "url": url,
            "versions": self.versions(options),
            "beats": [options.beats_ms.0, options.beats_ms.1],
            "headers": headers(options.headers.iter().map(|(name, value)| (*name, &**value))),
            "binary": options.binary,
            "split": options.split,
        });
        if let Some(subprotocols) = self.subprotocols(options) {
            command["subprotocols"] = json!(subprotocols);
        }
        if let Some(reconnect_ms) = options.reconnect_ms {
            command["reconnect_ms"] = json!(reconnect_ms);
        }
        self.tell("connect", id, command);
    }

    fn versions(&self, options: &Options) -> Vec<&'static str> {
        match (options.version, self.kind) {
            (Some(version), _) => vec![version],
            (None, Kind::StompPy) => vec!["1.2"],
            (None, _) => vec!["1.2", "1.1", "1.0"],
        }
    }

    /// `webstomp-client` asks for a version by the subprotocol alone.
    fn subprotocols(&self, options: &Options) -> Option<Vec<String>> {
        let owned = |names: &Vec<&str>| names.iter().map(|&name| name.to_owned()).collect();
        match (&options.subprotocols, options.version, self.kind) {
            (Some(names), _, _) => Some(owned(names)),
            (None, Some(version), Kind::Webstomp) => Some(vec![subprotocol(version)]),
            _ => None,
        }
    }

    /// Waits for CONNECTED.
    pub fn connected(&mut self, id: &str) -> Connected {
        match self.take(id, "CONNECTED", |event| {
            matches!(event, Event::Connected(_))
        }) {
            Event::Connected(connected) => connected,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits until a lost connection has been replaced.
    pub fn reconnect(&mut self, id: &str) -> Connected {
        self.tell("reconnect", id, json!({}));
        loop {
            // Attempts that the library made before the server was back have come to nothing.
            let event = self.take(id, "CONNECTED", |event| {
                matches!(event, Event::Connected(_) | Event::Closed { .. })
            });
            if let Event::Connected(connected) = event {
                return connected;
            }
        }
    }

    pub fn send<'a>(&mut self, id: &str, destination: &str, body: impl Into<Body<'a>>) {
        self.send_with(id, destination, body, &[]);
    }

    pub fn send_with<'a>(
        &mut self,
        id: &str,
        destination: &str,
        body: impl Into<Body<'a>>,
        with: &[(&str, &str)],
    ) {
        let mut command = match body.into() {
            Body::Text(text) => json!({ "text": text }),
            Body::Binary(bytes) => json!({ "binary": hex(bytes) }),
        };
        command["destination"] = destination.into();
        command["headers"] = headers(with.iter().copied());
        self.tell("send", id, command);
    }

    /// Subscribes and waits for the receipt: what is sent from now on is heard.
    pub fn subscribe(
        &mut self,
        id: &str,
        subscription: &str,
        destination: &str,
        with: &[(&str, &str)],
    ) {
        let receipt = self.next_receipt();
        let with = [with, &[("receipt", &*receipt)]].concat();
        self.begin_subscribe(id, subscription, destination, &with);
        self.receipt(id, &receipt);
    }

    /// Subscribes and waits for nothing.
    pub fn begin_subscribe(
        &mut self,
        id: &str,
        subscription: &str,
        destination: &str,
        with: &[(&str, &str)],
    ) {
        let headers = headers(with.iter().copied());
        let command =
            json!({ "subscription": subscription, "destination": destination, "headers": headers });
        self.tell("subscribe", id, command);
    }

    pub fn unsubscribe(&mut self, id: &str, subscription: &str, with: &[(&str, &str)]) {
        let headers = headers(with.iter().copied());
        let command = json!({ "subscription": subscription, "headers": headers });
        self.tell("unsubscribe", id, command);
    }

    pub fn ack(&mut self, id: &str, message: &Message, with: &[(&str, &str)]) {
        let headers = headers(with.iter().copied());
        let command = json!({ "message": message.number, "headers": headers });
        self.tell("ack", id, command);
    }

    pub fn nack(&mut self, id: &str, message: &Message, with: &[(&str, &str)]) {
        let headers = headers(with.iter().copied());
        let command = json!({ "message": message.number, "headers": headers });
        self.tell("nack", id, command);
    }

    pub fn begin(&mut self, id: &str, transaction: &str, receipt: Option<&str>) {
        self.transact("begin", id, transaction, receipt);
    }

    pub fn commit(&mut self, id: &str, transaction: &str, receipt: Option<&str>) {
        self.transact("commit", id, transaction, receipt);
    }

    pub fn abort(&mut self, id: &str, transaction: &str, receipt: Option<&str>) {
        self.transact("abort", id, transaction, receipt);
    }

    fn transact(&mut self, what: &str, id: &str, transaction: &str, receipt: Option<&str>) {
        let mut command = json!({ "transaction": transaction });
        if let Some(receipt) = receipt {
            command["receipt"] = receipt.into();
        }
        self.tell(what, id, command);
    }

    /// Says DISCONNECT.
    pub fn disconnect(&mut self, id: &str, receipt: Option<&str>) {
        let command = receipt.map_or(json!({}), |receipt| json!({ "receipt": receipt }));
        self.tell("disconnect", id, command);
    }

    pub fn mute(&mut self, id: &str) {
        self.tell("mute", id, json!({}));
    }

    pub fn cut(&mut self, id: &str) {
        self.tell("cut", id, json!({}));
    }

    /// Waits until the server has carried out all that was told before: SEND with a receipt, to where nobody listens.
    pub fn settle(&mut self, id: &str) {
        let receipt = self.next_receipt();
        self.send_with(id, "/topic/nobody", "settle", &[("receipt", &*receipt)]);
        self.receipt(id, &receipt);
    }

    fn next_receipt(&mut self) -> String {
        self.receipts += 1;
        format!("own-{}", self.receipts)
    }

    /// The next message of the connection.
    pub fn message(&mut self, id: &str) -> Message {
        let message = |event: &Event| matches!(event, Event::Message(_));
        match self.take(id, "a message", message) {
            Event::Message(message) => message,
            other => unreachable!("{other:?}"),
        }
    }

    /// The next message of one of several connections.
    pub fn message_of_any(&mut self, ids: &[&str]) -> Message {
        let message = |event: &Event| matches!(event, Event::Message(_));
        match self.take_of_any(ids, "a message", message) {
            Event::Message(message) => message,
            other => unreachable!("{other:?}"),
        }
    }

    /// The next messages of the connection, in the order in which they came.
    pub fn messages(&mut self, id: &str, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.message(id)).collect()
    }

    /// Their bodies.
    pub fn texts(&mut self, id: &str, count: usize) -> Vec<String> {
        let messages = self.messages(id, count);
        messages
            .iter()
            .map(|message| message.text().to_owned())
            .collect()
    }

    /// The next message of one subscription.
    pub fn message_of(&mut self, id: &str, subscription: &str) -> Message {
        let wanted = |event: &Event| matches!(event, Event::Message(message) if message.subscription == subscription);
        match self.take(id, &format!("a message of {subscription}"), wanted) {
            Event::Message(message) => message,
            other => unreachable!("{other:?}"),
        }
    }

    /// Messages of one subscription that have been told of and not been asked for.
    pub fn untaken_of(&mut self, id: &str, subscription: &str) -> Vec<&Message> {
        self.hear_what_was_told();
        let events = self.told.get(id).into_iter().flatten();
        let messages = events.filter_map(|event| match event {
            Event::Message(message) if message.subscription == subscription => Some(message),
            _ => None,
        });
        messages.collect()
    }

    /// Waits for that receipt, which must be the next.
    pub fn receipt(&mut self, id: &str, receipt: &str) {
        let got = self.take(id, &format!("receipt {receipt}"), |event| {
            matches!(event, Event::Receipt { .. })
        });
        assert_eq!(
            got,
            Event::Receipt {
                receipt: receipt.to_owned()
            },
            "{:?} {id}",
            self.kind
        );
    }

    /// Waits for ERROR.
    pub fn error(&mut self, id: &str) -> ErrorFrame {
        match self.take(id, "ERROR", |event| matches!(event, Event::Error(_))) {
            Event::Error(frame) => frame,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits until the connection is closed, and returns its code.
    pub fn closed(&mut self, id: &str) -> u16 {
        match self.take(id, "its end", |event| matches!(event, Event::Closed { .. })) {
            Event::Closed { code, .. } => code,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits for a heart-beat.
    pub fn beat(&mut self, id: &str) {
        self.take(id, "a heart-beat", |event| *event == Event::Beat);
    }

    /// Waits until the library has sent one.
    pub fn beat_sent(&mut self, id: &str) {
        self.take(id, "a heart-beat sent", |event| *event == Event::BeatSent);
    }

    /// Whether the connection has told that, and it has not been asked for.
    pub fn has_told(&mut self, id: &str, event: &Event) -> bool {
        self.hear_what_was_told();
        self.told.get(id).is_some_and(|told| told.contains(event))
    }

    /// The first event of the connection that is wanted and has not been asked for.
    fn take(&mut self, id: &str, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        self.take_of_any(&[id], what, wanted)
    }

    /// The same of one of several connections. What else is told before stays for later, but an end or an error that
    /// nobody wants ends the test.
    fn take_of_any(&mut self, ids: &[&str], what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let until = Instant::now() + DEADLINE;
        let kind = self.kind;
        loop {
            for id in ids {
                let Some(told) = self.told.get_mut(*id) else {
                    continue;
                };
                if let Some(at) = told
                    .iter()
                    .position(|event| wanted(event) || event.is_bad())
                {
                    let event = told.remove(at).unwrap();
                    assert!(
                        wanted(&event),
                        "{kind:?} {id}: {what} is expected, not {event:?}"
                    );
                    return event;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if !self.hear(left) {
                let told = &self.told;
                panic!("{kind:?} {ids:?}: {what} has not come in {DEADLINE:?}, but {told:?}");
            }
        }
    }

    fn hear_what_was_told(&mut self) {
        while self.hear(Duration::ZERO) {}
    }

    /// Files one event, if there is one in time.
    fn hear(&mut self, at_most: Duration) -> bool {
        match self.events.recv_timeout(at_most) {
            Ok((id, event)) => {
                self.told.entry(id).or_default().push_back(event);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("the {:?} client has ended", self.kind),
        }
    }

    fn tell(&mut self, what: &str, id: &str, command: Value) {
        self.program.tell(self.number, what, id, command);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.program.remove_client(self.number);
    }
}

/// The subprotocol of a version.
pub fn subprotocol(version: &str) -> String {
    format!("v{}.stomp", version.replace('.', ""))
}

fn headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    headers
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
