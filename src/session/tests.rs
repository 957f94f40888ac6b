//! Whatever the pieces are in which input arrives, a session does the same.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::channel::ChannelName;
use crate::endpoint::{Endpoint, Request, Route};
use crate::table::Key;

mod conversations;
mod saving;
mod world;

thread_local! {
    /// What the endpoint has been called with; each test runs on a thread of its own.
    static CALLS: Rc<RefCell<Vec<String>>> = Rc::default();
}

struct Recorder(Rc<RefCell<Vec<String>>>);

impl Endpoint for Recorder {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let room = request.parameter("room").unwrap_or_default();
        self.0.borrow_mut().push(format!("open {room}"));
        context.send_text(room);
        match room {
            "refuse" => Err(Refusal::new(403, "no")),
            "close" => {
                context.close(CloseCode::NORMAL, "at once");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        self.0.borrow_mut().push(format!("message {message:?}"));
        context.send(message);
    }

    fn close(&mut self, (): (), closed: &Closed<'_>, _: &mut Publisher<'_>) {
        self.0.borrow_mut().push(format!("close {closed:?}"));
    }

    fn error(&mut self, (): &mut (), error: &Error, _: &mut Publisher<'_>) {
        self.0.borrow_mut().push(format!("error {error}"));
    }
}

/// All that a session has done with input in those pieces: calls, replies, commands, progress.
fn run(pieces: &[Vec<u8>]) -> (Vec<String>, Vec<u8>, Vec<Command>, u32) {
    let calls: Rc<RefCell<Vec<String>>> = CALLS.with(Rc::clone);
    calls.borrow_mut().clear();
    let route = Route::new("/{room}", || Recorder(CALLS.with(Rc::clone)));
    let routes = Routes::new(
        vec![route],
        Vec::new(),
        (&["*".to_owned()], true),
        "nothing",
    )
    .expect("a pattern and an origin");
    let settings = Settings::with_routes(&Config::default(), routes);
    let mut endpoints = Endpoints::new(&settings.routes);
    let mut codec = Codec::new(settings.compression);
    let rules = Rules::default();
    let (mut replies, mut commands) = (BytesMut::new(), Vec::new());
    let mut session = Session::new(IpAddr::V4(Ipv4Addr::LOCALHOST), None);
    let mut messages = 0;
    for piece in pieces {
        let mut around = Surroundings {
            settings: &settings,
            rules: &rules,
            unix_ms: 0,
            is_behind: false,
            endpoints: &mut endpoints,
            codec: &mut codec,
            name: ConnectionName {
                shard: 0,
                key: Key::from_bits(7),
            },
            replies: &mut replies,
            commands: &mut commands,
        };
        messages += session
            .handle_input(&mut piece.clone(), &mut around)
            .messages;
    }
    let calls = calls.borrow().clone();
    (calls, replies.to_vec(), commands, messages)
}

fn head(room: &str) -> Vec<u8> {
    format!(
        "GET /{room} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A masked frame, the mask all zero so that it can be read.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = prop_oneof![
        4 => "[a-zé]{0,20}".prop_map(|text| frame(0x81, text.as_bytes())),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| frame(0x82, &bytes)),
        1 => Just(frame(0x01, b"frag")),
        1 => Just(frame(0x80, b"ment")),
        1 => Just(frame(0x89, b"ping")),
        1 => Just(frame(0x8a, b"pong")),
        1 => Just(frame(0x88, &[3, 232, b'b', b'y', b'e'])),
        1 => Just(frame(0x81, &[0xff])),
        1 => Just(frame(0xc1, b"reserved")),
    ];
    prop::collection::vec(one, 0..8)
}

proptest! {
    #[test]
    fn f11_h11_input_cut_anywhere_does_the_same(
        room in prop_oneof![Just("room"), Just("refuse"), Just("close"), Just("no/where")],
        frames in frames(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut input = head(room);
        input.extend(frames.concat());
        let whole = run(std::slice::from_ref(&input));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<Vec<u8>> = cuts.windows(2).map(|w| input[w[0]..w[1]].to_vec()).collect();
        prop_assert_eq!(run(&pieces), whole);
    }
}

#[test]
fn an_endpoint_that_closes_in_open_is_told_so_and_what_it_sent_goes_first() {
    let (calls, replies, commands, messages) =
        run(&[[head("close"), frame(0x81, b"late")].concat()]);
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0], "open close");
    assert!(
        calls[1].starts_with("close") && calls[1].contains("1000"),
        "{calls:?}"
    );
    assert!(
        replies.ends_with(b"\r\n\r\n\x81\x05close\x88\x09\x03\xe8at once"),
        "{replies:?}"
    );
    assert_eq!(commands, [Command::Opened, Command::Close]);
    assert_eq!(messages, 0);
}

#[test]
fn a_refusal_in_open_takes_back_what_was_sent() {
    let (calls, replies, commands, _) = run(&[head("refuse")]);
    assert_eq!(calls, ["open refuse"]);
    assert!(replies.starts_with(b"HTTP/1.1 403 Forbidden\r\n"));
    assert_eq!(commands, [Command::Close]);
}
