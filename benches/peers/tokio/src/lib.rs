//! What the servers around Rust's WebSocket libraries have in common: the command line, the channels
//! (one [`tokio::sync::broadcast`] each), and HTTP by hyper. What differs, how a library upgrades a
//! connection, reads and writes, is in `src/bin/`.
//!
//! `/sub/CHANNEL` and `/sub?channel=A&channel=B` subscribe; WebSocket messages and POST bodies to
//! `/pub/CHANNEL` are published.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod channels;
pub mod http;
