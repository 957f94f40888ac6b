//! A server with a client before it.

use crate::support::server::{Options as ServerOptions, Server};

use super::client::{Client, Kind, Options};

/// A server, and a client program of one kind.
pub struct Site {
    pub server: Server,
    pub client: Client,
}

impl Site {
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// The same with a configuration file of that text.
    pub fn start_with(kind: Kind, config: &str) -> Self {
        Self {
            server: Server::start(ServerOptions::with_config(config)),
            client: Client::start(kind),
        }
    }

    /// Where STOMP is spoken.
    pub fn url(&self) -> String {
        self.server.url("/stomp")
    }

    /// Connects as the library does by itself.
    pub fn connect(&mut self, id: &str) {
        self.connect_with(id, &Options::default());
    }

    pub fn connect_with(&mut self, id: &str, options: &Options) {
        let url = self.url();
        self.client.connect(id, &url, options);
    }
}
