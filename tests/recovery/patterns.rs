//! Subscriptions to all channels that fit a pattern: no position can speak for them.

use crate::support::server::{Options, Server};
use crate::support::sse::Stream;
use crate::support::stomp::Stomp;
use crate::support::wire::{Said, Socket};
use crate::{publish, publish_numbers};

fn server() -> Server {
    Server::start(Options::with_config(
        "[[namespace]]\nchannels = \"scores.*\"\nwildcards = true\nhistory_size = 100\nhistory_ttl = \"10m\"\n",
    ))
}

#[test]
fn events_that_a_pattern_has_found_have_no_ids_and_who_comes_back_is_told_of_a_gap() {
    let server = server();
    let mut http = server.http();
    publish_numbers(&mut http, "scores.a", 5);
    let mut stream = Stream::open(server.addresses.public, "/sub/scores.*");
    let last = stream.position();
    for channel in ["scores.a", "scores.b"] {
        publish(&mut http, channel, "hello");
        assert_eq!(stream.message(), "hello");
        assert_eq!(stream.reader.last_event_id, last);
    }
    let line = format!("Last-Event-ID: {last}");
    let mut stream = Stream::open_with(server.addresses.public, "/sub/scores.*", &[&line]);
    assert_eq!(stream.next().expect("an event").kind, "gap");
    publish(&mut http, "scores.c", "again");
    assert_eq!(stream.message(), "again");
}

#[test]
fn a_position_of_one_channel_is_a_gap_of_a_pattern() {
    let server = server();
    let mut http = server.http();
    let place = publish_numbers(&mut http, "scores.a", 5);
    let path = format!("/sub/scores.*?{}", place.query());
    let mut socket = Socket::open(server.addresses.public, &path);
    let said = socket.next();
    assert!(
        matches!(
            said,
            Said::Close {
                code: Some(4410),
                ..
            }
        ),
        "{said:?}"
    );
    let mut stomp = Stomp::connect(server.addresses.public, "1.2");
    stomp.send(&format!(
        "SUBSCRIBE\nid:0\ndestination:/topic/scores.*\nack:client\nsince:{}\nreceipt:r\n\n",
        place.message_id()
    ));
    assert_eq!(stomp.frame().header("recovered"), Some("false"));
    let gap = stomp.message();
    assert_eq!(gap.header("gap"), Some("true"));
    for channel in ["scores.a", "scores.b"] {
        publish(&mut http, channel, "hello");
        let message = stomp.message();
        assert_eq!(message.must("destination"), format!("/topic/{channel}"));
        stomp.send(&format!("ACK\nid:{}\n\n", message.must("ack")));
    }
    stomp.send(&format!("ACK\nid:{}\n\n", gap.must("ack")));
    stomp.assert_undisturbed();
}
