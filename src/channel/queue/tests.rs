use super::*;

mod model;
mod random;

/// Limits that no test meets by accident.
const WIDE: QueueLimits = QueueLimits {
    queues_max: 100,
    messages_max: 10_000,
    bytes_max: 10_000_000,
    total_bytes_max: 100_000_000,
    deliveries_max: 10,
    window_bytes_max: 1_000_000,
};

/// Queues whose consumers are letters, and what they have handed out.
struct Desk {
    queues: Queues<char>,
    out: Vec<Handed<char>>,
}

impl Desk {
    fn new(limits: QueueLimits) -> Self {
        let hasher = FixedState::with_seed(1);
        Self {
            queues: Queues::new(hasher, limits, 1),
            out: Vec::new(),
        }
    }

    /// One queue with these consumers.
    fn with_consumers(limits: QueueLimits, consumers: &[(char, u32)]) -> Self {
        let mut desk = Self::new(limits);
        for &(consumer, window) in consumers {
            desk.subscribe(consumer, window);
        }
        desk
    }

    fn try_send(&mut self, queue: &str, length: usize) -> Result<Position, QueueFull> {
        self.queues.send(
            &name(queue),
            Kind::Binary,
            Bytes::new(),
            Bytes::from(vec![0; length]),
            &mut self.out,
        )
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count {
            self.try_send("jobs", 0).unwrap();
        }
    }

    fn subscribe(&mut self, consumer: char, window: u32) -> Position {
        self.queues
            .subscribe(&name("jobs"), consumer, window, &mut self.out)
            .unwrap()
    }

    fn accept(&mut self, consumer: char, offsets: &[u64]) {
        self.settle(consumer, offsets, Verdict::Accept);
    }

    fn refuse(&mut self, consumer: char, offsets: &[u64]) {
        self.settle(consumer, offsets, Verdict::Return);
    }

    fn settle(&mut self, consumer: char, offsets: &[u64], verdict: Verdict) {
        self.queues
            .settle(&name("jobs"), &consumer, offsets, verdict, &mut self.out);
    }

    fn leave(&mut self, consumer: char) {
        self.queues.leave(&name("jobs"), &consumer, &mut self.out);
    }

    /// Who has been handed which message since the last time, with a mark on redelivered ones.
    fn handed(&mut self) -> String {
        let words: Vec<String> = self
            .out
            .drain(..)
            .map(|handed| {
                let mark = if handed.redelivered { "'" } else { "" };
                let offset = handed.publication.position.offset;
                format!("{}{offset}{mark}", handed.consumer)
            })
            .collect();
        words.join(" ")
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

#[test]
fn wider_limits_hand_out_what_waited_and_let_in_what_was_refused() {
    let narrow = QueueLimits {
        window_bytes_max: MESSAGE_OVERHEAD_BYTES,
        messages_max: 3,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(narrow, &[('a', 10)]);
    desk.send(3);
    assert_eq!(desk.out.len(), 1);
    assert_eq!(desk.try_send("jobs", 0), Err(QueueFull::Messages));
    desk.queues.set_limits(WIDE, &mut desk.out);
    assert_eq!(desk.out.len(), 3);
    desk.send(1);
    assert_eq!(desk.out.len(), 4);
}

#[test]
fn narrower_limits_hold_for_what_comes_and_take_nothing_away() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 2)]);
    desk.send(5);
    let narrow = QueueLimits {
        messages_max: 2,
        queues_max: 1,
        deliveries_max: 1,
        ..WIDE
    };
    desk.queues.set_limits(narrow, &mut desk.out);
    let tally = desk.queues.tally();
    assert_eq!((tally.messages, tally.unsettled), (3, 2));
    assert_eq!(desk.try_send("jobs", 0), Err(QueueFull::Messages));
    assert_eq!(desk.try_send("other", 0), Err(QueueFull::Queues));
    // Both have been delivered once, which is now the most.
    desk.queues.leave(&name("jobs"), &'a', &mut desk.out);
    let tally = desk.queues.tally();
    assert_eq!((tally.messages, tally.discarded), (3, 2));
}

#[test]
fn consumers_with_room_take_turns() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 9), ('b', 9), ('c', 9)]);
    desk.send(5);
    assert_eq!(desk.handed(), "a1 b2 c3 a4 b5");
    desk.subscribe('d', 9);
    desk.send(4);
    assert_eq!(desk.handed(), "c6 d7 a8 b9", "who joins waits for its turn");
    desk.leave('c');
    assert_eq!(desk.handed(), "d3' a6'");
}

