//! What the kernel says of one process: rights, limits, cores.

use super::tree::{self, Tree};

/// A process, proc_pid_status(5).
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Its number, if it is another than this one.
    pub pid: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// The user whose rights it has.
    pub user: Option<u32>,
    /// The groups whose rights it has.
    pub groups: Vec<u32>,
    /// Its effective capabilities, a bit each.
    pub capabilities: Option<u64>,
    /// 2 where a filter decides which system calls it may make.
    pub seccomp: Option<u32>,
    /// How many filters there are.
    pub seccomp_filters: Option<u64>,
    /// The cores that it may run on, in rising order.
    pub cores: Vec<usize>,
    /// Whether the kernel may back its memory with huge pages.
    pub takes_huge_pages: Option<bool>,
    /// Its limits.
    pub limits: Limits,
    /// The unit of systemd that it belongs to, if that is a service.
    pub unit: Option<String>,
}

/// Limits of a process, getrlimit(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// RLIMIT_NOFILE, in files.
    pub open_files: Option<Limit>,
    /// RLIMIT_MEMLOCK, in bytes.
    pub locked_memory: Option<Limit>,
    /// RLIMIT_NPROC, in threads of the user.
    pub threads: Option<Limit>,
}

/// A limit; `u64::MAX` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// Up to where the process itself can raise it.
    pub hard: u64,
}

/// Bits of `capabilities`, capabilities(7).
pub(in crate::doctor) const CAP_IPC_LOCK: u32 = 14;
pub(in crate::doctor) const CAP_SYS_ADMIN: u32 = 21;
pub(in crate::doctor) const CAP_SYS_RESOURCE: u32 = 24;

impl Process {
    /// Reads what `/proc` has of the process with this number, or of `self`.
    pub(super) fn read(tree: &Tree, process: &str) -> Self {
        let status = format!("proc/{process}/status");
        let of = |label: &str| tree.labelled(&status, label);
        let numbers = |label: &str| -> Vec<u32> {
            let text = of(label).unwrap_or_default();
            text.split_whitespace()
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        // Real, effective, saved and that of file systems.
        let mut groups = numbers("Gid:")
            .get(1)
            .map_or_else(Vec::new, |effective| vec![*effective]);
        groups.extend(numbers("Groups:"));
        Self {
            pid: process.parse().ok(),
            name: of("Name:"),
            user: numbers("Uid:").get(1).copied(),
            groups,
            capabilities: of("CapEff:").and_then(|text| u64::from_str_radix(&text, 16).ok()),
            seccomp: of("Seccomp:").and_then(|text| text.parse().ok()),
            seccomp_filters: of("Seccomp_filters:").and_then(|text| text.parse().ok()),
            cores: tree::cores(&of("Cpus_allowed_list:").unwrap_or_default()),
            takes_huge_pages: of("THP_enabled:").map(|text| text != "0"),
            limits: Limits::read(tree, process),
            unit: unit(tree, process),
        }
    }

    /// Whether it has a capability, by its bit.
    pub(in crate::doctor) fn can(&self, capability: u32) -> bool {
        self.capabilities
            .is_some_and(|capabilities| capabilities & (1 << capability) != 0)
    }
}

impl Limits {
    fn read(tree: &Tree, process: &str) -> Self {
        let path = format!("proc/{process}/limits");
        let limit = |label: &str| {
            let text = tree.labelled(&path, label)?;
            let mut parts = text.split_whitespace().map(|part| match part {
                "unlimited" => Some(u64::MAX),
                part => part.parse().ok(),
            });
            Some(Limit {
                soft: parts.next()??,
                hard: parts.next()??,
            })
        };
        Self {
            open_files: limit("Max open files"),
            locked_memory: limit("Max locked memory"),
            threads: limit("Max processes"),
        }
    }
}

/// The innermost control group that systemd made for a service.
fn unit(tree: &Tree, process: &str) -> Option<String> {
    let text = tree.text(&format!("proc/{process}/cgroup"))?;
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut last = paths.filter_map(|path| path.rsplit('/').next());
    last.find(|name| name.ends_with(".service"))
        .map(str::to_owned)
}
