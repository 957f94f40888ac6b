//! Topics, queues, users: who gets what.

use std::collections::HashSet;

use super::client::{Kind, Options};
use super::site::Site;

pub fn a_topic_is_heard_by_all_its_subscriptions(kind: Kind) {
    let mut site = Site::start(kind);
    let subscriptions = [
        ("one", "0", "1.0"),
        ("two", "0", "1.2"),
        ("three", "0", "1.2"),
        ("three", "other", "1.2"),
    ];
    for (id, version) in [("one", "1.0"), ("two", "1.2"), ("three", "1.2")] {
        site.connect_with(id, &Options::version(version));
    }
    let client = &mut site.client;
    for (id, subscription, _) in subscriptions {
        client.subscribe(id, subscription, "/topic/prices.eur", &[]);
        client.subscribe(id, &format!("else {subscription}"), "/topic/prices", &[]);
    }
    for sender in ["one", "two"] {
        client.send(sender, "/topic/prices.eur", sender);
        for (id, subscription, _) in subscriptions {
            let message = client.message(id);
            assert_eq!(message.text(), sender);
            assert_eq!(message.header("destination"), "/topic/prices.eur");
            if id != "three" {
                assert_eq!(message.subscription, subscription);
            }
        }
    }
}

pub fn an_unsubscribed_topic_is_heard_no_more(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("reader");
    let client = &mut site.client;
    client.subscribe("reader", "a", "/topic/a", &[]);
    client.subscribe("reader", "b", "/topic/a", &[]);
    client.send("reader", "/topic/a", "both");
    for subscription in ["a", "b"] {
        assert_eq!(client.message_of("reader", subscription).text(), "both");
    }
    client.unsubscribe("reader", "a", &[("receipt", "r")]);
    client.receipt("reader", "r");
    client.send("reader", "/topic/a", "b alone");
    let message = client.message("reader");
    assert_eq!((&*message.subscription, message.text()), ("b", "b alone"));
    // The name is free again.
    client.subscribe("reader", "a", "/topic/other", &[]);
    client.send("reader", "/topic/other", "again");
    let message = client.message("reader");
    assert_eq!((&*message.subscription, message.text()), ("a", "again"));
}

pub fn a_subscription_may_change_at_once(kind: Kind) {
    const ROUNDS: usize = 50;
    let mut site = Site::start(kind);
    site.connect("fickle");
    let client = &mut site.client;
    // Topics are owned by different shards, so that answers come in any order.
    for round in 0..ROUNDS {
        let modes = [("topic", "auto"), ("topic", "client"), ("queue", "client")];
        for (name, (place, mode)) in ["a", "b", "c"].into_iter().zip(modes) {
            let destination = format!("/{place}/{name}{round}");
            client.begin_subscribe("fickle", name, &destination, &[("ack", mode)]);
            if round + 1 < ROUNDS {
                client.unsubscribe("fickle", name, &[]);
            }
        }
    }
    client.settle("fickle");
    for round in 0..ROUNDS {
        for destination in ["/topic/a", "/topic/b", "/queue/c"] {
            let text = round.to_string();
            client.send("fickle", &format!("{destination}{round}"), &text);
        }
    }
    for name in ["a", "b", "c"] {
        let message = client.message_of("fickle", name);
        assert_eq!(message.text(), (ROUNDS - 1).to_string());
    }
}

pub fn many_subscriptions_of_a_connection_keep_their_order(kind: Kind) {
    const SUBSCRIPTIONS: usize = 50;
    const MESSAGES: usize = 20;
    let mut site = Site::start(kind);
    site.connect("reader");
    site.connect("sender");
    let client = &mut site.client;
    let (name, topic) = (
        |of: usize| format!("sub-{of}"),
        |of: usize| format!("/topic/{of}"),
    );
    for of in 0..SUBSCRIPTIONS {
        client.subscribe("reader", &name(of), &topic(of), &[]);
    }
    for number in 0..MESSAGES {
        for of in 0..SUBSCRIPTIONS {
            client.send("sender", &topic(of), &format!("{of}: {number}"));
        }
    }
    for of in 0..SUBSCRIPTIONS {
        for number in 0..MESSAGES {
            let message = client.message_of("reader", &name(of));
            assert_eq!(message.text(), format!("{of}: {number}"));
        }
    }
}

/// node and Chromium have them compressed, once for all.
pub fn long_bodies_reach_many_subscribers(kind: Kind) {
    const TOPIC: &str = "/topic/long";
    let readers: Vec<String> = (0..5).map(|n| format!("reader {n}")).collect();
    let mut site = Site::start(kind);
    for id in &readers {
        site.connect(id);
        site.client.subscribe(id, "sub-0", TOPIC, &[]);
    }
    let bodies = (1..=12).map(|n| -> String {
        let line = |m: usize| format!("{n} {m} {} é\n", m * m % 7_919);
        (0..n * 250).map(line).collect()
    });
    for body in bodies {
        site.client.send(&readers[0], TOPIC, &body);
        for id in &readers {
            let message = site.client.message(id);
            assert!(message.text() == body, "{message:?} of {}", body.len());
        }
    }
}

pub fn what_was_sent_before_disconnect_is_heard(kind: Kind) {
    const MESSAGES: usize = 100;
    let mut site = Site::start(kind);
    for id in ["reader", "hasty"] {
        site.connect(id);
    }
    let client = &mut site.client;
    client.subscribe("reader", "t", "/topic/last", &[]);
    client.subscribe("reader", "q", "/queue/last", &[]);
    for number in 0..MESSAGES {
        for destination in ["/topic/last", "/queue/last"] {
            client.send("hasty", destination, &number.to_string());
        }
    }
    client.disconnect("hasty", None);
    client.closed("hasty");
    for subscription in ["t", "q"] {
        for number in 0..MESSAGES {
            let message = client.message_of("reader", subscription);
            assert_eq!(message.text(), number.to_string());
        }
    }
}

