//! Recovery under fire: clients of every protocol behind a proxy that cuts their connections wherever it likes, also while they
//! are sent what they have missed, and publishers at full speed. In the end every client has every publication once and in
//! order, or was told of a gap where the history could not have what it had missed.
//!
//! `PUSHRING_FIRE_SEED` cuts differently; what comes of it depends on the machine as well.

#![forbid(unsafe_code)]

mod support;

#[path = "fire/centrifuge.rs"]
mod centrifuge;
#[path = "fire/client.rs"]
mod client;
#[path = "fire/conversation.rs"]
mod conversation;
#[path = "fire/event_stream.rs"]
mod event_stream;
#[path = "fire/journal.rs"]
mod journal;
#[path = "fire/payload.rs"]
mod payload;
#[path = "fire/raw.rs"]
mod raw;
#[path = "fire/stomp.rs"]
mod stomp;
#[path = "fire/web_socket.rs"]
mod web_socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::{Clients, Met};
use conversation::SPEECHES;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::http::Http;
use support::metrics::Metrics;
use support::proxy::Proxy;
use support::rng::Rng;
use support::server::{Options, Server};
use support::wire::{FIN, Socket, TEXT, frame};

/// Clients of each protocol.
const EACH: usize = 200;
/// As many as protocols: of the clients of one number each is on another.
const CHANNELS: usize = SPEECHES.len();
const SHARDS: usize = 3;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A place of a channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    epoch: u64,
    offset: u64,
}

/// A channel, its publisher's work and its clients' progress.
pub struct Channel {
    index: usize,
    name: String,
    epoch: u64,
    /// Publications that its publisher has sent off.
    published: AtomicU64,
    /// By the number of the client, the last publication that it has or was told is gone.
    progress: Vec<AtomicU64>,
    /// The sum of them.
    total_progress: AtomicU64,
}

/// One trial by fire.
struct Trial {
    /// Publications in each channel.
    publications: u64,
    /// How many of them the channels keep; `None` for all.
    kept_max: Option<u64>,
    /// How many clients miss between two connections at the most.
    missed_max: usize,
    /// How far a publisher is ahead of what its channel's clients have on average: farther, and all that there is would be
    /// published before the first client has been cut off.
    ahead_max: u64,
}

#[test]
fn every_client_has_every_publication_once_and_in_order_however_often_it_is_cut_off() {
    let trial = Trial {
        publications: 500,
        kept_max: None,
        missed_max: 40,
        ahead_max: 100,
    };
    for (speech, met) in SPEECHES.into_iter().zip(trial.run()) {
        assert_eq!(met.gaps, 0, "{speech}");
    }
}

#[test]
fn what_is_not_kept_any_more_is_a_gap_behind_which_the_stream_goes_on() {
    let trial = Trial {
        publications: 1_000,
        kept_max: Some(200),
        missed_max: 300,
        ahead_max: 100,
    };
    for (speech, met) in SPEECHES.into_iter().zip(trial.run()) {
        assert!(met.gaps > 20, "{speech}: hardly a gap");
    }
}

