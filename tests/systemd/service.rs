//! The service from its start to its end.

use serde_json::Value;

use crate::machine::Machine;
use crate::support::Message;
use crate::support::http::Http;
use crate::support::wire::Socket;

const UNIT: &str = "pushring.service";

fn http(machine: &Machine) -> Http {
    Http::connect(machine.addresses.internal)
}

fn open(machine: &Machine, path: &str) -> Socket {
    Socket::open(machine.addresses.public, path)
}

#[test]
fn it_starts_hardened_reloads_and_stops() {
    let machine = Machine::boot();
    // Returns when the service says that it is ready.
    machine.run(&["systemctl", "start", UNIT]);
    let mut subscriber = open(&machine, "/sub/news");
    http(&machine).publish("news", "hello");
    assert_eq!(subscriber.message(), Message::text("hello"));
    let first = machine.main_pid();
    it_runs_as_the_unit_says(&machine, &first);
    the_journal_has_its_fields(&machine);

    machine.configure("limits.subscriptions_max = 2\n");
    // Returns when other settings hold.
    machine.run(&["systemctl", "reload", UNIT]);
    assert_eq!(
        open(&machine, "/sub?channel=a&channel=b&channel=c").close_code(),
        1008
    );
    machine.configure("limits.subscriptions_max = 5\nech = true\n");
    machine.run(&["systemctl", "reload", UNIT]);
    let status = machine.property(UNIT, "StatusText");
    assert!(
        status.contains("has changed nothing") && status.contains("ech"),
        "{status}"
    );
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    assert_eq!(
        open(&machine, "/sub?channel=a&channel=b&channel=c").close_code(),
        1008
    );
    machine.configure("");
    machine.run(&["systemctl", "reload", UNIT]);
    machine.wait_for("its figures", |machine| {
        machine
            .property(UNIT, "StatusText")
            .starts_with("1 connections, ")
    });
    http(&machine).publish("news", "still here");
    assert_eq!(
        subscriber.message(),
        Message::text("still here"),
        "all the while"
    );

    machine.run(&["systemctl", "stop", UNIT]);
    assert_eq!(subscriber.close_code(), 1001);
    for (property, value) in [
        ("Result", "success"),
        ("ExecMainStatus", "0"),
        ("NRestarts", "0"),
    ] {
        assert_eq!(machine.property(UNIT, property), value, "{property}");
    }
}

/// The hardening is there, and each shard on a core of its own if there are enough.
fn it_runs_as_the_unit_says(machine: &Machine, pid: &str) {
    let uid = machine.proc_status(pid, "Uid");
    let uid: u32 = uid.split_whitespace().next().unwrap().parse().unwrap();
    assert!(
        (61_184..=65_519).contains(&uid),
        "{uid} is not a dynamic user"
    );
    assert_eq!(machine.proc_status(pid, "Seccomp"), "2", "a filter");
    assert_eq!(machine.proc_status(pid, "NoNewPrivs"), "1");
    assert_eq!(machine.proc_status(pid, "CapBnd"), "0000000000000000");
    let limits = machine.run(&["cat", &format!("/proc/{pid}/limits")]);
    let nofile = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let nofile: Vec<&str> = nofile.unwrap().split_whitespace().collect();
    assert_eq!(nofile[3], nofile[4], "raised to the hard limit: {nofile:?}");
}

/// Each line is an entry with its own level and place, and stands there once.
fn the_journal_has_its_fields(machine: &Machine) {
    let lines = machine.run(&["journalctl", "--no-pager", "--output=json", "--unit", UNIT]);
    let entries: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let connect = |entry: &&Value| {
        let message = entry["MESSAGE"].as_str().unwrap_or_default();
        message.contains("clients connect to ws://")
    };
    let found: Vec<&Value> = entries.iter().filter(connect).collect();
    let [entry] = found[..] else {
        panic!("one entry is expected: {entries:#?}");
    };
    assert_eq!(entry["_TRANSPORT"], "journal", "not by standard error");
    // Informational is 5 there, for debug and trace share the two below.
    assert_eq!(entry["PRIORITY"], "5");
    assert_eq!(entry["TARGET"], "pushring::server");
    assert_eq!(entry["CODE_FILE"], "src/server/mod.rs");
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "pushring");
}

