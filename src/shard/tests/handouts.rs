//! Publications of topics on their way to sessions that want to see each of them.

use super::stomp::House;
use super::*;

const BY_HAND: &str = "ack:client-individual\n";

#[test]
fn who_joins_while_publications_are_pending_is_handed_later_ones_alone() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 1;
    let mut house = House::new(1, config);
    let (early, late, sender) = (house.connect(0), house.connect(0), house.connect(0));
    house.subscribe(early, "a", "/topic/news", BY_HAND);
    house.turns(1);
    for number in 0..3 {
        house.send(sender, "/topic/news", &number.to_string());
    }
    house.turns(1);
    house.subscribe(late, "b", "/topic/news", BY_HAND);
    house.send(sender, "/topic/news", "3");
    house.turns(10);
    assert_eq!(house.bodies(early), ["0", "1", "2", "3"]);
    assert_eq!(house.bodies(late), ["3"]);
    assert!(!house.shards[0].has_work());
    assert_eq!(house.shards[0].residue().pending_bytes, 0);
}

#[test]
fn a_turn_hands_out_so_much_and_the_next_goes_on() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 10;
    let mut house = House::new(1, config);
    let all: Vec<_> = (0..25).map(|_| house.connect(0)).collect();
    for &peer in &all {
        house.subscribe(peer, "a", "/topic/news", BY_HAND);
        house.turns(1);
    }
    publish(&mut house.shards[0], "news");
    let mut handed = Vec::new();
    while house.shards[0].has_work() {
        let before = house.shards[0].counters().deliveries;
        house.turns(1);
        handed.push(house.shards[0].counters().deliveries - before);
    }
    assert_eq!(handed, [10, 10, 5]);
    for peer in all {
        assert_eq!(house.bodies(peer), ["hello"]);
    }
}

#[test]
fn a_channel_with_few_sessions_does_not_wait_behind_one_with_many() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 400;
    let mut house = House::new(1, config);
    for _ in 0..2_000 {
        let peer = house.connect(0);
        house.subscribe(peer, "a", "/topic/huge", BY_HAND);
    }
    let small = house.connect(0);
    house.subscribe(small, "a", "/topic/small", BY_HAND);
    house.turns(10);
    house.take(small);
    publish(&mut house.shards[0], "huge");
    publish(&mut house.shards[0], "small");
    house.turns(1);
    assert_eq!(house.bodies(small), ["hello"]);
    assert_eq!(house.shards[0].counters().deliveries, 400);
}

#[test]
fn topics_do_not_wait_behind_a_queue_that_is_never_empty() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 50;
    let mut house = House::new(1, config);
    let (consumer, reader, sender) = (house.connect(0), house.connect(0), house.connect(0));
    for number in 0..1_000 {
        house.send(sender, "/queue/jobs", &number.to_string());
    }
    house.subscribe(reader, "a", "/topic/news", BY_HAND);
    house.turns(1);
    house.take(reader);
    house.subscribe(consumer, "a", "/queue/jobs", "");
    publish(&mut house.shards[0], "news");
    house.turns(1);
    assert_eq!(house.bodies(reader), ["hello"]);
    assert!(house.shards[0].counters().queue_messages > 0);
}

#[test]
fn a_drain_hands_out_what_sessions_are_owed_before_it_closes_them() {
    let mut config = Config::default();
    config.fanout.sends_per_turn_max = 1;
    let mut house = House::new(1, config);
    let (reader, consumer, sender) = (house.connect(0), house.connect(0), house.connect(0));
    house.subscribe(reader, "a", "/topic/news", BY_HAND);
    house.subscribe(consumer, "a", "/queue/jobs", BY_HAND);
    house.turns(2);
    house.take(reader);
    house.take(consumer);
    for number in 0..5 {
        house.send(sender, "/topic/news", &number.to_string());
        house.send(sender, "/queue/jobs", &number.to_string());
    }
    house.shards[0].handle_request(0, 1, Request::Drain { drain_ms: 1 });
    house.shards[0].handle_timeout(100);
    house.turns(1);
    for peer in [reader, consumer] {
        let sent = house.take(peer);
        let places: Vec<_> = (0..5).map(|n| sent.find(&format!("\n\n{n}\0"))).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{sent}"
        );
        let end = sent.find("ERROR\n");
        assert!(end > places[4], "{sent}");
    }
    assert_eq!(house.shards[0].residue().unsettled, 0);
}

