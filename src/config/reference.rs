//! The reference file `tuning/pushring.toml`, made from the table.

use std::fmt::Write;

use super::Config;
use super::error::Expected;
use super::table::{Setting, sections, settings};
use super::value::grouped;

const HEAD: &str = "\
# Every setting of pushring, with its meaning, unit, bounds and default. The values below are the defaults: a file needs only
# those that it changes.
#
#   pushring serve --config FILE       starts the server with a file
#   pushring check-config FILE         says what is wrong in it, or what it changes
#
# Every setting has a variable of the environment too, named with it below, and a few have a flag. Flags win over variables,
# variables over the file, the file over the defaults. A name that is not known is refused wherever it stands.
";

/// A TOML file with every setting, described, at its default.
#[must_use]
pub fn reference() -> String {
    let mut file = HEAD.to_owned();
    for setting in settings()
        .iter()
        .filter(|setting| setting.section.is_empty())
    {
        describe(setting, &mut file);
    }
    for section in sections() {
        file.push('\n');
        comment(section.description, &mut file);
        let _ = writeln!(file, "[{}]", section.name);
        for setting in settings()
            .iter()
            .filter(|setting| setting.section == section.name)
        {
            describe(setting, &mut file);
        }
    }
    file
}

fn describe(setting: &Setting, file: &mut String) {
    file.push('\n');
    comment(setting.description, file);
    let default = setting.default_toml();
    // Writing to a String cannot fail.
    let _ = writeln!(
        file,
        "# {}. Default {default}. {}",
        values(setting),
        setting.variable()
    );
    let _ = writeln!(file, "{} = {default}", setting.name);
}

fn comment(lines: &[&str], file: &mut String) {
    for line in lines {
        let _ = writeln!(file, "#{line}");
    }
}

/// The values that a setting takes, in one phrase.
fn values(setting: &Setting) -> String {
    match (setting.expected(), &setting.bounds) {
        (Expected::Number, Some(bounds)) => {
            let zero = bounds
                .zero
                .map(|meaning| format!("; 0 = {meaning}"))
                .unwrap_or_default();
            format!(
                "{} to {} {}{zero}",
                grouped(bounds.min),
                grouped(bounds.max),
                bounds.unit
            )
        }
        (Expected::Number, None) => "A whole number".to_owned(),
        (Expected::YesOrNo, _) => "true or false".to_owned(),
        (Expected::Address, _) => "\"address:port\"".to_owned(),
        (Expected::List, _) => "A list of texts".to_owned(),
        (Expected::Word(words), _) => words
            .iter()
            .map(|word| format!("\"{word}\""))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl Setting {
    /// Its default as it is written in the file.
    #[must_use]
    pub fn default_toml(&self) -> String {
        (self.to_toml)(&Config::default())
    }

    /// Half a sentence that says what to write for it. In the file texts are written in quotes, elsewhere they are not.
    pub(super) fn instead(&self, in_file: bool) -> String {
        let quoted = |word: &str| {
            if in_file {
                format!("\"{word}\"")
            } else {
                word.to_owned()
            }
        };
        match (self.expected(), &self.bounds) {
            (Expected::Number, Some(bounds)) => {
                let zero = bounds.zero.map(|meaning| format!(", 0 = {meaning}")).unwrap_or_default();
                let (min, max) = (grouped(bounds.min), grouped(bounds.max));
                format!("write a whole number from {min} to {max} ({}{zero})", bounds.unit)
            }
            (Expected::Number, None) => "write a whole number".to_owned(),
            (Expected::YesOrNo, _) => "write true or false".to_owned(),
            (Expected::Address, _) => {
                format!("write for example {}", quoted(self.default_toml().trim_matches('"')))
            }
            (Expected::List, _) if in_file => "write for example [\"https://app.example.com\"]".to_owned(),
            (Expected::List, _) => {
                "write for example https://app.example.com,https://*.example.com (or [] for an empty list)".to_owned()
            }
            (Expected::Word(words), _) => {
                format!("write one of {}", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// How to write it at its right place in the file.
    pub(super) fn where_to_write(&self) -> String {
        if self.section.is_empty() {
            format!("{} = ... above the first section", self.name)
        } else {
            format!("{} = ... below [{}]", self.name, self.section)
        }
    }
}
