//! The configuration itself, and the addresses that it names.

use std::net::SocketAddr;

use super::super::Listening;
use super::super::machine::collide;
use super::{Case, Finding};
use crate::reactor::SetupError;

pub(super) fn configuration(id: &'static str, case: &Case<'_>) -> Finding {
    match case.config.validate() {
        Ok(warnings) if warnings.is_empty() => Finding::fine(id, "nothing to say against it"),
        Ok(warnings) => {
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            Finding::warning(id, warnings.join("; "))
                .costs("every start says so, too")
                .mend("pushring check-config FILE   says where it is written")
        }
        Err(error) => Finding::failure(id, error.to_string()).costs("the server does not start"),
    }
}

pub(super) fn listen(id: &'static str, case: &Case<'_>) -> Finding {
    address(id, case, case.config.listen, &case.trials.listen)
}

pub(super) fn internal(id: &'static str, case: &Case<'_>) -> Finding {
    address(id, case, case.config.internal, &case.trials.internal)
}

fn address(
    id: &'static str,
    case: &Case<'_>,
    address: SocketAddr,
    tried: &Result<(), SetupError>,
) -> Finding {
    let failure = |what: String| Finding::failure(id, what).costs("the server does not start");
    let elsewhere =
        format!("{id} = \"ADDRESS:PORT\"   another one, in the configuration or by --{id}");
    let error = match tried {
        Ok(()) if address.port() == 0 => {
            return Finding::fine(id, format!("{address}: any port that is free"));
        }
        Ok(()) => return Finding::fine(id, format!("{address} is free")),
        Err(error) => error,
    };
    match error {
        SetupError::InUse { .. } => in_use(id, case, address, elsewhere),
        SetupError::Privileged { .. } => {
            let first = case
                .machine
                .sysctls
                .unprivileged_port_start
                .unwrap_or(1_024);
            failure(format!("{address}: ports below {first} need a privilege"))
                .mend("AmbientCapabilities=CAP_NET_BIND_SERVICE   in [Service] of its unit")
                .mend(elsewhere)
        }
        SetupError::NotOurs { .. } => {
            failure(format!("{address} is no address of this machine")).mend(elsewhere)
        }
        error => failure(error.to_string()).mend(elsewhere),
    }
}

fn in_use(id: &'static str, case: &Case<'_>, address: SocketAddr, elsewhere: String) -> Finding {
    let mut listening = case.machine.listening.iter();
    let holder = listening.find(|one| collide(one.address, address));
    match holder {
        Some(Listening {
            holder: Some((pid, name)),
            ..
        }) => {
            let what = format!("{address} is in use by {name} (process {pid})");
            match name.as_str() {
                "pushring" => Finding::hint(
                    id,
                    format!("{address}: a server runs there already (process {pid})"),
                ),
                "systemd" => Finding::hint(
                    id,
                    format!("{what}: it hands it on, if a .socket unit says so"),
                ),
                _ => Finding::failure(id, what)
                    .costs("the server does not start")
                    .mend(format!("kill {pid}   or stop it as it was started"))
                    .mend(elsewhere),
            }
        }
        _ => Finding::failure(
            id,
            format!("{address} is in use, by whom this user may not see"),
        )
        .costs("the server does not start")
        .mend(format!(
            "ss -ltnp sport = :{}   as root, shows whose it is",
            address.port()
        ))
        .mend(elsewhere),
    }
}

pub(super) fn dual_stack(id: &'static str, case: &Case<'_>) -> Finding {
    let both = |address: SocketAddr| address.is_ipv6() && address.ip().is_unspecified();
    if !both(case.config.listen) {
        return Finding::fine(id, "no listener for IPv6 and IPv4 at the same time");
    }
    match case.machine.sysctls.bindv6only {
        Some(0) => Finding::fine(id, format!("{} takes IPv4, too", case.config.listen)),
        None => Finding::unknown(id, "/proc/sys/net/ipv6/bindv6only"),
        Some(_) => Finding::warning(
            id,
            format!(
                "net.ipv6.bindv6only is set: {} is for IPv6 alone",
                case.config.listen
            ),
        )
        .costs("clients with IPv4 cannot connect")
        .mend("sysctl -w net.ipv6.bindv6only=0")
        .mend(format!(
            "listen = \"0.0.0.0:{}\"   for IPv4 alone",
            case.config.listen.port()
        )),
    }
}

/// The kernel gives ports of its range to outgoing connections, and one of those keeps a server from starting again.
pub(super) fn reserved_ports(id: &'static str, case: &Case<'_>) -> Finding {
    let sysctls = &case.machine.sysctls;
    let Some([first, last]) = sysctls.port_range else {
        return Finding::unknown(id, "/proc/sys/net/ipv4/ip_local_port_range");
    };
    let is_reserved = |port: u64| {
        let mut ranges = sysctls.reserved_ports.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&port))
    };
    let ports = [case.config.listen.port(), case.config.internal.port()].map(u64::from);
    let taken: Vec<String> = ports
        .into_iter()
        .filter(|port| (first..=last).contains(port) && !is_reserved(*port))
        .map(|port| port.to_string())
        .collect();
    if taken.is_empty() {
        return Finding::fine(
            id,
            format!("outgoing connections take none of ours ({first} to {last})"),
        );
    }
    // What is written takes the place of what is there.
    let there = sysctls
        .reserved_ports
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
    let all: Vec<String> = there.chain(taken.iter().cloned()).collect();
    let taken = taken.join(",");
    Finding::warning(
        id,
        format!("outgoing connections may take port {taken} ({first} to {last})"),
    )
    .costs("a restart that comes while one has it fails: the address is in use")
    .mend(super::sysctl(
        "net.ipv4.ip_local_reserved_ports",
        all.join(","),
    ))
}
