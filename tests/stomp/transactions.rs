//! BEGIN, COMMIT, ABORT.

use super::client::Kind;
use super::site::Site;

const TOPIC: &str = "/topic/ledger";

pub fn commit_sends_everything_in_order(kind: Kind) {
    let mut site = subscribed(kind);
    let client = &mut site.client;
    client.begin("teller", "tx", None);
    client.send_with("teller", TOPIC, "debit", &[("transaction", "tx")]);
    client.send("teller", TOPIC, "outside");
    client.send_with("teller", TOPIC, "credit", &[("transaction", "tx")]);
    assert_eq!(client.message("teller").text(), "outside");
    client.commit("teller", "tx", None);
    client.send("teller", TOPIC, "after");
    assert_eq!(client.texts("teller", 3), ["debit", "credit", "after"]);
}

pub fn abort_sends_nothing(kind: Kind) {
    let mut site = subscribed(kind);
    let client = &mut site.client;
    client.begin("teller", "one", None);
    client.begin("teller", "two", None);
    client.send_with("teller", TOPIC, "lost", &[("transaction", "one")]);
    client.send_with("teller", TOPIC, "kept", &[("transaction", "two")]);
    client.abort("teller", "one", None);
    client.commit("teller", "two", None);
    client.send("teller", TOPIC, "after");
    assert_eq!(client.texts("teller", 2), ["kept", "after"]);
    // The name is free again.
    client.begin("teller", "one", None);
    client.send_with("teller", TOPIC, "anew", &[("transaction", "one")]);
    client.commit("teller", "one", None);
    assert_eq!(client.message("teller").text(), "anew");
}

pub fn a_lost_connection_aborts(kind: Kind) {
    let mut site = subscribed(kind);
    site.connect("lost");
    let client = &mut site.client;
    client.begin("lost", "tx", None);
    let transacted = [("transaction", "tx"), ("receipt", "r")];
    client.send_with("lost", TOPIC, "never", &transacted);
    client.receipt("lost", "r");
    client.cut("lost");
    client.closed("lost");
    site.connect("heir");
    let client = &mut site.client;
    // The transaction was the connection's.
    client.begin("heir", "tx", None);
    client.commit("heir", "tx", Some("r"));
    client.receipt("heir", "r");
    client.send("heir", TOPIC, "after");
    assert_eq!(client.message("teller").text(), "after");
}

pub fn an_aborted_ack_has_not_been_made(kind: Kind) {
    const QUEUE: &str = "/queue/ledger";
    let mut site = Site::start(kind);
    site.connect("first");
    let client = &mut site.client;
    client.subscribe("first", "0", QUEUE, &[("ack", "client-individual")]);
    for text in ["aborted", "committed"] {
        client.send("first", QUEUE, text);
        let message = client.message("first");
        assert_eq!(message.text(), text);
        client.begin("first", text, None);
        client.ack("first", &message, &[("transaction", text)]);
    }
    client.abort("first", "aborted", None);
    client.commit("first", "committed", Some("r"));
    client.receipt("first", "r");
    client.disconnect("first", None);
    client.closed("first");

    site.connect("next");
    site.client.subscribe("next", "0", QUEUE, &[]);
    site.client.send("next", QUEUE, "more");
    assert_eq!(site.client.texts("next", 2), ["aborted", "more"]);
}

/// A site where `teller` is subscribed to the topic.
fn subscribed(kind: Kind) -> Site {
    let mut site = Site::start(kind);
    site.connect("teller");
    site.client.subscribe("teller", "0", TOPIC, &[]);
    site
}
