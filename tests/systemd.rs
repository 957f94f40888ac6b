//! The units of `tuning/` under a real systemd: booted as PID 1 of namespaces of its own by `tests/systemd/boot`, and asked through
//! `systemctl`. Needs root, and what `tests/install-tools` installs.

#![forbid(unsafe_code)]

mod support;

#[path = "systemd/machine.rs"]
mod machine;
#[path = "systemd/service.rs"]
mod service;
#[path = "systemd/sockets.rs"]
mod sockets;
#[path = "systemd/units.rs"]
mod units;
