//! The sockets that a server listens on, whoever has made them, dealt out to the shards.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::Socket;

use super::{SetupError, bind_alone, bind_shared, unanswered_max};
use crate::config::Config;

/// A shard's listening socket.
#[derive(Debug)]
pub struct Listener {
    /// It listens, and no call on it waits.
    pub socket: Socket,
    /// Whether somebody else made it and keeps it open, such as systemd. It is never shut down then: it serves the next
    /// process, too.
    pub given: bool,
    /// Whether other shards accept from the same socket.
    pub shared: bool,
}

/// Sockets that listen already.
#[derive(Debug, Default)]
pub struct Given {
    /// For clients. Several have one address (`SO_REUSEPORT`), and the kernel spreads new connections over them.
    pub public: Vec<Socket>,
    /// The internal listener's.
    pub internal: Option<Socket>,
}

impl Given {
    /// Where clients connect, if that has been given.
    pub fn public_address(&self) -> Option<SocketAddr> {
        address_of(self.public.first()?)
    }

    /// Where the internal listener is, if it has been given.
    pub fn internal_address(&self) -> Option<SocketAddr> {
        address_of(self.internal.as_ref()?)
    }
}

/// All sockets that a server listens on.
#[derive(Debug, Default)]
pub struct Listeners {
    /// One for each shard, in the order of the shards.
    pub public: Vec<Listener>,
    /// The internal listener's, if there is one.
    pub internal: Option<TcpListener>,
}

impl Listeners {
    /// Takes what has been given and binds what has not, where the settings say. `internal`: whether there is to be an internal
    /// listener.
    ///
    /// Given public sockets are dealt out in turn. Where there are fewer of them than shards, several shards accept from
    /// the same one, and the kernel wakes one after the other. None is bound beside them: what waits in the queue of a
    /// given socket outlives this process, and what waits in another's would be reset when it ends.
    ///
    /// # Errors
    /// [`SetupError`]. More sockets have been given than there are shards: nobody would accept from the others.
    pub fn open(
        config: &Config,
        shards: usize,
        internal: bool,
        given: Given,
    ) -> Result<Self, SetupError> {
        let timeout = unanswered_max(config);
        let public = if given.public.is_empty() {
            let backlog = config.reactor.listen_backlog;
            bind_shared(config.listen, shards, backlog, timeout, "listen")?
                .into_iter()
                .map(|socket| Listener {
                    socket,
                    given: false,
                    shared: false,
                })
                .collect()
        } else {
            deal(given.public, shards, timeout)?
        };
        let internal = match given.internal {
            Some(socket) => {
                socket.set_nonblocking(true).map_err(SetupError::Given)?;
                Some(socket.into())
            }
            None if internal => Some(bind_alone(config.internal, "internal")?),
            None => None,
        };
        Ok(Self { public, internal })
    }

    /// Where clients connect.
    pub fn public_address(&self) -> Option<SocketAddr> {
        address_of(&self.public.first()?.socket)
    }

    /// Where the internal listener is.
    pub fn internal_address(&self) -> Option<SocketAddr> {
        self.internal.as_ref()?.local_addr().ok()
    }
}

/// Gives each shard one of the sockets, each socket to as many as any other or one more.
fn deal(
    sockets: Vec<Socket>,
    shards: usize,
    unanswered_max: Duration,
) -> Result<Vec<Listener>, SetupError> {
    let count = sockets.len();
    if count > shards {
        return Err(SetupError::TooManyGiven { count, shards });
    }
    let prepare = |socket: &Socket| -> io::Result<()> {
        // As sockets of our own: accepted ones inherit both.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(unanswered_max))?;
        socket.set_nonblocking(true)
    };
    let listener = |shard: usize| {
        let turn = shard % count;
        Ok(Listener {
            socket: sockets[turn].try_clone()?,
            given: true,
            shared: turn + count < shards,
        })
    };
    let listeners = sockets.iter().try_for_each(prepare);
    let listeners = listeners.and_then(|()| (0..shards).map(listener).collect());
    listeners.map_err(SetupError::Given)
}

fn address_of(socket: &Socket) -> Option<SocketAddr> {
    socket.local_addr().ok()?.as_socket()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn given(count: usize) -> Given {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Given {
            public: bind_shared(any, count, 8, Duration::from_secs(1), "listen").unwrap(),
            internal: None,
        }
    }

    fn open(sockets: usize, shards: usize) -> Result<Listeners, SetupError> {
        Listeners::open(&Config::default(), shards, false, given(sockets))
    }

    #[test]
    fn given_sockets_are_dealt_out_in_turn_and_get_what_our_own_have() {
        let listeners = open(2, 5).unwrap();
        let shared: Vec<bool> = listeners.public.iter().map(|one| one.shared).collect();
        assert_eq!(shared, [true; 5]);
        let address = listeners.public_address();
        for listener in &listeners.public {
            assert!(listener.given);
            assert_eq!(address_of(&listener.socket), address);
            assert!(listener.socket.tcp_nodelay().unwrap());
            let timeout = unanswered_max(&Config::default());
            assert_eq!(listener.socket.tcp_user_timeout().unwrap(), Some(timeout));
            assert!(listener.socket.nonblocking().unwrap());
        }
        let shared = |sockets, shards| -> Vec<bool> {
            let listeners = open(sockets, shards).unwrap();
            listeners.public.iter().map(|one| one.shared).collect()
        };
        assert_eq!(shared(2, 2), [false, false]);
        assert_eq!(shared(2, 3), [true, false, true]);
        assert_eq!(shared(1, 1), [false]);
    }

    #[test]
    fn a_socket_that_no_shard_would_accept_from_is_refused() {
        let error = open(3, 2).unwrap_err().to_string();
        assert!(
            error.contains("3 public sockets") && error.contains("shards = 3"),
            "{error}"
        );
    }
}
