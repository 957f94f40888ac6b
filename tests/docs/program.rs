//! A block that is run: its process and what that writes.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::iter;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::page::What;
use crate::support::DEADLINE;

/// A program of a page. Dropping it ends the process, and all that it has started.
pub struct Program {
    /// Where the page has it.
    place: String,
    child: Child,
    lines: Receiver<String>,
    /// Whether it was to be left running.
    pub is_background: bool,
    /// Whether it has run to its end, and so has no more lines to come.
    is_finished: bool,
}

impl Program {
    /// Starts it.
    pub fn start(language: &str, what: What, text: &str, directory: &Path, place: String) -> Self {
        let mut command = interpreter(language, what, &place);
        let mut child = command
            .current_dir(directory)
            .env("PATH", path_with_pushring())
            // So that what a shell has started ends with it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{place}: cannot run {command:?}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            place,
            child,
            lines,
            is_background: what == What::Background,
            is_finished: false,
        }
    }

    /// Waits for its end, which must be a success.
    pub fn finish(&mut self) {
        let until = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "{} does not end", self.place);
            thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(status.success(), "{}: {status}", self.place);
        self.is_finished = true;
    }

    /// Compares the next lines that it writes, empty ones in front left out, and if it has ended that there are no more.
    pub fn expect(&mut self, wanted: &str, place: &str) {
        let mut written = Vec::new();
        let until = Instant::now() + DEADLINE;
        for line in wanted.trim_end().lines() {
            let left = until.saturating_duration_since(Instant::now());
            let mut next = self.lines.recv_timeout(left);
            while written.is_empty() && !line.is_empty() && next == Ok(String::new()) {
                let left = until.saturating_duration_since(Instant::now());
                next = self.lines.recv_timeout(left);
            }
            written.extend(next.as_ref().ok().cloned());
            let is_right = next.as_ref().is_ok_and(|next| is_like(line, next));
            let why = match next {
                Err(RecvTimeoutError::Timeout) => " and then nothing",
                Err(RecvTimeoutError::Disconnected) => " and then its end",
                Ok(_) => "",
            };
            assert!(
                is_right,
                "{place}: {} has not written {line:?}, but:\n{}{why}",
                self.place,
                written.join("\n")
            );
        }
        if self.is_finished {
            let more: Vec<String> = self.lines.iter().filter(|line| !line.is_empty()).collect();
            assert!(more.is_empty(), "{place}: more than that: {more:?}");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        if matches!(self.child.try_wait(), Ok(None)) {
            // It fails when it has ended meanwhile, which is as good.
            let _ = killpg(group, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Whether a line is as the page has it, where `…` stands for anything.
fn is_like(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.trim_end().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.trim_end().strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What runs a language, its program coming to standard input.
fn interpreter(language: &str, what: What, place: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = root.join("target/tools");
    match language {
        "sh" => {
            let mut command = Command::new("sh");
            command.args(["-e", "-s"]);
            command
        }
        "python" => {
            let mut command = Command::new(installed(tools.join("python/bin/python")));
            command.args(["-u", "-"]);
            command
        }
        "js" => {
            let mut command = Command::new("node");
            command
                .arg(root.join("tests/docs/chromium.mjs"))
                .arg(installed(tools.join("node")))
                .arg(installed(tools.join("browser")))
                .arg(match what {
                    What::Background => "stay",
                    _ => "leave",
                });
            command
        }
        other => panic!("{place}: nothing runs {other:?}"),
    }
}

/// Where programs are found, this one among them.
fn path_with_pushring() -> OsString {
    let own = Path::new(env!("CARGO_BIN_EXE_pushring")).parent().unwrap();
    let others = env::var_os("PATH").unwrap_or_default();
    let all = iter::once(own.to_owned()).chain(env::split_paths(&others));
    env::join_paths(all).unwrap()
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there: run tests/install-tools",
        path.display()
    );
    path
}

#[test]
fn dots_stand_for_anything_within_a_line() {
    for (pattern, line, is_alike) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "abc", true),
        ("…c", "abc", true),
        ("a…c…e", "abcde", true),
        ("a…c…e", "abde", false),
        ("a…b", "a", false),
        ("…", "", true),
    ] {
        assert_eq!(is_like(pattern, line), is_alike, "{pattern} {line}");
    }
}
