//! A program that embeds the server: routes, callbacks, what may be done in them, and the handle. The server runs in the
//! test's own process; clients are plain sockets, so that every byte and every end is the test's choice.

#![forbid(unsafe_code)]

mod support;

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use pushring::channel::{ChannelName, Refused};
use pushring::config::Config;
use pushring::endpoint::{Closed, Side};
use pushring::endpoint::{
    ConnectionName, Context, Endpoint, Error, Message as Heard, Publisher, Request, Route,
};
use pushring::publication::Position;
use pushring::server::{Builder, Handle, Server, StartError};
use pushring::ws::close::CloseCode;
use pushring::ws::handshake::Refusal;

use support::wire::{self, FIN, Said, Socket, TEXT, close_payload, frame};
use support::{DEADLINE, Message};

/// What an endpoint was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Open(ConnectionName),
    Message(String),
    Error(String),
    Close(u16, String, Side),
}

/// Does as its client says, and tells the test what it is called with.
struct Obedient {
    calls: Sender<Call>,
    handle: Handle,
}

impl Endpoint for Obedient {
    type State = ConnectionName;

    fn open(
        &mut self,
        _: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<ConnectionName, Refusal> {
        self.tell(Call::Open(context.name()));
        Ok(context.name())
    }

    fn message(
        &mut self,
        name: &mut ConnectionName,
        message: Heard<'_>,
        context: &mut Context<'_>,
    ) {
        assert_eq!(*name, context.name());
        let Heard::Text(text) = message else {
            return context.send(message);
        };
        self.tell(Call::Message(text.to_owned()));
        let mut words = text.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("say"), Some(word), None) => context.send_text(word),
            (Some("subscribe"), Some(name), None) => {
                context.subscribe(channel(name));
            }
            (Some("unsubscribe"), Some(name), None) => context.unsubscribe(channel(name)),
            (Some("publish"), Some(name), Some(what)) => context.publish(&channel(name), what),
            (Some("confirm"), Some(name), Some(what)) => {
                let ticket = context.publish_confirmed(&channel(name), what);
                context.send_text(&format!("ticket {ticket}"));
            }
            (Some("hand"), Some(name), Some(what)) => self
                .handle
                .try_publish(&channel(name), what)
                .expect("there is room for a letter"),
            (Some("close"), Some(code), None) => {
                assert_eq!(code, "1000");
                context.close(CloseCode::NORMAL, "as you said");
                context.send_text("nobody hears this");
            }
            _ => context.send_text("what?"),
        }
    }

    fn published(
        &mut self,
        _: &mut ConnectionName,
        ticket: u32,
        result: Result<Position, Refused>,
        context: &mut Context<'_>,
    ) {
        let offset = result.expect("there is room for a channel").offset;
        context.send_text(&format!("{ticket} has offset {offset}"));
    }

    fn close(&mut self, name: ConnectionName, closed: &Closed<'_>, publisher: &mut Publisher<'_>) {
        assert_eq!(name, publisher.name());
        publisher.publish(&channel("leaving"), format!("{}", closed.code));
        let reason = closed.reason.clone().into_owned();
        self.tell(Call::Close(closed.code, reason, closed.by));
    }

    fn error(&mut self, name: &mut ConnectionName, error: &Error, publisher: &mut Publisher<'_>) {
        assert_eq!(*name, publisher.name());
        self.tell(Call::Error(error.to_string()));
    }
}

impl Obedient {
    fn tell(&self, call: Call) {
        // A test that has seen enough is gone.
        let _ = self.calls.send(call);
    }
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a name without control characters")
}

fn builder() -> Builder {
    Server::builder().listen(support::server::free_address())
}

/// A server with an obedient endpoint at `/obey` beside the raw protocol's.
fn obedient(mut config: Config) -> (Server, Receiver<Call>) {
    config.timeouts.drain_ms = 50;
    let (calls, told) = mpsc::channel();
    let builder = Server::builder()
        .config(config)
        .listen(support::server::free_address())
        .raw_protocol();
    let handle = builder.handle();
    let route = Route::new("/obey", move || Obedient {
        calls: calls.clone(),
        handle: handle.clone(),
    });
    (builder.route(route).start().expect("a free address"), told)
}

fn open(server: &Server, told: &Receiver<Call>) -> (Socket, ConnectionName) {
    let socket = Socket::open(server.public_address(), "/obey");
    loop {
        match next(told) {
            Call::Open(name) => return (socket, name),
            // Of what the test has had others say before.
            Call::Message(_) => {}
            other => panic!("open is expected, not {other:?}"),
        }
    }
}

