//! What the machine says: cores, CPU time, memory, and how to name it in a result.

use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// `USER_HZ`, the unit of `/proc/stat`, is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Which core the server has and which one the client.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Cores {
    /// The server's.
    pub server: usize,
    /// The client's, and everything else's.
    pub client: usize,
}

impl Cores {
    /// The first two cores this process may use.
    pub fn choose() -> io::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core) == Ok(true));
        match (cores.next(), cores.next()) {
            (Some(server), Some(client)) => Ok(Self { server, client }),
            _ => Err(io::Error::other(
                "two cores are needed, one for the server and one for the client",
            )),
        }
    }
}

/// Keeps the calling thread, and what it starts, on `core`.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Raises the soft limit of open files to the hard one and returns it.
pub fn raise_open_files() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// CPU time of a process, all its threads, those that ended included, and of its living descendants. Exact to the
/// nanosecond, also while they run: it is the scheduler's own account, softirq work done in their context included.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let own = Duration::from(clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))?.now()?);
    children(pid)
        .into_iter()
        .try_fold(own, |sum, child| Ok(sum + cpu_time(child)?))
}

/// Resident memory in bytes of a process and its descendants, from a walk over its page tables.
///
/// `VmRSS` in `/proc/<pid>/status` is the same quantity from per-core counters, some hundred KiB vague.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let resident = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB"));
    let kib: u64 = resident
        .and_then(|kib| kib.trim().parse().ok())
        .ok_or_else(|| io::Error::other("smaps_rollup names no Rss"))?;
    children(pid)
        .into_iter()
        .try_fold(kib * 1024, |sum, child| Ok(sum + resident_bytes(child)?))
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Time that `core` was not idle, whoever used it, in steps of 10 ms.
pub fn core_busy(core: usize) -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let label = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&label));
    let ticks: Vec<u32> = line
        .unwrap_or_default()
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    match ticks[..] {
        // proc_stat(5); the guest fields that follow are contained in user and nice.
        [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] => {
            Ok(TICK * (user + nice + system + irq + softirq + steal))
        }
        _ => Err(io::Error::other(format!(
            "/proc/stat has no line for core {core}"
        ))),
    }
}

/// CPU time of the kernel thread that takes over network work which `core` could not do in place.
pub fn softirq_daemon_time(core: usize) -> io::Result<Duration> {
    let name = format!("ksoftirqd/{core}\n");
    for process in fs::read_dir("/proc")?.flatten() {
        if fs::read_to_string(process.path().join("comm")).is_ok_and(|comm| comm == name) {
            let account = fs::read_to_string(process.path().join("schedstat"))?;
            let nanos = account
                .split(' ')
                .next()
                .and_then(|nanos| nanos.parse().ok());
            return Ok(nanos.map_or(Duration::ZERO, Duration::from_nanos));
        }
    }
    Ok(Duration::ZERO)
}

/// What a result has to name to be read later.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Description {
    /// Year, month and day, UTC.
    pub date: String,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores online.
    pub cores_online: usize,
    /// What paces the server's sends: `net.ipv4.tcp_congestion_control`.
    pub congestion_control: String,
}

impl Description {
    /// Of this machine, now.
    pub fn read() -> io::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            date: today(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            cpu: cpu.map_or_else(
                || std::env::consts::ARCH.to_owned(),
                |(_, name)| name.to_owned(),
            ),
            cores_online: std::thread::available_parallelism()?.get(),
            congestion_control: fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?
                .trim()
                .to_owned(),
        })
    }
}

/// Today's date, UTC, as `YYYY-MM-DD`.
fn today() -> String {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut days = since_epoch.as_secs() / 86_400;
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}
