//! What holds for which channels.

pub use crate::config::{ChannelPattern, SlowPolicy, Who};
use crate::config::{Config, NamespaceConfig};

/// What holds for the channels of one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Which one of the configuration it is, counted from 1; 0 for what holds where nothing is configured.
    pub number: usize,
    /// Which channels these are.
    pub channels: ChannelPattern,
    /// How many publications of a channel are kept; 0 for none, or with `cache` for the last alone, which is then for new
    /// subscribers and not for those who come back.
    pub history_size: usize,
    /// How long they are kept, in ms.
    pub history_ttl_ms: u64,
    /// Bytes that the history of one channel may have.
    pub history_bytes_max: usize,
    /// Bytes that the histories of all its channels on one shard may have together; 0 where only the shard's own bound
    /// holds.
    pub histories_bytes_max: usize,
    /// Whether the owner knows who is subscribed.
    pub presence: bool,
    /// Whether subscribers are told who comes and who goes.
    pub join_leave: bool,
    /// Whether a new subscriber is sent the last publication.
    pub cache: bool,
    /// The shortest time between two publications to a subscriber, in ms; 0 for no such limit.
    pub latest_every_ms: u64,
    /// What happens to a subscriber that takes them too slowly.
    pub slow_consumer: SlowPolicy,
    /// Which connections may subscribe.
    pub subscribe: Who,
    /// Which connections may publish.
    pub publish: Who,
    /// Whether a subscription can be to many channels, by `*` and `>` in its name.
    pub wildcards: bool,
    /// Subscribers that one channel may have; 0 for no limit.
    pub subscribers_max: usize,
}

impl Namespace {
    /// What the configuration says; `general` is who may subscribe and publish where it does not say.
    fn new(number: usize, config: &NamespaceConfig, general: Who) -> Self {
        Self {
            number,
            channels: config.channels.clone(),
            history_size: config.history_size,
            history_ttl_ms: u64::try_from(config.history_ttl.as_millis()).unwrap_or(u64::MAX),
            history_bytes_max: config.history_bytes_max,
            histories_bytes_max: config.histories_bytes_max,
            presence: config.presence,
            join_leave: config.join_leave,
            cache: config.cache,
            latest_every_ms: config.latest_every_ms,
            slow_consumer: config.slow_consumer,
            subscribe: config.subscribe.unwrap_or(general),
            publish: config.publish.unwrap_or(general),
            wildcards: config.wildcards,
            subscribers_max: config.subscribers_max,
        }
    }
}

impl Default for Namespace {
    /// What holds for all channels where nothing is configured: no history, and anyone subscribes and publishes.
    fn default() -> Self {
        Self::new(0, &NamespaceConfig::default(), Who::Anyone)
    }
}

/// All namespaces of a server. Made once; looking one up is two binary searches and allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Those for one channel, by its name.
    exact: Vec<Namespace>,
    /// Those for all that begin alike, by that beginning.
    prefixes: Vec<Prefix>,
    /// For channels that are in none of them.
    default: Namespace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix {
    namespace: Namespace,
    /// Where the longest of the others is that this one begins with.
    parent: Option<usize>,
}

impl Namespaces {
    /// Those of a configuration, which must have been checked: of two with the same pattern the first holds.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let general = if config.auth.checks_tokens() {
            Who::Token
        } else {
            Who::Anyone
        };
        let all = (1..)
            .zip(&config.namespaces)
            .map(|(number, namespace)| Namespace::new(number, namespace, general));
        let (mut beginnings, mut exact): (Vec<_>, Vec<_>) =
            all.partition(|namespace| namespace.channels.is_prefix());
        for list in [&mut beginnings, &mut exact] {
            // It keeps the order of those that are the same.
            list.sort_by(|a, b| a.channels.cmp(&b.channels));
            list.dedup_by(|a, b| a.channels == b.channels);
        }
        Self {
            exact,
            prefixes: with_parents(beginnings),
            default: Namespace::new(0, &NamespaceConfig::default(), general),
        }
    }

    /// The same for all channels.
    #[must_use]
    pub fn uniform(general: Namespace) -> Self {
        Self {
            default: general,
            ..Self::default()
        }
    }

    /// What holds for a channel: the namespace with its very name, else the one with the longest beginning of it, else what
    /// holds where nothing is configured.
    #[must_use]
    pub fn of(&self, channel: &str) -> &Namespace {
        let named = self
            .exact
            .binary_search_by(|namespace| namespace.channels.text().cmp(channel));
        if let Ok(index) = named {
            return &self.exact[index];
        }
        let behind = self
            .prefixes
            .partition_point(|prefix| prefix.namespace.channels.text() <= channel);
        // Whatever stands between a beginning of the name and the name itself has that same beginning. So the longest one
        // that is in the list is the last that is not behind the name, or one that this begins with.
        let mut next = behind.checked_sub(1);
        while let Some(index) = next {
            let Prefix { namespace, parent } = &self.prefixes[index];
            if namespace.channels.matches(channel) {
                return namespace;
            }
            next = *parent;
        }
        &self.default
    }

    /// All of them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Namespace> {
        let prefixes = self.prefixes.iter().map(|prefix| &prefix.namespace);
        let default = std::iter::once(&self.default);
        self.exact.iter().chain(prefixes).chain(default)
    }

    /// What holds where nothing is configured.
    #[must_use]
    pub fn default_namespace(&self) -> &Namespace {
        &self.default
    }
}

