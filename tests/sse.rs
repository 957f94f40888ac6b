//! Event streams (Server-Sent Events) of the real server: what goes over the wire, byte by byte over plain sockets, and
//! what `curl` makes of it. The browser's side is in tests/event_source.rs.

#![forbid(unsafe_code)]

mod support;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::http::Answer;
use support::metrics::Metrics;
use support::server::{Options, Server};
use support::sse::{Event, Stream, request_lines};
use support::stomp::Stomp;
use support::wire::{Socket, head};

/// Waits until there are that many lanes: who makes a new one is subscribed then.
fn wait_for_lanes(server: &Server, count: u64) {
    Metrics::wait(&mut server.http(), "lanes", |metrics| {
        metrics.sum("lanes") == count
    });
}

/// The request lines with some changed.
fn with(path: &str, more: &[&str]) -> Vec<String> {
    let mut lines = request_lines(path);
    lines.extend(more.iter().map(|&line| line.to_owned()));
    lines
}

fn answer_to(server: &Server, lines: &[String]) -> Answer {
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&head(lines));
    socket.answer()
}

fn offset(event: &Event) -> u64 {
    let (_, offset) = event.last_event_id.split_once(':').expect("an id");
    offset.parse().expect("a number")
}

#[test]
fn a_stream_begins_with_its_head_a_time_to_come_again_and_a_position() {
    let server = Server::start(Options::default());
    let position = server.http().post("/pub/news", "before").json();
    let mut stream = Stream::open(server.addresses.public, "/sub/news");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("connection", "close"),
    ] {
        assert_eq!(stream.head.header(name), Some(value), "{:?}", stream.head);
    }
    for name in [
        "content-length",
        "transfer-encoding",
        "access-control-allow-origin",
    ] {
        assert_eq!(stream.head.header(name), None, "{:?}", stream.head);
    }
    let epoch = position["epoch"].as_str().unwrap();
    assert_eq!(stream.position(), format!("{epoch}:1"));
    let retry_ms = stream.reader.retry_ms.expect("a time to come again");
    assert!((1_000..3_000).contains(&retry_ms), "{retry_ms}");
    assert!(stream.reader.events.is_empty(), "a page has heard nothing");
}

#[test]
fn every_publication_is_an_event_with_its_position_and_its_text_line_by_line() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    let mut stream = Stream::open(server.addresses.public, "/sub/news");
    stream.position();
    let payloads: [(&[u8], &str, &str); 9] = [
        (b"hello", "message", "hello"),
        (b"", "message", ""),
        (b" a space in front", "message", " a space in front"),
        (b"one\ntwo\n\nfour\n", "message", "one\ntwo\n\nfour\n"),
        (b"one\r\ntwo\rthree", "message", "one\ntwo\nthree"),
        (
            b"id: 7\ndata: x\nevent: gap\nretry: 1\n:",
            "message",
            "id: 7\ndata: x\nevent: gap\nretry: 1\n:",
        ),
        (
            "grüße, 你好, \u{feff}\0\u{1f600}".as_bytes(),
            "message",
            "grüße, 你好, \u{feff}\0\u{1f600}",
        ),
        (&[0xff, 0, 0xfe], "binary", "/wD+"),
        (b"{\"price\": 1.10}", "message", "{\"price\": 1.10}"),
    ];
    for ((payload, kind, data), at) in payloads.into_iter().zip(1..) {
        publisher.publish("news", payload);
        let event = stream.next().expect("an event");
        assert_eq!((&*event.kind, &*event.data), (kind, data));
        assert_eq!(offset(&event), at);
    }
    let long = "x".repeat(64 * 1_024);
    publisher.publish("news", &long);
    assert_eq!(stream.message(), long);
}

#[test]
fn streams_hear_what_the_other_protocols_publish_in_the_same_order() {
    let server = Server::start(Options::default());
    let mut stream = Stream::open(server.addresses.public, "/sub/mixed");
    let mut raw = Socket::open(server.addresses.public, "/sub/mixed");
    stream.position();
    wait_for_lanes(&server, 2);
    let mut publisher = server.http();
    let mut raw_publisher = Socket::open(server.addresses.public, "/pub/mixed");
    let mut stomp = Stomp::connect(server.addresses.public, "1.2");
    for i in 0..50 {
        publisher.publish("mixed", format!("http {i}"));
        raw_publisher.send_text(&format!("raw {i}"));
        stomp.publish("/topic/mixed", &format!("stomp {i}"));
    }
    let heard: Vec<String> = (0..150).map(|_| stream.message()).collect();
    let same: Vec<String> = (0..150)
        .map(|_| match raw.message() {
            support::Message::Text(text) => text,
            other => panic!("a text is expected, not {other:?}"),
        })
        .collect();
    assert_eq!(heard, same);
    assert_eq!(HashSet::<String>::from_iter(heard).len(), 150);
}