#[test]
fn what_waits_goes_to_the_first_consumer_in_order_and_unmarked() {
    let mut desk = Desk::new(WIDE);
    desk.send(3);
    assert_eq!(desk.handed(), "");
    assert_eq!(desk.subscribe('a', 2).offset, 3);
    assert_eq!(desk.handed(), "a1 a2");
    desk.accept('a', &[2]);
    assert_eq!(desk.handed(), "a3");
}

#[test]
fn a_consumer_is_handed_no_more_than_its_window() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 1), ('b', 3)]);
    desk.send(6);
    assert_eq!(desk.handed(), "a1 b2 b3 b4");
    desk.accept('b', &[2, 3]);
    assert_eq!(desk.handed(), "b5 b6");
    desk.accept('a', &[1]);
    desk.send(1);
    assert_eq!(desk.handed(), "a7");
}

#[test]
fn a_window_of_nothing_is_one_of_a_single_message() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 0)]);
    desk.send(2);
    assert_eq!(desk.handed(), "a1");
}

#[test]
fn a_window_ends_where_its_bytes_do() {
    let limits = QueueLimits {
        window_bytes_max: 3 * MESSAGE_OVERHEAD_BYTES + 100,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(limits, &[('a', 100)]);
    desk.send(5);
    assert_eq!(desk.handed(), "a1 a2 a3", "empty messages count as well");
    desk.accept('a', &[1, 2, 3]);
    assert_eq!(desk.handed(), "a4 a5");
    desk.try_send("jobs", 101).unwrap();
    assert_eq!(desk.handed(), "", "a byte too long");
    desk.send(1);
    assert_eq!(desk.handed(), "", "what is short does not overtake");
    desk.accept('a', &[4]);
    assert_eq!(desk.handed(), "a6");
}

#[test]
fn headers_count_like_the_payload() {
    let mut desk = Desk::new(WIDE);
    let headers = Bytes::from_static(b"priority:9\n");
    let payload = Bytes::from_static(b"{}");
    let jobs = name("jobs");
    desk.queues
        .send(&jobs, Kind::Text, headers, payload, &mut desk.out)
        .unwrap();
    assert_eq!(desk.queues.tally().bytes, MESSAGE_OVERHEAD_BYTES + 13);
}

#[test]
fn one_message_always_passes_however_long() {
    let limits = QueueLimits {
        window_bytes_max: 0,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(limits, &[('a', 5), ('b', 5)]);
    for _ in 0..3 {
        desk.try_send("jobs", 1_000_000).unwrap();
    }
    assert_eq!(desk.handed(), "a1 b2");
    desk.accept('b', &[2]);
    assert_eq!(desk.handed(), "b3");
}

#[test]
fn who_has_room_in_bytes_is_served_though_it_is_not_its_turn() {
    let limits = QueueLimits {
        window_bytes_max: 2 * MESSAGE_OVERHEAD_BYTES + 100,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(limits, &[('a', 9), ('b', 9), ('c', 9)]);
    for length in [101, 100, 0, 0] {
        desk.try_send("jobs", length).unwrap();
    }
    assert_eq!(desk.handed(), "a1 b2 c3 b4", "a's bytes are used up");
}

#[test]
fn a_message_reaches_its_consumer_as_it_was_sent() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 1)]);
    let headers = Bytes::from_static(b"priority:9\n");
    let payload = Bytes::from_static(b"{\"price\": 1.10}");
    let jobs = name("jobs");
    let (sent_headers, sent_payload) = (headers.clone(), payload.clone());
    let position = desk
        .queues
        .send(&jobs, Kind::Text, sent_headers, sent_payload, &mut desk.out)
        .unwrap();
    let handed = Handed {
        consumer: 'a',
        publication: Publication {
            position,
            kind: Kind::Text,
            headers,
            payload,
            publisher: None,
            channel: None,
        },
        redelivered: false,
    };
    assert_eq!(desk.out, std::slice::from_ref(&handed));
    desk.out.clear();
    desk.refuse('a', &[1]);
    let again = Handed {
        redelivered: true,
        ..handed
    };
    assert_eq!(desk.out, [again]);
}

#[test]
fn what_a_leaving_consumer_held_goes_to_the_others_in_order_and_marked() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 3), ('b', 1)]);
    desk.send(6);
    assert_eq!(desk.handed(), "a1 b2 a3 a4");
    desk.accept('a', &[3]);
    assert_eq!(desk.handed(), "a5");
    desk.leave('a');
    assert_eq!(desk.handed(), "");
    desk.subscribe('c', 9);
    assert_eq!(desk.handed(), "c1' c4' c5' c6");
    desk.leave('b');
    assert_eq!(desk.handed(), "c2'");
}

