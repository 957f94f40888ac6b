//! Messages of queues on their way to consumers: those that are behind, that leave, that are on
//! another shard.

use super::stomp::House;
use super::*;

const BY_HAND: &str = "ack:client-individual\n";

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_consumer_that_is_behind_is_handed_its_messages_in_order_when_it_has_caught_up() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 3;
    let mut house = House::new(1, config);
    let (consumer, sender) = (house.connect(0), house.connect(0));
    house.subscribe(consumer, "a", "/queue/jobs", BY_HAND);
    house.turns(1);
    house.take(consumer);
    house.fill(consumer, 10);
    for number in 0..20 {
        house.send(sender, "/queue/jobs", &number.to_string());
        if number % 4 == 0 {
            house.turns(1);
        }
    }
    assert_eq!(house.shards[0].counters().queue_unsettled, 20);
    // Some have been parked, and some have not been taken up: no turn hands out more than three.
    house.fill(consumer, usize::MAX);
    house.writable(consumer);
    house.turns(20);
    // The first has begun with the bytes that the socket took.
    let sent = house.take(consumer);
    let bodies = sent.split("\n\n").skip(1);
    let bodies: Vec<&str> = bodies.filter_map(|b| Some(b.split_once('\0')?.0)).collect();
    assert_eq!(bodies, numbers(0..20));
    assert!(!house.shards[0].has_work());
}

#[test]
fn what_a_consumer_that_was_behind_is_handed_takes_no_memory_afterwards() {
    let mut house = House::new(1, Config::default());
    let (consumer, sender) = (house.connect(0), house.connect(0));
    house.subscribe(consumer, "a", "/queue/jobs", BY_HAND);
    house.turns(1);
    let has_extra = |house: &House| {
        let connection = house.shards[0].connections.table.get(consumer.id);
        connection.is_some_and(|connection| connection.extra.is_some())
    };
    assert!(!has_extra(&house));
    house.fill(consumer, 10);
    for number in 0..5 {
        house.send(sender, "/queue/jobs", &number.to_string());
        house.turns(1);
    }
    assert!(has_extra(&house), "nothing was parked");
    house.fill(consumer, usize::MAX);
    house.writable(consumer);
    house.turns(2);
    assert_eq!(house.shards[0].residue().handed, 0);
    assert!(!has_extra(&house));
}

#[test]
fn messages_of_a_consumer_that_is_behind_go_back_to_the_queue_when_it_dies() {
    let mut house = House::new(1, Config::default());
    let (consumer, sender) = (house.connect(0), house.connect(0));
    house.subscribe(consumer, "a", "/queue/jobs", BY_HAND);
    house.turns(1);
    house.fill(consumer, 10);
    for number in 0..5 {
        house.send(sender, "/queue/jobs", &number.to_string());
        house.turns(1);
    }
    house.shards[0].handle_end(0, consumer.id);
    house.turns(1);
    let counters = house.shards[0].counters();
    assert_eq!((counters.queue_messages, counters.queue_unsettled), (5, 0));
    let other = house.connect(0);
    house.subscribe(other, "a", "/queue/jobs", "");
    house.turns(2);
    assert_eq!(house.bodies(other), ["0*", "1*", "2*", "3*", "4*"]);
    assert_eq!(house.shards[0].residue().handed, 0);
}

#[test]
fn an_automatic_consumer_of_a_long_queue_is_asked_for_no_more_than_its_window_at_a_time() {
    let mut house = House::new(1, Config::default());
    let (consumer, sender) = (house.connect(0), house.connect(0));
    let body = "x".repeat(10_000);
    for _ in 0..300 {
        house.send(sender, "/queue/jobs", &body);
    }
    house.turns(1);
    // Three times what a backlog may hold, and a socket that takes a tenth of one.
    house.fill(consumer, 100_000);
    house.subscribe(consumer, "a", "/queue/jobs", "prefetch-count:10\n");
    house.turns(2);
    let counters = house.shards[0].counters();
    assert_eq!(counters.closed_slow, 0);
    assert_eq!(counters.queue_unsettled, 10);
    assert!(
        counters.queue_messages >= 270,
        "{}",
        counters.queue_messages
    );
    let mut got = house.ends(consumer);
    while house.shards[0].counters().backlogged > 0 {
        house.fill(consumer, 100_000);
        house.writable(consumer);
        house.turns(2);
        got += house.ends(consumer);
    }
    assert_eq!(got, 300);
}

