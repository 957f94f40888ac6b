//! `pushring serve`: from flags, variables and file to a running server.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{SettingFlags, complain, config_file};
use crate::config::{Config, Overrides, Source};
use crate::reactor::Given;
use crate::systemd;

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
  pushring serve --config /etc/pushring/pushring.toml
  pushring serve --listen [::1]:8000 --shards 4
  pushring serve --listen 0.0.0.0:8000 --insecure     everybody may connect
  PUSHRING_LOG_FORMAT=json pushring serve";

/// Loads the configuration, says what an operator should hear, and hands it to `start` with where it came from.
pub(super) fn run(
    args: ServeArgs,
    env: impl Iterator<Item = (String, String)>,
    start: impl FnOnce(Config, Source, Given) -> ExitCode,
    err: &mut dyn Write,
) -> ExitCode {
    let env: Vec<(String, String)> = env.collect();
    let (given, flags) = match with_given(args.flags.into()) {
        Ok(found) => found,
        Err(what) => return complain(&what, err),
    };
    let source = match config_file(args.config, &env) {
        Ok(file) => Source { file, env, flags },
        Err(what) => return complain(what, err),
    };
    let loaded = source.load();
    match loaded.and_then(|config| config.validate().map(|warnings| (config, warnings))) {
        Ok((config, warnings)) => {
            for warning in warnings {
                let _ = writeln!(err, "pushring: warning: {warning}");
            }
            start(config, source, given)
        }
        Err(error) => complain(&error.to_string(), err),
    }
}

/// The sockets that systemd has opened, and flags that say of them what they say of others: wherever they listen is where
/// the server does.
fn with_given(mut flags: Overrides) -> Result<(Given, Overrides), String> {
    let given = systemd::sockets().map_err(|error| error.to_string())?;
    for (flag, said, address) in [
        ("--listen", &mut flags.listen, given.public_address()),
        ("--internal", &mut flags.internal, given.internal_address()),
    ] {
        let Some(address) = address else {
            continue;
        };
        let address = address.to_string();
        match said {
            Some(other) if *other != address => {
                return Err(format!(
                    "{flag} {other}: systemd has opened a socket at {address} for that (LISTEN_FDS); leave the flag or the socket out"
                ));
            }
            _ => *said = Some(address),
        }
    }
    Ok((given, flags))
}
