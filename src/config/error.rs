//! What can be wrong with a configuration, and the one line that says so.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::check::{API_KEY_BYTES_MIN, SECRET_BYTES_MIN};
use super::pattern::{ChannelPattern, PatternError};
use super::table::{Setting, namespace_section};

/// A configuration that cannot be used, and everything that is wrong with it. It is the fault of who wrote it.
///
/// Displayed as one line: the first problem, and how many more there are.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `Ok` if there is no problem.
    pub(super) fn none_of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }

    /// Every problem, at least one; those of the file first and in its order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.problems.first() {
            write!(f, "{first}")?;
        }
        match self.problems.len() {
            0 | 1 => Ok(()),
            2 => write!(f, " (and 1 more; pushring check-config lists all)"),
            n => write!(f, " (and {} more; pushring check-config lists all)", n - 1),
        }
    }
}

/// One thing that is wrong: where, what, and what to write instead. Displayed as one line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match (&self.place, &self.fault) {
            (Place::Program, fault) => fault.to_string(),
            // The place names the setting, and texts are written there without quotes.
            (
                place @ (Place::Variable(_) | Place::Flag(_)),
                Fault::Value {
                    setting,
                    written,
                    refusal,
                },
            ) => format!("{place}: \"{written}\" {}", refusal.told_of(setting, false)),
            (place, fault) => format!("{place}: {fault}"),
        };
        f.write_str(&one_line(&line))
    }
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the configuration file.
    File {
        /// The file's name as it was given.
        path: PathBuf,
        /// Counted from one; `None` if it is about the file as a whole.
        line: Option<usize>,
    },
    /// In this variable of the environment.
    Variable(String),
    /// In this flag of the command line.
    Flag(&'static str),
    /// In a [`Config`](super::Config) that a program put together itself.
    Program,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Program => f.write_str("the program"),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The file could not be read.
    #[error("cannot be read: {reason}; write the name of a TOML file that this user may read")]
    Unreadable {
        /// What the operating system says.
        reason: String,
    },

    /// The file is longer than any configuration.
    #[error(
        "is longer than {bytes_max} bytes and so no configuration; write the name of a TOML file"
    )]
    TooLong {
        /// The most that is read, in bytes.
        bytes_max: u64,
    },

    /// The file is not UTF-8.
    #[error("is not UTF-8 text; save the file in that encoding")]
    NotUtf8,

    /// The file breaks TOML's grammar.
    #[error(
        "is not TOML ({reason}); write name = value, text between double quotes, and [name] for a section"
    )]
    NotToml {
        /// What the parser says.
        reason: String,
    },

    /// The file has more mistakes than anybody reads.
    #[error("more mistakes follow; only the first {listed} are listed")]
    TooMany {
        /// How many are listed.
        listed: usize,
    },

    /// A key or a section stands in the file twice.
    #[error("the same name is given a second time; keep one of the two")]
    Twice,

    /// There is no such key in the file.
    #[error("there is no setting {key}; the nearest is {}, write {}", nearest.key(), nearest.where_to_write())]
    UnknownKey {
        /// The key as it was written, with its section.
        key: String,
        /// The nearest known setting.
        nearest: &'static Setting,
    },

    /// There is no such section in the file.
    #[error(
        "there is no section [{section}]; the nearest is {}, write that",
        header(nearest)
    )]
    UnknownSection {
        /// As it was written.
        section: String,
        /// The nearest known section.
        nearest: &'static str,
    },

    /// A section's name stands where a setting's should.
    #[error(
        "{section} is a section, not a setting; write [{section}] on a line of its own and its settings below"
    )]
    SectionAsSetting {
        /// Its name.
        section: &'static str,
    },

    /// `[namespace]` with one bracket on each side, or `namespace = ...`.
    #[error(
        "there can be many of namespace; write [[namespace]] with two brackets on each side and its settings below"
    )]
    NamespaceAlone,

    /// A `[[namespace]]` that does not say which channels it is for.
    #[error(
        "this [[namespace]] does not say which channels it is for; write for example channels = \"news:*\" below it"
    )]
    NamespaceWithoutChannels,

    /// Two namespaces for the same channels.
    #[error(
        "channels = \"{channels}\" stands in a [[namespace]] before this one; keep one of the two"
    )]
    NamespaceTwice {
        /// The pattern of both.
        channels: ChannelPattern,
    },

    /// Tokens are asked for and nothing can check one.
    #[error(
        "{name} = \"token\" for the channels \"{channels}\", but no key is configured to check tokens with; write hmac_secret \
         or jwks_file below [auth], or \"anyone\" or \"nobody\" here"
    )]
    TokenWithoutKey {
        /// Of the namespace.
        channels: ChannelPattern,
        /// `subscribe` or `publish`.
        name: &'static str,
    },

    /// What tokens must say is configured, and nothing checks tokens.
    #[error(
        "auth.{name} is about tokens, and no key is configured to check them with; write hmac_secret or jwks_file below [auth] \
         as well, or leave it out"
    )]
    ClaimWithoutKey {
        /// `audience` or `issuer`.
        name: &'static str,
    },

    /// A secret that can be guessed.
    #[error(
        "auth.hmac_secret has {bytes} bytes; write at least {SECRET_BYTES_MIN} random ones, such as openssl rand -hex 32 prints"
    )]
    ShortSecret {
        /// Its length.
        bytes: usize,
    },

    /// A key that no header can carry. It is not shown.
    #[error(
        "entry {number} of auth.api_keys has a character that a header cannot carry; write letters, digits and signs without \
         spaces"
    )]
    ApiKey {
        /// Counted from one.
        number: usize,
    },

    /// A key that can be guessed.
    #[error(
        "entry {number} of auth.api_keys has {bytes} bytes; write at least {API_KEY_BYTES_MIN} random ones, such as \
         openssl rand -hex 32 prints"
    )]
    ShortApiKey {
        /// Counted from one.
        number: usize,
        /// Its length.
        bytes: usize,
    },

    /// There is no such variable.
    #[error("there is no such variable; the nearest is {nearest}, write that or unset this one")]
    UnknownVariable {
        /// The nearest known variable.
        nearest: String,
    },

    /// The value cannot be used.
    #[error("{} = {written} {}", setting.key(), refusal.told_of(setting, true))]
    Value {
        /// The setting that it was written for.
        setting: &'static Setting,
        /// The value as it was written.
        written: String,
        /// Why it cannot be used.
        refusal: Refusal,
    },

    /// A listener that other machines reach, without authentication.
    #[error(
        "{key} = \"{address}\" can be reached from other machines and no authentication is configured; write {} below [auth], a \
         loopback address such as \"{}\", or allow it with --insecure (insecure = true in the file)",
        if *key == "listen" { "hmac_secret or jwks_file" } else { "api_keys" },
        SocketAddr::new([127, 0, 0, 1].into(), address.port())
    )]
    Reachable {
        /// `listen` or `internal`.
        key: &'static str,
        /// Its address.
        address: SocketAddr,
    },

    /// Both listeners have the same port.
    #[error(
        "internal = \"{internal}\" takes the same port as listen = \"{listen}\"; write another port for one of them"
    )]
    SamePort {
        /// The public listener's address.
        listen: SocketAddr,
        /// The internal listener's address.
        internal: SocketAddr,
    },

    /// An entry of `origins.allowed` that no browser ever sends.
    #[error(
        "origins.allowed has the entry \"{entry}\", which no Origin header can match; write \"*\", or scheme, host and port \
         without a path, such as \"https://app.example.com\" or \"https://*.example.com:*\""
    )]
    Origin {
        /// The entry.
        entry: String,
    },
}

