//! Random operations on queues, on the model and on a ledger that believes neither.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::model::{Model, State};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Send {
        queue: usize,
        headers: usize,
        payload: usize,
    },
    Subscribe {
        queue: usize,
        consumer: u32,
        window: u32,
    },
    /// A bit for each of the messages that the consumer holds, the oldest lowest.
    Settle {
        queue: usize,
        consumer: u32,
        which: u8,
        verdict: Verdict,
    },
    Leave {
        queue: usize,
        consumer: u32,
    },
}

/// Most things happen in the first queue.
fn queue() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0usize), 1 => 1usize..4]
}

fn step(consumers: u32) -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![2 => Just(Verdict::Accept), 1 => Just(Verdict::Return)];
    let payload = prop_oneof![2 => Just(0usize), 3 => 1usize..300, 1 => 300usize..1_500];
    prop_oneof![
        6 => (queue(), 0usize..20, payload)
            .prop_map(|(queue, headers, payload)| Step::Send { queue, headers, payload }),
        4 => (queue(), 0..consumers, 1u32..5)
            .prop_map(|(queue, consumer, window)| Step::Subscribe { queue, consumer, window }),
        6 => (queue(), 0..consumers, any::<u8>(), verdict)
            .prop_map(|(queue, consumer, which, verdict)| Step::Settle {
                queue,
                consumer,
                which,
                verdict,
            }),
        2 => (queue(), 0..consumers).prop_map(|(queue, consumer)| Step::Leave { queue, consumer }),
    ]
}

prop_compose! {
    fn limits()(
        queues_max in 1usize..5,
        messages_max in 1usize..30,
        kilobytes in 1usize..20,
        total_kilobytes in 1usize..20,
        deliveries_max in 1u32..5,
        window_bytes_max in 0usize..2_500,
    ) -> QueueLimits {
        QueueLimits {
            queues_max,
            messages_max,
            bytes_max: 1_024 * kilobytes,
            total_bytes_max: 1_024 * total_kilobytes,
            deliveries_max,
            window_bytes_max,
        }
    }
}

/// What is known of a message from what went in and what came out.
struct Entry {
    state: State,
    deliveries: u32,
    bytes: usize,
}

/// The messages of each queue by position, and the windows of each queue's consumers.
struct Ledger {
    limits: QueueLimits,
    messages: BTreeMap<(usize, u64, u64), Entry>,
    windows: HashMap<(usize, u32), u32>,
    /// The newest message of each epoch that has been handed out.
    newest: HashMap<u64, u64>,
}

impl Ledger {
    fn note_sent(&mut self, queue: usize, position: Position, bytes: usize) {
        let key = (queue, position.epoch, position.offset);
        let entry = Entry {
            state: State::Ready,
            deliveries: 0,
            bytes,
        };
        let newest = self.messages.keys().rfind(|other| other.0 == queue);
        assert!(newest.is_none_or(|newest| *newest < key), "numbers rise");
        self.messages.insert(key, entry);
    }

    /// Of what the consumer holds, what is among the offsets is settled.
    fn note_settled(
        &mut self,
        queue: usize,
        consumer: u32,
        offsets: Option<&[u64]>,
        verdict: Verdict,
    ) {
        for (key, entry) in &mut self.messages {
            let is_meant = offsets.is_none_or(|offsets| offsets.contains(&key.2));
            if key.0 == queue && entry.state == State::Unsettled(consumer) && is_meant {
                entry.state = match verdict {
                    Verdict::Accept => State::Settled,
                    Verdict::Return if entry.deliveries < self.limits.deliveries_max => {
                        State::Ready
                    }
                    Verdict::Return => State::Discarded,
                };
            }
        }
    }

