//! The servers that are measured: described by a file in `benches/peers`, or an address where one already runs.

mod install;
mod server;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use install::version;
pub use server::{Server, ServerError, launch};
pub use template::{Values, fill, unknown_placeholder};

use super::client::Address;
use super::protocol::{Credentials, Protocol};

/// A server's description: the file `benches/peers/README.md` explains.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name on the command line: that of the file.
    #[serde(skip)]
    pub name: String,
    /// The name in tables and plots.
    pub title: String,
    /// What a reader must know; may be empty.
    #[serde(default)]
    pub caveat: String,
    /// Settings and build flags.
    #[serde(default)]
    pub tuned: String,
    /// What subscribers speak.
    pub protocol: Protocol,
    /// Whether it uses all cores that it is given.
    #[serde(default)]
    pub threads: Threads,
    /// The argument for `benches/peers/setup`, where it is not the name.
    pub installs: Option<String>,
    /// How to learn its version; absent for a server that already runs.
    pub version: Option<Version>,
    /// How to start it; absent for a server that already runs.
    pub start: Option<Start>,
    /// Files to write before the start, by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// When it is ready.
    #[serde(default)]
    pub ready: Ready,
    /// How to subscribe.
    pub subscribe: Subscribe,
    /// How to publish.
    pub publish: Option<Publish>,
    /// A server that already runs: its process, if that is known.
    #[serde(skip)]
    pub running: Option<Running>,
}

/// How many cores a server can use.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Threads {
    /// One, however many there are.
    One,
    /// All that it is given.
    #[default]
    Cores,
}

/// A server that was not started by the tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its process; without it CPU and memory are not measured.
    pub pid: Option<u32>,
}

/// How to learn a version.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The version is the word that follows this text in the output.
    pub pattern: Option<String>,
}

/// How to start and stop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables besides those of the tool itself.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The working directory.
    pub directory: Option<String>,
    /// What ends it.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// How long it may take to end, in milliseconds.
    #[serde(default = "stop_ms")]
    pub stop_ms: u64,
}

fn stop_ms() -> u64 {
    3_000
}

/// A signal that ends a server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM
    #[default]
    Term,
    /// SIGINT
    Int,
    /// SIGQUIT
    Quit,
    /// SIGKILL
    Kill,
}

/// What tells that a server is ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// A port that takes connections.
    pub tcp: Option<String>,
    /// An address that answers GET with 200.
    pub http: Option<String>,
    /// How long it may take, in milliseconds.
    #[serde(default = "ready_ms")]
    pub timeout_ms: u64,
}

fn ready_ms() -> u64 {
    15_000
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            tcp: None,
            http: None,
            timeout_ms: ready_ms(),
        }
    }
}

/// How to subscribe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Of the WebSocket.
    pub path: String,
    /// Where it is not `{port}`.
    pub port: Option<String>,
    /// The channel's name in commands.
    #[serde(default = "channel_alone")]
    pub channel: String,
    /// Several channels on one connection.
    pub several: Option<Several>,
    /// More header fields of the opening handshake.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Instead of the protocol's own.
    pub subprotocol: Option<String>,
    /// Of STOMP, MQTT, NATS.
    pub login: Option<String>,
    /// The same.
    pub passcode: Option<String>,
    /// STOMP's host.
    pub host: Option<String>,
}

fn channel_alone() -> String {
    "{channel}".to_owned()
}

/// The path of several channels.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Several {
    /// With `{channels}`.
    pub path: String,
    /// One of them, with `{channel}`.
    pub each: String,
    /// Between two.
    pub join: String,
}

/// How to publish.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Over what.
    pub way: PublishWay,
    /// Where, for `websocket` and `http`.
    pub url: Option<String>,
    /// What, with `{payload}`.
    #[serde(default = "payload_alone")]
    pub body: String,
    /// For `http`.
    pub content_type: Option<String>,
    /// For `http`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// For `http`.
    #[serde(default = "yes")]
    pub pipelined: bool,
    /// For `http`: Pusher's signature.
    pub sign: Option<Signature>,
}

