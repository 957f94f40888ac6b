//! A server whose program's file can be replaced, and what its log says about upgrades.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::DEADLINE;
use crate::support::server::{Addresses, Options, Server};

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What stands at the path of the server's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The program itself.
    Same,
    /// The program, given a state of another format: what a version sees that saves something else.
    OtherFormat,
    /// The program, given a state of which one bit is another.
    Damaged,
    /// It ends by a signal in the middle of its self-test.
    Crashing,
    /// It knows nothing of upgrades, and says so.
    Foreign,
    /// It says something, but not that it could take over.
    Babbling,
    /// It says nothing.
    Hanging,
    /// No program at all.
    Garbage,
    /// Nothing.
    Missing,
}

impl Program {
    /// What the log says when it is not taken over by it.
    pub fn complaint(self) -> &'static str {
        match self {
            Self::Same => "taken over",
            Self::OtherFormat => {
                "the state has format 254, and this program reads format 1: restart instead of upgrading"
            }
            Self::Damaged => "the state is damaged: its checksum is another",
            Self::Crashing => "it has ended without a word (signal: 11 (SIGSEGV)",
            Self::Foreign => "this is another program",
            Self::Babbling => "it has answered \"hello\\n\"",
            Self::Hanging => "(timeouts.upgrade_test_ms)",
            Self::Garbage => "cannot be started: Exec format error",
            Self::Missing => "cannot be started: No such file or directory",
        }
    }

    /// A script in its place. The state that it hands on is a copy with one byte changed.
    fn script(self, original: &Path) -> Option<String> {
        let changed = |at: &str, byte: &str| {
            format!(
                "copy=$(mktemp)\n\
                 cat /proc/self/fd/$_PUSHRING_STATE >$copy\n\
                 printf '{byte}' | dd of=$copy bs=1 seek={at} conv=notrunc status=none\n\
                 exec 9<>$copy\n\
                 rm $copy\n\
                 export _PUSHRING_STATE=9\n\
                 exec {} \"$@\"\n",
                original.display()
            )
        };
        let body = match self {
            Self::Same | Self::Garbage | Self::Missing => return None,
            Self::OtherFormat => changed("15", "\\376"),
            Self::Damaged => changed("$(($(stat -c %s $copy) / 2))", "\\252\\125\\252\\125"),
            Self::Crashing => {
                "cat /proc/self/fd/$_PUSHRING_STATE >/dev/null\nkill -SEGV $$\n".to_owned()
            }
            Self::Foreign => "echo this is another program >&2\nexit 3\n".to_owned(),
            Self::Babbling => "echo hello\nexec sleep 60\n".to_owned(),
            Self::Hanging => "exec sleep 60\n".to_owned(),
        };
        Some(format!("#!/bin/sh\n{body}"))
    }
}

/// How an upgrade went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The log says for how long nothing was sent.
    TakenOver { pause: Duration },
    /// The line of the log.
    Refused(String),
}

/// A running server, and the folder with its program.
pub struct Upgrading {
    pub server: Server,
    folder: PathBuf,
    /// Lines of the log that have been looked at.
    seen: usize,
}

impl Upgrading {
    pub fn start(options: Options) -> Self {
        Self::start_at(Addresses::free(), options)
    }

