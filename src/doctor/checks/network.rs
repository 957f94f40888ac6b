//! The kernel's settings for the network, each against what the configuration asks for.

use super::super::quantity::{bytes, count, several};
use super::{Case, Finding, connections, sysctl, sysctl_list};

/// Bytes that a connection sends after a silence before it waits for the first answer: 10 segments (RFC 6928, section 2) of 1,460.
const INITIAL_WINDOW_BYTES: u64 = 14_600;

pub(super) fn listen_backlog(id: &'static str, case: &Case<'_>) -> Finding {
    let backlog = u64::from(case.config.reactor.listen_backlog);
    let Some(somaxconn) = case.machine.sysctls.somaxconn else {
        return Finding::unknown(id, "/proc/sys/net/core/somaxconn");
    };
    let what = format!(
        "net.core.somaxconn = {}, reactor.listen_backlog = {}",
        count(somaxconn),
        count(backlog)
    );
    if somaxconn >= backlog {
        return Finding::fine(id, what);
    }
    Finding::warning(id, what)
        .costs(format!(
            "{} wait to be accepted a shard, not {}; further ones try again after a second",
            connections(somaxconn),
            count(backlog)
        ))
        .mend(sysctl("net.core.somaxconn", backlog))
}

/// With SYN cookies a full queue turns nobody away, and the kernel does not look at `tcp_max_syn_backlog`.
pub(super) fn syn_backlog(id: &'static str, case: &Case<'_>) -> Finding {
    let sysctls = &case.machine.sysctls;
    let backlog = u64::from(case.config.reactor.listen_backlog);
    match (sysctls.tcp_syncookies, sysctls.tcp_max_syn_backlog) {
        (Some(1..), _) => Finding::fine(
            id,
            "net.ipv4.tcp_syncookies is set: a full queue turns nobody away",
        ),
        (Some(0), Some(most)) => {
            let what = format!(
                "no SYN cookies, net.ipv4.tcp_max_syn_backlog = {}",
                count(most)
            );
            // A quarter is kept for hosts that are known.
            if most / 4 * 3 >= backlog {
                return Finding::fine(id, what);
            }
            Finding::warning(id, what)
                .costs(format!(
                    "{} can begin at the same time; further ones are dropped and try again after a second",
                    connections(most / 4 * 3)
                ))
                .mend(sysctl("net.ipv4.tcp_syncookies", 1))
                .mend(sysctl("net.ipv4.tcp_max_syn_backlog", backlog.div_ceil(3) * 4))
        }
        _ => Finding::unknown(id, "net.ipv4.tcp_syncookies or tcp_max_syn_backlog"),
    }
}

pub(super) fn send_buffer(id: &'static str, case: &Case<'_>) -> Finding {
    let Some([least, first, most]) = case.machine.sysctls.tcp_wmem else {
        return Finding::unknown(id, "/proc/sys/net/ipv4/tcp_wmem");
    };
    let merged = case.config.fanout.merge_bytes_max;
    let longest = case.config.limits.message_bytes_max.max(merged) as u64;
    // The kernel counts its own part of a packet, too: half of the buffer is for it (tcp(7), tcp_adv_win_scale).
    let needed = longest * 2;
    if most >= needed {
        let what = format!("up to {}: {} fit in one send", bytes(most), bytes(longest));
        return Finding::fine(id, what);
    }
    Finding::warning(
        id,
        format!(
            "up to {}, the longest message is {}",
            bytes(most),
            bytes(longest)
        ),
    )
    .costs("such a message leaves in several sends, with a wait for the client between them")
    .mend(sysctl_list(
        "net.ipv4.tcp_wmem",
        &[least, first.min(needed), needed],
    ))
}

pub(super) fn connection_tracking(id: &'static str, case: &Case<'_>) -> Finding {
    let sysctls = &case.machine.sysctls;
    let Some(most) = sysctls.nf_conntrack_max else {
        return Finding::fine(id, "connections are not tracked");
    };
    let tracked = sysctls.nf_conntrack_count.unwrap_or_default();
    let what = format!(
        "net.netfilter.nf_conntrack_max = {}, {} tracked now",
        count(most),
        count(tracked)
    );
    if most >= case.connections {
        return Finding::fine(id, what);
    }
    if tracked == 0 {
        return Finding::hint(
            id,
            format!("{what}: too few should a firewall rule begin to ask for it"),
        );
    }
    Finding::warning(id, what)
        .costs(format!(
            "the kernel drops packets of connections beyond that, of {} that may be",
            count(case.connections)
        ))
        .mend(sysctl(
            "net.netfilter.nf_conntrack_max",
            case.connections.next_power_of_two(),
        ))
        .mend(format!(
            "nft add rule inet filter prerouting tcp dport {} notrack   in a chain of priority raw",
            case.config.listen.port()
        ))
}