    fn note_handed(&mut self, queue: usize, handed: &Handed<u32>) {
        let Position { epoch, offset } = handed.publication.position;
        let front = self
            .messages
            .iter()
            .find(|(key, entry)| key.0 == queue && entry.state == State::Ready);
        let (&front, _) = front.expect("something was ready");
        assert_eq!(front, (queue, epoch, offset), "the front goes first");

        let window = self.windows[&(queue, handed.consumer)];
        let (count, bytes) = self.held(queue, handed.consumer);
        let entry = self.messages.get_mut(&front).expect("it was found");
        assert!(count < window as usize, "a place in the window");
        assert!(count == 0 || bytes + entry.bytes <= self.limits.window_bytes_max);
        assert!(entry.deliveries < self.limits.deliveries_max);
        assert_eq!(handed.redelivered, entry.deliveries > 0);
        entry.state = State::Unsettled(handed.consumer);
        entry.deliveries += 1;
        if !handed.redelivered {
            let newest = self.newest.entry(epoch).or_default();
            assert_eq!(offset, *newest + 1, "first deliveries leave none out");
            *newest = offset;
        }
    }

    /// Nothing waits that somebody could have, and the tally is right.
    fn check(&self, tally: QueueTally) {
        for queue in 0..4 {
            let front = self
                .messages
                .iter()
                .find(|(key, entry)| key.0 == queue && entry.state == State::Ready);
            let Some((_, front)) = front else { continue };
            for (&(_, consumer), &window) in self.windows.iter().filter(|(key, _)| key.0 == queue) {
                let (count, bytes) = self.held(queue, consumer);
                let fits = bytes + front.bytes <= self.limits.window_bytes_max;
                assert!(count > 0 && (count >= window as usize || !fits));
            }
        }
        let count = |is_counted: fn(State) -> bool| {
            let entries = self.messages.values();
            entries.filter(|entry| is_counted(entry.state)).count()
        };
        let unsettled = |state| matches!(state, State::Unsettled(_));
        assert_eq!(tally.messages, count(|state| state == State::Ready));
        assert_eq!(tally.unsettled, count(unsettled));
        assert_eq!(
            tally.discarded,
            count(|state| state == State::Discarded) as u64
        );
        assert_eq!(tally.consumers, self.windows.len());
        assert!(tally.bytes <= self.limits.total_bytes_max);
        assert!(tally.queues <= self.limits.queues_max);
    }

    fn held(&self, queue: usize, consumer: u32) -> (usize, usize) {
        let held = self
            .messages
            .iter()
            .filter(|(key, entry)| key.0 == queue && entry.state == State::Unsettled(consumer));
        held.fold((0, 0), |(count, bytes), (_, entry)| {
            (count + 1, bytes + entry.bytes)
        })
    }
}

/// The queues, the model and the ledger, which are told the same things.
struct Trial {
    queues: Queues<u32>,
    model: Model,
    ledger: Ledger,
    names: Vec<ChannelName>,
    sends: u8,
}

impl Trial {
    fn new(limits: QueueLimits) -> Self {
        Self {
            queues: Queues::new(FixedState::with_seed(1), limits, 7),
            model: Model::new(limits, 7),
            ledger: Ledger {
                limits,
                messages: BTreeMap::new(),
                windows: HashMap::new(),
                newest: HashMap::new(),
            },
            names: ["a", "b", "c", "d"].map(name).to_vec(),
            sends: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Send {
                queue,
                headers,
                payload,
            } => self.send(queue, headers, payload),
            Step::Subscribe {
                queue,
                consumer,
                window,
            } => self.subscribe(queue, consumer, window),
            Step::Settle {
                queue,
                consumer,
                which,
                verdict,
            } => {
                let mut offsets = self.model.held(&self.names[queue], consumer);
                let mut place = 0;
                offsets.retain(|_| {
                    place += 1;
                    which >> ((place - 1) % 8) & 1 == 1
                });
                // One that it may or may not hold, out of order.
                offsets.push(u64::from(which) % 16);
                self.settle(queue, consumer, &offsets, verdict);
            }
            Step::Leave { queue, consumer } => self.leave(queue, consumer),
        }
    }

