use crate::support::server::{Options, Server};
use crate::support::stomp::{Frame, Stomp};
use crate::{channels, numbers, publish, publish_numbers, server};

const MODES: [&str; 3] = ["auto", "client", "client-individual"];

const VERSIONS: [&str; 3] = ["1.0", "1.1", "1.2"];

/// Subscribes as one who has had that message last, and returns the RECEIPT.
fn resume(stomp: &mut Stomp, channel: &str, mode: &str, since: &str) -> Frame {
    stomp.send(&format!(
        "SUBSCRIBE\nid:0\ndestination:/topic/{channel}\nack:{mode}\nsince:{since}\nreceipt:r\n\n"
    ));
    let receipt = stomp.frame();
    assert_eq!(receipt.command, "RECEIPT", "{receipt:?}");
    receipt
}

fn connect(server: &Server, version: &str) -> Stomp {
    Stomp::connect(server.addresses.public, version)
}

/// Takes that many messages, acknowledged as their subscription wants it.
fn take(stomp: &mut Stomp, version: &str, mode: &str, count: usize) -> Vec<String> {
    let texts = (0..count).map(|_| {
        let message = stomp.message();
        acknowledge(stomp, version, mode, &message);
        message.text().to_owned()
    });
    texts.collect()
}

fn acknowledge(stomp: &mut Stomp, version: &str, mode: &str, message: &Frame) {
    if mode == "auto" {
        return;
    }
    let named = match version {
        "1.2" => format!("id:{}", message.must("ack")),
        _ => format!("subscription:0\nmessage-id:{}", message.must("message-id")),
    };
    stomp.send(&format!("ACK\n{named}\n\n"));
}

#[test]
fn a_subscription_that_says_since_gets_what_its_client_has_missed_and_then_what_is_sent() {
    let server = server();
    let mut http = server.http();
    for (channel, version) in channels("kept").zip(VERSIONS.iter().cycle()) {
        let place = publish_numbers(&mut http, &channel, 10);
        for mode in MODES {
            let mut stomp = connect(&server, version);
            let since = place.at(4).message_id();
            let receipt = resume(&mut stomp, &channel, mode, &since);
            assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
            let heard = take(&mut stomp, version, mode, 6);
            assert_eq!(heard, numbers(5..=10), "{channel} {version} {mode}");
        }
        let mut stomp = connect(&server, version);
        resume(&mut stomp, &channel, "auto", &place.message_id());
        publish(&mut http, &channel, "11");
        assert_eq!(
            stomp.message().must("message-id"),
            place.at(11).message_id()
        );
    }
}

#[test]
fn what_was_missed_has_its_headers_and_its_message_ids() {
    let server = server();
    let mut sender = connect(&server, "1.2");
    sender.send("SEND\ndestination:/topic/kept:0\ncontent-type:text/plain\ncolour:a\\cb\nreceipt:s\n\nhello");
    sender.receipt("s");
    let place = publish(&mut server.http(), "kept:0", "second");
    for mode in MODES {
        let mut stomp = connect(&server, "1.2");
        resume(&mut stomp, "kept:0", mode, &place.at(0).message_id());
        let first = stomp.message();
        assert_eq!(first.text(), "hello");
        assert_eq!(first.must("content-type"), "text/plain");
        assert_eq!(first.must("colour"), "a\\cb");
        assert_eq!(first.must("message-id"), place.at(1).message_id());
        assert_eq!(stomp.message().must("message-id"), place.at(2).message_id());
    }
}

#[test]
fn a_gap_is_a_message_in_front_that_says_where_the_topic_stands() {
    let server = server();
    let mut http = server.http();
    for (channel, version) in channels("short").zip(VERSIONS.iter().cycle()) {
        let place = publish_numbers(&mut http, &channel, 10);
        let another_epoch = format!("{}-9", place.epoch + 1);
        for mode in MODES {
            for since in [&place.at(6).message_id(), &another_epoch] {
                let mut stomp = connect(&server, version);
                let receipt = resume(&mut stomp, &channel, mode, since);
                assert_eq!(receipt.header("recovered"), Some("false"), "{receipt:?}");
                let gap = stomp.message();
                assert_eq!(gap.header("gap"), Some("true"), "{gap:?}");
                assert_eq!(gap.text(), "");
                assert_eq!(gap.must("subscription"), "0");
                let destination = gap.must("destination").replace("\\c", ":");
                assert_eq!(destination, format!("/topic/{channel}"));
                assert_eq!(gap.must("message-id"), place.message_id());
                // It is acknowledged like any other, twice if a client likes.
                acknowledge(&mut stomp, version, mode, &gap);
                acknowledge(&mut stomp, version, mode, &gap);
                stomp.assert_undisturbed();
            }
        }
        let mut stomp = connect(&server, version);
        resume(&mut stomp, &channel, "client", &another_epoch);
        let gap = stomp.message();
        publish(&mut http, &channel, "11");
        let next = stomp.message();
        assert_eq!((next.text(), next.header("gap")), ("11", None));
        drop(stomp);
        // Who comes back from a gap has no other.
        let mut stomp = connect(&server, version);
        let receipt = resume(&mut stomp, &channel, "auto", gap.must("message-id"));
        assert_eq!(receipt.header("recovered"), Some("true"), "{receipt:?}");
        assert_eq!(stomp.message().text(), "11");
    }
}

