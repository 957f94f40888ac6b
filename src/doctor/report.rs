//! Findings for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::checks::group_of;
use super::quantity::several;
use super::{Examination, Finding, Level};

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With colours, for a terminal.
    Coloured,
}

/// Columns before what a finding says.
const INDENT: usize = 28;

/// The longest line, but for what is to be copied.
const WIDTH: usize = 100;

impl Examination {
    /// The report as text: a line for what is fine; for everything else what it costs and what mends it, too.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut text = format!("pushring {} on {}\n", env!("CARGO_PKG_VERSION"), self.about);
        let mut group = "";
        for finding in &self.findings {
            if group_of(finding.id) != group {
                group = group_of(finding.id);
                let _ = writeln!(text, "\n{}", style.bold(group));
            }
            put(&mut text, finding, style);
        }
        text.push('\n');
        if self.cures().any(|cure| cure.starts_with("sysctl -w ")) {
            text.push_str("`sysctl -w` lasts until the next boot, `name = value` in /etc/sysctl.d/90-pushring.conf beyond it.\n");
        }
        text.push_str(&self.verdict());
        text.push('\n');
        text
    }

    /// The report as one JSON object.
    ///
    /// # Errors
    /// None that is known: all of it can be written as JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let findings = self.findings.iter().map(|finding| Row {
            group: group_of(finding.id),
            finding,
        });
        serde_json::to_string_pretty(&Report {
            version: env!("CARGO_PKG_VERSION"),
            about: &self.about,
            worst: self.worst(),
            exit_code: self.exit_code(),
            findings: findings.collect(),
        })
    }

    fn cures(&self) -> impl Iterator<Item = &String> {
        self.findings.iter().flat_map(|finding| &finding.cures)
    }

    fn verdict(&self) -> String {
        let number = |level| {
            let of_level = self
                .findings
                .iter()
                .filter(|finding| finding.level == level);
            of_level.count() as u64
        };
        let mut counted = String::new();
        for (level, name) in [
            (Level::Failure, "failure"),
            (Level::Warning, "warning"),
            (Level::Hint, "hint"),
        ] {
            if number(level) > 0 {
                let _ = write!(counted, ", {}", several(number(level), name));
            }
        }
        let verdict = match self.worst() {
            Level::Failure => "It will not start",
            Level::Warning => "It will run, but not all that is configured will hold",
            Level::Hint => "It will run as configured",
            Level::Fine => "It will run as configured: nothing to mend",
        };
        format!("{verdict}{}.", counted.replacen(", ", ": ", 1))
    }
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'a str,
    about: &'a str,
    worst: Level,
    exit_code: u8,
    findings: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    group: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

fn put(text: &mut String, finding: &Finding, style: Style) {
    let (word, colour) = match finding.level {
        Level::Fine => ("ok", "32"),
        Level::Hint => ("hint", "36"),
        Level::Warning => ("warn", "33"),
        Level::Failure => ("FAIL", "31;1"),
    };
    // Colours take no room.
    let word = format!(
        "{}{}",
        style.paint(word, colour),
        " ".repeat(4 - word.len())
    );
    let label = format!("  {word}  {:<20}", finding.id);
    put_wrapped(text, &label, &finding.what);
    if finding.level == Level::Fine {
        return;
    }
    if !finding.cost.is_empty() {
        put_wrapped(text, &beside("costs"), &finding.cost);
    }
    for (index, cure) in finding.cures.iter().enumerate() {
        let label = beside(if index == 0 { "mend" } else { "or" });
        // In one line however long: it is there to be copied.
        let (line, aside) = cure.split_once("   ").unwrap_or((cure, ""));
        let _ = write!(text, "{label}{}", style.bold(line));
        if !aside.is_empty() {
            let _ = write!(text, "   {aside}");
        }
        text.push('\n');
    }
}

/// A label in the column of the findings' ids.
fn beside(label: &str) -> String {
    format!("{:8}{label:<20}", "")
}

/// Puts a label, and words beside it in as many lines as they need.
fn put_wrapped(text: &mut String, label: &str, words: &str) {
    text.push_str(label);
    let mut column = INDENT;
    for (index, word) in words.split(' ').enumerate() {
        let width = word.chars().count();
        if index > 0 && column + 1 + width > WIDTH {
            let _ = write!(text, "\n{:INDENT$}", "");
            column = INDENT;
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

impl Style {
    fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }

    fn paint(self, text: &str, code: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
