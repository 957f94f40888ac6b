use crate::support::server::Server;
use crate::support::sse::{Event, Stream, request_lines};
use crate::support::wire::{Socket, head};
use crate::{Place, channels, numbers, publish, publish_numbers, server};

fn resume(server: &Server, channel: &str, last_event_id: &str) -> Stream {
    let line = format!("Last-Event-ID: {last_event_id}");
    Stream::open_with(
        server.addresses.public,
        &format!("/sub/{channel}"),
        &[&line],
    )
}

fn messages(stream: &mut Stream, count: usize) -> Vec<String> {
    (0..count).map(|_| stream.message()).collect()
}

fn gap_at(place: &Place) -> Event {
    Event {
        kind: "gap".to_owned(),
        data: place.event_id(),
        last_event_id: place.event_id(),
    }
}

#[test]
fn who_comes_back_with_its_last_event_id_gets_what_it_has_missed_and_then_what_is_published() {
    let server = server();
    let mut http = server.http();
    for channel in channels("kept") {
        let mut stream = Stream::open(server.addresses.public, &format!("/sub/{channel}"));
        stream.position();
        publish_numbers(&mut http, &channel, 4);
        assert_eq!(messages(&mut stream, 4), numbers(1..=4));
        let last = stream.reader.last_event_id.clone();
        drop(stream);
        for number in 5..=10 {
            publish(&mut http, &channel, &number.to_string());
        }
        let mut stream = resume(&server, &channel, &last);
        assert_eq!(messages(&mut stream, 6), numbers(5..=10), "{channel}");
        publish(&mut http, &channel, "11");
        assert_eq!(messages(&mut stream, 1), numbers(11..=11), "{channel}");
        assert!(stream.reader.last_event_id.ends_with(":11"));
    }
}

#[test]
fn who_has_heard_nothing_yet_knows_where_it_stood() {
    let server = server();
    let mut http = server.http();
    let last = Stream::open(server.addresses.public, "/sub/kept:0").position();
    publish_numbers(&mut http, "kept:0", 3);
    let mut stream = resume(&server, "kept:0", &last);
    assert_eq!(messages(&mut stream, 3), numbers(1..=3));
}

#[test]
fn a_program_may_write_the_id_or_the_place_into_the_url() {
    let server = server();
    let mut http = server.http();
    let place = publish_numbers(&mut http, "kept:0", 5).at(3);
    for query in [
        format!("lastEventId={}", place.event_id()),
        format!("last_event_id={}", place.event_id()),
        format!("lastEventId={}", place.event_id().replace(':', "%3A")),
        place.query(),
        "offset=3".to_owned(),
        // An empty one is none.
        "lastEventId=&offset=3".to_owned(),
    ] {
        for path in [
            format!("/sub/kept:0?{query}"),
            format!("/sub?channel=kept:0&{query}"),
        ] {
            let mut stream = Stream::open(server.addresses.public, &path);
            assert_eq!(messages(&mut stream, 2), numbers(4..=5), "{path}");
        }
    }
    // What a browser says when it connects again is newer than what its page has written.
    let line = format!("Last-Event-ID: {}", place.at(4).event_id());
    let path = format!("/sub/kept:0?lastEventId={}", place.at(1).event_id());
    let mut stream = Stream::open_with(server.addresses.public, &path, &[&line]);
    assert_eq!(messages(&mut stream, 1), numbers(5..=5));
}

#[test]
fn a_gap_is_told_in_front_with_the_place_from_which_on_all_is_there() {
    let server = server();
    let mut http = server.http();
    for channel in channels("short") {
        let place = publish_numbers(&mut http, &channel, 10);
        let stranger = Place {
            epoch: place.epoch + 1,
            offset: 10,
        };
        for id in [
            &place.at(6).event_id(),
            &place.at(0).event_id(),
            &place.at(11).event_id(),
            &stranger.event_id(),
            "of another server",
            "7",
        ] {
            let mut stream = resume(&server, &channel, id);
            assert_eq!(stream.next(), Some(gap_at(&place)), "{channel} {id}");
        }
        // Who comes back from a gap has no other.
        let mut stream = resume(&server, &channel, &place.event_id());
        assert_eq!(stream.reader.events.len(), 0);
        publish(&mut http, &channel, "11");
        assert_eq!(messages(&mut stream, 1), numbers(11..=11));
    }
}

