//! The command line, and the runtime that it asks for.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use clap::{CommandFactory, FromArgMatches, Parser};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;

/// Connections that may wait to be accepted.
const LISTEN_BACKLOG: u32 = 4096;

/// What every one of these servers is told.
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// Port of 127.0.0.1 to listen on.
    #[arg(long)]
    port: u16,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Longest message that a publisher may send, in bytes.
    #[arg(long, default_value_t = 65_536)]
    pub message_bytes_max: usize,
    /// How many publications a subscriber may be behind before it is disconnected; tokio rounds it
    /// up to a power of two and keeps that many of each channel.
    #[arg(long, default_value_t = 4096)]
    pub lag_max: usize,
}

impl Arguments {
    /// Parses the command line of the server around `library`. Ends the process for `--help`,
    /// `--version`, which says the library's, and what is not understood.
    pub fn parse_for(library: &'static str) -> Self {
        let command = Self::command()
            .name(library)
            .version(pinned_version(library));
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Runs `serve` on the runtime that was asked for: tokio's own for one thread if it is one.
    ///
    /// # Errors
    /// Those of making the runtime, of listening and of `serve`.
    pub fn run<F>(self, serve: impl FnOnce(Self, TcpListener) -> F) -> std::io::Result<()>
    where
        F: Future<Output = std::io::Result<()>>,
    {
        let runtime = match self.threads {
            1 => Builder::new_current_thread().enable_all().build(),
            threads => Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build(),
        }?;
        runtime.block_on(async {
            let listener = self.listen()?;
            serve(self, listener).await
        })
    }

    fn listen(&self) -> std::io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))?;
        socket.listen(LISTEN_BACKLOG)
    }
}

/// The version of a dependency that the manifest pins.
fn pinned_version(library: &str) -> &'static str {
    include_str!("../Cargo.toml")
        .lines()
        .filter_map(|line| line.strip_prefix(library)?.split_once("version = \"="))
        .find_map(|(_, rest)| Some(rest.split_once('"')?.0))
        .unwrap_or("of unknown version")
}

#[cfg(test)]
mod tests {
    use super::pinned_version;

    #[test]
    fn every_servers_library_is_pinned_to_a_version() {
        for library in ["axum", "fastwebsockets", "tokio-tungstenite"] {
            let version = pinned_version(library);
            assert_eq!(version.split('.').count(), 3, "{library} {version}");
        }
    }
}
