//! Subscriptions to many channels at once, by the segments of their names.
//!
//! A pattern is a name of segments between full stops in which `*` stands for any one segment and, as
//! the last one, `>` for all that follow, of which there is at least one. Every owner knows all
//! patterns and looks a publication's channel up once, however many subscribers there are: a walk
//! down a tree, one step a segment.

use std::collections::HashMap;

use foldhash::quality::FixedState;

use super::{ChannelName, ShardSet};

/// What separates segments.
const SEPARATOR: char = '.';
/// Any one segment.
const ANY: &str = "*";
/// All segments that follow.
const REST: &str = ">";

/// Whether a name is a pattern: whether a segment of it is `*`, or its last one is `>`.
pub fn is_pattern(name: &str) -> bool {
    let mut segments = name.split(SEPARATOR);
    segments.next_back() == Some(REST) || name.split(SEPARATOR).any(|segment| segment == ANY)
}

/// Which shards have subscribers to which patterns.
#[derive(Debug, Default)]
pub struct Patterns {
    root: Node,
    patterns: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// By the next segment; `*` and `>` among them.
    next: HashMap<Box<str>, Node, FixedState>,
    /// The pattern that ends here.
    end: Option<(ChannelName, ShardSet)>,
}

impl Patterns {
    /// Patterns that some shard has subscribers to.
    pub fn len(&self) -> usize {
        self.patterns
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.patterns == 0
    }

    /// Notes that a shard has subscribers to a pattern.
    pub fn insert(&mut self, pattern: &ChannelName, shard: usize) {
        let mut node = &mut self.root;
        for segment in pattern.as_str().split(SEPARATOR) {
            node = node.next.entry(segment.into()).or_default();
        }
        let (_, shards) = node.end.get_or_insert_with(|| {
            self.patterns += 1;
            (pattern.clone(), ShardSet::default())
        });
        shards.insert(shard);
    }

    /// Notes that a shard has no subscriber to a pattern left.
    pub fn remove(&mut self, pattern: &ChannelName, shard: usize) {
        let segments: Vec<&str> = pattern.as_str().split(SEPARATOR).collect();
        if self.root.remove(&segments, shard) {
            self.patterns -= 1;
        }
    }

    /// Whether a pattern is known already.
    pub fn contains(&self, pattern: &ChannelName) -> bool {
        let mut node = &self.root;
        for segment in pattern.as_str().split(SEPARATOR) {
            match node.next.get(segment) {
                Some(next) => node = next,
                None => return false,
            }
        }
        node.end.is_some()
    }

    /// The patterns that a channel's name fits, and the shards with subscribers to them.
    pub fn matches(&self, channel: &str) -> Vec<(ChannelName, ShardSet)> {
        let mut found = Vec::new();
        self.root.matches(Some(channel), &mut found);
        found
    }

    /// All patterns, and the shards with subscribers to them, in no order.
    pub fn all(&self) -> Vec<(ChannelName, ShardSet)> {
        let mut found = Vec::with_capacity(self.patterns);
        self.root.all(&mut found);
        found
    }

    /// Number of (pattern, shard) pairs.
    pub fn interests(&self) -> usize {
        self.root.interests()
    }
}

impl Node {
    /// Takes a shard out of the pattern of those segments. Whether that was the pattern's last one.
    fn remove(&mut self, segments: &[&str], shard: usize) -> bool {
        let Some((segment, rest)) = segments.split_first() else {
            if let Some((_, shards)) = &mut self.end {
                shards.remove(shard);
            }
            return self.end.take_if(|(_, shards)| shards.is_empty()).is_some();
        };
        let Some(next) = self.next.get_mut(*segment) else {
            return false;
        };
        let was_last = next.remove(rest, shard);
        if next.end.is_none() && next.next.is_empty() {
            self.next.remove(*segment);
        }
        was_last
    }

    /// `rest` is what has not been walked of the name yet; `None` when all of it has.
    fn matches(&self, rest: Option<&str>, found: &mut Vec<(ChannelName, ShardSet)>) {
        let Some(rest) = rest else {
            found.extend(self.end.clone());
            return;
        };
        if self.next.is_empty() {
            return;
        }
        let (segment, behind) = match rest.split_once(SEPARATOR) {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (rest, None),
        };
        if let Some(all) = self.next.get(REST) {
            found.extend(all.end.clone());
        }
        if let Some(any) = self.next.get(ANY) {
            any.matches(behind, found);
        }
        // A channel's own segment may be written like one of the two.
        if segment != ANY
            && segment != REST
            && let Some(next) = self.next.get(segment)
        {
            next.matches(behind, found);
        }
    }

