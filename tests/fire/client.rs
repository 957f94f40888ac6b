//! Clients that come back whenever they are cut off, each with the place of the last publication that it has.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::conversation::{Conversation, Heard, SPEECHES, Speech};
use crate::journal::Journal;
use crate::support::rng::Rng;
use crate::{Channel, Place};

const READ_BYTES: usize = 16 * 1024;
/// How long a client stays away if it misses nothing.
const AWAY_MAX: Duration = Duration::from_millis(1_000);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What clients have met with, by what they speak.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    pub connections: u64,
    pub publications: u64,
    /// Publications that were there before the client was.
    pub recovered: u64,
    /// Connections cut within a frame.
    pub cut_inside: u64,
    /// Connections cut when a part of what was missed had come.
    pub cut_recovering: u64,
    pub gaps: u64,
    pub too_slow: u64,
}

/// What clients share with whoever looks at them.
#[derive(Default)]
pub struct Shared {
    /// What no server may do.
    pub faults: Mutex<Vec<String>>,
    pub met: Mutex<[Met; SPEECHES.len()]>,
}

/// All clients, on a thread of their own. Dropping them ends them.
pub struct Clients {
    pub shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One of them.
struct Client {
    speech: Speech,
    number: usize,
    channel: Arc<Channel>,
    address: SocketAddr,
    journal: Journal,
    rng: Rng,
    /// Publications that it misses between two connections at the most.
    missed_max: usize,
    shared: Arc<Shared>,
}

impl Clients {
    /// As many clients of each protocol. Those of one number are on a channel each.
    pub fn start(
        address: SocketAddr,
        channels: &[Arc<Channel>],
        each: usize,
        kept_max: Option<u64>,
        missed_max: usize,
        seed: u64,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let mut seeds = Rng::new(seed);
        let mut clients = Vec::new();
        for number in 0..each {
            for (at, speech) in SPEECHES.into_iter().enumerate() {
                let channel = &channels[(number + at) % channels.len()];
                let place = Place {
                    epoch: channel.epoch,
                    offset: 1,
                };
                clients.push(Client {
                    speech,
                    number,
                    channel: Arc::clone(channel),
                    address,
                    journal: Journal::new(channel.index, place, kept_max),
                    rng: Rng::new(seeds.next()),
                    missed_max,
                    shared: Arc::clone(&shared),
                });
            }
        }
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            let tasks = LocalSet::new();
            for client in clients {
                tasks.spawn_local(client.live());
            }
            let _ = tasks.block_on(&runtime, stopped);
        });
        Self {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "a client panicked");
    }
}

impl Client {
    /// Until it meets with what may not be.
    async fn live(mut self) {
        loop {
            if let Err(fault) = self.stay().await {
                let Self {
                    speech,
                    number,
                    channel,
                    ..
                } = self;
                let about = format!("{speech}, client {number} of {}: {fault}", channel.name);
                self.shared.faults.lock().unwrap().push(about);
                return;
            }
            self.stay_away().await;
        }
    }

    /// Misses some publications, unless they do not come.
    async fn stay_away(&mut self) {
        let until = Instant::now() + AWAY_MAX;
        let missed = match self.rng.chance(700) {
            true => self.rng.within(0..=self.missed_max) as u64,
            false => 0,
        };
        let wanted = self.channel.published.load(Ordering::Relaxed) + missed;
        while self.channel.published.load(Ordering::Relaxed) < wanted && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One connection.
    async fn stay(&mut self) -> Result<(), String> {
        let since = self.journal.place();
        let behind = self.channel.published.load(Ordering::Relaxed);
        let mut conversation = self.speech.converse(self.number, &self.channel.name, since);
        let mut met = Met {
            connections: 1,
            ..Met::default()
        };
        // It may be cut before it has begun.
        let Ok(stream) = TcpStream::connect(self.address).await else {
            return Ok(());
        };
        let _ = stream.set_nodelay(true);
        let began_at = self.journal.last();
        let talked = self
            .talk(&stream, &mut *conversation, behind, &mut met)
            .await;
        if conversation.is_inside() {
            met.cut_inside += 1;
        }
        let last = self.journal.last();
        if since.is_some() && met.gaps == 0 && began_at < last && last < behind {
            met.cut_recovering += 1;
        }
        self.note(&met);
        talked
    }

    /// Says and hears until the connection ends.
    async fn talk(
        &mut self,
        stream: &TcpStream,
        conversation: &mut dyn Conversation,
        behind: u64,
        met: &mut Met,
    ) -> Result<(), String> {
        let mut outgoing = conversation.begin();
        let mut buffer = vec![0; READ_BYTES];
        let mut heard = Vec::new();
        loop {
            let interest = match outgoing.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let Ok(ready) = stream.ready(interest).await else {
                return Ok(());
            };
            if ready.is_readable() {
                let count = match stream.try_read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(_) => return Ok(()),
                };
                conversation.take(&buffer[..count], &mut heard, &mut outgoing)?;
                for one in heard.drain(..) {
                    self.hear(one, behind, met)?;
                }
            }
            if !outgoing.is_empty() {
                match stream.try_write(&outgoing) {
                    Ok(count) => drop(outgoing.drain(..count)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // What the server said last may still be read.
                    Err(_) => outgoing.clear(),
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard, behind: u64, met: &mut Met) -> Result<(), String> {
        match heard {
            Heard::Publication { offset, payload } => {
                self.journal.note_publication(offset, &payload)?;
                met.publications += 1;
                met.recovered += u64::from(self.journal.last() <= behind);
            }
            Heard::Gap(place) => {
                self.journal.note_gap(place)?;
                met.gaps += 1;
            }
            Heard::TooSlow => met.too_slow += 1,
        }
        self.channel.note_progress(self.number, self.journal.last());
        Ok(())
    }

    fn note(&self, met: &Met) {
        let at = SPEECHES.iter().position(|&speech| speech == self.speech);
        let sum = &mut self.shared.met.lock().unwrap()[at.unwrap()];
        sum.connections += met.connections;
        sum.publications += met.publications;
        sum.recovered += met.recovered;
        sum.cut_inside += met.cut_inside;
        sum.cut_recovering += met.cut_recovering;
        sum.gaps += met.gaps;
        sum.too_slow += met.too_slow;
    }
}
