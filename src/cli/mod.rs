//! The command line: `pushring serve` (also without the word), `pushring check-config`, `pushring doctor`,
//! `pushring token`, `pushring top`, `pushring completions`, `pushring man` and `pushring bench`.
//!
//! Whatever is wrong with arguments or configuration is one line on standard error and exit code 2.

#![forbid(unsafe_code)]

#[cfg(feature = "bench")]
mod bench;
mod check_config;
mod completions;
mod doctor;
mod logging;
mod man;
mod serve;
mod token;
mod top;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

pub use logging::{Logging, start_logging};

use crate::config::{CONFIG_VARIABLE, Config, Overrides, Source, environment, one_line};
use crate::reactor::Given;

/// The exit code for arguments or a configuration that cannot be used.
pub const EXIT_USAGE: u8 = 2;

/// Does what the arguments say (the first one is the program's name), in the environment of this process.
///
/// `serve` runs a server until it ends; it is called at most once, with a configuration that has been checked, with where
/// that came from, and with the sockets that systemd has opened for it.
pub fn main(
    args: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Config, Source, Given) -> ExitCode,
) -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    run(args, environment(), serve, &mut out, &mut err)
}

/// The same as [`main`] with the environment and the two outputs as arguments.
///
/// An output that cannot be written to is passed over: there is nobody left to tell.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    env: impl Iterator<Item = (String, String)>,
    serve: impl FnOnce(Config, Source, Given) -> ExitCode,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, out, err),
    };
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(args, env, serve, err),
        Command::CheckConfig(args) => check_config::run(args, env, out, err),
        Command::Doctor(args) => doctor::run(args, env, out, err),
        Command::Token(args) => token::run(args, env, out, err),
        Command::Top(args) => top::run(args, env, out, err),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, out, err),
        #[cfg(feature = "bench")]
        Command::Bench(args) => bench::run(*args, out, err),
    }
}

/// Pushes each published message to very many WebSocket connections.
///
/// Without a command the server starts, as with `pushring serve`.
#[derive(Debug, Parser)]
#[command(name = "pushring", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: serve::ServeArgs,
}

const EXAMPLES: &str = "\
Examples:
  pushring                                           clients at 127.0.0.1:8000, publishing at 127.0.0.1:8001
  curl -d hello 127.0.0.1:8001/pub/news              to everybody at ws://127.0.0.1:8000/sub/news
  pushring --listen 127.0.0.1:9000 --shards 2
  pushring serve --config /etc/pushring/pushring.toml
  pushring check-config /etc/pushring/pushring.toml  what is wrong in a file, or what it changes
  pushring doctor                                    what is wrong with this machine, and the line that mends it
  pushring token --user ann --config /etc/pushring/pushring.toml
  pushring top                                       how the server does, once a second
  pushring bench --help                              how fast it is, and others beside it";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server (also without this word).
    Serve(serve::ServeArgs),
    /// Say what is wrong in a configuration file, or what it changes.
    CheckConfig(check_config::CheckConfigArgs),
    /// Say whether this machine can run the server as it is configured, and what mends it.
    Doctor(doctor::DoctorArgs),
    /// Make a token for a user, signed with the configuration's secret.
    Token(token::TokenArgs),
    /// Show a running server's figures in the terminal.
    Top(top::TopArgs),
    /// Print what bash, zsh or fish needs to complete commands and flags.
    Completions(completions::CompletionsArgs),
    /// Print a manual page, or write all of them.
    Man(man::ManArgs),
    /// Measure this server or others: deliveries, CPU, latency, memory, connections.
    #[cfg(feature = "bench")]
    Bench(Box<bench::BenchArgs>),
}

/// The settings that have a flag.
#[derive(Debug, Args)]
struct SettingFlags {
    /// Where clients connect: IP address and port [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// Where to publish over HTTP and read metrics: IP address and port [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDR")]
    internal: Option<String>,

    /// How many shards (threads, each pinned to a core) to run, 0 to 64 [default: 0, one for each core allowed]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shards: Option<String>,

    /// Serve /echo, which sends every message back to its sender
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    echo: Option<String>,

    /// Allow listening on addresses that other machines can reach, although there is no authentication
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure: Option<String>,
}

impl From<SettingFlags> for Overrides {
    fn from(flags: SettingFlags) -> Self {
        let SettingFlags {
            listen,
            internal,
            shards,
            echo,
            insecure,
        } = flags;
        Self {
            listen,
            internal,
            shards,
            echo,
            insecure,
        }
    }
}

/// The file with settings: that of the flag, or that of the variable.
fn config_file(
    flag: Option<PathBuf>,
    env: &[(String, String)],
) -> Result<Option<PathBuf>, &'static str> {
    let from_variable = || {
        env.iter()
            .find(|(name, _)| name == CONFIG_VARIABLE)
            .map(|(_, file)| PathBuf::from(file))
    };
    match flag.or_else(from_variable) {
        Some(file) if file.as_os_str().is_empty() => {
            Err("PUSHRING_CONFIG is empty; write the name of a TOML file, or unset it")
        }
        file => Ok(file),
    }
}

/// Help and version go out as they are; everything else is made one line.
fn not_parsed(error: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let _ = write!(out, "{}", error.render());
        return ExitCode::SUCCESS;
    }
    complain(&usage_line(&error.render().to_string()), err)
}

/// What is wrong with the arguments, without the empty lines and the usage below it.
fn usage_line(rendered: &str) -> String {
    let lines = rendered
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let mut joined = String::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")) {
        if !joined.is_empty() {
            joined.push_str(if joined.ends_with(':') { " " } else { "; " });
        }
        joined.push_str(
            line.trim_start_matches("error: ")
                .trim_start_matches("tip: "),
        );
    }
    joined.push_str("; pushring --help lists commands and flags");
    joined
}

/// Says in one line why nothing was started.
fn complain(what: &str, err: &mut dyn Write) -> ExitCode {
    let _ = writeln!(err, "pushring: {}", one_line(what));
    ExitCode::from(EXIT_USAGE)
}
