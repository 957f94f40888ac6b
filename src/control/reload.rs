//! Other settings while the server runs: how they are read and checked, and handed to the shards as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, oneshot, watch};

use super::handle::{Handle, Letter};
use crate::access::AccessError;
use crate::config::{Change, Config, ConfigError, Kept, Warning};
use crate::endpoint::RouteError;
use crate::rules::Rules;
use crate::shard::Live;
use crate::systemd::Manager;

/// What a reload has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reloaded {
    /// Settings that are others now.
    pub changed: Vec<Change>,
    /// Settings that were to be others, and are not until the server is started anew.
    pub kept: Vec<Kept>,
    /// What an operator should hear.
    pub warnings: Vec<Warning>,
}

/// Why settings were not taken over; nothing has changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReloadError {
    /// They cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys that tokens are checked with cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The origins cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The server ends.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl ReloadError {
    /// A line for each mistake.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Config(error) => error.problems().iter().map(ToString::to_string).collect(),
            error => vec![error.to_string()],
        }
    }
}

/// Where a configuration is read from.
pub type Load = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Is told of the settings that hold from now on.
pub type Hear = Box<dyn Fn(&Config) + Send>;

/// Where the settings stand that hold now.
pub type LiveWatch = watch::Receiver<Arc<Live>>;

/// Settings that have been checked as far as they can be without those that hold.
pub struct Prepared {
    config: Config,
    rules: Rules,
    warnings: Vec<Warning>,
}

impl Prepared {
    /// Checks settings, and reads the files that they name.
    pub fn new(config: Config) -> Result<Self, ReloadError> {
        let warnings = config.validate()?;
        let rules = Rules::new(&config)?;
        Ok(Self {
            config,
            rules,
            warnings,
        })
    }
}

/// Has a server take its configuration over as it is written now.
pub struct Reload {
    load: Arc<Load>,
    handle: Handle,
    manager: Arc<Manager>,
    /// Two at a time could take over what the one has read after what the other has.
    one_at_a_time: Mutex<()>,
}

impl Reload {
    /// Of the server of that handle, which tells that manager of each.
    pub fn new(load: Load, handle: Handle, manager: Arc<Manager>) -> Self {
        Self {
            load: Arc::new(load),
            handle,
            manager,
            one_at_a_time: Mutex::new(()),
        }
    }

    /// Reads, checks and takes over, and writes into the log what came of it. When it returns, the settings hold on all shards.
    ///
    /// # Errors
    /// [`ReloadError`]. Nothing has changed then.
    pub async fn run(&self, asked_by: &str) -> Result<Reloaded, ReloadError> {
        let _alone = self.one_at_a_time.lock().await;
        // Also if nobody waits any more for what comes of it.
        let _ready_again = self.manager.reloading();
        let load = self.load.clone();
        // Files may be slow, and publishing goes on meanwhile.
        let prepare = move || Prepared::new(load()?);
        let prepared = tokio::task::spawn_blocking(prepare).await;
        let result = match prepared.unwrap_or(Err(ReloadError::ShuttingDown)) {
            Ok(prepared) => self.handle.take_over(prepared).await,
            Err(error) => Err(error),
        };
        log(asked_by, &result);
        self.manager.remark(match &result {
            Ok(_) => String::new(),
            Err(error) => format!("{asked_by} has changed nothing: {error}"),
        });
        result
    }
}

fn log(asked_by: &str, result: &Result<Reloaded, ReloadError>) {
    match result {
        Ok(reloaded) => {
            for change in &reloaded.changed {
                tracing::info!("{asked_by}: {change}");
            }
            for kept in &reloaded.kept {
                tracing::warn!("{asked_by}: {kept}");
            }
            for warning in &reloaded.warnings {
                tracing::warn!("{asked_by}: {warning}");
            }
            tracing::info!(
                "{asked_by}: the configuration is read again: {} changes hold, {} take a restart",
                reloaded.changed.len(),
                reloaded.kept.len()
            );
        }
        Err(error) => {
            for line in error.lines() {
                tracing::error!("{asked_by}: {line}");
            }
            tracing::error!(
                "{asked_by}: the configuration cannot be used, and nothing has changed"
            );
        }
    }
}

impl Handle {
    /// Has the server work with other settings from now on: all shards with all of them, or none with any. Connections stay
    /// open. When it returns, they hold everywhere.
    ///
    /// Settings that take a restart stay as they are; [`Reloaded::kept`] names them. Reads the JWKS file, if one is named, on
    /// the calling thread.
    ///
    /// # Errors
    /// [`ReloadError`]. Nothing has changed then.
    pub async fn reload(&self, config: Config) -> Result<Reloaded, ReloadError> {
        self.take_over(Prepared::new(config)?).await
    }

    /// The same for threads without an asynchronous runtime.
    ///
    /// # Errors
    /// [`ReloadError`]. Nothing has changed then.
    ///
    /// # Panics
    /// Inside of an asynchronous runtime, such as a callback's: that may not be blocked.
    pub fn reload_blocking(&self, config: Config) -> Result<Reloaded, ReloadError> {
        let (letter, answered) = letter(Prepared::new(config)?);
        if self.letters.blocking_send(letter).is_err() {
            return Err(ReloadError::ShuttingDown);
        }
        let answer = answered.blocking_recv();
        answer.unwrap_or(Err(ReloadError::ShuttingDown))
    }

    async fn take_over(&self, prepared: Prepared) -> Result<Reloaded, ReloadError> {
        let (letter, answered) = letter(prepared);
        if self.letters.send(letter).await.is_err() {
            return Err(ReloadError::ShuttingDown);
        }
        answered.await.unwrap_or(Err(ReloadError::ShuttingDown))
    }
}

