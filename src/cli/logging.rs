//! Log lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel};

/// The log of the process, whose level can be changed while it is written.
pub struct Logging {
    /// Nothing where somebody else's subscriber writes the log.
    level: Option<reload::Handle<LevelFilter, Registry>>,
}

/// Starts writing what the server has to say to standard error. Once a process; a subscriber that
/// the embedding program has set stays.
pub fn start_logging(log: &Log) -> Logging {
    let (filter, level) = reload::Layer::new(filter_of(log.level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_target(false).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    match started {
        Ok(()) => Logging { level: Some(level) },
        Err(error) => {
            tracing::debug!("logging was started before: {error}");
            Logging { level: None }
        }
    }
}

impl Logging {
    /// From now on lines of that level and of more important ones are written.
    pub fn set_level(&self, level: LogLevel) {
        if let Some(handle) = &self.level
            && let Err(error) = handle.reload(filter_of(level))
        {
            tracing::error!("the log's level cannot be changed: {error}");
        }
    }
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
