//! Shared bytes on their way to another process: written once, however many wait for them.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Which of the pool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index(u32);

/// Bytes that are referred to by their place in the pool.
#[derive(Default)]
pub struct Pool {
    all: Vec<Bytes>,
    /// By address and length. The pool keeps all of them alive, so no address is used twice.
    known: HashMap<(usize, usize), Index>,
}

impl Pool {
    /// Adds bytes, unless the very same memory is there already.
    pub fn add(&mut self, bytes: &Bytes) -> Index {
        let place = (bytes.as_ptr() as usize, bytes.len());
        *self.known.entry(place).or_insert_with(|| {
            self.all.push(bytes.clone());
            Index(self.all.len() as u32 - 1)
        })
    }

    /// All of them, in the order of their indices.
    pub fn into_saved(self) -> Vec<Bytes> {
        self.all
    }
}

/// The same in the other process.
pub struct Restored(pub Vec<Bytes>);

impl Restored {
    /// The bytes of that place, shared.
    pub fn bytes(&self, index: Index) -> Option<Bytes> {
        self.0.get(index.0 as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_kept_once_and_shared_again() {
        let mut pool = Pool::default();
        let frame = Bytes::from(vec![1, 2, 3]);
        let first = pool.add(&frame);
        assert_eq!(pool.add(&frame.clone()), first);
        assert_ne!(pool.add(&frame.slice(1..)), first);
        assert_ne!(pool.add(&Bytes::from(vec![1, 2, 3])), first);
        let restored = Restored(pool.into_saved());
        assert_eq!(restored.0.len(), 3);
        assert_eq!(restored.bytes(first).as_deref(), Some(&[1, 2, 3][..]));
        assert_eq!(restored.bytes(Index(3)), None);
    }
}