#[test]
fn a_stream_of_several_channels_tells_of_a_gap_whoever_comes_back() {
    let server = server();
    let mut http = server.http();
    let place = publish_numbers(&mut http, "kept:0", 3);
    let path = "/sub?channel=kept:0&channel=kept:1";
    let mut stream = Stream::open(server.addresses.public, path);
    let last = stream.position();
    publish(&mut http, "kept:0", "4");
    publish(&mut http, "kept:1", "1");
    let mut heard = messages(&mut stream, 2);
    heard.sort();
    assert_eq!(heard, ["1", "4"]);
    assert_eq!(stream.reader.last_event_id, last, "events have no ids");
    for id in [&last, &place.at(1).event_id()] {
        let line = format!("Last-Event-ID: {id}");
        let mut stream = Stream::open_with(server.addresses.public, path, &[&line]);
        let gap = stream.next().expect("an event");
        assert_eq!((&*gap.kind, &gap.last_event_id), ("gap", &last));
        // All channels have begun then.
        publish(&mut http, "kept:1", "2");
        publish(&mut http, "kept:0", "5");
        let mut heard = messages(&mut stream, 2);
        heard.sort();
        assert_eq!(heard, ["2", "5"]);
    }
    for parameter in ["lastEventId", "last_event_id"] {
        let path = format!("{path}&{parameter}={}", place.event_id());
        let mut socket = Socket::connect(server.addresses.public);
        socket.send(&head(&request_lines(&path)));
        let answer = socket.answer();
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text().contains("each"), "{answer:?}");
    }
}

#[test]
fn an_id_in_the_url_that_is_none_is_answered_with_400() {
    let server = server();
    for id in ["7", "x:1", "1:x", "%zz", "1-2"] {
        let mut socket = Socket::connect(server.addresses.public);
        let path = format!("/sub/kept:0?lastEventId={id}");
        socket.send(&head(&request_lines(&path)));
        let answer = socket.answer();
        assert_eq!(answer.status, 400, "{id}: {answer:?}");
    }
}

#[test]
fn a_slow_stream_that_was_ended_comes_back_and_has_everything_once() {
    let server = server_with_small_backlogs();
    let mut http = server.http();
    let payload = |number: u64| format!("{number} {}", "x".repeat(30_000));
    let mut slow = Stream::open(server.addresses.public, "/sub/kept:0");
    slow.position();
    let mut published = 0;
    let is_closed = |server: &Server| {
        let metrics = crate::support::metrics::Metrics::get(&mut server.http());
        metrics.sum_where("closes_total", "reason=\"slow_consumer\"") == 1
    };
    while !is_closed(&server) {
        published += 1;
        publish(&mut http, "kept:0", &payload(published));
        assert!(published < 900, "it is not closed");
    }
    let mut heard = Vec::new();
    while let Some(event) = slow.next() {
        heard.push(event.data);
    }
    let mut back = resume(&server, "kept:0", &slow.reader.last_event_id);
    while (heard.len() as u64) < published {
        heard.push(back.message());
    }
    let expected: Vec<String> = (1..=published).map(payload).collect();
    assert!(heard == expected, "{} of {published}", heard.len());
}

fn server_with_small_backlogs() -> Server {
    use crate::support::server::Options;
    Server::start(Options::with_config(
        "[slow_consumer]\nbacklog_bytes_max = 100_000\n\
         [[namespace]]\nchannels = \"kept:*\"\nhistory_size = 1_000\nhistory_ttl = \"10m\"\nhistory_bytes_max = 100_000_000\n",
    ))
}
