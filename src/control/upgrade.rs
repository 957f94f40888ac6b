//! A live upgrade: another version of the program takes the server over in this very process, and no client notices.
//!
//! 1. The shards are brought to rest for a moment, and what they are is written into a file in memory; they go on.
//! 2. The new program is started beside this one, and reads all of that: the self-test. It says so, and waits.
//! 3. The internal listener's connections are collected between two requests.
//! 4. The shards are brought to rest once more, and what they are now is written. The program beside reads that, too.
//! 5. The descriptors of all sockets are marked to outlive `execve`, and this process becomes the new program, which takes
//!    everything up and arms its polls.
//!
//! Up to the very last call everything can be taken back: whatever fails, this program goes on as if nothing had been.

use std::convert::Infallible;
use std::ffi::{CString, NulError, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::handle::{Handle, Letter};
use super::hold::{Hold, HoldError};
use super::reload::LiveWatch;
use super::serve::{HandOver, Idle};
use super::state::{self, SavedShard, State};
use crate::reactor::sys;
use crate::systemd::{self, Manager};

/// Names the descriptor of the state to the program that takes it over. Not one of the variables of settings.
pub const STATE_VARIABLE: &str = "_PUSHRING_STATE";

/// Set where the program is only to look whether it could.
pub const TEST_VARIABLE: &str = "_PUSHRING_STATE_TEST";

/// What a program that could take a state over says, in front of its checksum.
pub const TEST_PASSED: &str = "pushring takes over";

/// What asks it for another test.
const TEST_AGAIN: &[u8] = b"again\n";

/// How long the shards may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(2);

/// The longest complaint of a program that refuses, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 4_096;

/// Signals that must not end the program that has just been begun and does not heed them yet.
const SIGNALS: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR2];

/// The program to become: this one's file, whatever that holds by then, and this one's arguments.
#[derive(Clone, Debug)]
pub struct Program {
    file: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// A program's file and its arguments, its own name the first.
    pub fn new(file: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { file, arguments }
    }
}

/// Why another program has not taken over; this one has gone on.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// One is under way.
    #[error("an upgrade is under way already")]
    UnderWay,
    /// The shards.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// Memory or descriptors for the state.
    #[error("the state cannot be written: {0}")]
    State(io::Error),
    /// The new program cannot be started.
    #[error("{file} cannot be started: {error}")]
    Start {
        /// Its file.
        file: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// It has been, and says that it cannot take over, or nothing that can be understood.
    #[error("{file} does not take over: {complaint}")]
    Refused {
        /// Its file.
        file: PathBuf,
        /// Its last line on standard error, or how it ended.
        complaint: String,
    },
    /// It has said nothing for too long.
    #[error(
        "{file} has not said within {within:?} whether it takes over (timeouts.upgrade_test_ms)"
    )]
    Silent {
        /// Its file.
        file: PathBuf,
        /// How long it had.
        within: Duration,
    },
}

/// Has the server of a handle upgraded.
pub struct Upgrade {
    program: Program,
    handle: Handle,
    live: LiveWatch,
    manager: Arc<Manager>,
    hash_seed: u64,
    /// The internal listener's socket, and who has its connections.
    internal: Option<(RawFd, mpsc::Sender<HandOver>)>,
    one_at_a_time: Mutex<()>,
}

impl Upgrade {
    /// Of the server of that handle, which tells that manager of each.
    pub fn new(
        program: Program,
        handle: Handle,
        live: LiveWatch,
        manager: Arc<Manager>,
        hash_seed: u64,
        internal: Option<(RawFd, mpsc::Sender<HandOver>)>,
    ) -> Self {
        Self {
            program,
            handle,
            live,
            manager,
            hash_seed,
            internal,
            one_at_a_time: Mutex::new(()),
        }
    }

