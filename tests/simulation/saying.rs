//! What a STOMP client of a world says: subscriptions, messages, acknowledgements, transactions.

use super::frame::frame;
use super::rng::Rng;
use super::stomper::{ABORTED, Habit, Sent, Stomper, V1_0, V1_2, VERSIONS};
use super::subscription::{Got, Mode, Settled, Subscription, To, Verdict};
use super::wire;

/// The client's side of a connection's bytes.
pub struct Line<'a> {
    pub outgoing: &'a mut Vec<u8>,
    /// Bytes that have left `outgoing`.
    pub written: u64,
    pub rng: &'a mut Rng,
    /// Whether messages may be compressed.
    pub deflates: bool,
}

impl Line<'_> {
    /// Says a frame, in one message or cut into two, perhaps behind an empty line.
    fn say(&mut self, mut frame: Vec<u8>) {
        if self.rng.chance(100) {
            frame.insert(0, b'\n');
        }
        let cut = match self.rng.chance(150) {
            true => self.rng.within(1..=frame.len()),
            false => frame.len(),
        };
        for piece in [&frame[..cut], &frame[cut..]] {
            if piece.is_empty() {
                continue;
            }
            let key = (self.rng.next() as u32).to_be_bytes();
            let message = if self.deflates && self.rng.chance(500) {
                wire::masked(wire::COMPRESSED | wire::TEXT, &wire::stored(piece), key)
            } else {
                wire::masked(wire::TEXT, piece, key)
            };
            self.outgoing.extend_from_slice(&message);
        }
    }
}

impl Stomper {
    /// Does something of what it is there for; whether it said anything.
    pub fn act(&mut self, calm: bool, line: &mut Line<'_>) -> bool {
        let before = line.outgoing.len();
        if !self.said_connect {
            self.said_connect = true;
            let beat = self.beat_ms.map(|ms| format!("0,{ms}"));
            let accepts = (self.version != V1_0).then_some(VERSIONS[self.version]);
            let headers = [("accept-version", accepts), ("heart-beat", beat.as_deref())];
            // 1.0 has no heart-beats.
            self.beat_ms = self.beat_ms.filter(|_| self.version != V1_0);
            line.say(frame("CONNECT", &headers, b""));
        } else if (self.connected || self.is_eager) && self.disconnect.is_none() {
            self.begin_collecting(line);
            if self.subscribes_left > 0 && line.rng.chance(400) {
                self.subscribe(line);
            }
            if !calm && line.rng.chance(25) {
                self.unsubscribe(line);
            }
            self.settle(calm, line);
            if self.sends_left > 0 && line.rng.chance(if calm { 1_000 } else { 400 }) {
                match line.rng.chance(200) {
                    true => self.transact(line),
                    false => self.send_one(line),
                }
            }
        }
        let calls_again = calm && self.sends_left + self.subscribes_left > 0;
        line.outgoing.len() > before || calls_again
    }

    /// Says DISCONNECT, after which it says nothing more.
    pub fn disconnect(&mut self, line: &mut Line<'_>) {
        let receipt = self.ask_receipt();
        self.disconnect = Some(receipt);
        let text = format!("r{receipt}");
        line.say(frame("DISCONNECT", &[("receipt", Some(&text))], b""));
    }

    /// A collector's one SUBSCRIBE.
    fn begin_collecting(&mut self, line: &mut Line<'_>) {
        if let [only] = &mut self.subscriptions[..]
            && only.id.as_deref() == Some("all")
            && only.ends_at == 0
        {
            let to = only.to.text();
            let headers = [("id", Some("all")), ("destination", Some(&*to))];
            line.say(frame("SUBSCRIBE", &headers, b""));
            only.ends_at = line.written + line.outgoing.len() as u64;
        }
    }

