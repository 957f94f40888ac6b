//! A target's process: started on its cores, awaited, measured, and ended with everything that it has started.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::prctl::{set_child_subreaper, set_pdeathsig, set_thp_disable};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getppid};

use super::{Start, StopSignal, Target, Values};
use crate::bench::client::Address;
use crate::bench::machine;

/// Ports that servers are given: below the ephemeral ones, which start at 32,768 by default.
const PORTS: std::ops::Range<u32> = 18_000..31_000;

/// Why a server could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It was not started, or did not become ready.
    #[error("{0}")]
    NotReady(String),
    /// Somebody asked for an end.
    #[error("stopped")]
    Stopped,
}

/// A running server. Dropping it ends it, with all its processes.
pub struct Server {
    process: Option<Process>,
    pid: Option<u32>,
    cores: Vec<usize>,
    values: Values,
}

struct Process {
    child: Child,
    start: Start,
    dir: PathBuf,
    log: PathBuf,
    failed: bool,
}

impl Server {
    /// Starts a target on `cores` and waits until it is ready. `values` has everything but ports, cores and its folder, which is made
    /// in `scratch`.
    ///
    /// # Errors
    /// [`ServerError`], with the server's own last words.
    pub fn start(
        target: &Target,
        cores: &[usize],
        scratch: &Path,
        values: &Values,
        stop: &AtomicBool,
    ) -> Result<Self, ServerError> {
        let mut server = Self {
            process: None,
            pid: target.running.as_ref().and_then(|running| running.pid),
            cores: cores.to_vec(),
            values: values.clone(),
        };
        let Some(start) = &target.start else {
            return Ok(server);
        };
        server.give_values(target, scratch).map_err(not_ready)?;
        server.spawn(target, start, scratch).map_err(not_ready)?;
        server.wait_until_ready(target, stop)?;
        Ok(server)
    }

    /// What the placeholders of its file stand for.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The cores that it may use.
    pub fn cores(&self) -> &[usize] {
        &self.cores
    }

    /// Its processes now; none if nobody knows them.
    pub fn processes(&self) -> Vec<u32> {
        match (&self.process, self.pid) {
            // What it started may have left its tree: orphans become this process's children.
            (Some(_), _) => machine::tree(std::process::id()).split_off(1),
            (None, Some(pid)) => machine::tree(pid),
            (None, None) => Vec::new(),
        }
    }

    /// CPU time of all its processes so far, and what the kernel did for it elsewhere; `None` if its process is not known.
    pub fn cpu(&self) -> Option<Duration> {
        let processes = self.processes();
        if processes.is_empty() {
            return None;
        }
        let kernel = match self.process {
            Some(_) => machine::softirq_time(&self.cores),
            None => Duration::ZERO,
        };
        Some(machine::cpu_time(&processes) + kernel)
    }

    /// Memory of all its processes, once it has stopped changing for 200 ms or after 3 s; `None` if its process is not known.
    pub fn settled_memory(&self, stop: &AtomicBool) -> Option<u64> {
        const STEP: Duration = Duration::from_millis(200);
        const STEPS_MAX: usize = 15;
        let mut last = machine::memory_bytes(&self.processes());
        for _ in 0..STEPS_MAX {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(STEP);
            let now = machine::memory_bytes(&self.processes());
            // What the kernel accounts of a running process trembles by some pages.
            if now.abs_diff(last) <= 16 * 1024 {
                last = now;
                break;
            }
            last = now;
        }
        (last > 0).then_some(last)
    }

