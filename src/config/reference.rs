//! The reference file `tuning/pushring.toml`, made from the table.

use std::fmt::Write;

use super::duration;
use super::error::{Expected, header};
use super::table::{Setting, namespace_section, namespace_settings, sections, settings};
use super::value::grouped;

const HEAD: &str = "\
# Every setting of pushring, with its meaning, unit, bounds and default. The values below are the defaults: a file needs only
# those that it changes. A line that begins with # and a name shows how to write what is not set by default.
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
    describe_namespace(&mut file);
    file
}

fn describe(setting: &Setting, file: &mut String) {
    file.push('\n');
    comment(setting.description, file);
    let default = setting.default_toml();
    let restart = if setting.needs_restart() {
        ". Takes a restart"
    } else {
        ""
    };
    // Writing to a String cannot fail.
    let _ = match default.as_str() {
        "" => writeln!(
            file,
            "# {}. Not set by default{restart}. {}\n#{} = {}",
            setting.values(),
            setting.variable(),
            setting.name,
            example(setting)
        ),
        _ => writeln!(
            file,
            "# {}. Default {default}{restart}. {}\n{} = {default}",
            setting.values(),
            setting.variable(),
            setting.name
        ),
    };
}

/// A `[[namespace]]` with its defaults, all of it behind `#`: without one there is none.
fn describe_namespace(file: &mut String) {
    let section = namespace_section();
    file.push('\n');
    comment(section.description, file);
    let _ = writeln!(file, "#[[{}]]", section.name);
    for setting in namespace_settings() {
        file.push('\n');
        comment(setting.description, file);
        let (default, name) = (setting.default_toml(), setting.name);
        let values = setting.values();
        let _ = match (name, default.as_str()) {
            ("channels", _) => {
                writeln!(file, "# {values}.\n#{name} = {}", example(setting))
            }
            (_, "") => writeln!(
                file,
                "# {values}. Not set by default.\n#{name} = {}",
                example(setting)
            ),
            _ => writeln!(file, "# {values}. Default {default}.\n#{name} = {default}"),
        };
    }
}

fn comment(lines: &[&str], file: &mut String) {
    for line in lines {
        let _ = writeln!(file, "#{line}");
    }
}

/// Something to write for a setting without a default, as it is written in the file.
fn example(setting: &Setting) -> &'static str {
    match setting.expected() {
        // Too short to be taken over as it stands.
        Expected::Secret => "\"...\"",
        Expected::File => "\"/etc/pushring/jwks.json\"",
        Expected::Pattern => "\"news:*\"",
        Expected::Word(_) => "\"anyone\"",
        _ => "\"https://login.example.com\"",
    }
}

impl Setting {
    /// The values that it takes, in one phrase.
    #[must_use]
    pub fn values(&self) -> String {
        match (self.expected(), &self.bounds) {
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
            (Expected::List | Expected::Secrets, _) => "A list of texts".to_owned(),
            (Expected::Text | Expected::Secret, _) => "A text".to_owned(),
            (Expected::File, _) => "The name of a file".to_owned(),
            (Expected::Pattern, _) => "A name, or the beginning of names and *".to_owned(),
            (Expected::Duration, Some(_)) => format!("{}; units ms, s, m, h, d", self.range()),
            (Expected::Duration, None) => "A whole number and a unit: ms, s, m, h, d".to_owned(),
            (Expected::Word(words), _) => words
                .iter()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// So much of what it is about, with the unit.
    pub(super) fn amount(&self, number: u64) -> String {
        match (self.expected(), &self.bounds) {
            (Expected::Duration, _) => duration::text_of_ms(number),
            (_, Some(bounds)) => format!("{} {}", grouped(number), bounds.unit),
            (_, None) => grouped(number),
        }
    }

    /// Its bounds; empty for what has none.
    fn range(&self) -> String {
        match &self.bounds {
            Some(bounds) => format!(
                "\"{}\" to \"{}\"",
                self.amount(bounds.min),
                self.amount(bounds.max)
            ),
            None => String::new(),
        }
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
            (Expected::Secrets, _) if in_file => "write for example [\"some-long-key\"]".to_owned(),
            (Expected::Secrets, _) => "write keys with a comma between them".to_owned(),
            (Expected::Text | Expected::Secret, _) if in_file => "write a text between double quotes".to_owned(),
            (Expected::Text | Expected::Secret, _) => "write a text".to_owned(),
            (Expected::File, _) => format!("write for example {}", quoted("/etc/pushring/jwks.json")),
            (Expected::Pattern, _) => format!("write for example {} or {}", quoted("news:*"), quoted("news")),
            (Expected::Duration, Some(_)) => format!("write for example {}, from {} (units ms, s, m, h, d)", quoted("10m"), self.range()),
            (Expected::Duration, None) => "write a whole number and a unit: ms, s, m, h, d".to_owned(),
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
            format!("{} = ... below {}", self.name, header(self.section))
        }
    }
}