    fn all(&self, found: &mut Vec<(ChannelName, ShardSet)>) {
        found.extend(self.end.clone());
        for next in self.next.values() {
            next.all(found);
        }
    }

    fn interests(&self) -> usize {
        let own = self.end.as_ref().map_or(0, |(_, shards)| shards.count());
        own + self.next.values().map(Self::interests).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn found(patterns: &Patterns, channel: &str) -> BTreeSet<(String, Vec<usize>)> {
        let found = patterns.matches(channel).into_iter();
        found
            .map(|(pattern, shards)| (pattern.to_string(), shards.collect()))
            .collect()
    }

    #[test]
    fn a_star_is_one_segment_and_a_greater_than_sign_all_that_follow() {
        let mut patterns = Patterns::default();
        for pattern in ["a.*", "a.>", "*.b", "a.*.c", ">", "a.b.>"] {
            assert!(is_pattern(pattern), "{pattern}");
            patterns.insert(&name(pattern), 1);
        }
        let names = |channel| -> Vec<String> {
            found(&patterns, channel)
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(names("a"), [">"]);
        assert_eq!(names("a.b"), ["*.b", ">", "a.*", "a.>"]);
        assert_eq!(names("a.b.c"), [">", "a.*.c", "a.>", "a.b.>"]);
        assert_eq!(names("a.b.c.d"), [">", "a.>", "a.b.>"]);
        assert_eq!(names("x.y"), [">"]);
        assert_eq!(names("a."), [">", "a.*", "a.>"], "an empty segment is one");
    }

    #[test]
    fn what_only_looks_like_one_is_no_pattern() {
        for plain in ["a", "a.b", "a*", "*a.b", "a.>.b", "a>", ">.a", "a.b>"] {
            assert!(!is_pattern(plain), "{plain}");
        }
    }

    #[test]
    fn a_pattern_whose_last_shard_has_left_leaves_nothing_behind() {
        let mut patterns = Patterns::default();
        patterns.insert(&name("a.*"), 1);
        patterns.insert(&name("a.*"), 2);
        patterns.insert(&name("a.*.c"), 1);
        assert_eq!((patterns.len(), patterns.interests()), (2, 3));
        patterns.remove(&name("a.*"), 1);
        assert_eq!(
            found(&patterns, "a.b"),
            [("a.*".to_owned(), vec![2])].into()
        );
        patterns.remove(&name("a.*"), 2);
        patterns.remove(&name("a.*"), 2);
        patterns.remove(&name("b.*"), 2);
        assert!(patterns.contains(&name("a.*.c")) && !patterns.contains(&name("a.*")));
        patterns.remove(&name("a.*.c"), 1);
        assert!(patterns.is_empty() && patterns.root.next.is_empty());
    }

    /// The same by the definition, segment by segment.
    fn fits(pattern: &[&str], channel: &[&str]) -> bool {
        match (pattern, channel) {
            ([REST], [_, ..]) => true,
            ([], []) => true,
            ([first, pattern @ ..], [segment, channel @ ..]) => {
                (*first == ANY || first == segment) && fits(pattern, channel)
            }
            _ => false,
        }
    }

    fn names(segments: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(segments), 1..5)
            .prop_map(|segments| segments.join("."))
            .prop_filter("no empty name", |name| !name.is_empty())
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_fits(
            steps in prop::collection::vec((names(&["a", "b", "", "*", ">"]), 0usize..4, any::<bool>()), 0..40),
            channels in prop::collection::vec(names(&["a", "b", ""]), 1..10),
        ) {
            let mut patterns = Patterns::default();
            let mut oracle: BTreeSet<(String, usize)> = BTreeSet::new();
            for (pattern, shard, insert) in steps {
                if !is_pattern(&pattern) || pattern[..pattern.len() - 1].split('.').any(|s| s == REST) {
                    continue;
                }
                if insert {
                    patterns.insert(&name(&pattern), shard);
                    oracle.insert((pattern, shard));
                } else {
                    patterns.remove(&name(&pattern), shard);
                    oracle.remove(&(pattern, shard));
                }
            }
            prop_assert_eq!(patterns.interests(), oracle.len());
            for channel in channels {
                let segments: Vec<&str> = channel.split('.').collect();
                let expected: BTreeSet<(String, usize)> = oracle
                    .iter()
                    .filter(|(pattern, _)| fits(&pattern.split('.').collect::<Vec<_>>(), &segments))
                    .cloned()
                    .collect();
                let matched: BTreeSet<(String, usize)> = patterns
                    .matches(&channel)
                    .into_iter()
                    .flat_map(|(pattern, shards)| shards.map(move |shard| (pattern.to_string(), shard)))
                    .collect();
                prop_assert_eq!(matched, expected);
            }
        }
    }
}
