//! The types that a setting can have: how each is read from the file, from a line of text, and how it is written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeArray, DeValue};

use super::duration;
use super::error::{Expected, Refusal};
use super::pattern::ChannelPattern;
use super::secret::{HIDDEN, Secret};
use super::table::Bounds;

/// A type that a setting can have.
pub(super) trait Value: Sized {
    /// What to write for it.
    const EXPECTED: Expected;

    /// Reads the value of a key of the file.
    fn from_toml(value: &DeValue<'_>, bounds: Option<&Bounds>) -> Result<Self, Refusal>;

    /// Reads what a variable or a flag holds: the same as in the file, without quotes.
    fn from_text(text: &str, bounds: Option<&Bounds>) -> Result<Self, Refusal>;

    /// Whether a value that is already there keeps its bounds.
    fn check(&self, _bounds: Option<&Bounds>) -> Result<(), Refusal> {
        Ok(())
    }

    /// As it is written in the file; empty for what is not set.
    fn to_toml(&self) -> String;
}

/// A setting that need not be set.
impl<V: Value> Value for Option<V> {
    const EXPECTED: Expected = V::EXPECTED;

    fn from_toml(value: &DeValue<'_>, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        V::from_toml(value, bounds).map(Some)
    }

    fn from_text(text: &str, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        V::from_text(text, bounds).map(Some)
    }

    fn check(&self, bounds: Option<&Bounds>) -> Result<(), Refusal> {
        self.as_ref().map_or(Ok(()), |value| value.check(bounds))
    }

    fn to_toml(&self) -> String {
        self.as_ref().map(V::to_toml).unwrap_or_default()
    }
}

macro_rules! number_values {
    ($($Number:ty),+) => {
        $(
            impl Value for $Number {
                const EXPECTED: Expected = Expected::Number;

                fn from_toml(value: &DeValue<'_>, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
                    let DeValue::Integer(integer) = value else {
                        return Err(Refusal::OtherKind { found: kind(value) });
                    };
                    number_within(parse_integer(integer.as_str(), integer.radix()), bounds)
                }

                fn from_text(text: &str, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
                    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                    if !digits.starts_with(|c: char| c.is_ascii_digit())
                        || !digits.chars().all(|c| c.is_ascii_digit() || c == '_')
                    {
                        return Err(Refusal::Unreadable);
                    }
                    number_within(parse_integer(&text.replace('_', ""), 10), bounds)
                }

                fn check(&self, bounds: Option<&Bounds>) -> Result<(), Refusal> {
                    number_within::<Self>(i128::try_from(*self).unwrap_or(i128::MAX), bounds).map(|_| ())
                }

                fn to_toml(&self) -> String {
                    grouped(*self as u64)
                }
            }
        )+
    };
}

number_values!(u32, u64, usize);

/// The value of a whole number that may be far outside of every bound; the bounds speak about those.
fn parse_integer(digits: &str, radix: u32) -> i128 {
    i128::from_str_radix(digits, radix).unwrap_or(if digits.starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    })
}

fn number_within<N: TryFrom<i128>>(number: i128, bounds: Option<&Bounds>) -> Result<N, Refusal> {
    match bounds {
        Some(bounds) if number < i128::from(bounds.min) => Err(Refusal::BelowMinimum),
        Some(bounds) if number > i128::from(bounds.max) => Err(Refusal::AboveMaximum),
        _ => N::try_from(number).map_err(|_| Refusal::AboveMaximum),
    }
}

/// A number with `_` between each three digits, as TOML allows it: 65_536.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

impl Value for bool {
    const EXPECTED: Expected = Expected::YesOrNo;

    fn from_toml(value: &DeValue<'_>, _: Option<&Bounds>) -> Result<Self, Refusal> {
        match value {
            DeValue::Boolean(yes) => Ok(*yes),
            other => Err(Refusal::OtherKind { found: kind(other) }),
        }
    }

    fn from_text(text: &str, _: Option<&Bounds>) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Unreadable)
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    const EXPECTED: Expected = Expected::Address;

    fn from_toml(value: &DeValue<'_>, _: Option<&Bounds>) -> Result<Self, Refusal> {
        match value {
            DeValue::String(text) => Self::from_text(text, None),
            other => Err(Refusal::OtherKind { found: kind(other) }),
        }
    }

    fn from_text(text: &str, _: Option<&Bounds>) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::NotAnAddress {
            perhaps: address_perhaps(text),
        })
    }

    fn to_toml(&self) -> String {
        format!("\"{self}\"")
    }
}

/// What somebody may have meant who wrote `localhost:80`, `:80`, `80`, `10.0.0.1` or `::1`.
fn address_perhaps(text: &str) -> SocketAddr {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (text, None),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local = IpAddr::from([127, 0, 0, 1]);
    match (bare.parse::<IpAddr>(), bare.parse::<u16>()) {
        (Ok(ip), _) => SocketAddr::new(ip, port.unwrap_or(8000)),
        (_, Ok(only_port)) => SocketAddr::new(local, only_port),
        _ => SocketAddr::new(local, port.unwrap_or(8000)),
    }
}

impl Value for Vec<String> {
    const EXPECTED: Expected = Expected::List;

    fn from_toml(value: &DeValue<'_>, _: Option<&Bounds>) -> Result<Self, Refusal> {
        match value {
            DeValue::Array(entries) => strings_of(entries),
            other => Err(Refusal::OtherKind { found: kind(other) }),
        }
    }

