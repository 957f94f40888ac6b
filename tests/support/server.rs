//! The server's process: started with options, awaited, signalled, and ended by its id when a test is over.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::DEADLINE;
use super::http::Http;

/// Hands standard input and output over as the sockets that `sd_listen_fds(3)` tells of. The shell is replaced by the server,
/// which so has the id that is named.
const HAND_OVER: &str = r#"export LISTEN_PID=$$; exec 3<&0 4>&1 </dev/null >&2; exec "$0" "$@""#;

/// How often something is looked at that has no event to wait for.
const POLL_EVERY: Duration = Duration::from_millis(5);

/// How a server is started.
#[derive(Clone)]
pub struct Options {
    pub shards: usize,
    pub echo: bool,
    /// The configuration file's text; no file when it is empty.
    pub config: String,
    /// The limit of open files (`ulimit -n`) that the process gets, when it is not to be the test's own.
    pub open_files_max: Option<u32>,
    /// A program with arguments that becomes the server: it is given the server's program and its arguments behind its own.
    pub wrapper: Vec<String>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// The configuration file that the arguments name says all: no addresses and no number of shards are given by flags.
    pub all_in_file: bool,
    /// Variables of the environment besides the test's own.
    pub environment: Vec<(String, String)>,
    /// Sockets that listen, two at the most, to be handed over as systemd hands over its own; each with its name.
    pub given: Vec<(&'static str, Arc<TcpListener>)>,
    /// Another program than the one just built.
    pub program: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 2,
            echo: false,
            config: String::new(),
            open_files_max: None,
            wrapper: Vec::new(),
            arguments: Vec::new(),
            all_in_file: false,
            environment: Vec::new(),
            given: Vec::new(),
            program: None,
        }
    }
}

impl Options {
    pub fn with_config(config: &str) -> Self {
        Self {
            config: config.to_owned(),
            ..Self::default()
        }
    }
}

/// The addresses of the two listeners.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub public: SocketAddr,
    pub internal: SocketAddr,
}

impl Addresses {
    /// Two free ones.
    pub fn free() -> Self {
        Self {
            public: free_address(),
            internal: free_address(),
        }
    }
}

/// A free address, on a loopback address that is this process's own: no other process, nor the kernel for an outgoing
/// connection, takes its port between now and its use.
pub fn free_address() -> SocketAddr {
    static GIVEN: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 + high % 64, middle, low);
    let mut given = GIVEN.lock().unwrap();
    loop {
        let probe = TcpListener::bind((host, 0)).unwrap();
        let address = probe.local_addr().unwrap();
        if !given.contains(&address) {
            given.push(address);
            return address;
        }
    }
}

/// A running server. Dropping it kills the process and, when the test failed, shows what it had written.
pub struct Server {
    child: Child,
    pub addresses: Addresses,
    pub options: Options,
    output: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on free addresses and waits until it is ready.
    pub fn start(options: Options) -> Self {
        Self::start_at(Addresses::free(), options)
    }

    /// The same on given addresses.
    pub fn start_at(addresses: Addresses, options: Options) -> Self {
        let mut server = Self::launch(addresses, options);
        server.wait_until_ready();
        server
    }

    /// Starts a server and waits for nothing.
    pub fn launch(addresses: Addresses, options: Options) -> Self {
        let built = env!("CARGO_BIN_EXE_pushring").into();
        let program = options.program.clone().unwrap_or(built);
        let mut command = match options.open_files_max {
            None if !options.wrapper.is_empty() => {
                let mut wrapper = Command::new(&options.wrapper[0]);
                wrapper.args(&options.wrapper[1..]).arg(&program);
                wrapper
            }
            None if options.given.is_empty() => Command::new(&program),
            None => {
                let mut shell = Command::new("sh");
                shell.args(["-c", HAND_OVER]).arg(&program);
                shell
            }
            Some(limit) => {
                // The shell is replaced by the server, which so has the id that is signalled.
                let mut shell = Command::new("sh");
                let script = r#"ulimit -n "$0" && exec "$@""#;
                shell.args(["-c", script, &limit.to_string()]).arg(&program);
                shell
            }
        };
        command.arg("serve");
        if !options.all_in_file {
            command
                .args(["--listen", &addresses.public.to_string()])
                .args(["--internal", &addresses.internal.to_string()])
                .args(["--shards", &options.shards.to_string()]);
        }
        command
            .args(options.echo.then_some("--echo"))
            .args(&options.arguments);
        if !options.config.is_empty() {
            command.arg("--config").arg(config_file(&options.config));
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PUSHRING_")) {
            command.env_remove(name);
        }
        let names: Vec<&str> = options.given.iter().map(|(name, _)| *name).collect();
        if !names.is_empty() {
            command
                .env("LISTEN_FDS", names.len().to_string())
                .env("LISTEN_FDNAMES", names.join(":"));
        }
        let given = |at: usize| {
            let socket = options.given.get(at)?.1.try_clone().unwrap();
            Some(Stdio::from(OwnedFd::from(socket)))
        };
        let mut child = command
            .envs(options.environment.iter().cloned())
            .stdin(given(0).unwrap_or_else(Stdio::null))
            .stdout(given(1).unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let output = Arc::default();
        let mut readers = vec![keep_lines(child.stderr.take().unwrap(), &output)];
        readers.extend(child.stdout.take().map(|out| keep_lines(out, &output)));
        Self {
            child,
            addresses,
            options,
            output,
            readers,
        }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of a path on the public listener.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addresses.public)
    }

    /// A kept-alive connection to the internal listener.
    pub fn http(&self) -> Http {
        Http::connect(self.addresses.internal)
    }

    /// Waits until `/ready` answers 200.
    pub fn wait_until_ready(&mut self) {
        let until = Instant::now() + DEADLINE;
        while !self.is_ready() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "the server ended before it was ready: {status}\n{}",
                    self.finished_output()
                );
            }
            assert!(
                Instant::now() < until,
                "the server is not ready after {DEADLINE:?}"
            );
            thread::sleep(POLL_EVERY);
        }
    }

    fn is_ready(&self) -> bool {
        Http::try_connect(self.addresses.internal)
            .and_then(|mut http| http.try_request("GET", "/ready", &[], b""))
            .is_ok_and(|answer| answer.status == 200)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success(), "{script}: {status}");
    }

    /// Kills the process, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How the process ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the process to end by itself.
    pub fn wait_for_exit(&mut self, at_most: Duration) -> ExitStatus {
        let until = Instant::now() + at_most;
        loop {
            if let Some(status) = self.exit_status() {
                return status;
            }
            assert!(
                Instant::now() < until,
                "the server still runs after {at_most:?}"
            );
            thread::sleep(POLL_EVERY);
        }
    }

    /// Resident memory of the process, in bytes.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1_024
    }

    /// The lines that the running process has written so far.
    pub fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// Everything that a process that has ended had written.
    pub fn finished_output(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.output().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails when the process has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "--- what the server wrote:\n{}\n---",
                self.finished_output()
            );
        }
    }
}

fn config_file(text: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // The same text is the same file, whoever writes it.
    let digest = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = directory.join(format!("{digest:016x}.toml"));
    let own = directory.join(format!(
        "{digest:016x}.{}.{:?}",
        std::process::id(),
        thread::current().id()
    ));
    std::fs::write(&own, text).unwrap();
    std::fs::rename(&own, &path).unwrap();
    path
}

fn keep_lines(from: impl Read + Send + 'static, to: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let to = Arc::clone(to);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            to.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