    pub fn start_at(addresses: Addresses, options: Options) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "upgrade-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        for name in ["original", "pushring"] {
            // Not copied: a file that has just been written may still be open for writing in a process that another test
            // starts at this moment, and cannot be executed then.
            fs::hard_link(env!("CARGO_BIN_EXE_pushring"), folder.join(name)).unwrap();
        }
        let server = Server::start_at(
            addresses,
            Options {
                program: Some(folder.join("pushring")),
                ..options
            },
        );
        let seen = server.output().len();
        Self {
            server,
            folder,
            seen,
        }
    }

    /// Puts another file where the server's program is, at once.
    pub fn replace(&self, program: Program) {
        let (original, place) = (self.folder.join("original"), self.folder.join("pushring"));
        let new = self.folder.join("new");
        if program == Program::Missing {
            return fs::remove_file(place).unwrap();
        }
        match (program.script(&original), program) {
            (Some(script), _) => write_executable(&new, &script),
            (None, Program::Garbage) => write_executable(&new, "\x7f\x7f\x7f\x7f no program"),
            (None, _) => fs::hard_link(&original, &new).unwrap(),
        }
        fs::rename(&new, place).unwrap();
        // Where both are the same file already, neither name goes.
        let _ = fs::remove_file(&new);
    }

    /// Asks for an upgrade by SIGUSR2, and waits until it is known how it went.
    pub fn upgrade(&mut self) -> Outcome {
        self.server.signal("USR2");
        self.outcome()
    }

    /// The same for one that must be taken over.
    pub fn must_upgrade(&mut self) -> Duration {
        match self.upgrade() {
            Outcome::TakenOver { pause } => pause,
            Outcome::Refused(line) => panic!("{line}"),
        }
    }

    /// The same for one that must not be.
    pub fn must_refuse(&mut self) -> String {
        match self.upgrade() {
            Outcome::TakenOver { .. } => panic!("taken over"),
            Outcome::Refused(line) => line,
        }
    }

    /// Waits until the log says how the next upgrade went.
    pub fn outcome(&mut self) -> Outcome {
        let line = self.wait_for_line(|line| {
            line.contains("taken over from pushring")
                || line.contains("not upgraded, and nothing has changed")
        });
        match line.split_once("nothing was sent for ") {
            Some((_, rest)) => {
                let ms = rest.split(' ').next().and_then(|ms| ms.parse().ok());
                let ms: f64 = ms.unwrap_or_else(|| panic!("no pause in {line:?}"));
                Outcome::TakenOver {
                    pause: Duration::from_secs_f64(ms / 1e3),
                }
            }
            None => Outcome::Refused(line),
        }
    }

    /// Waits for the next line of the log of which that is so.
    pub fn wait_for_line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let lines = self.server.output();
            let new = lines.iter().enumerate().skip(self.seen);
            if let Some((at, line)) = new.into_iter().find(|(_, line)| wanted(line)) {
                self.seen = at + 1;
                return line.clone();
            }
            if let Some(status) = self.server.exit_status() {
                panic!("the server has ended: {status}");
            }
            assert!(
                Instant::now() < until,
                "not said within {DEADLINE:?}; the log since then: {:#?}",
                &lines[self.seen.min(lines.len())..]
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    /// How many files the process has open.
    pub fn open_files(&self) -> usize {
        let files = format!("/proc/{}/fd", self.server.id());
        fs::read_dir(files).unwrap().count()
    }

    /// Its children, those that have ended and are not waited for included.
    pub fn children(&self) -> Vec<String> {
        let pid = self.server.id();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
        // A thread may have ended meanwhile.
        let lists = tasks.filter_map(|task| of_task(task.ok()?).ok());
        let all: Vec<String> = lists.collect();
        let all = all.iter().flat_map(|list| list.split_whitespace());
        all.map(str::to_owned).collect()
    }
}

impl Upgrading {
    /// Waits until it has none: who has looked whether it could take over ends when that is known.
    pub fn wait_until_childless(&self) {
        let until = Instant::now() + DEADLINE;
        while !self.children().is_empty() {
            assert!(Instant::now() < until, "children: {:?}", self.children());
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Writes a file in a process of its own, for the reason for which the program is not copied.
fn write_executable(path: &Path, text: &str) {
    let script = r#"printf %s "$0" >"$1" && chmod 755 "$1""#;
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", script, text]).arg(path).status().unwrap();
    assert!(status.success(), "{}: {status}", path.display());
}

impl Drop for Upgrading {
    fn drop(&mut self) {
        // The program's file may go before the process does.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
