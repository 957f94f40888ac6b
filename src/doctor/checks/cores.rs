//! Cores, and the clock.

use std::collections::BTreeSet;

use super::super::quantity::{count, several};
use super::{Case, Finding};

/// What a reading of the clock takes where it is no system call, with some room: 20 to 60 ns are usual.
const CLOCK_NS_MAX: u64 = 250;

pub(super) fn shards(id: &'static str, case: &Case<'_>) -> Finding {
    let allowed = &case.machine.process.cores;
    let cores = allowed.len() as u64;
    let shards = several(case.shards, "shard");
    if allowed.is_empty() {
        return Finding::unknown(id, "Cpus_allowed_list in /proc/self/status");
    }
    if case.shards <= cores {
        let of = case.machine.cores.online.len();
        let here = format!("{} of {of} may be used", several(cores, "core"));
        return Finding::fine(id, format!("{shards}, each pinned to a core; {here}"));
    }
    let what = format!(
        "{shards} for {} that may be used: none is pinned",
        several(cores, "core")
    );
    let finding = Finding::warning(id, what)
        .costs("shards wait for each other, which is seen in the latency of all their connections")
        .mend("shards = 0   in the configuration: one for each core");
    if case.machine.cores.online.len() as u64 >= case.shards {
        // The mask is what is short.
        return finding.mend(format!(
            "CPUAffinity=0-{}   in [Service] of its unit",
            case.shards - 1
        ));
    }
    finding
}

/// Shards are pinned to the first cores of the mask. Where two of those are threads of one physical core while others stand idle,
/// the machine is not used.
pub(super) fn siblings(id: &'static str, case: &Case<'_>) -> Finding {
    let allowed = &case.machine.process.cores;
    let siblings = &case.machine.cores.siblings;
    let physical = |cores: &[usize]| -> BTreeSet<usize> {
        let first = |core: &usize| {
            siblings
                .get(core)
                .and_then(|all| all.first())
                .unwrap_or(core)
                .to_owned()
        };
        cores.iter().map(first).collect()
    };
    let shards = case.shards as usize;
    if shards > allowed.len() {
        return Finding::fine(id, "no shard is pinned");
    }
    let (used, there) = (physical(&allowed[..shards]), physical(allowed));
    let could = shards.min(there.len());
    if used.len() >= could {
        return Finding::fine(
            id,
            format!(
                "{} on {}",
                several(case.shards, "shard"),
                several(used.len() as u64, "physical core")
            ),
        );
    }
    // A thread of each physical core, as many as there are shards.
    let best: Vec<String> = there.iter().take(shards).map(ToString::to_string).collect();
    let what = format!(
        "{} on {} where {could} could be used",
        several(case.shards, "shard"),
        several(used.len() as u64, "physical core")
    );
    let finding = Finding::warning(id, what)
        .costs("two shards share what one physical core can do while another stands idle");
    if there.len() >= shards {
        return finding
            .mend(format!(
                "CPUAffinity={}   in [Service] of its unit",
                best.join(" ")
            ))
            .mend(format!("taskset -c {} pushring ...", best.join(",")));
    }
    finding.mend(format!("shards = {}   in the configuration", allowed.len()))
}

pub(super) fn cpu_quota(id: &'static str, case: &Case<'_>) -> Finding {
    let Some(bound) = &case.machine.cgroup.cpu else {
        return Finding::fine(id, "none");
    };
    let cores = format!("{}.{:02}", bound.value / 1_000, bound.value % 1_000 / 10);
    let what = format!(
        "CPU time of {cores} cores for {} ({})",
        several(case.shards, "shard"),
        bound.place
    );
    if bound.value >= case.shards * 1_000 {
        return Finding::fine(id, what);
    }
    let period_ms = case.machine.cgroup.cpu_period_us.unwrap_or(100_000) / 1_000;
    let finding = Finding::warning(id, what).costs(format!(
        "under load all shards are stopped until the period of {period_ms} ms is over, and all clients wait"
    ));
    let finding = match &case.machine.process.unit {
        Some(unit) => finding.mend(format!(
            "CPUQuota=   (empty) in [Service], by `systemctl edit {unit}`"
        )),
        None => finding.mend(format!(
            "a quota of {} cores in {}, or none",
            case.shards, bound.place
        )),
    };
    match bound.value / 1_000 {
        0 => finding,
        whole => finding.mend(format!("shards = {whole}   in the configuration")),
    }
}

pub(super) fn clock(id: &'static str, case: &Case<'_>) -> Finding {
    let took = case.trials.clock_ns;
    let source = case
        .machine
        .clock_source
        .as_deref()
        .unwrap_or("an unknown source");
    let what = format!("{} ns a reading, from {source}", count(took));
    if took <= CLOCK_NS_MAX {
        return Finding::fine(id, what);
    }
    let finding = Finding::warning(id, what)
        .costs("it is read several times a turn, and each time is a system call");
    let sources = &case.machine.clock_sources;
    match sources.iter().find(|one| *one == "tsc" && one.as_str() != source) {
        Some(better) => finding.mend(format!(
            "echo {better} > /sys/devices/system/clocksource/clocksource0/current_clocksource"
        )),
        None => finding.mend("a machine or hypervisor that has a clock to be read without a system call (tsc, kvm-clock)"),
    }
}
