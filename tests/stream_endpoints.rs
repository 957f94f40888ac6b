//! A program that embeds the server with event streams at a route of its own: the same endpoint, the same callbacks, the same
//! handle as for WebSockets.

#![forbid(unsafe_code)]

mod support;

use std::sync::mpsc::{self, Receiver, Sender};

use pushring::channel::{ChannelName, Refused};
use pushring::config::Config;
use pushring::endpoint::{
    Closed, ConnectionName, Context, Endpoint, Error, Message, Publisher, Request, Route, Side,
};
use pushring::publication::{Begun, Position, Recovery, Since};
use pushring::server::Server;
use pushring::ws::close::CloseCode;
use pushring::ws::handshake::Refusal;

use support::DEADLINE;
use support::sse::{Stream, request_lines};
use support::wire::{Said, Socket, head};

/// What the endpoint was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Open(ConnectionName, bool),
    Begun(bool),
    Message(String),
    Error(String),
    Close(u16, Side),
}

/// Greets, and subscribes to a room.
struct Room {
    calls: Sender<Call>,
}

impl Endpoint for Room {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        assert_eq!(request.is_event_stream(), context.is_event_stream());
        let room = ChannelName::parse(request.parameter("room").unwrap_or_default())?;
        if room.as_str() == "closed" {
            return Err(Refusal::new(403, "this room is closed"));
        }
        self.tell(Call::Open(context.name(), context.is_event_stream()));
        context.send_text("welcome\nto the room");
        match request.query() {
            Some("since") => {
                let position = Position {
                    epoch: 1,
                    offset: 1,
                };
                context.subscribe_since(room, Since::Position(position));
            }
            _ => {
                context.subscribe(room);
            }
        }
        Ok(())
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, _: &mut Context<'_>) {
        self.tell(Call::Message(format!("{message:?}")));
    }

    fn subscribed(
        &mut self,
        (): &mut (),
        _: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        let begun = result.expect("there is room for a channel");
        context.send_binary(b"begun");
        self.tell(Call::Begun(begun.recovery == Recovery::Gap));
    }

    fn farewell(&mut self, (): &mut (), _: CloseCode, reason: &str, context: &mut Context<'_>) {
        context.send_text(&format!("farewell: {reason}"));
    }

    fn close(&mut self, (): (), closed: &Closed<'_>, _: &mut Publisher<'_>) {
        self.tell(Call::Close(closed.code, closed.by));
    }

    fn error(&mut self, (): &mut (), error: &Error, _: &mut Publisher<'_>) {
        self.tell(Call::Error(error.to_string()));
    }
}

impl Room {
    fn tell(&self, call: Call) {
        // A test that has seen enough is gone.
        let _ = self.calls.send(call);
    }
}

fn server() -> (Server, Receiver<Call>) {
    let mut config = Config::default();
    config.timeouts.drain_ms = 50;
    let (calls, told) = mpsc::channel();
    let rooms = Route::new("/room/{room}", move || Room {
        calls: calls.clone(),
    });
    let rooms = rooms
        .event_stream()
        .origins(["https://app.example"])
        .intercept(|request, _| match request.header("X-Key") {
            Some(b"wrong") => Err(Refusal::new(401, "another key")),
            _ => Ok(()),
        });
    let server = Server::builder()
        .config(config)
        .listen(support::server::free_address())
        .route(rooms)
        .start()
        .expect("a free address");
    (server, told)
}

fn next(told: &Receiver<Call>) -> Call {
    told.recv_timeout(DEADLINE).expect("a call in time")
}

/// A stream in a room, subscribed, and its name.
fn join(server: &Server, told: &Receiver<Call>, path: &str) -> (Stream, ConnectionName) {
    let mut stream = Stream::open(server.public_address(), path);
    let Call::Open(name, true) = next(told) else {
        panic!("an open stream is expected");
    };
    assert_eq!(stream.message(), "welcome\nto the room");
    assert!(matches!(next(told), Call::Begun(_)));
    let begun = stream.next().expect("an event");
    assert_eq!((&*begun.kind, &*begun.data), ("binary", "YmVndW4="));
    (stream, name)
}

fn room(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a name without control characters")
}

