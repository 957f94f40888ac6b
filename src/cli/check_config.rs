//! `pushring check-config`: whether a server would start with a file, and what the file changes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_USAGE, SettingFlags};
use crate::config::{Difference, Expected, Resolved, one_line, resolve};
use crate::rules::Rules;

/// The arguments of `pushring check-config`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CheckConfigArgs {
    /// The TOML file to check
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    flags: SettingFlags,
}

const AFTER_HELP: &str = "\
PUSHRING_* variables and the flags above are taken into account as `pushring serve` would, so the answer is the same:
exit code 0 and the settings that differ from their defaults, or exit code 2 and a line for each mistake.

Examples:
  pushring check-config /etc/pushring/pushring.toml
  pushring check-config /etc/pushring/pushring.toml --insecure";

/// Checks the file as `serve` would read it: with the environment and the flags laid over it.
pub(super) fn run(
    args: CheckConfigArgs,
    env: impl Iterator<Item = (String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let resolved = match resolve(Some(&args.file), env, args.flags.into()) {
        Ok(resolved) => resolved,
        Err(error) => {
            for problem in error.problems() {
                let _ = writeln!(err, "{problem}");
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // The files that it names can be wrong as well.
    if let Err(error) = Rules::new(&resolved.config) {
        let _ = writeln!(err, "{}", one_line(&error.to_string()));
        return ExitCode::from(EXIT_USAGE);
    }
    let name = one_line(&args.file.display().to_string());
    let _ = writeln!(out, "{name} is fine");
    tell(&resolved, out);
    ExitCode::SUCCESS
}

fn tell(resolved: &Resolved, out: &mut dyn Write) {
    if resolved.differences.is_empty() {
        let _ = writeln!(out, "every setting has its default");
    }
    for difference in &resolved.differences {
        let _ = writeln!(out, "{}", one_line(&line_about(difference)));
    }
    for warning in resolved.config.validate().into_iter().flatten() {
        let _ = writeln!(out, "warning: {warning}");
    }
}

fn line_about(difference: &Difference) -> String {
    let Difference {
        setting,
        channels,
        value,
        place,
    } = difference;
    let name = match channels {
        Some(channels) if setting.name == "channels" => {
            return format!("[[namespace]] for the channels {channels:?} ({place})");
        }
        Some(channels) => format!("{channels:?}: {}", setting.name),
        None => setting.key(),
    };
    let unit = match &setting.bounds {
        Some(bounds) if setting.expected() == Expected::Number => format!(" {}", bounds.unit),
        _ => String::new(),
    };
    let default = setting.default_toml();
    let default = if default.is_empty() {
        "not set by default".to_owned()
    } else {
        format!("default {default}")
    };
    format!("{name} = {value}{unit} ({default}; {place})")
}
