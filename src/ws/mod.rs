//! The WebSocket protocol (RFC 6455) and its compression (RFC 7692) on byte slices: no sockets, no channels, no time.

pub mod close;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod message;
