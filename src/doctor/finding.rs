//! What a check says.

use serde::Serialize;

/// How bad it is; the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Worth to know, or not to be found out.
    Hint,
    /// The server runs, and does not do all that it is configured for, or not as well as it could.
    Warning,
    /// The server does not start.
    Failure,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check: words with hyphens, the same in every version.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found, in one line.
    pub what: String,
    /// What that costs, in one line; empty where it costs nothing.
    pub cost: String,
    /// Lines that mend it: commands or settings, of which one is enough. Empty where there is nothing to mend.
    pub cures: Vec<String>,
}

impl Finding {
    pub(super) fn fine(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Level::Fine, what)
    }

    pub(super) fn hint(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Level::Hint, what)
    }

    pub(super) fn warning(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Level::Warning, what)
    }

    pub(super) fn failure(id: &'static str, what: impl Into<String>) -> Self {
        Self::new(id, Level::Failure, what)
    }

    /// What the check looks at cannot be read.
    pub(super) fn unknown(id: &'static str, what: &str) -> Self {
        Self::hint(id, format!("not to be found out: {what} cannot be read"))
    }

    fn new(id: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self {
            id,
            level,
            what: what.into(),
            cost: String::new(),
            cures: Vec::new(),
        }
    }

    pub(super) fn costs(mut self, cost: impl Into<String>) -> Self {
        self.cost = cost.into();
        self
    }

    pub(super) fn mend(mut self, cure: impl Into<String>) -> Self {
        self.cures.push(cure.into());
        self
    }
}
