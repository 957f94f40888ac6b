//! Sets of shards.

use serde::{Deserialize, Serialize};

/// A set of shards by index; 64 at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSet(u64);

impl ShardSet {
    /// More shards than this do not fit.
    pub const SHARDS_MAX: usize = 64;

    /// Puts a shard in.
    pub fn insert(&mut self, shard: usize) {
        self.0 |= 1 << shard;
    }

    /// Takes a shard out.
    pub fn remove(&mut self, shard: usize) {
        self.0 &= !(1 << shard);
    }

    /// Whether no shard is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for ShardSet {
    type Item = usize;

    /// Takes the lowest index out.
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let shard = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(shard)
    }
}