impl Trial {
    fn run(&self) -> [Met; SPEECHES.len()] {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        raise_open_files();
        let seed = std::env::var("PUSHRING_FIRE_SEED").map_or(1, |seed| seed.parse().unwrap());
        let mut seeds = Rng::new(seed);
        println!("PUSHRING_FIRE_SEED={seed}");
        let began = Instant::now();
        let history_size = self.kept_max.unwrap_or(1_000_000);
        let server = Server::start(Options {
            shards: SHARDS,
            ..Options::with_config(&format!(
                "[timeouts]\nhead_ms = 60_000\n\
                 [[namespace]]\nchannels = \"fire:*\"\nhistory_size = {history_size}\nhistory_ttl = \"1h\"\n\
                 history_bytes_max = 1_000_000_000\n"
            ))
        });
        let mut http = server.http();
        let channels: Vec<_> = (0..CHANNELS)
            .map(|index| Arc::new(Channel::begin(&mut http, index)))
            .collect();
        let proxy = Proxy::start(server.addresses.public, seeds.next());
        let clients = Clients::start(
            proxy.address,
            &channels,
            EACH,
            self.kept_max,
            self.missed_max,
            seeds.next(),
        );
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for channel in &channels {
                let (public, is_over) = (server.addresses.public, &is_over);
                scope.spawn(move || self.publish(public, channel, is_over));
            }
            let all_have = self.wait_until_all_have(&channels, &proxy, &clients, began);
            is_over.store(true, Ordering::Relaxed);
            all_have.unwrap();
        });
        let (shared, cuts) = (Arc::clone(&clients.shared), proxy.cuts());
        drop(clients);
        drop(proxy);
        println!("{cuts} cuts in {:?}", began.elapsed());
        let nobody_is_left = |metrics: &Metrics| {
            ["connections", "subscriptions", "lanes", "backlog_bytes"]
                .iter()
                .all(|family| metrics.sum(family) == 0)
        };
        let metrics = Metrics::wait(&mut http, "nobody", nobody_is_left);
        assert!(metrics.sum("publications_recovered_total") > 0);
        let all = *shared.met.lock().unwrap();
        for (speech, met) in SPEECHES.into_iter().zip(all) {
            println!("{speech}: {met:?}");
            // What was not met with is not proven.
            assert!(
                met.connections as usize > 3 * EACH,
                "{speech}: hardly cut off"
            );
            assert!(met.cut_inside > 20, "{speech}: hardly cut within frames");
            assert!(
                met.cut_recovering > 20,
                "{speech}: hardly cut while recovering"
            );
            assert!(met.recovered > 1_000, "{speech}: hardly recovered");
        }
        all
    }

    /// Publishes all that there is, and then, as long as clients wait for something, one now and then.
    fn publish(&self, public: SocketAddr, channel: &Channel, is_over: &AtomicBool) {
        let mut publisher = Socket::open(public, &format!("/pub/{}", channel.name));
        let mut number = 1;
        while !is_over.load(Ordering::Relaxed) {
            if number >= self.publications {
                thread::sleep(LOOK_EVERY * 10);
            } else if number > channel.mean_progress() + self.ahead_max {
                thread::sleep(LOOK_EVERY / 10);
                continue;
            }
            number += 1;
            let payload = payload::of(channel.index, number);
            publisher.send(&frame(FIN | TEXT, payload.as_bytes()));
            channel.published.store(number, Ordering::Relaxed);
        }
    }

    /// Waits until every client has all publications, after which it may have more.
    fn wait_until_all_have(
        &self,
        channels: &[Arc<Channel>],
        proxy: &Proxy,
        clients: &Clients,
        began: Instant,
    ) -> Result<(), String> {
        let have_all = || {
            let mut all = channels.iter();
            all.all(|channel| channel.least_progress() >= self.publications)
        };
        let is_published = || {
            let mut all = channels.iter();
            all.all(|channel| channel.published.load(Ordering::Relaxed) >= self.publications)
        };
        loop {
            let faults = clients.shared.faults.lock().unwrap();
            if !faults.is_empty() {
                let shown = faults.iter().take(10).cloned();
                let shown = shown.collect::<Vec<_>>().join("\n");
                return Err(format!("{} clients object:\n{shown}", faults.len()));
            }
            drop(faults);
            if is_published() {
                proxy.calm();
                if have_all() {
                    return Ok(());
                }
            }
            if began.elapsed() > PATIENCE {
                let progress: Vec<_> = (channels.iter())
                    .map(|channel| (channel.mean_progress(), channel.least_progress()))
                    .collect();
                return Err(format!(
                    "not done after {PATIENCE:?}; means and least of {}: {progress:?}",
                    self.publications
                ));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Channel {
    /// Begins a channel with its first publication, which all clients have.
    fn begin(http: &mut Http, index: usize) -> Self {
        let name = format!("fire:{index}");
        let answer = http
            .post(&format!("/pub/{name}"), payload::of(index, 1))
            .json();
        let epoch = answer["epoch"].as_str().unwrap();
        assert_eq!(answer["offset"], 1, "{answer}");
        Self {
            index,
            name,
            epoch: u64::from_str_radix(epoch, 16).unwrap(),
            published: AtomicU64::new(1),
            progress: (0..EACH).map(|_| AtomicU64::new(1)).collect(),
            total_progress: AtomicU64::new(EACH as u64),
        }
    }

    fn note_progress(&self, client: usize, last: u64) {
        let before = self.progress[client].swap(last, Ordering::Relaxed);
        let more = last.wrapping_sub(before);
        self.total_progress.fetch_add(more, Ordering::Relaxed);
    }

    fn mean_progress(&self) -> u64 {
        self.total_progress.load(Ordering::Relaxed) / EACH as u64
    }

    fn least_progress(&self) -> u64 {
        let all = self.progress.iter();
        let all = all.map(|progress| progress.load(Ordering::Relaxed));
        all.min().unwrap_or_default()
    }
}

/// A proxy holds two sockets for each of a client's.
fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
