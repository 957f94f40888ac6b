//! The thread that is no shard: the handle's letters, the internal listener, signals.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::vigil;
use crate::control::upgrade::{Program, Upgrade};
use crate::control::{
    self, Control, HandOver, Handle, Idle, Letter, LiveWatch, Load, Office, Reload, Reloader,
};
use crate::metrics::ShardMetrics;
use crate::reactor::Mailboxes;
use crate::shard::Identity;
use crate::systemd::Manager;

/// What the end takes behind the last close, at most: threads and rings are taken down.
const ENDING_MS: u64 = 5_000;

/// What it is started with.
pub struct ControlThread {
    pub reloader: Reloader,
    /// Where the configuration is read again, if that can be.
    pub load: Option<Load>,
    /// Where clients connect.
    pub public: SocketAddr,
    /// The internal listener's socket.
    pub listener: Option<TcpListener>,
    /// Open connections of it, and what has been read from each.
    pub calls: Vec<(TcpStream, Bytes)>,
    /// The program to become in a live upgrade.
    pub program: Option<Program>,
    pub mail: Mailboxes,
    pub letters: mpsc::Receiver<Letter>,
    pub handle: Handle,
    /// Of any shard.
    pub identity: Identity,
    pub metrics: Vec<Arc<ShardMetrics>>,
    pub heed_signals: bool,
    /// Is told how the server is.
    pub manager: Arc<Manager>,
}

impl ControlThread {
    /// Starts the thread, which ends when all shards have drained. From when this returns the
    /// signals are heeded.
    ///
    /// # Errors
    /// When the runtime, the signals or the thread are not to be had.
    pub fn start(self) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let live = self.reloader.watch();
        let handle = self.handle.clone();
        let manager = self.manager;
        let reload = self
            .load
            .map(|load| Arc::new(Reload::new(load, handle, manager.clone())));
        let (hand_over, hand_overs) = mpsc::channel(1);
        let upgrade = self.program.map(|program| {
            let internal = self.listener.as_ref();
            Arc::new(Upgrade::new(
                program,
                self.handle.clone(),
                live.clone(),
                manager.clone(),
                self.identity.hash_seed,
                internal.map(|listener| (listener.as_raw_fd(), hand_over)),
            ))
        });
        let (office, calls) = {
            let _inside = runtime.enter();
            vigil::begin(&manager, &self.handle, &self.metrics);
            if self.heed_signals {
                let signals = (
                    signal(SignalKind::terminate())?,
                    signal(SignalKind::interrupt())?,
                );
                let (handle, live) = (self.handle.clone(), live.clone());
                tokio::spawn(drain_on_signal(signals, handle, live, manager));
                // Without a configuration to read it keeps the kernel's meaning, which is the process's end.
                if let Some(reload) = reload.clone() {
                    let hang_up = signal(SignalKind::hangup())?;
                    tokio::spawn(reload_on_signal(hang_up, reload));
                }
                if let Some(upgrade) = upgrade.clone() {
                    let wanted = signal(SignalKind::user_defined2())?;
                    tokio::spawn(upgrade_on_signal(wanted, upgrade));
                }
            }
            let calls = (self.calls.into_iter())
                .map(|(stream, read)| {
                    let stream = tokio::net::TcpStream::from_std(stream)?;
                    Ok(Idle { stream, read })
                })
                .collect::<io::Result<Vec<_>>>()?;
            let Identity {
                shards, hash_seed, ..
            } = self.identity;
            let office = Office::open(self.mail, self.letters, shards, hash_seed, self.reloader)?;
            (office, calls)
        };
        let control = Control::new(
            live,
            self.public,
            self.handle,
            self.metrics,
            reload,
            upgrade,
        );
        let internal = self.listener.map(|listener| Internal {
            listener,
            calls,
            hand_overs,
        });
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                // Those that came while the program before this one ended wait for this.
                if let Err(error) = control::upgrade::heed_held_signals() {
                    tracing::warn!("signals may be held back: {error}");
                }
                attend(&runtime, office, control, internal);
            })
    }
}

/// The internal listener.
struct Internal {
    listener: TcpListener,
    calls: Vec<Idle>,
    hand_overs: mpsc::Receiver<HandOver>,
}

/// Serves the internal listener until all shards have drained.
fn attend(runtime: &Runtime, office: Office, control: Arc<Control>, internal: Option<Internal>) {
    runtime.block_on(async move {
        let (all_drained, drained) = tokio::sync::oneshot::channel();
        let serving = internal.map(|internal| {
            let end = async move {
                // An error is the office's end as well.
                let _ = drained.await;
            };
            let Internal {
                listener,
                calls,
                hand_overs,
            } = internal;
            tokio::spawn(control::serve(listener, calls, control, hand_overs, end))
        });
        office.run().await;
        // The receiver is gone only when serving has ended before.
        let _ = all_drained.send(());
        if let Some(serving) = serving {
            match serving.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!("the internal listener failed: {error}"),
                Err(error) => tracing::error!("the internal listener failed: {error}"),
            }
        }
    });
}

/// Each signal has the configuration read again. Those that come meanwhile are one.
async fn reload_on_signal(mut hang_up: Signal, reload: Arc<Reload>) {
    while hang_up.recv().await.is_some() {
        // The log tells what came of it.
        let _ = reload.run("SIGHUP").await;
    }
}

/// Each signal has the server upgraded.
async fn upgrade_on_signal(mut wanted: Signal, upgrade: Arc<Upgrade>) {
    while wanted.recv().await.is_some() {
        // The log tells what came of it.
        let _ = upgrade.clone().begin("SIGUSR2").await;
    }
}

/// The first signal drains, the second ends the process at once.
async fn drain_on_signal(
    (mut terminate, mut interrupt): (Signal, Signal),
    handle: Handle,
    live: LiveWatch,
    manager: Arc<Manager>,
) {
    let mut wait = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let first = wait().await;
    let timeouts = live.borrow().config.timeouts.clone();
    let drain_ms = timeouts.drain_ms;
    manager.remark(format!("{first}: closing all connections"));
    manager.stopping(Duration::from_millis(
        timeouts.ready_delay_ms + drain_ms + timeouts.linger_ms + ENDING_MS,
    ));
    let drain = async {
        if timeouts.ready_delay_ms > 0 {
            handle.announce_drain();
            let delay = Duration::from_millis(timeouts.ready_delay_ms);
            tracing::info!("{first}: /ready answers 503; connections are closed from {delay:?} on");
            tokio::time::sleep(delay).await;
        }
        tracing::info!(
            "{first}: closing all connections within {drain_ms} ms; a second signal ends at once"
        );
        handle.drain(drain_ms).await;
    };
    let second = async {
        let second = wait().await;
        tracing::warn!("{second}: ending at once");
        std::process::exit(1);
    };
    // The second lasts until there is a signal, or the runtime ends with the last shard.
    tokio::join!(drain, second);
}
