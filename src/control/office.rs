//! The control thread's end of the mailboxes: requests out, answers back to who asked.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;

use foldhash::quality::FixedState;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::handle::{Letter, Placed};
use super::reload::{ReloadError, Reloader};
use super::surveys::Surveys;
use crate::channel::Answer;
use crate::reactor::Mailboxes;
use crate::shard::mail::{Delivery, Probed, Request, Saved, Ticket};

/// Who waits for an answer.
enum Call {
    Publish(oneshot::Sender<Placed>),
    Ask(oneshot::Sender<Answer>),
}

/// Works on letters and answers until every shard has drained.
pub struct Office {
    mail: Mailboxes,
    bell: AsyncFd<OwnedFd>,
    letters: mpsc::Receiver<Letter>,
    hasher: FixedState,
    shards: usize,
    /// What the letter in hand asks of which shards; the next is opened when it is empty.
    outgoing: VecDeque<(usize, Request)>,
    calls: HashMap<u64, Call>,
    next_call: u64,
    reloader: Reloader,
    draining: bool,
    surveys: Surveys,
    /// The shards that have not drained.
    alive: Vec<usize>,
    /// What shards have said to the last probe.
    probed: Vec<Probed>,
    /// Those that have been saved, while they are to be.
    saved: Option<Vec<(usize, Saved)>>,
}

impl Office {
    /// An office for the letters that come in. Inside of a tokio runtime only.
    ///
    /// # Errors
    /// When the bell's descriptor cannot be copied or watched.
    pub fn open(
        mail: Mailboxes,
        letters: mpsc::Receiver<Letter>,
        shards: usize,
        hash_seed: u64,
        reloader: Reloader,
    ) -> io::Result<Self> {
        let bell = mail.bell().watch()?;
        Ok(Self {
            mail,
            bell,
            letters,
            hasher: FixedState::with_seed(hash_seed),
            shards,
            outgoing: VecDeque::new(),
            calls: HashMap::new(),
            next_call: 0,
            reloader,
            draining: false,
            surveys: Surveys::default(),
            alive: (0..shards).collect(),
            probed: Vec::new(),
            saved: None,
        })
    }

    /// Runs until every shard has drained.
    pub async fn run(mut self) {
        loop {
            self.take_deliveries();
            if self.alive.is_empty() {
                return;
            }
            self.post();
            if !self.may_sleep() {
                continue;
            }
            let mut hold = None;
            tokio::select! {
                Some(letter) = self.letters.recv(), if self.outgoing.is_empty() => match letter {
                    Letter::Hold(wanted) => hold = Some(wanted),
                    letter => self.take(letter),
                },
                rung = self.bell.readable() => {
                    if let Ok(mut rung) = rung {
                        self.mail.bell().clear();
                        rung.clear_ready();
                    }
                }
            }
            self.mail.bell().wake_up();
            if let Some(hold) = hold {
                self.hold(*hold).await;
            }
        }
    }

    /// Posts and takes mail, and waits for more where there was none to take.
    pub(super) async fn exchange(&mut self) {
        self.post();
        if self.may_sleep() {
            if let Ok(mut rung) = self.bell.readable().await {
                self.mail.bell().clear();
                rung.clear_ready();
            }
            self.mail.bell().wake_up();
        }
        self.take_deliveries();
    }

    /// Whether there is neither mail to take nor room for what is outgoing; then the bell rings when there is.
    fn may_sleep(&mut self) -> bool {
        self.mail.bell().fall_asleep();
        let peers = self.mail.peers();
        let delivered = peers.into_iter().any(|peer| self.mail.has_delivery(peer));
        let blocked = match self.outgoing.front() {
            Some(&(shard, _)) => !self.mail.has_room_for_request(shard),
            None => true,
        };
        if delivered || !blocked {
            self.mail.bell().wake_up();
            return false;
        }
        true
    }

    /// Whether the shards drain.
    pub(super) fn is_ending(&self) -> bool {
        self.draining
    }

    /// Addresses a request to every shard.
    pub(super) fn send_to_all(&mut self, request: &Request) {
        let all = (0..self.shards).map(|shard| (shard, request.clone()));
        self.outgoing.extend(all);
    }

    pub(super) fn begin_probe(&mut self) {
        self.probed.clear();
    }

    /// What all shards have said to the probe.
    pub(super) fn all_probed(&self) -> Option<&[Probed]> {
        (self.probed.len() == self.shards).then_some(&*self.probed)
    }

    /// From now on saved shards are collected, or not any more.
    pub(super) fn note_saved(&mut self, saved: Option<Vec<(usize, Saved)>>) {
        self.saved = saved;
    }

