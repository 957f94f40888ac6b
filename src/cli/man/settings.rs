//! The page of the configuration file, made of the table of settings.

use super::Page;
use super::text::Text;
use crate::config::{Setting, namespace_section, namespace_settings, sections, settings};

const NAME: &str = "pushring.toml";

pub(super) fn page() -> Page {
    let mut text = Text::new(NAME, 5);
    text.section("NAME");
    text.line(["pushring.toml - configuration of the pushring server".into()]);
    text.section("DESCRIPTION");
    text.line([
        "A TOML file that pushring serve --config or the variable PUSHRING_CONFIG names. It needs only the settings that it \
         changes. A name that is not known is refused wherever it stands; pushring check-config says what is wrong in a file."
            .into(),
    ]);
    text.paragraph(
        "Every setting outside of [[namespace]] has a variable of the environment too, and a few have a flag. Flags win over \
         variables, variables over the file. SIGHUP has a running server read all of them again; settings that take a restart \
         keep their values until then.",
    );
    text.section("SETTINGS AT THE TOP");
    describe(
        settings().iter().filter(|s| s.section.is_empty()),
        &mut text,
    );
    for section in sections() {
        text.section(&format!("[{}]", section.name));
        text.line([sentence(section.description).into()]);
        let its_own = settings().iter().filter(|s| s.section == section.name);
        describe(its_own, &mut text);
    }
    let namespace = namespace_section();
    text.section(&format!("[[{}]]", namespace.name));
    text.line([sentence(namespace.description).into()]);
    describe(namespace_settings().iter(), &mut text);
    text.see_also([("pushring", 1), ("pushring-check-config", 1)]);
    Page {
        name: NAME.to_owned(),
        section: 5,
        text,
    }
}

fn describe<'a>(settings: impl Iterator<Item = &'a Setting>, text: &mut Text) {
    for setting in settings {
        text.term(setting.name, &sentence(setting.description));
        let default = match setting.default_toml() {
            default if default.is_empty() => "Not set by default.".to_owned(),
            default => format!("Default {default}."),
        };
        let mut facts = format!("{}. {default}", setting.values());
        if setting.section != namespace_section().name {
            if setting.needs_restart() {
                facts.push_str(" Takes a restart.");
            }
            facts.push(' ');
            facts.push_str(&setting.variable());
        }
        text.control("br", &[]);
        text.line([facts.into()]);
    }
}

/// The lines of a description as one, without the marks of code.
fn sentence(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ").replace('`', "")
}