#[test]
fn publishers_are_paused_while_a_handout_holds_as_much_as_it_may() {
    let mut config = Config::default();
    config.fanout.lane_bytes_max = 10_000;
    config.fanout.sends_per_turn_max = 2;
    let mut house = House::new(2, config);
    let owner = house.owner("news");
    let (reader, sender) = (house.connect(owner), house.connect(owner));
    house.subscribe(reader, "a", "/topic/news", BY_HAND);
    house.turns(2);
    house.take(reader);
    let body = "x".repeat(1_000);
    let mut sent = 0;
    while house.shards[owner].may_read(sender.id) {
        house.send(sender, "/topic/news", &body);
        sent += 1;
        assert!(sent <= 10);
    }
    // Neither is anybody else's mail taken that would add to it.
    assert!(!house.shards[owner].takes_deliveries());
    assert!(!house.shards[owner].takes_requests_of(1 - owner));
    assert!(
        house.shards[owner].may_read(reader.id),
        "reads, and publishes nothing"
    );
    house.turns(sent);
    assert!(house.shards[owner].takes_deliveries());
    assert!(house.shards[owner].may_read(sender.id));
    assert_eq!(house.bodies(reader).len(), sent);
    assert_eq!(house.shards[owner].counters().publisher_pauses, 1);
}

#[test]
fn a_subscription_that_is_refused_is_told_so_and_leaves_nothing_behind() {
    let mut config = Config::default();
    config.limits.channels_max = 1;
    let mut house = House::new(1, config);
    let (first, second) = (house.connect(0), house.connect(0));
    house.subscribe(first, "a", "/topic/news", BY_HAND);
    house.subscribe(second, "a", "/topic/more", "ack:client\nreceipt:begun\n");
    house.turns(1);
    let refusal = house.take(second);
    assert!(
        refusal.contains("(limits.channels_max)") && refusal.contains("receipt-id:begun\n"),
        "{refusal}"
    );
    let residue = house.shards[0].residue();
    assert_eq!((residue.subscriptions, residue.local_channels), (1, 1));
}

#[test]
fn an_empty_id_of_a_stomp_1_0_subscription_is_none() {
    let mut house = House::new(1, Config::default());
    let peer = house.connect_by(0, "1.0");
    house.say(peer, "SUBSCRIBE\ndestination:/topic/news\n\n");
    house.say(
        peer,
        "UNSUBSCRIBE\nid:\ndestination:/topic/news\nreceipt:over\n\n",
    );
    house.subscribe(peer, "", "/topic/news", "receipt:begun\n");
    publish(&mut house.shards[0], "news");
    house.turns(1);
    let sent = house.take(peer);
    for answer in ["receipt-id:over\n", "receipt-id:begun\n", "\n\nhello\0"] {
        assert!(sent.contains(answer), "{sent}");
    }
    // The lane is the same, so it must be the same subscription.
    house.say(peer, "SUBSCRIBE\ndestination:/topic/news\nreceipt:more\n\n");
    house.turns(1);
    let refusal = house.take(peer);
    assert!(
        refusal.contains("ERROR\n") && refusal.contains("receipt-id:more\n"),
        "{refusal}"
    );
}

#[test]
fn nothing_follows_the_last_word_to_a_session_that_is_too_slow() {
    let mut config = Config::default();
    config.slow_consumer.backlog_bytes_max = 400;
    config.fanout.scatter_entries = 1;
    let mut house = House::new(1, config);
    let (slow, other, sender) = (house.connect(0), house.connect(0), house.connect(0));
    for peer in [slow, other] {
        house.subscribe(peer, "a", "/topic/news", BY_HAND);
    }
    house.turns(1);
    house.take(slow);
    house.fill(slow, 10);
    house.send(sender, "/topic/news", "first");
    house.turns(1);
    assert_eq!(house.shards[0].counters().backlogged, 1);
    // The second is one too many. When that is found the third is on its way already, and waits
    // until the socket takes everything again.
    for letter in ["x", "y"] {
        house.send(sender, "/topic/news", &letter.repeat(300));
    }
    house.batches_max = 1;
    house.turns(1);
    house.batches_max = usize::MAX;
    house.fill(slow, usize::MAX);
    house.writable(slow);
    house.turns(2);
    assert_eq!(house.shards[0].counters().closed_slow, 1);
    let sent = house.take(slow);
    let (_, last) = sent.split_once("ERROR\n").expect("an ERROR");
    assert!(!last.contains("MESSAGE"), "{last}");
}
