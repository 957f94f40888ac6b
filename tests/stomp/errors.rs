//! ERROR frames: what was wrong, which frame it was, and an end that nobody else notices.

use super::client::{Client, Kind, Options};
use super::site::Site;

pub fn a_destination_that_is_none(kind: Kind) {
    for destination in ["nowhere", "/topic/", "/queue", "/temp-queue/x"] {
        assert_error(kind, destination, |client, receipt| {
            client.send_with("wrong", destination, "lost", receipt);
        });
        assert_error(kind, destination, |client, receipt| {
            client.begin_subscribe("wrong", "0", destination, receipt);
        });
    }
}

pub fn a_subscription_that_is_not_there(kind: Kind) {
    assert_error(kind, "missing", |client, receipt| {
        client.unsubscribe("wrong", "missing", receipt);
    });
}

pub fn a_subscription_that_is_there_already(kind: Kind) {
    assert_error(kind, "twice", |client, receipt| {
        client.subscribe("wrong", "twice", "/topic/a", &[]);
        client.begin_subscribe("wrong", "twice", "/topic/b", receipt);
    });
}

pub fn a_transaction_that_was_not_begun(kind: Kind) {
    assert_error(kind, "missing", |client, _| {
        client.commit("wrong", "missing", Some("r"));
    });
    assert_error(kind, "missing", |client, _| {
        client.abort("wrong", "missing", Some("r"));
    });
    assert_error(kind, "missing", |client, receipt| {
        let named = [receipt, &[("transaction", "missing")]].concat();
        client.send_with("wrong", "/topic/a", "lost", &named);
    });
    assert_error(kind, "twice", |client, _| {
        client.begin("wrong", "twice", None);
        client.begin("wrong", "twice", Some("r"));
    });
}

pub fn a_body_over_the_limit(kind: Kind) {
    const BODY_BYTES_MAX: usize = 65_536;
    let mut site = Site::start(kind);
    site.connect("reader");
    site.client.subscribe("reader", "0", "/topic/big", &[]);
    // Whether the client splits it over several WebSocket messages or not.
    for split in [false, true] {
        let options = Options {
            split,
            ..Options::default()
        };
        let id = format!("split {split}");
        site.connect_with(&id, &options);
        let client = &mut site.client;
        let longest = "x".repeat(BODY_BYTES_MAX);
        client.send_with(&id, "/topic/big", &longest, &[("receipt", "longest")]);
        client.receipt(&id, "longest");
        assert!(client.message("reader").text() == longest);

        client.send_with(
            &id,
            "/topic/big",
            &format!("{longest}x"),
            &[("receipt", "longer")],
        );
        let error = client.error(&id);
        let said = format!("{error:?}");
        assert!(said.contains(&BODY_BYTES_MAX.to_string()), "{said}");
        assert!(!error.body.is_empty(), "what to do: {said}");
        let code = client.closed(&id);
        assert!([1002, 1009].contains(&code), "{code}: {said}");
        client.send("reader", "/topic/big", "still there");
        assert_eq!(client.message("reader").text(), "still there");
    }
}

pub fn a_queue_that_is_full(kind: Kind) {
    let mut site = Site::start_with(kind, "[queues]\nqueue_messages_max = 3\n");
    site.connect("sender");
    site.connect("consumer");
    let client = &mut site.client;
    for number in 0..3 {
        client.send("sender", "/queue/full", &number.to_string());
    }
    let receipt = [("receipt", "fourth")];
    client.send_with("sender", "/queue/full", "3", &receipt);
    let error = client.error("sender");
    assert_eq!(error.headers["receipt-id"], "fourth", "{error:?}");
    assert_eq!(client.closed("sender"), 1013, "{error:?}");
    client.subscribe("consumer", "0", "/queue/full", &[]);
    client.send("consumer", "/queue/full", "4");
    assert_eq!(client.texts("consumer", 4), ["0", "1", "2", "4"]);
}

/// Asserts that what a connection does is answered with ERROR, which names what was wrong and the frame by its receipt,
/// and close code 1002, and that another connection notices nothing.
fn assert_error(kind: Kind, named: &str, wrong: impl FnOnce(&mut Client, &[(&str, &str)])) {
    let mut site = Site::start(kind);
    site.connect("wrong");
    site.connect("other");
    let client = &mut site.client;
    client.subscribe("other", "0", "/topic/other", &[]);
    wrong(client, &[("receipt", "r")]);
    let error = client.error("wrong");
    let receipt = error.headers.get("receipt-id");
    assert_eq!(receipt.map(String::as_str), Some("r"), "{error:?}");
    let said = format!("{error:?}");
    assert!(
        said.contains(named) && error.headers.contains_key("message"),
        "{said}"
    );
    assert!(!error.body.is_empty(), "what to do: {said}");
    assert_eq!(client.closed("wrong"), 1002, "{said}");
    client.send("other", "/topic/other", "still there");
    assert_eq!(client.message("other").text(), "still there");
}
