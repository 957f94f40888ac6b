//! Results shown again: the report and the Markdown table.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bench::compare::load_results;
use crate::bench::{markdown, report as html};

/// Writes the page of a result file or a folder of them.
pub(super) fn report(
    results: &Path,
    file: Option<PathBuf>,
    out: &mut dyn Write,
) -> Result<ExitCode, String> {
    let loaded = load_results(results)?;
    let file = file.unwrap_or_else(|| match results.is_dir() {
        true => results.join("report.html"),
        false => results.with_extension("html"),
    });
    std::fs::write(&file, html::page(&loaded))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let _ = writeln!(out, "{}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// Prints the table of a result file or a folder of them.
pub(super) fn markdown(results: &Path, out: &mut dyn Write) -> Result<ExitCode, String> {
    let loaded = load_results(results)?;
    let _ = write!(out, "{}", markdown::table(&loaded));
    Ok(ExitCode::SUCCESS)
}