    fn send(&mut self, queue: usize, headers: usize, payload: usize) {
        self.sends = self.sends.wrapping_add(1);
        let name = &self.names[queue];
        let kind = if payload.is_multiple_of(2) {
            Kind::Text
        } else {
            Kind::Binary
        };
        let headers = Bytes::from(vec![b'h'; headers]);
        let payload = Bytes::from(vec![self.sends; payload]);
        let bytes = MESSAGE_OVERHEAD_BYTES + headers.len() + payload.len();
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        let sent = self
            .queues
            .send(name, kind, headers.clone(), payload.clone(), &mut out);
        let modelled = self.model.send(name, kind, headers, payload, &mut expected);
        assert_eq!(sent, modelled);
        if let Ok(position) = sent {
            self.ledger.note_sent(queue, position, bytes);
        }
        self.check(queue, &out, &expected);
    }

    fn subscribe(&mut self, queue: usize, consumer: u32, window: u32) {
        let name = &self.names[queue];
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        let joined = self.queues.subscribe(name, consumer, window, &mut out);
        let modelled = self.model.subscribe(name, consumer, window, &mut expected);
        assert_eq!(joined, modelled);
        if joined.is_ok() {
            self.ledger.windows.insert((queue, consumer), window);
        }
        self.check(queue, &out, &expected);
    }

    fn settle(&mut self, queue: usize, consumer: u32, offsets: &[u64], verdict: Verdict) {
        let name = &self.names[queue];
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        self.queues
            .settle(name, &consumer, offsets, verdict, &mut out);
        self.model
            .settle(name, consumer, offsets, verdict, &mut expected);
        self.ledger
            .note_settled(queue, consumer, Some(offsets), verdict);
        self.check(queue, &out, &expected);
    }

    fn leave(&mut self, queue: usize, consumer: u32) {
        let name = &self.names[queue];
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        self.queues.leave(name, &consumer, &mut out);
        self.model.leave(name, consumer, &mut expected);
        self.ledger.windows.remove(&(queue, consumer));
        self.ledger
            .note_settled(queue, consumer, None, Verdict::Return);
        self.check(queue, &out, &expected);
    }

    fn check(&mut self, queue: usize, out: &[Handed<u32>], expected: &[Handed<u32>]) {
        assert_eq!(out, expected);
        for handed in out {
            self.ledger.note_handed(queue, handed);
        }
        let tally = self.queues.tally();
        assert_eq!(tally, self.model.tally());
        self.ledger.check(tally);
    }

    /// One new consumer accepts all there is when the others have gone, and goes as well.
    fn clear(&mut self, consumers: u32) {
        let accepting = consumers;
        for queue in 0..self.names.len() {
            for consumer in 0..consumers {
                self.leave(queue, consumer);
            }
        }
        // Queues that are there first: a new one may be one too many.
        while self.queues.tally().messages > 0 {
            for queue in 0..self.names.len() {
                self.subscribe(queue, accepting, 3);
                loop {
                    let offsets = self.model.held(&self.names[queue], accepting);
                    if offsets.is_empty() {
                        break;
                    }
                    self.settle(queue, accepting, &offsets, Verdict::Accept);
                }
                self.leave(queue, accepting);
            }
        }
    }
}

fn run(limits: QueueLimits, consumers: u32, steps: &[Step]) {
    let mut trial = Trial::new(limits);
    for step in steps {
        trial.take(step);
    }
    trial.clear(consumers);
    let discarded = trial.queues.tally().discarded;
    let nothing = QueueTally {
        discarded,
        ..QueueTally::default()
    };
    assert_eq!(trial.queues.tally(), nothing);
    let settled = trial.ledger.messages.values();
    let settled = settled.filter(|entry| entry.state == State::Settled);
    assert_eq!(
        settled.count() + discarded as usize,
        trial.ledger.messages.len(),
        "nothing is lost"
    );
}

proptest! {
    #[test]
    fn every_message_is_with_one_consumer_at_a_time_until_it_is_settled_or_discarded(
        limits in limits(),
        steps in prop::collection::vec(step(6), 1..200),
    ) {
        run(limits, 6, &steps);
    }
}

proptest! {
    // The scans of so many take their time.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn many_consumers_that_come_and_go_are_served_as_a_scan_would(
        steps in prop::collection::vec(step(40), 1..300),
    ) {
        run(WIDE, 40, &steps);
    }
}
