//! A stream that was written down and read again.

use std::collections::HashSet;
use std::sync::Arc;

use super::Stream;
use crate::channel::ShardSet;
use crate::channel::restore_error::{Fault, is_countable};
use crate::publication::ClientInfo;

/// Who clients are, each kept once: what is read has a copy wherever it was named.
#[derive(Default)]
pub struct Infos(HashSet<Arc<ClientInfo>>);

impl Stream {
    /// Makes a stream whole that has just been read, on a server with so many shards; or says why it cannot be.
    /// It stands in no queue yet.
    pub fn restored(&mut self, shards: usize, infos: &mut Infos) -> Result<(), Fault> {
        self.queued = false;
        Fault::Count.unless(is_countable(self.position.offset))?;
        Fault::Shard.unless(are_below(self.interested, shards))?;
        if let Some(kept) = &mut self.kept {
            kept.history.restored(self.position)?;
            let publications = kept.history.publications_mut();
            publications
                .flat_map(|publication| &mut publication.publisher)
                .for_each(|publisher| infos.share(publisher));
        }
        if let Some(counted) = &mut self.counted {
            Fault::Shard.unless(counted.members.ids().all(|id| id.shard < shards))?;
            counted
                .members
                .infos_mut()
                .for_each(|info| infos.share(info));
        }
        Ok(())
    }

    /// Names the stream.
    pub fn epoch(&self) -> u64 {
        self.position.epoch
    }
}

/// Whether all shards of a set are of a server with so many.
pub fn are_below(mut set: ShardSet, shards: usize) -> bool {
    set.all(|shard| shard < shards)
}

impl Infos {
    fn share(&mut self, info: &mut Arc<ClientInfo>) {
        match self.0.get(info) {
            Some(known) => *info = known.clone(),
            None => {
                self.0.insert(info.clone());
            }
        }
    }
}
