//! Whether the kernel has what shards are made of, and lets it be used.

use super::super::machine::{CAP_IPC_LOCK, CAP_SYS_ADMIN};
use super::super::quantity::{bytes, several};
use super::{Case, Finding, sysctl};
use crate::reactor::SetupError;

/// The first kernel that has all that is needed.
const KERNEL_MIN: (u64, u64) = (6, 0);

/// What a filter has to let through.
const CALLS: &str = "io_uring_setup, io_uring_enter and io_uring_register";

pub(super) fn kernel(id: &'static str, case: &Case<'_>) -> Finding {
    let Some(release) = &case.machine.kernel else {
        return Finding::unknown(id, "/proc/sys/kernel/osrelease");
    };
    let what = format!("Linux {release}");
    match version(release) {
        None => Finding::hint(id, format!("{what}: no version to compare with 6.0")),
        Some(version) if version >= KERNEL_MIN => Finding::fine(id, what),
        // Some distributions' kernels have more than their number says.
        Some(_) if case.trials.rings.set_up.is_ok() && missing(case).is_empty() => Finding::hint(
            id,
            format!("{what}, which is before 6.0 and has what is needed"),
        ),
        Some(_) => Finding::failure(id, format!("{what} is too old"))
            .costs("the server does not start")
            .mend("a kernel from 6.0 on"),
    }
}

fn version(release: &str) -> Option<(u64, u64)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub(super) fn set_up(id: &'static str, case: &Case<'_>) -> Finding {
    let rings = &case.trials.rings;
    let what = match &rings.set_up {
        Ok(()) => {
            let what = format!(
                "the rings of {} can be set up",
                several(case.shards, "shard")
            );
            return Finding::fine(id, what);
        }
        Err(SetupError::NoUring) => "io_uring_setup is not there (ENOSYS)".to_owned(),
        Err(SetupError::Forbidden) => "io_uring_setup is forbidden (EPERM)".to_owned(),
        Err(SetupError::TooOld) => {
            "this kernel does not know rings of this kind (EINVAL)".to_owned()
        }
        Err(SetupError::NoMemory { limit }) => format!(
            "the rings need {} of locked memory, and there is not so much left of {limit}",
            bytes(rings.bytes)
        ),
        Err(SetupError::NoFiles) => "there are no file descriptors for the rings".to_owned(),
        Err(error) => error.to_string(),
    };
    let finding = Finding::failure(id, what).costs("the server does not start");
    match &rings.set_up {
        Err(SetupError::Forbidden) if is_disabled(case) => finding.mend("see io-uring-disabled"),
        Err(SetupError::Forbidden | SetupError::NoUring) if is_filtered(case) => {
            finding.mend("see seccomp")
        }
        Err(SetupError::Forbidden) => finding
            .mend("journalctl -k -g 'avc:|apparmor='   names the rule of the security module that refused it"),
        Err(SetupError::NoUring) => finding.mend("a kernel from 6.0 on with CONFIG_IO_URING"),
        Err(SetupError::TooOld) => finding.mend("a kernel from 6.0 on"),
        Err(SetupError::NoMemory { .. }) => finding.mend("see locked-memory"),
        Err(SetupError::NoFiles) => finding.mend("see open-files"),
        _ => finding,
    }
}

fn memory_cure(finding: Finding, case: &Case<'_>) -> Finding {
    // Twice as much: the memory of rings that were closed is given back in the background.
    let enough = (case.trials.rings.bytes * 2).next_power_of_two();
    case.mend_limit(finding, "LimitMEMLOCK", 'l', enough)
        .mend("reactor.ring_entries = 256   in the configuration, and fanout.scatter_entries = 256")
}

/// What is needed of rings and not there.
fn missing(case: &Case<'_>) -> Vec<String> {
    let features = case.trials.rings.features.iter();
    features
        .filter(|feature| !feature.present)
        .map(|feature| format!("{} (Linux {})", feature.name, feature.since))
        .collect()
}

pub(super) fn features(id: &'static str, case: &Case<'_>) -> Finding {
    let features = &case.trials.rings.features;
    if features.is_empty() {
        return Finding::hint(id, "not tried out: not even a plain ring can be set up");
    }
    let missing = missing(case);
    if missing.is_empty() {
        let names: Vec<&str> = features.iter().map(|feature| feature.name).collect();
        return Finding::fine(id, names.join(" "));
    }
    Finding::failure(id, format!("not there: {}", missing.join(", ")))
        .costs("the server does not start, or does not work")
        .mend("a kernel from 6.0 on")
}

pub(super) fn sends(id: &'static str, case: &Case<'_>) -> Finding {
    match &case.trials.rings.sends {
        Some(Ok(())) => Finding::fine(id, "whole ones are silent, full sockets are told of"),
        Some(Err(fault)) => Finding::failure(id, fault.to_string())
            .costs("messages would be lost or sent twice: do not run a server here")
            .mend("a kernel from 6.0 on that is Linux and no imitation of it"),
        None => Finding::hint(id, "not tried out: no send ring can be set up"),
    }
}

