//! Centrifugo's client protocol: version 2, in JSON, over a WebSocket in both directions.
//!
//! A client's message holds commands, one a line, each a JSON object with an id that its reply comes back
//! with: [`commands`] reads them. The server's messages hold replies and pushes, which [`encode`] writes.
//! An empty object is a ping of the server's, or the client's answer to one.
//!
//! What is published (`data`) is never parsed into values and written again: a client's is cut out of its
//! text, and a subscriber's is the publisher's text as [`data`] describes it.

#![forbid(unsafe_code)]

pub mod command;
pub mod data;
pub mod disconnect;
pub mod encode;
pub mod error;
pub mod position;
mod tags;

pub use command::{Command, CommandError, Request, commands};
pub use disconnect::Disconnect;
pub use error::ErrorReply;

#[cfg(test)]
mod tests;
