//! `pushring man`: the manual pages, made of what `--help` says and of the table of settings.

mod commands;
mod settings;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::complain;
use clap::Args;
use text::Text;

/// The arguments of `pushring man`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ManArgs {
    /// Which page to print: pushring, serve, bench-compare and so on, or pushring.toml
    #[arg(value_name = "PAGE", default_value = "pushring")]
    page: String,

    /// Write every page into this folder instead, pushring.1 and so on
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    out: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The page goes to standard output, in the form that man reads. The Debian package has all of them installed.

Examples:
  pushring man | man -l -
  pushring man pushring.toml | man -l -
  pushring man --out /usr/local/share/man/man1";

/// A manual page.
struct Page {
    name: String,
    /// 1 for commands, 5 for files.
    section: u8,
    text: Text,
}

impl Page {
    /// Its name without the program's in front.
    fn short_name(&self) -> &str {
        self.name.strip_prefix("pushring-").unwrap_or(&self.name)
    }

    fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// Prints a page or writes all of them, or says in one line why not.
pub(super) fn run(args: &ManArgs, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let done = match &args.out {
        Some(folder) => write_all(folder),
        None => print(&args.page, out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => complain(&why, err),
    }
}

fn print(name: &str, out: &mut dyn Write) -> Result<(), String> {
    let pages = pages();
    let page = pages
        .iter()
        .find(|page| page.name == name || page.short_name() == name)
        .ok_or_else(|| {
            let names: Vec<&str> = pages.iter().map(Page::short_name).collect();
            format!(
                "there is no page {name:?}; write one of {}",
                names.join(", ")
            )
        })?;
    let _ = out.write_all(page.text.as_str().as_bytes());
    Ok(())
}

fn write_all(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("--out {}: {error}; give a folder", folder.display()))?;
    for page in pages() {
        let file = folder.join(page.file_name());
        std::fs::write(&file, page.text.as_str())
            .map_err(|error| format!("--out: {} cannot be written: {error}", file.display()))?;
    }
    Ok(())
}

/// All pages: the program's own first, the file's last.
fn pages() -> Vec<Page> {
    let mut pages = commands::pages();
    pages.push(settings::page());
    pages
}
