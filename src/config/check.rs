//! What must hold between settings, and what is allowed but should be said at every start.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use super::error::{ConfigError, Fault, Place, Problem};
use super::pattern::ChannelPattern;
use super::table::{Field, Setting, fields, namespace_fields, namespace_settings, settings};
use super::value::grouped;
use super::{AuthConfig, Config, Who};

/// Bytes that the key of HS256 has at least (RFC 7518, section 3.2). Who has a token can try out shorter ones.
pub(crate) const SECRET_BYTES_MIN: usize = 32;

/// Bytes that a key of the internal listener has at least.
pub(crate) const API_KEY_BYTES_MIN: usize = 16;

impl AuthConfig {
    /// Whether there is a key to check clients' tokens with.
    #[must_use]
    pub fn checks_tokens(&self) -> bool {
        self.hmac_secret.is_some() || self.jwks_file.is_some()
    }
}

impl Config {
    /// Checks every bound and what must hold between settings, and tells what an operator should hear at every start.
    ///
    /// [`load`](super::load) has done this already; a program that puts a `Config` together itself calls it.
    ///
    /// # Errors
    /// If a value is out of its bounds, a listener can be reached from other machines without authentication and without
    /// `insecure`, both listeners have the same port, an allowed origin or a key is none, two namespaces have the same pattern,
    /// or one asks for tokens that nothing can check.
    pub fn validate(&self) -> Result<Vec<Warning>, ConfigError> {
        let bounds = out_of_bounds(self, settings(), fields());
        let of_namespaces = self
            .namespaces
            .iter()
            .flat_map(|one| out_of_bounds(one, namespace_settings(), namespace_fields()));
        let between = faults(self).into_iter().map(|(_, fault)| fault);
        let all = bounds.into_iter().chain(of_namespaces).chain(between);
        let problems = all.map(|fault| Problem {
            place: Place::Program,
            fault,
        });
        ConfigError::none_of(problems.collect())?;
        Ok(warnings(self))
    }
}

/// What cannot be in a configuration, or in a namespace of one, whatever else is in it.
fn out_of_bounds<In>(
    of: &In,
    settings: &'static [Setting],
    fields: &'static [Field<In>],
) -> Vec<Fault> {
    let rows = settings.iter().zip(fields);
    rows.filter_map(|(setting, field)| {
        let refusal = (field.check)(of, setting.bounds.as_ref()).err()?;
        Some(Fault::Value {
            setting,
            written: (field.to_toml)(of),
            refusal,
        })
    })
    .collect()
}

/// Something that is allowed and that an operator should hear at every start. Displayed as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Without authentication, on an address that other machines reach.
    #[error(
        "insecure is set: {key} = \"{address}\" can be reached from other machines, and whoever reaches it may subscribe and \
         publish to every channel"
    )]
    Reachable {
        /// `listen` or `internal`.
        key: &'static str,
        /// Its address.
        address: SocketAddr,
    },

    /// `insecure` is set and changes nothing.
    #[error(
        "insecure is set, but nothing needs it: leave it out, it would hide a mistake made later"
    )]
    NeedlesslyInsecure,

    /// A backlog that cannot hold the longest message.
    #[error(
        "slow_consumer.backlog_bytes_max = {} is less than limits.message_bytes_max = {} bytes: \
         one long message can close a connection that is only a little slow",
        grouped(*backlog_bytes_max as u64),
        grouped(*message_bytes_max as u64)
    )]
    BacklogBelowMessage {
        /// In bytes.
        backlog_bytes_max: usize,
        /// In bytes.
        message_bytes_max: usize,
    },

    /// A history that cannot hold the longest message.
    #[error(
        "history_bytes_max = {} of the channels \"{channels}\" is less than limits.message_bytes_max = {message_bytes_max} bytes: \
         a long message is not kept, and who misses it is told of a gap",
        grouped(*history_bytes_max as u64)
    )]
    HistoryBelowMessage {
        /// Of the namespace.
        channels: ChannelPattern,
        /// In bytes.
        history_bytes_max: usize,
        /// In bytes.
        message_bytes_max: usize,
    },

    /// All histories of a namespace together may have less than each of them.
    #[error(
        "histories_bytes_max = {} of the channels \"{channels}\" is less than history_bytes_max = {} bytes: \
         no channel can keep as much as it may",
        grouped(*histories_bytes_max as u64),
        grouped(*history_bytes_max as u64)
    )]
    HistoriesBelowHistory {
        /// Of the namespace.
        channels: ChannelPattern,
        /// In bytes.
        histories_bytes_max: usize,
        /// In bytes.
        history_bytes_max: usize,
    },
}

