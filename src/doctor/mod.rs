//! `pushring doctor`: whether this machine can run a server as it is configured, what it costs where it cannot, and the line
//! that mends it.
//!
//! A [`Machine`] is what files below `/proc` and `/sys` say, read through a root that can be another than `/`; [`Trials`] are
//! what came of trying out rings, addresses and the clock. From these two and the configuration, [`examine`] makes a
//! [`Finding`] of every check: checks look at nothing else and change nothing.
//!
//! ```
//! use pushring::config::Config;
//! use pushring::doctor::{Level, Machine, Trials, examine};
//!
//! let config = Config::default();
//! let machine = Machine::read("/".as_ref(), None, &config);
//! let examination = examine(&config, &machine, &Trials::make(&config, &machine));
//! assert!(examination.findings.iter().any(|finding| finding.id == "kernel" && finding.level == Level::Fine));
//! ```

#![forbid(unsafe_code)]

mod checks;
mod finding;
mod machine;
mod quantity;
mod report;
mod trials;

pub use checks::{Group, examine, ids};
pub use finding::{Finding, Level};
pub use machine::{
    Bound, Cgroup, Commit, Cores, Limit, Limits, Listening, Machine, Process, Sysctls, Turned,
};
pub use report::Style;
pub use trials::Trials;

/// What an examination found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// In one line, what was examined for what.
    pub about: String,
    /// One of every check, in the order of [`ids`].
    pub findings: Vec<Finding>,
}

impl Examination {
    /// The worst of the findings' levels.
    #[must_use]
    pub fn worst(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Fine)
    }

    /// The process's exit code: 0 where nothing is worse than a hint, 1 for warnings, 3 where a server would not start.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.worst() {
            Level::Fine | Level::Hint => 0,
            Level::Warning => 1,
            Level::Failure => 3,
        }
    }
}