#[test]
fn what_is_returned_in_any_order_goes_out_again_in_the_order_of_the_sends() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 4)]);
    desk.send(5);
    desk.handed();
    desk.refuse('a', &[4, 1, 3]);
    assert_eq!(desk.handed(), "a1' a3' a4'");
    desk.accept('a', &[1, 2]);
    assert_eq!(desk.handed(), "a5");
}

#[test]
fn a_refused_message_goes_to_another_consumer_that_has_room() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 2), ('b', 2)]);
    desk.send(2);
    assert_eq!(desk.handed(), "a1 b2");
    desk.refuse('a', &[1]);
    assert_eq!(desk.handed(), "b1'", "though it is a's turn");
    desk.refuse('b', &[1]);
    assert_eq!(desk.handed(), "a1'");
    desk.send(2);
    assert_eq!(desk.handed(), "b3 a4");
    desk.refuse('a', &[1]);
    assert_eq!(desk.handed(), "a1'", "b has no room");
}

#[test]
fn a_single_consumer_is_handed_again_what_it_refused() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 1)]);
    desk.send(1);
    desk.refuse('a', &[1]);
    assert_eq!(desk.handed(), "a1 a1'");
}

#[test]
fn a_message_is_discarded_when_it_comes_back_from_its_last_delivery() {
    let limits = QueueLimits {
        deliveries_max: 2,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(limits, &[('a', 1)]);
    desk.send(3);
    desk.refuse('a', &[1]);
    assert_eq!(desk.queues.tally().discarded, 0);
    desk.refuse('a', &[1]);
    assert_eq!(desk.handed(), "a1 a1' a2");
    assert_eq!(desk.queues.tally().discarded, 1);
    desk.leave('a');
    desk.subscribe('b', 1);
    desk.leave('b');
    assert_eq!(desk.handed(), "b2'", "a leave counts like a refusal");
    let expected = QueueTally {
        queues: 1,
        messages: 1,
        bytes: MESSAGE_OVERHEAD_BYTES,
        discarded: 2,
        ..QueueTally::default()
    };
    assert_eq!(desk.queues.tally(), expected);
    desk.subscribe('c', 1);
    desk.accept('c', &[3]);
    desk.leave('c');
    let forgotten = QueueTally {
        discarded: 2,
        ..QueueTally::default()
    };
    assert_eq!(
        desk.queues.tally(),
        forgotten,
        "the count outlives the queue"
    );
}

#[test]
fn only_the_holder_settles_a_message() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 1), ('b', 1)]);
    desk.send(2);
    let before = desk.queues.tally();
    desk.accept('a', &[2, 0, 3, u64::MAX]);
    desk.accept('x', &[1]);
    desk.refuse('b', &[1]);
    desk.queues
        .settle(&name("other"), &'a', &[1], Verdict::Accept, &mut desk.out);
    assert_eq!(desk.queues.tally(), before);
    desk.accept('a', &[1, 1]);
    assert_eq!(desk.queues.tally().unsettled, 1, "twice settled is once");
    assert_eq!(desk.handed(), "a1 b2");
}

#[test]
fn one_that_subscribes_again_keeps_what_it_holds_and_gets_the_new_window() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 1)]);
    desk.send(6);
    assert_eq!(desk.subscribe('a', 3).offset, 6);
    assert_eq!(desk.handed(), "a1 a2 a3");
    desk.subscribe('a', 2);
    desk.accept('a', &[1]);
    assert_eq!(desk.handed(), "", "the window has become smaller");
    desk.accept('a', &[2]);
    assert_eq!(desk.handed(), "a4");
    assert_eq!(desk.queues.tally().consumers, 1);
}

#[test]
fn queues_know_nothing_of_each_other() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 9)]);
    let other = desk.try_send("other", 0).unwrap();
    assert_eq!(desk.handed(), "");
    let first = desk.try_send("jobs", 0).unwrap();
    assert_eq!(desk.handed(), "a1");
    assert_eq!((first.offset, other.offset), (1, 1));
    assert_ne!(first.epoch, other.epoch);
}

