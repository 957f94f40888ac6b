//! A machine in namespaces, with pushring installed as its units say.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::server::Addresses;

/// How long the machine may take for anything that it is asked for.
const AT_MOST: Duration = Duration::from_secs(60);

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Where the units are and where they go.
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning");
pub const INTO: &str = "/etc/systemd/system";

/// Where the unit has the configuration.
const CONFIG: &str = "/etc/pushring/pushring.toml";

/// A running machine, which ends with everything in it when this is dropped.
pub struct Machine {
    boot: Child,
    /// What the machine's PID 1 is outside.
    init: String,
    stage: String,
    pub addresses: Addresses,
}

impl Machine {
    /// Boots, installs and waits for `systemctl` to answer; starts nothing.
    pub fn boot() -> Self {
        let archive =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/systemd/root.tar.gz");
        let mut boot = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd/boot"))
            .arg(archive)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Whoever ends the test's whole group leaves it to clean up.
            .process_group(0)
            .spawn()
            .unwrap();
        let (sender, line) = mpsc::channel();
        let mut out = BufReader::new(boot.stdout.take().unwrap());
        thread::spawn(move || {
            let mut first = String::new();
            let _ = out.read_line(&mut first);
            let _ = sender.send(first.trim().to_owned());
        });
        let init = line.recv_timeout(AT_MOST).unwrap_or_default();
        let (init, stage) = init.split_once(' ').unwrap_or_default();
        let mut machine = Self {
            boot,
            init: init.to_owned(),
            stage: stage.to_owned(),
            addresses: Addresses::free(),
        };
        if machine.init.is_empty() {
            let mut said = String::new();
            drop(machine.boot.stdin.take());
            let mut err = machine.boot.stderr.take().unwrap();
            err.read_to_string(&mut said).unwrap();
            panic!("the machine does not boot: {said}");
        }
        machine.wait_for("systemd", |machine| {
            machine
                .try_run(&["systemctl", "show", "--property=Version"])
                .status
                .success()
        });
        machine.install();
        machine
    }

    fn install(&self) {
        let program = self.inside("/usr/bin/pushring");
        fs::copy(env!("CARGO_BIN_EXE_pushring"), program).unwrap();
        for unit in ["pushring.service", "pushring.socket"] {
            let text = fs::read_to_string(Path::new(UNITS).join(unit)).unwrap();
            self.write(&format!("{INTO}/{unit}"), &text);
        }
        self.configure("");
        self.run(&["systemctl", "daemon-reload"]);
    }

    /// Puts another program in the place of the installed one, as a package manager does.
    pub fn replace_program(&self, with: &str) {
        let (new, program) = ("/usr/bin/.pushring.new", "/usr/bin/pushring");
        fs::copy(with, self.inside(new)).unwrap();
        fs::rename(self.inside(new), self.inside(program)).unwrap();
    }

    /// Writes the configuration: the addresses, and more settings.
    pub fn configure(&self, more: &str) {
        let Addresses { public, internal } = self.addresses;
        let text = format!("listen = \"{public}\"\ninternal = \"{internal}\"\n{more}");
        self.write(CONFIG, &text);
    }

    /// A drop-in for one of the units.
    pub fn amend(&self, unit: &str, text: &str) {
        self.write(&format!("{INTO}/{unit}.d/test.conf"), text);
        self.run(&["systemctl", "daemon-reload"]);
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.inside(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Where the kernel tells of PID 1.
    pub fn init(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.init))
    }

    /// The directory in which the machine's files are mounted.
    pub fn stage(&self) -> PathBuf {
        PathBuf::from(&self.stage)
    }

    /// Where a path of the machine is outside.
    fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Runs a program in the machine, which must succeed; what it has written.
    pub fn run(&self, command: &[&str]) -> String {
        let output = self.try_run(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{command:?}: {}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    pub fn try_run(&self, command: &[&str]) -> Output {
        let seconds = AT_MOST.as_secs().to_string();
        Command::new("timeout")
            .args([&seconds, "nsenter", "--target", &self.init])
            .args([
                "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd", "--",
            ])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A property of a unit, as `systemctl show` has it.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let property = format!("--property={name}");
        let shown = self.run(&["systemctl", "show", "--value", &property, unit]);
        shown.trim().to_owned()
    }

    /// The id of the service's process in the machine.
    pub fn main_pid(&self) -> String {
        self.property("pushring.service", "MainPID")
    }

    /// What the kernel says of a process in the machine.
    pub fn proc_status(&self, pid: &str, name: &str) -> String {
        let status = self.run(&["cat", &format!("/proc/{pid}/status")]);
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }

    /// Waits until it is as wanted.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let until = Instant::now() + AT_MOST;
        while !wanted(self) {
            assert!(Instant::now() < until, "{what} is not there in {AT_MOST:?}");
            thread::sleep(POLL_EVERY);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() && !self.init.is_empty() {
            let journal = self.try_run(&["journalctl", "--no-pager", "--lines=60"]);
            eprintln!(
                "--- the machine's journal:\n{}---",
                String::from_utf8_lossy(&journal.stdout)
            );
        }
        // The end of its input is what it waits for.
        drop(self.boot.stdin.take());
        let _ = self.boot.wait();
    }
}