    /// Starts the new program beside this one, and has it read what it would take over.
    ///
    /// # Errors
    /// [`UpgradeError`].
    pub async fn test(&self, asked_by: &str) -> Result<Tested<'_>, UpgradeError> {
        tracing::info!("{asked_by}: upgrading to {}", self.program.file.display());
        let alone = self.one_at_a_time.try_lock();
        let alone = alone.map_err(|_| UpgradeError::UnderWay)?;
        let mut file = sys::memory_file(c"pushring state").map_err(UpgradeError::State)?;
        let held = self.hold(false).await?;
        let sum = held.write(&mut file, None, Vec::new())?;
        drop(held);
        let mut tester = Tester::start(&self.program, &file, self.test_max())?;
        tester.expect(&sum).await?;
        Ok(Tested {
            upgrade: self,
            tester,
            file,
            _alone: alone,
        })
    }

    /// Has the new program take over, unless it does not or cannot; then the log says why.
    ///
    /// When this returns, it is known whether the new program could, and it does behind that: whoever waits for an answer
    /// over the internal listener is to get it.
    ///
    /// # Errors
    /// [`UpgradeError`].
    pub async fn begin(self: Arc<Self>, asked_by: &'static str) -> Result<(), UpgradeError> {
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            // The new program says when it is over, too.
            let _ready_again = self.manager.reloading();
            let tested = match self.test(asked_by).await {
                Ok(tested) => tested,
                Err(error) => {
                    self.complain(asked_by, &error);
                    // Whoever asked may have gone.
                    let _ = answer.send(Err(error));
                    return;
                }
            };
            let _ = answer.send(Ok(()));
            match tested.become_it().await {
                Ok(never) => match never {},
                Err(error) => self.complain(asked_by, &error),
            }
        });
        answered
            .await
            .unwrap_or(Err(HoldError::ShuttingDown.into()))
    }

    fn complain(&self, asked_by: &str, error: &UpgradeError) {
        tracing::error!("{asked_by}: not upgraded, and nothing has changed: {error}");
        self.manager.remark(format!("not upgraded: {error}"));
    }

    /// The program after this one would not know that the server is to end, though it may be announced only so far.
    fn check_stays(&self) -> Result<(), HoldError> {
        match self.handle.is_draining() {
            true => Err(HoldError::ShuttingDown),
            false => Ok(()),
        }
    }

    fn test_max(&self) -> Duration {
        Duration::from_millis(self.live.borrow().config.timeouts.upgrade_test_ms)
    }

    /// Brings the shards to rest until what is returned is dropped.
    async fn hold(&self, closes_unsaved: bool) -> Result<Held<'_>, UpgradeError> {
        self.check_stays()?;
        let (answer, answered) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let letter = Letter::Hold(Box::new(Hold {
            closes_unsaved,
            within: REST_MAX,
            answer,
            release: released,
        }));
        let rests_since_ns = sys::monotonic_ns();
        // If it is not taken, nobody answers.
        let _ = self.handle.letters.send(letter).await;
        let saved = answered.await.unwrap_or(Err(HoldError::ShuttingDown))?;
        let mut sockets = Vec::new();
        let mut shards = Vec::new();
        for shard in saved {
            let listener = shard.listener.ok_or(HoldError::ShuttingDown)?;
            sockets.extend(shard.sockets);
            sockets.push(listener.fd);
            shards.push(SavedShard {
                bytes: shard.bytes,
                listener,
            });
        }
        Ok(Held {
            upgrade: self,
            rests_since_ns,
            shards,
            sockets,
            _release: release,
        })
    }
}

/// A new program that could take over.
pub struct Tested<'a> {
    upgrade: &'a Upgrade,
    tester: Tester,
    file: File,
    _alone: tokio::sync::MutexGuard<'a, ()>,
}

