//! `pushring serve`: from flags, variables and file to a running server.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{SettingFlags, complain, config_file};
use crate::config::{Config, Source};

/// The arguments of `pushring serve`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ServeArgs {
    /// A TOML file with settings; without it PUSHRING_CONFIG may name one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    flags: SettingFlags,
}

const AFTER_HELP: &str = "\
Every setting can stand in the file and in a variable named PUSHRING_ and its name in capitals, for example
PUSHRING_LIMITS_MESSAGE_BYTES_MAX=131072. Flags win over variables, variables over the file.

SIGHUP has a running server read file, variables and flags again; the log says what has changed and what takes a restart.

Examples:
  pushring serve --config /etc/pushring.toml
  pushring serve --listen [::1]:8000 --shards 4
  pushring serve --listen 0.0.0.0:8000 --insecure     everybody may connect
  PUSHRING_LOG_FORMAT=json pushring serve";

/// Loads the configuration, says what an operator should hear, and hands it to `start` with where it came from.
pub(super) fn run(
    args: ServeArgs,
    env: impl Iterator<Item = (String, String)>,
    start: impl FnOnce(Config, Source) -> ExitCode,
    err: &mut dyn Write,
) -> ExitCode {
    let env: Vec<(String, String)> = env.collect();
    let source = match config_file(args.config, &env) {
        Ok(file) => Source {
            file,
            env,
            flags: args.flags.into(),
        },
        Err(what) => return complain(what, err),
    };
    let loaded = source.load();
    match loaded.and_then(|config| config.validate().map(|warnings| (config, warnings))) {
        Ok((config, warnings)) => {
            for warning in warnings {
                let _ = writeln!(err, "pushring: warning: {warning}");
            }
            start(config, source)
        }
        Err(error) => complain(&error.to_string(), err),
    }
}
