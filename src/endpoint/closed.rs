//! How a connection ended.

use std::borrow::Cow;

use crate::ws::close::CloseCode;
use crate::ws::message::ReadError;

/// The end of a connection, as [`Endpoint::close`](super::Endpoint::close) is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed<'a> {
    /// The close code of whoever closed it (RFC 6455, section 7.4): [`Closed::NO_CODE`] where a
    /// client gave none, [`Closed::LOST`] where the connection broke.
    pub code: u16,
    /// The reason given, often empty.
    pub reason: Cow<'a, str>,
    /// Who closed it.
    pub by: Side,
}

impl Closed<'_> {
    /// The client closed without a code.
    pub const NO_CODE: u16 = 1005;
    /// The connection ended without a close frame.
    pub const LOST: u16 = 1006;

    /// A connection that broke.
    pub(crate) fn lost() -> Self {
        Closed {
            code: Self::LOST,
            reason: Cow::Borrowed(""),
            by: Side::Client,
        }
    }

    /// A connection that the server closes.
    pub(crate) fn by_server(code: CloseCode, reason: &str) -> Closed<'_> {
        Closed {
            code: code.as_u16(),
            reason: Cow::Borrowed(reason),
            by: Side::Server,
        }
    }
}

/// One of the two sides of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, or the network between.
    Client,
    /// This server.
    Server,
}

/// What went wrong on a connection, so that it is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ReadError),
    /// A limit was passed: too slow, too much, too many. Closed with that code.
    #[error("{reason}")]
    Limit {
        /// What the client is closed with.
        code: CloseCode,
        /// Which limit.
        reason: &'static str,
    },
    /// The connection broke, or the client went silent.
    #[error("the connection was lost")]
    Lost,
}