fn next(told: &Receiver<Call>) -> Call {
    told.recv_timeout(DEADLINE).expect("a call in time")
}

/// Says something to a connection that is not subscribed yet until it gets it.
fn publish_until_heard(socket: &mut Socket, mut publish: impl FnMut(&str)) {
    let timeout = socket.stream().read_timeout().unwrap();
    let mut said = 0;
    loop {
        publish(&format!("{said}"));
        said += 1;
        let short = std::time::Duration::from_millis(20);
        socket.stream().set_read_timeout(Some(short)).unwrap();
        let mut peeked = [0];
        let arrived = socket.stream().peek(&mut peeked).is_ok();
        socket.stream().set_read_timeout(timeout).unwrap();
        if arrived {
            break;
        }
        assert!(said < 1_000, "nothing is heard");
    }
    let Message::Text(first) = socket.message() else {
        panic!("a text is expected");
    };
    let first: i32 = first.parse().expect("a number");
    for number in first + 1..said {
        assert_eq!(socket.message(), Message::text(&number.to_string()));
    }
}

#[test]
fn p2_the_four_callbacks_are_called_in_their_order() {
    let (server, told) = obedient(Config::default());
    let (mut socket, _) = open(&server, &told);
    socket.send_text("say hello");
    assert_eq!(socket.message(), Message::text("hello"));
    assert_eq!(next(&told), Call::Message("say hello".to_owned()));
    socket.send(&frame(FIN | wire::CLOSE, &close_payload(4321, "enough")));
    let close = Call::Close(4321, "enough".to_owned(), Side::Client);
    assert_eq!(next(&told), close);
    server.shut_down();
    assert_eq!(told.try_recv().ok(), None, "close is called once");
}

/// Every way in which a connection may end, and what the endpoint hears of it.
#[test]
fn close_is_called_exactly_once_however_a_connection_ends() {
    let mut config = Config::default();
    config.limits.messages_per_second_max = 3;
    config.limits.message_bytes_max = 1_024;
    let (server, told) = obedient(config);

    let (mut socket, _) = open(&server, &told);
    socket.send(&frame(FIN | wire::CLOSE, b""));
    let close = Call::Close(Closed::NO_CODE, String::new(), Side::Client);
    assert_eq!(next(&told), close);

    let (socket, _) = open(&server, &told);
    drop(socket);
    assert_eq!(
        next(&told),
        Call::Error("the connection was lost".to_owned())
    );
    let close = Call::Close(Closed::LOST, String::new(), Side::Client);
    assert_eq!(next(&told), close);

    let (mut socket, _) = open(&server, &told);
    socket.send(b"\x81\x05hello");
    let Call::Error(error) = next(&told) else {
        panic!("an error is expected");
    };
    assert_eq!(next(&told), Call::Close(1002, error, Side::Server));
    assert_eq!(socket.close_code(), 1002);

    let (mut socket, _) = open(&server, &told);
    socket.send_text("close 1000");
    assert_eq!(next(&told), Call::Message("close 1000".to_owned()));
    let close = Call::Close(1000, "as you said".to_owned(), Side::Server);
    assert_eq!(next(&told), close);
    assert_eq!(socket.close_code(), 1000);

    let (mut socket, _) = open(&server, &told);
    for _ in 0..4 {
        socket.send(&frame(FIN | TEXT, b"say x"));
    }
    let mut calls: Vec<Call> = Vec::new();
    while !matches!(calls.last(), Some(Call::Close(..))) {
        calls.push(next(&told));
    }
    assert!(
        matches!(&*calls, [.., Call::Error(error), Call::Close(1008, reason, Side::Server)] if error == reason),
        "{calls:?}"
    );

    let (socket, _) = open(&server, &told);
    server.shut_down();
    assert!(matches!(next(&told), Call::Close(1001, _, Side::Server)));
    assert_eq!(told.try_recv().ok(), None);
    drop(socket);
}

