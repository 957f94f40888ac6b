//! `subscribe`, `unsubscribe` and `disconnect` for the endpoints of a program that embeds the server: what they do where
//! the endpoint does nothing about them, and what it is called with where it does. The server runs in the test's own
//! process.

use std::net::SocketAddr;

use pushring::channel::Refused;
use pushring::endpoint::{Addressee, Order};
use pushring::publication::Begun;
use pushring::server::Server;
use pushring::ws::close::CloseCode;
use pushring::{Context, Endpoint, Message as Heard, Refusal, Request, Route};
use serde_json::json;

use super::{assert_is_error, result};
use crate::support::Message;
use crate::support::http::Http;
use crate::support::wire::{Said, Socket};

/// Knows whose its connections are, and nothing else. A message is the new name of its user.
struct Member;

impl Endpoint for Member {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let client = request.query().unwrap_or("nobody");
        context.identify(request.parameter("user").unwrap_or_default(), client);
        context.send_text("welcome");
        Ok(())
    }

    fn subscribed(
        &mut self,
        (): &mut (),
        _: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        assert!(result.is_ok(), "{result:?}");
        context.send_text("subscribed");
    }

    fn message(&mut self, (): &mut (), message: Heard<'_>, context: &mut Context<'_>) {
        let user = String::from_utf8_lossy(message.as_bytes()).into_owned();
        context.identify(&user, "renamed");
        context.send_text("as you say");
    }
}

/// Tells its client of orders and does nothing else about them.
struct Clerk;

impl Endpoint for Clerk {
    type State = ();

    fn open(&mut self, _: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        context.identify("clerk", "clerk");
        context.send_text("welcome");
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Heard<'_>, _: &mut Context<'_>) {}

    fn ordered(&mut self, (): &mut (), order: Order, context: &mut Context<'_>) {
        context.send_text(&match order {
            Order::Send(_) => "send".to_owned(),
            Order::Subscribe(subscription) => format!(
                "subscribe to {} since {:?}: {} {}",
                subscription.channel,
                subscription.since,
                String::from_utf8_lossy(&subscription.info),
                String::from_utf8_lossy(&subscription.data),
            ),
            Order::Unsubscribe(Some(channel)) => format!("unsubscribe from {channel}"),
            Order::Unsubscribe(None) => "unsubscribe".to_owned(),
            Order::Close { code, reason } => format!("close {}: {reason}", code.as_u16()),
        });
    }
}

fn start() -> (Server, Http) {
    let server = Server::builder()
        .listen(([127, 0, 0, 1], 0))
        .internal(([127, 0, 0, 1], 0))
        .shards(2)
        .route(Route::new("/member/{user}", || Member))
        .route(Route::new("/clerk", || Clerk))
        .start()
        .unwrap();
    let http = Http::connect(server.internal_address().unwrap());
    (server, http)
}

fn open(address: SocketAddr, path: &str) -> Socket {
    let mut socket = Socket::open(address, path);
    assert_eq!(socket.message(), Message::text("welcome"));
    socket
}

