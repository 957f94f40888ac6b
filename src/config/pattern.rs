//! Which channels something is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which channels something is about: the one of this name (`news`), or all whose names begin alike (`news:*`; `*` for all
/// there are). A `*` stands only at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelPattern {
    /// The name, or what the names begin with.
    text: Box<str>,
    is_prefix: bool,
}

/// Why a text is no pattern of channels; the fault of who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It has no letter.
    #[error("it is empty")]
    Empty,
    /// No channel has so long a name.
    #[error("it has {0} bytes, and no channel's name more than {max}", max = ChannelPattern::BYTES_MAX)]
    TooLong(usize),
    /// A `*` somewhere else than at the end.
    #[error("a * stands only at its end")]
    Star,
    /// A line feed, a NUL or the like, which no channel's name has.
    #[error("it has the control character U+{0:04X}")]
    Control(u32),
}

impl ChannelPattern {
    /// Longest name, or beginning of names, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 255;

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says which rule the text breaks.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.is_empty() {
            return Err(PatternError::Empty);
        }
        let (text, is_prefix) = match pattern.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (pattern, false),
        };
        if text.len() > Self::BYTES_MAX {
            return Err(PatternError::TooLong(text.len()));
        }
        if text.contains('*') {
            return Err(PatternError::Star);
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(PatternError::Control(control.into()));
        }
        Ok(Self {
            text: text.into(),
            is_prefix,
        })
    }

    /// All channels: `*`.
    #[must_use]
    pub fn all() -> Self {
        Self {
            text: Box::default(),
            is_prefix: true,
        }
    }

    /// Whether a channel is among them.
    #[must_use]
    pub fn matches(&self, channel: &str) -> bool {
        if self.is_prefix {
            channel.starts_with(&*self.text)
        } else {
            channel == &*self.text
        }
    }

    /// Whether it is about all names that begin with [`ChannelPattern::text`], and not just about that one.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// The name, or what the names begin with.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ChannelPattern {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str(if self.is_prefix { "*" } else { "" })
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_the_beginning_of_names() {
        for (pattern, within, without) in [
            (
                "news",
                &["news"][..],
                &["new", "news:", "news*", "News"][..],
            ),
            ("news:*", &["news:", "news:a", "news:*"], &["news", "new:a"]),
            ("*", &["", "a", "\0user\0a"], &[]),
            ("a*", &["a", "ab"], &["", "ba"]),
        ] {
            let parsed = ChannelPattern::parse(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern);
            for channel in within {
                assert!(parsed.matches(channel), "{pattern} {channel}");
            }
            for channel in without {
                assert!(!parsed.matches(channel), "{pattern} {channel}");
            }
        }
        assert_eq!(ChannelPattern::parse("*"), Ok(ChannelPattern::all()));
    }

    #[test]
    fn a_text_that_is_no_pattern_is_refused_with_its_reason() {
        let long = "x".repeat(256);
        for (text, error) in [
            ("", PatternError::Empty),
            ("a*b", PatternError::Star),
            ("*a", PatternError::Star),
            ("**", PatternError::Star),
            ("a\n", PatternError::Control(10)),
            (&long, PatternError::TooLong(256)),
            (&format!("{long}*"), PatternError::TooLong(256)),
        ] {
            assert_eq!(ChannelPattern::parse(text), Err(error), "{text:?}");
        }
        assert!(ChannelPattern::parse(&"x".repeat(255)).is_ok());
    }
}
