//! `pushring check-config`: whether a server would start with a file, and what the file changes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_USAGE, SettingFlags};
use crate::config::{Difference, Resolved, one_line, resolve};

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
  pushring check-config /etc/pushring.toml
  pushring check-config /etc/pushring.toml --insecure";

/// Checks the file as `serve` would read it: with the environment and the flags laid over it.
pub(super) fn run(
    args: CheckConfigArgs,
    env: impl Iterator<Item = (String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    match resolve(Some(&args.file), env, args.flags.into()) {
        Ok(resolved) => {
            let _ = writeln!(
                out,
                "{} is fine",
                one_line(&args.file.display().to_string())
            );
            tell(&resolved, out);
            ExitCode::SUCCESS
        }
        Err(error) => {
            for problem in error.problems() {
                let _ = writeln!(err, "{problem}");
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn tell(resolved: &Resolved, out: &mut dyn Write) {
    if resolved.differences.is_empty() {
        let _ = writeln!(out, "every setting has its default");
    }
    for Difference {
        setting,
        value,
        place,
    } in &resolved.differences
    {
        let unit = setting
            .bounds
            .map(|bounds| format!(" {}", bounds.unit))
            .unwrap_or_default();
        let line = format!(
            "{} = {value}{unit} (default {}; {place})",
            setting.key(),
            setting.default_toml()
        );
        let _ = writeln!(out, "{}", one_line(&line));
    }
    for warning in resolved.config.validate().into_iter().flatten() {
        let _ = writeln!(out, "warning: {warning}");
    }
}