#[test]
fn a_consumer_on_another_shard_gets_messages_and_settles_them() {
    let mut house = House::new(2, Config::default());
    let owner = house.owner("jobs");
    let (consumer, sender) = (house.connect(1 - owner), house.connect(owner));
    house.subscribe(
        consumer,
        "a",
        "/queue/jobs",
        "ack:client\nprefetch-count:2\n",
    );
    house.turns(3);
    for number in 0..6 {
        house.send(sender, "/queue/jobs", &number.to_string());
    }
    house.turns(3);
    let unsettled = |house: &House| house.shards[owner].counters().queue_unsettled;
    for expected in [["0", "1"], ["2", "3"], ["4", "5"]] {
        assert_eq!(unsettled(&house), 2);
        let sent = house.take(consumer);
        let acks: Vec<&str> = sent
            .lines()
            .filter_map(|l| l.strip_prefix("ack:"))
            .collect();
        assert_eq!(acks.len(), 2, "{sent}");
        for body in expected {
            assert!(sent.contains(&format!("\n\n{body}\0")), "{sent}");
        }
        house.say(consumer, &format!("ACK\nid:{}\n\n", acks[1]));
        house.turns(3);
    }
    assert_eq!(unsettled(&house), 0);
    house.shards[consumer.shard].handle_end(0, consumer.id);
    house.turns(2);
    assert_eq!(house.shards[owner].residue().consumers, 0);
}

#[test]
fn a_consumer_that_leaves_with_messages_in_the_mailbox_gives_them_back() {
    let mut house = House::new(2, Config::default());
    let owner = house.owner("jobs");
    let (consumer, sender) = (house.connect(1 - owner), house.connect(owner));
    house.subscribe(consumer, "a", "/queue/jobs", BY_HAND);
    house.turns(3);
    for number in 0..3 {
        house.send(sender, "/queue/jobs", &number.to_string());
    }
    // The messages are on their way, and so is the word that nobody wants them.
    assert!(house.shards[owner].has_delivery_for(1 - owner));
    house.say(consumer, "UNSUBSCRIBE\nid:a\nreceipt:over\n\n");
    house.turns(3);
    let sent = house.take(consumer);
    assert!(
        sent.contains("receipt-id:over") && !sent.contains("MESSAGE"),
        "{sent}"
    );
    let counters = house.shards[owner].counters();
    assert_eq!((counters.queue_messages, counters.queue_unsettled), (3, 0));
    house.subscribe(consumer, "b", "/queue/jobs", BY_HAND);
    house.turns(3);
    assert_eq!(house.bodies(consumer), ["0*", "1*", "2*"]);
    for shard in &house.shards {
        assert_eq!(shard.residue().handed, 0);
    }
}

#[test]
fn a_consumer_and_a_message_that_are_refused_are_told_so() {
    let mut config = Config::default();
    config.queues.queues_max = 1;
    config.queues.queue_messages_max = 2;
    let mut house = House::new(1, config);
    let (first, second, sender) = (house.connect(0), house.connect(0), house.connect(0));
    house.subscribe(first, "a", "/queue/jobs", "receipt:begun\n");
    house.subscribe(second, "a", "/queue/more", "receipt:begun\n");
    house.turns(2);
    assert!(house.take(first).contains("RECEIPT\nreceipt-id:begun\n"));
    let refusal = house.take(second);
    assert!(
        refusal.contains("ERROR\n")
            && refusal.contains("(queues.queues_max)")
            && refusal.contains("receipt-id:begun\n"),
        "{refusal}"
    );
    house.shards[0].handle_end(0, first.id);
    for number in 0..3 {
        let frame = format!("SEND\ndestination:/queue/jobs\nreceipt:{number}\n\n{number}");
        house.say(sender, &frame);
    }
    house.turns(2);
    let told = house.take(sender);
    for receipt in ["RECEIPT\nreceipt-id:0\n", "RECEIPT\nreceipt-id:1\n"] {
        assert!(told.contains(receipt), "{told}");
    }
    let (_, error) = told.split_once("ERROR\n").expect("an ERROR");
    assert!(
        error.contains("(queues.queue_messages_max)") && error.contains("receipt-id:2\n"),
        "{error}"
    );
    let counters = house.shards[0].counters();
    assert_eq!(counters.queue_messages, 2);
    assert_eq!(counters.publications_refused_queue, 1);
    assert_eq!(counters.subscriptions_refused, 1);
}