    /// Entries with a comma between them; or a list as in the file, the only way to write an empty one.
    fn from_text(text: &str, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        if text.trim_start().starts_with('[') {
            return match DeValue::parse(text.trim()) {
                Ok(value) => Self::from_toml(value.get_ref(), bounds),
                Err(_) => Err(Refusal::Unreadable),
            };
        }
        let entries: Vec<String> = text
            .split(',')
            .map(|entry| entry.trim().to_owned())
            .collect();
        if entries.iter().any(String::is_empty) {
            return Err(Refusal::Unreadable);
        }
        Ok(entries)
    }

    fn to_toml(&self) -> String {
        let entries: Vec<String> = self
            .iter()
            .map(|entry| toml::Value::from(entry.as_str()).to_string())
            .collect();
        format!("[{}]", entries.join(", "))
    }
}

fn strings_of(entries: &DeArray<'_>) -> Result<Vec<String>, Refusal> {
    entries
        .iter()
        .map(|entry| match entry.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            other => Err(Refusal::OtherKindInList { found: kind(other) }),
        })
        .collect()
}

/// Makes a value of what is written as a text in the file; what is empty is refused.
macro_rules! text_values {
    ($($Text:ty: $expected:ident, $from:expr, $is_empty:expr, $to:expr;)+) => {
        $(
            impl Value for $Text {
                const EXPECTED: Expected = Expected::$expected;

                fn from_toml(value: &DeValue<'_>, _: Option<&Bounds>) -> Result<Self, Refusal> {
                    match value {
                        DeValue::String(text) => Self::from_text(text, None),
                        other => Err(Refusal::OtherKind { found: kind(other) }),
                    }
                }

                fn from_text(text: &str, _: Option<&Bounds>) -> Result<Self, Refusal> {
                    if text.is_empty() {
                        return Err(Refusal::Empty);
                    }
                    Ok(($from)(text))
                }

                fn check(&self, _: Option<&Bounds>) -> Result<(), Refusal> {
                    if ($is_empty)(self) { Err(Refusal::Empty) } else { Ok(()) }
                }

                fn to_toml(&self) -> String {
                    toml::Value::from(($to)(self)).to_string()
                }
            }
        )+
    };
}

text_values! {
    String: Text, str::to_owned, Self::is_empty, Self::clone;
    PathBuf: File, Self::from, |path: &Self| path.as_os_str().is_empty(), |path: &Self| path.display().to_string();
    Secret: Secret, Self::new, |secret: &Self| secret.reveal().is_empty(), |_: &Self| HIDDEN.to_owned();
}

impl Value for Vec<Secret> {
    const EXPECTED: Expected = Expected::Secrets;

    fn from_toml(value: &DeValue<'_>, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        Vec::<String>::from_toml(value, bounds).map(secrets)
    }

    fn from_text(text: &str, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        Vec::<String>::from_text(text, bounds).map(secrets)
    }

    fn to_toml(&self) -> String {
        vec![HIDDEN.to_owned(); self.len()].to_toml()
    }
}

fn secrets(texts: Vec<String>) -> Vec<Secret> {
    texts.into_iter().map(Secret::new).collect()
}

impl Value for ChannelPattern {
    const EXPECTED: Expected = Expected::Pattern;

    fn from_toml(value: &DeValue<'_>, _: Option<&Bounds>) -> Result<Self, Refusal> {
        match value {
            DeValue::String(text) => Self::from_text(text, None),
            other => Err(Refusal::OtherKind { found: kind(other) }),
        }
    }

    fn from_text(text: &str, _: Option<&Bounds>) -> Result<Self, Refusal> {
        Self::parse(text).map_err(Refusal::NotAPattern)
    }

    fn to_toml(&self) -> String {
        toml::Value::from(self.to_string()).to_string()
    }
}

impl Value for Duration {
    const EXPECTED: Expected = Expected::Duration;

    fn from_toml(value: &DeValue<'_>, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        match value {
            DeValue::String(text) => Self::from_text(text, bounds),
            other => Err(Refusal::OtherKind { found: kind(other) }),
        }
    }

    fn from_text(text: &str, bounds: Option<&Bounds>) -> Result<Self, Refusal> {
        let ms = duration::parse_ms(text).ok_or(Refusal::Unreadable)?;
        number_within(i128::from(ms), bounds).map(Self::from_millis)
    }

    fn check(&self, bounds: Option<&Bounds>) -> Result<(), Refusal> {
        let ms = i128::try_from(self.as_millis()).unwrap_or(i128::MAX);
        number_within::<u64>(ms, bounds).map(|_| ())
    }

    fn to_toml(&self) -> String {
        let ms = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        format!("\"{}\"", duration::text_of_ms(ms))
    }
}

/// A setting that is one of a few words; `setting_words!` makes these.
pub(super) trait Words: Copy + 'static {
    /// Every value with its word.
    const WORDS: &'static [(&'static str, Self)];
    /// The words alone.
    const NAMES: &'static [&'static str];

    /// The word of this value.
    fn word(self) -> &'static str;
}

impl<W: Words> Value for W {
    const EXPECTED: Expected = Expected::Word(W::NAMES);

    fn from_toml(value: &DeValue<'_>, _: Option<&Bounds>) -> Result<Self, Refusal> {
        match value {
            DeValue::String(text) => Self::from_text(text, None),
            other => Err(Refusal::OtherKind { found: kind(other) }),
        }
    }

    fn from_text(text: &str, _: Option<&Bounds>) -> Result<Self, Refusal> {
        let known = W::WORDS.iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| *value).ok_or(Refusal::Unreadable)
    }

    fn to_toml(&self) -> String {
        format!("\"{}\"", self.word())
    }
}

/// What kind of value stands in the file, for a sentence.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction or exponent",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
