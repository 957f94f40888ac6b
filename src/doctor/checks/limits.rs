//! Files and threads.

use super::super::machine::CAP_SYS_RESOURCE;
use super::super::quantity::{count, several};
use super::{Case, Finding, connections, connections_setting, sysctl};
use crate::server::FILES_ASIDE;

/// Threads beside the shards': the control thread and the one that waits for the others.
const THREADS_ASIDE: u64 = 2;

pub(super) fn open_files(id: &'static str, case: &Case<'_>) -> Finding {
    let Some(limit) = case.machine.process.limits.open_files else {
        return Finding::unknown(id, "/proc/self/limits");
    };
    let needed = case.connections + FILES_ASIDE;
    // The server raises the soft limit itself.
    let allowed = limit.hard;
    if allowed >= needed {
        let allowed = match allowed {
            u64::MAX => "unlimited".to_owned(),
            allowed => format!("{} allowed", count(allowed)),
        };
        return Finding::fine(id, format!("{allowed}, {} needed", count(needed)));
    }
    let fit = allowed.saturating_sub(FILES_ASIDE);
    let what = format!(
        "{} allowed: {} fit, not {}",
        count(allowed),
        connections(fit),
        count(case.connections)
    );
    let mut finding = Finding::warning(id, what)
        .costs("further connections wait until others close, and are refused by the kernel when too many wait");
    // No limit can be higher than this.
    if let Some(nr_open) = case.machine.sysctls.nr_open.filter(|most| *most < needed) {
        finding.cost.push_str(&format!(
            "; fs.nr_open = {} is in the way, too",
            count(nr_open)
        ));
        finding = finding.mend(format!("{}   first", sysctl("fs.nr_open", needed)));
    }
    finding = case.mend_limit(finding, "LimitNOFILE", 'n', needed);
    match connections_setting(case, fit) {
        Some(setting) => finding.mend(setting),
        None => finding,
    }
}

pub(super) fn open_files_of_the_machine(id: &'static str, case: &Case<'_>) -> Finding {
    let sysctls = &case.machine.sysctls;
    let Some(max) = sysctls.file_max else {
        return Finding::unknown(id, "/proc/sys/fs/file-max");
    };
    let open = sysctls.files_open.unwrap_or_default();
    let needed = case.connections + FILES_ASIDE + open;
    if needed <= max {
        let what = format!(
            "fs.file-max is enough: {} open of all processes",
            count(open)
        );
        return Finding::fine(id, what);
    }
    let what = format!(
        "fs.file-max = {}, {} of them open: not enough for {}",
        count(max),
        count(open),
        connections(case.connections)
    );
    Finding::warning(id, what)
        .costs("no process of this machine can open a file when it is reached")
        .mend(sysctl("fs.file-max", needed.next_power_of_two()))
}

pub(super) fn threads(id: &'static str, case: &Case<'_>) -> Finding {
    let process = &case.machine.process;
    let needed = case.shards + THREADS_ASIDE;
    let failure = |what: String| Finding::failure(id, what).costs("the server does not start");
    // A process that runs has its threads already.
    let room = case
        .machine
        .cgroup
        .threads
        .as_ref()
        .filter(|_| process.pid.is_none());
    if let Some(room) = room.filter(|room| room.value < needed) {
        let what = format!(
            "{} needed, room for {} ({})",
            count(needed),
            count(room.value),
            room.place
        );
        let more = needed - room.value;
        let cure = match &process.unit {
            Some(unit) => format!("TasksMax=infinity   in [Service], by `systemctl edit {unit}`"),
            None => format!("{} more in {}", several(more, "thread"), room.place),
        };
        return failure(what).mend(cure);
    }
    let limit = process.limits.threads.map_or(u64::MAX, |limit| limit.soft);
    if limit < needed && process.user != Some(0) && !process.can(CAP_SYS_RESOURCE) {
        let what = format!("{} needed, {} allowed", count(needed), count(limit));
        return case.mend_limit(failure(what), "LimitNPROC", 'u', needed);
    }
    Finding::fine(id, format!("room for {}", several(needed, "thread")))
}