fn payload_alone() -> String {
    "{payload}".to_owned()
}

fn yes() -> bool {
    true
}

/// Over what to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishWay {
    /// A frame a message.
    WebSocket,
    /// A POST a message.
    Http,
    /// The protocol's own command.
    Protocol,
}

/// Key and secret of Pusher's HTTP API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// `auth_key`
    pub key: String,
    /// What it signs with.
    pub secret: String,
}

/// Why a target cannot be used. Each reads as one line with what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No file of that name.
    #[error(
        "there is no target {name:?}; known are {known}; or give the path of a file, or an address like \
         ws://127.0.0.1:8000/sub/{{channel}}"
    )]
    Unknown {
        /// As given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No folder of descriptions.
    #[error(
        "there is no folder benches/peers here or above; run it in a checkout of pushring, or give --peers DIR"
    )]
    NoPeers,
    /// A file that cannot be read.
    #[error("{file}: {why}")]
    File {
        /// Its path.
        file: String,
        /// Line and reason.
        why: String,
    },
    /// An address that cannot be used.
    #[error("{0}")]
    Address(String),
    /// It is not there.
    #[error("{name} is not installed: {why}; install it with `benches/peers/setup {installs}`")]
    NotInstalled {
        /// The target.
        name: String,
        /// What its version command did.
        why: String,
        /// For the set-up.
        installs: String,
    },
}

/// The folder of descriptions.
#[derive(Debug, Clone)]
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// The folder given, or `benches/peers` in the working directory or the nearest folder above that has one.
    ///
    /// # Errors
    /// [`TargetError::NoPeers`]
    pub fn find(given: Option<&Path>) -> Result<Self, TargetError> {
        if let Some(folder) = given {
            return match folder.is_dir() {
                true => Ok(Self {
                    folder: folder.to_owned(),
                }),
                false => Err(TargetError::NoPeers),
            };
        }
        let here = std::env::current_dir().map_err(|_| TargetError::NoPeers)?;
        let mut all = here.ancestors().map(|above| above.join("benches/peers"));
        let folder = all.find(|folder| folder.is_dir());
        folder
            .map(|folder| Self { folder })
            .ok_or(TargetError::NoPeers)
    }

    /// The names there are, in order.
    pub fn names(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut names: Vec<String> = files
            .flatten()
            .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// The checkout that the folder is in.
    pub fn root(&self) -> PathBuf {
        let full = self
            .folder
            .canonicalize()
            .unwrap_or_else(|_| self.folder.clone());
        full.ancestors().nth(2).unwrap_or(&full).to_owned()
    }

    /// Reads the description of that name.
    ///
    /// # Errors
    /// [`TargetError`]
    pub fn load(&self, name: &str) -> Result<Target, TargetError> {
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let file = self.folder.join(format!("{name}.toml"));
        if !is_plain || !file.is_file() {
            return Err(TargetError::Unknown {
                name: name.to_owned(),
                known: self.names().join(", "),
            });
        }
        Target::load(&file)
    }
}

impl Target {
    /// Reads a description.
    ///
    /// # Errors
    /// [`TargetError::File`]
    pub fn load(file: &Path) -> Result<Self, TargetError> {
        let refused = |why: String| TargetError::File {
            file: file.display().to_string(),
            why,
        };
        let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
        let mut target: Self =
            toml::from_str(&text).map_err(|error| refused(toml_error(&text, &error)))?;
        target.name = file
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        target.check().map_err(refused)?;
        Ok(target)
    }

