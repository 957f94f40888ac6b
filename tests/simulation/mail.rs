//! The mailboxes between shards and the control thread, as the reactor has them: two bounded
//! queues from each to each other, a flag for who waits for room, and a bell for who sleeps.

use std::collections::VecDeque;

use pushring::publication::{Begun, Missed, Recovery};
use pushring::shard::mail::{Delivery, QueueRequest, Request};

use super::plan::Sabotage;

struct Mailbox<T> {
    queue: VecDeque<T>,
    starved: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            starved: false,
        }
    }
}

impl<T> Mailbox<T> {
    fn has_room(&mut self, entries: usize) -> bool {
        let room = self.queue.len() < entries;
        self.starved |= !room;
        room
    }
}

/// All mailboxes of a world; the last peer is the control thread.
pub struct Mail {
    peers: usize,
    requests: Vec<Mailbox<Request>>,
    deliveries: Vec<Mailbox<Delivery>>,
    /// Who must be rung at to wake up.
    pub asleep: Vec<bool>,
    /// How often a mailbox was found full.
    pub times_full: u64,
    sabotage: Option<Sabotage>,
    /// Mail until the next act of sabotage.
    until_sabotage: usize,
    /// How often there was one.
    pub sabotaged: u64,
    /// Messages of queues for consumers on other shards.
    pub handed: u64,
}

impl Mail {
    pub fn new(shards: usize, sabotage: Option<Sabotage>) -> Self {
        let peers = shards + 1;
        Self {
            peers,
            requests: (0..peers * peers).map(|_| Mailbox::default()).collect(),
            deliveries: (0..peers * peers).map(|_| Mailbox::default()).collect(),
            asleep: vec![false; peers],
            times_full: 0,
            sabotage,
            // Of some kinds there is less mail.
            until_sabotage: match sabotage {
                Some(Sabotage::DropDelivery | Sabotage::RepeatDelivery) => 20,
                Some(
                    Sabotage::DropRecovered
                    | Sabotage::RepeatRecovered
                    | Sabotage::ForgeGap
                    | Sabotage::HideGap,
                ) => 1,
                _ => 5,
            },
            sabotaged: 0,
            handed: 0,
        }
    }

