//! What may be asked of a channel's owner, and what it answers.

use std::sync::Arc;

use super::Refused;
use crate::publication::{ClientInfo, Position, Publication};

/// A question about a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What is kept of its stream.
    History {
        /// Only what came behind that place, or with `reverse` before it.
        since: Option<Position>,
        /// So many publications at the most; all where none is given.
        limit: Option<usize>,
        /// The newest first.
        reverse: bool,
    },
    /// Give up what is kept; whoever is behind cannot recover any more.
    RemoveHistory,
    /// Who is subscribed.
    Presence,
    /// How many are.
    PresenceStats,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::History`].
    History {
        /// Where the stream stands.
        position: Position,
        /// In the order asked for.
        publications: Vec<Publication>,
    },
    /// The history that was asked for is of another stream than the one that stands there.
    Unrecoverable(Position),
    /// To [`Question::RemoveHistory`].
    Removed,
    /// To [`Question::Presence`]; in no order.
    Presence(Arc<[Arc<ClientInfo>]>),
    /// To [`Question::PresenceStats`].
    PresenceStats {
        /// Subscriptions.
        clients: usize,
        /// Different users among them.
        users: usize,
    },
    /// The channel's namespace does not keep that.
    NotKept,
    /// The owner cannot say.
    Refused(Refused),
}
