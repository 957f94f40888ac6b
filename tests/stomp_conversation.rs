//! One scripted STOMP conversation, `tests/stomp/conversation.txt`, with this server and with RabbitMQ.
//!
//! Every situation is played on the real server, whose answers must be those of `tests/stomp/pushring.txt`. What was heard
//! is left in `target/tmp/stomp-pushring.txt`: where an answer has changed for the better, copy that file over the record.
//! `tests/stomp/record-rabbitmq` recorded `tests/stomp/rabbitmq.txt` with the same test.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `STOMP_SERVER` | play on the server at this `ws://` address instead, which is compared with |
//! | `STOMP_RECORD` | this record |

#![forbid(unsafe_code)]

mod support;

#[path = "stomp/conversation/difference.rs"]
mod difference;
#[path = "stomp/conversation/driver.rs"]
mod driver;
#[path = "stomp/conversation/record.rs"]
mod record;
#[path = "stomp/conversation/script.rs"]
mod script;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use difference::{RULES, Rule};
use driver::{Stage, play};
use script::Situation;
use support::server::{Options, Server};

/// Heart-beats as often as RabbitMQ has them at the most.
const BEATS: &str = "[stomp]\nbeat_send_ms = 1000\nbeat_receive_ms = 1000\n";

#[test]
fn the_server_answers_every_situation_as_recorded() {
    let (stage, _server, record_path) = stage();
    let expected = std::fs::read_to_string(&record_path).unwrap_or_default();
    let heard = play_all(&stage, &expected);
    let heard_path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "stomp-{}",
        record_path.file_name().unwrap().to_str().unwrap()
    ));
    std::fs::write(&heard_path, &heard).unwrap();
    let differing = differing_lines(&expected, &heard);
    assert!(
        differing.is_empty(),
        "{} differs from {}:\n{differing}",
        heard_path.display(),
        record_path.display(),
    );
}

#[test]
fn every_difference_to_rabbitmq_is_explained_in_one_row_and_nothing_else_is() {
    let table = text("differences.md");
    let named: Vec<String> = difference::rows(&table, "## One by one")
        .into_iter()
        .flat_map(|row| row.situations)
        .collect();
    let mut faults = String::new();
    for (name, difference) in differing_situations(&RULES) {
        match named.iter().filter(|of| **of == name).count() {
            0 => writeln!(faults, "no row names `{name}`:\n{difference}").unwrap(),
            1 => {}
            count => writeln!(faults, "{count} rows name `{name}`").unwrap(),
        }
    }
    let differing = differing_situations(&RULES);
    for name in &named {
        if !differing.iter().any(|(of, _)| of == name) {
            writeln!(
                faults,
                "a row names `{name}`, where the answers do not differ"
            )
            .unwrap();
        }
    }
    assert!(faults.is_empty(), "tests/stomp/differences.md:\n{faults}");
}

#[test]
fn every_difference_that_is_met_everywhere_is_named_and_met() {
    let table = text("differences.md");
    let named: Vec<String> = difference::rows(&table, "## Everywhere")
        .into_iter()
        .map(|row| row.cells[0].clone())
        .collect();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(named, rules);
    let all = differing_situations(&RULES).len();
    for rule in &RULES {
        let without = RULES.iter().filter(|other| other.name != rule.name);
        let differing = differing_situations(without).len();
        assert!(differing > all, "{} hides nothing", rule.name);
    }
}

#[test]
fn the_table_of_differences_says_all_there_is_to_say() {
    let table = text("differences.md");
    for heading in ["## Everywhere", "## One by one"] {
        let rows = difference::rows(&table, heading);
        assert!(!rows.is_empty(), "{heading}");
        for row in rows {
            assert_eq!(row.cells.len(), 5, "{:?}", row.cells);
            assert!(
                row.cells.iter().all(|cell| !cell.is_empty()),
                "{:?}",
                row.cells
            );
        }
    }
}

