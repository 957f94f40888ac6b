//! A STOMP client of a world, and what it hears; what it says is in `saying`.

use std::cell::Cell;
use std::rc::Rc;

use super::frame::Frame;
use super::plan::Plan;
use super::rng::Rng;
use super::subscription::{Got, Mode, Subscription, To};

/// Messages of transactions that are aborted bear this and the client's index as publisher: nobody
/// may ever see one.
pub const ABORTED: usize = 2_000;

pub(super) const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];

/// The versions by their place in [`VERSIONS`].
pub(super) const V1_0: usize = 0;
pub(super) const V1_2: usize = 2;

/// When a client acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Prompt,
    /// Now and then.
    Late,
    /// Not before the world is calm.
    Stops,
    Never,
}

/// A message that the client has sent.
#[derive(Debug)]
pub struct Sent {
    pub to: To,
    pub publisher: usize,
    pub number: u32,
    pub receipt: Option<usize>,
}

pub struct Stomper {
    pub(super) index: usize,
    pub(super) version: usize,
    pub habit: Habit,
    /// Does not wait for CONNECTED.
    pub(super) is_eager: bool,
    /// Gives its subscriptions no ids, as 1.0 has it.
    pub(super) without_ids: bool,
    pub(super) beat_ms: Option<usize>,
    /// Counts what happens to all clients of the world.
    pub(super) clock: Rc<Cell<u64>>,
    pub(super) topic: usize,
    pub(super) queues: usize,
    pub(super) topics: usize,
    pub(super) subscribes_left: usize,
    pub(super) sends_left: usize,
    pub(super) said_connect: bool,
    pub connected: bool,
    pub subscriptions: Vec<Subscription>,
    /// For each receipt that was asked for, when it came.
    pub receipts: Vec<Option<u64>>,
    pub sent: Vec<Sent>,
    /// Messages to its topic that count.
    pub topic_messages: u32,
    pub(super) queue_messages: u32,
    /// The session's next number.
    pub(super) next_number: u32,
    /// The receipt of its DISCONNECT.
    pub disconnect: Option<usize>,
    pub error: Option<String>,
    pub windows_filled: u64,
}

impl Stomper {
    pub fn draw(
        index: usize,
        topic: usize,
        plan: &Plan,
        clock: &Rc<Cell<u64>>,
        rng: &mut Rng,
    ) -> Self {
        let version = rng.below(3);
        Self {
            index,
            version,
            habit: rng.pick(&[
                Habit::Prompt,
                Habit::Prompt,
                Habit::Late,
                Habit::Stops,
                Habit::Never,
            ]),
            is_eager: rng.chance(300),
            without_ids: version == V1_0 && rng.chance(500),
            beat_ms: rng.chance(200).then(|| rng.pick(&[100, 1_000])),
            topic,
            queues: plan.queues,
            topics: plan.channels,
            subscribes_left: rng.below(4),
            sends_left: rng.pick(&[0, 0, 5, 15, 40]),
            ..Self::new(index, clock)
        }
    }

    /// One that takes everything that a queue still has.
    pub fn collector(index: usize, queue: usize, clock: &Rc<Cell<u64>>) -> Self {
        let subscription = Subscription {
            id: Some("all".to_owned()),
            to: To::Queue(queue),
            mode: Mode::Auto,
            window: 1_000,
            number: 0,
            ends_at: 0,
            since: None,
            start: None,
            began_ms: 0,
            got: Vec::new(),
            ended: None,
        };
        Self {
            subscriptions: vec![subscription],
            ..Self::new(index, clock)
        }
    }

    fn new(index: usize, clock: &Rc<Cell<u64>>) -> Self {
        Self {
            index,
            version: V1_2,
            habit: Habit::Prompt,
            is_eager: false,
            without_ids: false,
            beat_ms: None,
            clock: clock.clone(),
            topic: 0,
            queues: 0,
            topics: 0,
            subscribes_left: 0,
            sends_left: 0,
            said_connect: false,
            connected: false,
            subscriptions: Vec::new(),
            receipts: Vec::new(),
            sent: Vec::new(),
            topic_messages: 0,
            queue_messages: 0,
            next_number: 0,
            disconnect: None,
            error: None,
            windows_filled: 0,
        }
    }

