//! Mail on its way out: what the mailboxes have not taken yet.

use std::collections::VecDeque;

use super::mail::{Delivery, Request};

/// One queue of each kind for every peer; bounded by those who ask [`Post::is_congested`] before
/// they cause more.
pub struct Post {
    requests: Vec<VecDeque<Request>>,
    deliveries: Vec<VecDeque<Delivery>>,
    entries_max: usize,
}

impl Post {
    /// Queues towards `peers` peers, the shards and last the control thread; one is congested while it holds `entries_max` or more.
    pub fn new(peers: usize, entries_max: usize) -> Self {
        Self {
            requests: (0..peers).map(|_| VecDeque::new()).collect(),
            deliveries: (0..peers).map(|_| VecDeque::new()).collect(),
            entries_max,
        }
    }

    /// Sends a request to a peer.
    pub fn request(&mut self, peer: usize, request: Request) {
        self.requests[peer].push_back(request);
    }

    /// Sends a delivery to a peer.
    pub fn deliver(&mut self, peer: usize, delivery: Delivery) {
        self.deliveries[peer].push_back(delivery);
    }

    /// The next request for a peer.
    pub fn take_request(&mut self, peer: usize) -> Option<Request> {
        self.requests[peer].pop_front()
    }

    /// The next delivery for a peer.
    pub fn take_delivery(&mut self, peer: usize) -> Option<Delivery> {
        self.deliveries[peer].pop_front()
    }

    /// Whether a request waits for that peer.
    pub fn has_request_for(&self, peer: usize) -> bool {
        !self.requests[peer].is_empty()
    }

    /// Whether a delivery waits for that peer.
    pub fn has_delivery_for(&self, peer: usize) -> bool {
        !self.deliveries[peer].is_empty()
    }

    /// Whether connections whose commands cause requests should be read no further.
    pub fn is_congested(&self) -> bool {
        self.requests.iter().any(|q| q.len() >= self.entries_max) || !self.takes_deliveries()
    }

    /// Whether that peer's requests may be taken: what they cause has room.
    ///
    /// The control thread, the last peer, holds back nobody's requests but its own.
    pub fn takes_requests_of(&self, peer: usize) -> bool {
        self.takes_deliveries() && self.deliveries[peer].len() < self.entries_max
    }

    fn takes_deliveries(&self) -> bool {
        let shards = self.deliveries.len() - 1;
        self.deliveries[..shards]
            .iter()
            .all(|q| q.len() < self.entries_max)
    }

    /// Mail that waits, for the metrics.
    pub fn depth(&self) -> usize {
        let requests: usize = self.requests.iter().map(VecDeque::len).sum();
        let deliveries: usize = self.deliveries.iter().map(VecDeque::len).sum();
        requests + deliveries
    }
}
