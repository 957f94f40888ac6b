//! Taking a server up that the program before this one has left in this process (a live upgrade).

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

use bytes::Bytes;
use socket2::Socket;

use crate::config::{Config, ConfigError};
use crate::control::upgrade::{STATE_VARIABLE, TEST_PASSED, TEST_VARIABLE};
use crate::control::{State, StateError, hex};
use crate::reactor::{self, Brain, Listener, Listeners, ResumeError, sys};
use crate::rules::Rules;
use crate::session;
use crate::shard::Identity;
use crate::shard::mail::SavedListener;

/// Why a server cannot be taken up: it has ended.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// What it has left.
    #[error(transparent)]
    State(#[from] StateError),
    /// A shard.
    #[error(transparent)]
    Shard(#[from] ResumeError),
    /// A socket that should be there.
    #[error("a socket has not been handed over: {0}")]
    Socket(io::Error),
    /// The rings.
    #[error(transparent)]
    Setup(#[from] reactor::SetupError),
    /// The configuration does not fit the listeners that stay open.
    #[error("with the listeners that stay open: {0}")]
    Config(#[from] ConfigError),
}

/// A server that was at rest when the program before this one ended.
pub struct Resumed {
    pub rests_since_ns: u64,
    pub version: String,
    pub hash_seed: u64,
    addresses: [SocketAddr; 2],
    pub listeners: Listeners,
    /// Open connections of the internal listener.
    pub calls: Vec<(std::net::TcpStream, Bytes)>,
    /// What each shard's reactor is to make of it again.
    pub shards: Vec<Bytes>,
}

impl Resumed {
    /// Takes the server over that the environment names, if it names one.
    ///
    /// # Errors
    /// [`TakeOverError`].
    pub fn from_environment() -> Result<Option<Self>, TakeOverError> {
        let Some(mut file) = inherited_state()? else {
            return Ok(None);
        };
        let (state, _) = State::read(&mut file)?;
        let socket = |fd: RawFd| {
            let owned = sys::take_over(fd).map_err(TakeOverError::Socket)?;
            Ok::<Socket, TakeOverError>(owned.into())
        };
        let mut listeners = Vec::new();
        let mut shards = Vec::new();
        for shard in state.shards {
            let SavedListener { fd, given, shared } = shard.listener;
            listeners.push(Listener {
                socket: socket(fd)?,
                given,
                shared,
            });
            shards.push(shard.bytes);
        }
        if let Some(tester) = state.tester {
            bury(tester);
        }
        let calls = state.calls.into_iter();
        let calls = calls.map(|(fd, read)| Ok((socket(fd)?.into(), read)));
        Ok(Some(Self {
            rests_since_ns: state.rests_since_ns,
            version: state.version,
            hash_seed: state.hash_seed,
            addresses: state.addresses,
            listeners: Listeners {
                public: listeners,
                internal: state.internal.map(socket).transpose()?.map(Into::into),
            },
            calls: calls.collect::<Result<_, TakeOverError>>()?,
            shards,
        }))
    }

    /// Has the configuration say of the listeners what they are, and the log what it says otherwise.
    ///
    /// # Errors
    /// When it lacks what guards a listener that stays open.
    pub fn keep(&self, config: &mut Config) -> Result<(), TakeOverError> {
        let stays = |setting: &str, is: &dyn Display, said: &dyn Display| {
            tracing::warn!("{setting} = {said} takes a restart: it stays {is} in an upgrade");
        };
        let [listen, internal] = self.addresses;
        if config.listen != listen {
            stays("listen", &listen, &config.listen);
        }
        if config.internal != internal {
            stays("internal", &internal, &config.internal);
        }
        let shards = self.shards.len();
        if config.shards != 0 && config.shards != shards {
            stays("shards", &shards, &config.shards);
        }
        keep_addresses(config, self.addresses)
    }

    /// How long nothing has been sent, in ms.
    pub fn pause_ms(&self) -> f64 {
        let pause_ns = sys::monotonic_ns().saturating_sub(self.rests_since_ns);
        pause_ns as f64 / 1e6
    }
}

/// The addresses of sockets do not change by what a file says; so that is not what is checked.
fn keep_addresses(
    config: &mut Config,
    [listen, internal]: [SocketAddr; 2],
) -> Result<(), TakeOverError> {
    (config.listen, config.internal) = (listen, internal);
    config.validate()?;
    Ok(())
}

/// Waits, aside, for a child of this process that nobody else here knows: it would stay a zombie otherwise.
fn bury(child: u32) {
    let waiting = std::thread::Builder::new().name("tester".to_owned());
    // Without a thread it stays one, and does no harm.
    let _ = waiting.spawn(move || sys::wait_for_child(child));
}

/// Whether this program was started only to look whether it could take the server over.
pub fn is_test() -> bool {
    std::env::var_os(TEST_VARIABLE).is_some()
}

/// Looks whether the state can be taken over, says so on standard output, and does it again whenever it is asked to on standard
/// input.
///
/// # Errors
/// The first reason why it cannot.
pub fn test(
    config: &Arc<Config>,
    sessions: &Arc<session::Settings>,
    rules: &Arc<Rules>,
) -> Result<(), TakeOverError> {
    let Some(mut file) = inherited_state()? else {
        return Err(StateError::Foreign.into());
    };
    reactor::try_rings()?;
    let mut questions = io::stdin().lock();
    loop {
        let (state, sum) = State::read(&mut file)?;
        keep_addresses(&mut (**config).clone(), state.addresses)?;
        let shards = state.shards.len();
        for (shard, saved) in state.shards.iter().enumerate() {
            let brain = Brain {
                identity: Identity {
                    shard,
                    shards,
                    hash_seed: state.hash_seed,
                    first_epoch: 1,
                },
                config: config.clone(),
                sessions: sessions.clone(),
                rules: rules.clone(),
            };
            reactor::check(&brain, &saved.bytes)?;
        }
        let mut out = io::stdout().lock();
        // Nobody listens any more: nothing is to be done.
        if writeln!(out, "{TEST_PASSED} {}", hex(&sum))
            .and_then(|()| out.flush())
            .is_err()
        {
            return Ok(());
        }
        let mut question = String::new();
        if !questions
            .read_line(&mut question)
            .is_ok_and(|read| read > 0)
        {
            return Ok(());
        }
    }
}

/// The file that the environment names.
fn inherited_state() -> Result<Option<File>, TakeOverError> {
    let Some(named) = std::env::var_os(STATE_VARIABLE) else {
        return Ok(None);
    };
    let fd = named.to_str().and_then(|fd| fd.parse().ok());
    let fd: RawFd = fd.ok_or(StateError::Foreign)?;
    let owned = sys::take_over(fd).map_err(StateError::from)?;
    Ok(Some(owned.into()))
}