/// Where the answer to a reload goes.
pub type Answer = oneshot::Sender<Result<Reloaded, ReloadError>>;

fn letter(prepared: Prepared) -> (Letter, oneshot::Receiver<Result<Reloaded, ReloadError>>) {
    let (answer, answered) = oneshot::channel();
    let prepared = Box::new(prepared);
    (Letter::Reload { prepared, answer }, answered)
}

/// Makes of new settings what the shards work with, and waits for them to do.
pub struct Reloader {
    live: watch::Sender<Arc<Live>>,
    hear: Hear,
    shards: usize,
    /// By their version, reloads that not all shards have taken over: how many those are, and who waits for it.
    under_way: HashMap<u64, (usize, Answer, Reloaded)>,
}

impl Reloader {
    /// For so many shards that work with these settings.
    pub fn new(live: Live, shards: usize, hear: Hear) -> Self {
        Self {
            live: watch::Sender::new(Arc::new(live)),
            hear,
            shards,
            under_way: HashMap::new(),
        }
    }

    /// Where the settings stand that hold, for those who are not shards.
    pub fn watch(&self) -> LiveWatch {
        self.live.subscribe()
    }

    /// What all shards are to take over, unless it cannot be; either way whoever asked is answered.
    pub(super) fn begin(&mut self, prepared: Prepared, answer: Answer) -> Option<Arc<Live>> {
        match self.make(prepared) {
            Ok((live, reloaded)) => {
                let live = Arc::new(live);
                self.live.send_replace(live.clone());
                (self.hear)(&live.config);
                self.under_way
                    .insert(live.version, (self.shards, answer, reloaded));
                Some(live)
            }
            Err(error) => {
                // Whoever asked may have gone.
                let _ = answer.send(Err(error));
                None
            }
        }
    }

    /// One more shard works with the settings of that version.
    pub(super) fn note(&mut self, version: u64) {
        let Some((shards_left, ..)) = self.under_way.get_mut(&version) else {
            return;
        };
        *shards_left -= 1;
        if *shards_left == 0
            && let Some((_, answer, reloaded)) = self.under_way.remove(&version)
        {
            let _ = answer.send(Ok(reloaded));
        }
    }

    fn make(&self, prepared: Prepared) -> Result<(Live, Reloaded), ReloadError> {
        let Prepared {
            config,
            rules,
            warnings,
        } = prepared;
        let running = self.live.borrow().clone();
        let (config, kept) = config.for_running(&running.config);
        // What is good with another listener need not be with this one.
        config.validate()?;
        let changed = config.changes_since(&running.config);
        let live = Live {
            version: running.version + 1,
            sessions: Arc::new(running.sessions.renewed(&config)?),
            rules: Arc::new(rules),
            config: Arc::new(config),
        };
        let reloaded = Reloaded {
            changed,
            kept,
            warnings,
        };
        Ok((live, reloaded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Fault, Secret};
    use crate::session;

    fn reloader(config: &Config, shards: usize) -> Reloader {
        let live = Live {
            version: 0,
            config: Arc::new(config.clone()),
            sessions: Arc::new(session::Settings::new(config).expect("the default origins")),
            rules: Arc::default(),
        };
        Reloader::new(live, shards, Box::new(|_| {}))
    }

    type Answered = oneshot::Receiver<Result<Reloaded, ReloadError>>;

    fn begin(reloader: &mut Reloader, config: Config) -> (Option<Arc<Live>>, Answered) {
        let (answer, answered) = oneshot::channel();
        let prepared = Prepared::new(config).expect("a good configuration");
        (reloader.begin(prepared, answer), answered)
    }

    #[test]
    fn who_asks_is_answered_when_all_shards_have_taken_it_over() {
        let mut reloader = reloader(&Config::default(), 3);
        let watch = reloader.watch();
        let mut config = Config::default();
        config.limits.subscriptions_max = 1;
        let (live, mut first) = begin(&mut reloader, config.clone());
        assert_eq!(live.expect("it can be").version, 1);
        config.limits.subscriptions_max = 2;
        let (_, mut second) = begin(&mut reloader, config);
        assert_eq!(watch.borrow().config.limits.subscriptions_max, 2);
        for version in [1, 1, 2, 2] {
            reloader.note(version);
            assert!(first.try_recv().is_err() && second.try_recv().is_err());
        }
        reloader.note(2);
        assert!(first.try_recv().is_err());
        assert_eq!(
            second.try_recv().map(|r| r.map(|r| r.changed.len())),
            Ok(Ok(1))
        );
        reloader.note(1);
        assert!(matches!(first.try_recv(), Ok(Ok(_))));
    }

    /// The new configuration is good for a start, but the listener stays where it is.
    #[test]
    fn a_listener_that_others_reach_does_not_lose_what_guards_it() {
        let mut guarded = Config::default();
        guarded.listen.set_ip([0, 0, 0, 0].into());
        guarded.auth.hmac_secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        let mut reloader = reloader(&guarded, 1);
        let (live, mut answered) = begin(&mut reloader, Config::default());
        assert!(live.is_none());
        let Ok(Err(ReloadError::Config(error))) = answered.try_recv() else {
            panic!("it is taken over");
        };
        let fault = &error.problems()[0].fault;
        assert!(
            matches!(fault, Fault::Reachable { key: "listen", .. }),
            "{fault}"
        );
        assert_eq!(reloader.watch().borrow().version, 0, "nothing has changed");
        let closed = Config {
            auth: guarded.auth,
            ..Config::default()
        };
        assert!(begin(&mut reloader, closed).0.is_some());
    }
}