    fn subscribe(&mut self, line: &mut Line<'_>) {
        self.subscribes_left -= 1;
        let ended = self.subscriptions.iter().find(|one| one.ended.is_some());
        let to = match (line.rng.chance(500), ended) {
            // Back to where it was.
            (true, Some(one)) if line.rng.chance(500) => one.to,
            (true, _) => To::Topic(line.rng.below(self.topics)),
            (false, _) => To::Queue(line.rng.below(self.queues)),
        };
        let id = (!self.without_ids).then(|| self.draw_id(line.rng));
        let name = id.clone().unwrap_or_else(|| to.text());
        // Of one name there may be one at a time, and messages of the old one may still come.
        let is_taken = self.subscriptions.iter().any(|one| {
            let is_over = one.ended.is_some_and(|(_, r)| self.has_receipt(r));
            one.name() == name && !is_over
        });
        if is_taken {
            return;
        }
        let mode = line.rng.pick(&[Mode::Auto, Mode::Client, Mode::Individual]);
        let window = line.rng.pick(&[1, 2, 3, 10, 256]);
        let receipt = line.rng.chance(600).then(|| self.ask_receipt());
        let (text, count, receipt) = (to.text(), window.to_string(), named(receipt));
        let since = self.last_of(to).filter(|_| line.rng.chance(700));
        let place = since.map(|(epoch, offset)| format!("{epoch}-{offset}"));
        let headers = [
            ("id", id.as_deref()),
            ("destination", Some(&*text)),
            (
                "ack",
                match mode {
                    Mode::Auto => None,
                    Mode::Client => Some("client"),
                    Mode::Individual => Some("client-individual"),
                },
            ),
            ("prefetch-count", (window != 256).then_some(&*count)),
            ("since", place.as_deref()),
            ("receipt", receipt.as_deref()),
        ];
        line.say(frame("SUBSCRIBE", &headers, b""));
        let number = self.take_number();
        self.subscriptions.push(Subscription {
            id,
            to,
            mode,
            window,
            number,
            ends_at: line.written + line.outgoing.len() as u64,
            since: since.map(|(_, offset)| offset),
            start: None,
            began_ms: 0,
            got: Vec::new(),
            ended: None,
        });
    }

    /// The place of the last message of a topic that the client has had.
    fn last_of(&self, to: To) -> Option<(u64, u64)> {
        let topics = self.subscriptions.iter().rev();
        let mut same = topics.filter(|one| one.to == to && matches!(to, To::Topic(_)));
        same.find_map(|one| one.got.last())
            .map(|got| (got.epoch, got.offset))
    }

    /// An id of its own, or one that was used before.
    fn draw_id(&self, rng: &mut Rng) -> String {
        let all = self.subscriptions.len();
        let number = if rng.chance(300) {
            rng.below(all + 1)
        } else {
            all
        };
        format!("s{number}")
    }

    fn unsubscribe(&mut self, line: &mut Line<'_>) {
        let active = |one: &&mut Subscription| one.ended.is_none();
        let Some(one) = self.subscriptions.iter_mut().find(active) else {
            return;
        };
        let receipt = line.rng.chance(700).then_some(self.receipts.len());
        let (text, named) = (one.to.text(), named(receipt));
        let headers = [
            ("id", one.id.as_deref()),
            ("destination", one.id.is_none().then_some(&*text)),
            ("receipt", named.as_deref()),
        ];
        line.say(frame("UNSUBSCRIBE", &headers, b""));
        one.ended = Some((self.clock.get(), receipt));
        self.receipts.extend(receipt.map(|_| None));
        if receipt.is_some() {
            self.take_number();
        }
        self.subscribes_left += line.rng.below(3);
    }

    /// Acknowledges, or gives back, some of what it holds.
    fn settle(&mut self, calm: bool, line: &mut Line<'_>) {
        let likely = match (self.habit, calm) {
            (Habit::Never, _) | (Habit::Stops, false) => 0,
            (Habit::Prompt | Habit::Late | Habit::Stops, true) => 1_000,
            (Habit::Prompt, false) => 700,
            (Habit::Late, false) => 60,
        };
        for index in 0..self.subscriptions.len() {
            while line.outgoing.len() < 600 && line.rng.chance(likely) {
                let verdict = match self.version != V1_0 && !calm && line.rng.chance(150) {
                    true => Verdict::Return,
                    false => Verdict::Accept,
                };
                if !self.settle_one(index, verdict, line) {
                    break;
                }
            }
        }
    }

