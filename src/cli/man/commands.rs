//! The pages of the program and of its commands.

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;

use super::Page;
use super::text::Text;
use crate::cli::Cli;

/// How the paragraph of a help text begins that has the examples.
const EXAMPLES: &str = "Examples:\n";

/// The program's page and one for each command that is not hidden, however deep.
pub(super) fn pages() -> Vec<Page> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add_pages(&program, None, &mut pages);
    pages
}

fn add_pages(command: &Command, above: Option<&str>, pages: &mut Vec<Page>) {
    let name = page_name(command);
    pages.push(Page {
        name: name.to_owned(),
        section: 1,
        text: page(command, above),
    });
    for command in commands_of(command) {
        add_pages(command, Some(name), pages);
    }
}

fn page(command: &Command, above: Option<&str>) -> Text {
    let mut text = Text::new(page_name(command), 1);
    let shown = command.clone().subcommand_value_name("COMMAND");
    let man = Man::new(shown.mut_args(values_into_help));
    text.render(|to| man.render_name_section(to));
    text.render(|to| man.render_synopsis_section(to));
    text.render(|to| man.render_description_section(to));
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let (examples, paragraphs): (Vec<&str>, Vec<&str>) = help
        .split("\n\n")
        .filter(|paragraph| !paragraph.is_empty())
        .partition(|paragraph| paragraph.starts_with(EXAMPLES));
    for paragraph in paragraphs {
        text.paragraph(&paragraph.replace('\n', " "));
    }
    text.render(|to| man.render_options_section(to));
    if commands_of(command).next().is_some() {
        text.section("COMMANDS");
    }
    for command in commands_of(command) {
        let about = command.get_about().map(ToString::to_string);
        text.term(
            &format!("{}(1)", page_name(command)),
            &about.unwrap_or_default(),
        );
    }
    for examples in examples {
        text.section("EXAMPLES");
        let lines = examples[EXAMPLES.len()..].lines();
        text.verbatim(lines.map(|line| line.strip_prefix("  ").unwrap_or(line)));
    }
    if above.is_none() {
        describe_the_program(&mut text);
    }
    let above = above.map(|above| (above, 1));
    text.see_also(above.into_iter().chain([("pushring.toml", 5)]));
    text
}

/// Puts the words that an argument takes behind its help: the list that is rendered otherwise is not good roff.
fn values_into_help(arg: Arg) -> Arg {
    let values = arg.get_possible_values();
    let words: Vec<&str> = values
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name())
        .collect();
    if words.is_empty() {
        return arg;
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [values: {}]", words.join(", ")))
        .hide_possible_values(true)
}

/// What concerns the program as a whole and stands in no help text.
fn describe_the_program(text: &mut Text) {
    text.section("EXIT STATUS");
    text.term("0", "All went well; a server has drained and ended.");
    text.term(
        "2",
        "Arguments or a configuration that cannot be used, or a server that could not start. One line on standard error \
         says why.",
    );
    text.section("FILES");
    text.term(
        "/etc/pushring/pushring.toml",
        "The configuration of the service that the Debian package installs. The program itself reads only what --config or \
         PUSHRING_CONFIG names.",
    );
}

fn commands_of(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
}

/// The page's name: those of the commands that lead there with - between them.
fn page_name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}
