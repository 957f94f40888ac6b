//! Versions, subprotocols, receipts.

use super::client::{Kind, Options, subprotocol};
use super::site::Site;

pub fn every_version_is_spoken(kind: Kind) {
    let mut site = Site::start(kind);
    for version in ["1.0", "1.1", "1.2"] {
        for path in ["/stomp", "/ws"] {
            let id = format!("{version} at {path}");
            let url = site.server.url(path);
            let connected = site.client.connect(&id, &url, &Options::version(version));
            assert_eq!(connected.version, version, "{connected:?}");
            let offered = if kind == Kind::StompPy {
                String::new()
            } else {
                subprotocol(version)
            };
            assert_eq!(connected.subprotocol, offered, "{connected:?}");
            for header in ["session", "server"] {
                let value = connected.headers.get(header);
                assert!(
                    value.is_some_and(|value| !value.is_empty()),
                    "{header}: {connected:?}"
                );
            }

            site.client.subscribe(&id, "0", "/topic/versions", &[]);
            site.client.send(&id, "/topic/versions", &id);
            let message = site.client.message(&id);
            assert_eq!(message.text(), id);
            assert_eq!(message.header("destination"), "/topic/versions");
            assert_eq!(message.header("subscription"), "0");
            assert!(!message.header("message-id").is_empty());
            site.client.disconnect(&id, None);
            site.client.closed(&id);
        }
    }
}

pub fn the_highest_common_version_is_chosen(kind: Kind) {
    let mut site = Site::start(kind);
    let url = site.url();
    let connected = site.client.connect("all", &url, &Options::default());
    assert_eq!(connected.version, "1.2", "{connected:?}");
    if kind != Kind::StompPy {
        assert_eq!(connected.subprotocol, "v12.stomp");
    }
    site.client.settle("all");
}

pub fn no_subprotocol_is_needed(kind: Kind) {
    let mut site = Site::start(kind);
    let url = site.url();
    let options = Options {
        subprotocols: Some(Vec::new()),
        ..Options::default()
    };
    let connected = site.client.connect("plain", &url, &options);
    assert_eq!(
        (&*connected.version, &*connected.subprotocol),
        ("1.2", ""),
        "{connected:?}"
    );
    site.client.settle("plain");
}

pub fn a_version_that_nobody_speaks_is_refused(kind: Kind) {
    let mut site = Site::start(kind);
    let url = site.url();
    let options = Options {
        version: Some("2.0"),
        subprotocols: Some(vec!["v12.stomp"]),
        ..Options::default()
    };
    site.client.begin_connect("future", &url, &options);
    let error = site.client.error("future");
    assert_eq!(
        error.headers.get("version").map(String::as_str),
        Some("1.0,1.1,1.2"),
        "{error:?}"
    );
    assert!(
        error.headers.contains_key("message") && !error.body.is_empty(),
        "{error:?}"
    );
    assert_eq!(site.client.closed("future"), 1002);
}

pub fn every_command_gets_its_receipt(kind: Kind) {
    let mut site = Site::start(kind);
    for version in ["1.0", "1.1", "1.2"] {
        let id = version;
        site.connect_with(id, &Options::version(version));
        let client = &mut site.client;
        let queue = format!("/queue/receipts-{version}");

        let acked = [("ack", "client-individual"), ("receipt", "subscribe")];
        client.begin_subscribe(id, "0", &queue, &acked);
        client.receipt(id, "subscribe");
        client.send_with(id, &queue, "first", &[("receipt", "send")]);
        client.receipt(id, "send");
        let message = client.message(id);
        client.ack(id, &message, &[("receipt", "ack")]);
        client.receipt(id, "ack");
        // STOMP 1.0 has no NACK.
        if version != "1.0" {
            client.send(id, &queue, "second");
            let message = client.message(id);
            client.nack(id, &message, &[("receipt", "nack")]);
            client.receipt(id, "nack");
        }
        client.begin(id, "tx", Some("begin"));
        client.receipt(id, "begin");
        let transacted = [("transaction", "tx"), ("receipt", "send in tx")];
        client.send_with(id, "/topic/receipts", "", &transacted);
        client.receipt(id, "send in tx");
        client.commit(id, "tx", Some("commit"));
        client.receipt(id, "commit");
        client.begin(id, "tx", None);
        client.abort(id, "tx", Some("abort"));
        client.receipt(id, "abort");
        client.unsubscribe(id, "0", &[("receipt", "unsubscribe")]);
        client.receipt(id, "unsubscribe");
    }
}

pub fn disconnect_gets_its_receipt_and_an_end_in_order(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("short");
    site.client.disconnect("short", Some("goodbye"));
    let code = match kind {
        // It closes the WebSocket without waiting for the receipt.
        Kind::Webstomp => site.client.closed("short"),
        // It closes the socket when the receipt has come, and then tells of it.
        Kind::StompPy => {
            let code = site.client.closed("short");
            site.client.receipt("short", "goodbye");
            code
        }
        Kind::StompJs | Kind::Chromium => {
            site.client.receipt("short", "goodbye");
            site.client.closed("short")
        }
    };
    let orderly = [1000, 1005].contains(&code) || (kind == Kind::StompPy && code == 1006);
    assert!(orderly, "{code}");
}
