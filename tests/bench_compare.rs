//! `pushring bench` with real servers: rounds in turn, results that are kept, Ctrl-C, and mistakes on the command line.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushring::bench::result::ScenarioResult;

/// How long anything that must happen may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often something is looked at that has no event to wait for.
const POLL_EVERY: Duration = Duration::from_millis(5);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Of an earlier day.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
    command.arg("bench").args(args).current_dir(root());
    command.stdin(Stdio::null());
    command
}

fn refused(args: &[&str]) -> String {
    let Output { status, stderr, .. } = bench(args).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}

fn result(folder: &Path) -> ScenarioResult {
    let json = std::fs::read_to_string(folder.join("smoke.json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Processes that a bench with this id has started: each has its folder in its arguments.
fn servers_of(bench: u32) -> Vec<String> {
    let mark = format!("bench/run/pushring-{bench}-");
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(arguments) = std::fs::read(process.path().join("cmdline")) else {
            continue;
        };
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(&mark) {
            found.push(format!("{}: {arguments}", process.path().display()));
        }
    }
    found
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "not within {DEADLINE:?}: {what}");
        thread::sleep(POLL_EVERY);
    }
}

#[test]
fn rounds_are_measured_in_turn_and_kept_with_a_report() {
    let folder = folder("compare");
    let again = folder.join("again.toml");
    std::fs::copy(root().join("benches/peers/pushring.toml"), &again).unwrap();
    let targets = format!("pushring,{}", again.display());
    let args = [
        "compare",
        "--scenario",
        "smoke",
        "--rounds",
        "2",
        "--targets",
        &targets,
        "--out",
        folder.to_str().unwrap(),
    ];
    let Output {
        status,
        stdout,
        stderr,
    } = bench(&args).output().unwrap();
    let (out, err) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert_eq!(status.code(), Some(0), "{out}{err}");
    assert!(
        !err.contains('\r') && !err.contains("measuring"),
        "progress into a pipe: {err}"
    );
    let result = result(&folder);
    assert_eq!((result.rounds, result.stopped), (2, false));
    let names: Vec<&str> = result.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["pushring", "again"]);
    for target in &result.targets {
        assert_eq!(target.version, env!("CARGO_PKG_VERSION"));
        let rounds: Vec<u32> = target.runs.iter().map(|run| run.round).collect();
        assert_eq!(rounds, [1, 2]);
        for run in &target.runs {
            let load = run.load.as_ref().unwrap();
            assert!(run.is_clean(), "{run:?}");
            assert!(load.deliveries > 0 && load.deliveries == 20 * load.published);
            assert!(load.cpu_ns_per_delivery.unwrap() > 0.0);
            assert!(run.memory.unwrap().empty_bytes > 1_000_000);
            assert!(run.latency.unwrap().p99_us >= run.latency.unwrap().p50_us);
        }
        assert!(!target.distribution.is_empty());
    }
    assert!(
        out.contains("smoke: 20 subscribers") && out.contains("0/0/0/0/0"),
        "{out}"
    );
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("Every publication reached every subscriber once"));
    // The same from the file, and its first plot as a picture.
    let file = folder.join("smoke.json");
    let pictures = folder.join("pictures");
    let (results, into) = (file.to_str().unwrap(), pictures.to_str().unwrap());
    let Output { status, .. } = bench(&["report", results, "--pictures", into])
        .output()
        .unwrap();
    assert!(status.success());
    let picture = std::fs::read_to_string(pictures.join("smoke.svg")).unwrap();
    assert!(picture.starts_with("<svg xmlns="), "{picture}");
    assert!(picture.contains("Smoke test: Server CPU per delivery, nanoseconds"));
    assert!(picture.contains("pushring 0.1.0"));
    assert_eq!(
        std::fs::read_to_string(folder.join("smoke.html")).unwrap(),
        page
    );
    let Output { stdout, .. } = bench(&["table", file.to_str().unwrap()]).output().unwrap();
    let table = String::from_utf8(stdout).unwrap();
    assert!(
        table.starts_with(
            "| | pushring 0.1.0 | pushring 0.1.0 |\n| --- | --- | --- |\n| Smoke test: CPU ns/delivery |"
        ),
        "{table}"
    );
}

#[test]
fn every_kind_of_measurement_is_clean_with_pushring() {
    for (kind, more) in [
        (
            "latency",
            &["--rate", "200", "--stalled-permille", "100"][..],
        ),
        ("connect", &[]),
        ("idle", &[]),
        ("churn", &["--rate", "200", "--churn-per-second", "40"]),
        ("fanout", &["--channels", "10", "--channels-each", "3"]),
        (
            "fanout",
            &["--json", "--payload-bytes", "1024", "--deflate"],
        ),
        ("fanout", &["--payload-bytes", "16384", "--window", "4"]),
    ] {
        let folder = folder(&format!("kind-{kind}-{}", more.len()));
        let args = [
            &[
                kind,
                "--target",
                "pushring",
                "--subscribers",
                "30",
                "--rounds",
                "1",
                "--warmup-ms",
                "50",
                "--measure-ms",
                "300",
                "--out",
                folder.to_str().unwrap(),
            ],
            more,
        ]
        .concat();
        let Output {
            status,
            stdout,
            stderr,
        } = bench(&args).output().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        assert_eq!(status.code(), Some(0), "{kind} {more:?}: {out}{err}");
        let json = std::fs::read_to_string(folder.join(format!("{kind}.json"))).unwrap();
        let result: ScenarioResult = serde_json::from_str(&json).unwrap();
        let run = &result.targets[0].runs[0];
        assert_eq!(run.connect.open, 30);
        assert!(run.counts.delivered >= 30, "{kind}: {:?}", run.counts);
        if more.contains(&"--deflate") {
            assert_eq!(run.connect.compressed, 30);
            let bytes = run.load.as_ref().unwrap().wire_bytes_per_delivery;
            assert!(bytes < 700.0, "{bytes} of 1,024");
        }
        if kind == "idle" {
            assert!(run.memory.is_some() && run.idle_cpu_ms_per_s.is_some());
        }
        if kind == "latency" {
            let stalled = run.stalled.as_ref().unwrap();
            assert_eq!((stalled.subscribers, stalled.incomplete), (3, 0));
        }
        if kind == "churn" {
            assert!(run.churn.as_ref().unwrap().left >= 5);
        }
    }
}