#[test]
fn a_forgotten_queue_begins_again_with_another_epoch() {
    let mut desk = Desk::with_consumers(WIDE, &[('a', 1)]);
    let first = desk.try_send("jobs", 0).unwrap();
    desk.leave('a');
    assert_eq!(desk.subscribe('b', 1), first, "a message keeps the queue");
    desk.accept('b', &[1]);
    assert_eq!(desk.queues.tally().queues, 1, "a consumer keeps the queue");
    desk.leave('b');
    assert_eq!(desk.queues.tally(), QueueTally::default());
    let second = desk.try_send("jobs", 0).unwrap();
    assert_eq!(second.offset, 1);
    assert!(second.epoch > first.epoch);
}

#[test]
fn each_limit_refuses_with_its_name_and_changes_nothing() {
    let one = MESSAGE_OVERHEAD_BYTES + 10;
    let limits = QueueLimits {
        queues_max: 2,
        messages_max: 3,
        bytes_max: 2 * one,
        total_bytes_max: 3 * one,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(limits, &[('a', 1)]);
    for _ in 0..2 {
        desk.try_send("jobs", 10).unwrap();
    }
    desk.try_send("other", 9).unwrap();
    let before = desk.queues.tally();
    assert_eq!((before.messages, before.unsettled), (2, 1));
    assert_eq!(desk.try_send("jobs", 0), Err(QueueFull::Bytes));
    assert_eq!(desk.try_send("third", 0), Err(QueueFull::Queues));
    let joined = desk.queues.subscribe(&name("third"), 'a', 1, &mut desk.out);
    assert_eq!(joined, Err(QueueFull::Queues));
    assert_eq!(desk.try_send("other", 0), Err(QueueFull::TotalBytes));
    assert_eq!(desk.queues.tally(), before);

    let limits = QueueLimits {
        messages_max: 2,
        ..WIDE
    };
    let mut desk = Desk::with_consumers(limits, &[('a', 1)]);
    desk.send(2);
    assert_eq!(
        desk.try_send("jobs", 0),
        Err(QueueFull::Messages),
        "one of them is unsettled"
    );
    desk.accept('a', &[1]);
    desk.send(1);
}

#[test]
fn a_refused_first_message_leaves_no_queue_behind() {
    let limits = QueueLimits {
        bytes_max: MESSAGE_OVERHEAD_BYTES,
        ..WIDE
    };
    let mut desk = Desk::new(limits);
    assert_eq!(desk.try_send("jobs", 1), Err(QueueFull::Bytes));
    assert_eq!(desk.queues.tally(), QueueTally::default());
    desk.send(1);
}

#[test]
fn every_refusal_names_its_setting() {
    for (full, setting) in [
        (QueueFull::Queues, "queues.queues_max"),
        (QueueFull::Messages, "queues.queue_messages_max"),
        (QueueFull::Bytes, "queues.queue_bytes_max"),
        (QueueFull::TotalBytes, "queues.shard_bytes_max"),
    ] {
        assert!(full.to_string().ends_with(&format!("({setting})")));
    }
}

#[test]
fn many_consumers_that_come_and_go_take_turns_in_the_order_they_came() {
    let mut queues: Queues<u32> = Queues::new(FixedState::with_seed(1), WIDE, 1);
    let jobs = name("jobs");
    let mut out = Vec::new();
    for consumer in 0..1_000 {
        queues.subscribe(&jobs, consumer, 1, &mut out).unwrap();
    }
    for consumer in (0..1_000).filter(|consumer| consumer % 50 != 0) {
        queues.leave(&jobs, &consumer, &mut out);
    }
    queues.subscribe(&jobs, 1, 1, &mut out).unwrap();
    for _ in 0..30 {
        queues
            .send(&jobs, Kind::Text, Bytes::new(), Bytes::new(), &mut out)
            .unwrap();
    }
    let served: Vec<u32> = out.iter().map(|handed| handed.consumer).collect();
    let stayed = (0..1_000).step_by(50).chain([1]);
    assert_eq!(served, stayed.collect::<Vec<_>>());
}

/// The places of a message: its own block, its share of a tree's leaf (16 bytes an entry, at least
/// 5 of 11 places in use, but for the last leaf) and a block for each of two shared buffers.
#[test]
fn the_overhead_that_is_counted_covers_the_places_a_message_takes() {
    type Name = [u64; 3];
    let block = size_of::<Message<Name>>().next_multiple_of(16);
    let share_of_leaf = (11 * 16 + 16) / 5;
    let shared_buffers = 2 * 32;
    assert!(block + share_of_leaf + shared_buffers <= MESSAGE_OVERHEAD_BYTES);
}