/// Whether the kernel's switch keeps this process from making rings.
fn is_disabled(case: &Case<'_>) -> bool {
    match case.machine.sysctls.io_uring_disabled {
        Some(0) | None => false,
        Some(1) => !case.machine.process.can(CAP_SYS_ADMIN) && !is_in_group(case),
        Some(_) => true,
    }
}

fn is_in_group(case: &Case<'_>) -> bool {
    let groups = &case.machine.process.groups;
    let group = case.machine.sysctls.io_uring_group;
    groups.iter().any(|one| Some(i64::from(*one)) == group)
}

pub(super) fn disabled(id: &'static str, case: &Case<'_>) -> Finding {
    let name = "kernel.io_uring_disabled";
    match case.machine.sysctls.io_uring_disabled {
        None => Finding::fine(id, format!("this kernel has no {name}")),
        Some(0) => Finding::fine(id, format!("{name} = 0")),
        Some(1) if is_in_group(case) => Finding::fine(
            id,
            format!("{name} = 1, and this process is in kernel.io_uring_group"),
        ),
        Some(1) if case.machine.process.can(CAP_SYS_ADMIN) => {
            Finding::warning(id, format!("{name} = 1: only root and one group may"))
                .costs("it works for root and fails for a service with a user of its own")
                .mend("sysctl -w kernel.io_uring_group=GID   of the service's group")
                .mend(sysctl(name, 0))
        }
        Some(value) => Finding::failure(id, format!("{name} = {value}: not allowed here"))
            .costs("the server does not start")
            .mend(sysctl(name, 0)),
    }
}

/// Whether a filter decides which system calls the process may make.
fn is_filtered(case: &Case<'_>) -> bool {
    case.machine.process.seccomp == Some(2)
}

fn filter_cure(case: &Case<'_>) -> String {
    match &case.machine.process.unit {
        Some(unit) => format!(
            "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register   in [Service], by `systemctl edit {unit}`"
        ),
        None => {
            format!(
                "--security-opt seccomp=tuning/seccomp.json   or another profile that has {CALLS}"
            )
        }
    }
}

pub(super) fn seccomp(id: &'static str, case: &Case<'_>) -> Finding {
    let process = &case.machine.process;
    let refused = matches!(
        case.trials.rings.set_up,
        Err(SetupError::Forbidden | SetupError::NoUring)
    );
    match process.seccomp {
        None => Finding::unknown(id, "Seccomp in /proc/self/status"),
        Some(0) => Finding::fine(id, "no filter"),
        Some(_) if process.pid.is_some() => {
            Finding::fine(id, "a filter of system calls, under which the process runs")
        }
        Some(_) if refused && !is_disabled(case) => {
            let filters = process.seccomp_filters.unwrap_or(1);
            Finding::failure(
                id,
                format!("a filter of system calls ({filters}) refuses io_uring"),
            )
            .costs("the server does not start")
            .mend(filter_cure(case))
        }
        Some(_) if refused => Finding::hint(
            id,
            "a filter of system calls, which may refuse io_uring too",
        ),
        Some(_) => Finding::fine(id, "a filter of system calls that lets io_uring through"),
    }
}

pub(super) fn locked_memory(id: &'static str, case: &Case<'_>) -> Finding {
    let process = &case.machine.process;
    let needed = case.trials.rings.bytes;
    let Some(limit) = process.limits.locked_memory else {
        return Finding::unknown(id, "/proc/self/limits");
    };
    let allowed = match limit.soft {
        u64::MAX => "unlimited".to_owned(),
        allowed => format!("{} allowed", bytes(allowed)),
    };
    let what = format!("{} of rings, {allowed}", bytes(needed));
    if matches!(case.trials.rings.set_up, Err(SetupError::NoMemory { .. })) {
        let what = match needed <= limit.soft {
            true => format!(
                "{what} to all processes of this user together, and others have taken of it"
            ),
            false => what,
        };
        let finding = Finding::failure(id, what).costs("the server does not start");
        return memory_cure(finding, case);
    }
    if needed <= limit.soft {
        return Finding::fine(id, what);
    }
    let finding = match (process.pid, process.can(CAP_IPC_LOCK)) {
        (None, false) => {
            return Finding::hint(id, format!("{what}: this kernel does not count it"));
        }
        (None, true) => Finding::warning(
            id,
            format!("{what}, which does not hold for this process (CAP_IPC_LOCK)"),
        )
        .costs("it works for root and may fail for a service with a user of its own"),
        (Some(_), true) => {
            return Finding::fine(
                id,
                format!("{what}, which does not hold for it (CAP_IPC_LOCK)"),
            );
        }
        (Some(_), false) => {
            Finding::warning(id, what).costs("with this limit a server may not start again")
        }
    };
    memory_cure(finding, case)
}
