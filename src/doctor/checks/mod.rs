//! The checks, and what they look at.

mod cores;
mod limits;
mod listeners;
mod memory;
mod network;
mod rings;

use super::quantity::{bytes, count, several};
use super::{Examination, Finding, Machine, Trials};
use crate::config::Config;

/// Checks that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub name: &'static str,
    /// Each with its id.
    checks: &'static [(&'static str, Check)],
}

/// Makes the finding of the check with this id.
type Check = fn(&'static str, &Case<'_>) -> Finding;

/// All checks, in the order in which they are told.
const GROUPS: &[Group] = &[
    Group {
        name: "io_uring",
        checks: &[
            ("kernel", rings::kernel),
            ("io-uring", rings::set_up),
            ("io-uring-features", rings::features),
            ("io-uring-sends", rings::sends),
            ("io-uring-disabled", rings::disabled),
            ("seccomp", rings::seccomp),
            ("locked-memory", rings::locked_memory),
        ],
    },
    Group {
        name: "configuration and addresses",
        checks: &[
            ("configuration", listeners::configuration),
            ("listen", listeners::listen),
            ("internal", listeners::internal),
            ("dual-stack", listeners::dual_stack),
            ("reserved-ports", listeners::reserved_ports),
        ],
    },
    Group {
        name: "files and threads",
        checks: &[
            ("open-files", limits::open_files),
            ("open-files-machine", limits::open_files_of_the_machine),
            ("threads", limits::threads),
        ],
    },
    Group {
        name: "memory",
        checks: &[
            ("memory", memory::memory),
            ("overcommit", memory::overcommit),
            ("huge-pages", memory::huge_pages),
            ("tcp-memory", memory::tcp_memory),
            ("stalled-clients", memory::stalled_clients),
        ],
    },
    Group {
        name: "cores and clock",
        checks: &[
            ("shards", cores::shards),
            ("siblings", cores::siblings),
            ("cpu-quota", cores::cpu_quota),
            ("clock", cores::clock),
        ],
    },
    Group {
        name: "network",
        checks: &[
            ("listen-backlog", network::listen_backlog),
            ("syn-backlog", network::syn_backlog),
            ("send-buffer", network::send_buffer),
            ("connection-tracking", network::connection_tracking),
            ("port-range", network::port_range),
            ("congestion-control", network::congestion_control),
            ("slow-start", network::slow_start),
            ("turned-away", network::turned_away),
        ],
    },
];

/// The ids of all checks, in the order in which they are told.
pub fn ids() -> impl Iterator<Item = &'static str> {
    checks().map(|(_, id, _)| id)
}

/// Every check with the name of its group.
fn checks() -> impl Iterator<Item = (&'static str, &'static str, Check)> {
    GROUPS.iter().flat_map(|group| {
        group
            .checks
            .iter()
            .map(|(id, check)| (group.name, *id, *check))
    })
}

/// The name of the group that a check belongs to.
pub(super) fn group_of(id: &str) -> &'static str {
    checks()
        .find(|(_, one, _)| *one == id)
        .map_or("", |(group, _, _)| group)
}

/// Makes every check: of a configuration that has been validated, and of facts that were read and tried out for it.
#[must_use]
pub fn examine(config: &Config, machine: &Machine, trials: &Trials) -> Examination {
    let shards = machine.shards(config) as u64;
    let case = Case {
        config,
        machine,
        trials,
        shards,
        connections: config.limits.connections_max as u64 * shards,
    };
    Examination {
        about: about(&case),
        findings: checks().map(|(_, id, check)| check(id, &case)).collect(),
    }
}

/// What checks look at.
struct Case<'a> {
    config: &'a Config,
    machine: &'a Machine,
    trials: &'a Trials,
    /// How many shards a server would have.
    shards: u64,
    /// How many connections it may have.
    connections: u64,
}

fn about(case: &Case<'_>) -> String {
    let Case {
        machine,
        shards,
        config,
        ..
    } = case;
    let subject = match (machine.process.pid, &machine.process.name) {
        (Some(pid), Some(name)) => format!("process {pid} ({name})"),
        (Some(pid), None) => format!("process {pid}"),
        _ => "this machine".to_owned(),
    };
    let cores = several(machine.cores.online.len() as u64, "core");
    let memory = machine
        .memory_bytes
        .map_or_else(String::new, |memory| format!(", {}", bytes(memory)));
    format!(
        "{subject}, {cores}{memory}: {} of {} each",
        several(*shards, "shard"),
        several(config.limits.connections_max as u64, "connection"),
    )
}

impl Case<'_> {
    /// Adds how a limit of the process is raised: for the unit that it runs in, or for a shell.
    fn mend_limit(&self, finding: Finding, directive: &str, flag: char, value: u64) -> Finding {
        match &self.machine.process.unit {
            Some(unit) => finding.mend(format!(
                "{directive}={value}   in [Service], by `systemctl edit {unit}`"
            )),
            None => {
                // Of locked memory the shell counts KiB.
                let shell = if flag == 'l' {
                    value.div_ceil(1_024)
                } else {
                    value
                };
                finding
                    .mend(format!(
                        "ulimit -{flag} {shell}   in the shell that starts it, as root"
                    ))
                    .mend(format!("{directive}={value}   in [Service] of its unit"))
            }
        }
    }
}

/// A setting of the kernel, to be written.
fn sysctl(name: &str, value: impl std::fmt::Display) -> String {
    format!("sysctl -w {name}={value}")
}

/// As [`sysctl`], of several numbers.
fn sysctl_list(name: &str, values: &[u64]) -> String {
    let values: Vec<String> = values.iter().map(u64::to_string).collect();
    format!("sysctl -w {name}=\"{}\"", values.join(" "))
}

/// Connections that each shard may have, so that all have no more than so many.
fn connections_setting(case: &Case<'_>, connections: u64) -> Option<String> {
    let each = connections / case.shards;
    (each > 0).then(|| {
        format!(
            "limits.connections_max = {}   in the configuration",
            super::quantity::setting(each)
        )
    })
}

/// So many connections.
fn connections(number: u64) -> String {
    format!("{} connections", count(number))
}