#[test]
fn all_streams_of_a_channel_are_one_lane_a_shard() {
    let server = Server::start(Options::default());
    let mut streams: Vec<Stream> = (0..40)
        .map(|_| Stream::open(server.addresses.public, "/sub/shared"))
        .collect();
    streams
        .iter_mut()
        .for_each(|stream| drop(stream.position()));
    let metrics = Metrics::get(&mut server.http());
    assert_eq!(metrics.sum("event_streams_total"), 40);
    assert!(metrics.sum("lanes") <= 2, "{metrics:?}");
    server.http().publish("shared", "to all");
    let events: HashSet<String> = streams
        .iter_mut()
        .map(|stream| format!("{:?}", stream.next()))
        .collect();
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn several_channels_on_one_stream_have_no_ids_but_one_that_names_no_place() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    let mut stream = Stream::open(server.addresses.public, "/sub?channel=a&channel=b%2Fc");
    wait_for_lanes(&server, 2);
    publisher.publish("a", "of a");
    publisher.publish("b/c", "of b/c");
    let mut heard = [stream.next().unwrap(), stream.next().unwrap()];
    heard.sort_by(|one, other| one.data.cmp(&other.data));
    assert_eq!([&*heard[0].data, &*heard[1].data], ["of a", "of b/c"]);
    for event in &heard {
        let (kind, id) = (&*event.kind, &*event.last_event_id);
        assert_eq!((kind, id), ("message", "0:0"));
    }
    // The same channel twice is one.
    let mut stream = Stream::open(server.addresses.public, "/sub?channel=a&channel=a");
    assert!(stream.position().ends_with(":1"));
    publisher.publish("a", "once");
    publisher.publish("a", "and then");
    assert_eq!([stream.message(), stream.message()], ["once", "and then"]);
}

#[test]
fn a_request_may_arrive_in_any_pieces() {
    let server = Server::start(Options::default());
    let request = head(&request_lines("/sub/pieces"));
    for cut in 1..request.len() {
        let mut socket = Socket::connect(server.addresses.public);
        socket.send(&request[..cut]);
        socket.send(&request[cut..]);
        assert!(!Stream::over(socket).position().is_empty(), "cut at {cut}");
    }
}

#[test]
fn http_1_0_and_head_are_answered_as_well() {
    let server = Server::start(Options::default());
    let old = ["GET /sub/news HTTP/1.0", "Accept: text/event-stream"].map(str::to_owned);
    let mut stream = Stream::ask(server.addresses.public, &old);
    stream.position();
    server.http().publish("news", "to an old client");
    assert_eq!(stream.message(), "to an old client");

    let mut lines = request_lines("/sub/news");
    lines[0] = "HEAD /sub/news HTTP/1.1".to_owned();
    let answer = answer_to(&server, &lines);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.body, b"");
}

#[test]
fn what_no_stream_comes_of_is_refused_with_a_status_and_a_line_of_help() {
    let server = Server::start(Options::default());
    let instead = |name: &str, line: &str, path: &str| {
        let mut lines = request_lines(path);
        lines.retain(|kept| !kept.starts_with(name));
        lines.insert(1, line.to_owned());
        lines
    };
    let method = |method: &str| {
        let mut lines = request_lines("/sub/news");
        lines[0] = format!("{method} /sub/news HTTP/1.1");
        lines
    };
    for (lines, status, part) in [
        (
            instead("Accept", "Accept: */*", "/sub/news"),
            406,
            "Accept: text/event-stream",
        ),
        (
            instead("Accept", "Accept: text/html", "/sub?channel=a"),
            406,
            "curl -N",
        ),
        (instead("Host", "X: y", "/sub/news"), 400, "Host"),
        (request_lines("/sub/"), 400, "channel"),
        (request_lines("/sub"), 400, "/sub?channel=a"),
        (request_lines("/sub/%zz"), 400, "percent"),
        (request_lines("/sub?channel=%ff"), 400, "UTF-8"),
        (request_lines("/pub/news"), 426, "WebSocket"),
        (request_lines("/stomp"), 426, "WebSocket"),
        (request_lines("/elsewhere"), 404, "/sub/{channel}"),
        (method("POST"), 405, "GET"),
        (method("DELETE"), 405, "GET"),
    ] {
        let answer = answer_to(&server, &lines);
        assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
        assert!(answer.text().contains(part), "{lines:?}: {answer:?}");
        assert_eq!(answer.text().lines().count(), 1, "{answer:?}");
    }
    let metrics = Metrics::get(&mut server.http());
    assert_eq!(metrics.sum("event_streams_total"), 0);
    Metrics::wait(&mut server.http(), "no connections", |metrics| {
        metrics.sum("connections") == 0
    });
}

