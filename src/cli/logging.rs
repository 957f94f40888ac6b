//! Log lines on standard error, or entries in the journal.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat, LogLevel};

/// systemd names here the device and the inode of the socket that leads to the journal (`systemd.exec(5)`).
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// The log of the process, whose level can be changed while it is written.
pub struct Logging {
    /// Nothing where somebody else's subscriber writes the log.
    level: Option<reload::Handle<LevelFilter, Registry>>,
}

/// Starts writing what the server has to say to standard error or to the journal. Once a process; a subscriber that the
/// embedding program has set stays.
pub fn start_logging(log: &Log) -> Logging {
    let (filter, level) = reload::Layer::new(filter_of(log.level));
    let (output, refused) = match log.format {
        LogFormat::Journal => journal_or_text(),
        LogFormat::Auto if leads_to_journal(io::stderr(), std::env::var(JOURNAL_STREAM).ok()) => {
            journal_or_text()
        }
        LogFormat::Auto | LogFormat::Text => (text(), None),
        LogFormat::Json => (lines().json().boxed(), None),
    };
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(output)
        .try_init();
    if let Some(error) = refused {
        tracing::warn!("the journal cannot be reached, so lines are written: {error}");
    }
    match started {
        Ok(()) => Logging { level: Some(level) },
        Err(error) => {
            tracing::debug!("logging was started before: {error}");
            Logging { level: None }
        }
    }
}

type Filtered = tracing_subscriber::layer::Layered<reload::Layer<LevelFilter, Registry>, Registry>;
type Output = Box<dyn Layer<Filtered> + Send + Sync>;

/// Entries with fields of their own, or else lines and the reason.
fn journal_or_text() -> (Output, Option<io::Error>) {
    match tracing_journald::layer() {
        Ok(journal) => (journal.boxed(), None),
        Err(error) => (text(), Some(error)),
    }
}

fn text() -> Output {
    lines().with_ansi(io::stderr().is_terminal()).boxed()
}

fn lines()
-> fmt::Layer<Filtered, fmt::format::DefaultFields, fmt::format::Format, fn() -> io::Stderr> {
    fmt::layer().with_target(false).with_writer(io::stderr)
}

/// Whether an output is the one that the variable names as the journal's. Who redirects the output of a service still has
/// the variable.
fn leads_to_journal(output: impl AsFd, journal_stream: Option<String>) -> bool {
    let Some(stream) = journal_stream else {
        return false;
    };
    let Ok(copy) = output.as_fd().try_clone_to_owned() else {
        return false;
    };
    File::from(copy)
        .metadata()
        .is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn an_output_is_the_journal_if_the_variable_names_its_device_and_inode() {
        let (one, other) = UnixStream::pair().unwrap();
        let metadata = File::from(one.as_fd().try_clone_to_owned().unwrap())
            .metadata()
            .unwrap();
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(leads_to_journal(&one, Some(stream.clone())));
        assert!(!leads_to_journal(&other, Some(stream)));
        assert!(!leads_to_journal(&one, None));
        assert!(!leads_to_journal(&one, Some("8:1".to_owned())));
    }
}
