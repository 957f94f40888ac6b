//! `pushring doctor`: every check made to fail on a made-up machine, and the program on this one.

#![forbid(unsafe_code)]

mod support;

mod doctor {
    pub mod failing;
    pub mod tree;
}

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use doctor::failing::{FINE_ALL_THE_SAME, MISSING, WRONG, Wrong};
use doctor::tree::{Tree, config, trials};
use pushring::config::Config;
use pushring::doctor::{Examination, Finding, Level, Machine, Style, Trials, examine, ids};
use serde_json::Value;
use support::server::{Options, Server, free_address};

fn worse_than_fine(findings: &[Finding]) -> BTreeSet<&'static str> {
    let worse = findings
        .iter()
        .filter(|finding| finding.level > Level::Fine);
    worse.map(|finding| finding.id).collect()
}

fn of<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.id == id).unwrap()
}

#[test]
fn on_a_machine_on_which_nothing_is_wrong_every_check_says_so_in_one_short_line() {
    let tree = Tree::fine("fine");
    let examination = examine(&config(), &tree.machine(&config()), &trials());
    let said: Vec<&str> = examination
        .findings
        .iter()
        .map(|finding| finding.id)
        .collect();
    assert_eq!(said, ids().collect::<Vec<_>>());
    assert_eq!(worse_than_fine(&examination.findings), BTreeSet::new());
    assert_eq!(examination.exit_code(), 0);
    for finding in &examination.findings {
        assert!(
            !finding.what.is_empty() && !finding.what.contains('\n'),
            "{finding:?}"
        );
        assert!(
            finding.cost.is_empty() && finding.cures.is_empty(),
            "{finding:?}"
        );
    }
    let text = examination.text(Style::Plain);
    assert!(
        text.ends_with("\nIt will run as configured: nothing to mend.\n"),
        "{text}"
    );
}

/// What is said of each thing that is wrong.
fn examinations() -> impl Iterator<Item = (&'static Wrong, &'static Examination)> {
    static ALL: LazyLock<Vec<Examination>> = LazyLock::new(|| {
        let of = |(index, wrong): (usize, &Wrong)| {
            let tree = Tree::fine(&format!("wrong-{index}"));
            let (mut config, mut trials) = (config(), trials());
            (wrong.make)(&tree, &mut config, &mut trials);
            examine(&config, &tree.machine(&config), &trials)
        };
        WRONG.iter().enumerate().map(of).collect()
    });
    WRONG.iter().zip(&*ALL)
}

#[test]
fn each_thing_that_is_wrong_is_found_by_its_check_and_by_no_other() {
    for (wrong, examination) in examinations() {
        let finding = of(&examination.findings, wrong.id);
        assert_eq!(finding.level, wrong.level, "{finding:#?}");
        let all = format!(
            "{}\n{}\n{}",
            finding.what,
            finding.cost,
            finding.cures.join("\n")
        );
        for part in wrong.says {
            assert!(
                all.contains(part),
                "{:?} does not say {part:?}:\n{all}",
                wrong.id
            );
        }
        let expected: BTreeSet<_> = wrong.others.iter().copied().chain([wrong.id]).collect();
        assert_eq!(worse_than_fine(&examination.findings), expected, "{all}");
    }
}

#[test]
fn every_check_can_fail_and_says_then_what_that_costs_and_what_mends_it() {
    let failing: BTreeSet<_> = WRONG.iter().map(|wrong| wrong.id).collect();
    assert_eq!(failing, ids().collect(), "every check has to be made fail");
    for (wrong, examination) in examinations() {
        let finding = of(&examination.findings, wrong.id);
        for line in finding.cures.iter().chain([&finding.what]) {
            assert!(!line.contains('\n') && !line.is_empty(), "{finding:#?}");
        }
        if wrong.level < Level::Warning {
            continue;
        }
        assert!(!finding.cost.is_empty(), "{finding:#?}");
        // Of what the kernel answers nobody knows why, and a configuration says itself what to write.
        let says_itself = finding.what.contains("made up") || finding.id == "configuration";
        assert!(!finding.cures.is_empty() || says_itself, "{finding:#?}");
    }
}

#[test]
fn the_page_has_a_line_for_every_check() {
    let page = include_str!("../docs/doctor.md");
    for id in ids() {
        assert!(page.contains(&format!("\n| `{id}` |")), "{id}");
    }
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(lines.count(), ids().count(), "a check that is none");
}