fn warnings(config: &Config) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = unguarded(config)
        .map(|(key, address)| Warning::Reachable { key, address })
        .collect();
    if config.insecure && warnings.is_empty() {
        warnings.push(Warning::NeedlesslyInsecure);
    }
    let (backlog_bytes_max, message_bytes_max) = (
        config.slow_consumer.backlog_bytes_max,
        config.limits.message_bytes_max,
    );
    if backlog_bytes_max < message_bytes_max {
        warnings.push(Warning::BacklogBelowMessage {
            backlog_bytes_max,
            message_bytes_max,
        });
    }
    let short = config.namespaces.iter().filter(|namespace| {
        (namespace.history_size > 0 || namespace.cache)
            && namespace.history_bytes_max < message_bytes_max
    });
    warnings.extend(short.map(|namespace| Warning::HistoryBelowMessage {
        channels: namespace.channels.clone(),
        history_bytes_max: namespace.history_bytes_max,
        message_bytes_max,
    }));
    let tight = config.namespaces.iter().filter(|namespace| {
        (1..namespace.history_bytes_max).contains(&namespace.histories_bytes_max)
            && (namespace.history_size > 0 || namespace.cache)
    });
    warnings.extend(tight.map(|namespace| Warning::HistoriesBelowHistory {
        channels: namespace.channels.clone(),
        histories_bytes_max: namespace.histories_bytes_max,
        history_bytes_max: namespace.history_bytes_max,
    }));
    warnings
}

/// Where the setting is that a fault is about.
#[derive(Clone, Copy)]
pub(super) enum Spot {
    /// The setting with this key.
    Setting(&'static str),
    /// The setting of this name in the namespace with this index.
    Namespace(usize, &'static str),
}

/// What does not hold between settings, each with the setting that it is written for.
pub(super) fn faults(config: &Config) -> Vec<(Spot, Fault)> {
    let mut faults = Vec::new();
    if !config.insecure {
        faults.extend(
            unguarded(config)
                .map(|(key, address)| (Spot::Setting(key), Fault::Reachable { key, address })),
        );
    }
    if same_port(config.listen, config.internal) {
        faults.push((
            Spot::Setting("internal"),
            Fault::SamePort {
                listen: config.listen,
                internal: config.internal,
            },
        ));
    }
    let strange = config
        .origins
        .allowed
        .iter()
        .filter(|entry| !could_be_an_origin(entry));
    faults.extend(strange.map(|entry| {
        (
            Spot::Setting("origins.allowed"),
            Fault::Origin {
                entry: entry.clone(),
            },
        )
    }));
    faults.extend(faults_of_auth(&config.auth));
    faults.extend(faults_of_namespaces(config));
    faults
}

fn faults_of_auth(auth: &AuthConfig) -> Vec<(Spot, Fault)> {
    let mut faults = Vec::new();
    if let Some(secret) = &auth.hmac_secret
        && secret.reveal().len() < SECRET_BYTES_MIN
    {
        let bytes = secret.reveal().len();
        let spot = Spot::Setting("auth.hmac_secret");
        faults.push((spot, Fault::ShortSecret { bytes }));
    }
    let spot = Spot::Setting("auth.api_keys");
    for (number, key) in (1..).zip(&auth.api_keys) {
        let (key, bytes) = (key.reveal(), key.reveal().len());
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.push((spot, Fault::ApiKey { number }));
        } else if bytes < API_KEY_BYTES_MIN {
            faults.push((spot, Fault::ShortApiKey { number, bytes }));
        }
    }
    for (spot, name, claim) in [
        ("auth.audience", "audience", &auth.audience),
        ("auth.issuer", "issuer", &auth.issuer),
    ] {
        if claim.is_some() && !auth.checks_tokens() {
            faults.push((Spot::Setting(spot), Fault::ClaimWithoutKey { name }));
        }
    }
    faults
}

fn faults_of_namespaces(config: &Config) -> Vec<(Spot, Fault)> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for (index, namespace) in config.namespaces.iter().enumerate() {
        let channels = &namespace.channels;
        if !seen.insert(channels) {
            let fault = Fault::NamespaceTwice {
                channels: channels.clone(),
            };
            faults.push((Spot::Namespace(index, "channels"), fault));
        }
        for (name, who) in [
            ("subscribe", namespace.subscribe),
            ("publish", namespace.publish),
        ] {
            if who == Some(Who::Token) && !config.auth.checks_tokens() {
                let fault = Fault::TokenWithoutKey {
                    channels: channels.clone(),
                    name,
                };
                faults.push((Spot::Namespace(index, name), fault));
            }
        }
    }
    faults
}