/// A bench that has measured at least one round and goes on; and its folder.
fn under_way(name: &str) -> (Child, PathBuf) {
    let folder = folder(name);
    let args = [
        "compare",
        "--scenario",
        "smoke",
        "--rounds",
        "1000",
        "--targets",
        "pushring",
        "--out",
        folder.to_str().unwrap(),
    ];
    let mut child = bench(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("a result and a running server", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        folder.join("smoke.json").exists() && !servers_of(child.id()).is_empty()
    });
    (child, folder)
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_leaves_no_process_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (child, folder) = under_way("interrupted");
        let id = child.id();
        kill(Pid::from_raw(id.cast_signed()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(servers_of(id), Vec::<String>::new());
        let result = result(&folder);
        assert!(result.stopped && !result.targets[0].runs.is_empty());
        assert!(folder.join("report.html").exists());
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains("ended early"), "{out}");
    }
}

#[test]
fn a_bench_that_is_killed_takes_its_server_with_it() {
    let (mut child, _) = under_way("killed");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("no server is left", || servers_of(child.id()).is_empty());
}

#[test]
fn mistakes_are_one_line_with_the_cure() {
    let unknown = refused(&["fanout", "--target", "nosuch"]);
    assert!(
        unknown.contains("no target \"nosuch\"; known are"),
        "{unknown}"
    );
    let own = "pushring, pushring-centrifuge, pushring-stomp";
    assert!(unknown.contains(own), "{unknown}");
    let folder = folder("mistakes");
    let file = |name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(root().join("benches/peers/pushring.toml")).unwrap();
        assert!(text.contains(from));
        let path = folder.join(name);
        std::fs::write(&path, text.replace(from, to)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = file(
        "ghost.toml",
        "command = [\"{pushring}\", \"--version\"]",
        "command = [\"{peers}/ghost/server\"]",
    );
    let missing = missing.replace("installs = \"pushring\"\n", "");
    for (target, words) in [
        (missing, "install it with `benches/peers/setup pushring`"),
        (
            file("key.toml", "tuned =", "tunned ="),
            "key.toml: line 3: unknown field `tunned`",
        ),
        (
            file("word.toml", "/sub/{channel}", "/sub/{chanel}"),
            "no placeholder {chanel}",
        ),
        (
            file("way.toml", "way = \"websocket\"", "way = \"protocol\""),
            "has no publishing",
        ),
        (
            file("kind.toml", "\"raw\"", "\"row\""),
            "kind.toml: line 4: unknown variant `row`",
        ),
    ] {
        let error = refused(&["fanout", "--target", &target]);
        assert!(error.contains(words), "{error}");
    }
    let ghost = folder.join("ghost.toml");
    let text = std::fs::read_to_string(&ghost).unwrap();
    std::fs::write(&ghost, text.replace("installs = \"pushring\"\n", "")).unwrap();
    let error = refused(&["fanout", "--target", ghost.to_str().unwrap()]);
    assert!(error.contains("ghost is not installed"), "{error}");
    assert!(error.contains("`benches/peers/setup ghost`"), "{error}");
    for (args, words) in [
        (
            &["fanout", "--target", "pushring", "--payload-bytes", "3"][..],
            "payload_bytes = 3; it must be 40 to",
        ),
        (
            &["fanout", "--target", "pushring", "--server-cores", "999"],
            "core 999 is not one",
        ),
        (
            &["compare", "--targets", "pushring", "--scenario", "nosuch"],
            "the standard scenarios are in benches/scenarios",
        ),
        (
            &["fanout", "--target", "ws://"],
            "write it like ws://127.0.0.1:8000/sub/{channel}",
        ),
        (&["report", "/nonexistent"], "/nonexistent: No such file"),
        (
            &["table", folder.to_str().unwrap()],
            "no result file (*.json) is there",
        ),
    ] {
        let error = refused(args);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn more_connections_than_files_are_refused_with_both_numbers() {
    let script = "ulimit -n 500 && exec \"$@\"";
    let Output { status, stdout, .. } = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_pushring")])
        .args([
            "bench",
            "idle",
            "--target",
            "pushring",
            "--subscribers",
            "1000",
            "--rounds",
            "1",
        ])
        .current_dir(root())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(1), "{out}");
    assert!(
        out.contains("need 1101 open files, and this process may have 500"),
        "{out}"
    );
}
