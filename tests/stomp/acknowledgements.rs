//! The ack modes, on queues and on topics.

use super::client::{Client, Kind, Options};
use super::event::Message;
use super::site::Site;

const QUEUE: &str = "/queue/work";
const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];

pub fn auto_needs_none(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("first");
    site.client
        .subscribe("first", "0", QUEUE, &[("ack", "auto")]);
    send_numbers(&mut site.client, "first", QUEUE, 1..=5);
    assert_eq!(site.client.texts("first", 5), ["1", "2", "3", "4", "5"]);
    assert_next_consumer_gets(&mut site, "first", &["more"]);
}

pub fn client_acknowledges_everything_up_to_a_message(kind: Kind) {
    let mut site = Site::start(kind);
    for version in VERSIONS {
        let messages = five_unacknowledged(&mut site, version, "client");
        site.client.ack(version, &messages[2], &[("receipt", "r")]);
        site.client.receipt(version, "r");
        assert_next_consumer_gets(&mut site, version, &["4", "5", "more"]);
    }
}

pub fn client_individual_acknowledges_one_message(kind: Kind) {
    let mut site = Site::start(kind);
    for version in VERSIONS {
        let messages = five_unacknowledged(&mut site, version, "client-individual");
        site.client.ack(version, &messages[2], &[("receipt", "r")]);
        site.client.receipt(version, "r");
        assert_next_consumer_gets(&mut site, version, &["1", "2", "4", "5", "more"]);
    }
}

/// STOMP 1.0 has no NACK.
pub fn a_nack_returns_a_message(kind: Kind) {
    let mut site = Site::start(kind);
    for version in ["1.1", "1.2"] {
        let messages = five_unacknowledged(&mut site, version, "client-individual");
        site.client.nack(version, &messages[1], &[]);
        let again = site.client.message(version);
        assert_eq!(again.text(), "2");
        assert_eq!(again.header("redelivered"), "true");
        site.client.ack(version, &again, &[("receipt", "r")]);
        site.client.receipt(version, "r");
        assert_next_consumer_gets(&mut site, version, &["1", "3", "4", "5", "more"]);
    }
}

pub fn a_message_that_always_returns_is_discarded(kind: Kind) {
    let mut site = Site::start_with(kind, "[queues]\ndeliveries_max = 3\n");
    site.connect("loop");
    let client = &mut site.client;
    client.subscribe("loop", "0", QUEUE, &[("ack", "client-individual")]);
    client.send("loop", QUEUE, "poison");
    for _ in 0..3 {
        let message = client.message("loop");
        assert_eq!(message.text(), "poison");
        client.nack("loop", &message, &[]);
    }
    client.send("loop", QUEUE, "more");
    assert_eq!(client.message("loop").text(), "more");
}

/// A consumer of that version that has been given 1 to 5 and has acknowledged none.
fn five_unacknowledged(site: &mut Site, version: &'static str, mode: &str) -> Vec<Message> {
    site.connect_with(version, &Options::version(version));
    let client = &mut site.client;
    client.subscribe(version, "0", QUEUE, &[("ack", mode)]);
    send_numbers(client, version, QUEUE, 1..=5);
    let messages = client.messages(version, 5);
    let texts: Vec<&str> = messages.iter().map(Message::text).collect();
    assert_eq!(texts, ["1", "2", "3", "4", "5"]);
    messages
}

/// Ends the consumer and asserts what is left for the next, to which "more" is sent.
fn assert_next_consumer_gets(site: &mut Site, consumer: &str, expected: &[&str]) {
    site.client.disconnect(consumer, None);
    site.client.closed(consumer);
    let next = format!("after {consumer}");
    site.connect(&next);
    site.client.subscribe(&next, "1", QUEUE, &[("ack", "auto")]);
    site.client.send(&next, QUEUE, "more");
    assert_eq!(site.client.texts(&next, expected.len()), expected);
    site.client.unsubscribe(&next, "1", &[]);
    site.client.settle(&next);
}