    /// `error` with what the server itself can tell: how it ended, if it has, and its last words. Its folder is kept.
    pub fn explain(&mut self, error: &str) -> String {
        let Some(process) = &mut self.process else {
            return error.to_owned();
        };
        process.failed = true;
        let status = match process.child.try_wait() {
            Ok(Some(status)) => format!("; the server ended with {status}"),
            Ok(None) | Err(_) => String::new(),
        };
        let log = fs::read(&process.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let words = match &lines[lines.len().saturating_sub(3)..] {
            [] => String::new(),
            last => {
                let words: String = last.join(" / ").chars().take(400).collect();
                format!("; its last words: {words}")
            }
        };
        format!("{error}{status}{words}; see {}", process.log.display())
    }

    fn give_values(&mut self, target: &Target, scratch: &Path) -> Result<(), String> {
        let cores: Vec<String> = self.cores.iter().map(usize::to_string).collect();
        self.values.set("cores", cores.join(","));
        self.values.set("threads", cores.len());
        for name in [
            "port",
            "publish_port",
            "other_port_1",
            "other_port_2",
            "other_port_3",
            "other_port_4",
        ] {
            self.values.set(name, free_port()?);
        }
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let dir = scratch.join(format!("{}-{}-{number}", target.name, std::process::id()));
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        self.values.set("dir", dir.display());
        for (name, text) in &target.files {
            let path = dir.join(name);
            let written = fs::create_dir_all(path.parent().unwrap_or(&dir))
                .and_then(|()| fs::write(&path, self.values.fill(text)));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    fn spawn(&mut self, target: &Target, start: &Start, scratch: &Path) -> Result<(), String> {
        set_child_subreaper(true).map_err(|error| format!("child subreaper: {error}"))?;
        let fill = |text: &String| self.values.fill(text);
        let dir = PathBuf::from(self.values.fill("{dir}"));
        let log = dir.with_extension("log");
        let log_file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let to_log = || log_file.try_clone().map_err(|error| error.to_string());
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(own);
        // PUSHRING_* variables are for the pushring that somebody runs, not for the one that is measured.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PUSHRING_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["bench", "launch", &std::process::id().to_string()])
            .arg(self.values.fill("{cores}"))
            .args(start.command.iter().map(fill))
            .envs(
                start
                    .environment
                    .iter()
                    .map(|(name, value)| (name, fill(value))),
            )
            .current_dir(
                start
                    .directory
                    .as_ref()
                    .map_or(dir.clone(), |it| fill(it).into()),
            )
            .stdin(Stdio::null())
            .stdout(to_log()?)
            .stderr(to_log()?)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", target.name))?;
        debug_assert!(log.starts_with(scratch));
        self.process = Some(Process {
            child,
            start: start.clone(),
            dir,
            log,
            failed: true,
        });
        Ok(())
    }

    fn wait_until_ready(&mut self, target: &Target, stop: &AtomicBool) -> Result<(), ServerError> {
        let until = Instant::now() + Duration::from_millis(target.ready.timeout_ms);
        let default = "{port}".to_owned();
        let tcp = self
            .values
            .fill(target.ready.tcp.as_ref().unwrap_or(&default));
        let http = target.ready.http.as_ref().map(|url| self.values.fill(url));
        loop {
            let ready = match &http {
                Some(url) => answers(url),
                None => takes_connections(&tcp),
            };
            if ready {
                if let Some(process) = &mut self.process {
                    process.failed = false;
                }
                return Ok(());
            }
            if stop.load(Ordering::Relaxed) {
                return Err(ServerError::Stopped);
            }
            let ended = match &mut self.process {
                Some(process) => matches!(process.child.try_wait(), Ok(Some(_)) | Err(_)),
                None => false,
            };
            if ended {
                return Err(ServerError::NotReady(self.explain("it did not start")));
            }
            if Instant::now() > until {
                let probe = http.unwrap_or(format!("port {tcp}"));
                let error = format!("{probe} was not ready in {} ms", target.ready.timeout_ms);
                return Err(ServerError::NotReady(self.explain(&error)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn not_ready(error: String) -> ServerError {
    ServerError::NotReady(error)
}

impl Drop for Server {
    fn drop(&mut self) {
        let members = self.processes();
        let Some(process) = &mut self.process else {
            return;
        };
        process.end(members);
        if !process.failed {
            // What is left is in the target folder, for the next clean-up.
            let _ = fs::remove_dir_all(&process.dir);
            let _ = fs::remove_file(&process.log);
        }
    }
}

impl Process {
    /// Ends the server: its signal to its group, then SIGKILL to whoever is left.
    fn end(&mut self, mut members: Vec<u32>) {
        let signal = match self.start.stop_signal {
            StopSignal::Term => Signal::SIGTERM,
            StopSignal::Int => Signal::SIGINT,
            StopSignal::Quit => Signal::SIGQUIT,
            StopSignal::Kill => Signal::SIGKILL,
        };
        // All signals here fail only for processes that have ended.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), signal);
        let until = Instant::now() + Duration::from_millis(self.start.stop_ms);
        loop {
            let _ = self.child.try_wait();
            let alive = machine::tree(std::process::id()).split_off(1);
            members.extend(&alive);
            if alive.is_empty() || Instant::now() > until {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Whoever a killed process leaves behind becomes this process's child, and is found in the next pass.
        for _ in 0..100 {
            let alive = machine::tree(std::process::id()).split_off(1);
            if alive.is_empty() {
                break;
            }
            for &pid in &alive {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            members.extend(&alive);
            let _ = self.child.try_wait();
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.wait();
        for pid in members {
            let _ = waitpid(Pid::from_raw(pid.cast_signed()), Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// A port of 127.0.0.1 that nobody listens on. Binding without SO_REUSEPORT also finds a forgotten server that shares its port.
fn free_port() -> Result<u32, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = std::process::id().wrapping_mul(97).wrapping_add(step) % count;
        let port = PORTS.start + offset;
        if TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port as u16)).is_ok() {
            return Ok(port);
        }
    }
    Err(format!("no port of {PORTS:?} is free"))
}

fn takes_connections(port: &str) -> bool {
    let Ok(port) = port.parse() else { return false };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

fn answers(url: &str) -> bool {
    let ask = || -> io::Result<bool> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let address = Address::parse(url).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address.socket, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            address.path, address.host
        );
        stream.write_all(request.as_bytes())?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Becomes `command` on these cores, to be killed when the tool, its parent, dies, however it dies. Returns only if that fails.
pub fn launch(parent: u32, cores: &str, command: &[String]) -> String {
    let cores: Result<Vec<usize>, _> = cores.split(',').map(str::parse).collect();
    let (Ok(cores), Some((program, arguments))) = (cores, command.split_first()) else {
        return "launch needs cores and a command".to_owned();
    };
    let prepared = machine::pin(&cores)
        .and_then(|()| Ok(set_pdeathsig(Signal::SIGKILL)?))
        // This program refuses huge pages for itself; what it starts decides for itself.
        .and_then(|()| Ok(set_thp_disable(false)?))
        .and_then(|()| machine::raise_open_files());
    match prepared {
        // Its death before the request above went unnoticed.
        Ok(_) if getppid() != Pid::from_raw(parent.cast_signed()) => {
            "its parent is gone".to_owned()
        }
        Ok(_) => {
            let error = Command::new(program).args(arguments).exec();
            format!("{program} cannot be run: {error}")
        }
        Err(error) => format!("cores {cores:?}: {error}"),
    }
}
