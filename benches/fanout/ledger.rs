//! The count of every publication at every subscriber.
//!
//! Publications carry a sequence number from 0 up. Each subscriber has to receive each of them once and in order; whatever
//! else happens is lost, doubled, reordered or foreign, and is kept apart exactly: a number that was skipped is reordered
//! if it comes later, and lost if it does not.

use std::collections::HashSet;

use crate::frames::{Frame, FrameReader};
use crate::messages::{self, Messages, Sharing};
use crate::pushes::{PING, Pushes};
use crate::samples::Samples;

const SEQUENCE_DIGITS: usize = 12;

/// The payload of all publications: a sequence number in decimal and filler up to the wanted length. ASCII, so that it
/// is a valid text message.
pub struct Payload {
    bytes: Vec<u8>,
    /// Where the digits begin.
    digits_at: usize,
}

impl Payload {
    /// A payload of `length` bytes, at least as many as the sequence number needs.
    pub fn new(length: usize) -> Self {
        let filler = (b'a'..=b'z').cycle();
        let bytes = [b'0'; SEQUENCE_DIGITS].into_iter().chain(filler);
        Self {
            bytes: bytes.take(length.max(SEQUENCE_DIGITS)).collect(),
            digits_at: 0,
        }
    }

    /// JSON of `length` bytes as a price feed would send it, 100 or more.
    pub fn json(length: usize) -> Self {
        let begin = "{\"sequence\":\"";
        let mut text = format!("{begin}{}\",\"quotes\":[", "0".repeat(SEQUENCE_DIGITS));
        for i in 0.. {
            // Numbers that look like prices and repeat as little as those do.
            let noise = (i * 7_919 + 104_729) % 99_991;
            let (bid, ask) = (10_000 + noise, 10_003 + noise + noise % 17);
            let quote = format!(
                "{{\"symbol\":\"{}{}\",\"bid\":{}.{:02},\"ask\":{}.{:02},\"volume\":{}}}",
                ["EUR", "USD", "GBP", "JPY"][i % 4],
                ["CHF", "SEK", "NOK"][i % 3],
                bid / 100,
                bid % 100,
                ask / 100,
                ask % 100,
                noise % 1_009 * 100,
            );
            if text.len() + quote.len() + 20 > length {
                break;
            }
            let comma = if i > 0 { "," } else { "" };
            text += &format!("{comma}{quote}");
        }
        text += "],\"note\":\"";
        text += &"-".repeat(length.saturating_sub(text.len() + 2));
        text += "\"}";
        Self {
            bytes: text.into_bytes(),
            digits_at: begin.len(),
        }
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The payload of publication `sequence`, which must be below 10^12.
    pub fn numbered(&mut self, mut sequence: u64) -> &[u8] {
        let digits = self.digits_at..self.digits_at + SEQUENCE_DIGITS;
        for digit in self.bytes[digits].iter_mut().rev() {
            *digit = b'0' + (sequence % 10) as u8;
            sequence /= 10;
        }
        &self.bytes
    }

    /// The sequence number of a received payload, or `None` if it is no payload of this kind.
    pub fn sequence(&self, received: &[u8]) -> Option<u64> {
        let (begin, rest) = received.split_at_checked(self.digits_at)?;
        let (digits, filler) = rest.split_at_checked(SEQUENCE_DIGITS)?;
        let filler_at = self.digits_at + SEQUENCE_DIGITS;
        if begin != &self.bytes[..self.digits_at] || filler != &self.bytes[filler_at..] {
            return None;
        }
        digits
            .iter()
            .try_fold(0_u64, |sequence, &digit| match digit {
                b'0'..=b'9' => Some(sequence * 10 + u64::from(digit - b'0')),
                _ => None,
            })
    }
}

/// Deliveries counted, and everything that was not a delivery in order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Publications that reached a subscriber for the first time.
    pub delivered: u64,
    /// Publications that a subscriber never received.
    pub lost: u64,
    /// Publications received again.
    pub doubled: u64,
    /// Publications received after a later one.
    pub reordered: u64,
    /// Messages that nobody published.
    pub foreign: u64,
    /// Subscribers whose connection ended, or whose stream was not valid.
    pub closed: u64,
}

impl Counts {
    /// Whether every publication reached every subscriber once, in order and unchanged.
    pub fn are_clean(&self) -> bool {
        let Self {
            delivered: _,
            lost,
            doubled,
            reordered,
            foreign,
            closed,
        } = *self;
        lost + doubled + reordered + foreign + closed == 0
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.closed += other.closed;
    }
}

/// What a subscriber's connection calls for, besides counting.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    None,
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// This message.
    Message(&'static [u8]),
}

/// All subscribers of one channel and what they have received.
pub struct Ledger {
    payload: Payload,
    subscribers: Vec<Subscriber>,
    published: u64,
    everywhere: u64,
    /// How many subscribers have publication `n`, at `n & mask`, for those not yet everywhere.
    arrived: Vec<u32>,
    /// Skipped so far: subscriber and sequence number.
    missing: HashSet<(u32, u64)>,
    form: Form,
    counts: Counts,
}

/// What subscribers receive publications as.
enum Form {
    /// The payload.
    Raw,
    /// The payload, compressed.
    Compressed(Samples),
    /// A MESSAGE frame of STOMP.
    Stomp(Messages),
    /// A push of Centrifugo's protocol.
    Pushes(Pushes),
}

