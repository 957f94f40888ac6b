//! What must hold between settings, and what is allowed but should be said at every start.

use std::net::{IpAddr, SocketAddr};

use super::Config;
use super::error::{ConfigError, Fault, Place, Problem};
use super::table::settings;
use super::value::grouped;

impl Config {
    /// Checks every bound and what must hold between settings, and tells what an operator should hear at every start.
    ///
    /// [`load`](super::load) has done this already; a program that puts a `Config` together itself calls it.
    ///
    /// # Errors
    /// If a number is out of its bounds, a listener can be reached from other machines without authentication and without
    /// `insecure`, both listeners have the same port, or an allowed origin is none.
    pub fn validate(&self) -> Result<Vec<Warning>, ConfigError> {
        let bounds = settings().iter().filter_map(|setting| {
            let refusal = (setting.check)(self, setting.bounds.as_ref()).err()?;
            Some(Fault::Value {
                setting,
                written: (setting.to_toml)(self),
                refusal,
            })
        });
        let between = faults(self).into_iter().map(|(_, fault)| fault);
        let problems = bounds.chain(between).map(|fault| Problem {
            place: Place::Program,
            fault,
        });
        ConfigError::none_of(problems.collect())?;
        Ok(warnings(self))
    }
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
        "insecure is set, but both listeners are loopback: leave it out, it would hide a mistake made later"
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
}

fn warnings(config: &Config) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = reachable(config)
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
    warnings
}

/// What does not hold between settings, each with the key of the setting that it is written for.
pub(super) fn faults(config: &Config) -> Vec<(&'static str, Fault)> {
    let mut faults = Vec::new();
    if !config.insecure {
        faults.extend(
            reachable(config).map(|(key, address)| (key, Fault::Reachable { key, address })),
        );
    }
    if same_port(config.listen, config.internal) {
        faults.push((
            "internal",
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
            "origins.allowed",
            Fault::Origin {
                entry: entry.clone(),
            },
        )
    }));
    faults
}

impl Fault {
    /// The settings without which this fault would not be there.
    pub(super) fn depends_on(&self) -> &'static [&'static str] {
        match self {
            Self::Reachable { key: "listen", .. } => &["listen", "insecure"],
            Self::Reachable { .. } => &["internal", "insecure"],
            Self::SamePort { .. } => &["listen", "internal"],
            Self::Origin { .. } => &["origins.allowed"],
            _ => &[],
        }
    }
}

/// The listeners that other machines reach.
fn reachable(config: &Config) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let listeners = [("listen", config.listen), ("internal", config.internal)];
    // An IPv4 address in IPv6 clothes (::ffff:127.0.0.1) is the IPv4 one.
    listeners
        .into_iter()
        .filter(|(_, address)| !address.ip().to_canonical().is_loopback())
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