#[test]
fn a_gap_at_the_beginning_of_a_stream_is_acknowledged_too() {
    let server = server();
    for (version, number) in VERSIONS.iter().zip(0..) {
        let mut stomp = connect(&server, version);
        let channel = format!("kept:fresh {number}").replace(' ', "-");
        resume(&mut stomp, &channel, "client", "7-7");
        let gap = stomp.message();
        assert!(gap.must("message-id").ends_with("-0"), "{gap:?}");
        acknowledge(&mut stomp, version, "client", &gap);
        acknowledge(&mut stomp, version, "client", &gap);
        stomp.assert_undisturbed();
    }
}

#[test]
fn without_since_no_receipt_says_recovered_and_no_message_gap() {
    let server = server();
    let mut http = server.http();
    publish_numbers(&mut http, "short:0", 10);
    let mut stomp = connect(&server, "1.2");
    stomp.send("SUBSCRIBE\nid:0\ndestination:/topic/short:0\nreceipt:r\n\n");
    let receipt = stomp.frame();
    assert_eq!(receipt.header("recovered"), None, "{receipt:?}");
    publish(&mut http, "short:0", "11");
    let message = stomp.message();
    assert_eq!((message.text(), message.header("gap")), ("11", None));
}

#[test]
fn no_publisher_can_make_a_gap() {
    let server = server();
    let mut stomp = connect(&server, "1.2");
    stomp.subscribe("0", "/topic/kept:0", "");
    stomp.send("SEND\ndestination:/topic/kept:0\ngap:true\nother:1\n\nhello");
    let message = stomp.message();
    assert_eq!(
        (message.header("gap"), message.header("other")),
        (None, Some("1"))
    );
}

#[test]
fn a_since_that_is_no_message_id_is_an_error_that_quotes_it_and_so_is_one_of_a_queue() {
    let server = server();
    for (destination, since, part) in [
        ("/topic/kept:0", "", "since \"\""),
        ("/topic/kept:0", "7", "since \"7\""),
        ("/topic/kept:0", "a-b", "since \"a-b\""),
        ("/topic/kept:0", "1-2-3", "since \"1-2-3\""),
        ("/queue/kept", "1-2", "queue"),
    ] {
        let mut stomp = connect(&server, "1.2");
        stomp.send(&format!(
            "SUBSCRIBE\nid:0\ndestination:{destination}\nsince:{since}\nreceipt:r\n\n"
        ));
        let (error, code) = stomp.error();
        assert_eq!(code, 1002);
        assert!(error.must("message").contains(part), "{error:?}");
        assert_eq!(error.must("receipt-id"), "r");
        assert!(!error.text().is_empty(), "it says what to write");
    }
}

#[test]
fn what_was_missed_waits_for_acks_however_much_it_is() {
    let server = Server::start(Options::with_config(
        "[slow_consumer]\nbacklog_bytes_max = 10_000\n\
         [[namespace]]\nchannels = \"kept:*\"\nhistory_size = 1_000\nhistory_ttl = \"10m\"\n",
    ));
    let mut http = server.http();
    let place = publish_numbers(&mut http, "kept:0", 500);
    let mut stomp = connect(&server, "1.2");
    stomp.send(&format!(
        "SUBSCRIBE\nid:0\ndestination:/topic/kept:0\nack:client\nprefetch-count:2\nsince:{}\nreceipt:r\n\n",
        place.at(0).message_id()
    ));
    stomp.receipt("r");
    assert_eq!(take(&mut stomp, "1.2", "client", 500), numbers(1..=500));
    // From then on the bound is the bound again.
    for _ in 0..2 {
        publish(&mut http, "kept:0", "not acknowledged");
        stomp.message();
    }
    for _ in 0..100 {
        publish(&mut http, "kept:0", "not taken");
    }
    let (error, code) = stomp.error();
    assert_eq!(code, 1013, "{error:?}");
}
