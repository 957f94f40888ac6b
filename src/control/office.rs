//! The control thread's end of the mailboxes: requests out, answers back to who asked.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use foldhash::quality::FixedState;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use crate::channel::{ChannelName, ChannelsFull};
use crate::publication::{Kind, Position};
use crate::reactor::Mailboxes;
use crate::shard::mail::{Delivery, Request, Ticket};

/// Letters that wait for the office; more make their senders wait.
const LETTERS_MAX: usize = 1_024;

type Answer = Result<Position, ChannelsFull>;

/// A request on its way to a shard.
struct Letter {
    shard: usize,
    request: Request,
    answer: Option<oneshot::Sender<Answer>>,
}

/// Why a publish got no place in its channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The owner keeps as many channels as it may.
    #[error(transparent)]
    Full(#[from] ChannelsFull),
    /// The shard has ended.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Sends requests to shards; cheap to clone.
#[derive(Clone)]
pub struct Counter {
    letters: mpsc::Sender<Letter>,
    hasher: FixedState,
    shards: usize,
}

impl Counter {
    /// Publishes a message and waits for its place in the stream.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        channel: ChannelName,
        kind: Kind,
        payload: Bytes,
    ) -> Result<Position, PublishError> {
        let shard = channel.owner(&self.hasher, self.shards);
        let (answer, answered) = oneshot::channel();
        let letter = Letter {
            shard,
            request: Request::Publish {
                channel,
                kind,
                payload,
                ticket: None,
            },
            answer: Some(answer),
        };
        if self.letters.send(letter).await.is_err() {
            return Err(PublishError::ShuttingDown);
        }
        match answered.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(PublishError::ShuttingDown),
        }
    }

    /// Has all shards close their connections within a time.
    pub async fn drain(&self, drain_ms: u64) {
        for shard in 0..self.shards {
            let letter = Letter {
                shard,
                request: Request::Drain { drain_ms },
                answer: None,
            };
            // An office that is gone has seen all shards end.
            let _ = self.letters.send(letter).await;
        }
    }
}

/// Works on letters and answers until every shard has drained.
pub struct Office {
    mail: Mailboxes,
    bell: AsyncFd<OwnedFd>,
    letters: mpsc::Receiver<Letter>,
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    next_call: u64,
    shards_left: usize,
}

impl Office {
    /// The office and the counter that it is reached by. Inside of a tokio runtime only.
    ///
    /// # Errors
    /// When the bell's descriptor cannot be copied or watched.
    pub fn open(mail: Mailboxes, shards: usize, hash_seed: u64) -> io::Result<(Self, Counter)> {
        let (sender, letters) = mpsc::channel(LETTERS_MAX);
        let bell = mail.bell().watch()?;
        let office = Self {
            mail,
            bell,
            letters,
            calls: HashMap::new(),
            next_call: 0,
            shards_left: shards,
        };
        let counter = Counter {
            letters: sender,
            hasher: FixedState::with_seed(hash_seed),
            shards,
        };
        Ok((office, counter))
    }

    /// Runs until every shard has drained.
    pub async fn run(mut self) {
        let mut pending = None;
        loop {
            self.take_deliveries();
            if self.shards_left == 0 {
                return;
            }
            if let Some(letter) = pending.take() {
                pending = self.post(letter);
            }
            self.mail.bell().fall_asleep();
            let peers: Vec<usize> = self.mail.peers().collect();
            let blocked = match &pending {
                Some(letter) => !self.mail.has_room_for_request(letter.shard),
                None => true,
            };
            if peers.iter().any(|&peer| self.mail.has_delivery(peer)) || !blocked {
                self.mail.bell().wake_up();
                continue;
            }
            tokio::select! {
                letter = self.letters.recv(), if pending.is_none() => pending = letter,
                rung = self.bell.readable() => {
                    if let Ok(mut rung) = rung {
                        self.mail.bell().clear();
                        rung.clear_ready();
                    }
                }
            }
            self.mail.bell().wake_up();
        }
    }

    /// Posts a letter, or returns it where the mailbox is full.
    fn post(&mut self, mut letter: Letter) -> Option<Letter> {
        if !self.mail.has_room_for_request(letter.shard) {
            return Some(letter);
        }
        if let Request::Publish { ticket, .. } = &mut letter.request
            && let Some(answer) = letter.answer.take()
        {
            *ticket = Some(Ticket {
                asker: self.next_call,
                subscription: 0,
            });
            self.calls.insert(self.next_call, answer);
            self.next_call += 1;
        }
        match self.mail.send_request(letter.shard, letter.request) {
            Ok(()) => {
                self.mail.ring(letter.shard);
                None
            }
            Err(request) => Some(Letter { request, ..letter }),
        }
    }

    fn take_deliveries(&mut self) {
        for peer in self.mail.peers() {
            while let Some(delivery) = self.mail.take_delivery(peer) {
                match delivery {
                    Delivery::Published { ticket, result } => {
                        if let Some(answer) = self.calls.remove(&ticket.asker) {
                            // Whoever asked may have gone.
                            let _ = answer.send(result);
                        }
                    }
                    Delivery::Drained => self.shards_left -= 1,
                    Delivery::Subscribed { .. }
                    | Delivery::Publication { .. }
                    | Delivery::DrainBegun => {}
                }
            }
            self.mail.ring_if_starved(peer);
        }
    }
}
