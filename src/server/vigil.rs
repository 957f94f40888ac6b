//! What a manager such as systemd is told while the server runs: that every shard still works, and what it does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::control::Handle;
use crate::metrics::ShardMetrics;
use crate::systemd::Manager;

/// How often the manager is told what the server does.
const FIGURES_EVERY: Duration = Duration::from_secs(3);

/// The manager is told so many times within its watchdog's time that the server works.
const ALIVE_WITHIN_WATCHDOG: u32 = 3;

/// Begins to tell a manager that listens, until the runtime ends. Inside of a tokio runtime only.
pub fn begin(manager: &Arc<Manager>, handle: &Handle, metrics: &[Arc<ShardMetrics>]) {
    if !manager.listens() {
        return;
    }
    tokio::spawn(show_figures(manager.clone(), metrics.to_vec()));
    if let Some(watchdog) = manager.watchdog() {
        tracing::info!("systemd's watchdog waits {watchdog:?} for the shards");
        let every = watchdog / ALIVE_WITHIN_WATCHDOG;
        tokio::spawn(feed_watchdog(manager.clone(), handle.clone(), every));
    }
}

/// Asks all shards, and tells the manager when each of them has answered. As long as one does not, nothing is told, whatever the
/// others do; it need not be one that is busy, for an idle shard is woken by the question.
async fn feed_watchdog(manager: Arc<Manager>, handle: Handle, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // An error is the end of all shards.
        if handle.counts().await.is_err() {
            return;
        }
        manager.alive();
    }
}

async fn show_figures(manager: Arc<Manager>, metrics: Vec<Arc<ShardMetrics>>) {
    let mut ticks = interval(FIGURES_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = (Instant::now(), 0);
    loop {
        let now = ticks.tick().await;
        let totals = Totals::of(&metrics);
        let seconds = (now - before.0).as_secs_f64().max(0.001);
        let rate = totals.deliveries.saturating_sub(before.1) as f64 / seconds;
        before = (now, totals.deliveries);
        manager.show(totals.figures(metrics.len(), rate));
    }
}

/// What the manager is told of all shards together.
#[derive(Default)]
struct Totals {
    connections: u64,
    deliveries: u64,
    slow: u64,
}

impl Totals {
    fn of(metrics: &[Arc<ShardMetrics>]) -> Self {
        metrics.iter().fold(Self::default(), |mut totals, shard| {
            let counters = shard.counters();
            totals.connections += counters.connections;
            totals.deliveries += counters.deliveries;
            totals.slow += counters.backlogged;
            totals
        })
    }

    fn figures(&self, shards: usize, deliveries_per_second: f64) -> String {
        let Self {
            connections, slow, ..
        } = self;
        format!(
            "{connections} connections, {deliveries_per_second:.0} deliveries/s, {shards} shards, {slow} slow consumers"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::path::Path;

    use tokio::sync::mpsc;
    use tokio::sync::oneshot::Sender;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::control::Letter;
    use crate::metrics::Counters;
    use crate::shard::mail::Surveyed;

    const WATCHDOG: Duration = Duration::from_secs(30);

    fn manager(name: &str) -> (Arc<Manager>, UnixDatagram) {
        let name = format!("pushring-vigil-{}-{name}", std::process::id());
        let hears = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap());
        let hears = hears.unwrap();
        hears.set_nonblocking(true).unwrap();
        let manager = Manager::at(Path::new(&format!("@{name}")), Some(WATCHDOG)).unwrap();
        (Arc::new(manager), hears)
    }

    /// What has been said since it was asked for last.
    fn heard(hears: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 4_096];
        let mut next = || {
            let length = hears.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
        };
        std::iter::from_fn(&mut next).collect()
    }

    async fn next_survey(letters: &mut mpsc::Receiver<Letter>) -> Sender<Vec<Surveyed>> {
        match letters.recv().await {
            Some(Letter::Survey { answer, .. }) => answer,
            _ => panic!("all shards are asked"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_when_every_shard_has_answered_and_not_before() {
        let (manager, hears) = manager("watchdog");
        let (handle, mut letters) = Handle::new();
        begin(&manager, &handle, &[]);
        let mut told = Instant::now();
        for _ in 0..5 {
            let answer = next_survey(&mut letters).await;
            let asked_after = told.elapsed();
            assert!(asked_after < WATCHDOG / 2, "{asked_after:?}");
            heard(&hears);
            told = Instant::now();
            answer.send(Vec::new()).unwrap();
            // Whoever is ready runs before the clock goes on.
            sleep(Duration::from_millis(1)).await;
            assert_eq!(heard(&hears), ["WATCHDOG=1\n"]);
        }
        let stuck = next_survey(&mut letters).await;
        heard(&hears);
        for _ in 0..20 {
            advance(WATCHDOG / 4).await;
            sleep(Duration::from_millis(1)).await;
            let heard = heard(&hears);
            assert!(
                !heard.iter().any(|one| one.contains("WATCHDOG")),
                "{heard:?}"
            );
        }
        stuck.send(Vec::new()).unwrap();
        sleep(Duration::from_millis(1)).await;
        assert!(heard(&hears).contains(&"WATCHDOG=1\n".to_owned()));
        next_survey(&mut letters).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_has_what_all_shards_do_together() {
        let (manager, hears) = manager("figures");
        let metrics: Vec<_> = (0..2).map(|_| Arc::new(ShardMetrics::default())).collect();
        let (handle, _letters) = Handle::new();
        begin(&manager, &handle, &metrics);
        sleep(Duration::from_millis(1)).await;
        let nothing = "STATUS=0 connections, 0 deliveries/s, 2 shards, 0 slow consumers\n";
        assert_eq!(heard(&hears), [nothing]);
        let counters = Counters {
            connections: 5,
            deliveries: 1_500,
            backlogged: 1,
            ..Counters::default()
        };
        for shard in &metrics {
            shard.publish(&counters);
        }
        sleep(FIGURES_EVERY).await;
        let both = "STATUS=10 connections, 1000 deliveries/s, 2 shards, 2 slow consumers\n";
        assert_eq!(heard(&hears), [both]);
    }
}
