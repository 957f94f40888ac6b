use std::borrow::Borrow;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest channel name, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;

/// A valid channel name: UTF-8, 1 to [`NAME_BYTES_MAX`] bytes, no control characters.
///
/// Cloning shares the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>")]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name; the publisher's or the subscriber's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between the slashes.
    #[error("the channel name is empty: write 1 to {NAME_BYTES_MAX} bytes")]
    Empty,
    /// Over the limit.
    #[error("the channel name has {0} bytes: at most {NAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A line feed, a NUL or the like.
    #[error("the channel name has the control character U+{0:04X}: leave it out")]
    Control(u32),
}

impl ChannelName {
    /// Checks a text and keeps a copy.
    ///
    /// # Errors
    /// [`NameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    fn check(text: &str) -> Result<(), NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(NameError::Control(control.into()));
        }
        Ok(())
    }

    /// The channel of one user's messages: what is sent to `/user/{user}/{rest}` of STOMP. No
    /// [`ChannelName::parse`] gives such a name, so nobody reaches it by writing it.
    ///
    /// # Errors
    /// [`NameError`] where one of the two is empty, they are too long together, or one has a control
    /// character.
    pub fn of_user(user: &str, rest: &str) -> Result<Self, NameError> {
        let (user, rest) = (Self::parse(user)?, Self::parse(rest)?);
        let bytes = user.0.len() + rest.0.len();
        if bytes > NAME_BYTES_MAX {
            return Err(NameError::TooLong(bytes));
        }
        Ok(Self(format!("\0{user}\0{rest}").into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whose channel it is, if it is one of [`ChannelName::of_user`].
    pub fn user(&self) -> Option<&str> {
        self.user_and_rest().map(|(user, _)| user)
    }

    /// The two that [`ChannelName::of_user`] was called with.
    pub fn user_and_rest(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix('\0')?.split_once('\0')
    }

    /// The index of the shard that owns the channel, below `shards`.
    ///
    /// All shards of a process must ask with the same hasher.
    pub fn owner(&self, hasher: &impl BuildHasher, shards: usize) -> usize {
        // The high half of a 64 by 64 bit product: an even spread without a division.
        ((u128::from(hasher.hash_one(self.as_str())) * shards as u128) >> 64) as usize
    }
}

impl TryFrom<Arc<str>> for ChannelName {
    type Error = NameError;

    /// A name that was written down, one of [`ChannelName::of_user`] among them.
    fn try_from(text: Arc<str>) -> Result<Self, NameError> {
        match text
            .strip_prefix('\0')
            .and_then(|both| both.split_once('\0'))
        {
            Some((user, rest)) => Self::of_user(user, rest),
            None => Self::check(&text).map(|()| Self(text)),
        }
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_1_to_255_bytes_without_control_characters_are_valid() {
        for name in [
            "a",
            "news",
            "prices.eur/usd",
            "Ωμέγα",
            "a b",
            &"x".repeat(255),
        ] {
            assert_eq!(ChannelName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn every_other_name_is_refused_with_its_reason() {
        assert_eq!(ChannelName::parse(""), Err(NameError::Empty));
        assert_eq!(
            ChannelName::parse(&"é".repeat(128)),
            Err(NameError::TooLong(256))
        );
        for (name, code) in [("a\nb", 10), ("\0", 0), ("a\u{7f}", 127), ("\u{85}", 0x85)] {
            assert_eq!(ChannelName::parse(name), Err(NameError::Control(code)));
        }
    }

    #[test]
    fn a_users_channel_is_nobody_elses_and_cannot_be_written() {
        let of = |user, rest| ChannelName::of_user(user, rest);
        assert_ne!(of("a", "bc"), of("ab", "c"));
        assert!(ChannelName::parse(of("a", "b").unwrap().as_str()).is_err());
        assert_eq!(of("ann", "b").unwrap().user(), Some("ann"));
        assert_eq!(ChannelName::parse("ann").unwrap().user(), None);
        assert_eq!(of("a\0b", "c"), Err(NameError::Control(0)));
        assert_eq!(of("", "c"), Err(NameError::Empty));
        assert_eq!(
            of(&"u".repeat(200), &"r".repeat(56)),
            Err(NameError::TooLong(256))
        );
    }

    #[test]
    fn a_name_that_was_written_down_is_read_again_and_no_other() {
        let of_user = ChannelName::of_user("ann", "news").unwrap();
        for name in [ChannelName::parse("news").unwrap(), of_user] {
            let written = postcard::to_allocvec(&name).unwrap();
            assert_eq!(postcard::from_bytes(&written), Ok(name));
        }
        let long = "x".repeat(256);
        for text in ["", "a\nb", "\0", "\0ann", "\0\0news", "\0ann\0a\0b", &long] {
            let written = postcard::to_allocvec(text).unwrap();
            assert!(
                postcard::from_bytes::<ChannelName>(&written).is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn owners_are_spread_evenly_and_in_range() {
        let hasher = foldhash::quality::FixedState::with_seed(7);
        for shards in [1, 2, 3, 7, 64] {
            let mut owned = vec![0; shards];
            for i in 0..shards * 1_000 {
                owned[ChannelName::parse(&format!("channel:{i}"))
                    .unwrap()
                    .owner(&hasher, shards)] += 1;
            }
            for count in owned {
                assert!((800..1_200).contains(&count), "{count} of 1000 expected");
            }
        }
    }
}
