//! The raw protocol over WebSocket: `/sub/…` and `/pub/…`.

use serde_json::json;

use super::{
    assert_counted, bad_tokens, guarded, guarded_on, may, short_lived, wait_for_expired,
    wait_for_subscriptions,
};
use crate::support::Message;
use crate::support::http::Answer;
use crate::support::server::{Options, Server};
use crate::support::token::{in_s, taken_for_ms, token};
use crate::support::wire::{Said, Socket, handshake_lines, head};

/// The answer to an opening handshake.
fn ask(server: &Server, path: &str, token: Option<&str>) -> Answer {
    let mut lines = handshake_lines(path);
    lines.extend(token.map(|token| format!("Authorization: Bearer {token}")));
    let mut socket = Socket::connect(server.addresses.public);
    socket.send(&head(&lines));
    socket.answer()
}

fn open(server: &Server, path: &str, token: &str) -> Socket {
    let header = format!("Authorization: Bearer {token}");
    Socket::open_with(server.addresses.public, path, &[&header]).0
}

/// One line of help.
fn help(answer: &Answer) -> String {
    let text = answer.text();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && line.len() > 10, "{answer:?}");
    line.to_owned()
}

const PATHS: [&str; 4] = [
    "/sub/news",
    "/sub?channel=news",
    "/sub?channel=open:a&channel=news",
    "/pub/news",
];

#[test]
fn without_a_token_a_channel_that_asks_for_one_is_answered_with_401_and_what_to_write() {
    let server = guarded();
    for path in PATHS {
        let answer = ask(&server, path, None);
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let help = help(&answer);
        assert!(help.contains("Authorization: Bearer") && help.contains("?token="));
    }
    assert_counted(&server, 4, 0);
}

#[test]
fn a_token_that_lets_nobody_in_is_answered_with_401_also_where_none_is_needed() {
    let server = guarded();
    let mut refused = 0;
    for (token, says) in bad_tokens() {
        for path in PATHS.into_iter().chain(["/sub/open:a", "/pub/open:a"]) {
            let answer = ask(&server, path, Some(&token));
            assert_eq!(answer.status, 401, "{path} {says}: {answer:?}");
            let challenge = "Bearer error=\"invalid_token\"";
            assert_eq!(answer.header("www-authenticate"), Some(challenge));
            assert!(help(&answer).contains(says), "{says}: {answer:?}");
            refused += 1;
        }
    }
    assert_counted(&server, refused, 0);
}

#[test]
fn a_token_that_does_not_allow_it_is_answered_with_403() {
    let server = guarded();
    let subscription = |claims| token(&claims);
    let of_news = subscription(json!({ "sub": "ann", "channel": "news" }));
    let of_other = subscription(json!({ "sub": "ann", "channel": "other" }));
    let of_client = subscription(json!({ "sub": "ann", "channel": "news", "client": "0-0-0" }));
    let all = may(&["*"], &["*"]);
    let cases = [
        ("/sub/news", may(&["other"], &["news"])),
        ("/sub/news", may(&["news:*", "new"], &[])),
        ("/sub?channel=news", may(&[], &[])),
        ("/sub?channel=news&channel=other", may(&["news"], &[])),
        ("/sub?channel=news&channel=other", of_news.clone()),
        ("/sub/news", of_other.clone()),
        ("/sub/open:a", of_other),
        ("/sub/news", of_client),
        ("/sub/closed:a", all.clone()),
        (
            "/sub/closed:a",
            subscription(json!({ "sub": "ann", "channel": "closed:a" })),
        ),
        ("/pub/news", may(&["news"], &["other"])),
        ("/pub/news", of_news),
        ("/pub/closed:a", all.clone()),
        ("/pub/read:a", all),
        ("/sub/prices.*", may(&["prices.usd"], &[])),
        ("/sub/prices.%3E", may(&["prices.usd"], &[])),
        ("/sub/%3E", may(&["prices.usd", "prices.*"], &[])),
        ("/sub/*", may(&["prices.*"], &[])),
    ];
    let refused = cases.len() as u64 + 2;
    for (path, token) in cases {
        let answer = ask(&server, path, Some(&token));
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), None);
        help(&answer);
    }
    for path in ["/sub/closed:a", "/pub/read:a"] {
        assert_eq!(ask(&server, path, None).status, 403, "{path}");
    }
    assert_counted(&server, refused, 0);
}

