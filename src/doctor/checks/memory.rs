//! Memory: of the process, of the kernel for its sockets, and of TCP.

use super::super::quantity::{bytes, count, setting};
use super::{Case, Finding, connections, connections_setting, sysctl, sysctl_list};

/// What an idle subscribed connection costs the process: 244 to 254 bytes measured (ARCHITECTURE.md).
const CONNECTION_BYTES: u64 = 256;

/// What it costs the kernel: measured on Linux 6.18, socket 2.4 KB, its inode 0.8, file and directory entry 0.4, poll 0.3.
const SOCKET_BYTES: u64 = 4_096;

/// The process without connections.
const PROCESS_BYTES: u64 = 16 << 20;

/// Memory that a socket has when anything is under way on it: measured, 4,000 sends of 128 bytes that nobody had acknowledged
/// took 4,063 pages.
const TCP_PAGES: u64 = 1;

/// What the kernel keeps for a client that has stopped reading, where nothing bounds it: measured, 100 of them held 391 MiB, and
/// 27 MiB with [`NOTSENT_BYTES`].
const NOTSENT_BYTES: u64 = 131_072;

/// In pages of this size TCP counts its memory.
const PAGE_BYTES: u64 = 4_096;

/// What may be taken of the memory that there is.
const PERCENT_MAX: u64 = 90;

pub(super) fn memory(id: &'static str, case: &Case<'_>) -> Finding {
    let machine = case.machine.memory_bytes.map(|bytes| (bytes, None));
    let group = case.machine.cgroup.memory.as_ref();
    let group = group.map(|bound| (bound.value, Some(bound.place.as_str())));
    let tightest = machine
        .into_iter()
        .chain(group)
        .min_by_key(|(bytes, _)| *bytes);
    let Some((there, place)) = tightest else {
        return Finding::unknown(id, "/proc/meminfo");
    };
    let allowed = there / 100 * PERCENT_MAX;
    let idle = idle_bytes(case.connections);
    let kept = kept_bytes(case);
    let there = match place {
        Some(place) => format!("{} ({place})", bytes(there)),
        None => bytes(there),
    };
    let cost = match place {
        Some(_) => "the kernel ends the process, or makes it wait",
        None => "the kernel ends a process, this one most likely",
    };
    let roomier = |finding: Finding| match (&case.machine.process.unit, place) {
        (Some(unit), Some(_)) => finding.mend(format!(
            "MemoryMax={}   in [Service], by `systemctl edit {unit}`",
            (idle + kept) * 100 / PERCENT_MAX
        )),
        _ => finding,
    };
    if idle > allowed {
        let fit = allowed.saturating_sub(PROCESS_BYTES) / (CONNECTION_BYTES + SOCKET_BYTES);
        let what = format!(
            "{} take {} when idle; there are {there}",
            connections(case.connections),
            bytes(idle)
        );
        let cost = format!("{cost}, at some {}", connections(fit));
        let finding = roomier(Finding::warning(id, what).costs(cost));
        return match connections_setting(case, fit) {
            Some(setting) => finding.mend(setting),
            None => finding,
        };
    }
    let sum = format!(
        "{} take {} when idle, histories and queues up to {} more; there are {there}",
        connections(case.connections),
        bytes(idle),
        bytes(kept)
    );
    if idle + kept <= allowed {
        return Finding::fine(id, sum);
    }
    let stores = if keeps_histories(case) { 2 } else { 1 };
    let each = setting((allowed - idle) / case.shards / stores);
    let finding = Finding::warning(id, sum).costs(format!("{cost}, when they are full"));
    let finding = roomier(finding).mend(format!(
        "queues.shard_bytes_max = {each}   in the configuration"
    ));
    if keeps_histories(case) {
        return finding.mend(format!(
            "limits.history_bytes_max = {each}   together with the one above"
        ));
    }
    finding
}

fn idle_bytes(connections: u64) -> u64 {
    PROCESS_BYTES + connections * (CONNECTION_BYTES + SOCKET_BYTES)
}

/// What histories and queues may come to.
fn kept_bytes(case: &Case<'_>) -> u64 {
    let queues = case.config.queues.shard_bytes_max as u64;
    let histories = match keeps_histories(case) {
        true => case.config.limits.history_bytes_max as u64,
        false => 0,
    };
    case.shards.saturating_mul(queues.saturating_add(histories))
}

fn keeps_histories(case: &Case<'_>) -> bool {
    let mut namespaces = case.config.namespaces.iter();
    namespaces.any(|namespace| namespace.history_size > 0 || namespace.cache)
}

