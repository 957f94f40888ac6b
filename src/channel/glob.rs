//! Patterns that channels are looked for with: `*` for any characters, `?` for one, `[a-z]` and `[!a-z]` for
//! one of a set, a backslash in front of any of these for itself.
//!
//! Written here because it runs on a shard's thread: its time is bounded by the product of the two lengths,
//! which backtracking matchers are not.

/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 255;

/// A pattern of channel names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<[Part]>);

/// Why a text is no pattern; its writer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Over the limit.
    #[error("the pattern has {0} bytes: at most {PATTERN_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// `[` without its end.
    #[error("the pattern has a [ without a ]: write \\[ for the character itself")]
    OpenSet,
    /// `[]` or `[!]`.
    #[error("the pattern has a set without characters: write what is in it, as in [a-z]")]
    EmptySet,
    /// A backslash at the end.
    #[error("the pattern ends in a backslash: write two for the character itself")]
    OpenEscape,
    /// `{`, which other servers have and this one has not.
    #[error(
        "alternatives in braces are not known here: ask for each by itself, or write \\{{ for the character"
    )]
    Braces,
}

/// What a part of a pattern stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `*`
    Any,
    /// `?`
    One,
    /// A character.
    Exactly(char),
    /// A character of these ranges, or of none of them.
    Set {
        ranges: Box<[(char, char)]>,
        within: bool,
    },
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(GlobError::TooLong(text.len()));
        }
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            parts.push(match c {
                // Several in a row say no more than one.
                '*' if parts.last() == Some(&Part::Any) => continue,
                '*' => Part::Any,
                '?' => Part::One,
                '[' => set(&mut rest)?,
                '{' => return Err(GlobError::Braces),
                '\\' => Part::Exactly(rest.next().ok_or(GlobError::OpenEscape)?),
                c => Part::Exactly(c),
            });
        }
        Ok(Self(parts.into()))
    }

    /// Whether the whole name is one of those that the pattern stands for.
    pub fn matches(&self, name: &str) -> bool {
        let parts = &*self.0;
        let (mut part, mut rest) = (0, name);
        // Where to go on when the last `*` has to take one character more: behind it, and from which text on.
        let mut retry: Option<(usize, &str)> = None;
        loop {
            let next = rest.chars().next();
            match (parts.get(part), next) {
                (Some(Part::Any), _) => {
                    part += 1;
                    retry = Some((part, rest));
                    continue;
                }
                (None, None) => return true,
                (Some(one), Some(c)) if one.takes(c) => {
                    part += 1;
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
                _ => {}
            }
            // An earlier `*` need not be tried again: what it could take, the last one can take as well.
            let Some((behind, from)) = retry else {
                return false;
            };
            let Some(taken) = from.chars().next() else {
                return false;
            };
            let from = &from[taken.len_utf8()..];
            (part, rest, retry) = (behind, from, Some((behind, from)));
        }
    }

    /// The only name that it stands for, if it has nothing but characters.
    pub fn exact(&self) -> Option<String> {
        let characters = self.0.iter().map(|part| match part {
            Part::Exactly(c) => Some(*c),
            _ => None,
        });
        characters.collect()
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Exactly(own) => *own == c,
            Self::Set { ranges, within } => {
                ranges.iter().any(|&(from, to)| (from..=to).contains(&c)) == *within
            }
        }
    }
}

/// A set, behind its opening bracket.
fn set(rest: &mut std::str::Chars<'_>) -> Result<Part, GlobError> {
    let mut ranges: Vec<(char, char)> = Vec::new();
    let mut within = true;
    if rest.clone().next() == Some('!') {
        rest.next();
        within = false;
    }
    loop {
        let from = match rest.next().ok_or(GlobError::OpenSet)? {
            ']' if ranges.is_empty() => return Err(GlobError::EmptySet),
            ']' => break,
            '\\' => rest.next().ok_or(GlobError::OpenSet)?,
            c => c,
        };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *rest = ahead;
                match to {
                    '\\' => rest.next().ok_or(GlobError::OpenSet)?,
                    to => to,
                }
            }
            _ => from,
        };
        ranges.push((from, to));
    }
    Ok(Part::Set {
        ranges: ranges.into(),
        within,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_stands_for_whole_names() {
        for (pattern, fits, does_not) in [
            ("news", &["news"][..], &["", "new", "newss", "News"][..]),
            ("*", &["", "a", "a:b/c"], &[]),
            (
                "news:*",
                &["news:", "news:a", "news:a:b"],
                &["news", "a:news:"],
            ),
            ("*:a", &[":a", "x:a", "x:a:a"], &["a", "x:ab"]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "acb", "abcd"]),
            ("?", &["a", "é"], &["", "ab"]),
            (
                "ro?m-[0-9]",
                &["room-0", "roem-9"],
                &["room-", "room-x", "room-10"],
            ),
            ("[!a-c]x", &["dx", "éx"], &["ax", "x"]),
            ("[a-]", &["a", "-"], &["b"]),
            (r"\*\[\?", &["*[?"], &["a[b"]),
            (r"[\]]", &["]"], &["\\"]),
        ] {
            for name in fits {
                assert!(
                    matches(pattern, name),
                    "{pattern} does not stand for {name}"
                );
            }
            for name in does_not {
                assert!(!matches(pattern, name), "{pattern} stands for {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        for (pattern, error) in [
            ("[a", GlobError::OpenSet),
            (r"[a\", GlobError::OpenSet),
            ("[]", GlobError::EmptySet),
            ("[!]", GlobError::EmptySet),
            (r"a\", GlobError::OpenEscape),
            ("{a,b}", GlobError::Braces),
            (&"a".repeat(256), GlobError::TooLong(256)),
        ] {
            assert_eq!(Glob::parse(pattern), Err(error), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_without_wildcards_is_one_name() {
        let exact = |pattern| Glob::parse(pattern).unwrap().exact();
        assert_eq!(exact(r"a\*b").as_deref(), Some("a*b"));
        assert_eq!(exact("a*b"), None);
        assert_eq!(exact("[a]"), None);
    }

    #[test]
    fn many_stars_take_no_more_than_the_product_of_the_lengths() {
        let pattern = "*a".repeat(100) + "b";
        // A backtracking matcher does not come back from this.
        assert!(!matches(&pattern, &"a".repeat(255)));
    }

    /// Tries everything.
    fn oracle(parts: &[Part], name: &str) -> bool {
        let mut rest = name.chars();
        match (parts.split_first(), rest.next()) {
            (None, next) => next.is_none(),
            (Some((Part::Any, behind)), next) => {
                oracle(behind, name) || next.is_some() && oracle(parts, rest.as_str())
            }
            (Some((one, behind)), Some(c)) => one.takes(c) && oracle(behind, rest.as_str()),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_matcher_that_tries_everything_says_the_same(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
            let glob = Glob::parse(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&name), oracle(&glob.0, &name));
        }

        #[test]
        fn no_text_makes_it_panic(pattern in any::<String>(), name in any::<String>()) {
            if let Ok(glob) = Glob::parse(&pattern) {
                let _ = glob.matches(&name);
            }
        }
    }
}