#[test]
fn what_looks_wrong_and_is_not_is_left_alone() {
    for (index, (id, change)) in FINE_ALL_THE_SAME.iter().enumerate() {
        let tree = Tree::fine(&format!("same-{index}"));
        let (mut config, mut trials) = (config(), trials());
        change(&tree, &mut config, &mut trials);
        let findings = tree.findings(&config, &trials);
        assert_eq!(
            of(&findings, id).level,
            Level::Fine,
            "{:#?}",
            of(&findings, id)
        );
    }
}

#[test]
fn what_cannot_be_read_is_told_of_and_taken_for_neither_fine_nor_wrong() {
    for (index, (path, ids)) in MISSING.iter().enumerate() {
        let tree = Tree::fine(&format!("missing-{index}"));
        // As many shards as before, where it is not known how many there would be.
        let mut config = config();
        config.shards = 4;
        for text in [None, Some("\u{fffd} nonsense\n")] {
            match text {
                None => tree.remove(path),
                Some(text) => tree.write(path, text),
            }
            let findings = tree.findings(&config, &trials());
            for id in *ids {
                let finding = of(&findings, id);
                // Nonsense is read as a name where a name is expected.
                if text.is_none() || !matches!(*id, "kernel" | "congestion-control") {
                    assert_eq!(finding.level, Level::Hint, "{path} {finding:#?}");
                    assert!(
                        finding.what.starts_with("not to be found out: "),
                        "{finding:#?}"
                    );
                }
            }
        }
    }
    let nothing = Machine::read("/nonexistent".as_ref(), None, &config());
    let examination = examine(&config(), &nothing, &trials());
    assert_eq!(
        examination.worst(),
        Level::Hint,
        "{:#?}",
        examination.findings
    );
}

#[test]
fn the_worst_finding_decides_the_exit_code_and_the_last_line() {
    let tree = Tree::fine("worst");
    let (mut config, mut trials) = (config(), trials());
    let mut next = |change: &dyn Fn(&mut Config, &mut Trials)| {
        change(&mut config, &mut trials);
        let examination = examine(&config, &tree.machine(&config), &trials);
        let text = examination.text(Style::Plain);
        (
            examination.exit_code(),
            text.lines().last().unwrap().to_owned(),
        )
    };
    assert_eq!(
        next(&|_, _| {}),
        (0, "It will run as configured: nothing to mend.".to_owned())
    );
    let hint = next(&|config, _| config.listen = "127.0.0.1:8000".parse().unwrap());
    assert_eq!(hint, (0, "It will run as configured: 1 hint.".to_owned()));
    let warning = next(&|_, trials| trials.clock_ns = 2_000);
    let expected = "It will run, but not all that is configured will hold: 1 warning, 1 hint.";
    assert_eq!(warning, (1, expected.to_owned()));
    let failure = next(&|_, trials| trials.rings.features[0].present = false);
    assert_eq!(
        failure,
        (
            3,
            "It will not start: 1 failure, 1 warning, 1 hint.".to_owned()
        )
    );
}

#[test]
fn lines_are_short_but_for_those_that_are_to_be_copied_and_colours_change_nothing_else() {
    for (_, examination) in examinations() {
        let plain = examination.text(Style::Plain);
        for line in plain.lines() {
            let is_cure = ["mend ", "or "]
                .iter()
                .any(|word| line.trim_start().starts_with(word));
            let has_path = line.contains("/sys/fs/cgroup");
            assert!(line.chars().count() <= 100 || is_cure || has_path, "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(!plain.contains('\x1b'));
        let mut coloured = examination.text(Style::Coloured);
        while let Some(at) = coloured.find('\x1b') {
            let end = coloured[at..].find('m').unwrap();
            coloured.replace_range(at..=at + end, "");
        }
        assert_eq!(coloured, plain);
    }
}

/// The program, with nothing of its kind in its environment.
fn doctor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
    command
        .env_clear()
        .arg("doctor")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// The same, started by another program, of which these are the arguments in front.
fn by(starter: &str, in_front: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(starter);
    command
        .args(in_front)
        .args([env!("CARGO_BIN_EXE_pushring"), "doctor"])
        .args(arguments)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PUSHRING_")) {
        command.env_remove(name);
    }
    command
}

/// The exit code, and what was printed as JSON.
fn json(command: &mut Command) -> (i32, Value) {
    let output = command.arg("--json").output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), report)
}

fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["id"] == id).unwrap()
}

