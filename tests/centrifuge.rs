//! Centrifugo's client protocol on the real server, over plain WebSockets: a test for each rule.

#![forbid(unsafe_code)]

mod support;

#[path = "centrifuge/rules/asking.rs"]
mod asking;
#[path = "centrifuge/rules/connecting.rs"]
mod connecting;
#[path = "centrifuge/rules/contents.rs"]
mod contents;
#[path = "centrifuge/rules/malformed.rs"]
mod malformed;
#[path = "centrifuge/rules/publishing.rs"]
mod publishing;
#[path = "centrifuge/rules/recovery.rs"]
mod recovery;
#[path = "centrifuge/rules/subscribing.rs"]
mod subscribing;
#[path = "centrifuge/rules/timing.rs"]
mod timing;
#[path = "centrifuge/rules/tokens.rs"]
mod tokens;

use support::centrifuge::Centrifuge;
use support::server::{Options, Server};

fn server() -> Server {
    Server::start(Options::default())
}

fn server_with(config: &str) -> Server {
    Server::start(Options::with_config(config))
}

/// A connected client.
fn client(server: &Server) -> Centrifuge {
    Centrifuge::connect(server.addresses.public)
}
