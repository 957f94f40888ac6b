//! What the machine's files say.

mod cgroup;
mod process;
mod sockets;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

pub use cgroup::{Bound, Cgroup};
pub(super) use process::{CAP_IPC_LOCK, CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
pub use process::{Limit, Limits, Process};
pub(super) use sockets::collide;
pub use sockets::{Listening, Turned};

use crate::config::Config;
use tree::Tree;

/// A machine, as far as it concerns a server. What cannot be read is `None`, or empty.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The kernel's release, such as `6.18.44-generic`.
    pub kernel: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that processes may be promised.
    pub commit: Option<Commit>,
    /// The process that is examined: this one, or one that runs.
    pub process: Process,
    /// What its control groups allow.
    pub cgroup: Cgroup,
    /// The machine's cores.
    pub cores: Cores,
    /// The kernel's settings.
    pub sysctls: Sysctls,
    /// When the kernel backs memory with huge pages: `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
    /// What the clock is read from, such as `tsc`.
    pub clock_source: Option<String>,
    /// What it could be read from.
    pub clock_sources: Vec<String>,
    /// Who listens on the ports of the configuration.
    pub listening: Vec<Listening>,
    /// What the kernel has turned away since it was started.
    pub turned: Turned,
}

/// How much memory processes may be promised, all together (`vm.overcommit_memory`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Commit {
    /// 2: no more than `limit_bytes`.
    pub mode: u64,
    /// `CommitLimit`.
    pub limit_bytes: u64,
    /// `Committed_AS`.
    pub promised_bytes: u64,
}

/// The machine's cores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cores {
    /// Those that are online, in rising order.
    pub online: Vec<usize>,
    /// For each of those, all that are threads of the same physical core, itself included.
    pub siblings: BTreeMap<usize, Vec<usize>>,
}

/// Settings of the kernel, each by the name that it has there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sysctls {
    /// `kernel.io_uring_disabled`; not there before Linux 6.6.
    pub io_uring_disabled: Option<u64>,
    /// `kernel.io_uring_group`; negative for none.
    pub io_uring_group: Option<i64>,
    /// `fs.file-max`, and how many are open of it.
    pub file_max: Option<u64>,
    /// The first number of `fs.file-nr`.
    pub files_open: Option<u64>,
    /// `fs.nr_open`.
    pub nr_open: Option<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// `net.core.netdev_max_backlog`.
    pub netdev_max_backlog: Option<u64>,
    /// `net.core.default_qdisc`.
    pub default_qdisc: Option<String>,
    /// `net.ipv4.tcp_syncookies`.
    pub tcp_syncookies: Option<u64>,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub tcp_max_syn_backlog: Option<u64>,
    /// `net.ipv4.tcp_mem`, in pages: where pressure ends, begins, and what is the most.
    pub tcp_mem: Option<[u64; 3]>,
    /// `net.ipv4.tcp_wmem`, in bytes: the least, what a socket begins with, the most.
    pub tcp_wmem: Option<[u64; 3]>,
    /// `net.ipv4.tcp_notsent_lowat`, in bytes.
    pub tcp_notsent_lowat: Option<u64>,
    /// `net.ipv4.tcp_slow_start_after_idle`.
    pub tcp_slow_start_after_idle: Option<u64>,
    /// `net.ipv4.tcp_congestion_control`.
    pub tcp_congestion_control: Option<String>,
    /// `net.ipv4.ip_local_port_range`: the first and the last port of outgoing connections.
    pub port_range: Option<[u64; 2]>,
    /// `net.ipv4.ip_local_reserved_ports`, as ranges.
    pub reserved_ports: Vec<(u64, u64)>,
    /// `net.ipv4.ip_unprivileged_port_start`.
    pub unprivileged_port_start: Option<u64>,
    /// `net.ipv6.bindv6only`.
    pub bindv6only: Option<u64>,
    /// `net.netfilter.nf_conntrack_max`; not there where connections are not tracked.
    pub nf_conntrack_max: Option<u64>,
    /// `net.netfilter.nf_conntrack_count`.
    pub nf_conntrack_count: Option<u64>,
}

