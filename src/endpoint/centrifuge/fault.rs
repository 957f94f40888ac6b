//! What becomes of a command that is not obeyed.

use std::fmt::Display;

use crate::centrifuge::{Disconnect, ErrorReply};

/// See the module's documentation.
#[derive(Debug)]
pub enum Fault {
    /// The reply says so, and the connection goes on.
    Reply(ErrorReply),
    /// The connection is closed; with more words than the protocol's where there are some.
    Close(Disconnect, Option<String>),
}

impl Fault {
    /// The client broke the protocol.
    pub fn bad_request(detail: impl Display) -> Self {
        Self::Close(Disconnect::BAD_REQUEST, Some(detail.to_string()))
    }
}

impl From<ErrorReply> for Fault {
    fn from(error: ErrorReply) -> Self {
        Self::Reply(error)
    }
}

impl From<Disconnect> for Fault {
    fn from(disconnect: Disconnect) -> Self {
        Self::Close(disconnect, None)
    }
}
