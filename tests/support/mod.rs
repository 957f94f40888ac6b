//! What the whole-server tests share: the server's process, HTTP and WebSocket over plain sockets, and the real clients.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    reason = "it is compiled into every test file, and each uses its own part of it"
)]

pub mod centrifuge;
pub mod client;
pub mod fanout;
pub mod http;
pub mod metrics;
pub mod proxy;
#[path = "../simulation/rng.rs"]
pub mod rng;
pub mod server;
pub mod sse;
pub mod stomp;
pub mod token;
pub mod wire;

use std::time::Duration;

/// How long anything that must happen may take before a test gives up on it. No test waits for it unless it fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What subscribers receive: the payload of one data message, with its kind.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl Message {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl std::fmt::Debug for Message {
    /// Long payloads are shown by their beginning, so that a failed assertion can be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN_MAX: usize = 80;
        match self {
            Self::Text(text) if text.len() <= SHOWN_MAX => write!(f, "Text({text:?})"),
            Self::Text(text) => {
                let shown: String = text.chars().take(SHOWN_MAX).collect();
                write!(f, "Text({shown:?}… {} bytes)", text.len())
            }
            Self::Binary(bytes) => {
                let shown = &bytes[..bytes.len().min(SHOWN_MAX)];
                write!(f, "Binary({shown:x?}, {} bytes)", bytes.len())
            }
        }
    }
}