impl Machine {
    /// What the files below `root` (`/` but for tests) say of the machine and of the process `pid`, or of this one.
    ///
    /// Network settings are those of the network namespace that this process is in.
    #[must_use]
    pub fn read(root: &Path, pid: Option<u32>, config: &Config) -> Self {
        let tree = Tree::new(root);
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let huge_pages = tree.line("sys/kernel/mm/transparent_hugepage/enabled");
        let clock = "sys/devices/system/clocksource/clocksource0";
        Self {
            kernel: tree.line("proc/sys/kernel/osrelease"),
            memory_bytes: tree.kib("proc/meminfo", "MemTotal:"),
            commit: commit(&tree),
            cgroup: Cgroup::read(&tree, &process),
            cores: cores(&tree),
            sysctls: Sysctls::read(&tree),
            huge_pages: huge_pages.and_then(|text| {
                let (_, chosen) = text.split_once('[')?;
                Some(chosen.split_once(']')?.0.to_owned())
            }),
            clock_source: tree.line(&format!("{clock}/current_clocksource")),
            clock_sources: tree
                .line(&format!("{clock}/available_clocksource"))
                .map(|text| text.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            listening: sockets::listening(&tree, &process, &[config.listen, config.internal]),
            turned: Turned::read(&tree, &process),
            process: Process::read(&tree, &process),
        }
    }

    /// How many shards a server would run here.
    #[must_use]
    pub fn shards(&self, config: &Config) -> usize {
        match config.shards {
            0 => self.process.cores.len().max(1),
            shards => shards,
        }
    }
}

impl Sysctls {
    fn read(tree: &Tree) -> Self {
        let text = |name: &str| tree.line(&format!("proc/sys/{}", name.replace('.', "/")));
        let number = |name: &str| text(name)?.parse().ok();
        Self {
            io_uring_disabled: number("kernel.io_uring_disabled"),
            io_uring_group: text("kernel.io_uring_group").and_then(|text| text.parse().ok()),
            file_max: number("fs.file-max"),
            files_open: text("fs.file-nr")
                .and_then(|text| numbers::<3>(&text))
                .map(|[open, ..]| open),
            nr_open: number("fs.nr_open"),
            somaxconn: number("net.core.somaxconn"),
            netdev_max_backlog: number("net.core.netdev_max_backlog"),
            default_qdisc: text("net.core.default_qdisc"),
            tcp_syncookies: number("net.ipv4.tcp_syncookies"),
            tcp_max_syn_backlog: number("net.ipv4.tcp_max_syn_backlog"),
            tcp_mem: text("net.ipv4.tcp_mem").and_then(|text| numbers(&text)),
            tcp_wmem: text("net.ipv4.tcp_wmem").and_then(|text| numbers(&text)),
            tcp_notsent_lowat: number("net.ipv4.tcp_notsent_lowat"),
            tcp_slow_start_after_idle: number("net.ipv4.tcp_slow_start_after_idle"),
            tcp_congestion_control: text("net.ipv4.tcp_congestion_control"),
            port_range: text("net.ipv4.ip_local_port_range").and_then(|text| numbers(&text)),
            reserved_ports: text("net.ipv4.ip_local_reserved_ports")
                .map(|text| tree::ranges(&text))
                .unwrap_or_default(),
            unprivileged_port_start: number("net.ipv4.ip_unprivileged_port_start"),
            bindv6only: number("net.ipv6.bindv6only"),
            nf_conntrack_max: number("net.netfilter.nf_conntrack_max"),
            nf_conntrack_count: number("net.netfilter.nf_conntrack_count"),
        }
    }
}

/// As many numbers as there should be, parted by blanks.
fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let numbers: Option<Vec<u64>> = text
        .split_whitespace()
        .map(|part| part.parse().ok())
        .collect();
    numbers?.try_into().ok()
}

fn commit(tree: &Tree) -> Option<Commit> {
    Some(Commit {
        mode: tree.line("proc/sys/vm/overcommit_memory")?.parse().ok()?,
        limit_bytes: tree.kib("proc/meminfo", "CommitLimit:")?,
        promised_bytes: tree.kib("proc/meminfo", "Committed_AS:")?,
    })
}

fn cores(tree: &Tree) -> Cores {
    let online = tree
        .line("sys/devices/system/cpu/online")
        .unwrap_or_default();
    let online = tree::cores(&online);
    let siblings = online.iter().filter_map(|core| {
        let path = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        Some((*core, tree::cores(&tree.line(&path)?)))
    });
    Cores {
        siblings: siblings.collect(),
        online,
    }
}
