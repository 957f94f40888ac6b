//! What a server and systemd say to each other: sockets that systemd has opened ([`sockets`]), and how the server is
//! ([`Manager`]).
//!
//! All of it works with any other manager that keeps to the same two protocols, `sd_notify(3)` and `sd_listen_fds(3)`.

#![forbid(unsafe_code)]

mod manager;
mod sockets;

pub use manager::{Manager, Reloading};
pub use sockets::{SocketsError, names_sockets, sockets};