#[test]
fn what_close_publishes_reaches_the_others_and_not_who_left() {
    let (server, told) = obedient(Config::default());
    let (mut stays, _) = open(&server, &told);
    stays.send_text("subscribe leaving");
    stays.send_text("publish leaving subscribed");
    assert_eq!(stays.message(), Message::text("subscribed"));
    let (mut leaves, _) = open(&server, &told);
    leaves.send_text("subscribe leaving");
    leaves.send_text("publish leaving subscribed");
    for socket in [&mut leaves, &mut stays] {
        assert_eq!(socket.message(), Message::text("subscribed"));
    }
    leaves.send(&frame(FIN | wire::CLOSE, &close_payload(4000, "")));
    assert_eq!(stays.message(), Message::text("4000"));
    assert_eq!(leaves.close_code(), 4000);
    server.shut_down();
}

#[test]
fn a_subscription_begins_and_ends_from_a_callback_and_is_never_there_twice() {
    let (server, told) = obedient(Config::default());
    let (mut socket, _) = open(&server, &told);
    for command in [
        "subscribe a",
        "subscribe a",
        "subscribe b",
        "publish a 1",
        "publish b 2",
        "publish a 3",
    ] {
        socket.send_text(command);
    }
    let mut heard: Vec<Message> = (0..3).map(|_| socket.message()).collect();
    // Of two channels nothing is promised but the order of each.
    heard.sort_by_key(|message| format!("{message:?}"));
    assert_eq!(heard, ["1", "2", "3"].map(Message::text));
    for command in [
        "unsubscribe a",
        "unsubscribe never",
        "publish a 4",
        "publish b 5",
    ] {
        socket.send_text(command);
    }
    assert_eq!(socket.message(), Message::text("5"));
    for command in ["subscribe a", "publish a 6"] {
        socket.send_text(command);
    }
    assert_eq!(socket.message(), Message::text("6"));
    server.shut_down();
}

#[test]
fn a_publication_is_confirmed_with_its_place_whichever_shard_owns_its_channel() {
    let (server, told) = obedient(Config {
        shards: 3,
        ..Config::default()
    });
    let (mut socket, _) = open(&server, &told);
    for round in 1..=3 {
        for channel in 0..8 {
            socket.send_text(&format!("confirm c{channel} x"));
            let Message::Text(ticket) = socket.message() else {
                panic!("a ticket is expected");
            };
            let number = ticket.strip_prefix("ticket ").expect("a ticket");
            let confirmation = format!("{number} has offset {round}");
            assert_eq!(socket.message(), Message::text(&confirmation));
        }
    }
    server.shut_down();
}

#[test]
fn a_callback_hands_publications_to_the_handle_without_waiting() {
    let (server, told) = obedient(Config::default());
    let (mut socket, _) = open(&server, &told);
    socket.send_text("subscribe a");
    publish_until_heard(&mut socket, |text| {
        server.handle().try_publish(&channel("a"), text).unwrap();
    });
    socket.send_text("hand a over");
    assert_eq!(socket.message(), Message::text("over"));
    server.shut_down();
}

#[test]
fn the_handle_reaches_every_connection_on_every_shard_from_any_thread() {
    let (server, told) = obedient(Config {
        shards: 3,
        ..Config::default()
    });
    let mut sockets: Vec<(Socket, ConnectionName)> =
        (0..24).map(|_| open(&server, &told)).collect();
    let shards: HashSet<u32> = sockets.iter().map(|(_, name)| name.shard).collect();
    assert!(shards.len() > 1, "24 connections are spread over shards");
    let names: HashSet<String> = sockets.iter().map(|(_, name)| name.to_string()).collect();
    assert_eq!(names.len(), 24, "no two have the same name");

    let handle = server.handle().clone();
    let all: Vec<ConnectionName> = sockets.iter().map(|(_, name)| *name).collect();
    let elsewhere = thread::spawn(move || {
        for name in all {
            handle.send(name, format!("you are {name}")).unwrap();
            handle.send(name, vec![0xff]).unwrap();
        }
    });
    for (socket, name) in &mut sockets {
        assert_eq!(socket.message(), Message::text(&format!("you are {name}")));
        assert_eq!(socket.message(), Message::Binary(vec![0xff]));
    }
    elsewhere.join().unwrap();

    let handle = server.handle();
    let (socket, name) = &mut sockets[0];
    handle.subscribe(*name, channel("news")).unwrap();
    publish_until_heard(socket, |text| {
        handle.publish_blocking(&channel("news"), text).unwrap();
    });
    handle.unsubscribe(*name, channel("news")).unwrap();
    handle.send(*name, "unsubscribed").unwrap();
    assert_eq!(socket.message(), Message::text("unsubscribed"));
    handle
        .publish_blocking(&channel("news"), "unheard")
        .unwrap();
    handle.close(*name, CloseCode::POLICY, "go").unwrap();
    assert_eq!(socket.close_code(), 1008);
    assert_eq!(
        next(&told),
        Call::Close(1008, "go".to_owned(), Side::Server)
    );

    // A name that has outlived its connection names nobody, also when the place is taken again.
    let (mut socket, _) = open(&server, &told);
    handle.send(sockets[0].1, "to nobody").unwrap();
    let mut nowhere = sockets[0].1;
    nowhere.shard = 99;
    handle.send(nowhere, "to nobody").unwrap();
    socket.send_text("say still");
    assert_eq!(socket.message(), Message::text("still"));
    server.shut_down();
}

