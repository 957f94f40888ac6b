//! Who listens, and what the network has turned away.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tree::Tree;

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    /// A process that holds it, and its name; `None` where this process may not see that.
    pub holder: Option<(u32, String)>,
}

/// What the kernel has turned away since it was started, or since the network namespace was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turned {
    /// Connections for which a listening socket's queue had no room (`ListenOverflows`).
    pub connections: u64,
    /// Packets that came faster than a core took them (`softnet_stat`).
    pub packets: u64,
    /// How often the memory of TCP came under pressure (`TCPMemoryPressures`).
    pub memory_pressures: u64,
}

/// `TCP_LISTEN` in /proc/net/tcp, proc_pid_net(5).
const LISTEN: &str = "0A";

/// All that listens on the port of one of the addresses and where that would be in its way.
pub(super) fn listening(tree: &Tree, process: &str, addresses: &[SocketAddr]) -> Vec<Listening> {
    let mut found = Vec::new();
    for name in ["tcp", "tcp6"] {
        let text = tree
            .text(&format!("proc/{process}/net/{name}"))
            .unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(&LISTEN), Some(inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            let Some(address) = address(local) else {
                continue;
            };
            if addresses.iter().any(|one| collide(*one, address)) {
                found.push((address, format!("socket:[{inode}]")));
            }
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let holders = holders(tree, &found);
    let found = found.into_iter().zip(holders);
    found
        .map(|((address, _), holder)| Listening { address, holder })
        .collect()
}

/// Whether two sockets cannot listen on these two addresses.
pub(in crate::doctor) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (one, other) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && (one == other || one.is_unspecified() || other.is_unspecified())
}

/// Of each socket a process that has it open.
fn holders(tree: &Tree, sockets: &[(SocketAddr, String)]) -> Vec<Option<(u32, String)>> {
    let mut holders = vec![None; sockets.len()];
    let processes = fs::read_dir(tree.path("proc"))
        .into_iter()
        .flatten()
        .flatten();
    for process in processes {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let files = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        for target in files.filter_map(|file| fs::read_link(file.path()).ok()) {
            for (index, (_, socket)) in sockets.iter().enumerate() {
                // A socket that several processes have is shown with the oldest, which is who handed it on.
                let is_older = holders[index]
                    .as_ref()
                    .is_none_or(|(other, _)| pid < *other);
                if target.to_str() == Some(socket) && is_older {
                    let name = tree.line(&format!("proc/{pid}/comm")).unwrap_or_default();
                    holders[index] = Some((pid, name));
                }
            }
        }
    }
    holders
}

/// `0100007F:1F90`: 32 bits at a time in the machine's own order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = [0; 16];
    let words = bytes.chunks_exact_mut(4);
    for (word, text) in words.zip(ip.as_bytes().chunks(8)) {
        let text = std::str::from_utf8(text).ok()?;
        word.copy_from_slice(&u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    }
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        32 => IpAddr::from(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

impl Turned {
    pub(super) fn read(tree: &Tree, process: &str) -> Self {
        let netstat = tree
            .text(&format!("proc/{process}/net/netstat"))
            .unwrap_or_default();
        // A line of names and one of numbers, each with the same label.
        let mut lines = netstat
            .lines()
            .filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, numbers) = (
            lines.next().unwrap_or_default(),
            lines.next().unwrap_or_default(),
        );
        let counter = |name: &str| {
            let mut rows = names.split(' ').zip(numbers.split(' '));
            let (_, number) = rows.find(|(one, _)| *one == name)?;
            number.parse().ok()
        };
        let softnet = tree
            .text(&format!("proc/{process}/net/softnet_stat"))
            .unwrap_or_default();
        let dropped = softnet.lines().filter_map(|line| {
            let field = line.split_whitespace().nth(1)?;
            u64::from_str_radix(field, 16).ok()
        });
        Self {
            connections: counter("ListenOverflows").unwrap_or_default(),
            packets: dropped.sum(),
            memory_pressures: counter("TCPMemoryPressures").unwrap_or_default(),
        }
    }
}
