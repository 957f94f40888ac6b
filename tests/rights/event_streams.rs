//! Event streams: what they are asked, and how they end.

use serde_json::json;

use super::{assert_counted, bad_tokens, guarded, may, short_lived, wait_for_expired};
use crate::support::http::Answer;
use crate::support::server::Server;
use crate::support::sse::{Stream, request_lines};
use crate::support::token::token;
use crate::support::wire::{Socket, head};

fn ask(server: &Server, path: &str, lines: &[String]) -> Answer {
    let mut all = request_lines(path);
    all.extend_from_slice(lines);
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&head(&all));
    socket.answer()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn a_stream_begins_only_for_who_may_subscribe() {
    let server = guarded();
    let mut refused = 0;
    let mut cases = vec![
        (None, 401, "Authorization: Bearer"),
        (Some(may(&["other"], &["news"])), 403, "does not allow"),
        (
            Some(token(&json!({ "sub": "ann", "channel": "other" }))),
            403,
            "another channel",
        ),
    ];
    let bad = bad_tokens().into_iter();
    cases.extend(bad.map(|(token, says)| (Some(token), 401, says)));
    for (token, status, says) in &cases {
        for path in ["/sub/news", "/sub?channel=news&channel=open:a"] {
            let answer = ask(&server, path, &Vec::from_iter(token.as_deref().map(bearer)));
            assert_eq!(answer.status, *status, "{path} {says}: {answer:?}");
            assert!(answer.text().contains(says), "{says}: {answer:?}");
            assert_ne!(answer.header("content-type"), Some("text/event-stream"));
            refused += 1;
        }
    }
    let token = may(&["prices.usd"], &[]);
    for path in ["/sub/prices.*", "/sub/prices.%3E", "/sub/closed:a"] {
        assert_eq!(ask(&server, path, &[bearer(&token)]).status, 403, "{path}");
        refused += 1;
    }
    assert_counted(&server, refused, 0);
}

#[test]
fn a_token_in_the_header_or_in_the_query_begins_it() {
    let server = guarded();
    let address = server.addresses.public;
    let all = may(&["news"], &[]);
    let one = token(&json!({ "sub": "ann", "channel": "news" }));
    let mut streams = [
        Stream::open_with(address, "/sub/news", &[&bearer(&all)]),
        Stream::open(address, &format!("/sub/news?token={all}")),
        Stream::open(address, &format!("/sub?token={one}&channel=news")),
        Stream::open(
            address,
            &format!("/sub?channel=open:a&channel=news&token={all}"),
        ),
        Stream::open(address, "/sub/read:news"),
    ];
    for stream in &mut streams {
        stream.position();
    }
    for channel in ["news", "read:news"] {
        server.http().publish(channel, "heard");
    }
    for stream in &mut streams {
        assert_eq!(stream.message(), "heard");
    }
}

#[test]
fn a_stream_whose_token_expires_ends_with_an_event_that_says_so() {
    let server = guarded();
    let token = short_lived(4_000);
    let mut streams = ["/sub/news", "/sub?channel=news&channel=more"].map(|path| {
        let mut stream = Stream::open_with(server.addresses.public, path, &[&bearer(&token)]);
        stream.position();
        stream
    });
    server.http().publish("news", "in time");
    let mut last_event_id = String::new();
    for stream in &mut streams {
        assert_eq!(stream.message(), "in time");
        let event = stream.next().expect("an event");
        assert_eq!(event.kind, "expired");
        assert_eq!(
            event.data,
            "the token has expired: connect again with a new one"
        );
        assert_eq!(stream.next(), None);
        assert!(stream.reader.retry_ms.is_some());
        if last_event_id.is_empty() {
            last_event_id = event.last_event_id;
        }
    }
    wait_for_expired(&server, 2);
    // A browser by itself comes back with the same token, and stops at the refusal; a page brings another, and goes on
    // from where it was.
    let answer = ask(&server, "/sub/news", &[bearer(&token)]);
    assert_eq!(answer.status, 401, "{answer:?}");
    let header = bearer(&may(&["news"], &[]));
    let lines = [&*header, &format!("Last-Event-ID: {last_event_id}")];
    let mut again = Stream::open_with(server.addresses.public, "/sub/news", &lines);
    again.position();
    server.http().publish("news", "and on");
    assert_eq!(again.message(), "and on");
}

#[test]
fn a_page_that_may_read_the_stream_may_read_why_it_gets_none() {
    let server = guarded();
    let origin = "Origin: https://app.example".to_owned();
    for (token, status) in [(None, 401), (Some(may(&[], &[])), 403)] {
        let mut lines = vec![origin.clone()];
        lines.extend(token.as_deref().map(bearer));
        let answer = ask(&server, "/sub/news", &lines);
        assert_eq!(answer.status, status, "{answer:?}");
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("*"), "{answer:?}");
    }
}
