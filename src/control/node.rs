//! What the API's `info` says of this server, which is the only node there is.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Instant;

/// This server.
pub struct Node {
    /// No other server, and no other start of this one, has the same.
    pub uid: String,
    /// The machine's name and the port of the public listener.
    pub name: String,
    /// When it was started.
    pub started: Instant,
}

impl Node {
    /// A server that is started now.
    pub fn new(listen: SocketAddr) -> Self {
        // The name of no machine says more than none at all.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let random = || RandomState::new().build_hasher().finish();
        Self {
            uid: format!("{:016x}{:016x}", random(), random()),
            name: format!("{}_{}", host.trim(), listen.port()),
            started: Instant::now(),
        }
    }
}
