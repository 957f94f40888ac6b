//! `pushring top` against a real server, in a real pseudo-terminal and piped.

#![forbid(unsafe_code)]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use serde_json::Value;

use support::DEADLINE;
use support::server::{Options, Server, free_address};
use support::wire::Socket;

const KEY: &str = "a-key-that-only-this-test-knows-0123456789";

/// What takes the terminal over, and what gives it back.
const TAKEN: &str = "\x1b[?1049h";
const GIVEN_BACK: &str = "\x1b[?25h\x1b[?1049l";

fn top(server: &Server) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
    let url = format!("http://{}", server.addresses.internal);
    command.args(["top", "--url", &url]);
    command
}

/// Runs it to its end, piped.
fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// It on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    pieces: Receiver<Vec<u8>>,
    text: String,
    /// Both ends, so that the terminal outlives the process and can be looked at.
    pty: OpenptyResult,
}

impl Terminal {
    fn open(command: &mut Command, columns: u16, rows: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut shown = File::from(pty.master.try_clone().unwrap());
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(read @ 1..) = shown.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = File::from(pty.master.try_clone().unwrap());
        Self {
            child,
            keys,
            pieces,
            text: String::new(),
            pty,
        }
    }

    /// Waits until the last whole frame is as wanted, and returns its lines without escape sequences.
    fn frame(&mut self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let until = Instant::now() + DEADLINE;
        loop {
            let frames = self.text.split("\x1b[H").skip(1);
            let whole = frames.filter(|frame| frame.contains("\x1b[J")).last();
            let lines: Vec<String> = whole.map_or(Vec::new(), |frame| {
                let frame = frame.split("\x1b[J").next().unwrap();
                frame.split("\r\n").map(plain).collect()
            });
            if wanted(&lines) {
                return lines;
            }
            assert!(
                Instant::now() < until,
                "not shown: {what}\n{}",
                lines.join("\n")
            );
            if let Ok(piece) = self.pieces.recv_timeout(Duration::from_millis(100)) {
                self.text += &String::from_utf8_lossy(&piece);
            }
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// Waits for its end: its exit code and all that it has written. The terminal must be as it was.
    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        while let Ok(piece) = self.pieces.recv_timeout(Duration::from_millis(200)) {
            self.text += &String::from_utf8_lossy(&piece);
        }
        let attributes = tcgetattr(&self.pty.slave).unwrap();
        let cooked = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        assert!(
            attributes.local_flags.contains(cooked),
            "the terminal is left raw"
        );
        assert_eq!(
            self.text.matches(TAKEN).count(),
            self.text.matches(GIVEN_BACK).count()
        );
        (status.code(), std::mem::take(&mut self.text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line without escape sequences.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('\x1b') {
        out += &rest[..at];
        let sequence = &rest[at..];
        let end = sequence
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(sequence.len(), |end| end + 1);
        rest = &sequence[end..];
    }
    out + rest
}

#[test]
fn at_two_sizes_it_fills_the_terminal_shows_what_happens_and_gives_it_back() {
    let server = Server::start(Options::default());
    let sockets: Vec<Socket> = (0..3)
        .map(|_| Socket::open(server.addresses.public, "/sub/news"))
        .collect();
    for (round, (columns, rows)) in (1..).zip([(80, 24), (132, 43)]) {
        let mut terminal = Terminal::open(&mut top(&server), columns, rows);
        let lines = terminal.frame("the subscribers", |lines| {
            lines.iter().any(|line| line.starts_with("news"))
                && lines
                    .iter()
                    .any(|line| line.contains("connections") && line.contains('3'))
        });
        assert_eq!(lines.len(), usize::from(rows));
        for line in &lines {
            assert!(line.chars().count() <= usize::from(columns), "{line:?}");
        }
        assert!(
            lines[0].starts_with("pushring ") && lines[0].contains("live"),
            "{lines:?}"
        );
        assert!(lines.last().unwrap().starts_with("q ends"), "{lines:?}");
        server.http().publish("news", "hello");
        let published = format!("{round} so far");
        terminal.frame("the publication", |lines| {
            lines.iter().any(|line| line.contains(&published))
        });
        terminal.press(b"sq");
        let (code, text) = terminal.end();
        assert_eq!(code, Some(0), "{text}");
    }
    drop(sockets);
}

#[test]
fn ctrl_c_and_signals_end_it_and_the_terminal_is_given_back() {
    let server = Server::start(Options {
        shards: 1,
        ..Options::default()
    });
    for signal in [
        None,
        Some(Signal::SIGTERM),
        Some(Signal::SIGINT),
        Some(Signal::SIGHUP),
    ] {
        let mut terminal = Terminal::open(&mut top(&server), 80, 24);
        terminal.frame("anything", |lines| !lines.is_empty());
        match signal {
            None => terminal.press(&[3]),
            Some(signal) => {
                let id = Pid::from_raw(i32::try_from(terminal.child.id()).unwrap());
                kill(id, signal).unwrap();
            }
        }
        let (code, text) = terminal.end();
        assert_eq!(code, Some(0), "{signal:?}: {text}");
        assert!(text.ends_with(GIVEN_BACK), "{signal:?}: {text:?}");
    }
}

#[test]
fn a_server_that_goes_is_missed_and_one_that_comes_back_is_shown_again() {
    let mut server = Server::start(Options {
        shards: 1,
        ..Options::default()
    });
    let mut terminal = Terminal::open(&mut top(&server), 100, 30);
    let title =
        |lines: &[String], part: &str| lines.first().is_some_and(|line| line.contains(part));
    terminal.frame("live", |lines| title(lines, "live"));
    server.kill();
    terminal.frame("gone", |lines| title(lines, "does not answer"));
    let server = Server::start_at(server.addresses, server.options.clone());
    terminal.frame("live again", |lines| title(lines, "live"));
    drop(server);
    terminal.press(b"q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn once_prints_one_second_as_text_and_json_as_a_line_that_can_be_piped() {
    let server = Server::start(Options::default());
    let _socket = Socket::open(server.addresses.public, "/sub/news");
    let once = run(top(&server).arg("--once"));
    let text = String::from_utf8(once.stdout).unwrap();
    assert_eq!(
        (once.status.code(), once.stderr.len()),
        (Some(0), 0),
        "{text}"
    );
    for shown in [
        "pushring ",
        "connections    1",
        "turn p99",
        "shard ",
        "\nnews ",
    ] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");

    let once = run(top(&server).args(["--json", "--once"]));
    let text = String::from_utf8(once.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let snapshot: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(snapshot["total"]["connections"], 1);
    assert!(
        snapshot["total"]["rates"]["turns"].is_number(),
        "the first with rates"
    );

    // Without --once it goes on until nobody reads.
    let mut child = top(&server)
        .arg("--json")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = Vec::new();
    while text.iter().filter(|byte| **byte == b'\n').count() < 3 {
        let mut buffer = [0; 4_096];
        let read = out.read(&mut buffer).unwrap();
        assert!(read > 0);
        text.extend_from_slice(&buffer[..read]);
    }
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_what_to_do() {
    let server = Server::start(Options::with_config(&format!(
        "[auth]\napi_keys = [\"{KEY}\"]\n"
    )));
    let nobody = free_address();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let strange = stranger.local_addr().unwrap();
    thread::spawn(move || {
        for stream in stranger.incoming() {
            // SSH speaks first, and is no HTTP.
            let _ = stream.unwrap().write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let internal = server.addresses.internal;
    let public = server.addresses.public;
    let cases: [(Vec<String>, &str); 9] = [
        (vec![format!("http://{nobody}")], "is the server running"),
        (vec![format!("http://{strange}")], "is no pushring"),
        (vec![format!("http://{public}")], "is no pushring"),
        (vec![format!("http://{internal}")], "asks for an API key"),
        (
            vec![format!("http://{internal}"), "--key".into(), "wrong".into()],
            "does not know this API key",
        ),
        (
            vec![format!("http://{internal}"), "--key".into(), "a b".into()],
            "a character that a header cannot carry",
        ),
        (vec![format!("https://{internal}")], "plain HTTP"),
        (
            vec!["ws://x".into()],
            "is no address of an internal listener",
        ),
        (
            vec![
                format!("http://{internal}/elsewhere"),
                "--key".into(),
                KEY.into(),
            ],
            "status 404",
        ),
    ];
    for (arguments, reason) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
        command.args(["top", "--once", "--url"]).args(&arguments);
        let Output {
            status,
            stdout,
            stderr,
        } = run(&mut command);
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(
            (status.code(), stdout.len()),
            (Some(2), 0),
            "{arguments:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("pushring: ") && said.contains(reason),
            "{arguments:?}: {said}"
        );
    }
    let piped = run(top(&server).args(["--key", KEY]));
    assert!(
        String::from_utf8_lossy(&piped.stderr).contains("--once"),
        "{piped:?}"
    );
    let known = run(top(&server).args(["--once", "--key", KEY]));
    assert_eq!(known.status.code(), Some(0), "{known:?}");
}

#[test]
fn the_servers_own_file_says_where_it_is_and_which_key_it_takes() {
    let server = Server::start(Options::with_config(&format!(
        "[auth]\napi_keys = [\"{KEY}\"]\n"
    )));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("top.toml");
    let text = format!(
        "internal = \"{}\"\n[auth]\napi_keys = [\"{KEY}\"]\n",
        server.addresses.internal
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushring"));
    let known = run(command.args(["top", "--once", "--config"]).arg(&file));
    assert_eq!(known.status.code(), Some(0), "{known:?}");
}
