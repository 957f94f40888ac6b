//! Channels that are there for their newest publication.

use crate::support::Message;
use crate::support::sse::Stream;
use crate::support::stomp::Stomp;
use crate::support::wire::Socket;
use crate::{channels, publish, publish_numbers, server};

#[test]
fn a_new_subscriber_gets_the_newest_publication_whatever_it_speaks() {
    let server = server();
    let mut http = server.http();
    for channel in channels("newest") {
        let place = publish_numbers(&mut http, &channel, 7);
        let mut raw = Socket::open(server.addresses.public, &format!("/sub/{channel}"));
        let mut stream = Stream::open(server.addresses.public, &format!("/sub/{channel}"));
        let mut stomp = Stomp::connect(server.addresses.public, "1.2");
        stomp.subscribe("0", &format!("/topic/{channel}"), "");
        for expected in ["7", "8"] {
            assert_eq!(raw.message(), Message::text(expected));
            assert_eq!(stream.message(), expected);
            assert_eq!(stomp.message().text(), expected);
            if expected == "7" {
                publish(&mut http, &channel, "8");
            }
        }
        assert_eq!(stream.reader.last_event_id, place.at(8).event_id());
    }
}

#[test]
fn who_comes_back_gets_it_too_in_place_of_a_gap() {
    let server = server();
    let mut http = server.http();
    let place = publish_numbers(&mut http, "newest:0", 7);
    let path = format!("/sub/newest:0?{}", place.at(2).query());
    let mut raw = Socket::open(server.addresses.public, &path);
    assert_eq!(raw.message(), Message::text("7"));
    let mut stream = Stream::open(server.addresses.public, &path);
    assert_eq!(stream.message(), "7");
    let mut stomp = Stomp::connect(server.addresses.public, "1.2");
    let since = format!("since:{}\n", place.at(2).message_id());
    stomp.subscribe("0", "/topic/newest:0", &since);
    assert_eq!(stomp.message().text(), "7");
}
