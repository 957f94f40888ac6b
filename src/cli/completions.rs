//! `pushring completions`: what a shell needs to complete the program's commands and flags.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::{Shell, generate};

use super::Cli;

/// The arguments of `pushring completions`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_name = "SHELL")]
    shell: Shells,
}

const AFTER_HELP: &str = "\
The script goes to standard output. The Debian package has it installed for all three shells already.

Examples:
  pushring completions bash > ~/.local/share/bash-completion/completions/pushring
  pushring completions zsh > ~/.zfunc/_pushring        with fpath+=~/.zfunc in front of compinit in ~/.zshrc
  pushring completions fish > ~/.config/fish/completions/pushring.fish";

/// The shells that are tried by the tests.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shells {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, out: &mut dyn Write) -> ExitCode {
    let shell = match args.shell {
        Shells::Bash => Shell::Bash,
        Shells::Zsh => Shell::Zsh,
        Shells::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut shown(&Cli::command()), "pushring", &mut script);
    let _ = out.write_all(&script);
    ExitCode::SUCCESS
}

/// The command without those below it that are hidden, which the scripts would offer all the same.
fn shown(command: &Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let version = command.get_version().map(str::to_owned);
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    let copy = Command::new(command.get_name().to_owned())
        .about(about)
        .args(command.get_arguments().cloned())
        .subcommands(below.map(shown));
    match version {
        Some(version) => copy.version(version),
        None => copy,
    }
}
