//! The load generator: threads, each with an epoll of its own, that hold the subscribers; the first of them also publishes.
//!
//! A thread reads into one big buffer, finds frames and payloads where they lie in it and allocates nothing for a delivery. It
//! does not sleep while a load runs, so that no send of the server has to pay for waking it; the time in which nothing was
//! ready is what it had left.

mod address;
mod connecting;
mod connection;
mod counting;
mod http;
mod load;
mod orders;
mod publisher;
mod samples;
mod shared;
mod stalled;
mod worker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;

pub use address::Address;
pub use http::{Posts, Progress, Sign};
pub use load::{Load, LoadReport, Pace};
pub use orders::{Connect, Connected, StalledReport};
pub use publisher::{Around, Publishing, Way};

use super::handshake::Request;
use super::ledger::{Counts, Plan};
use super::machine;
use super::protocol::Dialect;
use orders::{Order, Report};
use shared::Shared;
use worker::Worker;

/// Everything that is the same for all connections of a run.
pub struct Settings {
    /// Where subscribers connect.
    pub server: SocketAddr,
    /// What they ask for.
    pub request: Request,
    /// The paths of channels: one for all, or, where the path subscribes, one for each subscriber's set of channels, by the
    /// number of its first.
    pub paths: Vec<String>,
    /// What they speak.
    pub dialect: Dialect,
    /// Who publishes; nobody in a load of connections alone.
    pub publishing: Option<Publishing>,
    /// Channels and subscriptions.
    pub plan: Plan,
    /// Of a thousand subscribers, how many stop reading when told to.
    pub stalled_permille: u32,
    /// The cores of the client's threads: one thread each.
    pub cores: Vec<usize>,
}

/// Why a client could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// In the server's words, or the kernel's.
    #[error("{0}")]
    Failed(String),
    /// A thread has ended before its time.
    #[error("a client thread has ended unexpectedly")]
    ThreadEnded,
    /// Somebody asked for an end.
    #[error("stopped")]
    Stopped,
}

/// What a client's threads have come to, one after the other or summed.
type Reports = Vec<Report>;

/// A running client.
pub struct Client {
    shared: Arc<Shared>,
    orders: Vec<Sender<Order>>,
    reports: Receiver<(usize, Result<Report, String>)>,
    threads: Vec<JoinHandle<()>>,
    connections: u32,
}

impl Client {
    /// Starts the threads; nothing is connected yet. `stop` ends whatever is under way early.
    ///
    /// # Errors
    /// When a thread cannot have its epoll.
    pub fn start(settings: Settings, stop: Arc<AtomicBool>) -> Result<Self, ClientError> {
        let shared = Arc::new(Shared::new(settings.plan.all, settings.cores.len(), stop));
        let settings = Arc::new(settings);
        let (report, reports) = channel();
        let (mut orders, mut threads) = (Vec::new(), Vec::new());
        for (index, &core) in settings.cores.iter().enumerate() {
            let mut worker = Worker::new(index, Arc::clone(&settings), Arc::clone(&shared))
                .map_err(|error| ClientError::Failed(format!("no epoll: {error}")))?;
            let (order, received) = channel();
            let report = report.clone();
            threads.push(thread::spawn(move || {
                // Left to the scheduler where it is refused.
                let _ = machine::pin(&[core]);
                worker.run(&received, |answer| report.send((index, answer)).is_ok());
            }));
            orders.push(order);
        }
        Ok(Self {
            shared,
            orders,
            reports,
            threads,
            connections: 0,
        })
    }

