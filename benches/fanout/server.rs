//! Servers as child processes: started on their core, asked until they are ready, read from outside, and ended.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::bare::{self, Sends};
use crate::machine::{self, Cores};
use crate::rabbitmq::{Listeners, RabbitMq};
use crate::stomp;

/// How long a server may take to become ready: one of them boots for ten seconds on a quiet machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Servers listen on one of `PORTS` ports from here on.
const FIRST_PORT: u16 = 20_000;
const PORTS: u32 = 12_000;
/// The first argument that makes this program the launcher of a server.
const LAUNCH: &str = "--launch-on-core";
/// The first argument that makes this program the bare process.
const BARE: &str = "--bare-process";

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The real server.
    Pushring,
    /// The real server, whose subscribers have agreed to permessage-deflate.
    #[value(name = "deflate")]
    #[serde(rename = "deflate")]
    PushringDeflate,
    /// The real server, whose channels each send for themselves.
    #[value(name = "unmerged")]
    #[serde(rename = "unmerged")]
    PushringUnmerged,
    /// The real server, whose subscribers speak STOMP.
    #[value(name = "stomp")]
    #[serde(rename = "stomp")]
    PushringStomp,
    /// The real server, whose subscribers speak Centrifugo's protocol.
    #[value(name = "centrifuge")]
    #[serde(rename = "centrifuge")]
    PushringCentrifuge,
    /// RabbitMQ's Web-STOMP.
    Rabbitmq,
    /// The bare `send(2)` loop, one send for each message.
    Bare,
    /// The bare `send(2)` loop, one send for each turn.
    BareTurn,
    /// Bun's `server.publish`.
    Bun,
}

/// The variable that makes a server an unmerged one.
const UNMERGED: (&str, &str) = ("PUSHRING_FANOUT_MERGE_BYTES_MAX", "0");

impl Target {
    /// The name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pushring => "pushring",
            Self::PushringDeflate => "deflate",
            Self::PushringUnmerged => "unmerged",
            Self::PushringStomp => "stomp",
            Self::PushringCentrifuge => "centrifuge",
            Self::Rabbitmq => "rabbitmq",
            Self::Bare => "bare",
            Self::BareTurn => "bare-turn",
            Self::Bun => "bun",
        }
    }
}

/// Where the programs are and where they run.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The server's binary.
    pub pushring: PathBuf,
    /// Bun's binary, where it could be had.
    pub bun: Option<PathBuf>,
    /// RabbitMQ, where it is installed.
    pub rabbitmq: Option<RabbitMq>,
    /// The folder that logs are written to.
    pub logs: PathBuf,
    /// The cores.
    pub cores: Cores,
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    /// What it needs beside it.
    helper: Option<Child>,
    cores: Cores,
    public: SocketAddrV4,
    ready_after: Duration,
    log: PathBuf,
}

/// CPU that serving has taken since the server's start.
#[derive(Debug, Clone, Copy)]
pub struct CpuReading {
    /// The server's own.
    pub server: Duration,
    /// The kernel's network thread of the server's core.
    pub softirq_daemon: Duration,
    /// Everything that ran on the server's core, in steps of 10 ms.
    pub core: Duration,
}

impl Server {
    /// Starts `target` on its core and waits until it is ready.
    pub fn start(target: Target, programs: &Programs) -> io::Result<Self> {
        let public = free_address()?;
        let mut readiness = Readiness {
            address: public,
            path: "/ready",
            status: b"200",
        };
        let mut helper = None;
        fs::create_dir_all(&programs.logs)?;
        let log = programs.logs.join(format!("{}.log", target.name()));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(LAUNCH).arg(programs.cores.server.to_string());
        // The defaults are measured, not what this shell happens to set.
        let settings = std::env::vars_os().map(|(name, _)| name);
        let is_setting = |name: &OsString| {
            ["PUSHRING_", "RABBITMQ_", "ERL_"]
                .iter()
                .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        };
        for name in settings.filter(is_setting) {
            command.env_remove(name);
        }
        match target {
            Target::Pushring
            | Target::PushringDeflate
            | Target::PushringUnmerged
            | Target::PushringStomp
            | Target::PushringCentrifuge => {
                let internal = free_address()?;
                readiness.address = internal;
                command.arg(&programs.pushring).arg("serve");
                command.args([
                    "--listen",
                    &public.to_string(),
                    "--internal",
                    &internal.to_string(),
                    "--shards",
                    "1",
                ])
            }
            Target::Bare | Target::BareTurn => command.arg(std::env::current_exe()?).args([
                BARE,
                target.name(),
                &public.to_string(),
            ]),
            Target::Bun => {
                let bun = programs
                    .bun
                    .as_ref()
                    .ok_or_else(|| io::Error::other("bun is not installed"))?;
                let script =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/fanout/bun-server.js");
                command.arg(bun).arg(script).arg(public.port().to_string())
            }
            Target::Rabbitmq => {
                let rabbitmq = programs
                    .rabbitmq
                    .as_ref()
                    .ok_or_else(|| io::Error::other("RabbitMQ is not installed"))?;
                let listeners = Listeners {
                    web_stomp: public,
                    amqp: free_address()?,
                    nodes: free_address()?,
                    port_mapper: free_address()?,
                };
                // An upgrade is what it expects there.
                (readiness.path, readiness.status) = (stomp::PATH, b"426");
                rabbitmq.prepare(&programs.logs.join("rabbitmq"), listeners, &mut command)?;
                helper = Some(start_helper(
                    RabbitMq::port_mapper(listeners),
                    programs.cores,
                )?);
                command.arg(rabbitmq.program())
            }
        };
        if target == Target::PushringUnmerged {
            command.env(UNMERGED.0, UNMERGED.1);
        }
        let output = File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let child = command.spawn()?;
        let mut server = Self {
            child,
            helper,
            cores: programs.cores,
            public,
            ready_after: Duration::ZERO,
            log,
        };
        match server.wait_until_ready(readiness, started) {
            Ok(()) => Ok(server),
            Err(error) => Err(server.explain(&error)),
        }
    }

