//! What the histories of a shard's channels weigh together, by namespace and all in all, and which of them has
//! something to give up first.

use serde::{Deserialize, Serialize};

use super::ChannelName;
use super::deadlines::Deadlines;
use super::namespace::Namespaces;
use super::stream::Stream;

/// What one channel's history weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The [`Namespace::number`](super::Namespace::number) of its namespace.
    pub namespace: usize,
    /// Bytes.
    pub bytes: usize,
    /// When its oldest publication expires, in ms; `None` where it has none.
    pub expires_at_ms: Option<u64>,
}

/// Publications that were given up before their time, by the bound that they were over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrowdedOut {
    /// `history_bytes_max` of the namespace, which is for one channel.
    pub channel: u64,
    /// `histories_bytes_max` of the namespace, which is for all of its channels on the shard.
    pub namespace: u64,
    /// `limits.history_bytes_max`, which is for all channels of the shard.
    pub shard: u64,
}

/// See the module's documentation.
pub struct Budgets {
    all: Budget,
    /// By the namespaces' numbers; `None` for those without a bound of their own.
    namespaces: Vec<Option<Budget>>,
    /// Numbers of namespaces that are over their bounds.
    over: Vec<usize>,
    /// What the bounds have cost.
    pub crowded_out: CrowdedOut,
}

/// Histories that share a bound.
struct Budget {
    bytes: usize,
    bytes_max: usize,
    /// When the oldest publication of each history expires, or earlier: the oldest may have gone since.
    expiries: Deadlines,
}

impl Budgets {
    /// Of a shard without histories. `bytes_max` is for all of them.
    pub fn new(namespaces: &Namespaces, bytes_max: usize) -> Self {
        let mut budgets = Self {
            all: Budget::new(bytes_max),
            namespaces: Vec::new(),
            over: Vec::new(),
            crowded_out: CrowdedOut::default(),
        };
        budgets.begin_anew(namespaces, bytes_max);
        budgets
    }

    /// Forgets all histories, which are to be counted again by the rules that hold now. What the bounds have cost stays.
    pub fn begin_anew(&mut self, namespaces: &Namespaces, bytes_max: usize) {
        self.all = Budget::new(bytes_max);
        self.over.clear();
        self.namespaces.clear();
        for namespace in namespaces.all() {
            if namespace.histories_bytes_max > 0 {
                let wanted = self.namespaces.len().max(namespace.number + 1);
                self.namespaces.resize_with(wanted, || None);
                self.namespaces[namespace.number] =
                    Some(Budget::new(namespace.histories_bytes_max));
            }
        }
    }

    /// Takes note of a channel whose history may have changed; `before` is how many bytes were counted of it.
    pub fn count(&mut self, channel: &ChannelName, before: usize, stream: &mut Stream) {
        self.crowded_out.channel += u64::from(stream.take_crowded_out());
        let load = stream.load();
        self.all.count(channel, before, load);
        if let Some(budget) = self.of(load.namespace) {
            budget.count(channel, before, load);
            if budget.is_over() && !self.over.contains(&load.namespace) {
                self.over.push(load.namespace);
            }
        }
    }

    /// Bytes of all histories.
    pub fn bytes(&self) -> usize {
        self.all.bytes
    }

    /// When [`Budgets::take_due`] has a channel, in ms; seldom too early.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.all.expiries.next_ms()
    }

    /// Takes a channel whose history may have something to give up. It comes back by [`Budgets::count`].
    pub fn take_due(&mut self, now_ms: u64) -> Option<ChannelName> {
        self.all.expiries.take_due(now_ms)
    }

    /// Takes the channel that has to give up its oldest publication for a bound to be kept, if one is passed: the one whose
    /// would expire first. It comes back by [`Budgets::count`].
    pub fn take_crowded(
        &mut self,
        load_of: impl Fn(&ChannelName) -> Option<Load>,
    ) -> Option<ChannelName> {
        while let Some(&number) = self.over.last() {
            let budget = self.of(number).filter(|budget| budget.is_over());
            if let Some(channel) = budget.and_then(|budget| budget.take_first(&load_of)) {
                self.crowded_out.namespace += 1;
                return Some(channel);
            }
            self.over.pop();
        }
        if !self.all.is_over() {
            return None;
        }
        let channel = self.all.take_first(&load_of)?;
        self.crowded_out.shard += 1;
        Some(channel)
    }

    fn of(&mut self, number: usize) -> Option<&mut Budget> {
        self.namespaces.get_mut(number)?.as_mut()
    }
}

impl Budget {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes: 0,
            bytes_max,
            expiries: Deadlines::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.bytes > self.bytes_max
    }

    fn count(&mut self, channel: &ChannelName, before: usize, load: Load) {
        self.bytes = self.bytes + load.bytes - before;
        match load.expires_at_ms {
            Some(due_ms) => self.expiries.note(channel, due_ms),
            None if before > 0 => self.expiries.forget(channel),
            None => {}
        }
    }

    /// Takes the channel whose oldest publication expires first.
    fn take_first(
        &mut self,
        load_of: impl Fn(&ChannelName) -> Option<Load>,
    ) -> Option<ChannelName> {
        while let Some((noted_ms, channel)) = self.expiries.take_first() {
            match load_of(&channel).and_then(|load| load.expires_at_ms) {
                Some(due_ms) if due_ms > noted_ms => self.expiries.note(&channel, due_ms),
                Some(_) => return Some(channel),
                None => {}
            }
        }
        None
    }
}
