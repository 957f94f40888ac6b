//! The users whose connections a shard has. A connection that nobody has said a user of costs nothing here.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::FixedState;

use crate::endpoint::Addressee;
use crate::table::Key;

/// Connections by their users.
#[derive(Debug)]
pub struct Users {
    connections: HashMap<Arc<str>, Vec<Key>, FixedState>,
    /// By slot: whose the connection is and what its client is called.
    identities: HashMap<u32, Identity, FixedState>,
}

#[derive(Debug)]
struct Identity {
    key: Key,
    user: Arc<str>,
    client: Box<str>,
    /// Where the connection stands in its user's list, so that one of very many leaves as quickly as one of few.
    position: u32,
}

impl Users {
    pub fn new(hasher: FixedState) -> Self {
        Self {
            connections: HashMap::with_hasher(hasher.clone()),
            identities: HashMap::with_hasher(hasher),
        }
    }

    /// Notes whose a connection is, in place of what was noted before. A user without a name is none.
    pub fn identify(&mut self, key: Key, user: &str, client: &str) {
        self.forget(key);
        if user.is_empty() {
            return;
        }
        let user = match self.connections.get_key_value(user) {
            Some((known, _)) => known.clone(),
            None => Arc::from(user),
        };
        let keys = self.connections.entry(user.clone()).or_default();
        let position = keys.len() as u32;
        keys.push(key);
        let identity = Identity {
            key,
            user,
            client: client.into(),
            position,
        };
        self.identities.insert(key.slot, identity);
    }

    /// Whose a connection is, and what its client is called.
    pub fn identity(&self, key: Key) -> Option<(&str, &str)> {
        let known = self.identities.get(&key.slot)?;
        (known.key == key).then_some((&*known.user, &*known.client))
    }

    /// Forgets a connection.
    pub fn forget(&mut self, key: Key) {
        if self
            .identities
            .get(&key.slot)
            .is_none_or(|known| known.key != key)
        {
            return;
        }
        let Some(Identity { user, position, .. }) = self.identities.remove(&key.slot) else {
            return;
        };
        let Some(keys) = self.connections.get_mut(&user) else {
            return;
        };
        let at = position as usize;
        keys.swap_remove(at);
        if let Some(moved) = keys.get(at) {
            if let Some(identity) = self.identities.get_mut(&moved.slot) {
                identity.position = position;
            }
        } else if keys.is_empty() {
            self.connections.remove(&user);
        }
    }

    /// The connections that somebody means. `session` gives a connection's name as a text.
    pub fn find(&self, addressee: &Addressee, session: impl Fn(Key) -> String) -> Vec<Key> {
        let Some(keys) = self.connections.get(&*addressee.user) else {
            return Vec::new();
        };
        let is_meant = |key: &Key| {
            let Some(identity) = self.identities.get(&key.slot) else {
                return false;
            };
            let client = &identity.client;
            addressee
                .client
                .as_ref()
                .is_none_or(|meant| meant == client)
                && !addressee.except.contains(client)
                && addressee
                    .session
                    .as_ref()
                    .is_none_or(|meant| **meant == session(*key))
        };
        keys.iter().copied().filter(is_meant).collect()
    }

    /// What the names of all of them hash to.
    pub fn hashes(&self, hasher: &FixedState) -> impl Iterator<Item = u64> {
        self.connections.keys().map(|user| hasher.hash_one(user))
    }

    /// Users who have connections here.
    pub fn len(&self) -> usize {
        self.connections.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users::new(FixedState::with_seed(1))
    }

    fn key(slot: u32) -> Key {
        Key {
            slot,
            generation: 0,
        }
    }

    fn slots(users: &Users, addressee: &Addressee) -> Vec<u32> {
        let found = users.find(addressee, |key| format!("s{}", key.slot));
        let mut slots: Vec<u32> = found.into_iter().map(|key| key.slot).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_user_is_all_its_connections_or_those_that_are_meant() {
        let mut users = users();
        for (slot, user, client) in [(1, "ann", "a1"), (2, "bob", "b1"), (3, "ann", "a2")] {
            users.identify(key(slot), user, client);
        }
        let ann = Addressee::user("ann");
        assert_eq!(slots(&users, &ann), [1, 3]);
        let client = |client: &str| Addressee {
            client: Some(client.into()),
            ..ann.clone()
        };
        assert_eq!(slots(&users, &client("a2")), [3]);
        assert_eq!(slots(&users, &client("b1")), [0; 0]);
        let session = Addressee {
            session: Some("s1".into()),
            ..ann.clone()
        };
        assert_eq!(slots(&users, &session), [1]);
        let except = Addressee {
            except: ["a1".into()].into(),
            ..ann.clone()
        };
        assert_eq!(slots(&users, &except), [3]);
        assert_eq!(slots(&users, &Addressee::user("eve")), [0; 0]);
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn who_says_it_again_is_the_last_it_said_and_who_goes_is_nobody() {
        let mut users = users();
        users.identify(key(1), "ann", "a");
        users.identify(key(1), "bob", "b");
        assert_eq!(slots(&users, &Addressee::user("ann")), [0; 0]);
        assert_eq!(slots(&users, &Addressee::user("bob")), [1]);
        users.identify(key(1), "", "b");
        assert_eq!(users.len(), 0);
        users.identify(key(2), "ann", "a");
        users.forget(Key {
            slot: 2,
            generation: 1,
        });
        assert_eq!(slots(&users, &Addressee::user("ann")), [2]);
        users.forget(key(2));
        assert_eq!((users.len(), users.identities.len()), (0, 0));
    }

    #[test]
    fn connections_of_one_user_leave_in_any_order() {
        let mut users = users();
        let mut there: Vec<u32> = (0..50).collect();
        for slot in &there {
            users.identify(key(*slot), "ann", "a");
        }
        for round in 0..50 {
            let gone = there.remove(round * 7 % there.len());
            users.forget(key(gone));
            assert_eq!(slots(&users, &Addressee::user("ann")), there);
        }
        assert_eq!((users.len(), users.identities.len()), (0, 0));
    }
}
