//! STOMP: where the token of a session stands, and what becomes of one that lets nobody in.

use serde_json::json;

use super::stomp::assert_error;
use super::{assert_counted, bad_tokens, guarded, may};
use crate::support::server::{Options, Server};
use crate::support::stomp::{Frame, Stomp, connect_frame};
use crate::support::token::token;
use crate::support::wire::Socket;

/// A WebSocket at that path, with that header line, on which nothing has been said.
fn open(server: &Server, path: &str, line: Option<&str>) -> Stomp {
    let lines = Vec::from_iter(line);
    Stomp::over(Socket::open_with(server.addresses.public, path, &lines).0)
}

/// What the server answers a CONNECT with those lines.
fn connect(mut stomp: Stomp, lines: &str) -> (Stomp, Frame) {
    stomp.send(&connect_frame("1.2", lines));
    let frame = stomp.frame();
    (stomp, frame)
}

#[test]
fn a_token_comes_in_a_header_of_connect_as_passcode_or_with_the_handshake() {
    let server = guarded();
    let token = may(&["news"], &[]);
    let bearer = format!("Authorization: Bearer {token}");
    let query = format!("/ws?token={token}");
    for (stomp, lines) in [
        (
            open(&server, "/stomp", None),
            format!("Authorization:Bearer {token}\n"),
        ),
        (open(&server, "/stomp", None), format!("token:{token}\n")),
        (open(&server, "/stomp", None), format!("passcode:{token}\n")),
        (
            open(&server, "/stomp", None),
            format!("login:\npasscode:{token}\n"),
        ),
        (
            open(&server, "/stomp", None),
            format!("login:ann\npasscode:{token}\n"),
        ),
        (open(&server, &query, None), String::new()),
        (open(&server, "/stomp", Some(&bearer)), String::new()),
        (
            open(&server, "/stomp", Some(&bearer)),
            "login:ann\n".to_owned(),
        ),
        // What CONNECT says counts.
        (
            open(&server, "/stomp?token=bad", None),
            format!("token:{token}\n"),
        ),
        (
            open(&server, "/stomp", None),
            format!("Authorization:Bearer {token}\ntoken:bad\npasscode:bad\n"),
        ),
        // Another scheme is none of the server's business.
        (
            open(&server, "/stomp", None),
            format!("Authorization:Basic Z3Vlc3Q=\ntoken:{token}\npasscode:\n"),
        ),
    ] {
        let (mut stomp, connected) = connect(stomp, &lines);
        assert_eq!(connected.command, "CONNECTED", "{lines}: {connected:?}");
        assert_eq!(connected.header("user-name"), Some("ann"), "{lines}");
        stomp.subscribe("0", "/topic/news", "");
    }
}

#[test]
fn a_token_that_lets_nobody_in_is_an_error_that_says_what_is_wrong_with_it() {
    let server = guarded();
    let mut closed = 0;
    for (token, says) in bad_tokens() {
        let code = match says {
            "has expired" => 4401,
            _ => 1008,
        };
        for (path, lines) in [
            (
                "/stomp".to_owned(),
                format!("Authorization:Bearer {token}\n"),
            ),
            ("/stomp".to_owned(), format!("token:{token}\n")),
            (
                "/stomp".to_owned(),
                format!("login:ann\npasscode:{token}\n"),
            ),
            (format!("/stomp?token={token}"), String::new()),
        ] {
            let mut stomp = open(&server, &path, None);
            stomp.send(&connect_frame("1.2", &format!("{lines}receipt:r\n")));
            assert_error(&mut stomp, &["CONNECT", says], Some("r"), code);
            closed += 1;
        }
    }
    assert_counted(&server, 0, closed);
}

#[test]
fn a_subscription_token_does_not_connect() {
    let server = guarded();
    let token = token(&json!({ "sub": "ann", "channel": "news" }));
    let mut stomp = open(&server, "/stomp", None);
    stomp.send(&connect_frame("1.2", &format!("token:{token}\n")));
    assert_error(&mut stomp, &["for a subscription"], None, 1008);
}

#[test]
fn a_login_that_is_not_the_tokens_user_is_an_error() {
    let server = guarded();
    let token = may(&["*"], &["*"]);
    for header in ["passcode", "token"] {
        let mut stomp = open(&server, "/stomp", None);
        let lines = format!("login:bob\n{header}:{token}\n");
        stomp.send(&connect_frame("1.2", &lines));
        assert_error(&mut stomp, &["login"], None, 1008);
    }
    assert_counted(&server, 0, 2);
}

#[test]
fn where_no_tokens_are_taken_logins_and_passcodes_are_what_they_were() {
    let server = Server::start(Options::default());
    let stomp = open(
        &server,
        "/stomp?token=%zz",
        Some("Authorization: Bearer bad"),
    );
    let lines = "login:ann\npasscode:secret\ntoken:bad\nAuthorization:Bearer bad\n";
    let (mut stomp, connected) = connect(stomp, lines);
    assert_eq!(connected.header("user-name"), Some("ann"), "{connected:?}");
    stomp.subscribe("0", "/user/news", "token:bad\n");
    stomp.publish_among("/user/ann/news", "hello");
    assert_eq!(stomp.message().text(), "hello");
}