#[test]
fn a_page_reads_streams_and_refusals_as_its_origin_is_allowed() {
    let server = Server::start(Options::with_config(
        "[origins]\nallowed = [\"https://*.example\"]\nmissing_allowed = false\n",
    ));
    let origin = "Origin: https://app.example";
    let allow = "access-control-allow-origin";
    let stream = Stream::open_with(server.addresses.public, "/sub/news", &[origin]);
    assert_eq!(stream.head.header(allow), Some("https://app.example"));
    let refused = answer_to(&server, &with("/sub/%01", &[origin]));
    assert_eq!(
        (refused.status, refused.header(allow)),
        (400, Some("https://app.example"))
    );
    for lines in [&["Origin: https://evil.test"][..], &[]] {
        let answer = answer_to(&server, &with("/sub/news", lines));
        assert_eq!(
            (answer.status, answer.header(allow)),
            (403, None),
            "{lines:?}"
        );
    }
    Stream::open_with(
        server.addresses.public,
        "/sub/news",
        &["Sec-Fetch-Site: same-origin"],
    );

    let mut preflight = with(
        "/sub/news",
        &[origin, "Access-Control-Request-Headers: authorization"],
    );
    preflight[0] = "OPTIONS /sub/news HTTP/1.1".to_owned();
    let answer = answer_to(&server, &preflight);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header(allow), Some("https://app.example"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization")
    );
    assert_eq!(answer.body, b"");
}

#[test]
fn an_idle_stream_is_kept_alive_by_comments_that_nobody_has_to_answer() {
    let server = Server::start(Options::with_config(
        "[timeouts]\nping_interval_ms = 70\npong_timeout_ms = 70\n",
    ));
    let mut stream = Stream::open(server.addresses.public, "/sub/quiet");
    while stream.reader.comments.len() < 5 {
        assert!(stream.read_more(), "it is not closed");
    }
    server.http().publish("quiet", "not any more");
    assert_eq!(stream.message(), "not any more");
    let metrics = Metrics::get(&mut server.http());
    assert!(metrics.sum("keep_alives_total") >= 5, "{metrics:?}");
    assert_eq!(metrics.sum("pings_total"), 0);
    assert_eq!(
        metrics.sum_where("closes_total", "reason=\"pong_timeout\""),
        0
    );
}

#[test]
fn a_slow_stream_ends_behind_a_whole_event_with_the_reason_and_leaves_the_others_alone() {
    let server = Server::start(Options::with_config(
        "[slow_consumer]\nbacklog_bytes_max = 100_000\n",
    ));
    let mut publisher = server.http();
    let mut slow = Stream::open(server.addresses.public, "/sub/fast");
    let mut other = Stream::open(server.addresses.public, "/sub/fast");
    slow.position();
    other.position();
    let payload = |i: usize| format!("{i}\n{}", "x".repeat(50_000));
    let mut published = 0;
    // Until the kernel's buffers and the backlog are full.
    let is_closed = |server: &Server| {
        let metrics = Metrics::get(&mut server.http());
        metrics.sum_where("closes_total", "reason=\"slow_consumer\"") == 1
    };
    while !is_closed(&server) {
        publisher.publish("fast", payload(published));
        assert_eq!(other.message(), payload(published));
        published += 1;
        assert!(published < 2_000, "it is not closed");
    }
    let mut heard = 0;
    while let Some(event) = slow.next() {
        assert_eq!(event.data, payload(heard));
        heard += 1;
        assert_eq!(offset(&event), heard as u64);
    }
    assert!((1..published).contains(&heard), "{heard} of {published}");
    let said = slow.reader.comments.last().map_or("", |comment| comment);
    assert!(said.contains("too slow"), "{said:?}");
    assert_eq!(
        slow.reader.last_event_id.split(':').nth(1),
        Some(&*heard.to_string())
    );
    publisher.publish("fast", "on");
    assert_eq!(other.message(), "on");
}

