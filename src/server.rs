//! Puts shards, mailboxes, listeners and the control thread together and runs them.

#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::channel::ShardSet;
use crate::config::Config;
use crate::control::{self, Control, Office};
use crate::metrics::ShardMetrics;
use crate::reactor::{self, Mailboxes, Parts, SetupError, sys};
use crate::session;
use crate::shard::{Identity, Shard};
use crate::ws::handshake::OriginPatternError;

/// File descriptors that are no connections: rings, bells, listeners, the internal listener's.
const FILES_ASIDE: u64 = 64;

/// Why the server does not start, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel, its limits, or another program.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The configuration.
    #[error("origins.allowed: {0}")]
    Origin(#[from] OriginPatternError),
    /// More shards than the owner's sets of shards hold.
    #[error("{0} shards are too many: at most {max} (shards)", max = ShardSet::SHARDS_MAX)]
    TooManyShards(usize),
    /// The control thread's runtime.
    #[error("cannot start the control thread: {0}")]
    Control(io::Error),
}

/// Runs a server until SIGTERM or SIGINT has ended it.
///
/// # Errors
/// [`StartError`] when it does not come to run.
pub fn run(config: Config) -> Result<(), StartError> {
    let sessions = Arc::new(session::Settings::new(&config)?);
    let config = Arc::new(config);
    let files = sys::raise_file_limit();
    let cores = sys::affinity().unwrap_or_default();
    let shards = match config.shards {
        0 => cores.len().max(1),
        shards => shards,
    };
    if shards > ShardSet::SHARDS_MAX {
        return Err(StartError::TooManyShards(shards));
    }
    let backlog = config.reactor.listen_backlog;
    let listeners = reactor::bind_shared(config.listen, shards, backlog, "listen")?;
    let internal = reactor::bind_alone(config.internal, "internal")?;
    let mut mail =
        Mailboxes::connect(shards, config.mailbox.entries).map_err(SetupError::Thread)?;
    let Some(control_mail) = mail.pop() else {
        return Err(StartError::TooManyShards(shards));
    };
    let hash_seed = RandomState::new().build_hasher().finish();
    let metrics: Vec<_> = (0..shards)
        .map(|_| Arc::new(ShardMetrics::default()))
        .collect();

    let (ready, readiness) = mpsc::channel();
    let mut threads = Vec::with_capacity(shards);
    for (index, (listener, mail)) in listeners.into_iter().zip(mail).enumerate() {
        let identity = Identity {
            shard: index,
            shards,
            hash_seed,
            first_epoch: first_epoch(),
        };
        let core = (shards <= cores.len()).then(|| cores[index]);
        let parts = Parts {
            shard: Shard::new(identity, config.clone(), sessions.clone()),
            listener,
            mail,
            metrics: metrics[index].clone(),
            config: config.clone(),
            core,
        };
        threads.push(start_shard(index, parts, ready.clone()).map_err(SetupError::Thread)?);
    }
    drop(ready);
    for result in readiness {
        result?;
    }
    say_what_runs(&config, shards, &cores, files.ok());

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Control)?;
    runtime
        .block_on(attend(
            &config,
            internal,
            control_mail,
            shards,
            hash_seed,
            metrics,
        ))
        .map_err(StartError::Control)?;
    for thread in threads {
        // A shard that panicked has ended the process.
        let _ = thread.join();
    }
    tracing::info!("all connections are closed");
    Ok(())
}

/// Serves the internal listener and the signals until all shards have drained.
async fn attend(
    config: &Config,
    internal: std::net::TcpListener,
    mail: Mailboxes,
    shards: usize,
    hash_seed: u64,
    metrics: Vec<Arc<ShardMetrics>>,
) -> io::Result<()> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let (office, counter) = Office::open(mail, shards, hash_seed)?;
    let control = Control::new(config, counter.clone(), metrics);
    let (all_drained, drained) = tokio::sync::oneshot::channel();
    let end = async move {
        // An error is the office's end as well.
        let _ = drained.await;
    };
    let serving = tokio::spawn(control::serve(internal, control.clone(), end));
    tokio::spawn(drain_on_signal(
        terminate,
        interrupt,
        control,
        counter,
        config.timeouts.drain_ms,
    ));
    office.run().await;
    // The receiver is gone only when serving has ended before.
    let _ = all_drained.send(());
    match serving.await {
        Ok(served) => served,
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The first signal drains, the second ends the process at once.
async fn drain_on_signal(
    mut terminate: Signal,
    mut interrupt: Signal,
    control: Arc<Control>,
    counter: control::Counter,
    drain_ms: u64,
) {
    let mut wait = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let first = wait().await;
    tracing::info!(
        "{first}: closing all connections within {drain_ms} ms; a second signal ends at once"
    );
    control.begin_drain();
    counter.drain(drain_ms).await;
    let second = wait().await;
    tracing::warn!("{second}: ending at once");
    std::process::exit(1);
}

fn start_shard(
    index: usize,
    parts: Parts,
    ready: mpsc::Sender<Result<(), SetupError>>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
            reactor::run(parts, move |result| {
                // Nobody waits any more when another shard has failed.
                let _ = ready.send(result);
            });
        })
}

fn say_what_runs(config: &Config, shards: usize, cores: &[usize], files: Option<u64>) {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(
        "pushring {version}: clients connect to ws://{}/sub/{{channel}}",
        config.listen
    );
    tracing::info!(
        "publish with: curl -d hello http://{}/pub/news",
        config.internal
    );
    if shards <= cores.len() {
        tracing::info!("{shards} shards, pinned to cores {:?}", &cores[..shards]);
    } else {
        tracing::info!("{shards} shards on {} cores, not pinned", cores.len());
    }
    if let Some(files) = files {
        let connections = (config.limits.connections_max * shards) as u64;
        if files < connections.saturating_add(FILES_ASIDE) {
            tracing::warn!(
                "open files are limited to {files}, so {} connections fit, not {connections} (limits.connections_max times {shards} shards): raise it with `ulimit -Hn {}` or LimitNOFILE=",
                files.saturating_sub(FILES_ASIDE),
                connections + FILES_ASIDE
            );
        }
    }
    say_kernel_limits(config);
}

fn say_kernel_limits(config: &Config) {
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    let backlog = config.reactor.listen_backlog;
    if let Some(somaxconn) = somaxconn
        && somaxconn < backlog
    {
        tracing::warn!(
            "the kernel lets {somaxconn} connections wait to be accepted, not {backlog} (reactor.listen_backlog): raise it with `sysctl net.core.somaxconn={backlog}`"
        );
    }
}

/// Streams of this run are never taken for those of an earlier one.
fn first_epoch() -> u64 {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    (seconds << 32) + 1
}