impl Fault {
    /// Whether it may be the reason why this setting does not have the value that its writer wanted.
    pub(super) fn concerns(&self, key: &str) -> bool {
        match self {
            Self::UnknownKey { nearest, .. } => nearest.key() == key,
            Self::UnknownVariable { nearest } => {
                super::table::find(key).is_some_and(|s| s.variable() == *nearest)
            }
            Self::Value { setting, .. } => setting.key() == key,
            Self::UnknownSection { nearest, .. } => key
                .split_once('.')
                .is_some_and(|(section, _)| section == *nearest),
            Self::Unreadable { .. }
            | Self::TooLong { .. }
            | Self::NotUtf8
            | Self::NotToml { .. }
            | Self::Twice => true,
            Self::NamespaceAlone => key.starts_with("namespace."),
            Self::NamespaceWithoutChannels => key == "namespace.channels",
            Self::TooMany { .. }
            | Self::SectionAsSetting { .. }
            | Self::NamespaceTwice { .. }
            | Self::TokenWithoutKey { .. }
            | Self::ClaimWithoutKey { .. }
            | Self::ShortSecret { .. }
            | Self::ApiKey { .. }
            | Self::ShortApiKey { .. }
            | Self::Reachable { .. }
            | Self::SamePort { .. }
            | Self::Origin { .. } => false,
        }
    }
}