    /// Whether there was something to be settled.
    fn settle_one(&mut self, index: usize, verdict: Verdict, line: &mut Line<'_>) -> bool {
        let one = &self.subscriptions[index];
        let held: Vec<usize> = (0..one.got.len())
            .filter(|&at| one.got[at].settled.is_none())
            .collect();
        if one.mode == Mode::Auto || one.ended.is_some() || held.is_empty() {
            return false;
        }
        let which = held[line.rng.below(held.len())];
        let receipt = line.rng.chance(300).then(|| self.ask_receipt());
        let named = named(receipt);
        let one = &self.subscriptions[index];
        let Got { epoch, offset, .. } = one.got[which];
        let id = format!("{epoch}-{offset}");
        let transaction = line.rng.chance(100).then_some("acks");
        let of = one.id.as_deref();
        let headers = match self.version {
            V1_2 => [("id", one.got[which].ack.as_deref()), ("-", None)],
            _ => [("message-id", Some(&*id)), ("subscription", of)],
        };
        let end = [("transaction", transaction), ("receipt", named.as_deref())];
        let command = match verdict {
            Verdict::Accept => "ACK",
            Verdict::Return => "NACK",
        };
        let settle = frame(command, &[headers, end].concat(), b"");
        let around = transaction.map(|name| [("transaction", Some(name))]);
        if let Some(headers) = &around {
            line.say(frame("BEGIN", headers, b""));
            // An ACK in a transaction that is aborted counts for nothing.
            if line.rng.chance(300) {
                line.say(settle);
                line.say(frame("ABORT", headers, b""));
                return true;
            }
        }
        line.say(settle);
        if let Some(headers) = &around {
            line.say(frame("COMMIT", headers, b""));
        }
        // The queue's owner is asked for the receipt.
        let asks_owner = transaction.is_none() && receipt.is_some();
        if asks_owner && matches!(self.subscriptions[index].to, To::Queue(_)) {
            self.take_number();
        }
        let at = self.tick();
        let one = &mut self.subscriptions[index];
        let from = match one.mode {
            Mode::Client => 0,
            _ => which,
        };
        for got in &mut one.got[from..=which] {
            got.settled.get_or_insert(Settled {
                verdict,
                at,
                // A receipt within a transaction says that it was taken in, not carried out.
                receipt: receipt.filter(|_| transaction.is_none()),
            });
        }
        true
    }

    fn send_one(&mut self, line: &mut Line<'_>) {
        let receipt = line.rng.chance(500).then(|| self.ask_receipt());
        self.send(None, receipt, line);
    }

    /// Sends some messages in a transaction, which are sent at its end or not at all.
    fn transact(&mut self, line: &mut Line<'_>) {
        let begin = [("transaction", Some("sends"))];
        line.say(frame("BEGIN", &begin, b""));
        let is_aborted = line.rng.chance(300);
        let receipt = (!is_aborted && line.rng.chance(600)).then(|| self.ask_receipt());
        for _ in 0..line.rng.within(0..=3).min(self.sends_left) {
            self.send(Some(is_aborted), receipt, line);
        }
        let named = named(receipt);
        let end = [begin[0], ("receipt", named.as_deref())];
        let command = if is_aborted { "ABORT" } else { "COMMIT" };
        line.say(frame(command, &end, b""));
    }

    /// Sends a message, perhaps in a transaction, which is aborted or not; its receipt is the
    /// transaction's then.
    fn send(&mut self, aborted: Option<bool>, receipt: Option<usize>, line: &mut Line<'_>) {
        self.sends_left -= 1;
        let (to, number) = match line.rng.chance(400) {
            true => (To::Topic(self.topic), &mut self.topic_messages),
            false => {
                let queue = To::Queue(line.rng.below(self.queues));
                (queue, &mut self.queue_messages)
            }
        };
        let is_aborted = aborted == Some(true);
        let publisher = if is_aborted { ABORTED } else { 0 } + self.index;
        let mut body = format!("t:{publisher}:{number}:").into_bytes();
        let padding = line.rng.pick(&[0, 3, 40, 400, 1_500]);
        body.resize(body.len() + padding, b'.');
        let (text, own) = (to.text(), receipt.filter(|_| aborted.is_none()));
        let named = named(own);
        let headers = [
            ("destination", Some(&*text)),
            ("transaction", aborted.map(|_| "sends")),
            ("receipt", named.as_deref()),
        ];
        line.say(frame("SEND", &headers, &body));
        if !is_aborted {
            let number = *number;
            match to {
                To::Topic(_) => self.topic_messages += 1,
                To::Queue(_) => self.queue_messages += 1,
            }
            self.take_number();
            self.sent.push(Sent {
                to,
                publisher,
                number,
                receipt,
            });
        }
    }
}

fn named(receipt: Option<usize>) -> Option<String> {
    receipt.map(|receipt| format!("r{receipt}"))
}
