//! What makes each check fail, and what it has to say then.

use std::io;

use pushring::config::{Config, NamespaceConfig};
use pushring::doctor::{Level, Trials};
use pushring::reactor::{SendFault, SetupError};

use super::tree::{STATUS, Tree};

/// One thing that is wrong with the machine on which nothing else is.
pub struct Wrong {
    /// The check that finds it.
    pub id: &'static str,
    pub level: Level,
    pub make: fn(&Tree, &mut Config, &mut Trials),
    /// What is told: in the finding, what it costs, or the lines that mend it.
    pub says: &'static [&'static str],
    /// Other checks that have something to say then.
    pub others: &'static [&'static str],
}

const fn wrong(
    id: &'static str,
    level: Level,
    make: fn(&Tree, &mut Config, &mut Trials),
    says: &'static [&'static str],
) -> Wrong {
    Wrong {
        id,
        level,
        make,
        says,
        others: &[],
    }
}

const fn besides(mut wrong: Wrong, others: &'static [&'static str]) -> Wrong {
    wrong.others = others;
    wrong
}

const SYSCTL: &str = "proc/sys";
const UNIT: &str = "sys/fs/cgroup/system.slice/pushring.service";

fn sysctl(tree: &Tree, name: &str, value: &str) {
    tree.write(
        &format!("{SYSCTL}/{}", name.replace('.', "/")),
        &format!("{value}\n"),
    );
}

/// Not a service, but a shell.
fn shell(tree: &Tree) {
    tree.write(
        "proc/self/cgroup",
        "0::/user.slice/user-0.slice/session-3.scope\n",
    );
}

use Level::{Failure, Hint, Warning};

