//! What the machine says: cores, limits, CPU time, memory, and how to name it in a result.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// `USER_HZ`, the unit of times in `/proc`, is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The cores this process may use.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core) == Ok(true));
    Ok(cores.collect())
}

/// Keeps the calling thread, and what it starts, on these cores.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Raises the soft limit of open files to the hard one and returns it.
pub fn raise_open_files() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// A process and its living descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, stat) in processes() {
        children.entry(stat.parent).or_default().push(pid);
    }
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&pid) = tree.get(at) {
        tree.extend(children.get(&pid).into_iter().flatten());
        at += 1;
    }
    tree
}

/// The processes of these process groups or sessions.
pub fn of_groups(groups: &[u32]) -> Vec<u32> {
    let all = processes().into_iter();
    all.filter(|(_, stat)| groups.contains(&stat.group) || groups.contains(&stat.session))
        .map(|(pid, _)| pid)
        .collect()
}

struct Stat {
    parent: u32,
    group: u32,
    session: u32,
    reaped_ticks: u32,
}

fn processes() -> Vec<(u32, Stat)> {
    let Ok(folders) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = folders
        .flatten()
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// `/proc/<pid>/stat`, proc_pid_stat(5). `None` for a process that is gone or only waits to be reaped.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    let number = |index: usize| fields.get(index).and_then(|field| field.parse().ok());
    Some(Stat {
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        reaped_ticks: number(13)? + number(14)?,
    })
}

/// CPU time of these processes: all their threads, those that ended included, and children that ended and were waited
/// for. The first is the scheduler's own account in nanoseconds, work that the kernel does in their context included; the last is
/// in steps of 10 ms. A process that is gone counts for nothing.
pub fn cpu_time(pids: &[u32]) -> Duration {
    let of = |&pid: &u32| {
        let reaped = stat(pid).map_or(0, |stat| stat.reaped_ticks);
        let own =
            clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).and_then(|clock| clock.now());
        own.map_or(Duration::ZERO, Duration::from) + TICK * reaped
    };
    pids.iter().map(of).sum()
}

/// Memory of these processes in bytes: their proportional set size, so that what they share is counted once.
pub fn memory_bytes(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let mut lines = rollup.lines();
        let pss = lines.find_map(|line| line.strip_prefix("Pss:"))?;
        let kib: u64 = pss.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    pids.iter().filter_map(of).sum()
}

/// Time that these cores were not idle, whoever used them, in steps of 10 ms.
pub fn cores_busy(cores: &[usize]) -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let of = |core: &usize| {
        let label = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&label))?;
        let ticks: Vec<u32> = line
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        match ticks[..] {
            // proc_stat(5); the guest fields that follow are contained in user and nice.
            [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] => {
                Some(TICK * (user + nice + system + irq + softirq + steal))
            }
            _ => None,
        }
    };
    cores.iter().filter_map(of).sum()
}

/// CPU time of the kernel threads that take over network work which these cores could not do in place.
pub fn softirq_time(cores: &[usize]) -> Duration {
    let names: Vec<String> = cores
        .iter()
        .map(|core| format!("ksoftirqd/{core}\n"))
        .collect();
    let Ok(folders) = fs::read_dir("/proc") else {
        return Duration::ZERO;
    };
    let of = |folder: fs::DirEntry| {
        let comm = fs::read_to_string(folder.path().join("comm")).ok()?;
        names.contains(&comm).then_some(())?;
        let account = fs::read_to_string(folder.path().join("schedstat")).ok()?;
        Some(Duration::from_nanos(
            account.split(' ').next()?.parse().ok()?,
        ))
    };
    folders.flatten().filter_map(of).sum()
}

/// What a result has to name to be read later.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores that the tool may use.
    pub cores: usize,
    /// What paces sends: `net.ipv4.tcp_congestion_control`.
    pub congestion_control: String,
}

impl Machine {
    /// This machine, now.
    pub fn read() -> Self {
        let line = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let cpuinfo = line("/proc/cpuinfo");
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            kernel: line("/proc/sys/kernel/osrelease"),
            cpu: cpu.map_or_else(
                || std::env::consts::ARCH.to_owned(),
                |(_, name)| name.to_owned(),
            ),
            cores: allowed_cores().map_or(0, |cores| cores.len()),
            congestion_control: line("/proc/sys/net/ipv4/tcp_congestion_control"),
        }
    }
}

/// The present moment, UTC, as `YYYY-MM-DDThh:mm:ssZ`.
pub fn now_utc() -> String {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    utc(since_epoch.as_secs())
}

/// The same of seconds since 1970. The calendar is counted in years that begin with March, so that the leap day is the last.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let own = tree(std::process::id());
        assert_eq!(own[0], std::process::id());
        assert!(cpu_time(&own) > Duration::ZERO);
        assert!(memory_bytes(&own) > 1024 * 1024);
    }
}