impl Tested<'_> {
    /// Becomes the new program. It does not return unless that fails.
    ///
    /// # Errors
    /// [`UpgradeError`].
    pub async fn become_it(self) -> Result<Infallible, UpgradeError> {
        let upgrade = self.upgrade;
        let Some((_, http)) = &upgrade.internal else {
            return self.leave(Vec::new()).await.map_err(|(error, _)| error);
        };
        let (connections, collected) = oneshot::channel();
        let (back, given_back) = oneshot::channel();
        let hand_over = HandOver {
            connections,
            back: given_back,
        };
        // Without a listener there are none.
        let _ = http.send(hand_over).await;
        let calls = collected.await.unwrap_or_default();
        self.leave(calls).await.map_err(|(error, calls)| {
            let _ = back.send(calls);
            error
        })
    }

    async fn leave(mut self, calls: Vec<Idle>) -> Result<Infallible, (UpgradeError, Vec<Idle>)> {
        match self.try_to_leave(&calls).await {
            Ok(never) => match never {},
            Err(error) => Err((error, calls)),
        }
    }

    async fn try_to_leave(&mut self, calls: &[Idle]) -> Result<Infallible, UpgradeError> {
        let upgrade = self.upgrade;
        let program = &upgrade.program;
        let held = upgrade.hold(true).await?;
        let calls: Vec<(RawFd, Bytes)> = (calls.iter())
            .map(|call| (call.stream.as_raw_fd(), call.read.clone()))
            .collect();
        let mut inherited = held.sockets.clone();
        inherited.extend(calls.iter().map(|(fd, _)| *fd));
        inherited.extend(upgrade.internal.iter().map(|(fd, _)| *fd));
        inherited.push(self.file.as_raw_fd());
        let sum = held.write(&mut self.file, self.tester.child.id(), calls)?;
        self.tester.again(&sum).await?;
        // Whoever has heard of the end meanwhile has its turn.
        tokio::task::yield_now().await;
        upgrade.check_stays()?;
        execute(program, self.file.as_raw_fd(), &inherited)
            .map_err(|error| program.not_started(error))
    }
}

/// Shards that rest.
struct Held<'a> {
    upgrade: &'a Upgrade,
    rests_since_ns: u64,
    shards: Vec<SavedShard>,
    /// Descriptors of all their sockets.
    sockets: Vec<RawFd>,
    /// Dropped, it has them go on.
    _release: oneshot::Sender<()>,
}

impl Held<'_> {
    /// Writes the state; its checksum as text.
    fn write(
        &self,
        file: &mut File,
        tester: Option<u32>,
        calls: Vec<(RawFd, Bytes)>,
    ) -> Result<String, UpgradeError> {
        let shards = self.shards.iter().map(|shard| SavedShard {
            bytes: shard.bytes.clone(),
            listener: shard.listener,
        });
        let live = self.upgrade.live.borrow().config.clone();
        let state = State {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses: [live.listen, live.internal],
            rests_since_ns: self.rests_since_ns,
            hash_seed: self.upgrade.hash_seed,
            internal: self.upgrade.internal.as_ref().map(|(fd, _)| *fd),
            tester,
            calls,
            shards: shards.collect(),
        };
        let sum = state.write(file).map_err(UpgradeError::State)?;
        Ok(state::hex(&sum))
    }
}

/// The new program beside this one.
struct Tester {
    file: PathBuf,
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    within: Duration,
}

impl Tester {
    fn start(program: &Program, state: &File, within: Duration) -> Result<Self, UpgradeError> {
        let failed = |error| program.not_started(error);
        let fd = state.as_raw_fd();
        let mut command = Command::new(&program.file);
        if let Some((name, arguments)) = program.arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        command
            .env_clear()
            .envs(environment(fd))
            .env(TEST_VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        sys::set_inherited(fd, true).map_err(failed)?;
        let child = command.spawn();
        sys::set_inherited(fd, false).map_err(failed)?;
        let mut child = child.map_err(failed)?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Self {
            file: program.file.clone(),
            child,
            ask,
            answers: BufReader::new(answers),
            within,
        })
    }

    /// Has it read the state once more, which is another by now. The shards rest meanwhile: it has done it before, and has
    /// less time.
    async fn again(&mut self, sum: &str) -> Result<(), UpgradeError> {
        self.within = self.within.min(REST_MAX);
        // If it has ended, it does not answer either.
        let _ = self.ask.write_all(TEST_AGAIN).await;
        self.expect(sum).await
    }

