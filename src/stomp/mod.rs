//! STOMP 1.0, 1.1 and 1.2 on byte slices: no sockets, no channels, no time, no sessions.
//!
//! [`reader::Reader`] makes frames of a client's bytes, [`encode`] writes the server's. What a frame asks for, whether it
//! may be sent now and which headers it needs is not decided here.

#![forbid(unsafe_code)]

pub mod ack;
pub mod command;
pub mod encode;
pub mod error;
pub mod frame;
mod head;
pub mod header;
pub mod heartbeat;
pub mod reader;
mod sink;
pub mod version;

pub use ack::AckMode;
pub use command::Command;
pub use error::{Fault, FrameError};
pub use frame::Frame;
pub use head::find_receipt;
pub use header::UserHeaders;
pub use heartbeat::HeartBeat;
pub use reader::{Item, Reader};
pub use version::Version;

/// Bounds of a client's frames (STOMP 1.2, "Size Limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most header lines in a frame.
    pub headers_max: usize,
    /// Longest head in bytes: the command line, the header lines and the empty line behind them, with their line ends.
    pub head_bytes_max: usize,
    /// Longest body in bytes, the NUL that ends the frame not counted.
    pub body_bytes_max: usize,
}