    /// A server that already runs at an address like `ws://127.0.0.1:8000/sub/{channel}`.
    ///
    /// # Errors
    /// [`TargetError::Address`]
    pub fn at(
        url: &str,
        protocol: Protocol,
        publish: Option<&str>,
        pid: Option<u32>,
    ) -> Result<Self, TargetError> {
        let address = Address::parse(url).map_err(TargetError::Address)?;
        let publish = match publish {
            None if protocol == Protocol::Raw || protocol == Protocol::Pusher => None,
            None => Some(PublishWay::Protocol),
            Some(url) => match Address::parse(url)
                .map_err(TargetError::Address)?
                .scheme
                .as_str()
            {
                "http" => Some(PublishWay::Http),
                _ => Some(PublishWay::WebSocket),
            },
        }
        .map(|way| Publish {
            way,
            url: publish.map(str::to_owned),
            body: payload_alone(),
            content_type: None,
            headers: BTreeMap::new(),
            pipelined: true,
            sign: None,
        });
        Ok(Self {
            name: url.to_owned(),
            title: address.host.clone(),
            caveat: "was already running: neither version nor cores are known".to_owned(),
            tuned: String::new(),
            protocol,
            threads: Threads::Cores,
            installs: None,
            version: None,
            start: None,
            files: BTreeMap::new(),
            ready: Ready::default(),
            subscribe: Subscribe {
                path: address.path,
                port: None,
                channel: channel_alone(),
                several: None,
                headers: BTreeMap::new(),
                subprotocol: None,
                login: None,
                passcode: None,
                host: None,
            },
            publish,
            running: Some(Running { pid }),
        })
    }

    /// What clients say who they are.
    pub fn credentials(&self) -> Credentials {
        Credentials {
            login: self.subscribe.login.clone(),
            passcode: self.subscribe.passcode.clone(),
            host: self.subscribe.host.clone(),
        }
    }

    /// What a set-up installs it as.
    pub fn installs(&self) -> &str {
        self.installs.as_deref().unwrap_or(&self.name)
    }

    fn check(&self) -> Result<(), String> {
        if self.title.is_empty() {
            return Err("title is empty; write the name that tables are to show".to_owned());
        }
        let Some(start) = &self.start else {
            return Err("there is no [start]; write its command".to_owned());
        };
        let Some(version) = &self.version else {
            return Err("there is no [version]; write its command".to_owned());
        };
        for (section, command) in [("start", &start.command), ("version", &version.command)] {
            if command.is_empty() {
                return Err(format!(
                    "[{section}] command is empty; write program and arguments"
                ));
            }
        }
        if self.ready.tcp.is_some() && self.ready.http.is_some() {
            return Err("[ready] has tcp and http; write one of them".to_owned());
        }
        if let Some(publish) = &self.publish {
            self.check_publish(publish)?;
        }
        let commands = start.command.iter().chain(&version.command);
        let values = commands.chain(start.environment.values());
        let values = values.chain([&self.subscribe.path, &self.subscribe.channel]);
        let values = values.chain(&start.directory);
        let values = values.chain(self.ready.tcp.iter().chain(&self.ready.http));
        let values = values.chain(
            self.publish
                .iter()
                .filter_map(|publish| publish.url.as_ref()),
        );
        for value in values {
            if let Some(word) = unknown_placeholder(value) {
                return Err(format!(
                    "{value:?}: there is no placeholder {{{word}}}; benches/peers/README.md lists them"
                ));
            }
        }
        Ok(())
    }

    fn check_publish(&self, publish: &Publish) -> Result<(), String> {
        let (way, url) = (publish.way, &publish.url);
        let wanted = match way {
            PublishWay::WebSocket => "ws://",
            PublishWay::Http => "http://",
            PublishWay::Protocol => {
                if matches!(self.protocol, Protocol::Raw | Protocol::Pusher) {
                    return Err(
                        "[publish] way = \"protocol\", but this protocol has no publishing; write \"http\" or \
                         \"websocket\""
                            .to_owned(),
                    );
                }
                return Ok(());
            }
        };
        if !url.as_ref().is_some_and(|url| url.starts_with(wanted)) {
            return Err(format!("[publish] url must begin with {wanted}"));
        }
        if publish.body.matches("{payload}").count() != 1 {
            return Err("[publish] body must contain {payload} once".to_owned());
        }
        Ok(())
    }
}

/// One line of a TOML error: where and why.
pub(super) fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', "; ");
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}
