//! `pushring doctor`: whether this machine can run a server as it is configured.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_USAGE, SettingFlags, complain, config_file};
use crate::config::{one_line, resolve};
use crate::doctor::{Machine, Style, Trials, examine};
use crate::rules::Rules;

/// The arguments of `pushring doctor`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct DoctorArgs {
    /// A TOML file with settings; without it PUSHRING_CONFIG may name one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,

    /// Look at the limits, rights, cores and control groups of this process instead of the shell's
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,

    #[command(flatten)]
    flags: SettingFlags,
}

const AFTER_HELP: &str = "\
It looks at the kernel, tries out rings and addresses, compares limits and settings with what the configuration asks for, and
prints what is fine, what is not, what that costs, and the line that mends it. It changes nothing.

Exit code: 0 all is fine, or there are hints alone; 1 there are warnings: a server runs, and not as configured or not as well as
it could; 2 a mistake in the arguments or the configuration; 3 a server would not start.

Examples:
  pushring doctor --config /etc/pushring/pushring.toml
  pushring doctor --pid $(systemctl show -P MainPID pushring)     what the unit gives it
  pushring doctor --json | jq '.findings[] | select(.level != \"fine\")'";

/// Examines, and prints what came of it.
pub(super) fn run(
    args: DoctorArgs,
    env: impl Iterator<Item = (String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let env: Vec<(String, String)> = env.collect();
    let no_colour = env
        .iter()
        .any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    let file = match config_file(args.config, &env) {
        Ok(file) => file,
        Err(what) => return complain(what, err),
    };
    let config = match resolve(file.as_deref(), env.into_iter(), args.flags.into()) {
        Ok(resolved) => resolved.config,
        Err(error) => {
            for problem in error.problems() {
                let _ = writeln!(err, "pushring: {problem}");
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // The files that it names can be wrong as well.
    if let Err(error) = Rules::new(&config) {
        return complain(&error.to_string(), err);
    }
    let machine = Machine::read(Path::new("/"), args.pid, &config);
    if let Some(pid) = args.pid
        && machine.process.name.is_none()
    {
        return complain(&format!("--pid {pid}: there is no such process"), err);
    }
    let trials = Trials::make(&config, &machine);
    let examination = examine(&config, &machine, &trials);
    if args.json {
        match examination.json() {
            Ok(json) => drop(writeln!(out, "{json}")),
            Err(error) => return complain(&one_line(&error.to_string()), err),
        }
    } else {
        let style = match std::io::stdout().is_terminal() && !no_colour {
            true => Style::Coloured,
            false => Style::Plain,
        };
        let _ = write!(out, "{}", examination.text(style));
    }
    ExitCode::from(examination.exit_code())
}
