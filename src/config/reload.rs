//! What of a configuration can change while a server runs, and what has.

use std::fmt;

use super::pattern::ChannelPattern;
use super::table::{Field, Setting, fields, namespace_fields, namespace_settings, settings};
use super::{Config, NamespaceConfig};

/// The settings that are heeded at a start alone: sockets, threads, rings and queues are made once.
const AT_START: [&str; 10] = [
    "listen",
    "internal",
    "shards",
    "echo",
    "fanout.scatter_entries",
    "fanout.recv_bytes",
    "mailbox.entries",
    "reactor.ring_entries",
    "reactor.listen_backlog",
    "log.format",
];

impl Setting {
    /// Whether a server that runs keeps its value until it is started anew.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        AT_START.contains(&&*self.key())
    }
}

/// How one configuration differs from another in one thing. Displayed as one line; secrets are not shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A setting has another value.
    Setting {
        /// The setting.
        setting: &'static Setting,
        /// The channels of the namespace that it belongs to, if it belongs to one.
        channels: Option<ChannelPattern>,
        /// The value before, as it is written in the file; empty if it was not set.
        from: String,
        /// The value now, likewise.
        to: String,
    },
    /// There was no such namespace before.
    NamespaceAdded(ChannelPattern),
    /// There is no such namespace any more.
    NamespaceRemoved(ChannelPattern),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { setting, .. } if setting.is_secret() => {
                write!(f, "{} has changed", setting.key())
            }
            Self::Setting {
                setting,
                channels,
                from,
                to,
            } => {
                let (from, to) = (or_not_set(from), or_not_set(to));
                match channels {
                    None => write!(f, "{} = {to} (was {from})", setting.key()),
                    Some(channels) => write!(
                        f,
                        "{} = {to} (was {from}) for the channels {channels:?}",
                        setting.name
                    ),
                }
            }
            Self::NamespaceAdded(channels) => {
                write!(f, "[[namespace]] for the channels {channels:?} is new")
            }
            Self::NamespaceRemoved(channels) => {
                write!(f, "[[namespace]] for the channels {channels:?} is gone")
            }
        }
    }
}

fn or_not_set(value: &str) -> &str {
    if value.is_empty() { "not set" } else { value }
}

/// A setting that was to have another value, which takes a restart. Displayed as one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The setting; none of these is secret.
    pub setting: &'static Setting,
    /// What it is, as it is written in the file.
    pub running: String,
    /// What it was to be, likewise.
    pub wanted: String,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            running,
            wanted,
        } = self;
        write!(
            f,
            "{} = {wanted} takes a restart, until which it is {running}",
            setting.key()
        )
    }
}

impl Config {
    /// This configuration as far as a server that runs with another can take it over: settings that take a restart have their
    /// values of there. Tells which of those were to be others.
    #[must_use]
    pub fn for_running(mut self, running: &Self) -> (Self, Vec<Kept>) {
        let mut kept = Vec::new();
        for (setting, field) in settings().iter().zip(fields()) {
            if setting.needs_restart() && !(field.is_same)(running, &self) {
                kept.push(Kept {
                    setting,
                    running: (field.to_toml)(running),
                    wanted: (field.to_toml)(&self),
                });
                (field.copy)(running, &mut self);
            }
        }
        (self, kept)
    }

    /// How this configuration differs from an earlier one, in the order of [`settings`] and of the namespaces.
    #[must_use]
    pub fn changes_since(&self, earlier: &Self) -> Vec<Change> {
        let mut all: Vec<Change> = changes(earlier, self, None, settings(), fields()).collect();
        let namesake = |of: &Self, namespace: &NamespaceConfig| {
            let mut namespaces = of.namespaces.iter();
            namespaces
                .find(|other| other.channels == namespace.channels)
                .cloned()
        };
        for namespace in &self.namespaces {
            let channels = &namespace.channels;
            match namesake(earlier, namespace) {
                None => all.push(Change::NamespaceAdded(channels.clone())),
                Some(before) => {
                    let (settings, fields) = (namespace_settings(), namespace_fields());
                    all.extend(changes(
                        &before,
                        namespace,
                        Some(channels),
                        settings,
                        fields,
                    ));
                }
            }
        }
        let gone = earlier
            .namespaces
            .iter()
            .filter(|before| namesake(self, before).is_none());
        all.extend(gone.map(|before| Change::NamespaceRemoved(before.channels.clone())));
        all
    }
}

fn changes<In>(
    from: &In,
    to: &In,
    channels: Option<&ChannelPattern>,
    settings: &'static [Setting],
    fields: &'static [Field<In>],
) -> impl Iterator<Item = Change> {
    let rows = settings.iter().zip(fields);
    rows.filter(move |(_, field)| !(field.is_same)(from, to))
        .map(move |(setting, field)| Change::Setting {
            setting,
            channels: channels.cloned(),
            from: (field.to_toml)(from),
            to: (field.to_toml)(to),
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn every_setting_that_takes_a_restart_is_one() {
        for key in AT_START {
            assert!(
                settings().iter().any(|setting| setting.key() == key),
                "{key}"
            );
        }
    }

    #[test]
    fn what_takes_a_restart_is_kept_and_told_and_all_else_is_taken_over() {
        let running = Config::default();
        let mut wanted = Config::default();
        wanted.listen.set_port(9000);
        wanted.mailbox.entries = 16;
        wanted.limits.subscriptions_max = 5;
        let (taken, kept) = wanted.for_running(&running);
        let lines: Vec<String> = kept.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "listen = \"127.0.0.1:9000\" takes a restart, until which it is \"127.0.0.1:8000\"",
                "mailbox.entries = 16 takes a restart, until which it is 4_096"
            ]
        );
        let mut expected = Config::default();
        expected.limits.subscriptions_max = 5;
        assert_eq!(taken, expected);
    }

    fn namespace(channels: &str) -> NamespaceConfig {
        NamespaceConfig {
            channels: ChannelPattern::parse(channels).unwrap(),
            ..NamespaceConfig::default()
        }
    }

    #[test]
    fn each_change_is_one_line_and_no_secret_is_in_it() {
        let mut before = Config::default();
        before.auth.hmac_secret = Some(Secret::new("sesame"));
        before.auth.api_keys = vec![Secret::new("sesame")];
        before.namespaces = vec![namespace("a:*"), namespace("gone")];
        let mut now = before.clone();
        now.limits.subscriptions_max = 5;
        now.auth.hmac_secret = Some(Secret::new("simsim"));
        now.auth.api_keys.push(Secret::new("simsim"));
        now.auth.issuer = Some("me".to_owned());
        now.namespaces = vec![namespace("b"), namespace("a:*")];
        now.namespaces[1].history_ttl = Duration::from_secs(60);
        let lines: Vec<String> = now
            .changes_since(&before)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "auth.hmac_secret has changed",
                "auth.api_keys has changed",
                "auth.issuer = \"me\" (was not set)",
                "limits.subscriptions_max = 5 (was 128)",
                "[[namespace]] for the channels \"b\" is new",
                "history_ttl = \"1m\" (was \"10m\") for the channels \"a:*\"",
                "[[namespace]] for the channels \"gone\" is gone",
            ]
        );
        assert_eq!(now.changes_since(&now), []);
    }
}