/// Concerns who connects from this machine: a proxy in front, or a load generator.
pub(super) fn port_range(id: &'static str, case: &Case<'_>) -> Finding {
    let Some([first, last]) = case.machine.sysctls.port_range else {
        return Finding::unknown(id, "/proc/sys/net/ipv4/ip_local_port_range");
    };
    let ports = (last + 1).saturating_sub(first);
    let what = format!("{} for outgoing connections", several(ports, "port"));
    if !case.config.listen.ip().is_loopback() || ports >= case.connections {
        return Finding::fine(id, what);
    }
    Finding::hint(
        id,
        format!("{what}, {} may be", connections(case.connections)),
    )
    .costs("a proxy or a load generator on this machine has no more connections to one address")
    .mend(sysctl_list(
        "net.ipv4.ip_local_port_range",
        &[16_384, 65_535],
    ))
    .mend("several addresses to connect from (nginx: proxy_bind, HAProxy: source)")
}

pub(super) fn congestion_control(id: &'static str, case: &Case<'_>) -> Finding {
    let sysctls = &case.machine.sysctls;
    let Some(control) = &sysctls.tcp_congestion_control else {
        return Finding::unknown(id, "/proc/sys/net/ipv4/tcp_congestion_control");
    };
    let queue = sysctls.default_qdisc.as_deref().unwrap_or("unknown");
    if !control.starts_with("bbr") || queue == "fq" {
        return Finding::fine(id, control.clone());
    }
    Finding::hint(
        id,
        format!("{control} with net.core.default_qdisc = {queue}"),
    )
    .costs("packets are paced by a timer for each socket, which fq does for all of an interface")
    .mend("sysctl -w net.core.default_qdisc=fq   for interfaces that come up from then on")
}

pub(super) fn slow_start(id: &'static str, case: &Case<'_>) -> Finding {
    let longest = case.config.limits.message_bytes_max as u64;
    match case.machine.sysctls.tcp_slow_start_after_idle {
        None => Finding::unknown(id, "/proc/sys/net/ipv4/tcp_slow_start_after_idle"),
        Some(0) => Finding::fine(id, "not after a silence"),
        Some(_) if longest <= INITIAL_WINDOW_BYTES => {
            Finding::fine(id, "no message is long enough for it to matter")
        }
        Some(_) => Finding::hint(id, "after a silence a connection begins with 10 packets")
            .costs(format!(
                "a message over {} KB takes more round trips then, {} most of all",
                INITIAL_WINDOW_BYTES / 1_000,
                bytes(longest)
            ))
            .mend(sysctl("net.ipv4.tcp_slow_start_after_idle", 0)),
    }
}

/// What has come to pass, on this machine and whoever's doing it was.
pub(super) fn turned_away(id: &'static str, case: &Case<'_>) -> Finding {
    let turned = case.machine.turned;
    let mut what = Vec::new();
    let mut cures = Vec::new();
    if turned.connections > 0 {
        what.push(format!(
            "{} found a full listen queue",
            several(turned.connections, "connection")
        ));
        cures.push("reactor.listen_backlog, with net.core.somaxconn   if it was this server (ss -ltn shows queues)".to_owned());
    }
    if turned.packets > 0 {
        what.push(format!(
            "{} came faster than a core took them",
            several(turned.packets, "packet")
        ));
        let backlog = case.machine.sysctls.netdev_max_backlog.unwrap_or(1_000);
        cures.push(sysctl("net.core.netdev_max_backlog", backlog * 2));
    }
    if turned.memory_pressures > 0 {
        what.push(format!(
            "TCP ran short of memory {}",
            several(turned.memory_pressures, "time")
        ));
        cures.push("net.ipv4.tcp_mem   see tcp-memory".to_owned());
    }
    if what.is_empty() {
        return Finding::fine(id, "nothing since the kernel was started");
    }
    let mut finding = Finding::hint(
        id,
        format!("since the kernel was started: {}", what.join(", ")),
    )
    .costs("each of them made somebody wait");
    finding.cures = cures;
    finding
}
