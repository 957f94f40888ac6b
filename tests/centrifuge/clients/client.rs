//! Real clients of Centrifugo's protocol: what a test lets them do, and what they tell.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::Program;
use crate::support::DEADLINE;
use crate::support::centrifuge::PATH;
use crate::support::server::{Options, Server};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `centrifuge` in node.
    Node,
    /// The same in Chromium.
    Chromium,
    /// `centrifuge-python`.
    Python,
}

/// What a connection tells: see `program.rs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    /// All of it.
    pub told: Value,
}

/// Any number of connections of one client to one server, each with an id of the test's choice.
pub struct Site {
    pub server: Server,
    pub kind: Kind,
    program: Arc<Program>,
    /// Which client of the program it is.
    number: usize,
    events: Receiver<(String, Event)>,
    /// What was told and has not been asked for, by connections.
    told: HashMap<String, VecDeque<Event>>,
}

impl Site {
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// The same with a configuration file of that text.
    pub fn start_with(kind: Kind, config: &str) -> Self {
        let program = Program::of(kind);
        let (number, events) = program.add_client();
        Self {
            server: Server::start(Options::with_config(config)),
            kind,
            program,
            number,
            events,
            told: HashMap::new(),
        }
    }

    /// Connects without a token, and waits until that is done.
    pub fn connect(&mut self, id: &str) -> Value {
        self.begin_connect(id, json!({}));
        self.take(id, "connected")
    }

    /// Connects with tokens to be used one after the other.
    pub fn connect_with(&mut self, id: &str, tokens: &[String]) -> Value {
        self.begin_connect(id, json!({ "tokens": tokens }));
        self.take(id, "connected")
    }

    /// Begins to connect.
    pub fn begin_connect(&mut self, id: &str, mut options: Value) {
        options["url"] = self.server.url(PATH).into();
        self.tell("connect", id, options);
    }

    /// Subscribes, and waits for that.
    pub fn subscribe(&mut self, id: &str, channel: &str) -> Value {
        self.tell("subscribe", id, json!({ "channel": channel }));
        self.take_of(id, "subscribed", channel)
    }

    /// Publishes, and waits for the reply.
    pub fn publish(&mut self, id: &str, channel: &str, data: Value) {
        self.ask("publish", id, json!({ "channel": channel, "data": data }));
    }

    /// Asks something that is answered.
    pub fn ask(&mut self, what: &str, id: &str, command: Value) -> Value {
        self.tell(what, id, command);
        let mut answer = self.take(id, "answer");
        assert_eq!(answer["what"], what, "{answer}");
        answer["answer"].take()
    }

    /// Asks something that is refused, and returns the error's code.
    pub fn refused(&mut self, what: &str, id: &str, command: Value) -> Value {
        self.tell(what, id, command);
        let mut refused = self.take(id, "refused");
        assert_eq!(refused["what"], what, "{refused}");
        refused["code"].take()
    }

    /// The next publication that the connection has not been asked for, which must be of that channel: its `data`.
    pub fn data(&mut self, id: &str, channel: &str) -> Value {
        self.publication(id, channel)["data"].take()
    }

    /// The same with all that is told of it.
    pub fn publication(&mut self, id: &str, channel: &str) -> Value {
        let publication = self.take(id, "publication");
        assert_eq!(publication["channel"], channel, "{publication}");
        publication
    }

    /// The next event of that name.
    pub fn take(&mut self, id: &str, name: &str) -> Value {
        self.take_if(id, name, |event| event.name == name)
    }

    /// The next event of that name and channel.
    pub fn take_of(&mut self, id: &str, name: &str, channel: &str) -> Value {
        self.take_if(id, name, |event| {
            event.name == name && event.told["channel"] == channel
        })
    }

    /// All that the connection has told and was not asked for, by name.
    pub fn untaken(&mut self, id: &str) -> Vec<String> {
        while self.hear(Duration::ZERO) {}
        let told = self.told.get(id).into_iter().flatten();
        told.map(|event| event.name.clone()).collect()
    }

    fn take_if(&mut self, id: &str, what: &str, wanted: impl Fn(&Event) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let told = self.told.entry(id.to_owned()).or_default();
            if let Some(failed) = told.iter().find(|event| event.name == "failed") {
                panic!("{:?} {id}: {}", self.kind, failed.told);
            }
            if let Some(at) = told.iter().position(&wanted) {
                return told.remove(at).expect("it was just found").told;
            }
            if !self.hear(until.saturating_duration_since(Instant::now())) {
                let (kind, told) = (self.kind, &self.told);
                panic!("{kind:?} {id}: {what} has not come in {DEADLINE:?}, but {told:?}");
            }
        }
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

    pub fn tell(&mut self, what: &str, id: &str, command: Value) {
        self.program.tell(self.number, what, id, command);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.program.remove_client(self.number);
    }
}
