//! Who is subscribed to a channel, for channels that want to know: presence, and a bound on subscribers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::publication::ClientInfo;

/// A subscription as the channel's owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberId {
    /// Its shard.
    pub shard: usize,
    /// Its connection there, as a number.
    pub asker: u64,
    /// Which of the connection's subscriptions.
    pub subscription: u32,
}

/// The subscriptions of a channel that are kept one by one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Members {
    all: HashMap<MemberId, Option<Arc<ClientInfo>>, FixedState>,
    /// All that have told who they are, made for the last who asked; gone with the next change.
    #[serde(skip)]
    shared: Option<Arc<[Arc<ClientInfo>]>>,
}

impl Members {
    /// Subscriptions.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The subscriptions, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &MemberId> {
        self.all.keys()
    }

    /// Who they have told they are, in no order.
    pub fn infos_mut(&mut self) -> impl Iterator<Item = &mut Arc<ClientInfo>> {
        self.shared = None;
        self.all.values_mut().flatten()
    }

    /// Notes a subscription. Whether it is a new one.
    pub fn insert(&mut self, id: MemberId, info: Option<Arc<ClientInfo>>) -> bool {
        self.shared = None;
        self.all.insert(id, info).is_none()
    }

    /// Takes a subscription out: who it was, if it was there and had told that.
    pub fn remove(&mut self, id: &MemberId) -> Option<Arc<ClientInfo>> {
        let info = self.all.remove(id)?;
        self.shared = None;
        info
    }

    /// Takes all of a shard out.
    pub fn remove_shard(&mut self, shard: usize) {
        self.shared = None;
        self.all.retain(|id, _| id.shard != shard);
    }

    /// All who have told who they are, in no order; shared by all who ask until somebody comes or leaves.
    pub fn infos(&mut self) -> Arc<[Arc<ClientInfo>]> {
        let shared = self
            .shared
            .get_or_insert_with(|| self.all.values().flatten().cloned().collect());
        shared.clone()
    }

    /// How many have told who they are, and how many different users those are. Anonymous ones are one
    /// user.
    pub fn stats(&self) -> (usize, usize) {
        let infos = self.all.values().flatten();
        let users: HashSet<&str> = infos.clone().map(|info| &*info.user).collect();
        (infos.count(), users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(asker: u64) -> MemberId {
        MemberId {
            shard: asker as usize % 2,
            asker,
            subscription: 0,
        }
    }

    fn info(client: &str, user: &str) -> Option<Arc<ClientInfo>> {
        Some(Arc::new(ClientInfo {
            client: client.into(),
            user: user.into(),
            ..ClientInfo::default()
        }))
    }

    #[test]
    fn members_are_counted_by_connection_and_by_user() {
        let mut members = Members::default();
        assert!(members.insert(id(1), info("a", "ann")));
        assert!(members.insert(id(2), info("b", "ann")));
        assert!(members.insert(id(3), info("c", "bob")));
        assert!(members.insert(id(4), None));
        assert!(!members.insert(id(1), info("a", "ann")));
        assert_eq!((members.len(), members.stats()), (4, (3, 2)));
        assert_eq!(members.infos().len(), 3);
        assert!(Arc::ptr_eq(&members.infos(), &members.infos()));
        assert_eq!(members.remove(&id(3)), info("c", "bob"));
        assert_eq!(members.remove(&id(3)), None);
        assert_eq!(members.remove(&id(4)), None);
        assert_eq!((members.infos().len(), members.stats()), (2, (2, 1)));
        members.remove_shard(1);
        assert_eq!(members.len(), 1);
    }
}