    pub fn peers_of(&self, own: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.peers).filter(move |&peer| peer != own)
    }

    pub fn is_empty(&self) -> bool {
        self.requests.iter().all(|b| b.queue.is_empty())
            && self.deliveries.iter().all(|b| b.queue.is_empty())
    }

    pub fn has_room_for_request(&mut self, from: usize, to: usize, entries: usize) -> bool {
        let room = self.requests[from * self.peers + to].has_room(entries);
        self.times_full += u64::from(!room);
        room
    }

    pub fn has_room_for_delivery(&mut self, from: usize, to: usize, entries: usize) -> bool {
        let room = self.deliveries[from * self.peers + to].has_room(entries);
        self.times_full += u64::from(!room);
        room
    }

    pub fn send_request(&mut self, from: usize, to: usize, request: Request) {
        if self.is_lost(&request) {
            return;
        }
        self.requests[from * self.peers + to]
            .queue
            .push_back(request);
    }

    pub fn send_delivery(&mut self, from: usize, to: usize, mut delivery: Delivery) {
        let act = self.is_target(&delivery);
        self.handed += u64::from(matches!(delivery, Delivery::Handed(_)));
        let queue = &mut self.deliveries[from * self.peers + to].queue;
        match self.sabotage.filter(|_| act) {
            Some(Sabotage::DropDelivery | Sabotage::DropHanded | Sabotage::DropAnswer) => {}
            Some(Sabotage::RepeatDelivery | Sabotage::RepeatAnswer | Sabotage::RepeatHanded) => {
                queue.push_back(delivery.clone());
                queue.push_back(delivery);
            }
            Some(Sabotage::SwapDeliveries | Sabotage::SwapHanded) if !queue.is_empty() => {
                queue.insert(queue.len() - 1, delivery);
            }
            Some(sabotage) => {
                forge(&mut delivery, sabotage);
                queue.push_back(delivery);
            }
            None => queue.push_back(delivery),
        }
    }

    pub fn take_request(&mut self, from: usize, to: usize) -> Option<Request> {
        self.requests[from * self.peers + to].queue.pop_front()
    }

    pub fn take_delivery(&mut self, from: usize, to: usize) -> Option<Delivery> {
        self.deliveries[from * self.peers + to].queue.pop_front()
    }

    pub fn has_request(&self, from: usize, to: usize) -> bool {
        !self.requests[from * self.peers + to].queue.is_empty()
    }

    pub fn has_delivery(&self, from: usize, to: usize) -> bool {
        !self.deliveries[from * self.peers + to].queue.is_empty()
    }

    pub fn ring(&mut self, peer: usize) {
        // Whoever is awake looks for mail before falling asleep.
        self.asleep[peer] = false;
    }

    /// Rings at a peer that waits for room in what `own` has just taken from.
    pub fn ring_if_starved(&mut self, own: usize, peer: usize) {
        let index = peer * self.peers + own;
        let starved = std::mem::take(&mut self.requests[index].starved)
            | std::mem::take(&mut self.deliveries[index].starved);
        if starved && self.sabotage != Some(Sabotage::ForgetRoom) {
            self.ring(peer);
        } else if starved {
            self.sabotaged += 1;
        }
    }

    /// Whether sabotage strikes this delivery.
    fn is_target(&mut self, delivery: &Delivery) -> bool {
        let fits = match self.sabotage {
            Some(Sabotage::DropDelivery | Sabotage::RepeatDelivery | Sabotage::SwapDeliveries) => {
                matches!(delivery, Delivery::Publication { .. })
            }
            Some(Sabotage::RepeatAnswer | Sabotage::DropAnswer) => {
                matches!(delivery, Delivery::Published { .. })
            }
            Some(Sabotage::DropHanded | Sabotage::RepeatHanded | Sabotage::SwapHanded) => {
                matches!(delivery, Delivery::Handed(_))
            }
            Some(Sabotage::DropRecovered | Sabotage::RepeatRecovered) => {
                matches!(recovery_of(delivery), Some(Recovery::Whole(missed)) if !missed.is_empty())
            }
            Some(Sabotage::ForgeGap) => {
                matches!(recovery_of(delivery), Some(Recovery::Whole(_)))
            }
            Some(Sabotage::HideGap) => matches!(recovery_of(delivery), Some(Recovery::Gap)),
            _ => false,
        };
        fits && self.strikes()
    }

    /// Whether sabotage strikes this request.
    fn is_lost(&mut self, request: &Request) -> bool {
        let is_settlement = matches!(request, Request::Queue { request, .. }
            if matches!(**request, QueueRequest::Settle { .. }));
        self.sabotage == Some(Sabotage::DropSettle) && is_settlement && self.strikes()
    }

    fn strikes(&mut self) -> bool {
        self.until_sabotage = self.until_sabotage.saturating_sub(1);
        if self.until_sabotage > 0 {
            return false;
        }
        self.until_sabotage = 10;
        self.sabotaged += 1;
        true
    }
}

/// What an owner says that a subscriber has missed.
fn recovery_of(delivery: &Delivery) -> Option<&Recovery> {
    match delivery {
        Delivery::Subscribed {
            result: Ok(begun), ..
        } => Some(&begun.recovery),
        _ => None,
    }
}

/// Makes something else of what a subscriber has missed.
fn forge(delivery: &mut Delivery, sabotage: Sabotage) {
    let Delivery::Subscribed {
        result: Ok(Begun { recovery, .. }),
        ..
    } = delivery
    else {
        return;
    };
    *recovery = match (sabotage, &*recovery) {
        (Sabotage::DropRecovered, Recovery::Whole(missed)) => {
            let (shared, from) = missed.shared();
            Recovery::Whole(Missed::new(shared.clone(), from + 1))
        }
        (Sabotage::RepeatRecovered, Recovery::Whole(missed)) => {
            let all = missed.iter().take(1).chain(missed.iter());
            Recovery::Whole(Missed::new(all.cloned().collect(), 0))
        }
        (Sabotage::ForgeGap, _) => Recovery::Gap,
        _ => Recovery::Whole(Missed::new([].into(), 0)),
    };
}
