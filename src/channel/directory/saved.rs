//! A directory written down, and made of that again by the version of the program that takes over.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::{Directory, DirectoryLimits};
use crate::channel::budget::{Budgets, CrowdedOut};
use crate::channel::deadlines::Deadlines;
use crate::channel::namespace::Namespaces;
use crate::channel::patterns::Patterns;
use crate::channel::restore_error::{Fault, RestoreError, is_countable};
use crate::channel::stream::{Infos, Stream, are_below};
use crate::channel::{ChannelName, ShardSet};

/// All that a [`Directory`] knows. Not its rules: those are read again.
#[derive(Clone, Serialize, Deserialize)]
pub struct SavedDirectory {
    streams: Vec<(ChannelName, Stream)>,
    /// As in the directory, in its order.
    idle: Vec<(u64, ChannelName)>,
    patterns: Vec<(ChannelName, ShardSet)>,
    next_epoch: u64,
    crowded_out: CrowdedOut,
}

impl Directory {
    /// Writes everything down. Payloads are shared, not copied.
    #[must_use]
    pub fn save(&self) -> SavedDirectory {
        let streams = self.streams.iter();
        SavedDirectory {
            streams: streams
                .map(|(channel, stream)| (channel.clone(), stream.clone()))
                .collect(),
            idle: self.idle.iter().cloned().collect(),
            patterns: self.patterns.all(),
            next_epoch: self.next_epoch,
            crowded_out: self.budgets.crowded_out,
        }
    }

    /// The directory that was saved, on a server with so many shards and a clock that goes on. From then on it does exactly
    /// what the other would have done if these rules had been set for it at that moment ([`Directory::set_rules`]). Epochs
    /// are counted on, at least from `first_epoch`.
    ///
    /// # Errors
    /// [`RestoreError`] when what was saved does not hold together.
    pub fn restore(
        hasher: FixedState,
        namespaces: Arc<Namespaces>,
        limits: DirectoryLimits,
        first_epoch: u64,
        shards: usize,
        now_ms: u64,
        saved: SavedDirectory,
    ) -> Result<Self, RestoreError> {
        let streams = restored_streams(hasher, shards, saved.next_epoch, saved.streams)?;
        let mut restored = Self {
            used: streams.values().filter(|stream| stream.is_used()).count(),
            streams,
            idle: Default::default(),
            held: Deadlines::default(),
            budgets: Budgets::new(&namespaces, limits.history_bytes_max),
            namespaces: namespaces.clone(),
            limits,
            next_epoch: saved.next_epoch.max(first_epoch),
            patterns: Patterns::default(),
        };
        restored.budgets.crowded_out = saved.crowded_out;
        restored.restore_idle(saved.idle)?;
        restored.restore_patterns(shards, saved.patterns)?;
        // Counts histories and finds deadlines, too.
        restored.set_rules(now_ms, namespaces, limits);
        Ok(restored)
    }

    fn restore_idle(&mut self, idle: Vec<(u64, ChannelName)>) -> Result<(), RestoreError> {
        for (due_ms, channel) in idle {
            let stream = self.streams.get_mut(&channel);
            let stream = stream.ok_or_else(|| Fault::Missing.of_channel(&channel))?;
            if stream.queued {
                return Err(Fault::Twice.of_channel(&channel));
            }
            stream.queued = true;
            self.idle.push_back((due_ms, self.shared(channel)));
        }
        Ok(())
    }

    fn restore_patterns(
        &mut self,
        shards: usize,
        patterns: Vec<(ChannelName, ShardSet)>,
    ) -> Result<(), RestoreError> {
        for (pattern, set) in patterns {
            let is_known = Fault::Shard.unless(are_below(set, shards));
            is_known.map_err(|fault| fault.of_channel(&pattern))?;
            for shard in set {
                self.patterns.insert(&pattern, shard);
            }
        }
        Ok(())
    }

    /// The same name, sharing its text with the channel's.
    fn shared(&self, channel: ChannelName) -> ChannelName {
        match self.streams.get_key_value(&channel) {
            Some((shared, _)) => shared.clone(),
            None => channel,
        }
    }
}

fn restored_streams(
    hasher: FixedState,
    shards: usize,
    next_epoch: u64,
    saved: Vec<(ChannelName, Stream)>,
) -> Result<HashMap<ChannelName, Stream, FixedState>, RestoreError> {
    let mut streams = HashMap::with_capacity_and_hasher(saved.len(), hasher);
    let mut infos = Infos::default();
    for (channel, mut stream) in saved {
        let restored = stream.restored(shards, &mut infos);
        let counts = is_countable(next_epoch) && stream.epoch() < next_epoch;
        restored
            .and(Fault::Count.unless(counts))
            .and(Fault::Twice.unless(!streams.contains_key(&channel)))
            .map_err(|fault| fault.of_channel(&channel))?;
        streams.insert(channel, stream);
    }
    Ok(streams)
}

#[cfg(test)]
mod tests;
