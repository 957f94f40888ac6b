//! Subscriptions to all channels that fit a pattern: every shard may own some, so every one is asked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::mail::{Request, Ticket};
use super::{ConnectionId, Shard};
use crate::channel::{ChannelName, Refused};
use crate::publication::{Begun, Position, Recovery};

/// Subscriptions that some shard has not answered for yet.
pub type PendingPatterns = HashMap<Ticket, Pending>;

/// One of them.
pub struct Pending {
    /// Shards that have not answered.
    left: usize,
    refused: Option<Refused>,
    /// Whether it has asked for what was published before, which patterns cannot have.
    wants_past: bool,
}

impl Shard {
    /// Asks every shard to count this one in.
    pub(super) fn subscribe_pattern(
        &mut self,
        now_ms: u64,
        pattern: &ChannelName,
        ticket: Ticket,
        wants_past: bool,
    ) {
        let pending = Pending {
            left: self.identity.shards,
            refused: None,
            wants_past,
        };
        self.pending_patterns.insert(ticket, pending);
        for owner in 0..self.identity.shards {
            let pattern = pattern.clone();
            self.ask(now_ms, owner, Request::SubscribePattern { pattern, ticket });
        }
    }

    /// Tells every shard that nobody here is subscribed to it any more.
    pub(super) fn leave_pattern(&mut self, now_ms: u64, pattern: &ChannelName) {
        for owner in 0..self.identity.shards {
            let pattern = pattern.clone();
            self.ask(now_ms, owner, Request::LeavePattern { pattern });
        }
    }

    /// A shard has answered. When all have, the subscription begins.
    pub(super) fn handle_pattern_noted(
        &mut self,
        now_ms: u64,
        ticket: Ticket,
        result: Result<(), Refused>,
    ) {
        let Entry::Occupied(mut entry) = self.pending_patterns.entry(ticket) else {
            return;
        };
        let pending = entry.get_mut();
        pending.left -= 1;
        if let Err(refused) = result {
            pending.refused.get_or_insert(refused);
        }
        if pending.left > 0 {
            return;
        }
        let pending = entry.remove();
        let result = match pending.refused {
            Some(refused) => Err(refused),
            None => Ok(Begun {
                position: Position {
                    epoch: 0,
                    offset: 0,
                },
                recovery: match pending.wants_past {
                    true => Recovery::Gap,
                    false => Recovery::Unasked,
                },
                recoverable: false,
            }),
        };
        let id = ConnectionId::from_bits(ticket.asker);
        self.handle_subscribed(now_ms, id, ticket.subscription, result, false);
    }
}
