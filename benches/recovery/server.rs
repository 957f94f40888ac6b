//! The server: started with a channel that keeps its history, published to over HTTP, and read from outside.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pushring::bench::target::{Server as Process, Target, Values};

/// How it is started.
const TARGET: &str = include_str!("pushring.toml");
/// The channel that keeps its history there.
pub const CHANNEL: &str = "prices";
/// How long what must happen may take.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How often the server is asked whether it has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a server that rests uses between two looks at the most.
const REST: Duration = Duration::from_micros(200);

/// A running server. Dropping it ends it.
pub struct Server {
    process: Process,
    pid: u32,
    public: SocketAddr,
    internal: SocketAddr,
}

/// Where the server says that its channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As it is written in answers and requests.
    pub epoch: String,
    /// Publications so far.
    pub offset: u64,
}

impl Server {
    /// Starts the server of that binary on a core, with one shard.
    pub fn start(binary: &Path, core: usize, scratch: &Path) -> io::Result<Self> {
        let mut target: Target = toml::from_str(TARGET).map_err(io::Error::other)?;
        target.name = "recovery".to_owned();
        let mut values = Values::default();
        values.set("pushring", binary.display());
        let never = AtomicBool::new(false);
        let process =
            Process::start(&target, &[core], scratch, &values, &never).map_err(io::Error::other)?;
        let [pid] = process.processes()[..] else {
            return Err(io::Error::other("the server is not one process"));
        };
        let port = |name: &str| -> io::Result<SocketAddr> {
            let port: u16 = process
                .values()
                .fill(name)
                .parse()
                .map_err(io::Error::other)?;
            Ok((Ipv4Addr::LOCALHOST, port).into())
        };
        Ok(Self {
            pid,
            public: port("{port}")?,
            internal: port("{publish_port}")?,
            process,
        })
    }

    /// Where clients connect.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Publishes over HTTP, and returns where the channel stands then.
    pub fn publish(&self, payload: &[u8]) -> io::Result<Place> {
        let answer = self.ask("POST", &format!("/pub/{CHANNEL}"), payload)?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        match (answer["epoch"].as_str(), answer["offset"].as_u64()) {
            (Some(epoch), Some(offset)) => Ok(Place {
                epoch: epoch.to_owned(),
                offset,
            }),
            _ => Err(io::Error::other(format!("no place in {answer}"))),
        }
    }

    /// The sum of a metric over all its labels.
    pub fn metric(&self, name: &str) -> io::Result<u64> {
        let text = self.ask("GET", "/metrics", b"")?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let rest = match rest.strip_prefix('{') {
                Some(labels) => labels.split_once('}')?.1,
                None => rest,
            };
            rest.strip_prefix(' ')?.parse::<u64>().ok()
        });
        let values: Vec<u64> = values.collect();
        match values.is_empty() {
            true => Err(io::Error::other(format!("the server has no metric {name}"))),
            false => Ok(values.iter().sum()),
        }
    }

    /// Waits until so many connections are open.
    pub fn wait_for_connections(&self, wanted: u64) -> io::Result<()> {
        let until = Instant::now() + DEADLINE;
        loop {
            let open = self.metric("pushring_connections")?;
            if open == wanted {
                return Ok(());
            }
            if Instant::now() > until {
                let what = format!("{open} connections are open, {wanted} should be");
                return Err(io::Error::other(what));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// CPU taken so far, once the server rests: what is left to do when the last client has what it wants belongs to it.
    pub fn cpu_at_rest(&self) -> io::Result<Duration> {
        let until = Instant::now() + DEADLINE;
        let mut last = self.cpu()?;
        loop {
            std::thread::sleep(LOOK_EVERY);
            let now = self.cpu()?;
            if now - last <= REST {
                return Ok(last);
            }
            if Instant::now() > until {
                return Err(io::Error::other("the server does not come to rest"));
            }
            last = now;
        }
    }

    fn cpu(&self) -> io::Result<Duration> {
        let gone = || io::Error::other("the server is gone");
        self.process.cpu().ok_or_else(gone)
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most that was resident since [`Server::forget_peak`], in bytes.
    pub fn peak_bytes(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// Lets the peak begin anew, proc_pid_clear_refs(5).
    pub fn forget_peak(&self) -> io::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5")
    }

    /// An error with what the server itself can tell.
    pub fn explain(&mut self, error: &io::Error) -> io::Error {
        io::Error::other(self.process.explain(&error.to_string()))
    }

    fn status(&self, field: &str) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let value = status.lines().find_map(|line| {
            let kib = line.strip_prefix(field)?.trim().strip_suffix("kB")?;
            kib.trim().parse::<u64>().ok()
        });
        value
            .map(|kib| kib * 1_024)
            .ok_or_else(|| io::Error::other(format!("the server's status has no {field}")))
    }

    /// The body of the answer to a request on the internal listener, which must be 200.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.internal)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.internal,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = BufReader::new(stream);
        let mut status = String::new();
        answer.read_line(&mut status)?;
        let mut rest = String::new();
        answer.read_to_string(&mut rest)?;
        match (status.contains(" 200 "), rest.split_once("\r\n\r\n")) {
            (true, Some((_, body))) => Ok(body.to_owned()),
            _ => Err(io::Error::other(format!("{method} {path}: {status}{rest}"))),
        }
    }
}
