//! Mailboxes: a lock-free queue from each shard (and the control thread) to each other, and a
//! bell to wake who sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rtrb::{Consumer, Producer, RingBuffer};
use tokio::io::unix::AsyncFd;

use super::sys;
use crate::shard::mail::{Delivery, Request};

/// Wakes a thread that waits for mail, and costs a load while it is awake.
pub struct Doorbell {
    fd: OwnedFd,
    asleep: AtomicBool,
}

impl Doorbell {
    fn new() -> io::Result<Self> {
        Ok(Self {
            fd: sys::eventfd()?,
            asleep: AtomicBool::new(false),
        })
    }

    /// Rings if its owner sleeps.
    pub fn ring(&self) {
        // Orders the push before against the load: either the sleeper sees the mail when it looks
        // once more, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            sys::eventfd_add(self.fd.as_fd());
        }
    }

    /// Says that from now on it must be rung. Look for mail once more after this, then sleep.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that it need not be rung.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Becomes readable when it is rung.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The bell for a task of an ordinary tokio runtime, inside of which this must be called.
    pub fn watch(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let copy = self.fd.try_clone()?;
        // SAFETY: the descriptor is owned by what watches it, which gives it to nobody: it stays
        // open and the same for as long as it is watched.
        unsafe { AsyncFd::register(copy) }.map_err(Into::into)
    }

    /// Makes it unreadable again.
    pub fn clear(&self) {
        sys::eventfd_clear(self.fd.as_fd());
    }
}

/// One direction between two threads.
struct Sender<T> {
    queue: Producer<T>,
    /// Set while the sender has found the queue full.
    starved: Arc<AtomicBool>,
}

struct Receiver<T> {
    queue: Consumer<T>,
    starved: Arc<AtomicBool>,
}

fn pair<T>(entries: usize) -> (Sender<T>, Receiver<T>) {
    let (producer, consumer) = RingBuffer::new(entries);
    let starved = Arc::new(AtomicBool::new(false));
    (
        Sender {
            queue: producer,
            starved: starved.clone(),
        },
        Receiver {
            queue: consumer,
            starved,
        },
    )
}

impl<T> Sender<T> {
    /// Whether one more has room. If not, the receiver rings when there is.
    fn has_room(&mut self) -> bool {
        if !self.queue.is_full() {
            return true;
        }
        self.starved.store(true, Ordering::Relaxed);
        // Orders this against the receiver, who takes first and then looks at the flag.
        fence(Ordering::SeqCst);
        !self.queue.is_full()
    }
}

impl<T> Receiver<T> {
    fn has_mail(&self) -> bool {
        !self.queue.is_empty()
    }

    /// To be called after taking: whether the sender waits for room.
    fn was_starved(&self) -> bool {
        fence(Ordering::SeqCst);
        self.starved.load(Ordering::Relaxed) && self.starved.swap(false, Ordering::Relaxed)
    }
}

/// One thread's mailboxes: a slot to and from every peer, the last of which is the control thread.
pub struct Mailboxes {
    own: usize,
    bells: Vec<Arc<Doorbell>>,
    requests_out: Vec<Option<Sender<Request>>>,
    deliveries_out: Vec<Option<Sender<Delivery>>>,
    requests_in: Vec<Option<Receiver<Request>>>,
    deliveries_in: Vec<Option<Receiver<Delivery>>>,
}

impl Mailboxes {
    /// The mailboxes of all shards and, last, of the control thread.
    pub fn connect(shards: usize, entries: usize) -> io::Result<Vec<Self>> {
        let peers = shards + 1;
        let bells = (0..peers)
            .map(|_| Doorbell::new().map(Arc::new))
            .collect::<io::Result<Vec<_>>>()?;
        let mut all: Vec<Self> = (0..peers)
            .map(|own| Self {
                own,
                bells: bells.clone(),
                requests_out: (0..peers).map(|_| None).collect(),
                deliveries_out: (0..peers).map(|_| None).collect(),
                requests_in: (0..peers).map(|_| None).collect(),
                deliveries_in: (0..peers).map(|_| None).collect(),
            })
            .collect();
        for from in 0..peers {
            for to in (0..peers).filter(|&to| to != from) {
                let (sender, receiver) = pair(entries);
                all[from].requests_out[to] = Some(sender);
                all[to].requests_in[from] = Some(receiver);
                let (sender, receiver) = pair(entries);
                all[from].deliveries_out[to] = Some(sender);
                all[to].deliveries_in[from] = Some(receiver);
            }
        }
        Ok(all)
    }

    /// The thread's own bell.
    pub fn bell(&self) -> &Doorbell {
        &self.bells[self.own]
    }

    /// Everybody's index, the thread's own left out.
    pub fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.own;
        (0..self.bells.len()).filter(move |&peer| peer != own)
    }

    /// Wakes a peer that has been sent something.
    pub fn ring(&self, peer: usize) {
        self.bells[peer].ring();
    }

    /// Whether a request for that peer has room; if not, the own bell rings when it has.
    pub fn has_room_for_request(&mut self, peer: usize) -> bool {
        self.requests_out[peer]
            .as_mut()
            .is_some_and(Sender::has_room)
    }

    /// Whether a delivery for that peer has room; if not, the own bell rings when it has.
    pub fn has_room_for_delivery(&mut self, peer: usize) -> bool {
        self.deliveries_out[peer]
            .as_mut()
            .is_some_and(Sender::has_room)
    }

    /// Sends a request; the request itself where there is no room.
    pub fn send_request(&mut self, peer: usize, request: Request) -> Result<(), Request> {
        match &mut self.requests_out[peer] {
            Some(sender) => sender
                .queue
                .push(request)
                .map_err(|rtrb::PushError::Full(request)| request),
            None => Err(request),
        }
    }

    /// Sends a delivery; the delivery itself where there is no room.
    pub fn send_delivery(&mut self, peer: usize, delivery: Delivery) -> Result<(), Delivery> {
        match &mut self.deliveries_out[peer] {
            Some(sender) => sender
                .queue
                .push(delivery)
                .map_err(|rtrb::PushError::Full(delivery)| delivery),
            None => Err(delivery),
        }
    }

    /// The next request of that peer.
    pub fn take_request(&mut self, peer: usize) -> Option<Request> {
        self.requests_in[peer].as_mut()?.queue.pop().ok()
    }

    /// The next delivery of that peer.
    pub fn take_delivery(&mut self, peer: usize) -> Option<Delivery> {
        self.deliveries_in[peer].as_mut()?.queue.pop().ok()
    }

    /// Rings for the peer if it waits for room in what has just been emptied.
    pub fn ring_if_starved(&self, peer: usize) {
        let requests = self.requests_in[peer].as_ref();
        let deliveries = self.deliveries_in[peer].as_ref();
        let starved = requests.is_some_and(Receiver::was_starved)
            | deliveries.is_some_and(Receiver::was_starved);
        if starved {
            self.ring(peer);
        }
    }

    /// Whether a request of that peer waits.
    pub fn has_request(&self, peer: usize) -> bool {
        self.requests_in[peer]
            .as_ref()
            .is_some_and(Receiver::has_mail)
    }

    /// Whether a delivery of that peer waits.
    pub fn has_delivery(&self, peer: usize) -> bool {
        self.deliveries_in[peer]
            .as_ref()
            .is_some_and(Receiver::has_mail)
    }
}
