//! Accepting connections, and leaving it alone for a while when that is wiser.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::listeners::Listener;
use super::ready::{Armed, Token};
use super::sockets::Sockets;
use super::{is_drain, unanswered_max};
use crate::shard::mail::Request;
use crate::shard::{Admission, Shard};

/// Connections that one turn accepts.
const ACCEPTS_A_TURN: usize = 256;

/// The same where other shards accept from the same socket: they are to have their share of a burst.
const ACCEPTS_A_TURN_SHARED: usize = 8;

/// How long accepting rests when there is no file descriptor, unless a connection closes before.
const STARVED_PAUSE_MS: u64 = 250;

/// A shard's listening socket.
pub struct Acceptor {
    /// `None` when no connection is to be accepted any more.
    listener: Option<Listener>,
    poll: Option<Armed>,
    /// When accepting goes on, while it rests, in ms.
    resumes_at_ms: Option<u64>,
    /// Whether the log says that there are no file descriptors.
    starved: bool,
}

impl Acceptor {
    pub fn new(listener: Listener) -> Self {
        Self {
            listener: Some(listener),
            poll: None,
            resumes_at_ms: None,
            starved: false,
        }
    }

    /// Watches for a connection that waits, once.
    pub fn watch(&mut self) {
        if let Some(listener) = &self.listener {
            let watch = match listener.shared {
                true => Armed::new_in_turn,
                false => Armed::new,
            };
            let fd = listener.socket.as_fd();
            self.poll = Some(watch(Token::Listener, fd, libc::POLLIN));
        }
    }

    /// The listening socket, while connections are accepted.
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }

    /// Accepts what waits, as far as the shard lets it.
    pub fn accept(&mut self, now_ms: u64, shard: &mut Shard, sockets: &mut Sockets) {
        self.poll = None;
        let shared = self.listener.as_ref().is_some_and(|one| one.shared);
        let accepts_max = match shared {
            true => ACCEPTS_A_TURN_SHARED,
            false => ACCEPTS_A_TURN,
        };
        for _ in 0..accepts_max {
            let Some(listener) = &self.listener else {
                return;
            };
            match shard.may_accept(now_ms) {
                Admission::Now => {}
                Admission::After(pause_ms) => {
                    self.resumes_at_ms = Some(now_ms + pause_ms);
                    return;
                }
                Admission::Never => {
                    self.listener = None;
                    return;
                }
            }
            match listener.socket.accept() {
                Ok((socket, address)) => {
                    let Some(address) = address.as_socket() else {
                        continue;
                    };
                    self.note_fed();
                    let id = shard.handle_accept(now_ms, address.ip());
                    sockets.insert(id, OwnedFd::from(socket));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_starvation(&error) => {
                    self.starve(now_ms, &error);
                    shard.note_starved();
                    return;
                }
                // The peer gave up before it was accepted; the next one may not have.
                Err(_) => {}
            }
        }
        self.watch();
    }

    /// Goes on accepting when a rest is over.
    pub fn resume(&mut self, now_ms: u64) {
        if self.resumes_at_ms.take_if(|at| *at <= now_ms).is_some() {
            self.watch();
        }
    }

    /// When accepting goes on, while it rests.
    pub fn resumes_at_ms(&self) -> Option<u64> {
        self.resumes_at_ms
    }

    /// A connection has been closed: there is a file descriptor again.
    pub fn note_closed(&mut self) {
        if self.starved && self.resumes_at_ms.is_some() {
            self.resumes_at_ms = Some(0);
        }
    }

    /// Stops listening when the server drains, and has connections inherit what other settings say.
    pub fn note_request(&mut self, request: &Request) {
        if let (Request::Reload(live), Some(listener)) = (request, &self.listener)
            && let Err(error) = listener
                .socket
                .set_tcp_user_timeout(Some(unanswered_max(&live.config)))
        {
            tracing::warn!(
                "new connections keep the time that peers may leave bytes unacknowledged: {error}"
            );
        }
        if is_drain(request) {
            // Dropping the poll leaves it to the ring until the socket's end completes it.
            if let Some(listener) = self.listener.take()
                && !listener.given
            {
                let _ = listener.socket.shutdown(std::net::Shutdown::Both);
            }
            self.resumes_at_ms = None;
        }
    }

    fn starve(&mut self, now_ms: u64, error: &io::Error) {
        if !self.starved {
            self.starved = true;
            tracing::warn!(
                "no file descriptor for another connection ({error}): accepting rests until one is closed; raise LimitNOFILE= or `ulimit -n`"
            );
        }
        self.resumes_at_ms = Some(now_ms + STARVED_PAUSE_MS);
    }

    fn note_fed(&mut self) {
        if self.starved {
            self.starved = false;
            tracing::info!("accepting connections again");
        }
    }
}

fn is_starvation(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::reactor::bind_shared;
    use crate::session;
    use crate::shard::Live;

    #[test]
    fn connections_that_come_after_a_reload_inherit_what_it_says() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config::default();
        let before = unanswered_max(&config);
        let socket = bind_shared(any, 1, 8, before, "listen").unwrap().remove(0);
        let mut acceptor = Acceptor::new(Listener {
            socket,
            given: false,
            shared: false,
        });
        let sessions = session::Settings::new(&config).unwrap();
        config.timeouts.ping_interval_ms = 1_000;
        let now = unanswered_max(&config);
        acceptor.note_request(&Request::Reload(Arc::new(Live {
            version: 1,
            config: Arc::new(config),
            sessions: Arc::new(sessions),
            rules: Arc::default(),
        })));
        let listener = acceptor.listener.unwrap();
        assert_ne!(before, now);
        assert_eq!(listener.socket.tcp_user_timeout().unwrap(), Some(now));
    }
}
