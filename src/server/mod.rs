//! A whole server: shards, mailboxes, listeners and the control thread put together and run.
//!
//! ```
//! use pushring::server::Server;
//!
//! // What `pushring serve` runs, on ports that are free.
//! let server = Server::builder()
//!     .listen(([127, 0, 0, 1], 0))
//!     .internal(([127, 0, 0, 1], 0))
//!     .raw_protocol()
//!     .start()?;
//! println!("subscribe at ws://{}/sub/news", server.public_address());
//! server.shut_down();
//! # Ok::<(), pushring::server::StartError>(())
//! ```

#![forbid(unsafe_code)]

mod builder;
mod control_thread;
mod resume;
mod vigil;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

pub use crate::control::upgrade::{Program, UpgradeError};
pub use crate::control::{Handle, PostError, PublishError, ReloadError, Reloaded};
pub use builder::Builder;
pub use resume::TakeOverError;

use crate::access::AccessError;
use crate::channel::ShardSet;
use crate::config::{Config, ConfigError};
use crate::control::{LiveWatch, Reloader};
use crate::endpoint::RouteError;
use crate::metrics::ShardMetrics;
use crate::reactor::{self, Brain, Listeners, Mailboxes, Parts, SetupError, sys};
use crate::rules::Rules;
use crate::session;
use crate::shard::{Identity, Live};
use builder::Plan;
use control_thread::ControlThread;
use resume::Resumed;

/// File descriptors that are no connections: rings, bells, listeners, the internal listener's.
pub const FILES_ASIDE: u64 = 64;

/// Why the server does not start, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel, its limits, or another program.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys that tokens are checked with.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A route or a page.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// More shards than the owner's sets of shards hold.
    #[error("{0} shards are too many: at most {max} (shards)", max = ShardSet::SHARDS_MAX)]
    TooManyShards(usize),
    /// What the program before this one has left, after a live upgrade.
    #[error("the server cannot be taken over: {0}")]
    TakeOver(#[from] TakeOverError),
    /// The control thread's runtime.
    #[error("cannot start the control thread: {0}")]
    Control(io::Error),
}

/// A server that runs. Dropping it leaves it running; its handle still reaches it.
#[derive(Debug)]
#[must_use = "it runs until it is shut down, and `wait` waits for that"]
pub struct Server {
    public: SocketAddr,
    internal: Option<SocketAddr>,
    handle: Handle,
    live: LiveWatch,
    shards: Vec<JoinHandle<()>>,
    control: JoinHandle<()>,
}

impl Server {
    /// A server to be put together; without routes so far.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Where clients connect: the port that was found where 0 was asked for.
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Where the internal listener is, if there is one.
    pub fn internal_address(&self) -> Option<SocketAddr> {
        self.internal
    }

    /// Publishes and speaks to connections, from any thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the server has ended: by its handle, or by a signal where the builder was told
    /// to heed those.
    pub fn wait(self) {
        for thread in self.shards.into_iter().chain([self.control]) {
            // A shard that panicked has ended the process.
            let _ = thread.join();
        }
        tracing::info!("all connections are closed");
    }

    /// Closes all connections, spread over `timeouts.drain_ms`, and waits for the end. Nothing
    /// that was published before is lost.
    ///
    /// # Panics
    /// Inside of an asynchronous runtime, which may not be blocked.
    pub fn shut_down(self) {
        let drain_ms = self.live.borrow().config.timeouts.drain_ms;
        self.handle.drain_blocking(drain_ms);
        self.wait();
    }

