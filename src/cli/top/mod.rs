//! `pushring top`: a running server's figures in the terminal, as its page shows them in a browser.

mod figures;
mod screen;
mod stream;
mod target;
mod terminal;

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{complain, config_file};
use crate::config::ConfigError;
use crate::control::live::snapshot::Snapshot;
use screen::{Screen, Style};
use stream::{LiveStream, StreamError};
use target::{Target, TargetError};

/// The arguments of `pushring top`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct TopArgs {
    /// Where the internal listener is [default: http://127.0.0.1:8001, or what the configuration says]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// The API key, where the server asks for one [default: the first of the configuration's auth.api_keys]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// The server's TOML file, for its address and its key; without it PUSHRING_CONFIG may name one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print one second's figures as text and end
    #[arg(long)]
    once: bool,

    /// Print each second's figures as a line of JSON, without end; with --once one line
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Keys: q ends, s changes what channels are sorted by. NO_COLOR=1 leaves colours out.

Examples:
  pushring top
  pushring top --config /etc/pushring/pushring.toml      with the address and the key that stand there
  pushring top --url http://10.0.0.5:8001 --key \"$KEY\"
  pushring top --json | jq .total.rates.deliveries";

/// Why there is nothing to be shown; the fault of who wrote the arguments, or of the server.
#[derive(Debug, thiserror::Error)]
enum TopError {
    #[error("{0}")]
    File(&'static str),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(
        "standard output is no terminal: write --once for one second's figures as text, or --json"
    )]
    NoTerminal,
    #[error("the terminal cannot be used: {0}; write --once or --json")]
    Terminal(std::io::Error),
}

/// Shows the figures until it is told to end, or says in one line why it cannot.
pub(super) fn run(
    args: TopArgs,
    env: impl Iterator<Item = (String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    match show(args, env.collect(), out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), err),
    }
}

fn show(args: TopArgs, env: Vec<(String, String)>, out: &mut dyn Write) -> Result<(), TopError> {
    let file = config_file(args.config, &env).map_err(TopError::File)?;
    let has_color = !env
        .iter()
        .any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    let target = Target::find(args.url, args.key, file, env)?;
    if args.json {
        return Ok(print_json(&target, args.once, out)?);
    }
    if args.once {
        let snapshot = first_with_rates(LiveStream::open(&target)?)?;
        let lines = Screen::new(Style::Plain).text(&snapshot);
        // Whoever does not read any more has read enough.
        let _ = out.write_all((lines.join("\n") + "\n").as_bytes());
        return Ok(());
    }
    if !std::io::stdout().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let style = if has_color {
        Style::Colored
    } else {
        Style::Marked
    };
    // What is wrong from the beginning is said before the screen is taken.
    let stream = LiveStream::open(&target)?;
    terminal::watch(&target, stream, Screen::new(style))
}

fn print_json(target: &Target, once: bool, out: &mut dyn Write) -> Result<(), StreamError> {
    loop {
        for snapshot in LiveStream::open(target)? {
            let snapshot = snapshot?;
            if once && snapshot.interval_ms.is_none() {
                continue;
            }
            // Numbers, texts and lists of them can always be written.
            let line = serde_json::to_string(&snapshot).unwrap_or_default();
            // Whoever does not read any more has read enough.
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() || once {
                return Ok(());
            }
        }
        // As where another version of the server takes over: it is there.
        std::thread::sleep(stream::AFTER_END);
    }
}

/// The first of a stream has no rates yet.
fn first_with_rates(stream: LiveStream) -> Result<Snapshot, StreamError> {
    for snapshot in stream {
        let snapshot = snapshot?;
        if snapshot.interval_ms.is_some() {
            return Ok(snapshot);
        }
    }
    Err(StreamError::Ended)
}