/// The situations in which the two servers still differ under these rules, and how.
fn differing_situations<'a>(
    rules: impl IntoIterator<Item = &'a Rule> + Clone,
) -> Vec<(String, String)> {
    let (theirs, ours) = (text("rabbitmq.txt"), text("pushring.txt"));
    let (theirs, ours) = (record::situations(&theirs), record::situations(&ours));
    let names = |of: &[(&str, _)]| of.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (names_theirs, names_ours): (Vec<String>, Vec<String>) = (names(&theirs), names(&ours));
    assert_eq!(
        names_theirs, names_ours,
        "the records are of the same conversation"
    );
    let mut differing = Vec::new();
    for ((name, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        let theirs = difference::reduced(theirs, rules.clone());
        let ours = difference::reduced(ours, rules.clone());
        if theirs != ours {
            let only = |lines: &[String], other: &[String]| {
                let lines = lines.iter().filter(|line| !other.contains(line));
                lines.fold(String::new(), |all, line| all + "    " + line + "\n")
            };
            let difference = format!(
                "  RabbitMQ:\n{}  pushring:\n{}",
                only(&theirs, &ours),
                only(&ours, &theirs)
            );
            differing.push(((*name).to_owned(), difference));
        }
    }
    differing
}

/// The server that the situations are played on, and the record that it is held to.
fn stage() -> (Stage, Option<Server>, PathBuf) {
    let run = std::process::id();
    if let Ok(url) = std::env::var("STOMP_SERVER") {
        let (address, path) = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split_once('/'))
            .unwrap_or_else(|| panic!("STOMP_SERVER is not like ws://127.0.0.1:15674/ws: {url}"));
        let stage = Stage {
            address: address.parse().unwrap(),
            path: format!("/{path}"),
            run,
        };
        let record = std::env::var("STOMP_RECORD").expect("STOMP_RECORD goes with STOMP_SERVER");
        return (stage, None, record.into());
    }
    let server = Server::start(Options::with_config(BEATS));
    let stage = Stage {
        address: server.addresses.public,
        path: "/stomp".to_owned(),
        run,
    };
    (stage, Some(server), data_file("pushring.txt"))
}

fn play_all(stage: &Stage, expected: &str) -> String {
    let expected = record::situations(expected);
    let mut heard = String::new();
    for (number, situation) in (1..).zip(&situations()) {
        let recorded = expected.iter().find(|(name, _)| *name == situation.name);
        let recorded = recorded.map_or(&[][..], |(_, lines)| lines);
        let lines = play(stage, number, situation, recorded);
        writeln!(heard, "== {}\n{}\n", situation.name, lines.join("\n")).unwrap();
    }
    heard
}

fn situations() -> Vec<Situation> {
    script::parse(&text("conversation.txt"))
        .unwrap_or_else(|error| panic!("tests/stomp/conversation.txt, {error}"))
}

fn text(name: &str) -> String {
    let path = data_file(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn data_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/stomp")
        .join(name)
}

/// The situations whose lines are not the same, with the first line that differs.
fn differing_lines(expected: &str, heard: &str) -> String {
    let (expected, heard) = (record::situations(expected), record::situations(heard));
    let mut report = String::new();
    for (name, lines) in &heard {
        let recorded = expected.iter().find(|(of, _)| of == name);
        let recorded = recorded.map_or(&[][..], |(_, lines)| lines);
        let at = (0..lines.len().max(recorded.len())).find(|&at| lines.get(at) != recorded.get(at));
        if let Some(at) = at {
            let line = |lines: &[&str]| lines.get(at).map_or("no more", |line| *line).to_owned();
            let (was, is) = (line(recorded), line(lines));
            writeln!(report, "{name}\n  recorded: {was}\n  heard:    {is}").unwrap();
        }
    }
    for (name, _) in &expected {
        if !heard.iter().any(|(of, _)| of == name) {
            writeln!(report, "{name}\n  is recorded, but not in the conversation").unwrap();
        }
    }
    report
}