#[test]
fn a_handle_that_has_outlived_its_server_says_so() {
    let (server, _told) = obedient(Config::default());
    let handle = server.handle().clone();
    server.shut_down();
    assert!(handle.is_draining());
    let news = channel("news");
    for error in [
        handle.publish_blocking(&news, "x").unwrap_err().to_string(),
        handle.try_publish(&news, "x").unwrap_err().to_string(),
    ] {
        assert_eq!(error, "the server is shutting down");
    }
}

/// Counts its connections without any lock.
struct Counting(Rc<Cell<u32>>);

impl Endpoint for Counting {
    type State = Rc<Cell<u32>>;

    fn open(
        &mut self,
        _: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Rc<Cell<u32>>, Refusal> {
        self.0.set(self.0.get() + 1);
        context.send_text(&format!("{} {}", context.name().shard, self.0.get()));
        Ok(self.0.clone())
    }

    fn message(&mut self, _: &mut Rc<Cell<u32>>, _: Heard<'_>, _: &mut Context<'_>) {}
}

#[test]
fn every_shard_has_one_instance_whose_state_is_its_own() {
    let server = builder()
        .shards(2)
        .route(Route::new("/count", || Counting(Rc::default())))
        .start()
        .unwrap();
    let mut counts = [0, 0];
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::open(server.public_address(), "/count");
        let Message::Text(text) = socket.message() else {
            panic!("a text is expected");
        };
        let (shard, count) = text.split_once(' ').expect("two numbers");
        let shard: usize = shard.parse().unwrap();
        counts[shard] += 1;
        assert_eq!(count, counts[shard].to_string());
        sockets.push(socket);
    }
    server.shut_down();
}

/// Greets as the interceptor said.
struct Greeter;

#[derive(Clone)]
struct Greeting(String);

impl Endpoint for Greeter {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let user = request.parameter("user_name").unwrap_or_default();
        if user == "nobody" {
            context.subscribe(channel("for nobody"));
            context.send_text("never sent");
            return Err(Refusal::new(403, "nobody is not welcome").with_header("X-Why", "name"));
        }
        let Greeting(greeting) = request
            .attributes()
            .get()
            .expect("the interceptor attaches it");
        let protocol = request.subprotocol().unwrap_or("no protocol");
        context.send_text(&format!("{greeting} {user}, {protocol}"));
        Ok(())
    }

    fn message(&mut self, (): &mut (), message: Heard<'_>, context: &mut Context<'_>) {
        if let Heard::Text(text) = message {
            context.send_text(&format!("server says: {text}"));
        }
    }
}

fn greeting_server() -> Server {
    let route = Route::new("/ws/{user_name}", || Greeter)
        .origins(["https://*.example.com"])
        .missing_origin(true)
        .subprotocols(["v2.greet", "v1.greet"])
        .intercept(|request, attributes| {
            assert!(request.peer().is_loopback());
            assert!(request.path().starts_with("/ws/"));
            if request.query() == Some("ban") {
                return Err(Refusal::new(401, "log in first"));
            }
            let greeting = request.header("x-greeting").unwrap_or(b"hello");
            attributes.insert(Greeting(String::from_utf8_lossy(greeting).into_owned()));
            Ok(())
        });
    builder()
        .route(route)
        .page("/", "text/html; charset=utf-8", "<p>hi")
        .start()
        .unwrap()
}

fn answer_to(server: &Server, lines: &[String]) -> support::http::Answer {
    let mut socket = Socket::connect(server.public_address());
    socket.send(&wire::head(lines));
    let answer = socket.answer();
    if answer.status != 101 {
        assert!(socket.is_ended(), "{}", answer.status);
    }
    answer
}