/// Why a value cannot be used for its setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It is of another kind than the setting.
    OtherKind {
        /// The kind that was found.
        found: &'static str,
    },
    /// A list has an entry that is not text.
    OtherKindInList {
        /// The kind that was found.
        found: &'static str,
    },
    /// It cannot be read as what the setting is.
    Unreadable,
    /// It is empty.
    Empty,
    /// It is not UTF-8.
    NotUtf8,
    /// It is no pattern of channels.
    NotAPattern(PatternError),
    /// The number is below the setting's minimum.
    BelowMinimum,
    /// The number is above the setting's maximum.
    AboveMaximum,
    /// It is not an IP address and port.
    NotAnAddress {
        /// What may have been meant.
        perhaps: SocketAddr,
    },
}

impl Refusal {
    /// The rest of a sentence that begins with the value. In the file texts are written in quotes, elsewhere they are not.
    fn told_of(&self, setting: &Setting, in_file: bool) -> String {
        let instead = setting.instead(in_file);
        let text = |text: &str| {
            if in_file {
                format!("\"{text}\"")
            } else {
                text.to_owned()
            }
        };
        match (self, &setting.bounds) {
            (Self::BelowMinimum, Some(bounds)) => {
                format!(
                    "is below the minimum, {}; {instead}",
                    setting.amount(bounds.min)
                )
            }
            (Self::AboveMaximum, Some(bounds)) => {
                format!(
                    "is above the maximum, {}; {instead}",
                    setting.amount(bounds.max)
                )
            }
            (Self::OtherKind { found }, _) => {
                format!("is {found}, not {}; {instead}", setting.expected().noun())
            }
            (Self::OtherKindInList { found }, _) => {
                format!("has an entry that is {found}, not text; {instead}")
            }
            (Self::NotUtf8, _) => format!("is not UTF-8 text; {instead}"),
            (Self::Empty, _) => format!("is empty; {instead}, or leave it out"),
            (Self::NotAPattern(error), _) => {
                format!("is no pattern of channels: {error}; {instead}")
            }
            (Self::NotAnAddress { perhaps }, _) => {
                format!(
                    "is not an IP address and port; write for example {}",
                    text(&perhaps.to_string())
                )
            }
            (Self::Unreadable | Self::BelowMinimum | Self::AboveMaximum, _) => {
                format!("is not {}; {instead}", setting.expected().noun())
            }
        }
    }
}

/// What kind of value a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A whole number within bounds.
    Number,
    /// `true` or `false`.
    YesOrNo,
    /// An IP address and port.
    Address,
    /// A list of texts.
    List,
    /// A text that is not empty.
    Text,
    /// The name of a file.
    File,
    /// A text that nobody is shown.
    Secret,
    /// A list of them.
    Secrets,
    /// A duration: a whole number and a unit, as in `10m`.
    Duration,
    /// Which channels: `news`, or `news:*`.
    Pattern,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Expected {
    /// For a sentence: "is not ...".
    fn noun(self) -> &'static str {
        match self {
            Self::Number => "a whole number",
            Self::YesOrNo => "a truth value",
            Self::Address => "an IP address and port",
            Self::List | Self::Secrets => "a list of texts",
            Self::Text | Self::Secret => "a text",
            Self::File => "the name of a file",
            Self::Duration => "a duration",
            Self::Pattern => "a pattern of channels",
            Self::Word(_) => "one of its words",
        }
    }
}

/// The line that begins a section in the file.
pub(super) fn header(section: &str) -> String {
    if section == namespace_section().name {
        format!("[[{section}]]")
    } else {
        format!("[{section}]")
    }
}

/// The text without anything that would break a terminal's line: control characters are written out.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
    }
    line
}

/// The beginning of a value as it was written, short enough for a line.
pub(super) fn excerpt(written: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut excerpt: String = written.chars().take(CHARS_MAX).collect();
    if excerpt.len() < written.len() {
        excerpt.push_str("...");
    }
    excerpt
}