#[derive(Default)]
struct Subscriber {
    reader: FrameReader,
    /// The sequence number after the highest that it has received.
    next: u64,
    closed: bool,
}

impl Ledger {
    /// A ledger for that payload, with at most `window` publications on their way at a time.
    pub fn new(payload: Payload, window: u64) -> Self {
        let slots = window.max(1).next_power_of_two();
        Self {
            payload,
            subscribers: Vec::new(),
            published: 0,
            everywhere: 0,
            arrived: vec![0; slots as usize],
            missing: HashSet::new(),
            form: Form::Raw,
            counts: Counts::default(),
        }
    }

    /// From now on subscribers have agreed to compression. Each message must be compressed then.
    pub fn expect_compressed(&mut self) {
        self.form = Form::Compressed(Samples::new(self.arrived.len() as u64));
    }

    /// From now on subscribers speak STOMP.
    pub fn expect_stomp(&mut self, sharing: Sharing) {
        self.form = Form::Stomp(Messages::new(sharing, self.arrived.len() as u64));
    }

    /// From now on subscribers speak Centrifugo's protocol.
    pub fn expect_pushes(&mut self) {
        self.form = Form::Pushes(Pushes::new(self.arrived.len() as u64));
    }

    /// Adds a subscriber, before anything is published, and returns its index.
    pub fn subscribe(&mut self) -> u32 {
        debug_assert_eq!(self.published, 0);
        let mut subscriber = Subscriber::default();
        match &mut self.form {
            Form::Raw | Form::Pushes(_) => {}
            Form::Compressed(_) => subscriber.reader = FrameReader::of_compressed(),
            Form::Stomp(messages) => messages.subscribe(),
        }
        self.subscribers.push(subscriber);
        (self.subscribers.len() - 1) as u32
    }

    /// Numbers the next publication and returns its payload.
    pub fn publish(&mut self) -> &[u8] {
        let sequence = self.published;
        self.published += 1;
        debug_assert!(self.outstanding() <= self.arrived.len() as u64);
        self.payload.numbered(sequence)
    }

    /// Publications made.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Publications that some subscriber still lacks.
    pub fn outstanding(&self) -> u64 {
        self.published - self.everywhere
    }

    /// Deliveries so far.
    pub fn delivered(&self) -> u64 {
        self.counts.delivered
    }

    /// Counts what `bytes`, the next of this subscriber's stream, hold.
    pub fn receive(&mut self, index: u32, bytes: &[u8]) -> Answer {
        let Self {
            payload,
            subscribers,
            published,
            everywhere,
            arrived,
            missing,
            form,
            counts,
        } = self;
        let Subscriber {
            reader,
            next,
            closed,
        } = &mut subscribers[index as usize];
        if *closed {
            return Answer::None;
        }
        let mut answer = Answer::None;
        let mut ended = false;
        let valid = reader.read(bytes, |frame| match frame {
            Frame::Message(message) | Frame::Compressed(message) => {
                let sequence = match form {
                    Form::Raw => payload.sequence(message),
                    Form::Compressed(samples) if matches!(frame, Frame::Compressed(_)) => {
                        samples.sequence(message, *next, payload)
                    }
                    // Sent as it is although compression was agreed on.
                    Form::Compressed(_) => None,
                    Form::Stomp(_) if messages::is_heart_beat(message) => return,
                    Form::Stomp(messages) => messages.sequence(index, message, *next, payload),
                    Form::Pushes(_) if message == PING => {
                        answer = Answer::Message(PING);
                        return;
                    }
                    Form::Pushes(pushes) => pushes.sequence(message, *next, payload),
                };
                let Some(sequence) = sequence.filter(|sequence| sequence < published) else {
                    counts.foreign += 1;
                    return;
                };
                if sequence < *next && !missing.remove(&(index, sequence)) {
                    counts.doubled += 1;
                    return;
                }
                if sequence < *next {
                    counts.reordered += 1;
                } else {
                    missing.extend((*next..sequence).map(|skipped| (index, skipped)));
                    *next = sequence + 1;
                }
                counts.delivered += 1;
                let slots = arrived.len() as u64;
                arrived[(sequence & (slots - 1)) as usize] += 1;
            }
            Frame::Ping(payload) => answer = Answer::Pong(payload.to_vec()),
            Frame::Pong => {}
            Frame::Close(_) => ended = true,
        });
        let all = self.subscribers.len() as u32;
        let slots = arrived.len() as u64;
        while *everywhere < *published && arrived[(*everywhere & (slots - 1)) as usize] == all {
            arrived[(*everywhere & (slots - 1)) as usize] = 0;
            *everywhere += 1;
        }
        if valid.is_err() || ended {
            self.close(index);
        }
        answer
    }

    /// Counts that this subscriber's connection has ended.
    pub fn close(&mut self, index: u32) {
        let subscriber = &mut self.subscribers[index as usize];
        if !subscriber.closed {
            subscriber.closed = true;
            self.counts.closed += 1;
        }
    }

    /// The final counts: what has not arrived by now is lost.
    pub fn settle(&self) -> Counts {
        let never_reached: u64 = self
            .subscribers
            .iter()
            .map(|subscriber| self.published - subscriber.next)
            .sum();
        Counts {
            lost: self.missing.len() as u64 + never_reached,
            ..self.counts
        }
    }
}