pub const WRONG: &[Wrong] = &[
    besides(
        wrong(
            "kernel",
            Failure,
            |tree, _, trials| {
                sysctl(tree, "kernel.osrelease", "5.15.0-91-generic");
                trials.rings.set_up = Err(SetupError::TooOld);
                trials.rings.features[0].present = false;
            },
            &[
                "Linux 5.15.0-91-generic is too old",
                "does not start",
                "6.0",
            ],
        ),
        &["io-uring", "io-uring-features"],
    ),
    wrong(
        "kernel",
        Hint,
        |tree, _, _| sysctl(tree, "kernel.osrelease", "5.14.0-570.el9"),
        &["before 6.0 and has what is needed"],
    ),
    wrong(
        "kernel",
        Hint,
        |tree, _, _| sysctl(tree, "kernel.osrelease", "made up"),
        &["no version"],
    ),
    besides(
        wrong(
            "io-uring",
            Failure,
            |tree, _, trials| {
                tree.replace("proc/self/status", "Seccomp:\t2", "Seccomp:\t0");
                trials.rings.set_up = Err(SetupError::NoUring);
                trials.rings.features.clear();
                trials.rings.sends = None;
            },
            &["ENOSYS", "CONFIG_IO_URING"],
        ),
        &["io-uring-features", "io-uring-sends"],
    ),
    wrong(
        "io-uring",
        Failure,
        |tree, _, trials| {
            tree.replace("proc/self/status", "Seccomp:\t2", "Seccomp:\t0");
            trials.rings.set_up = Err(SetupError::Forbidden);
        },
        &["EPERM", "journalctl -k"],
    ),
    wrong(
        "io-uring",
        Failure,
        |_, _, trials| trials.rings.set_up = Err(SetupError::NoFiles),
        &["no file descriptors", "see open-files"],
    ),
    wrong(
        "io-uring",
        Failure,
        |_, _, trials| trials.rings.set_up = Err(SetupError::Ring(io::Error::other("made up"))),
        &["could not be set up: made up"],
    ),
    wrong(
        "io-uring-features",
        Failure,
        |_, _, trials| trials.rings.features[1].present = false,
        &["not there: CQE_SKIP (Linux 6.0)"],
    ),
    wrong(
        "io-uring-sends",
        Failure,
        |_, _, trials| trials.rings.sends = Some(Err(SendFault::NotSilent(8))),
        &["made a completion (8)", "lost or sent twice"],
    ),
    besides(
        wrong(
            "io-uring-disabled",
            Failure,
            |tree, _, trials| {
                sysctl(tree, "kernel.io_uring_disabled", "2");
                trials.rings.set_up = Err(SetupError::Forbidden);
            },
            &["= 2", "sysctl -w kernel.io_uring_disabled=0"],
        ),
        &["io-uring", "seccomp"],
    ),
    wrong(
        "io-uring-disabled",
        Warning,
        |tree, _, _| {
            sysctl(tree, "kernel.io_uring_disabled", "1");
            tree.replace(
                "proc/self/status",
                "CapEff:\t0000000000000000",
                "CapEff:\t000001ffffffffff",
            );
        },
        &[
            "= 1",
            "service with a user of its own",
            "kernel.io_uring_group=GID",
        ],
    ),
    besides(
        wrong(
            "seccomp",
            Failure,
            |_, _, trials| trials.rings.set_up = Err(SetupError::Forbidden),
            &[
                "(12) refuses io_uring",
                "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register",
                "systemctl edit pushring.service",
            ],
        ),
        &["io-uring"],
    ),
    besides(
        wrong(
            "seccomp",
            Failure,
            |tree, _, trials| {
                shell(tree);
                trials.rings.set_up = Err(SetupError::NoUring);
            },
            &[
                "refuses io_uring",
                "--security-opt seccomp=",
                "io_uring_setup, io_uring_enter and io_uring_register",
            ],
        ),
        &["io-uring"],
    ),
    besides(
        wrong(
            "locked-memory",
            Failure,
            |tree, _, trials| {
                tree.replace(
                    "proc/self/limits",
                    "8388608              8388608 ",
                    "65536                65536   ",
                );
                let limit = "64 KiB".to_owned();
                trials.rings.set_up = Err(SetupError::NoMemory { limit });
            },
            &[
                "960 KiB of rings, 64 KiB allowed",
                "LimitMEMLOCK=2097152",
                "systemctl edit pushring.service",
            ],
        ),
        &["io-uring"],
    ),
    besides(
        wrong(
            "locked-memory",
            Failure,
            |_, _, trials| {
                let limit = "8192 KiB".to_owned();
                trials.rings.set_up = Err(SetupError::NoMemory { limit });
            },
            &[
                "960 KiB of rings, 8 MiB allowed to all processes of this user together",
                "LimitMEMLOCK=",
            ],
        ),
        &["io-uring"],
    ),
    wrong(
        "locked-memory",
        Hint,
        |tree, _, _| {
            tree.replace(
                "proc/self/limits",
                "8388608              8388608 ",
                "65536                65536   ",
            )
        },
        &["this kernel does not count it"],
    ),
    wrong(
        "locked-memory",
        Warning,
        |tree, _, _| {
            // Somebody else is looked at, for whom nothing was tried out.
            tree.examine_as(4_711);
            tree.replace(
                "proc/4711/limits",
                "8388608              8388608 ",
                "65536                65536   ",
            );
        },
        &["960 KiB of rings, 64 KiB allowed", "may not start again"],
    ),
    wrong(
        "locked-memory",
        Warning,
        |tree, _, _| {
            shell(tree);
            tree.replace(
                "proc/self/limits",
                "8388608              8388608 ",
                "65536                65536   ",
            );
            tree.replace(
                "proc/self/status",
                "CapEff:\t0000000000000000",
                "CapEff:\t000001ffffffffff",
            );
        },
        &["CAP_IPC_LOCK", "ulimit -l 2048", "LimitMEMLOCK=2097152"],
    ),
    wrong(
        "configuration",
        Warning,
        |_, config, _| config.insecure = true,
        &["insecure is set, but nothing needs it"],
    ),
    wrong(
        "configuration",
        Warning,
        |_, config, _| {
            config.auth.hmac_secret = None;
            config.insecure = true;
        },
        &["listen = \"192.0.2.1:8000\" can be reached from other machines"],
    ),
    wrong(
        "configuration",
        Failure,
        |_, config, _| config.auth.hmac_secret = None,
        &["can be reached from other machines"],
    ),
    wrong(
        "listen",
        Failure,
        |tree, config, trials| {
            tree.write(
                "proc/self/net/tcp",
                "  sl  local_address rem_address\n   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n",
            );
            tree.open(832, "nginx", "socket:[4711]");
            tree.open(833, "nginx", "socket:[4711]");
            trials.listen = Err(SetupError::InUse {
                address: config.listen,
                flag: "listen",
            });
        },
        &[
            "192.0.2.1:8000 is in use by nginx (process 832)",
            "kill 832",
            "--listen",
        ],
    ),
    wrong(
        "listen",
        Failure,
        |_, config, trials| {
            trials.listen = Err(SetupError::InUse {
                address: config.listen,
                flag: "listen",
            })
        },
        &["by whom this user may not see", "ss -ltnp sport = :8000"],
    ),
    wrong(
        "listen",
        Failure,
        |_, config, trials| {
            config.listen.set_port(443);
            trials.listen = Err(SetupError::Privileged {
                address: config.listen,
                flag: "listen",
            });
        },
        &[
            "192.0.2.1:443: ports below 1024",
            "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        ],
    ),
    wrong(
        "listen",
        Hint,
        |tree, config, trials| {
            tree.write(
                "proc/self/net/tcp6",
                "  sl  local_address remote_address\n   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1\n",
            );
            tree.open(1, "systemd", "socket:[12]");
            trials.listen = Err(SetupError::InUse {
                address: config.listen,
                flag: "listen",
            });
        },
        &["systemd (process 1)", ".socket"],
    ),
    wrong(
        "internal",
        Failure,
        |_, config, trials| {
            trials.internal = Err(SetupError::NotOurs {
                address: config.internal,
                flag: "internal",
            })
        },
        &["127.0.0.1:8001 is no address of this machine", "--internal"],
    ),
    wrong(
        "internal",
        Hint,
        |tree, config, trials| {
            tree.write(
                "proc/self/net/tcp",
                "  sl  local_address rem_address\n   0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1\n",
            );
            tree.open(77, "pushring", "socket:[9]");
            trials.internal = Err(SetupError::InUse {
                address: config.internal,
                flag: "internal",
            });
        },
        &["127.0.0.1:8001: a server runs there already (process 77)"],
    ),
    wrong(
        "dual-stack",
        Warning,
        |tree, config, _| {
            config.listen = "[::]:8000".parse().unwrap();
            sysctl(tree, "net.ipv6.bindv6only", "1");
        },
        &[
            "[::]:8000 is for IPv6 alone",
            "sysctl -w net.ipv6.bindv6only=0",
        ],
    ),
    wrong(
        "reserved-ports",
        Warning,
        |_, config, _| {
            config.listen.set_port(40_000);
            config.internal.set_port(32_768);
        },
        &[
            "port 40000,32768",
            "32768 to 60999",
            "ip_local_reserved_ports=40000,32768",
        ],
    ),
    wrong(
        "reserved-ports",
        Warning,
        |tree, config, _| {
            config.listen.set_port(40_000);
            sysctl(tree, "net.ipv4.ip_local_reserved_ports", "8000-8001,50000");
        },
        &["ip_local_reserved_ports=8000-8001,50000,40000"],
    ),
    wrong(
        "open-files",
        Warning,
        |tree, _, _| tree.replace("proc/self/limits", "500000", "20000 "),
        &[
            "20,000 allowed: 19,936 connections fit, not 400,000",
            "LimitNOFILE=400064   in [Service], by `systemctl edit pushring.service`",
            "limits.connections_max = 4_984",
        ],
    ),
    wrong(
        "open-files",
        Warning,
        |tree, _, _| {
            shell(tree);
            tree.replace("proc/self/limits", "500000", "20000 ");
            sysctl(tree, "fs.nr_open", "65536");
        },
        &[
            "fs.nr_open = 65,536 is in the way",
            "sysctl -w fs.nr_open=400064",
            "ulimit -n 400064",
        ],
    ),
    wrong(
        "open-files-machine",
        Warning,
        |tree, _, _| {
            sysctl(tree, "fs.file-max", "300000");
            sysctl(tree, "fs.file-nr", "1500\t0\t300000");
        },
        &[
            "300,000, 1,500 of them open",
            "sysctl -w fs.file-max=524288",
        ],
    ),
    wrong(
        "threads",
        Failure,
        |tree, _, _| {
            tree.write(&format!("{UNIT}/pids.max"), "8\n");
            tree.write(&format!("{UNIT}/pids.current"), "3\n");
        },
        &[
            "6 needed, room for 5 (/sys/fs/cgroup/system.slice/pushring.service/pids.max)",
            "TasksMax=infinity",
        ],
    ),
    wrong(
        "threads",
        Failure,
        |tree, _, _| {
            shell(tree);
            tree.replace(
                "proc/self/limits",
                "255894               255894 ",
                "5                    5      ",
            );
        },
        &["6 needed, 5 allowed", "ulimit -u 6", "LimitNPROC=6"],
    ),
    wrong(
        "memory",
        Warning,
        |tree, _, _| {
            tree.replace(
                "proc/meminfo",
                "MemTotal:       67108864",
                "MemTotal:       1048576",
            )
        },
        &[
            "400,000 connections take 1.6 GiB when idle; there are 1 GiB",
            "at some 218,196 connections",
            "limits.connections_max = 54_549",
        ],
    ),
    wrong(
        "memory",
        Warning,
        |tree, config, _| {
            tree.write("sys/fs/cgroup/system.slice/memory.max", "3221225472\n");
            config.namespaces.push(NamespaceConfig {
                history_size: 10,
                ..NamespaceConfig::default()
            });
        },
        &[
            "histories and queues up to 2 GiB more; there are 3 GiB (/sys/fs/cgroup/system.slice/memory.max)",
            "MemoryMax=",
            "queues.shard_bytes_max = ",
            "limits.history_bytes_max = ",
        ],
    ),
    wrong(
        "memory",
        Warning,
        |tree, _, _| tree.write(&format!("{UNIT}/memory.high"), "1073741824\n"),
        &["1 GiB (/sys/fs/cgroup/system.slice/pushring.service/memory.high)"],
    ),
    wrong(
        "memory",
        Warning,
        |tree, _, _| {
            tree.write("proc/self/cgroup", "4:memory:/docker/1\n0::/\n");
            // As a container sees it: its own group is the root.
            tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
        },
        &["1 GiB (/sys/fs/cgroup/memory/memory.limit_in_bytes)"],
    ),
    wrong(
        "overcommit",
        Warning,
        |tree, _, _| {
            sysctl(tree, "vm.overcommit_memory", "2");
            tree.replace(
                "proc/meminfo",
                "CommitLimit:    67108864",
                "CommitLimit:     5000000",
            );
        },
        &[
            "786.8 MiB may still be promised, 1.1 GiB needed",
            "sysctl -w vm.overcommit_memory=0",
        ],
    ),
    wrong(
        "huge-pages",
        Warning,
        |tree, _, _| tree.replace("proc/self/status", "THP_enabled:\t0", "THP_enabled:\t1"),
        &["transparent_hugepage = madvise", "686 bytes"],
    ),
    wrong(
        "huge-pages",
        Hint,
        |tree, _, _| tree.replace("proc/self/status", "THP_enabled:\t0\n", ""),
        &["not to be found out"],
    ),
    wrong(
        "tcp-memory",
        Warning,
        |tree, _, _| sysctl(tree, "net.ipv4.tcp_mem", "190000\t253334\t380000"),
        &[
            "400,000 pages, a page a connection; pressure begins at 253,334, 380,000 are the most",
            "get no memory",
            "sysctl -w net.ipv4.tcp_mem=\"300000 400000 600000\"",
            "limits.connections_max = 63_333",
        ],
    ),
    wrong(
        "stalled-clients",
        Hint,
        |tree, _, _| sysctl(tree, "net.ipv4.tcp_notsent_lowat", "4294967295"),
        &[
            "up to 4 MiB for a client that has stopped reading",
            "1,000 of 400,000 connections are enough",
            "sysctl -w net.ipv4.tcp_notsent_lowat=131072",
        ],
    ),
    wrong(
        "shards",
        Warning,
        |tree, config, _| {
            config.shards = 3;
            config.limits.connections_max = 1_000;
            tree.replace(
                "proc/self/status",
                "Cpus_allowed_list:\t0-3",
                "Cpus_allowed_list:\t1,3",
            );
        },
        &[
            "3 shards for 2 cores",
            "none is pinned",
            "shards = 0",
            "CPUAffinity=0-2",
        ],
    ),
    wrong(
        "siblings",
        Warning,
        |tree, config, _| {
            config.shards = 2;
            for (core, siblings) in [(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")] {
                let path =
                    format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
                tree.write(&path, siblings);
            }
        },
        &[
            "2 shards on 1 physical core where 2 could be used",
            "CPUAffinity=0 2",
            "taskset -c 0,2",
        ],
    ),
    wrong(
        "cpu-quota",
        Warning,
        |tree, _, _| tree.write(&format!("{UNIT}/cpu.max"), "250000 100000\n"),
        &[
            "CPU time of 2.50 cores for 4 shards (/sys/fs/cgroup/system.slice/pushring.service/cpu.max)",
            "100 ms",
            "CPUQuota=",
            "shards = 2",
        ],
    ),
    wrong(
        "cpu-quota",
        Warning,
        |tree, _, _| {
            tree.write("proc/self/cgroup", "3:cpu,cpuacct:/box\n");
            tree.write("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "5000\n");
            tree.write("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "10000\n");
        },
        &[
            "0.50 cores for 4 shards",
            "10 ms",
            "a quota of 4 cores in /sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us",
        ],
    ),
    wrong(
        "clock",
        Warning,
        |tree, _, trials| {
            trials.clock_ns = 1_100;
            tree.write(
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "hpet\n",
            );
        },
        &["1,100 ns a reading, from hpet", "echo tsc > "],
    ),
    wrong(
        "listen-backlog",
        Warning,
        |tree, _, _| sysctl(tree, "net.core.somaxconn", "128"),
        &[
            "net.core.somaxconn = 128, reactor.listen_backlog = 4,096",
            "sysctl -w net.core.somaxconn=4096",
        ],
    ),
    wrong(
        "syn-backlog",
        Warning,
        |tree, _, _| sysctl(tree, "net.ipv4.tcp_syncookies", "0"),
        &[
            "3,072 connections can begin",
            "tcp_syncookies=1",
            "tcp_max_syn_backlog=5464",
        ],
    ),
    wrong(
        "send-buffer",
        Warning,
        |tree, config, _| {
            config.limits.message_bytes_max = 1 << 20;
            sysctl(tree, "net.ipv4.tcp_wmem", "4096\t16384\t262144");
        },
        &[
            "up to 256 KiB, the longest message is 1 MiB",
            "sysctl -w net.ipv4.tcp_wmem=\"4096 16384 2097152\"",
        ],
    ),
    wrong(
        "connection-tracking",
        Warning,
        |tree, _, _| {
            sysctl(tree, "net.netfilter.nf_conntrack_max", "262144");
            sysctl(tree, "net.netfilter.nf_conntrack_count", "812");
        },
        &[
            "262,144, 812 tracked now",
            "nf_conntrack_max=524288",
            "tcp dport 8000 notrack",
        ],
    ),
    wrong(
        "connection-tracking",
        Hint,
        |tree, _, _| {
            sysctl(tree, "net.netfilter.nf_conntrack_max", "262144");
            sysctl(tree, "net.netfilter.nf_conntrack_count", "0");
        },
        &["should a firewall rule begin to ask for it"],
    ),
    wrong(
        "port-range",
        Hint,
        |_, config, _| config.listen = "127.0.0.1:8000".parse().unwrap(),
        &[
            "28,232 ports",
            "400,000 connections",
            "proxy",
            "ip_local_port_range=\"16384 65535\"",
        ],
    ),
    wrong(
        "congestion-control",
        Hint,
        |tree, _, _| sysctl(tree, "net.ipv4.tcp_congestion_control", "bbr"),
        &[
            "bbr with net.core.default_qdisc = fq_codel",
            "default_qdisc=fq",
        ],
    ),
    wrong(
        "slow-start",
        Hint,
        |tree, _, _| sysctl(tree, "net.ipv4.tcp_slow_start_after_idle", "1"),
        &["over 14 KB", "tcp_slow_start_after_idle=0"],
    ),
    wrong(
        "turned-away",
        Hint,
        |tree, _, _| {
            tree.write(
                "proc/self/net/netstat",
                "TcpExt: SyncookiesSent ListenOverflows TCPMemoryPressures\nTcpExt: 7 1234 1\nIpExt: InNoRoutes\nIpExt: 0\n",
            );
            tree.write(
                "proc/self/net/softnet_stat",
                "0000ffff 00000010 00000001\n0000ffff 00000001 00000001\n",
            );
        },
        &[
            "1,234 connections found a full listen queue, 17 packets came faster than a core took them, TCP ran short of memory 1 time",
            "netdev_max_backlog=2000",
        ],
    ),
];

/// Files without which a check cannot be made, each with the checks.
pub const MISSING: &[(&str, &[&str])] = &[
    ("proc/sys/kernel/osrelease", &["kernel"]),
    ("proc/self/status", &["seccomp", "shards"]),
    ("proc/self/limits", &["locked-memory", "open-files"]),
    ("proc/sys/fs/file-max", &["open-files-machine"]),
    ("proc/meminfo", &["memory", "overcommit"]),
    ("proc/sys/vm/overcommit_memory", &["overcommit"]),
    (
        "proc/sys/net/ipv4/tcp_mem",
        &["tcp-memory", "stalled-clients"],
    ),
    ("proc/sys/net/core/somaxconn", &["listen-backlog"]),
    ("proc/sys/net/ipv4/tcp_syncookies", &["syn-backlog"]),
    ("proc/sys/net/ipv4/tcp_wmem", &["send-buffer"]),
    (
        "proc/sys/net/ipv4/ip_local_port_range",
        &["reserved-ports", "port-range"],
    ),
    (
        "proc/sys/net/ipv4/tcp_congestion_control",
        &["congestion-control"],
    ),
    (
        "proc/sys/net/ipv4/tcp_slow_start_after_idle",
        &["slow-start"],
    ),
];

/// What is fine all the same.
pub type Change = fn(&Tree, &mut Config, &mut Trials);

pub const FINE_ALL_THE_SAME: &[(&str, Change)] = &[
    ("io-uring-disabled", |tree, _, _| {
        sysctl(tree, "kernel.io_uring_disabled", "1");
        sysctl(tree, "kernel.io_uring_group", "1200");
    }),
    ("io-uring-disabled", |tree, _, _| {
        tree.remove("proc/sys/kernel/io_uring_disabled")
    }),
    ("seccomp", |tree, _, trials| {
        // The filter is not this process's.
        tree.examine_as(4_711);
        trials.rings.features.clear();
    }),
    ("stalled-clients", |tree, config, _| {
        sysctl(tree, "net.ipv4.tcp_notsent_lowat", "4294967295");
        config.limits.connections_max = 25_000;
    }),
    ("open-files", |tree, _, _| {
        tree.replace("proc/self/limits", "500000", "unlimited")
    }),
    ("threads", |tree, _, _| {
        tree.replace(
            "proc/self/limits",
            "255894               255894 ",
            "5                    5      ",
        );
        tree.write("proc/self/status", &STATUS.replace("998", "0"));
    }),
    ("reserved-ports", |tree, config, _| {
        config.listen.set_port(40_000);
        sysctl(tree, "net.ipv4.ip_local_reserved_ports", "8080,39999-40001");
    }),
    ("dual-stack", |_, config, _| {
        config.listen = "[::]:8000".parse().unwrap()
    }),
    ("cpu-quota", |tree, _, _| {
        tree.write(&format!("{UNIT}/cpu.max"), "400000 100000\n")
    }),
    ("connection-tracking", |tree, _, _| {
        sysctl(tree, "net.netfilter.nf_conntrack_max", "524288")
    }),
    ("congestion-control", |tree, _, _| {
        sysctl(tree, "net.ipv4.tcp_congestion_control", "bbr");
        sysctl(tree, "net.core.default_qdisc", "fq");
    }),
    ("slow-start", |tree, config, _| {
        sysctl(tree, "net.ipv4.tcp_slow_start_after_idle", "1");
        config.limits.message_bytes_max = 14_600;
    }),
    ("huge-pages", |tree, _, _| {
        tree.replace("proc/self/status", "THP_enabled:\t0", "THP_enabled:\t1");
        tree.write(
            "sys/kernel/mm/transparent_hugepage/enabled",
            "always madvise [never]\n",
        );
    }),
    ("siblings", |tree, config, _| {
        config.shards = 4;
        for core in 0..4 {
            let path = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
            tree.write(&path, if core < 2 { "0-1" } else { "2-3" });
        }
    }),
    ("listen", |_, config, _| config.listen.set_port(0)),
    ("overcommit", |tree, _, _| {
        sysctl(tree, "vm.overcommit_memory", "2")
    }),
];