    /// Whether that receipt has come.
    pub fn has_receipt(&self, receipt: Option<usize>) -> bool {
        receipt.is_some_and(|receipt| self.receipts[receipt].is_some())
    }

    /// A message of the server's.
    pub fn hear(&mut self, message: &[u8]) -> Result<(), String> {
        if self.error.is_some() {
            return Err("something behind an ERROR".to_owned());
        }
        if message == b"\n" {
            return match self.beat_ms {
                Some(_) if self.connected => Ok(()),
                _ => Err("a heart-beat that nobody wants".to_owned()),
            };
        }
        let frame = Frame::parse(message)?;
        if frame.command == "ERROR" {
            self.error = Some(frame.required("message")?.to_owned());
            return Ok(());
        }
        if self.has_receipt(self.disconnect) {
            return Err(format!("{} behind DISCONNECT's receipt", frame.command));
        }
        match &*frame.command {
            "CONNECTED" if !self.connected => {
                self.connected = true;
                match frame.required("version")? {
                    version if version == VERSIONS[self.version] => Ok(()),
                    other => Err(format!("version {other}")),
                }
            }
            "MESSAGE" if self.connected => self.hear_message(&frame),
            "RECEIPT" if self.connected => self.hear_receipt(frame.required("receipt-id")?),
            other => Err(format!("an unexpected {other}")),
        }
    }

    fn hear_message(&mut self, frame: &Frame) -> Result<(), String> {
        let at = self.tick();
        let name = match frame.header("subscription") {
            Some(id) if !self.without_ids => id,
            None if self.without_ids => frame.required("destination")?,
            other => return Err(format!("a MESSAGE with subscription {other:?}")),
        };
        let found = self.subscriptions.iter().rposition(|s| s.name() == name);
        let Some(found) = found else {
            return Err(format!("a MESSAGE of {name}, which is no subscription"));
        };
        let subscription = &self.subscriptions[found];
        if let Some((_, receipt)) = subscription.ended
            && self.has_receipt(receipt)
        {
            return Err(format!("a MESSAGE of {name} behind UNSUBSCRIBE's receipt"));
        }
        if frame.required("destination")? != subscription.to.text() {
            return Err(format!("a MESSAGE of {name} with another destination"));
        }
        let ack = frame.header("ack").map(str::to_owned);
        if ack.is_some() != (self.version == V1_2 && subscription.mode != Mode::Auto) {
            return Err(format!("a MESSAGE of {name} with ack {ack:?}"));
        }
        let id = frame.required("message-id")?;
        let position = id
            .split_once('-')
            .and_then(|(epoch, offset)| Some((epoch.parse().ok()?, offset.parse().ok()?)));
        let (epoch, offset) = position.ok_or_else(|| format!("message-id {id}"))?;
        let redelivered = match frame.header("redelivered") {
            None => false,
            Some("true") => true,
            Some(other) => return Err(format!("redelivered:{other}")),
        };
        let is_gap = match frame.header("gap") {
            None => false,
            Some("true") if frame.body.is_empty() => true,
            Some(other) => return Err(format!("gap:{other}")),
        };
        let subscription = &mut self.subscriptions[found];
        subscription.take(Got {
            epoch,
            offset,
            body: frame.body.clone(),
            redelivered,
            is_gap,
            at,
            ack,
            settled: None,
        })?;
        self.windows_filled += u64::from(subscription.is_full());
        Ok(())
    }

    fn hear_receipt(&mut self, id: &str) -> Result<(), String> {
        let at = self.tick();
        let number: Option<usize> = id.strip_prefix('r').and_then(|n| n.parse().ok());
        match number.and_then(|number| self.receipts.get_mut(number)) {
            Some(came @ None) => *came = Some(at),
            Some(Some(_)) => return Err(format!("receipt {id} for the second time")),
            None => return Err(format!("receipt {id}, which nobody asked for")),
        }
        Ok(())
    }

    pub(super) fn ask_receipt(&mut self) -> usize {
        self.receipts.push(None);
        self.receipts.len() - 1
    }

    pub(super) fn take_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    pub(super) fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }
}
