//! Results shown again: the report and the Markdown table.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::args::ReportArgs;
use crate::bench::compare::load_results;
use crate::bench::{markdown, report as html};

/// Writes the page of a result file or a folder of them.
pub(super) fn report(args: ReportArgs, out: &mut dyn Write) -> Result<ExitCode, String> {
    let results = &*args.results;
    let loaded = load_results(results)?;
    let file = args.out.unwrap_or_else(|| match results.is_dir() {
        true => results.join("report.html"),
        false => results.with_extension("html"),
    });
    write(&file, &html::page(&loaded), out)?;
    if let Some(folder) = args.pictures {
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        for (name, picture) in html::pictures(&loaded) {
            write(&folder.join(name), &picture, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, text: &str, out: &mut dyn Write) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let _ = writeln!(out, "{}", file.display());
    Ok(())
}

/// Prints the table of a result file or a folder of them.
pub(super) fn markdown(results: &Path, out: &mut dyn Write) -> Result<ExitCode, String> {
    let loaded = load_results(results)?;
    let _ = write!(out, "{}", markdown::table(&loaded));
    Ok(ExitCode::SUCCESS)
}