/// The same with parents; they come sorted by what they begin with.
fn with_parents(sorted: Vec<Namespace>) -> Vec<Prefix> {
    let mut prefixes: Vec<Prefix> = Vec::with_capacity(sorted.len());
    for namespace in sorted {
        // As in `Namespaces::of`: the one before, or one that that begins with.
        let mut parent = prefixes.len().checked_sub(1);
        while let Some(index) = parent {
            let candidate = &prefixes[index];
            if candidate
                .namespace
                .channels
                .matches(namespace.channels.text())
            {
                break;
            }
            parent = candidate.parent;
        }
        prefixes.push(Prefix { namespace, parent });
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channel::NAME_BYTES_MAX;
    use crate::config::Secret;

    fn config(patterns: &[&str]) -> Config {
        let namespaces = patterns.iter().map(|pattern| NamespaceConfig {
            channels: ChannelPattern::parse(pattern).unwrap(),
            ..NamespaceConfig::default()
        });
        Config {
            namespaces: namespaces.collect(),
            ..Config::default()
        }
    }

    #[test]
    fn the_very_name_wins_then_the_longest_beginning_then_the_default() {
        let namespaces = Namespaces::new(&config(&[
            "news:*",
            "*",
            "news:sport:*",
            "news:sport:goals",
            "news:sport:go*",
        ]));
        for (channel, pattern) in [
            ("news:sport:goals", "news:sport:goals"),
            ("news:sport:goal", "news:sport:go*"),
            ("news:sport:", "news:sport:*"),
            ("news:sports", "news:*"),
            ("news:", "news:*"),
            ("news", "*"),
            ("~", "*"),
        ] {
            let found = namespaces.of(channel).channels.to_string();
            assert_eq!(found, pattern, "{channel}");
        }
        let without = Namespaces::new(&config(&["news:*"]));
        assert_eq!(without.of("new"), without.default_namespace());
        assert_eq!(without.of("old"), without.default_namespace());
    }

    #[test]
    fn patterns_are_as_long_as_names() {
        assert_eq!(ChannelPattern::BYTES_MAX, NAME_BYTES_MAX);
    }

    #[test]
    fn without_anything_configured_nothing_is_kept_and_anyone_may_do_all() {
        let namespaces = Namespaces::default();
        let namespace = namespaces.of("news");
        assert_eq!((namespace.history_size, namespace.cache), (0, false));
        assert_eq!(namespaces, Namespaces::new(&Config::default()));
        assert_eq!(namespace.subscribe, Who::Anyone);
        assert_eq!(namespace.publish, Who::Anyone);
    }

    #[test]
    fn where_tokens_are_checked_those_who_have_one_may_unless_a_namespace_says_otherwise() {
        let mut config = config(&["open", "closed"]);
        config.auth.hmac_secret = Some(Secret::new("x".repeat(32)));
        config.namespaces[0].subscribe = Some(Who::Anyone);
        config.namespaces[1].publish = Some(Who::Nobody);
        let namespaces = Namespaces::new(&config);
        let of = |channel| {
            let namespace = namespaces.of(channel);
            (namespace.subscribe, namespace.publish)
        };
        assert_eq!(of("open"), (Who::Anyone, Who::Token));
        assert_eq!(of("closed"), (Who::Token, Who::Nobody));
        assert_eq!(of("other"), (Who::Token, Who::Token));
    }

    /// Goes through all patterns.
    fn naive<'a>(patterns: &'a [String], channel: &str) -> Option<&'a String> {
        let matching = patterns
            .iter()
            .filter(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => channel.starts_with(beginning),
                None => *pattern == channel,
            });
        // An exact one is as long as the name, and wins over `name*`, which is as long without its star.
        matching
            .max_by_key(|pattern| (pattern.trim_end_matches('*').len(), !pattern.ends_with('*')))
    }

    proptest! {
        /// Few letters, of one and of several bytes, so that many begin alike.
        #[test]
        fn of_any_patterns_the_one_is_found_that_going_through_all_finds(
            patterns in prop::collection::hash_set("[abß]{0,4}\\*?", 0..12),
            channels in prop::collection::vec("[abßz]{1,6}", 1..8),
        ) {
            let patterns: Vec<String> = patterns.into_iter().filter(|p| !p.is_empty()).collect();
            let namespaces = Namespaces::new(&config(&patterns.iter().map(String::as_str).collect::<Vec<_>>()));
            for channel in channels {
                let found = namespaces.of(&channel);
                match naive(&patterns, &channel) {
                    Some(pattern) => prop_assert_eq!(&found.channels.to_string(), pattern),
                    None => prop_assert_eq!(found, namespaces.default_namespace()),
                }
            }
        }
    }
}