#[test]
fn an_endpoint_that_does_nothing_about_orders_obeys_them() {
    let (server, mut http) = start();
    let mut ann: Vec<_> = (0..6)
        .map(|index| open(server.public_address(), &format!("/member/ann?{index}")))
        .collect();
    let mut bob = open(server.public_address(), "/member/bob");
    for channel in ["news", "sport"] {
        let body = json!({ "user": "ann", "channel": channel }).to_string();
        assert_eq!(result(&mut http, "subscribe", &body), json!({}));
    }
    let body = r#"{"user":"bob","channel":"end"}"#;
    result(&mut http, "subscribe", body);
    for socket in &mut ann {
        assert_eq!(socket.message(), Message::text("subscribed"));
        assert_eq!(socket.message(), Message::text("subscribed"));
    }
    assert_eq!(bob.message(), Message::text("subscribed"));
    result(&mut http, "publish", r#"{"channel":"news","data":1}"#);
    result(&mut http, "publish", r#"{"channel":"end","data":2}"#);
    for socket in &mut ann {
        assert_eq!(socket.message(), Message::text("1"));
    }
    assert_eq!(bob.message(), Message::text("2"));

    // What is published behind the answer reaches nobody who was unsubscribed.
    result(
        &mut http,
        "unsubscribe",
        r#"{"user":"ann","channel":"news","client":"3"}"#,
    );
    result(&mut http, "publish", r#"{"channel":"news","data":3}"#);
    for socket in ann.iter_mut().take(3) {
        assert_eq!(socket.message(), Message::text("3"));
    }
    for socket in ann.iter_mut().skip(4) {
        assert_eq!(socket.message(), Message::text("3"));
    }
    result(&mut http, "unsubscribe", r#"{"user":"ann"}"#);
    result(&mut http, "publish", r#"{"channel":"sport","data":4}"#);
    result(&mut http, "disconnect", r#"{"user":"ann"}"#);
    for socket in &mut ann {
        let close = Said::Close {
            code: Some(3503),
            reason: "force disconnect".to_owned(),
        };
        assert_eq!(socket.next(), close);
    }
    result(
        &mut http,
        "disconnect",
        r#"{"user":"bob","disconnect":{"code":3001,"reason":"x"}}"#,
    );
    assert_eq!(bob.close_code(), 3001);
    server.shut_down();
}

#[test]
fn an_endpoint_may_do_something_else_about_orders() {
    let (server, mut http) = start();
    let mut clerk = open(server.public_address(), "/clerk");
    let body = r#"{"user":"clerk","channel":"a","info":{"a" : 1.10},"data":[],
                   "recover_since":{"offset":7,"epoch":"ff"}}"#;
    for (method, body, told) in [
        (
            "subscribe",
            body,
            "subscribe to a since Some(Position(Position { epoch: 255, offset: 7 })): {\"a\" : 1.10} []",
        ),
        (
            "subscribe",
            r#"{"user":"clerk","channel":"b","b64info":"MQ==","b64data":"e30="}"#,
            "subscribe to b since None: 1 {}",
        ),
        (
            "subscribe",
            r#"{"user":"clerk","channel":"b","info":null,"recover_since":{"offset":3}}"#,
            "subscribe to b since Some(Offset(3)):  ",
        ),
        (
            "unsubscribe",
            r#"{"user":"clerk","channel":"a"}"#,
            "unsubscribe from a",
        ),
        ("unsubscribe", r#"{"user":"clerk"}"#, "unsubscribe"),
        (
            "disconnect",
            r#"{"user":"clerk"}"#,
            "close 3503: force disconnect",
        ),
    ] {
        result(&mut http, method, body);
        assert_eq!(clerk.message(), Message::text(told));
    }
    server.shut_down();
}

#[test]
fn a_connection_is_the_last_users_it_said_until_it_goes() {
    let (server, mut http) = start();
    let mut socket = open(server.public_address(), "/member/ann");
    socket.send_text("eve");
    assert_eq!(socket.message(), Message::text("as you say"));
    result(&mut http, "disconnect", r#"{"user":"ann"}"#);
    result(
        &mut http,
        "disconnect",
        r#"{"user":"eve","client":"nobody"}"#,
    );
    socket.send_text("");
    assert_eq!(socket.message(), Message::text("as you say"));
    result(&mut http, "disconnect", r#"{"user":"eve"}"#);
    socket.send_text("eve");
    assert_eq!(socket.message(), Message::text("as you say"));
    result(
        &mut http,
        "disconnect",
        r#"{"user":"eve","client":"renamed"}"#,
    );
    assert_eq!(socket.close_code(), 3503);
    server.shut_down();
}

#[test]
fn the_handle_orders_and_says_how_many_connections_it_was() {
    let (server, _http) = start();
    let mut sockets: Vec<_> = (0..4)
        .map(|_| open(server.public_address(), "/member/ann"))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let order = |user: &str, order| {
        let handle = server.handle().clone();
        let addressee = Addressee::user(user);
        runtime.block_on(async move { handle.order_user(addressee, order).await })
    };
    assert_eq!(order("ann", Order::Send("hello".into())), Ok(4));
    assert_eq!(order("bob", Order::Send("hello".into())), Ok(0));
    for socket in &mut sockets {
        assert_eq!(socket.message(), Message::text("hello"));
    }
    let (code, reason) = (CloseCode::NORMAL, "enough".to_owned());
    assert_eq!(order("ann", Order::Close { code, reason }), Ok(4));
    for socket in &mut sockets {
        assert_eq!(socket.close_code(), 1000);
    }
    server.shut_down();
}

#[test]
fn a_server_that_has_ended_answers_no_more_calls() {
    let (server, mut http) = start();
    // The connection holds the listener open while the shards end.
    let _socket = open(server.public_address(), "/member/ann");
    server.handle().drain_blocking(1);
    let until = std::time::Instant::now() + crate::support::DEADLINE;
    loop {
        assert!(std::time::Instant::now() < until, "it still answers");
        match http.try_request("POST", "/api/info", &[], b"{}") {
            Ok(answer) if answer.json()["result"].is_object() => {}
            Ok(answer) => assert_is_error(&answer.json(), 108, "shutting down"),
            Err(_) => break,
        }
    }
    server.wait();
}