fn send_numbers(
    client: &mut Client,
    id: &str,
    destination: &str,
    numbers: impl IntoIterator<Item = usize>,
) {
    for number in numbers {
        client.send(id, destination, &number.to_string());
    }
}

pub fn thousands_of_acknowledged_messages_keep_their_order(kind: Kind) {
    const MESSAGES: usize = 2_000;
    const BATCH: usize = 50;
    let mut site = Site::start(kind);
    site.connect("sender");
    site.connect("reader");
    let client = &mut site.client;
    for (name, destination) in [("q", QUEUE), ("t", "/topic/work")] {
        let window = [("ack", "client"), ("prefetch-count", "100")];
        client.subscribe("reader", name, destination, &window);
        send_numbers(client, "sender", destination, 0..MESSAGES);
    }
    for name in ["q", "t"] {
        for number in 0..MESSAGES {
            let message = client.message_of("reader", name);
            assert_eq!(message.text(), number.to_string(), "{name}");
            if (number + 1) % BATCH == 0 {
                client.ack("reader", &message, &[]);
            }
        }
    }
    client.disconnect("reader", None);
    client.closed("reader");
    site.connect("next");
    site.client.subscribe("next", "0", QUEUE, &[]);
    site.client.send("next", QUEUE, "more");
    assert_eq!(site.client.message("next").text(), "more");
}

/// A subscription that may have two messages unacknowledged, beside one that acknowledges nothing.
pub fn a_topic_waits_for_acknowledgements_and_for_nobody_else(kind: Kind) {
    const TOPIC: &str = "/topic/news";
    let mut site = Site::start(kind);
    site.connect("reader");
    let client = &mut site.client;
    let window = [("ack", "client"), ("prefetch-count", "2")];
    client.subscribe("reader", "slow", TOPIC, &window);
    client.subscribe("reader", "quick", TOPIC, &[]);
    send_numbers(client, "reader", TOPIC, 1..=5);
    for number in 1..=5 {
        let message = client.message_of("reader", "quick");
        assert_eq!(message.text(), number.to_string());
    }
    let mut messages = vec![
        client.message_of("reader", "slow"),
        client.message_of("reader", "slow"),
    ];
    // One more round, after which whatever was on its way has come.
    client.send("reader", TOPIC, "6");
    assert_eq!(client.message_of("reader", "quick").text(), "6");
    client.settle("reader");
    assert!(client.untaken_of("reader", "slow").is_empty());

    client.ack("reader", &messages[1], &[]);
    messages.push(client.message_of("reader", "slow"));
    messages.push(client.message_of("reader", "slow"));
    client.ack("reader", &messages[3], &[]);
    messages.push(client.message_of("reader", "slow"));
    messages.push(client.message_of("reader", "slow"));
    let texts: Vec<&str> = messages.iter().map(Message::text).collect();
    assert_eq!(texts, ["1", "2", "3", "4", "5", "6"]);
}

pub fn a_topic_ends_a_subscription_that_never_acknowledges(kind: Kind) {
    const TOPIC: &str = "/topic/news";
    let config = "[slow_consumer]\nbacklog_bytes_max = 65536\n";
    let mut site = Site::start_with(kind, config);
    site.connect("idle");
    site.connect("reader");
    let client = &mut site.client;
    let window = [("ack", "client"), ("prefetch-count", "1")];
    client.subscribe("idle", "0", TOPIC, &window);
    client.subscribe("reader", "0", TOPIC, &[]);
    let page = "x".repeat(10_000);
    for number in 0..10 {
        client.send("reader", TOPIC, &format!("{number} {page}"));
    }
    let error = client.error("idle");
    assert!(error.headers.contains_key("message"), "{error:?}");
    assert_eq!(client.closed("idle"), 1013, "{error:?}");
    assert_eq!(client.untaken_of("idle", "0").len(), 1);
    for number in 0..10 {
        assert_eq!(client.message("reader").text(), format!("{number} {page}"));
    }
}
