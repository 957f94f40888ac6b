//! The examples' pages in a real Chromium, driven by the scripts in `tests/browser`.

#![forbid(unsafe_code)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running example. Dropping it kills the process.
struct Example {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Example {
    /// Starts an example on a free port and waits until it listens.
    fn start(name: &str) -> Self {
        let program = program(name);
        let mut child = Command::new(&program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}: run `cargo build --examples`",
                    program.display()
                )
            });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{name} says {line:?}"));
        Self {
            address: address.to_owned(),
            child,
            output,
        }
    }

    /// Lets a script drive the page.
    fn drive(&self, script: &str) {
        let script = root().join("tests/browser").join(script);
        let Output { status, stderr, .. } = Command::new("node")
            .arg(&script)
            .arg(&self.address)
            .output()
            .unwrap_or_else(|error| panic!("cannot run node: {error}: run tests/install-tools"));
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{}:\n{said}", script.display());
    }

    /// Ends the example as an operator does and returns what it has said.
    fn end(mut self) -> String {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(id, Signal::SIGTERM).unwrap();
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success());
        said
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

/// Where cargo has put the example: beside this test's own folder.
fn program(example: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(example)
}

#[test]
fn p1_p2_the_echo_example_in_chromium() {
    let example = Example::start("echo");
    example.drive("echo.mjs");
    let said = example.end();
    let lines: Vec<&str> = said.lines().collect();
    let heard = |line: &str| lines.iter().any(|l| l.starts_with(line));
    for line in [
        "open: 张三 / with Mozilla/5.0",
        "message: 张三 / says \"hello <b>\"",
        "close: 张三 /, 1000 \"done\"",
        "open: zhangsan with",
        "message: zhangsan says \"hello\"",
        "close: zhangsan, 1005 \"\"",
        "close: lost, ",
    ] {
        assert!(heard(line), "{line} is missing in:\n{said}");
    }
    assert!(!heard("open: stranger"), "{said}");
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
fn every_example_is_shorter_than_100_lines() {
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines < 100, "{} has {lines} lines", path.display());
        }
    }
}
