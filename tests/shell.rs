//! Completions in real shells, and manual pages through the programs that check and show them.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pushring::config::{namespace_settings, settings};

/// What the program prints, which must do so without a complaint.
fn pushring(arguments: &[&str]) -> String {
    let output = run(env!("CARGO_BIN_EXE_pushring"), arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "100")
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot run {program} ({error}): tests/install-tools installs it")
        })
}

/// What a program that must succeed without a complaint prints.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{program}: {}\n{text}{complaint}",
        output.status
    );
    text
}

/// An empty folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shell-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The commands that are shown by `pushring --help`.
fn commands() -> BTreeSet<String> {
    let help = pushring(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: BTreeSet<String> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(commands.contains("serve"), "{help}");
    commands
}

/// Completes the last of the words in bash as its Tab key does, in a folder that has one file `site.toml`.
fn complete_in_bash(words: &[&str]) -> BTreeSet<String> {
    let folder = folder(&format!("bash{}", words.join("-").replace('/', "_")));
    fs::write(folder.join("site.toml"), "").unwrap();
    let script = folder.with_extension("bash");
    fs::write(&script, pushring(&["completions", "bash"])).unwrap();
    let drive = r#"
        source "$1" && cd "$2" && shift 2
        specification=$(complete -p pushring) || exit
        function=${specification##* -F } function=${function%% *}
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "$function" pushring "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut arguments = vec!["--norc", "--noprofile", "-c", drive, "bash"];
    arguments.extend([script.to_str().unwrap(), folder.to_str().unwrap()]);
    arguments.extend(words);
    let replies = printed("bash", &arguments);
    replies
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_commands_flags_words_and_files() {
    for (words, expected) in [
        (&["pushring", "che"][..], &["check-config"][..]),
        (&["pushring", "--con"], &["--config"]),
        (&["pushring", "serve", "--li"], &["--listen"]),
        (&["pushring", "completions", "f"], &["fish"]),
        (&["pushring", "--config", "si"], &["site.toml"]),
        (&["pushring", "check-config", "--e"], &["--echo"]),
        (&["pushring", "nothing-there"], &[]),
    ] {
        let replies = complete_in_bash(words);
        let expected: BTreeSet<String> = expected.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(replies, expected, "{words:?}");
    }
    let all = complete_in_bash(&["pushring", ""]);
    let missing: Vec<_> = commands().difference(&all).cloned().collect();
    assert!(missing.is_empty(), "{missing:?} not in {all:?}");
}

#[test]
fn no_shell_offers_what_help_hides() {
    for shell in ["bash", "zsh", "fish"] {
        let script = pushring(&["completions", shell]);
        assert!(script.contains("check-config"), "{shell}");
        // How `pushring bench` starts servers.
        assert!(!script.contains("launch"), "{shell}");
    }
}

#[test]
fn fish_completes_commands_flags_and_words() {
    let script = folder("fish").join("pushring.fish");
    fs::write(&script, pushring(&["completions", "fish"])).unwrap();
    let script = script.to_str().unwrap();
    for (line, expected) in [
        ("pushring che", "check-config"),
        ("pushring serve --li", "--listen"),
        ("pushring bench fanout --protocol sto", "--protocol=stomp"),
    ] {
        let drive = format!("source {script}; complete -C '{line}'");
        let replies = printed("fish", &["--no-config", "-c", &drive]);
        let offered = replies.lines().map(|line| line.split('\t').next().unwrap());
        // Of `--flag=word` as well as of `word`: it is the same to who types it.
        let is_meant = |word: &str| word == expected || expected.ends_with(&format!("={word}"));
        assert!(offered.clone().any(is_meant), "{line}: {replies:?}");
    }
}

/// Typed into a real zsh on a terminal of its own, with its Tab key.
#[test]
fn zsh_completes_a_command() {
    let folder = folder("zsh");
    fs::write(folder.join("_pushring"), pushring(&["completions", "zsh"])).unwrap();
    let drive = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; pushring() { : }; echo loa''ded"
        zpty -r shell seen '*loaded*' || exit
        zpty -w -n shell $'pushring che\t'
        zpty -r shell seen '*check-config*' || exit
        print completed
        zpty -d shell
    "#;
    let arguments = ["20", "zsh", "-f", "-c", drive, "zsh"];
    let all: Vec<&str> = arguments.into_iter().chain(folder.to_str()).collect();
    assert_eq!(printed("timeout", &all), "completed\n");
}

#[test]
fn a_shell_that_is_not_known_is_refused_with_those_that_are() {
    let output = run(env!("CARGO_BIN_EXE_pushring"), &["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("bash, zsh, fish"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

/// All pages as files.
fn pages(name: &str) -> Vec<PathBuf> {
    let folder = folder(name).join("man");
    pushring(&["man", "--out", folder.to_str().unwrap()]);
    let mut pages: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    pages
}

#[test]
fn every_command_has_a_page_and_so_has_the_file_of_settings() {
    let pages = pages("pages");
    let names: BTreeSet<&str> = pages
        .iter()
        .map(|page| page.file_name().unwrap().to_str().unwrap())
        .collect();
    assert!(names.contains("pushring.1") && names.contains("pushring.toml.5"));
    for command in commands().iter().filter(|command| *command != "help") {
        let name = format!("pushring-{command}.1");
        assert!(names.contains(name.as_str()), "{name} not in {names:?}");
    }
    assert!(names.contains("pushring-bench-compare.1"), "{names:?}");
    assert!(!names.contains("pushring-bench-launch.1"), "{names:?}");
    for page in &pages {
        let name = page.file_stem().unwrap().to_str().unwrap();
        let printed = pushring(&["man", name]);
        assert_eq!(printed, fs::read_to_string(page).unwrap(), "{name}");
    }
}

/// Two formatters with all their warnings, and `man` itself.
#[test]
fn the_pages_are_clean_roff() {
    for page in pages("clean") {
        let page = page.to_str().unwrap();
        printed("groff", &["-ww", "-man", "-Kutf8", "-Tutf8", "-z", page]);
        let complaints = run("mandoc", &["-T", "lint", "-W", "warning", page]);
        let complaints = String::from_utf8(complaints.stdout).unwrap();
        // They are as old as the program that prints them.
        let others: Vec<&str> = complaints
            .lines()
            .filter(|line| !line.ends_with("WARNING: missing date, using \"\": TH"))
            .collect();
        assert!(others.is_empty(), "{others:?}");
        let shown = printed("man", &["--warnings", "--local-file", page]);
        assert!(shown.contains("SEE ALSO"), "{shown}");
    }
}

#[test]
fn the_page_of_a_command_has_its_flags_and_examples_as_help_has_them() {
    let page = folder("serve").join("pushring-serve.1");
    fs::write(&page, pushring(&["man", "serve"])).unwrap();
    let shown = printed("man", &["--local-file", page.to_str().unwrap()]);
    let help = pushring(&["serve", "--help"]);
    for flag in ["--config", "--listen", "--shards"] {
        assert!(help.contains(flag) && shown.contains(flag), "{flag}");
    }
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    for example in examples.lines() {
        assert!(shown.contains(example.trim()), "{example} not in\n{shown}");
    }
}

#[test]
fn the_page_of_settings_names_each_with_its_default() {
    let page = folder("settings").join("pushring.toml.5");
    fs::write(&page, pushring(&["man", "pushring.toml"])).unwrap();
    // Wide enough that no name is broken over two lines.
    let shown = Command::new("man")
        .env("MANWIDTH", "2000")
        .args(["--nh", "--nj", "--local-file"])
        .arg(&page)
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for setting in settings() {
        let default = match setting.default_toml() {
            default if default.is_empty() => "Not set by default.".to_owned(),
            default => format!("Default {default}."),
        };
        let line = shown
            .lines()
            .find(|line| line.ends_with(&format!(" {}", setting.variable())))
            .unwrap_or_else(|| panic!("{} is not in the page", setting.variable()));
        assert!(line.contains(&default), "{line}");
    }
    for setting in namespace_settings() {
        let is_there = shown.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(setting.name)
        });
        assert!(is_there, "{} is not in the page", setting.name);
    }
}

#[test]
fn a_page_that_there_is_not_and_a_folder_that_cannot_be_are_one_line() {
    for (arguments, part) in [
        (&["man", "sevre"][..], "write one of pushring, serve, "),
        (&["man", "--out", "/dev/null/x"], "--out /dev/null/x: "),
    ] {
        let output = run(env!("CARGO_BIN_EXE_pushring"), arguments);
        assert_eq!(output.status.code(), Some(2));
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.contains(part), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