    fn wait_until_ready(&mut self, readiness: Readiness, started: Instant) -> io::Result<()> {
        loop {
            if readiness.is_reached() {
                self.ready_after = started.elapsed();
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                return Err(io::Error::other("it did not start"));
            }
            if started.elapsed() > READY_TIMEOUT {
                return Err(io::Error::other(format!(
                    "GET {} was not answered with {} in {} s",
                    readiness.path,
                    String::from_utf8_lossy(readiness.status),
                    READY_TIMEOUT.as_secs()
                )));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Where clients connect.
    pub fn public(&self) -> SocketAddrV4 {
        self.public
    }

    /// From before the process was made to the first 200 of `GET /ready`.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// `error` with what the server itself can tell: how it ended, if it has, and its last words.
    pub fn explain(&mut self, error: &io::Error) -> io::Error {
        let status = match self.child.try_wait() {
            Ok(Some(status)) => format!("; it ended with {status}"),
            Ok(None) | Err(_) => String::new(),
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let words = match &lines[lines.len().saturating_sub(3)..] {
            [] => String::new(),
            last => format!("; its last words: {}", last.join(" / ")),
        };
        io::Error::other(format!("{error}{status}{words}"))
    }

    /// CPU taken so far.
    pub fn cpu(&self) -> io::Result<CpuReading> {
        Ok(CpuReading {
            server: machine::cpu_time(self.child.id())?,
            softirq_daemon: machine::softirq_daemon_time(self.cores.server)?,
            core: machine::core_busy(self.cores.server)?,
        })
    }

    /// Resident memory in bytes, once it has stopped changing for 300 ms, or after 5 s.
    pub fn settled_resident_bytes(&self) -> io::Result<u64> {
        let mut last = machine::resident_bytes(self.child.id())?;
        for _ in 0..16 {
            std::thread::sleep(Duration::from_millis(300));
            let now = machine::resident_bytes(self.child.id())?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.helper.as_mut()]
            .into_iter()
            .flatten()
        {
            // Both fail only for a child that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An address that nobody listens on, below the ephemeral ports and new for each server, so that none meets what another
/// left behind. Binding without SO_REUSEPORT also finds a forgotten server that shares its port.
fn free_address() -> io::Result<SocketAddrV4> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        let offset = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed))
            % PORTS;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, FIRST_PORT + offset as u16);
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::other("no free port"))
}

/// How a server shows that it is ready: a GET that is answered with that status.
#[derive(Clone, Copy)]
struct Readiness {
    address: SocketAddrV4,
    path: &'static str,
    status: &'static [u8; 3],
}

impl Readiness {
    fn is_reached(self) -> bool {
        self.ask().unwrap_or(false)
    }

    fn ask(self) -> io::Result<bool> {
        let Self {
            address,
            path,
            status,
        } = self;
        let mut stream = TcpStream::connect_timeout(&address.into(), Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.strip_prefix(b"HTTP/1.1 ") == Some(status))
    }
}

/// Starts a program that a server needs beside it, on the client's core.
fn start_helper(program: Vec<String>, cores: Cores) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg(LAUNCH)
        .arg(cores.client.to_string())
        .args(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Runs this process as a launcher or as the bare process if its arguments say so. Returns only if they do not.
pub fn play_child_role() -> Option<io::Error> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [LAUNCH, core, program, ref rest @ ..] => {
            Some(launch(core, program, rest).unwrap_or_else(|error| error))
        }
        [BARE, sends, listen] => match serve_bare(sends, listen) {
            Ok(()) => std::process::exit(0),
            Err(error) => Some(error),
        },
        _ => None,
    }
}

/// Becomes `program` on `core`, to be killed when the bench dies, however it dies.
fn launch(core: &str, program: &str, arguments: &[&str]) -> io::Result<io::Error> {
    machine::pin(core.parse().map_err(io::Error::other)?)?;
    set_pdeathsig(Signal::SIGKILL)?;
    machine::raise_open_files()?;
    Ok(Command::new(program).args(arguments).exec())
}

fn serve_bare(sends: &str, listen: &str) -> io::Result<()> {
    let sends = if sends == Target::BareTurn.name() {
        Sends::EachTurn
    } else {
        Sends::EachMessage
    };
    bare::serve(listen.parse().map_err(io::Error::other)?, sends)
}