/// Addresses that are free, so that nothing is in the way.
fn free() -> [String; 2] {
    [
        format!("--listen={}", free_address()),
        format!("--internal={}", free_address()),
    ]
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_program_says_that_a_server_will_run_where_servers_run() {
    let [listen, internal] = &free();
    let arguments = [listen.as_str(), internal, "--shards=2"];
    let (code, report) = json(&mut doctor(&arguments));
    assert!(code == 0 || code == 1, "{report:#}");
    assert_eq!(report["exit_code"], code);
    assert_eq!(
        report["worst"],
        ["fine", "warning"][code as usize].replace("fine", report["worst"].as_str().unwrap())
    );
    let said = report["findings"].as_array().unwrap();
    let said: Vec<&str> = said
        .iter()
        .map(|finding| finding["id"].as_str().unwrap())
        .collect();
    assert_eq!(said, ids().collect::<Vec<_>>());
    for id in [
        "kernel",
        "io-uring",
        "io-uring-features",
        "io-uring-sends",
        "listen",
        "internal",
        "threads",
    ] {
        assert!(
            matches!(
                finding(&report, id)["level"].as_str(),
                Some("fine" | "hint")
            ),
            "{:#}",
            finding(&report, id)
        );
    }

    let output = doctor(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code));
    let printed = text(&output);
    for id in ids() {
        assert!(printed.contains(&format!("  {id} ")), "{id}: {printed}");
    }
    assert!(
        printed.lines().last().unwrap().starts_with("It will run"),
        "{printed}"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_port_that_is_taken_is_told_with_who_has_it() {
    let holder = TcpListener::bind(free_address()).unwrap();
    let taken = holder.local_addr().unwrap();
    let [_, internal] = &free();
    let (code, report) = json(&mut doctor(&[&format!("--listen={taken}"), internal]));
    assert_eq!(code, 3, "{report:#}");
    let listen = finding(&report, "listen");
    assert_eq!(listen["level"], "failure");
    let what = listen["what"].as_str().unwrap();
    let holder_named = format!("(process {})", std::process::id());
    assert!(
        what.starts_with(&format!("{taken} is in use by ")) && what.ends_with(&holder_named),
        "{what}"
    );
    assert_eq!(finding(&report, "internal")["level"], "fine");
}

#[test]
fn beside_a_running_server_its_addresses_are_no_failure_and_its_limits_can_be_looked_at() {
    let server = Server::start(Options {
        shards: 1,
        open_files_max: Some(500),
        ..Options::default()
    });
    let addresses = server.addresses;
    let pid = server.pid().to_string();
    let listen = format!("--listen={}", addresses.public);
    let internal = format!("--internal={}", addresses.internal);
    let (_, report) = json(&mut doctor(&[
        &listen,
        &internal,
        "--shards=1",
        "--pid",
        &pid,
    ]));
    for id in ["listen", "internal"] {
        let finding = finding(&report, id);
        assert_eq!(finding["level"], "hint", "{finding:#}");
        let what = finding["what"].as_str().unwrap();
        assert!(
            what.contains(&format!(": a server runs there already (process {pid})")),
            "{what}"
        );
    }
    let files = finding(&report, "open-files")["what"].as_str().unwrap();
    assert_eq!(files, "500 allowed: 436 connections fit, not 200,000");
    assert!(
        report["about"]
            .as_str()
            .unwrap()
            .starts_with(&format!("process {pid} (pushring), "))
    );
}

#[test]
fn a_process_that_is_not_there_is_a_mistake_in_the_arguments() {
    let output = doctor(&["--pid", "4194305"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(line, "pushring: --pid 4194305: there is no such process\n");
    assert_eq!(text(&output), "");
}

#[test]
fn a_lowered_limit_of_open_files_is_a_warning_with_the_number_that_fits() {
    let [listen, internal] = &free();
    let lowered = ["-c", r#"ulimit -n 300 && exec "$0" "$@""#];
    let (code, report) = json(&mut by("sh", &lowered, &[listen, internal, "--shards=1"]));
    assert_eq!(code, 1, "{report:#}");
    let files = finding(&report, "open-files");
    assert_eq!(files["level"], "warning");
    assert_eq!(
        files["what"],
        "300 allowed: 236 connections fit, not 200,000"
    );
    let cures: Vec<&str> = files["cures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cure| cure.as_str().unwrap())
        .collect();
    assert!(
        cures.iter().any(|cure| cure.contains("200064")),
        "{cures:?}"
    );
    assert!(
        cures.contains(&"limits.connections_max = 236   in the configuration"),
        "{cures:?}"
    );
}

/// Files run out while the rings of many shards are set up, which is what io_uring_setup says, too.
#[test]
fn rings_for_which_there_are_no_files_are_a_failure() {
    let [listen, internal] = &free();
    let lowered = ["-c", r#"ulimit -n 40 && exec "$0" "$@""#];
    let (code, report) = json(&mut by("sh", &lowered, &[listen, internal, "--shards=64"]));
    assert_eq!(code, 3, "{report:#}");
    let ring = finding(&report, "io-uring");
    assert_eq!(ring["what"], "there are no file descriptors for the rings");
}

/// Where this kernel counts the memory of rings, it refuses them; where it does not, that is told. Root is counted nothing as long as
/// it has CAP_IPC_LOCK.
#[test]
fn too_little_locked_memory_is_found_as_this_kernel_counts_it() {
    let [listen, internal] = &free();
    let lowered = r#"ulimit -l 64 && exec "$0" "$@""#;
    let arguments = [listen.as_str(), internal, "--shards=2"];
    let mut command = match is_root() {
        true => by(
            "setpriv",
            &["--bounding-set=-ipc_lock", "sh", "-c", lowered],
            &arguments,
        ),
        false => by("sh", &["-c", lowered], &arguments),
    };
    let (code, report) = json(&mut command);
    let (ring, memory) = (
        finding(&report, "io-uring"),
        finding(&report, "locked-memory"),
    );
    assert!(
        memory["what"]
            .as_str()
            .unwrap()
            .starts_with("480 KiB of rings, 64 KiB allowed"),
        "{memory:#}"
    );
    if ring["level"] == "failure" {
        assert_eq!(code, 3);
        assert!(
            ring["what"]
                .as_str()
                .unwrap()
                .starts_with("the rings need 480 KiB of locked memory"),
            "{ring:#}"
        );
        assert_eq!(memory["level"], "failure");
        assert_eq!(
            memory["cures"][0],
            "ulimit -l 1024   in the shell that starts it, as root"
        );
    } else {
        assert_eq!(memory["level"], "hint", "{memory:#}");
    }
}

#[test]
fn a_filter_that_refuses_io_uring_is_named_and_nothing_crashes() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/seccomp.py");
    let setup = "425"; // io_uring_setup, on every architecture
    for (errno, name) in [("1", "EPERM"), ("38", "ENOSYS")] {
        let [listen, internal] = &free();
        let mut command = by("python3", &[script, setup, errno], &[listen, internal]);
        let (code, report) = json(&mut command);
        assert_eq!(code, 3, "{report:#}");
        let ring = finding(&report, "io-uring");
        assert!(ring["what"].as_str().unwrap().contains(name), "{ring:#}");
        assert_eq!(ring["cures"][0], "see seccomp");
        let filter = finding(&report, "seccomp");
        assert_eq!(filter["level"], "failure", "{filter:#}");
        assert!(
            filter["what"]
                .as_str()
                .unwrap()
                .contains("refuses io_uring"),
            "{filter:#}"
        );
    }
}

#[test]
fn a_server_that_the_kernel_refuses_names_the_doctor_in_its_one_line() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/seccomp.py");
    let [listen, internal] = &free();
    let output = Command::new("python3")
        .args([
            script,
            "425",
            "1",
            env!("CARGO_BIN_EXE_pushring"),
            listen,
            internal,
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let line = said.lines().last().unwrap();
    assert!(
        line.starts_with("pushring: io_uring is forbidden here"),
        "{said}"
    );
    assert!(line.ends_with("; `pushring doctor` says more"), "{said}");
}

#[test]
fn a_mistake_in_the_configuration_is_a_line_each_and_exit_code_2() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("doctor-mistakes.toml");
    std::fs::write(&path, "shards = 99\n[limit]\nx = 1\n").unwrap();
    let path = path.to_str().unwrap();
    for json in [&[][..], &["--json"]] {
        let output = doctor(&[&["--config", path][..], json].concat())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output), "");
        let lines = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("pushring: {path}:1: shards = 99")),
            "{lines:?}"
        );
    }
    let reachable = doctor(&["--listen", "0.0.0.0:9000"]).output().unwrap();
    assert_eq!(reachable.status.code(), Some(2));
}

#[test]
fn colours_are_for_terminals_and_not_where_no_color_is_set() {
    let [listen, internal] = &free();
    let on_terminal = |in_front: &str| {
        let program = env!("CARGO_BIN_EXE_pushring");
        let line = format!("{in_front} {program} doctor {listen} {internal}");
        let output = Command::new("script")
            .args(["-qc", &line, "/dev/null"])
            .output()
            .unwrap();
        text(&output)
    };
    assert!(on_terminal("env -u NO_COLOR").contains("\x1b[32mok\x1b[0m"));
    assert!(!on_terminal("env NO_COLOR=1").contains('\x1b'));
    let piped = doctor(&[listen, internal]).output().unwrap();
    assert!(!text(&piped).contains('\x1b'));
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t0"))
}
