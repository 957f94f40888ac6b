//! Listening sockets: one for each shard on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::SetupError;
use crate::config::{Config, Timeouts};

/// How long an address that is in use is tried again: the kernel takes a killed process's rings
/// down in the background, and for that long its sockets still listen.
const RETRY_FOR: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Binds `count` sockets to one address, over which the kernel spreads new connections.
///
/// A connection whose peer leaves bytes unacknowledged for `unanswered_max` is dead to the kernel (`TCP_USER_TIMEOUT`): a
/// poll reports it. The client of an event stream answers no pings, so that nothing else would find it out for a quarter
/// of an hour.
///
/// # Errors
/// [`SetupError`]; an address in use is one only after five seconds of trying.
pub fn bind_shared(
    address: SocketAddr,
    count: usize,
    backlog: u32,
    unanswered_max: Duration,
    flag: &'static str,
) -> Result<Vec<Socket>, SetupError> {
    retry(address, flag, || {
        // Sockets that share a port share it with any other program of the same user too. A
        // socket that does not share finds out whether the port is free.
        let probe = socket(address, false)?;
        probe.bind(&address.into())?;
        // With port 0 the probe's port is the one for all.
        let bound = probe.local_addr()?;
        drop(probe);
        (0..count)
            .map(|_| {
                let socket = socket(address, true)?;
                socket.bind(&bound)?;
                // Accepted sockets inherit both: a publication is not to wait for an ACK.
                socket.set_tcp_nodelay(true)?;
                socket.set_tcp_user_timeout(Some(unanswered_max))?;
                socket.set_nonblocking(true)?;
                socket.listen(backlog.min(i32::MAX as u32) as i32)?;
                Ok(socket)
            })
            .collect()
    })
}

/// How long a peer may leave bytes unacknowledged: as long as one that is alive may stay silent, and beyond that as long
/// as one may take nothing, for to end those is the business of backlogs.
pub fn unanswered_max(config: &Config) -> Duration {
    let Timeouts {
        ping_interval_ms,
        pong_timeout_ms,
        ..
    } = config.timeouts;
    let backlog_ms = config.slow_consumer.backlog_age_ms_max;
    Duration::from_millis(ping_interval_ms + pong_timeout_ms + backlog_ms)
}

/// Binds one socket that shares its address with nobody.
///
/// # Errors
/// As [`bind_shared`].
pub fn bind_alone(address: SocketAddr, flag: &'static str) -> Result<TcpListener, SetupError> {
    retry(address, flag, || {
        let socket = socket(address, false)?;
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        socket.listen(1_024)?;
        Ok(socket.into())
    })
}

/// Whether a listener could have this address now. Nothing listens there meanwhile, and nothing is tried again.
///
/// # Errors
/// [`SetupError`], as [`bind_alone`] would have it.
pub fn try_address(address: SocketAddr, flag: &'static str) -> Result<(), SetupError> {
    let bound = socket(address, false).and_then(|socket| socket.bind(&address.into()));
    bound.map_err(|error| SetupError::from_listen(error, address, flag))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier run that wait for their end do not hold the port.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    Ok(socket)
}

fn retry<T>(
    address: SocketAddr,
    flag: &'static str,
    mut bind: impl FnMut() -> io::Result<T>,
) -> Result<T, SetupError> {
    let began = Instant::now();
    let mut said = false;
    loop {
        match bind() {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < RETRY_FOR =>
            {
                if !said {
                    tracing::warn!("{address} is still in use: trying again for {RETRY_FOR:?}");
                    said = true;
                }
                std::thread::sleep(RETRY_EVERY);
            }
            result => return result.map_err(|e| SetupError::from_listen(e, address, flag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream};

    #[test]
    fn an_address_that_was_tried_is_as_free_or_taken_as_before() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        try_address(any, "listen").unwrap();
        let holder = bind_alone(any, "internal").unwrap();
        let taken = holder.local_addr().unwrap();
        for _ in 0..2 {
            let error = try_address(taken, "listen").unwrap_err();
            assert!(matches!(error, SetupError::InUse { address, .. } if address == taken));
        }
        drop(holder);
        for _ in 0..2 {
            try_address(taken, "listen").unwrap();
        }
    }

    #[test]
    fn accepted_connections_inherit_what_the_listener_was_given() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let timeout = Duration::from_millis(12_345);
        let listeners = bind_shared(any, 1, 8, timeout, "listen").unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let address = listeners[0].local_addr().unwrap().as_socket().unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listeners[0].accept().unwrap();
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(timeout));
        assert!(accepted.tcp_nodelay().unwrap());
    }
}
