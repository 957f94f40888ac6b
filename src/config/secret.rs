//! Texts that nobody is shown.

use std::fmt;

/// What stands for a secret wherever it would be shown.
pub(super) const HIDDEN: &str = "(hidden)";

/// A key or a password. Neither logs nor error lines, `pushring check-config` or `{:?}` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for who has to compare with it or to sign by it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_secret_is_not_shown_by_debugging_a_configuration() {
        let mut config = Config::default();
        config.auth.hmac_secret = Some(Secret::new("sesame"));
        config.auth.api_keys = vec![Secret::new("sesame")];
        let shown = format!("{config:?} {config:#?}");
        assert!(!shown.contains("sesame"), "{shown}");
        assert!(shown.contains(HIDDEN));
    }
}
