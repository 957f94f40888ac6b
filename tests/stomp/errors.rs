//! ERROR frames: what was wrong, which frame it was, and an end that nobody else notices.

use super::client::{Client, Kind};
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
    assert_eq!(client.closed("wrong"), 1002, "{said}");
    client.send("other", "/topic/other", "still there");
    assert_eq!(client.message("other").text(), "still there");
}
