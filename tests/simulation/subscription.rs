//! A STOMP client's subscription, and what came on it.

use super::client;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Auto,
    Client,
    Individual,
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    Topic(usize),
    Queue(usize),
}

impl To {
    pub fn text(self) -> String {
        match self {
            Self::Topic(channel) => format!("/topic/{}", client::channel_name(channel)),
            Self::Queue(queue) => format!("/queue/jobs.{queue}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Return,
}

/// What the client said about a message: when, and with which receipt.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub verdict: Verdict,
    pub at: u64,
    pub receipt: Option<usize>,
}

/// A MESSAGE that was read.
#[derive(Debug)]
pub struct Got {
    pub epoch: u64,
    pub offset: u64,
    pub body: Vec<u8>,
    pub redelivered: bool,
    /// No message, but a word that some are gone.
    pub is_gap: bool,
    pub at: u64,
    pub ack: Option<String>,
    pub settled: Option<Settled>,
}

#[derive(Debug)]
pub struct Subscription {
    pub id: Option<String>,
    pub to: To,
    pub mode: Mode,
    pub window: usize,
    /// The session's number for it.
    pub number: u32,
    /// The place in the client's bytes where its SUBSCRIBE ends.
    pub ends_at: u64,
    /// Behind which offset it wants what its client has missed.
    pub since: Option<u64>,
    /// Between which of its topic's offsets it has begun, and when.
    pub start: Option<(u64, u64)>,
    pub began_ms: u64,
    pub got: Vec<Got>,
    /// When UNSUBSCRIBE was said, and with which receipt.
    pub ended: Option<(u64, Option<usize>)>,
}

impl Subscription {
    /// Messages that it has neither acknowledged nor given back.
    pub fn held(&self) -> usize {
        match self.mode {
            Mode::Auto => 0,
            _ => self.got.iter().filter(|got| got.settled.is_none()).count(),
        }
    }

    /// Whether it has as many unsettled as it may.
    pub fn is_full(&self) -> bool {
        self.mode != Mode::Auto && self.held() == self.window
    }

    pub fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.to.text())
    }

    /// Takes a MESSAGE in.
    pub fn take(&mut self, got: Got) -> Result<(), String> {
        let about = |what: &str| {
            let text = String::from_utf8_lossy(&got.body[..got.body.len().min(20)]);
            Err(format!("{text} of {:?} {what}", self.to))
        };
        if let Some(last) = self.got.last()
            && last.epoch != got.epoch
        {
            return about("from another epoch");
        }
        match self.to {
            To::Topic(_) if got.redelivered => return about("redelivered"),
            _ if got.is_gap && !(self.got.is_empty() && self.since.is_some()) => {
                return about("is a gap that nobody asked about");
            }
            To::Topic(_) => {
                let due = self.got.last().map_or(got.offset, |last| last.offset + 1);
                if due != got.offset {
                    return about(&format!("as {}, where {due} was due", got.offset));
                }
            }
            To::Queue(_) => {
                let mut before = self.got.iter().filter(|other| !other.redelivered);
                if !got.redelivered && before.any(|other| other.offset >= got.offset) {
                    return about("too late or twice, and not redelivered");
                }
                let mut same = self.got.iter().filter(|o| o.offset == got.offset);
                if same.any(|other| {
                    !matches!(&other.settled, Some(settled) if settled.verdict == Verdict::Return)
                }) {
                    return about("again, although it has it");
                }
            }
        }
        self.got.push(got);
        if self.held() > self.window {
            return Err(format!("more than {} unsettled", self.window));
        }
        Ok(())
    }
}
