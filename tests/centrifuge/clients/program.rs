//! The programs that drive the clients. They do as they are told over their standard input and tell what they see on their
//! standard output, one JSON object a line.
//!
//! | command (`do`, with `id`) | fields |
//! | --- | --- |
//! | `connect` | the first time `url` and `tokens`, which are used one after the other |
//! | `disconnect` | |
//! | `subscribe` | `channel`, the first time `tokens` and `since` |
//! | `unsubscribe` | `channel` |
//! | `publish` | `channel`, `data` |
//! | `publish_numbers` | `channel`; `count` numbers from `from` on, all at once |
//! | `presence`, `presence_stats` | `channel` |
//! | `history` | `channel`, `options` |
//! | `rpc` | `method`, `data` |
//! | `cut` | the connection ends without a goodbye; Chromium says one |
//! | `leave` | all connections whose ids begin like this one end; for Chromium alone |
//!
//! What is told has an `event`, the connection's `id`, and what the library says of it in the words of the protocol. Beside the
//! library's own events there are `answer` and `refused` to what was asked, `token_asked`, and `failed`, which must not happen.
//! The id of a connection begins with the number of its client and a stroke.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::{Value, json};

use super::client::{Event, Kind};

/// A running program. Dropping it ends it.
pub struct Program {
    kind: Kind,
    child: Mutex<Child>,
    commands: Mutex<ChildStdin>,
    clients: Arc<Mutex<Clients>>,
}

/// Whom a program serves.
#[derive(Default)]
struct Clients {
    made: usize,
    listening: HashMap<usize, Sender<(String, Event)>>,
}

impl Program {
    /// One of its own for each client, but a single browser for all: to start one, even to open a page, costs more than
    /// most tests. It ends with this process, which holds its standard input.
    pub fn of(kind: Kind) -> Arc<Self> {
        static BROWSER: OnceLock<Arc<Program>> = OnceLock::new();
        match kind {
            Kind::Chromium => Arc::clone(BROWSER.get_or_init(|| Self::start(kind))),
            Kind::Node | Kind::Python => Self::start(kind),
        }
    }

    fn start(kind: Kind) -> Arc<Self> {
        let mut child = command(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start the {kind:?} client: {error}"));
        let output = child.stdout.take().unwrap();
        let program = Arc::new(Self {
            kind,
            commands: Mutex::new(child.stdin.take().unwrap()),
            child: Mutex::new(child),
            clients: Arc::default(),
        });
        let clients = Arc::clone(&program.clients);
        thread::spawn(move || {
            read(output, |number, id, event| {
                if let Some(client) = clients.lock().unwrap().listening.get(&number) {
                    // A client that has gone does not listen.
                    let _ = client.send((id, event));
                }
            });
            // Who waits for more hears that it has ended.
            clients.lock().unwrap().listening.clear();
        });
        program
    }

    /// A new client, and what it is told, with the connections' ids.
    pub fn add_client(&self) -> (usize, Receiver<(String, Event)>) {
        let (sender, receiver) = mpsc::channel();
        let mut clients = self.clients.lock().unwrap();
        clients.made += 1;
        let number = clients.made;
        clients.listening.insert(number, sender);
        (number, receiver)
    }

    /// Ends a client's connections.
    pub fn remove_client(&self, number: usize) {
        self.clients.lock().unwrap().listening.remove(&number);
        if self.kind == Kind::Chromium {
            self.tell(number, "leave", "", json!({}));
        }
    }

    /// Tells the program to do something with a client's connection.
    pub fn tell(&self, number: usize, what: &str, id: &str, mut command: Value) {
        command["do"] = what.into();
        command["id"] = format!("{number}/{id}").into();
        // If it has ended, who waits for something next hears of that.
        let _ = writeln!(self.commands.lock().unwrap(), "{command}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        // It fails when the program has ended already, which is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Hands on what a program tells, until it ends: the client's number, the connection's id, the event.
fn read(output: ChildStdout, hear: impl Fn(usize, String, Event)) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let told: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("a client told {line:?}: {error}"));
        let id = told["id"].as_str().expect("an id").to_owned();
        let (number, id) = id.split_once('/').expect("a client's number");
        let event = Event {
            name: told["event"].as_str().expect("an event").to_owned(),
            told,
        };
        hear(number.parse().unwrap(), id.to_owned(), event);
    }
}

/// The command that starts a program, or the end of the test with a word on how to install it: a test is never skipped.
fn command(kind: Kind) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = root.join("tests/centrifuge/clients");
    match kind {
        Kind::Node => {
            let mut command = Command::new("node");
            let folder = installed(root, "node", "node_modules/centrifuge");
            command.arg(scripts.join("node.mjs")).arg(folder);
            command
        }
        Kind::Chromium => {
            let mut command = Command::new("node");
            let folder = installed(root, "node", "node_modules/centrifuge");
            let playwright = installed(root, "browser", "node_modules/playwright-core");
            command.arg(scripts.join("chromium.mjs"));
            command.args([folder, playwright]);
            command
        }
        Kind::Python => {
            let folder = installed(root, "python", "bin/python");
            let mut command = Command::new(folder.join("bin/python"));
            command.arg("-u").arg(scripts.join("driver.py"));
            command
        }
    }
}

/// The folder below target/tools of a tool that has such a file.
fn installed(root: &Path, folder: &str, file: &str) -> PathBuf {
    let folder = root.join("target/tools").join(folder);
    let path = folder.join(file);
    assert!(
        path.exists(),
        "{} is not there: tests/run installs the clients that the tests drive (tests/install-tools does just that)",
        path.display()
    );
    folder
}