#[test]
fn p3_origins_interceptor_and_echo_as_the_route_says() {
    let server = greeting_server();
    let mut lines = wire::handshake_lines("/ws/zhang%20san");
    lines.push("X-Greeting: welcome".to_owned());
    lines.push("Sec-WebSocket-Protocol: v3.greet, v1.greet, v2.greet".to_owned());
    lines.push("Origin: https://a.example.com".to_owned());
    let mut socket = Socket::connect(server.public_address());
    socket.send(&wire::head(&lines));
    let answer = socket.answer();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-protocol"), Some("v1.greet"));
    assert_eq!(
        socket.message(),
        Message::text("welcome zhang san, v1.greet")
    );
    socket.send_text("hi");
    assert_eq!(socket.message(), Message::text("server says: hi"));

    lines.pop();
    lines.push("Origin: https://a.example.org".to_owned());
    assert_eq!(answer_to(&server, &lines).status, 403);
    server.shut_down();
}

#[test]
fn h8_the_endpoint_receives_the_path_parameter_percent_decoded() {
    let server = greeting_server();
    let mut socket = Socket::open(server.public_address(), "/ws/%E5%BC%A0%E4%B8%89%2F");
    assert_eq!(socket.message(), Message::text("hello 张三/, no protocol"));
    assert_eq!(
        answer_to(&server, &wire::handshake_lines("/ws/%ff")).status,
        400
    );
    server.shut_down();
}

#[test]
fn h9_an_interceptor_refuses_with_a_status_and_a_body() {
    let server = greeting_server();
    let answer = answer_to(&server, &wire::handshake_lines("/ws/a?ban"));
    assert_eq!(
        (answer.status, answer.text()),
        (401, "log in first\n".to_owned())
    );
    server.shut_down();
}

#[test]
fn an_endpoint_that_refuses_to_open_leaves_nothing_behind() {
    let server = greeting_server();
    let answer = answer_to(&server, &wire::handshake_lines("/ws/nobody"));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("x-why"), Some("name"));
    assert_eq!(answer.text(), "nobody is not welcome\n");
    server.shut_down();
}

#[test]
fn a_page_is_served_beside_the_endpoints() {
    let server = greeting_server();
    let answer = answer_to(
        &server,
        &["GET / HTTP/1.1".to_owned(), "Host: a".to_owned()],
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.text(), "<p>hi");
    let answer = answer_to(
        &server,
        &["GET /ws/a HTTP/1.1".to_owned(), "Host: a".to_owned()],
    );
    assert_eq!(answer.status, 426);
    let answer = answer_to(&server, &wire::handshake_lines("/other"));
    assert_eq!(answer.status, 404);
    server.shut_down();
}

#[test]
fn a_page_larger_than_a_socket_buffer_arrives_whole() {
    let body: String = (0..1_000_000).map(|i| format!("{i:07}\n")).collect();
    let server = builder()
        .page("/big", "text/plain", body.clone())
        .start()
        .unwrap();
    let answer = answer_to(
        &server,
        &["GET /big HTTP/1.1".to_owned(), "Host: a".to_owned()],
    );
    assert!(answer.text() == body, "{} bytes", answer.text().len());
    server.shut_down();
}

#[test]
fn a_server_that_cannot_be_says_why_in_one_line() {
    for (builder, part) in [
        (
            builder().route(Route::new("/a/{x", || Greeter)),
            "\"/a/{x\"",
        ),
        (
            builder().route(Route::new("/a", || Greeter).origins(["x"])),
            "\"x\" is no origin pattern",
        ),
        (builder().shards(1_000), "shards"),
        (builder().listen(([0, 0, 0, 0], 1)), "insecure"),
    ] {
        let error: StartError = builder.start().expect_err("it cannot start");
        let line = error.to_string();
        assert!(line.contains(part) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn messages_behind_a_close_by_the_endpoint_are_not_heard() {
    let (server, told) = obedient(Config::default());
    let (mut socket, _) = open(&server, &told);
    let mut bytes = frame(FIN | TEXT, b"close 1000");
    bytes.extend(frame(FIN | TEXT, b"say more"));
    socket.send(&bytes);
    assert_eq!(next(&told), Call::Message("close 1000".to_owned()));
    assert!(matches!(next(&told), Call::Close(1000, ..)));
    match socket.next() {
        Said::Close { code, reason } => {
            assert_eq!((code, &*reason), (Some(1000), "as you said"));
        }
        other => panic!("a close frame is expected, not {other:?}"),
    }
    server.shut_down();
    assert_eq!(told.try_recv().ok(), None);
}
