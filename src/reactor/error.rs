//! Why a reactor cannot be set up, each with the cure.

use std::io;
use std::net::SocketAddr;

/// What the kernel, its limits or another program refuse at start-up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// ENOSYS.
    #[error("this kernel has no io_uring: pushring needs Linux 6.0 or later with CONFIG_IO_URING")]
    NoUring,
    /// EPERM, EACCES.
    #[error(
        "io_uring is forbidden here: on the host set `sysctl kernel.io_uring_disabled=0`; in a container use a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Forbidden,
    /// EINVAL.
    #[error(
        "this kernel's io_uring is too old: pushring needs Linux 6.0 or later (SINGLE_ISSUER, CQE_SKIP)"
    )]
    TooOld,
    /// ENOMEM.
    #[error(
        "no memory for the rings: they count against the limit of locked memory, now {limit}; raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity, or set a smaller reactor.ring_entries"
    )]
    NoMemory {
        /// RLIMIT_MEMLOCK as people read it.
        limit: String,
    },
    /// EMFILE, ENFILE.
    #[error(
        "no file descriptor for the rings: raise the limit of open files with `ulimit -n` or LimitNOFILE="
    )]
    NoFiles,
    /// Any other answer of io_uring_setup.
    #[error("io_uring could not be set up: {0}")]
    Ring(io::Error),
    /// What the process before this one has left of a shard.
    #[error(transparent)]
    Resume(#[from] super::ResumeError),
    /// EADDRINUSE, after some seconds of trying.
    #[error(
        "{address} is in use by another program: stop it, or listen elsewhere with --{flag} ADDR (`ss -ltnp` shows whose it is)"
    )]
    InUse {
        /// Where it should have listened.
        address: SocketAddr,
        /// The flag that names another address.
        flag: &'static str,
    },
    /// EACCES on a port below 1024.
    #[error(
        "{address} needs a privilege: take a port from 1024 on with --{flag} ADDR, or grant CAP_NET_BIND_SERVICE"
    )]
    Privileged {
        /// Where it should have listened.
        address: SocketAddr,
        /// The flag that names another address.
        flag: &'static str,
    },
    /// EADDRNOTAVAIL.
    #[error(
        "{address} is no address of this machine: choose one that `ip address` shows with --{flag} ADDR"
    )]
    NotOurs {
        /// Where it should have listened.
        address: SocketAddr,
        /// The flag that names another address.
        flag: &'static str,
    },
    /// Any other answer of socket, bind or listen.
    #[error("cannot listen on {address} (--{flag}): {error}")]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// The flag that names another address.
        flag: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
    /// A socket that has been given cannot be used.
    #[error("cannot listen on a socket that was given (LISTEN_FDS): {0}")]
    Given(io::Error),
    /// More sockets have been given than there are shards.
    #[error(
        "{count} public sockets were given (LISTEN_FDS) to {shards} shards, and nobody would accept from the others: set shards = {count}, or leave sockets out"
    )]
    TooManyGiven {
        /// Public sockets.
        count: usize,
        /// Shards.
        shards: usize,
    },
    /// Threads, eventfds.
    #[error("cannot start a shard: {0}")]
    Thread(io::Error),
}

impl SetupError {
    /// Interprets the answer of `io_uring_setup`.
    pub(super) fn from_ring(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::NoUring,
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden,
            Some(libc::EINVAL) => Self::TooOld,
            Some(libc::ENOMEM) => Self::NoMemory {
                limit: memlock_limit(),
            },
            Some(libc::EMFILE | libc::ENFILE) => Self::NoFiles,
            _ => Self::Ring(error),
        }
    }

    /// Interprets the answer of `bind` or `listen`.
    pub(super) fn from_listen(error: io::Error, address: SocketAddr, flag: &'static str) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, flag },
            io::ErrorKind::PermissionDenied => Self::Privileged { address, flag },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { address, flag },
            _ => Self::Listen {
                address,
                flag,
                error,
            },
        }
    }
}

fn memlock_limit() -> String {
    match super::sys::limit(libc::RLIMIT_MEMLOCK) {
        Ok((libc::RLIM_INFINITY, _)) => "unlimited".to_owned(),
        Ok((bytes, _)) => format!("{} KiB", bytes / 1_024),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i32) -> String {
        SetupError::from_ring(io::Error::from_raw_os_error(number)).to_string()
    }

    #[test]
    fn every_refusal_of_io_uring_names_its_own_cure() {
        assert!(of(libc::ENOSYS).contains("CONFIG_IO_URING"));
        assert!(of(libc::EPERM).contains("kernel.io_uring_disabled"));
        assert!(of(libc::EINVAL).contains("Linux 6.0"));
        assert!(of(libc::ENOMEM).contains("LimitMEMLOCK"));
        assert!(of(libc::EMFILE).contains("LimitNOFILE"));
        assert!(of(libc::EIO).contains("could not be set up"));
    }

    #[test]
    fn every_refusal_of_an_address_names_the_address_and_the_flag() {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        for number in [
            libc::EADDRINUSE,
            libc::EACCES,
            libc::EADDRNOTAVAIL,
            libc::ENOBUFS,
        ] {
            let error = io::Error::from_raw_os_error(number);
            let text = SetupError::from_listen(error, address, "listen").to_string();
            assert!(
                text.contains("127.0.0.1:80") && text.contains("--listen"),
                "{text}"
            );
            assert!(!text.contains('\n'));
        }
    }
}
