//! The ledger against an oracle that counts in the plainest way there is.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const ONE: Plan = Plan { all: 1, each: 1 };

fn stamp(channel: u32, sequence: u64) -> Stamp {
    Stamp {
        channel,
        sequence,
        due_ns: 0,
    }
}

/// What one subscriber saw of `published` messages.
fn naive(received: &[u64], published: u64) -> Counts {
    let mut seen = HashSet::new();
    let mut counts = Counts::default();
    for &sequence in received {
        if sequence >= published {
            counts.foreign += 1;
        } else if seen.contains(&sequence) {
            counts.doubled += 1;
        } else {
            counts.reordered += u64::from(seen.iter().any(|&earlier| earlier > sequence));
            counts.delivered += 1;
            seen.insert(sequence);
        }
    }
    counts.lost = published - counts.delivered;
    counts
}

proptest! {
    #[test]
    fn counts_lost_doubled_reordered_and_foreign_exactly(
        streams in prop::collection::vec(prop::collection::vec(0_u64..24, 0..60), 1..4),
    ) {
        let published = 20;
        let mut ledger = Ledger::new(ONE);
        let mut expected = Counts::default();
        for (number, received) in streams.iter().enumerate() {
            let index = ledger.subscribe(number as u32);
            expected += naive(received, published);
            for &sequence in received {
                ledger.deliver(index, stamp(0, sequence), published);
            }
        }
        prop_assert_eq!(ledger.settle(|_| published), expected);
    }

    /// Nobody is waited for who has passed, left, or has not begun.
    #[test]
    fn everywhere_is_the_slowest_of_those_that_are_waited_for(
        steps in prop::collection::vec((0_usize..8, 0_u64..4, 0_u8..12), 0..120),
    ) {
        let mut ledger = Ledger::new(ONE);
        // The next of each who is waited for.
        let mut next: Vec<Option<u64>> = (0..4).map(|number| {
            ledger.subscribe(number);
            Some(0)
        }).collect();
        let mut begun = vec![true; 4];
        for (who, by, what) in steps {
            match what {
                0 if next.len() < 8 => {
                    ledger.subscribe_late(next.len() as u32);
                    next.push(None);
                    begun.push(false);
                }
                1 if who < next.len() && next.iter().flatten().count() > 1 => {
                    ledger.excuse(who as u32);
                    if next[who].take().is_some() {
                        begun[who] = true;
                    }
                }
                _ => {
                    let Some(place) = next.get(who).copied() else { continue };
                    if begun[who] && place.is_none() {
                        continue;
                    }
                    let begins = place.unwrap_or_else(|| ledger.everywhere());
                    ledger.deliver(who as u32, stamp(0, begins + by), u64::MAX - 1);
                    next[who] = Some(begins + by + 1);
                    begun[who] = true;
                }
            }
            let slowest = next.iter().flatten().min().copied().unwrap();
            prop_assert_eq!(ledger.everywhere(), slowest);
        }
    }
}

#[test]
fn what_is_lost_does_not_keep_the_others_waiting() {
    let mut ledger = Ledger::new(ONE);
    let (first, second) = (ledger.subscribe(0), ledger.subscribe(1));
    for sequence in 0..4 {
        ledger.deliver(first, stamp(0, sequence), 4);
    }
    assert_eq!(ledger.everywhere(), 0);
    ledger.deliver(second, stamp(0, 3), 4);
    assert_eq!(ledger.everywhere(), 4);
    assert!(ledger.is_complete(|_| 4));
    assert_eq!(ledger.settle(|_| 4).lost, 3);
    ledger.deliver(second, stamp(0, 1), 4);
    let counts = ledger.settle(|_| 4);
    assert_eq!((counts.lost, counts.reordered), (2, 1));
}

#[test]
fn a_closed_connection_is_not_waited_for_and_what_it_missed_is_lost() {
    let mut ledger = Ledger::new(ONE);
    let (first, second) = (ledger.subscribe(0), ledger.subscribe(1));
    ledger.deliver(first, stamp(0, 0), 2);
    ledger.close(second);
    assert_eq!(ledger.everywhere(), 1);
    ledger.deliver(first, stamp(0, 1), 2);
    let counts = ledger.settle(|_| 2);
    assert_eq!((counts.lost, counts.closed, counts.delivered), (2, 1, 2));
}

#[test]
fn a_channel_that_one_is_not_on_is_foreign() {
    let plan = Plan { all: 100, each: 20 };
    let mut ledger = Ledger::new(plan);
    let index = ledger.subscribe(90);
    let channels = plan.channels_of(90);
    assert_eq!((channels[0], channels[19]), (90, 9));
    for channel in 0..101 {
        let is_on = channels.contains(&channel);
        assert_eq!(
            ledger.deliver(index, stamp(channel, 0), 1),
            is_on,
            "{channel}"
        );
    }
    let counts = ledger.settle(|_| 1);
    assert_eq!((counts.delivered, counts.foreign, counts.lost), (20, 81, 0));
}

#[test]
fn one_who_comes_late_owes_what_follows_its_first_message() {
    let mut ledger = Ledger::new(ONE);
    let first = ledger.subscribe(0);
    for sequence in 0..10 {
        ledger.deliver(first, stamp(0, sequence), 20);
    }
    let late = ledger.subscribe_late(1);
    for sequence in [7, 8, 10] {
        ledger.deliver(late, stamp(0, sequence), 20);
    }
    assert_eq!(ledger.everywhere(), 10);
    ledger.forget(late);
    ledger.forget(first);
    let counts = ledger.settle(|_| 20);
    assert_eq!((counts.lost, counts.delivered), (1, 13));
    assert_eq!(ledger.everywhere(), u64::MAX);
}
