//! What systemd and the server say to each other, with the test in the place of systemd: `sd_notify(3)`, the watchdog, and
//! `sd_listen_fds(3)`.

#![forbid(unsafe_code)]

mod support;

#[path = "managed/manager.rs"]
mod manager;
#[path = "managed/sockets.rs"]
mod sockets;
#[path = "managed/states.rs"]
mod states;
#[path = "managed/watchdog.rs"]
mod watchdog;