    /// Waits until it says that it could take over the state of that checksum.
    async fn expect(&mut self, sum: &str) -> Result<(), UpgradeError> {
        let expected = format!("{TEST_PASSED} {sum}\n");
        let mut line = String::new();
        let answer = async {
            // No longer than what is expected: it may be any program.
            let mut answers = (&mut self.answers).take(expected.len() as u64);
            let read = answers.read_line(&mut line).await;
            read.is_ok() && line == expected
        };
        match tokio::time::timeout(self.within, answer).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(UpgradeError::Refused {
                file: self.file.clone(),
                complaint: self.complaint(&line).await,
            }),
            Err(_) => Err(UpgradeError::Silent {
                file: self.file.clone(),
                within: self.within,
            }),
        }
    }

    /// The last line of what it says on standard error, or how it has ended.
    async fn complaint(&mut self, line: &str) -> String {
        let mut said = String::new();
        let ended = async {
            if let Some(stderr) = self.child.stderr.take() {
                // What is not UTF-8 is no complaint of ours.
                let _ = stderr
                    .take(COMPLAINT_BYTES_MAX)
                    .read_to_string(&mut said)
                    .await;
            }
            self.child.wait().await
        };
        let ended = tokio::time::timeout(Duration::from_secs(1), ended).await;
        let complaint = said.lines().rfind(|line| !line.trim().is_empty());
        match (complaint, ended) {
            (Some(complaint), _) => complaint.trim().to_owned(),
            (None, Ok(Ok(status))) => format!("it has ended without a word ({status})"),
            (None, _) => format!("it has answered {line:?}"),
        }
    }
}

impl Program {
    fn not_started(&self, error: io::Error) -> UpgradeError {
        UpgradeError::Start {
            file: self.file.clone(),
            error,
        }
    }
}

/// Becomes the program, with these descriptors. If that fails, everything is as it was.
fn execute(program: &Program, state: RawFd, inherited: &[RawFd]) -> io::Result<Infallible> {
    let no_text = |error: NulError| io::Error::from(error);
    let text = |text: &std::ffi::OsStr| CString::new(text.as_bytes()).map_err(no_text);
    let file = text(program.file.as_os_str())?;
    let arguments = (program.arguments.iter())
        .map(|argument| text(argument))
        .collect::<io::Result<Vec<_>>>()?;
    let environment = environment(state)
        .into_iter()
        .map(|(mut variable, value)| {
            variable.push("=");
            variable.push(value);
            CString::new(variable.into_vec()).map_err(no_text)
        })
        .collect::<io::Result<Vec<_>>>()?;
    sys::hold_signals(&SIGNALS, true)?;
    let mut result = Ok(());
    for &fd in inherited {
        result = result.and_then(|()| sys::set_inherited(fd, true));
    }
    let result = result.and_then(|()| sys::execute(&file, &arguments, &environment));
    for &fd in inherited {
        // It was possible a moment ago.
        let _ = sys::set_inherited(fd, false);
    }
    let _ = sys::hold_signals(&SIGNALS, false);
    result
}

/// This process's environment, and where the state is. Sockets that systemd has opened are in the state; of them the environment
/// tells no more than where they listen.
fn environment(state: RawFd) -> Vec<(OsString, OsString)> {
    // Nothing is wrong with them: the start has asked for them, too.
    let given = systemd::sockets().unwrap_or_default();
    let addresses = [
        ("PUSHRING_LISTEN", given.public_address()),
        ("PUSHRING_INTERNAL", given.internal_address()),
    ];
    let mut anew: Vec<(OsString, OsString)> = (addresses.into_iter())
        .filter_map(|(name, address)| Some((name.into(), address?.to_string().into())))
        .collect();
    anew.push((STATE_VARIABLE.into(), state.to_string().into()));
    let goes = |name: &OsString| {
        name == TEST_VARIABLE
            || systemd::names_sockets(name)
            || anew.iter().any(|(other, _)| other == name)
    };
    let stays = std::env::vars_os().filter(|(name, _)| !goes(name));
    stays.chain(anew.clone()).collect()
}

/// Has signals come again that were held back while this process became another program.
pub fn heed_held_signals() -> io::Result<()> {
    sys::hold_signals(&SIGNALS, false)
}