#[test]
fn a_token_in_the_header_or_in_the_query_lets_in_whom_it_is_for() {
    let server = guarded_on(1);
    let token = may(&["news", "more"], &["news"]);
    let escaped = token.replace('.', "%2E");
    let of_news = crate::support::token::token(&json!({ "sub": "", "channel": "news" }));
    let lines = |line: &str| vec![line.to_owned()];
    let bearer = format!("Authorization: Bearer {token}");
    let cases = [
        ("/sub/news".to_owned(), lines(&bearer)),
        (
            "/sub/news".to_owned(),
            lines(&bearer.replace("Bearer", "bearer")),
        ),
        (format!("/sub/news?token={token}"), vec![]),
        (format!("/sub/news?offset=0&token={escaped}"), vec![]),
        (
            format!("/sub?channel=news&token={token}&channel=more"),
            vec![],
        ),
        (format!("/sub/news?token={of_news}"), vec![]),
        (format!("/sub?channel=news&token={of_news}"), vec![]),
        // The header counts first, and one of another scheme is somebody else's.
        ("/sub/news?token=bad".to_owned(), lines(&bearer)),
        (
            format!("/sub/news?token={token}"),
            lines("Authorization: Basic Z3Vlc3Q6Z3Vlc3Q="),
        ),
    ];
    let mut sockets: Vec<Socket> = cases
        .iter()
        .map(|(path, lines)| {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            Socket::open_with(server.addresses.public, path, &lines).0
        })
        .collect();
    wait_for_subscriptions(&server, cases.len() as u64 + 1);
    open(&server, "/pub/news", &token).send_text("to all");
    for socket in &mut sockets {
        assert_eq!(socket.message(), Message::text("to all"));
    }
}

#[test]
fn without_a_token_there_is_what_is_for_anyone() {
    let server = guarded_on(1);
    let mut open = Socket::open(server.addresses.public, "/sub/open:a");
    let mut read = Socket::open(server.addresses.public, "/sub/read:a");
    wait_for_subscriptions(&server, 2);
    Socket::open(server.addresses.public, "/pub/open:a").send_text("from anyone");
    assert_eq!(open.message(), Message::text("from anyone"));
    server.http().publish("read:a", "from the backend");
    assert_eq!(read.message(), Message::text("from the backend"));
}

#[test]
fn a_pattern_is_granted_by_a_pattern() {
    let server = guarded_on(1);
    let mut all = open(&server, "/sub/prices.*", &may(&["prices.*"], &[]));
    let mut one = open(&server, "/sub/prices.usd", &may(&["prices.usd"], &[]));
    wait_for_subscriptions(&server, 2);
    let mut http = server.http();
    http.publish("prices.eur", "1.17");
    http.publish("prices.usd", "0.85");
    assert_eq!(all.message(), Message::text("1.17"));
    assert_eq!(all.message(), Message::text("0.85"));
    assert_eq!(one.message(), Message::text("0.85"));
}

#[test]
fn a_connection_ends_when_its_token_expires() {
    let server = guarded();
    let subscription =
        token(&json!({ "sub": "ann", "channel": "news", "exp": taken_for_ms(4_000) }));
    let mut ending = [
        ("/sub/news", short_lived(4_000)),
        ("/sub?channel=news", short_lived(4_000)),
        ("/sub?channel=news&channel=more", short_lived(4_000)),
        ("/sub/news", subscription),
        ("/pub/news", short_lived(4_000)),
    ]
    .map(|(path, token)| open(&server, path, &token));
    let lasting = token(&json!({ "sub": "ann", "exp": in_s(600), "subscribe": ["*"] }));
    let mut lasting = open(&server, "/sub/news", &lasting);
    for socket in &mut ending {
        let Said::Close { code, reason } = socket.next() else {
            panic!("a close frame is expected");
        };
        assert_eq!(code, Some(4401));
        assert_eq!(
            reason,
            "the token has expired: connect again with a new one"
        );
        assert_eq!(socket.next(), Said::End);
    }
    wait_for_expired(&server, 5);
    server.http().publish("news", "to who is left");
    assert_eq!(lasting.message(), Message::text("to who is left"));
    // And nobody comes in with it again.
    let expired = token(&json!({ "sub": "ann", "exp": taken_for_ms(0), "subscribe": ["*"] }));
    assert_eq!(ask(&server, "/sub/news", Some(&expired)).status, 401);
}

#[test]
fn where_no_tokens_are_taken_nobody_looks_at_them_and_namespaces_hold_all_the_same() {
    let config =
        "[[namespace]]\nchannels = \"closed:*\"\nsubscribe = \"nobody\"\npublish = \"nobody\"\n";
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config(config)
    });
    let mut socket = open(&server, "/sub/news?token=%zz", "bad");
    wait_for_subscriptions(&server, 1);
    open(&server, "/pub/news", "bad").send_text("heard");
    assert_eq!(socket.message(), Message::text("heard"));
    for path in ["/sub/closed:a", "/pub/closed:a"] {
        assert_eq!(ask(&server, path, Some("bad")).status, 403, "{path}");
    }
}

#[test]
fn the_backend_finds_a_connection_by_the_user_of_its_token() {
    let server = guarded_on(1);
    let mut of_ann = [
        open(&server, "/sub/news", &may(&["*"], &[])),
        open(&server, "/pub/news", &may(&[], &["*"])),
    ];
    let bob = token(&json!({ "sub": "bob", "subscribe": ["*"] }));
    let mut of_bob = open(&server, "/sub/news", &bob);
    wait_for_subscriptions(&server, 2);
    server.http().api("disconnect", r#"{"user":"ann"}"#);
    for socket in &mut of_ann {
        assert_eq!(socket.close_code(), 3503);
    }
    server.http().publish("news", "to bob");
    assert_eq!(of_bob.message(), Message::text("to bob"));
}