#[test]
fn what_an_endpoint_sends_and_what_is_published_are_events() {
    let (server, told) = server();
    let (mut stream, name) = join(&server, &told, "/room/a");
    let handle = server.handle();
    handle.publish_blocking(&room("a"), "published").unwrap();
    assert_eq!(stream.message(), "published");
    assert_eq!(
        stream.reader.last_event_id, "",
        "it may be in other rooms, too"
    );
    handle.send(name, "sent").unwrap();
    assert_eq!(stream.message(), "sent");
    handle.subscribe(name, room("b")).unwrap();
    assert_eq!(next(&told), Call::Begun(false));
    assert_eq!(stream.next().expect("an event").kind, "binary");
    handle
        .publish_blocking(&room("b"), "of another room")
        .unwrap();
    assert_eq!(stream.message(), "of another room");
    handle.close(name, CloseCode::NORMAL, "enough").unwrap();
    assert_eq!(stream.message(), "farewell: enough");
    assert_eq!(stream.next(), None);
    assert_eq!(stream.reader.comments, ["enough"]);
    assert_eq!(next(&told), Call::Close(1000, Side::Server));
    server.shut_down();
    assert_eq!(told.try_recv().ok(), None, "nothing else was called");
}

#[test]
fn a_program_that_recovers_one_channel_gives_its_events_ids() {
    let (server, told) = server();
    let (mut stream, _) = join(&server, &told, "/room/a?since");
    let position = server
        .handle()
        .publish_blocking(&room("a"), "published")
        .unwrap();
    assert_eq!(stream.message(), "published");
    let id = format!("{:x}:{}", position.epoch, position.offset);
    assert_eq!(stream.reader.last_event_id, id);
    server.shut_down();
}

#[test]
fn the_same_route_serves_websockets() {
    let (server, told) = server();
    let mut socket = Socket::open(server.public_address(), "/room/a");
    assert!(matches!(next(&told), Call::Open(_, false)));
    assert_eq!(
        socket.message(),
        support::Message::text("welcome\nto the room")
    );
    socket.send_text("hello");
    loop {
        match next(&told) {
            Call::Begun(false) => {}
            Call::Message(text) => {
                assert_eq!(text, "Text(\"hello\")");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    server.shut_down();
}

#[test]
fn refusals_of_interceptor_and_endpoint_can_be_read_by_an_allowed_page() {
    let (server, told) = server();
    for (path, line, status) in [
        ("/room/a", "X-Key: wrong", 401),
        ("/room/closed", "X-Key: right", 403),
    ] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let mut lines = request_lines(path);
            lines[0] = format!("{method} {path} HTTP/1.1");
            lines.push(line.to_owned());
            lines.push("Origin: https://app.example".to_owned());
            let mut socket = Socket::connect(server.public_address());
            socket.send(&head(&lines));
            let answer = socket.answer_head();
            let expected = match (method, status) {
                ("OPTIONS", _) => 204,
                // Of a stream's head alone no endpoint is asked.
                ("HEAD", 403) => 200,
                _ => status,
            };
            assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, Some("https://app.example"), "{answer:?}");
        }
    }
    server.shut_down();
    assert_eq!(told.try_recv().ok(), None, "no endpoint was opened");
}

#[test]
fn the_end_of_a_stream_is_told_once_whoever_ends_it() {
    let (server, told) = server();
    let (stream, _) = join(&server, &told, "/room/a");
    drop(stream);
    assert!(matches!(next(&told), Call::Error(_)));
    assert_eq!(next(&told), Call::Close(1006, Side::Client));

    let (mut stream, _) = join(&server, &told, "/room/a");
    stream.socket.send(&[b'x'; 100_000]);
    assert_eq!(
        stream.message(),
        "farewell: an event stream is one request: too many bytes came behind it"
    );
    assert_eq!(stream.next(), None);
    assert!(matches!(next(&told), Call::Error(_)));
    assert_eq!(next(&told), Call::Close(1008, Side::Server));

    let (mut stream, _) = join(&server, &told, "/room/a");
    let mut socket = Socket::open(server.public_address(), "/room/a");
    assert!(matches!(next(&told), Call::Open(_, false)));
    assert_eq!(next(&told), Call::Begun(false));
    server.shut_down();
    assert_eq!(stream.message(), "farewell: the server is shutting down");
    assert_eq!(stream.next(), None);
    while !matches!(socket.next(), Said::Close { .. }) {}
    let mut closes = [next(&told), next(&told)];
    closes.sort_by_key(|call| format!("{call:?}"));
    assert_eq!(
        closes,
        [
            Call::Close(1001, Side::Server),
            Call::Close(1001, Side::Server)
        ]
    );
    assert_eq!(told.try_recv().ok(), None);
}