    /// All shards as they have been saved, by index.
    pub(super) fn all_saved(&mut self) -> Option<Vec<Saved>> {
        let shards = self.shards;
        let mut saved = self.saved.take_if(|saved| saved.len() == shards)?;
        saved.sort_unstable_by_key(|(shard, _)| *shard);
        Some(saved.into_iter().map(|(_, saved)| saved).collect())
    }

    /// Addresses a letter.
    fn take(&mut self, letter: Letter) {
        match letter {
            Letter::Publish {
                channel,
                key,
                draft,
                answer,
            } => {
                let shard = channel.owner(&self.hasher, self.shards);
                let ticket = answer.map(|answer| self.note_call(Call::Publish(answer)));
                let request = match key {
                    Some(key) => Request::PublishOnce {
                        channel,
                        key,
                        draft: Box::new(draft),
                        ticket,
                    },
                    None => Request::Publish {
                        channel,
                        draft,
                        ticket,
                    },
                };
                self.outgoing.push_back((shard, request));
            }
            Letter::Ask {
                channel,
                question,
                answer,
            } => {
                let shard = channel.owner(&self.hasher, self.shards);
                let request = Request::Ask {
                    channel,
                    question,
                    ticket: self.note_call(Call::Ask(answer)),
                };
                self.outgoing.push_back((shard, request));
            }
            Letter::Survey { survey, answer } => {
                let ticket = self.new_ticket();
                let requests = self.alive.iter().map(|&shard| {
                    let survey = Box::new(survey.clone());
                    (shard, Request::Survey { ticket, survey })
                });
                self.outgoing.extend(requests);
                self.surveys.begin(ticket.asker, self.alive.clone(), answer);
            }
            Letter::Connection { name, order } => {
                let shard = name.shard as usize;
                // A name of another server's may be of a shard that is not there.
                if shard < self.shards {
                    let key = name.key;
                    let request = Request::Connection { key, order };
                    self.outgoing.push_back((shard, request));
                }
            }
            Letter::Reload { answer, .. } if self.draining => {
                // Whoever asked may have gone.
                let _ = answer.send(Err(ReloadError::ShuttingDown));
            }
            Letter::Reload { prepared, answer } => {
                if let Some(live) = self.reloader.begin(*prepared, answer) {
                    self.send_to_all(&Request::Reload(live));
                }
            }
            // The caller's business.
            Letter::Hold(_) => {}
            Letter::Drain { drain_ms } => {
                self.draining = true;
                self.send_to_all(&Request::Drain { drain_ms });
            }
        }
    }

    fn note_call(&mut self, call: Call) -> Ticket {
        let ticket = self.new_ticket();
        self.calls.insert(ticket.asker, call);
        ticket
    }

    fn new_ticket(&mut self) -> Ticket {
        let ticket = Ticket {
            asker: self.next_call,
            subscription: 0,
        };
        self.next_call += 1;
        ticket
    }

    /// Posts what is addressed as long as there is room.
    fn post(&mut self) {
        while let Some((shard, request)) = self.outgoing.pop_front() {
            if let Err(request) = self.mail.send_request(shard, request) {
                self.outgoing.push_front((shard, request));
                return;
            }
            self.mail.ring(shard);
        }
    }

    fn take_deliveries(&mut self) {
        for peer in self.mail.peers() {
            while let Some(delivery) = self.mail.take_delivery(peer) {
                match delivery {
                    Delivery::Published { ticket, result } => {
                        if let Some(Call::Publish(answer)) = self.calls.remove(&ticket.asker) {
                            // Whoever asked may have gone.
                            let _ = answer.send(result);
                        }
                    }
                    Delivery::Answered { ticket, answer } => {
                        if let Some(Call::Ask(asker)) = self.calls.remove(&ticket.asker) {
                            let _ = asker.send(*answer);
                        }
                    }
                    Delivery::Reloaded { version } => self.reloader.note(version),
                    Delivery::Surveyed { ticket, answer } => {
                        self.surveys.note(ticket.asker, peer, *answer);
                    }
                    Delivery::Probed(probed) => self.probed.push(probed),
                    Delivery::Saved(saved) => {
                        if let Some(all) = &mut self.saved {
                            all.push((peer, *saved));
                        }
                    }
                    Delivery::Drained => {
                        self.alive.retain(|shard| *shard != peer);
                        self.surveys.forget_shard(peer);
                    }
                    Delivery::Subscribed { .. }
                    | Delivery::PatternNoted { .. }
                    | Delivery::Publication { .. }
                    | Delivery::Event { .. }
                    | Delivery::Handed(_)
                    | Delivery::Done { .. }
                    | Delivery::DrainBegun => {}
                }
            }
            self.mail.ring_if_starved(peer);
        }
    }
}
