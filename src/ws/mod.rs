//! The WebSocket protocol (RFC 6455) on byte slices: no sockets, no channels, no time.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod message;
