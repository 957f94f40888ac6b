//! The subscriptions of a connection: most have one, which needs no memory of its own.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use super::subscribing::Subscription;

/// In the order in which they were asked for.
#[derive(Serialize, Deserialize)]
pub enum Subscriptions {
    One(Subscription),
    /// Or none.
    Many(Vec<Subscription>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Subscriptions {
    pub fn push(&mut self, subscription: Subscription) {
        *self = match std::mem::take(self) {
            Self::One(first) => Self::Many(vec![first, subscription]),
            Self::Many(all) if all.is_empty() => Self::One(subscription),
            Self::Many(mut all) => {
                all.push(subscription);
                Self::Many(all)
            }
        };
    }

    /// Takes the one of that number out, which the shard has given it.
    pub fn take(&mut self, number: u32) -> Option<Subscription> {
        let at = self.iter().position(|one| one.number == number)?;
        match self {
            Self::One(_) => match std::mem::take(self) {
                Self::One(one) => Some(one),
                Self::Many(_) => None,
            },
            Self::Many(all) => Some(all.remove(at)),
        }
    }
}

impl Deref for Subscriptions {
    type Target = [Subscription];

    fn deref(&self) -> &[Subscription] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }
}

impl DerefMut for Subscriptions {
    fn deref_mut(&mut self) -> &mut [Subscription] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encoding::CentrifugeForm;

    fn numbers(subscriptions: &Subscriptions) -> Vec<u32> {
        subscriptions.iter().map(|one| one.number).collect()
    }

    #[test]
    fn none_one_and_many_are_kept_in_their_order() {
        let mut all = Subscriptions::default();
        assert!(all.is_empty() && all.take(1).is_none());
        for number in 1..=3 {
            all.push(Subscription {
                form: Arc::new(CentrifugeForm::new("a")),
                number,
                by_server: false,
                more: None,
            });
            assert_eq!(numbers(&all), (1..=number).collect::<Vec<_>>());
        }
        for (number, left) in [(2, vec![1, 3]), (1, vec![3]), (3, vec![])] {
            assert_eq!(all.take(number).map(|one| one.number), Some(number));
            assert_eq!(numbers(&all), left);
            assert!(all.take(number).is_none());
        }
        all.push(Subscription {
            form: Arc::new(CentrifugeForm::new("a")),
            number: 4,
            by_server: false,
            more: None,
        });
        assert_eq!(all.take(4).map(|one| one.number), Some(4));
        assert!(all.is_empty());
    }
}