#[test]
fn a_live_upgrade_keeps_the_process_and_every_connection_and_a_program_that_refuses_changes_nothing()
 {
    let machine = Machine::boot();
    machine.run(&["systemctl", "start", UNIT]);
    let pid = machine.main_pid();
    let mut subscriber = open(&machine, "/sub/news");
    let upgrades = |machine: &Machine, line: &str| {
        let journal = machine.run(&["journalctl", "--no-pager", "--output=cat", "--unit", UNIT]);
        journal.lines().filter(|one| one.contains(line)).count()
    };
    let upgrade = || {
        machine.run(&[
            "systemctl",
            "kill",
            "--kill-whom=main",
            "--signal=SIGUSR2",
            UNIT,
        ])
    };
    for round in 1..=2 {
        machine.replace_program(env!("CARGO_BIN_EXE_pushring"));
        upgrade();
        machine.wait_for("the other program", |machine| {
            upgrades(machine, "taken over from pushring") == round
                && machine.property(UNIT, "ActiveState") == "active"
        });
        http(&machine).publish("news", "hello");
        assert_eq!(subscriber.message(), Message::text("hello"));
    }
    machine.replace_program("/bin/true");
    upgrade();
    machine.wait_for("a refusal", |machine| {
        upgrades(machine, "not upgraded, and nothing has changed") == 1
    });
    machine.wait_for("its status", |machine| {
        machine
            .property(UNIT, "StatusText")
            .contains("not upgraded")
            && machine.property(UNIT, "ActiveState") == "active"
    });
    http(&machine).publish("news", "still here");
    assert_eq!(subscriber.message(), Message::text("still here"));
    assert_eq!(machine.main_pid(), pid);
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
    // It hears of its watchdog still, and of its end.
    machine.run(&["systemctl", "stop", UNIT]);
    assert_eq!(subscriber.close_code(), 1001);
    assert_eq!(machine.property(UNIT, "Result"), "success");
}

#[test]
fn the_watchdog_ends_a_server_that_is_stuck_and_starts_another() {
    let machine = Machine::boot();
    machine.amend(UNIT, "[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n");
    machine.run(&["systemctl", "start", UNIT]);
    let stuck = machine.main_pid();
    let mut subscriber = open(&machine, "/sub/news");
    machine.run(&["sh", "-c", &format!("kill -STOP {stuck}")]);
    machine.wait_for("another process", |machine| {
        machine.property(UNIT, "NRestarts") == "1"
            && machine.property(UNIT, "ActiveState") == "active"
            && machine.main_pid() != stuck
    });
    assert!(subscriber.is_ended(), "the old one's connections are gone");
    let mut subscriber = open(&machine, "/sub/news");
    http(&machine).publish("news", "hello");
    assert_eq!(subscriber.message(), Message::text("hello"));
    let journal = machine.run(&["journalctl", "--no-pager", "--output=cat", "--unit", UNIT]);
    assert!(journal.contains("Watchdog timeout"), "{journal}");
}

#[test]
fn a_configuration_that_cannot_be_used_is_named_before_anything_is_started() {
    let machine = Machine::boot();
    machine.configure("ech = true\n");
    let started = machine.try_run(&["systemctl", "start", UNIT]);
    assert!(!started.status.success());
    let journal = machine.run(&["journalctl", "--no-pager", "--output=cat", "--unit", UNIT]);
    assert!(journal.contains(":3: there is no setting ech"), "{journal}");
    // A running server goes on if its restart is asked for with such a file: nothing of the old is ended.
    machine.run(&["systemctl", "stop", UNIT]);
}
