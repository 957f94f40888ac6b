//! STOMP on the real server, byte by byte over plain WebSockets: a test for each rule.
//!
//! `must.md` says which rule of the specification each test is about, `tests/stomp_must.rs` holds it to that; the scripted
//! conversation of `tests/stomp_conversation.rs` covers the usual answers.

#![forbid(unsafe_code)]

mod support;

#[path = "stomp/rules/acknowledging.rs"]
mod acknowledging;
#[path = "stomp/rules/connecting.rs"]
mod connecting;
#[path = "stomp/rules/frames.rs"]
mod frames;
#[path = "stomp/rules/heartbeats.rs"]
mod heartbeats;
#[path = "stomp/rules/limits.rs"]
mod limits;
#[path = "stomp/rules/malformed.rs"]
mod malformed;
#[path = "stomp/rules/queues.rs"]
mod queues;
#[path = "stomp/rules/sending.rs"]
mod sending;
#[path = "stomp/rules/subscribing.rs"]
mod subscribing;
#[path = "stomp/rules/transactions.rs"]
mod transactions;
#[path = "stomp/rules/users.rs"]
mod users;

use support::server::{Options, Server};
use support::stomp::{Frame, Stomp};

/// The version that most tests speak.
const LATEST: &str = "1.2";

/// A way for a client to go.
type Going = fn(&mut Stomp);

fn server() -> Server {
    Server::start(Options::default())
}

fn server_with(config: &str) -> Server {
    Server::start(Options::with_config(config))
}

/// A connected client of STOMP 1.2.
fn client(server: &Server) -> Stomp {
    Stomp::connect(server.addresses.public, LATEST)
}

/// Asserts that an ERROR frame is complete: a message of one line that says all of these, a body that says what to do, and
/// the receipt of the frame that it is about, if that asked for one.
fn assert_error(error: &Frame, says: &[&str], receipt: Option<&str>) {
    assert_eq!(error.command, "ERROR", "{error:?}");
    let message = error.unescaped("message");
    for part in says {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert_eq!(error.header("receipt-id"), receipt, "{error:?}");
    assert!(!error.body.is_empty(), "what to do: {error:?}");
    assert_eq!(
        error.must("content-length"),
        error.body.len().to_string(),
        "{error:?}"
    );
    assert!(
        error.must("content-type").starts_with("text/plain"),
        "{error:?}"
    );
}

/// A subscriber that must not notice what others do wrong.
struct Witness(Stomp);

impl Witness {
    fn subscribe(server: &Server) -> Self {
        let mut stomp = client(server);
        stomp.subscribe("witness", "/topic/witness", "");
        Self(stomp)
    }

    /// Its next message is the one it sends itself now.
    fn assert_unmoved(&mut self) {
        self.0
            .send("SEND\ndestination:/topic/witness\n\nundisturbed");
        assert_eq!(self.0.message().text(), "undisturbed");
    }
}
