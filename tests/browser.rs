//! The examples' pages in a real Chromium, driven by the scripts in `tests/browser`.

#![forbid(unsafe_code)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything that must happen may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running example. Dropping it kills the process.
struct Example {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    address: String,
    /// What it has said so far, by lines.
    said: Vec<String>,
}

impl Example {
    /// Starts an example on a free port and waits until it listens.
    fn start(name: &'static str) -> Self {
        let mut child = Command::new(program(name))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run the example {name}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut example = Self {
            name,
            child,
            lines,
            address: String::new(),
            said: Vec::new(),
        };
        let beginning = "listening on ";
        example.address = example.wait_for(beginning)[beginning.len()..].to_owned();
        example
    }

    /// Lets a script drive the page.
    fn drive(&self, script: &str) {
        let script = root().join("tests/browser").join(script);
        let Output { status, stderr, .. } = Command::new("node")
            .arg(&script)
            .arg(&self.address)
            .output()
            .unwrap_or_else(|error| panic!("cannot run node: {error}: run tests/install-tools"));
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{}:\n{stderr}", script.display());
    }

    /// Waits until the example has said a line with that beginning.
    fn wait_for(&mut self, beginning: &str) -> &str {
        let end = Instant::now() + DEADLINE;
        let found = |said: &Vec<String>| said.iter().position(|line| line.starts_with(beginning));
        while found(&self.said).is_none() {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| {
                let (name, said) = (self.name, self.said.join("\n"));
                panic!("{name} has not said {beginning:?} ({error}), but:\n{said}")
            });
            self.said.push(line);
        }
        found(&self.said).map_or("", |place| &self.said[place])
    }

    /// Ends the example as an operator does and returns all that it has said.
    fn end(mut self) -> Vec<String> {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(id, Signal::SIGTERM).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} does not end", self.name),
            }
        }
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.said)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo puts the example: beside this test's own folder. `cargo test --test browser` builds no examples, and would
/// find none, or those of an earlier day.
fn program(example: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(Path::parent).unwrap();
    BUILT.call_once(|| {
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--examples", "--profile"])
            .arg(profile)
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(root())
            .status()
            .unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
        assert!(status.success(), "the examples do not build");
    });
    folder.join("examples").join(example)
}

#[test]
fn p1_p2_p3_the_echo_example_in_chromium() {
    let mut example = Example::start("echo");
    example.drive("echo.mjs");
    let users: [(&str, &[&str]); 5] = [
        (
            "张三 /",
            &[
                "open: 张三 / with Mozilla/5.0",
                "message: 张三 / says \"hello <b>\"",
                "message: 张三 / says \"\"",
                "close: 张三 /, 1000 \"done\"",
            ],
        ),
        (
            "talkative",
            &[
                "open: talkative with Mozilla/5.0",
                "error: talkative: ",
                "close: talkative, 1009 ",
            ],
        ),
        (
            "zhangsan",
            &[
                "open: zhangsan with Mozilla/5.0",
                "message: zhangsan says \"hello\"",
                "close: zhangsan, 1005 \"\"",
            ],
        ),
        (
            "left",
            &["open: left with Mozilla/5.0", "close: left, 1001 \"\""],
        ),
        (
            "lost",
            &[
                "open: lost with Mozilla/5.0",
                "error: lost: the connection was lost",
                "close: lost, 1006 \"\"",
            ],
        ),
    ];
    // Which connection ends first is not said; what happens on one has its order.
    for (_, calls) in users {
        example.wait_for(calls[calls.len() - 1]);
    }
    let said = example.end();
    for (user, calls) in users {
        let of_user = said
            .iter()
            .filter(|line| line.contains(&format!(": {user}")));
        let of_user: Vec<&String> = of_user.collect();
        let alike = (of_user.iter().zip(calls)).all(|(line, call)| line.starts_with(call));
        assert!(alike && of_user.len() == calls.len(), "{user}: {said:#?}");
    }
    let calls: usize = users.iter().map(|(_, calls)| calls.len()).sum();
    assert_eq!(said.len(), 1 + calls, "nobody else got in: {said:#?}");
}

#[test]
fn the_chat_example_in_chromium() {
    let example = Example::start("chat");
    example.drive("chat.mjs");
    example.end();
}

#[test]
fn p5_the_ticker_example_in_chromium() {
    let example = Example::start("ticker");
    example.drive("ticker.mjs");
    example.end();
}

#[test]
fn an_example_that_cannot_start_says_why_in_one_line() {
    let example = Example::start("chat");
    let starts = ["echo", "chat", "ticker"].map(|name| {
        [
            (&*example.address, "is in use by another program"),
            ("nowhere", "invalid socket address"),
        ]
        .map(|(address, reason)| {
            let mut command = Command::new(program(name));
            let command = command.arg(address).stdout(Stdio::null());
            (
                name,
                reason,
                command.stderr(Stdio::piped()).spawn().unwrap(),
            )
        })
    });
    for (name, reason, child) in starts.into_iter().flatten() {
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with(name) && last.contains(reason), "{said}");
    }
    example.end();
}

#[test]
fn every_example_is_shorter_than_100_lines() {
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines < 100, "{} has {lines} lines", path.display());
        }
    }
}