    fn start(plan: Plan) -> Result<Self, StartError> {
        let mut config = plan.config;
        config.validate()?;
        let is_test = plan.program.is_some() && resume::is_test();
        let mut resumed = match plan.program {
            Some(_) if !is_test => Resumed::from_environment()?,
            _ => None,
        };
        if let Some(resumed) = &resumed {
            resumed.keep(&mut config)?;
        }
        let config = Arc::new(config);
        let sessions = Arc::new(session::Settings::with_routes(&config, plan.routes));
        let rules = Arc::new(Rules::new(&config)?);
        if is_test {
            resume::test(&config, &sessions, &rules)?;
            std::process::exit(0);
        }
        let files = sys::raise_file_limit();
        let cores = sys::affinity().unwrap_or_default();
        let shards = match (&resumed, config.shards) {
            (Some(resumed), _) => resumed.shards.len(),
            // Each given socket needs a shard that accepts from it.
            (None, 0) => cores.len().max(plan.given.public.len()).max(1),
            (None, shards) => shards,
        };
        if shards > ShardSet::SHARDS_MAX {
            return Err(StartError::TooManyShards(shards));
        }
        let listeners = match &mut resumed {
            Some(resumed) => std::mem::take(&mut resumed.listeners),
            None => Listeners::open(&config, shards, plan.internal, plan.given)?,
        };
        let public = listeners.public_address().unwrap_or(config.listen);
        let internal_address = listeners.internal_address();
        let mut mail =
            Mailboxes::connect(shards, config.mailbox.entries).map_err(SetupError::Thread)?;
        let Some(control_mail) = mail.pop() else {
            return Err(StartError::TooManyShards(shards));
        };
        let metrics: Vec<_> = (0..shards)
            .map(|_| Arc::new(ShardMetrics::default()))
            .collect();
        let identity = Identity {
            shard: 0,
            shards,
            hash_seed: match &resumed {
                Some(resumed) => resumed.hash_seed,
                None => RandomState::new().build_hasher().finish(),
            },
            first_epoch: first_epoch(),
        };
        let parts = listeners.public.into_iter().zip(mail).enumerate();
        let parts = parts.map(|(shard, (listener, mail))| Parts {
            brain: Brain {
                identity: Identity {
                    shard,
                    // Below bit 57, which is for queues, there is room for the time.
                    first_epoch: identity.first_epoch | (shard as u64) << 58,
                    ..identity.clone()
                },
                config: config.clone(),
                sessions: sessions.clone(),
                rules: rules.clone(),
            },
            listener,
            mail,
            metrics: metrics[shard].clone(),
            core: (shards <= cores.len()).then(|| cores[shard]),
            saved: resumed
                .as_mut()
                .map(|r| std::mem::take(&mut r.shards[shard])),
        });
        let threads = start_shards(parts)?;
        let live = Live {
            version: 0,
            config: config.clone(),
            sessions,
            rules,
        };
        let hear = plan.hear.unwrap_or_else(|| Box::new(|_| {}));
        let reloader = Reloader::new(live, shards, hear);
        let live = reloader.watch();
        let control = ControlThread {
            reloader,
            load: plan.load,
            public,
            listener: listeners.internal,
            calls: resumed
                .as_mut()
                .map_or_else(Vec::new, |r| std::mem::take(&mut r.calls)),
            program: plan.program,
            mail: control_mail,
            letters: plan.letters,
            handle: plan.handle.clone(),
            identity,
            metrics,
            heed_signals: plan.heed_signals,
            manager: plan.manager.clone(),
        };
        let control = control.start().map_err(StartError::Control)?;
        match &resumed {
            Some(resumed) => tracing::info!(
                "taken over from pushring {} as pushring {}; nothing was sent for {:.1} ms",
                resumed.version,
                env!("CARGO_PKG_VERSION"),
                resumed.pause_ms()
            ),
            None => say_what_runs(&config, public, shards, &cores, files.ok()),
        }
        plan.manager.ready();
        Ok(Self {
            public,
            internal: internal_address,
            handle: plan.handle,
            live,
            shards: threads,
            control,
        })
    }
}

/// Starts a thread for each, and lets them go when all are ready. If one is not, all end.
fn start_shards(parts: impl Iterator<Item = Parts>) -> Result<Vec<JoinHandle<()>>, SetupError> {
    let (ready, readiness) = mpsc::channel();
    let mut threads = Vec::new();
    let mut starters = Vec::new();
    for parts in parts {
        let (starter, start) = mpsc::channel();
        starters.push(starter);
        threads.push(start_shard(parts, ready.clone(), start).map_err(SetupError::Thread)?);
    }
    drop(ready);
    for result in readiness.iter().take(threads.len()) {
        result?;
    }
    for starter in starters {
        // It waits for this.
        let _ = starter.send(());
    }
    Ok(threads)
}

fn start_shard(
    parts: Parts,
    ready: mpsc::Sender<Result<(), SetupError>>,
    start: mpsc::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("shard-{}", parts.brain.identity.shard))
        .spawn(move || {
            let _guard = AbortOnPanic;
            reactor::run(parts, move |result| {
                // Nobody waits any more when another shard has failed.
                let _ = ready.send(result);
                start.recv().is_ok()
            });
        })
}

/// Ends the process when a shard panics, an endpoint's callback perhaps: the other shards cannot
/// go on without it, for they wait for its mail.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a shard has panicked: the process ends");
            std::process::abort();
        }
    }
}

fn say_what_runs(
    config: &Config,
    public: SocketAddr,
    shards: usize,
    cores: &[usize],
    files: Option<u64>,
) {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!("pushring {version}: clients connect to ws://{public}");
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

/// Where the epochs of the first shard begin; the other shards' differ in the topmost bits. Streams of
/// this run are never taken for those of an earlier one, unless that began more than 33 million of them
/// a second.
fn first_epoch() -> u64 {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    (seconds << 25) + 1
}
