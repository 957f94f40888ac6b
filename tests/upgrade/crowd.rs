//! Subscribers of every protocol that stay: whatever ends one of their connections is a fault of the server.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

use crate::channel::{Channel, Counts, Journal};
use crate::conversation::{Heard, SPEECHES, Speech};

const READ_BYTES: usize = 64 * 1024;
/// Connections that are being opened at a time.
const OPENING_MAX: usize = 256;

/// What subscribers share with whoever looks at them.
#[derive(Default)]
pub struct Shared {
    /// Connections that have ended, and why; what was heard that no server may say.
    pub faults: Mutex<Vec<String>>,
    /// The longest time in which one of them heard nothing, in ns; see [`Shared::begin_silence`].
    silence_ns: AtomicU64,
    /// The same of all of them together.
    common_silence_ns: AtomicU64,
    /// When the looking began, in ns since the crowd did.
    silence_since_ns: AtomicU64,
    ended: AtomicBool,
    counts: Mutex<Counts>,
}

/// The longest times in which nothing was heard.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// By the subscriber that heard nothing for the longest time.
    pub longest: Duration,
    /// By any subscriber.
    pub common: Duration,
}

/// All subscribers, on a thread of their own.
pub struct Crowd {
    pub shared: Arc<Shared>,
    began: Instant,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Subscriber {
    speech: Speech,
    /// Among those of the channel.
    number: usize,
    channel: Arc<Channel>,
    address: SocketAddr,
    journal: Journal,
    shared: Arc<Shared>,
    began: Instant,
    heard_at_ns: u64,
}

/// What the subscribers of a thread know together.
struct Common {
    opening: Semaphore,
    heard_at_ns: Cell<u64>,
    buffer: RefCell<Vec<u8>>,
}

impl Crowd {
    /// Has all subscribers of the channels connect; those of one channel speak every protocol in turn.
    pub fn start(address: SocketAddr, channels: &[Arc<Channel>]) -> Self {
        let shared = Arc::new(Shared::default());
        let began = Instant::now();
        let mut subscribers = Vec::new();
        for channel in channels {
            for number in 0..channel.subscribers() {
                subscribers.push(Subscriber {
                    speech: SPEECHES[number % SPEECHES.len()],
                    number,
                    channel: Arc::clone(channel),
                    address,
                    journal: Journal::default(),
                    shared: Arc::clone(&shared),
                    began,
                    heard_at_ns: 0,
                });
            }
        }
        let (stop, mut stopped) = oneshot::channel::<()>();
        let all = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            let tasks = LocalSet::new();
            let common = Rc::new(Common {
                opening: Semaphore::new(OPENING_MAX),
                heard_at_ns: Cell::new(0),
                buffer: RefCell::new(vec![0; READ_BYTES]),
            });
            let (end, ended) = tokio::sync::watch::channel(false);
            let mut running = Vec::new();
            for subscriber in subscribers {
                let live = subscriber.live(Rc::clone(&common), ended.clone());
                running.push(tasks.spawn_local(live));
            }
            tasks.block_on(&runtime, async {
                // Whoever holds the other end has gone, which ends it as well.
                let _ = (&mut stopped).await;
                end.send_replace(true);
                for one in running {
                    let counts = one.await.unwrap_or_default();
                    all.counts.lock().unwrap().add(counts);
                }
            });
        });
        Self {
            shared,
            began,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The faults so far, if there are any.
    pub fn faults(&self) -> Option<String> {
        let faults = self.shared.faults.lock().unwrap();
        let shown: Vec<_> = faults.iter().take(10).cloned().collect();
        (!faults.is_empty()).then(|| format!("{} faults:\n{}", faults.len(), shown.join("\n")))
    }

    /// From now on silences are looked for.
    pub fn begin_silence(&self) {
        let now_ns = self.began.elapsed().as_nanos() as u64;
        let shared = &self.shared;
        shared.silence_since_ns.store(now_ns, Ordering::Relaxed);
        shared.silence_ns.store(0, Ordering::Relaxed);
        shared.common_silence_ns.store(0, Ordering::Relaxed);
    }

    /// The longest that have ended since then.
    pub fn silence(&self) -> Silence {
        let ns = |of: &AtomicU64| Duration::from_nanos(of.load(Ordering::Relaxed));
        Silence {
            longest: ns(&self.shared.silence_ns),
            common: ns(&self.shared.common_silence_ns),
        }
    }

    /// Ends all connections; what has gone wrong with publications.
    pub fn end(mut self) -> Counts {
        self.stop();
        *self.shared.counts.lock().unwrap()
    }

    fn stop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let Some(stop) = self.stop.take() else {
            return;
        };
        let _ = stop.send(());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || thread::panicking(),
                "a subscriber panicked"
            );
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Subscriber {
    /// Until the crowd ends, or its connection does.
    async fn live(
        mut self,
        common: Rc<Common>,
        mut ended: tokio::sync::watch::Receiver<bool>,
    ) -> Counts {
        let fault = tokio::select! {
            fault = self.stay(&common) => Some(fault),
            _ = ended.wait_for(|ended| *ended) => None,
        };
        if let Some(Err(fault)) = fault {
            let (speech, number, channel) = (self.speech, self.number, &self.channel.name);
            let about = format!("{speech}, subscriber {number} of {channel}: {fault}");
            self.shared.faults.lock().unwrap().push(about);
        }
        self.journal.counts(self.channel.published())
    }

    async fn stay(&mut self, common: &Common) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let permit = common.opening.acquire().await;
        let stream = TcpStream::connect(self.address).await.map_err(text)?;
        drop(permit);
        stream.set_nodelay(true).map_err(text)?;
        let mut conversation = self.speech.converse(self.number, &self.channel.name, None);
        let mut outgoing = conversation.begin();
        let mut heard = Vec::new();
        loop {
            let interest = match outgoing.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = stream.ready(interest).await.map_err(text)?;
            if ready.is_readable() {
                let buffer = &mut *common.buffer.borrow_mut();
                let count = match stream.try_read(buffer) {
                    Ok(0) => return Err("the connection has ended".to_owned()),
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error.to_string()),
                };
                conversation.take(&buffer[..count], &mut heard, &mut outgoing)?;
                if !heard.is_empty() {
                    self.note_time(common);
                }
                for one in heard.drain(..) {
                    self.hear(one)?;
                }
            }
            if !outgoing.is_empty() {
                match stream.try_write(&outgoing) {
                    Ok(count) => drop(outgoing.drain(..count)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Publication { offset, payload } => {
                self.journal.note(&self.channel, offset, &payload)?;
                self.channel.note_heard(self.number);
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    }

    /// Something has been heard.
    fn note_time(&mut self, common: &Common) {
        let now_ns = self.began.elapsed().as_nanos() as u64;
        let since_ns = self.shared.silence_since_ns.load(Ordering::Relaxed);
        let before_ns = std::mem::replace(&mut self.heard_at_ns, now_ns);
        let common_before_ns = common.heard_at_ns.replace(now_ns);
        // Who has heard nothing before is silent for another reason.
        if before_ns > 0 {
            let silent_ns = now_ns - before_ns.max(since_ns).min(now_ns);
            self.shared
                .silence_ns
                .fetch_max(silent_ns, Ordering::Relaxed);
        }
        let silent_ns = now_ns.saturating_sub(common_before_ns.max(since_ns));
        let all = &self.shared.common_silence_ns;
        all.fetch_max(silent_ns, Ordering::Relaxed);
    }
}