impl Fault {
    /// The settings without which this fault would not be there.
    pub(super) fn depends_on(&self) -> &'static [&'static str] {
        match self {
            Self::Reachable { key: "listen", .. } => {
                &["listen", "insecure", "auth.hmac_secret", "auth.jwks_file"]
            }
            Self::Reachable { .. } => &["internal", "insecure", "auth.api_keys"],
            Self::TokenWithoutKey { .. } | Self::ClaimWithoutKey { .. } => {
                &["auth.hmac_secret", "auth.jwks_file"]
            }
            Self::ShortSecret { .. } => &["auth.hmac_secret"],
            Self::ApiKey { .. } | Self::ShortApiKey { .. } => &["auth.api_keys"],
            Self::NamespaceTwice { .. } => &["namespace.channels"],
            Self::SamePort { .. } => &["listen", "internal"],
            Self::Origin { .. } => &["origins.allowed"],
            _ => &[],
        }
    }
}

/// The listeners that other machines reach and at which nothing checks who comes.
fn unguarded(config: &Config) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let listeners = [
        ("listen", config.listen, config.auth.checks_tokens()),
        (
            "internal",
            config.internal,
            !config.auth.api_keys.is_empty(),
        ),
    ];
    // An IPv4 address in IPv6 clothes (::ffff:127.0.0.1) is the IPv4 one.
    let reached = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
    listeners
        .into_iter()
        .filter(move |(_, address, guarded)| !guarded && reached(address))
        .map(|(key, address, _)| (key, address))
}

/// Whether two listeners get into each other's way. Port 0 is a free port, a new one each time.
fn same_port(listen: SocketAddr, internal: SocketAddr) -> bool {
    let (a, b) = (listen.ip().to_canonical(), internal.ip().to_canonical());
    // 0.0.0.0 takes the port on every IPv4 address, [::] on every address of both kinds.
    let includes =
        |a: IpAddr, b: IpAddr| a == b || a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    listen.port() != 0 && listen.port() == internal.port() && (includes(a, b) || includes(b, a))
}

/// Whether some `Origin` header could match the pattern: `*`, `null`, or scheme and host without a path.
fn could_be_an_origin(pattern: &str) -> bool {
    if pattern == "*" || pattern == "null" {
        return true;
    }
    let Some((scheme, host)) = pattern.split_once("://") else {
        return false;
    };
    let host_fits = |c: char| {
        !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '?' | '#' | '@' | ',' | '"')
    };
    !scheme.is_empty()
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '*'))
        && !host.is_empty()
        && host.chars().all(host_fits)
}