pub(super) fn overcommit(id: &'static str, case: &Case<'_>) -> Finding {
    let Some(commit) = case.machine.commit else {
        return Finding::unknown(id, "vm.overcommit_memory or /proc/meminfo");
    };
    if commit.mode != 2 {
        return Finding::fine(id, format!("vm.overcommit_memory = {}", commit.mode));
    }
    // The kernel's part is not promised to anybody.
    let needed = PROCESS_BYTES + case.connections * CONNECTION_BYTES + kept_bytes(case);
    let left = commit.limit_bytes.saturating_sub(commit.promised_bytes);
    let what = format!(
        "vm.overcommit_memory = 2: {} may still be promised, {} needed",
        bytes(left),
        bytes(needed)
    );
    if needed <= left {
        return Finding::fine(id, what);
    }
    Finding::warning(id, what)
        .costs("the process ends when it is refused memory, however much is free")
        .mend(sysctl("vm.overcommit_memory", 0))
}

pub(super) fn huge_pages(id: &'static str, case: &Case<'_>) -> Finding {
    match (
        case.machine.process.takes_huge_pages,
        case.machine.huge_pages.as_deref(),
    ) {
        (Some(false), _) => Finding::fine(id, "the process refuses them"),
        (_, Some("never") | None) => Finding::fine(id, "the kernel gives none"),
        (None, Some(mode)) => Finding::hint(
            id,
            format!(
                "transparent_hugepage = {mode}; whether the process refuses them is not to be found out"
            ),
        ),
        (Some(true), Some(mode)) => Finding::warning(
            id,
            format!("transparent_hugepage = {mode}, and the process was not let refuse them"),
        )
        .costs("686 bytes a connection were measured instead of 245")
        .mend("echo never > /sys/kernel/mm/transparent_hugepage/enabled")
        .mend("a filter of system calls that lets prctl(PR_SET_THP_DISABLE) through"),
    }
}

pub(super) fn tcp_memory(id: &'static str, case: &Case<'_>) -> Finding {
    let Some([_, pressure, most]) = case.machine.sysctls.tcp_mem else {
        return Finding::unknown(id, "/proc/sys/net/ipv4/tcp_mem");
    };
    let needed = case.connections * TCP_PAGES;
    if needed <= pressure {
        let what = format!(
            "pressure at {} pages: one message to all takes {}",
            count(pressure),
            count(needed)
        );
        return Finding::fine(id, what);
    }
    let cost = if needed > most {
        "sockets beyond the most get no memory: their messages wait in backlogs, and their clients fall behind"
    } else {
        "under pressure the kernel lets sockets buffer less: long messages take more sends and more time"
    };
    let what = format!(
        "one message to all takes {} pages, a page a connection; pressure begins at {}, {} are the most",
        count(needed),
        count(pressure),
        count(most)
    );
    // As the kernel has it by itself: three quarters, the whole, and half as much again.
    let finding = Finding::warning(id, what).costs(cost).mend(sysctl_list(
        "net.ipv4.tcp_mem",
        &[needed / 4 * 3, needed, needed / 2 * 3],
    ));
    match connections_setting(case, pressure / TCP_PAGES) {
        Some(setting) => finding.mend(setting),
        None => finding,
    }
}

/// How many clients that read no more have TCP run short of memory, for everybody.
pub(super) fn stalled_clients(id: &'static str, case: &Case<'_>) -> Finding {
    let sysctls = &case.machine.sysctls;
    let (Some([_, pressure, _]), Some([_, _, most]), Some(unsent)) =
        (sysctls.tcp_mem, sysctls.tcp_wmem, sysctls.tcp_notsent_lowat)
    else {
        return Finding::unknown(id, "net.ipv4.tcp_mem, tcp_wmem or tcp_notsent_lowat");
    };
    let each = most.min(unsent).max(PAGE_BYTES);
    let clients = (pressure * PAGE_BYTES / each).max(1);
    let what = format!(
        "the kernel keeps up to {} for a client that has stopped reading",
        bytes(each)
    );
    // A bench of ours has one in a hundred do that.
    if clients >= case.connections / 100 || each <= NOTSENT_BYTES * 2 {
        return Finding::fine(id, what);
    }
    Finding::hint(id, what)
        .costs(format!(
            "{} of {} are enough to have TCP run short of memory",
            count(clients),
            connections(case.connections)
        ))
        .mend(sysctl("net.ipv4.tcp_notsent_lowat", NOTSENT_BYTES))
}