    /// Opens `count` connections, at most `at_once` under way at a time. `progress` hears how many are open.
    ///
    /// # Errors
    /// [`ClientError`]; connections that were refused are in the report.
    pub fn connect(
        &mut self,
        count: u32,
        at_once: u32,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Connected, ClientError> {
        let threads = self.orders.len() as u32;
        for (index, order) in (0..threads).zip(&self.orders) {
            let share = count / threads + u32::from(index < count % threads);
            let connect = Connect {
                count: share,
                first_number: self.connections + index,
                number_step: threads,
                at_once: (at_once / threads).max(1),
            };
            send(order, Order::Connect(connect))?;
        }
        self.connections += count;
        let mut all = Connected::default();
        for report in self.collect(&self.shared.open, progress)? {
            if let Report::Connected(connected) = report {
                all.add(&connected);
            }
        }
        self.stopped()?;
        Ok(all)
    }

    /// Opens the publisher's connections.
    ///
    /// # Errors
    /// [`ClientError`] when one is refused.
    pub fn open_publisher(&mut self) -> Result<(), ClientError> {
        send(&self.orders[0], Order::OpenPublisher)?;
        self.one()?;
        Ok(())
    }

    /// Publishes, receives, and returns when everything has arrived or was given up. `progress` hears of deliveries.
    ///
    /// # Errors
    /// [`ClientError`], for example when the publisher's connection is lost.
    pub fn load(
        &mut self,
        load: Load,
        progress: &mut dyn FnMut(u64),
    ) -> Result<LoadReport, ClientError> {
        self.shared.gave_up.store(false, Ordering::SeqCst);
        self.shared.publishing.store(true, Ordering::SeqCst);
        for order in &self.orders {
            send(order, Order::Load(load))?;
        }
        let mut all = LoadReport::default();
        for report in self.collect(&self.shared.delivered, progress)? {
            if let Report::Load(report) = report {
                all.add(&report);
            }
        }
        all.gave_up = self.shared.gave_up.load(Ordering::SeqCst);
        self.stopped()?;
        Ok(all)
    }

    /// Lets those subscribers fall asleep that stall: they are waited for no longer and read nothing. Returns how many.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn stall(&mut self) -> Result<u32, ClientError> {
        let reports = self.everybody(|| Order::Stall)?;
        let counts = reports.iter().map(|report| match report {
            Report::Stalled(count) => *count,
            _ => 0,
        });
        Ok(counts.sum())
    }

    /// Wakes them and lets them read for as long as something comes, `at_most` at the longest.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn wake(&mut self, at_most: Duration) -> Result<StalledReport, ClientError> {
        let mut all = StalledReport::default();
        for report in self.everybody(|| Order::Wake(at_most))? {
            if let Report::Woken(report) = report {
                all.add(&report);
            }
        }
        Ok(all)
    }

    /// Answers pings and otherwise waits, for that long or until somebody asks for an end.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn idle(&mut self, duration: Duration) -> Result<(), ClientError> {
        self.everybody(|| Order::Idle(duration))?;
        self.stopped()
    }

    /// The counts, were this the end; and close codes of connections that ended, with how often each came.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn settle(&mut self) -> Result<(Counts, BTreeMap<u16, u64>), ClientError> {
        let (mut counts, mut closes) = (Counts::default(), BTreeMap::new());
        for report in self.everybody(|| Order::Settle)? {
            if let Report::Settled(of_thread, codes) = report {
                counts += of_thread;
                for (code, count) in codes {
                    *closes.entry(code).or_default() += count;
                }
            }
        }
        Ok((counts, closes))
    }

    fn everybody(&mut self, order: impl Fn() -> Order) -> Result<Reports, ClientError> {
        for sender in &self.orders {
            send(sender, order())?;
        }
        self.collect(&self.shared.delivered, &mut |_| {})
    }

    fn stopped(&self) -> Result<(), ClientError> {
        match self.shared.must_stop() {
            true => Err(ClientError::Stopped),
            false => Ok(()),
        }
    }

    fn one(&self) -> Result<Report, ClientError> {
        let (_, report) = self.reports.recv().map_err(|_| ClientError::ThreadEnded)?;
        report.map_err(ClientError::Failed)
    }

    /// A report of every thread; meanwhile `progress` hears the sum of `counters`.
    fn collect(
        &self,
        counters: &[shared::Counter],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Reports, ClientError> {
        const EVERY: Duration = Duration::from_millis(100);
        let (mut reports, mut first_failure) = (Vec::new(), None);
        let mut missing = self.orders.len();
        while missing > 0 {
            match self.reports.recv_timeout(EVERY) {
                Ok((_, report)) => {
                    missing -= 1;
                    match report {
                        Ok(report) => reports.push(report),
                        Err(error) => drop(first_failure.get_or_insert(error)),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.threads.iter().any(JoinHandle::is_finished) {
                        return Err(ClientError::ThreadEnded);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ClientError::ThreadEnded),
            }
            progress(counters.iter().map(shared::Counter::get).sum());
        }
        first_failure.map_or(Ok(reports), |error| Err(ClientError::Failed(error)))
    }
}

impl Drop for Client {
    /// Closes all connections.
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            // It has said what it had to say.
            let _ = thread.join();
        }
    }
}

fn send(order: &Sender<Order>, what: Order) -> Result<(), ClientError> {
    order.send(what).map_err(|_| ClientError::ThreadEnded)
}

/// A histogram of nanoseconds up to 100 s, with three significant digits; what is longer counts as 100 s.
pub(crate) fn histogram() -> Histogram<u64> {
    const MAX_NS: u64 = 100_000_000_000;
    // The bounds are constants that the crate takes.
    Histogram::new_with_bounds(1, MAX_NS, 3).unwrap_or_else(|_| unreachable!())
}
