//! `pushring bench`: load for any server that pushes messages to WebSocket clients, and honest figures of what it costs.
//!
//! - [`scenario`]: what load is made; [`target`]: for whom.
//! - [`client`]: the load generator, with [`frames`], [`handshake`], [`protocol`] and [`payload`] on byte slices, and the [`ledger`] that
//!   knows of every publication at every subscriber.
//! - [`measure`]: one round; [`compare`]: rounds of several targets in turn; [`result`]: what is kept.
//! - [`table`], [`markdown`], [`report`]: how it is shown.
//!
//! Nothing here knows shards, the reactor or the server: a server is measured by what it does on its sockets and by what the
//! kernel says of its processes.

#![forbid(unsafe_code)]

pub mod client;
pub mod compare;
pub mod frames;
pub mod handshake;
pub mod hold_ups;
pub mod ledger;
pub mod machine;
pub mod markdown;
pub mod measure;
pub mod metric;
pub mod payload;
pub mod progress;
pub mod protocol;
pub mod remarks;
pub mod report;
pub mod result;
pub mod scenario;
pub mod setup;
pub mod statistics;
pub mod table;
pub mod target;
