//! A made-up machine: the files of the kernel that are read, in a folder of their own.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use pushring::config::{Config, Secret};
use pushring::doctor::{Finding, Machine, Trials, examine};
use pushring::reactor::{Feature, RingTrial};

/// A machine on which nothing is wrong, for the configuration of [`config`]: four cores, 64 GiB, a service of systemd.
const FINE: &[(&str, &str)] = &[
    ("proc/sys/kernel/osrelease", "6.18.4-made-up\n"),
    ("proc/sys/kernel/io_uring_disabled", "0\n"),
    ("proc/sys/kernel/io_uring_group", "-1\n"),
    ("proc/sys/fs/file-max", "9223372036854775807\n"),
    ("proc/sys/fs/file-nr", "1500\t0\t9223372036854775807\n"),
    ("proc/sys/fs/nr_open", "1073741816\n"),
    ("proc/sys/vm/overcommit_memory", "0\n"),
    ("proc/sys/net/core/somaxconn", "4096\n"),
    ("proc/sys/net/core/netdev_max_backlog", "1000\n"),
    ("proc/sys/net/core/default_qdisc", "fq_codel\n"),
    ("proc/sys/net/ipv4/tcp_syncookies", "1\n"),
    ("proc/sys/net/ipv4/tcp_max_syn_backlog", "4096\n"),
    ("proc/sys/net/ipv4/tcp_mem", "768000\t1024000\t1536000\n"),
    ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("proc/sys/net/ipv4/tcp_notsent_lowat", "131072\n"),
    ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "0\n"),
    ("proc/sys/net/ipv4/tcp_congestion_control", "cubic\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("proc/sys/net/ipv4/ip_local_reserved_ports", "\n"),
    ("proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n"),
    ("proc/sys/net/ipv6/bindv6only", "0\n"),
    (
        "proc/meminfo",
        "MemTotal:       67108864 kB\nMemFree:        50000000 kB\nCommitLimit:    67108864 kB\nCommitted_AS:    4194304 kB\n",
    ),
    ("proc/self/status", STATUS),
    ("proc/self/limits", LIMITS),
    ("proc/self/cgroup", "0::/system.slice/pushring.service\n"),
    ("proc/self/net/tcp", TCP),
    ("proc/self/net/tcp6", TCP),
    (
        "proc/self/net/netstat",
        "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPMemoryPressures\nTcpExt: 7 0 0 0\n",
    ),
    (
        "proc/self/net/softnet_stat",
        "0000ffff 00000000 00000001\n0000ffff 00000000 00000001\n",
    ),
    ("sys/devices/system/cpu/online", "0-3\n"),
    (
        "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
        "0\n",
    ),
    (
        "sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
        "1\n",
    ),
    (
        "sys/devices/system/cpu/cpu2/topology/thread_siblings_list",
        "2\n",
    ),
    (
        "sys/devices/system/cpu/cpu3/topology/thread_siblings_list",
        "3\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "tsc\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/available_clocksource",
        "tsc hpet acpi_pm\n",
    ),
    (
        "sys/kernel/mm/transparent_hugepage/enabled",
        "always [madvise] never\n",
    ),
    ("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"),
    ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
    (
        "sys/fs/cgroup/system.slice/pushring.service/memory.max",
        "max\n",
    ),
    (
        "sys/fs/cgroup/system.slice/pushring.service/memory.high",
        "max\n",
    ),
    (
        "sys/fs/cgroup/system.slice/pushring.service/cpu.max",
        "max 100000\n",
    ),
    (
        "sys/fs/cgroup/system.slice/pushring.service/pids.max",
        "76800\n",
    ),
    (
        "sys/fs/cgroup/system.slice/pushring.service/pids.current",
        "1\n",
    ),
];

/// proc_pid_status(5), of a service with a user of its own and no capability.
pub const STATUS: &str = "Name:\tpushring\nUid:\t998\t998\t998\t998\nGid:\t997\t997\t997\t997\nGroups:\t997 1200\n\
    THP_enabled:\t0\nCapEff:\t0000000000000000\nSeccomp:\t2\nSeccomp_filters:\t12\nCpus_allowed_list:\t0-3\n";

pub const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
    Max processes             255894               255894               processes \n\
    Max open files            1024                 500000               files     \n\
    Max locked memory         8388608              8388608              bytes     \n";

/// Nobody listens.
pub const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

/// A hundred thousand connections a shard, on an address that others reach.
pub fn config() -> Config {
    let mut config = Config {
        listen: "192.0.2.1:8000".parse().unwrap(),
        ..Config::default()
    };
    config.auth.hmac_secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
    config.limits.connections_max = 100_000;
    config
}

/// Everything that is tried out is there.
pub fn trials() -> Trials {
    let feature = |name| Feature {
        name,
        since: "6.0",
        present: true,
    };
    Trials {
        rings: RingTrial {
            set_up: Ok(()),
            features: ["SINGLE_ISSUER", "CQE_SKIP", "SEND"].map(feature).into(),
            sends: Some(Ok(())),
            bytes: 4 * 240 * 1_024,
        },
        listen: Ok(()),
        internal: Ok(()),
        clock_ns: 25,
    }
}

/// The machine in a folder.
pub struct Tree {
    root: PathBuf,
    /// The process that is looked at, if it is another.
    pid: Cell<Option<u32>>,
}

impl Tree {
    /// The one on which nothing is wrong.
    pub fn fine(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-{name}"));
        let _ = fs::remove_dir_all(&root);
        let tree = Self {
            root,
            pid: Cell::new(None),
        };
        for (path, text) in FINE {
            tree.write(path, text);
        }
        tree
    }

    /// Has a file say something else.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Has a file say something else in one place.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.root.join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, &text.replace(from, to));
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.root.join(path)).unwrap();
    }

    /// Lets a process have a file open.
    pub fn open(&self, pid: u32, name: &str, target: &str) {
        self.write(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        let folder = self.root.join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&folder).unwrap();
        symlink(target, folder.join("7")).unwrap();
    }

    /// Has another process looked at, which is as this one is.
    pub fn examine_as(&self, pid: u32) {
        let process = self.root.join("proc");
        fs::rename(process.join("self"), process.join(pid.to_string())).unwrap();
        self.pid.set(Some(pid));
    }

    pub fn machine(&self, config: &Config) -> Machine {
        Machine::read(&self.root, self.pid.get(), config)
    }

    pub fn findings(&self, config: &Config, trials: &Trials) -> Vec<Finding> {
        examine(config, &self.machine(config), trials).findings
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}