pub fn an_idle_consumer_holds_up_nobody(kind: Kind) {
    const QUEUE: &str = "/queue/shared";
    const MESSAGES: usize = 30;
    let mut site = Site::start(kind);
    for id in ["idle", "busy"] {
        site.connect(id);
        let window = [("ack", "client-individual"), ("prefetch-count", "2")];
        // Two consumers of one connection are consumers as any others.
        for subscription in ["0", "1"] {
            site.client.subscribe(id, subscription, QUEUE, &window);
        }
    }
    let client = &mut site.client;
    for number in 0..MESSAGES {
        client.send("busy", QUEUE, &number.to_string());
    }
    // Each of the idle connection's two holds as many as its window has room for.
    let held = client.texts("idle", 4);
    let mut taken = HashSet::new();
    for _ in 0..MESSAGES - held.len() {
        let message = client.message("busy");
        assert!(
            taken.insert(message.text().to_owned()),
            "twice: {message:?}"
        );
        client.ack("busy", &message, &[]);
    }
    assert!(held.iter().all(|text| !taken.contains(text)), "{held:?}");
    client.cut("idle");
    client.closed("idle");
    for _ in &held {
        let message = client.message("busy");
        assert!(
            taken.insert(message.text().to_owned()),
            "twice: {message:?}"
        );
        client.ack("busy", &message, &[]);
    }
    assert_eq!(taken.len(), MESSAGES);
}

pub fn a_queue_gives_each_message_to_one_consumer(kind: Kind) {
    const MESSAGES: usize = 200;
    let mut site = Site::start(kind);
    for id in ["sender", "one", "two"] {
        site.connect(id);
    }
    let client = &mut site.client;
    for id in ["one", "two"] {
        client.subscribe(id, "0", "/queue/jobs", &[("ack", "auto")]);
    }
    for number in 0..MESSAGES {
        client.send("sender", "/queue/jobs", &number.to_string());
    }
    let mut taken: Vec<String> = Vec::new();
    for _ in 0..MESSAGES {
        let message = client.message_of_any(&["one", "two"]);
        taken.push(message.text().to_owned());
    }
    // What comes twice would come before it or with it.
    client.send("sender", "/queue/jobs", "end");
    let end = client.message_of_any(&["one", "two"]);
    assert_eq!(end.text(), "end");
    for id in ["one", "two"] {
        client.settle(id);
        assert!(client.untaken_of(id, "0").is_empty());
    }
    let once: HashSet<String> = taken.iter().cloned().collect();
    let all: HashSet<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(once, all);
}

pub fn a_queue_keeps_what_nobody_has_taken(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("sender");
    for text in ["one", "two", "three"] {
        let named = [("name", text)];
        site.client.send_with("sender", "/queue/kept", text, &named);
    }
    site.client.settle("sender");
    site.connect("consumer");
    site.client.subscribe("consumer", "0", "/queue/kept", &[]);
    for text in ["one", "two", "three"] {
        let message = site.client.message("consumer");
        assert_eq!(message.text(), text);
        assert_eq!(message.header("name"), text);
        assert_eq!(message.header("destination"), "/queue/kept");
    }
}

pub fn a_message_returns_when_its_consumer_goes(kind: Kind) {
    const QUEUE: &str = "/queue/returns";
    let mut site = Site::start(kind);
    for id in ["cut", "leaves", "stays"] {
        site.connect(id);
    }
    let client = &mut site.client;
    let window = [("ack", "client-individual"), ("prefetch-count", "10")];
    client.subscribe("cut", "0", QUEUE, &window);
    for text in ["1", "2", "3"] {
        client.send("stays", QUEUE, text);
    }
    let messages = client.messages("cut", 3);
    client.ack("cut", &messages[1], &[("receipt", "r")]);
    client.receipt("cut", "r");
    client.subscribe("leaves", "0", QUEUE, &window);

    client.cut("cut");
    client.closed("cut");
    for text in ["1", "3"] {
        let message = client.message("leaves");
        assert_eq!(message.text(), text);
        assert_eq!(message.header("redelivered"), "true");
    }
    client.subscribe("stays", "0", QUEUE, &window);
    client.unsubscribe("leaves", "0", &[]);
    assert_eq!(client.texts("stays", 2), ["1", "3"]);
    client.send("leaves", QUEUE, "4");
    let message = client.message("stays");
    assert_eq!(message.text(), "4");
    assert_ne!(
        message.headers.get("redelivered").map(String::as_str),
        Some("true")
    );
}

pub fn a_user_hears_what_is_for_the_user(kind: Kind) {
    let mut site = Site::start(kind);
    for (id, user) in [("ann 1", "ann"), ("ann 2", "ann"), ("bob", "bob")] {
        let options = Options {
            headers: vec![("login", user.to_owned())],
            ..Options::default()
        };
        site.connect_with(id, &options);
        site.client.subscribe(id, "0", "/user/queue/notes", &[]);
    }
    let client = &mut site.client;
    client.send("bob", "/user/ann/queue/notes", "for Ann");
    client.send("bob", "/user/bob/queue/notes", "for Bob");
    for (id, text) in [
        ("ann 1", "for Ann"),
        ("ann 2", "for Ann"),
        ("bob", "for Bob"),
    ] {
        assert_eq!(client.message(id).text(), text);
    }
}