#[test]
fn a_drain_sends_what_was_published_and_tells_each_another_time_to_come_again() {
    let mut server = Server::start(Options::with_config("[timeouts]\ndrain_ms = 100\n"));
    let mut streams: Vec<Stream> = (0..20)
        .map(|_| Stream::open(server.addresses.public, "/sub/last"))
        .collect();
    streams
        .iter_mut()
        .for_each(|stream| drop(stream.position()));
    for stream in &mut streams {
        assert!(stream.reader.retry_ms.take().is_some());
    }
    let mut publisher = server.http();
    for i in 0..50 {
        publisher.publish("last", format!("last {i}"));
    }
    server.signal("TERM");
    let mut times = HashSet::new();
    for stream in &mut streams {
        for i in 0..50 {
            assert_eq!(stream.message(), format!("last {i}"));
        }
        assert_eq!(stream.next(), None);
        times.insert(stream.reader.retry_ms.expect("a time to come again"));
        let said = stream.reader.comments.last().map_or("", |comment| comment);
        assert!(said.contains("shutting down"), "{said:?}");
    }
    assert!(times.len() > 10, "{times:?}");
    assert!(
        times.iter().all(|ms| (1_000..3_000).contains(ms)),
        "{times:?}"
    );
    assert_eq!(
        server.wait_for_exit(Duration::from_secs(10)).code(),
        Some(0)
    );
}

#[test]
fn what_a_client_says_behind_its_request_is_passed_over_up_to_a_bound() {
    let server = Server::start(Options::default());
    let mut publisher = server.http();
    let mut stream = Stream::open(server.addresses.public, "/sub/talk");
    stream.position();
    stream.socket.send(&[b'x'; 30_000]);
    publisher.publish("talk", "still there");
    assert_eq!(stream.message(), "still there");
    stream.socket.send(&[b'x'; 40_000]);
    assert_eq!(stream.next(), None);
    let said = stream.reader.comments.last().map_or("", |comment| comment);
    assert!(said.contains("one request"), "{said:?}");

    // Pipelined behind the request, a body perhaps.
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&[head(&request_lines("/sub/talk")), vec![b'x'; 500]].concat());
    assert!(!Stream::over(socket).position().is_empty());
}

#[test]
fn a_stream_that_is_left_leaves_nothing_behind() {
    let server = Server::start(Options::default());
    for _ in 0..3 {
        let mut streams: Vec<Stream> = (0..30)
            .map(|i| Stream::open(server.addresses.public, &format!("/sub/left/{i}")))
            .collect();
        streams
            .iter_mut()
            .for_each(|stream| drop(stream.position()));
        drop(streams);
        Metrics::wait(&mut server.http(), "everything gone", |metrics| {
            ["connections", "subscriptions", "lanes", "backlog_bytes"]
                .iter()
                .all(|family| metrics.sum(family) == 0)
        });
    }
}

/// `curl -N`, ended when it is dropped.
struct Curl {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Curl {
    fn start(server: &Server, path: &str, more: &[&str]) -> Self {
        let url = format!("http://{}{path}", server.addresses.public);
        let mut child = Command::new("curl")
            .args(["-sN", "-H", "Accept: text/event-stream"])
            .args(more)
            .arg(url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run curl: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that is neither empty nor about retrying.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.lines.read_line(&mut line).unwrap() > 0,
                "curl has ended"
            );
            if line != "\n" && !line.starts_with("retry: ") {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        // It fails when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn curl_shows_each_event_as_it_is_published() {
    let server = Server::start(Options::default());
    let mut curl = Curl::start(&server, "/sub/news", &[]);
    let position = curl.line();
    let epoch = position
        .strip_prefix("id: ")
        .and_then(|id| id.strip_suffix(":0"));
    let epoch = epoch.unwrap_or_else(|| panic!("{position:?}")).to_owned();
    let mut publisher = server.http();
    for i in 1..=3 {
        publisher.publish("news", format!("line {i}\nand more"));
        assert_eq!(curl.line(), format!("id: {epoch}:{i}"));
        assert_eq!(curl.line(), format!("data: line {i}"));
        assert_eq!(curl.line(), "data: and more");
    }
}
