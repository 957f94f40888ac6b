//! Transactions: frames that take effect together, at COMMIT.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::destination::{Destination, excerpt};
use super::error::ErrorReply;
use super::settings::Settings;
use super::subscription::Unsettled;
use crate::channel::Verdict;
use crate::publication::Kind;

/// A message to be sent.
#[derive(Serialize, Deserialize)]
pub struct Outgoing {
    pub destination: Destination,
    pub kind: Kind,
    /// Header lines of its publisher's.
    pub headers: Bytes,
    pub payload: Bytes,
}

/// What a frame within a transaction will do.
#[derive(Serialize, Deserialize)]
pub enum Action {
    Send(Outgoing),
    Settle(Unsettled, Verdict),
}

impl Action {
    /// Bytes that it is counted with.
    fn bytes(&self) -> usize {
        let more = match self {
            Self::Send(outgoing) => outgoing.headers.len() + outgoing.payload.len(),
            Self::Settle(..) => 0,
        };
        size_of::<Self>() + more
    }
}

/// A connection's open transactions.
#[derive(Default, Serialize, Deserialize)]
pub struct Transactions {
    open: Vec<(Box<str>, Vec<Action>)>,
    /// Counted anew when they are restored.
    #[serde(skip)]
    bytes: usize,
}

impl Transactions {
    /// Counts what is open, which has just been read.
    pub fn restored(&mut self) {
        let actions = self.open.iter().flat_map(|(_, actions)| actions);
        self.bytes = actions.map(Action::bytes).sum();
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// BEGIN.
    pub fn begin(&mut self, name: &str, settings: &Settings) -> Result<(), ErrorReply> {
        if self.open.iter().any(|(open, _)| **open == *name) {
            return Err(ErrorReply::new(
                format!("transaction \"{}\" has begun already", excerpt(name)),
                "Give every transaction of the connection a name of its own.",
            ));
        }
        let max = settings.transactions_max;
        if self.open.len() >= max {
            return Err(ErrorReply::new(
                format!("over {max} transactions at one time (stomp.transactions_max)"),
                "Commit or abort one before the next is begun.",
            ));
        }
        self.open.push((name.into(), Vec::new()));
        Ok(())
    }

    /// A frame of a transaction.
    pub fn add(
        &mut self,
        name: &str,
        action: Action,
        settings: &Settings,
    ) -> Result<(), ErrorReply> {
        let bytes = self.bytes + action.bytes();
        let at = self.find(name)?;
        let actions = &mut self.open[at].1;
        let max = settings.transaction_frames_max;
        if actions.len() >= max {
            return Err(ErrorReply::new(
                format!(
                    "transaction \"{}\" has over {max} frames (stomp.transaction_frames_max)",
                    excerpt(name)
                ),
                "Commit sooner.",
            ));
        }
        let max = settings.transaction_bytes_max;
        if bytes > max {
            return Err(ErrorReply::new(
                format!("over {max} bytes in open transactions (stomp.transaction_bytes_max)"),
                "Commit sooner.",
            ));
        }
        self.bytes = bytes;
        actions.push(action);
        Ok(())
    }

    /// COMMIT or ABORT: what was to be done.
    pub fn end(&mut self, name: &str) -> Result<Vec<Action>, ErrorReply> {
        let at = self.find(name)?;
        let (_, actions) = self.open.swap_remove(at);
        self.bytes -= actions.iter().map(Action::bytes).sum::<usize>();
        Ok(actions)
    }

    fn find(&self, name: &str) -> Result<usize, ErrorReply> {
        let at = self.open.iter().position(|(open, _)| **open == *name);
        at.ok_or_else(|| {
            ErrorReply::new(
                format!("unknown transaction \"{}\"", excerpt(name)),
                "Send BEGIN with that name first.",
            )
        })
    }
}
