//! The ack modes, on queues and on topics.

use super::client::{Client, Kind};
use super::event::Message;
use super::site::Site;

const QUEUE: &str = "/queue/work";

pub fn auto_needs_none(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("first");
    site.client
        .subscribe("first", "0", QUEUE, &[("ack", "auto")]);
    send_numbers(&mut site.client, "first", 1..=5);
    assert_eq!(site.client.texts("first", 5), ["1", "2", "3", "4", "5"]);
    assert_next_consumer_gets(&mut site, "first", &["more"]);
}

pub fn client_acknowledges_everything_up_to_a_message(kind: Kind) {
    let mut site = Site::start(kind);
    let messages = five_unacknowledged(&mut site, "client");
    site.client.ack("first", &messages[2], &[("receipt", "r")]);
    site.client.receipt("first", "r");
    assert_next_consumer_gets(&mut site, "first", &["4", "5", "more"]);
}

pub fn client_individual_acknowledges_one_message(kind: Kind) {
    let mut site = Site::start(kind);
    let messages = five_unacknowledged(&mut site, "client-individual");
    site.client.ack("first", &messages[2], &[("receipt", "r")]);
    site.client.receipt("first", "r");
    assert_next_consumer_gets(&mut site, "first", &["1", "2", "4", "5", "more"]);
}

pub fn a_nack_returns_a_message(kind: Kind) {
    let mut site = Site::start(kind);
    let messages = five_unacknowledged(&mut site, "client-individual");
    site.client.nack("first", &messages[1], &[]);
    let again = site.client.message("first");
    assert_eq!(again.text(), "2");
    assert_eq!(again.header("redelivered"), "true");
    site.client.ack("first", &again, &[("receipt", "r")]);
    site.client.receipt("first", "r");
    assert_next_consumer_gets(&mut site, "first", &["1", "3", "4", "5", "more"]);
}

/// A consumer that has been given 1 to 5 and has acknowledged none.
fn five_unacknowledged(site: &mut Site, mode: &str) -> Vec<Message> {
    site.connect("first");
    site.client.subscribe("first", "0", QUEUE, &[("ack", mode)]);
    send_numbers(&mut site.client, "first", 1..=5);
    let messages = site.client.messages("first", 5);
    let texts: Vec<&str> = messages.iter().map(Message::text).collect();
    assert_eq!(texts, ["1", "2", "3", "4", "5"]);
    messages
}

/// Ends the consumer and asserts what is left for the next, to which "more" is sent.
fn assert_next_consumer_gets(site: &mut Site, consumer: &str, expected: &[&str]) {
    site.client.disconnect(consumer, None);
    site.client.closed(consumer);
    site.connect("next");
    site.client
        .subscribe("next", "1", QUEUE, &[("ack", "auto")]);
    site.client.send("next", QUEUE, "more");
    assert_eq!(site.client.texts("next", expected.len()), expected);
}

fn send_numbers(client: &mut Client, id: &str, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        client.send(id, QUEUE, &number.to_string());
    }
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
    for number in 1..=5 {
        client.send("reader", TOPIC, &number.to_string());
    }
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
