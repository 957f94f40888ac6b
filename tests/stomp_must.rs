//! `tests/stomp/must.md` names the tests for every MUST of the STOMP 1.2 specification. Here it is checked that they are
//! there.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

/// Rules with MUST, MUST NOT or REQUIRED for servers or for both sides; the table has no fewer rows.
const RULES_MIN: usize = 25;

#[test]
fn every_test_that_the_table_names_exists() {
    let table = read("stomp/must.md");
    let faults: Vec<String> = rows(&table).flat_map(faults_of).collect();
    assert!(
        faults.is_empty(),
        "tests/stomp/must.md:\n{}",
        faults.join("\n")
    );
}

#[test]
fn no_rule_is_lost_or_told_twice() {
    let table = read("stomp/must.md");
    let of_servers = table.split("\n## ").nth(1).unwrap();
    assert!(rows(of_servers).count() >= RULES_MIN);
    let told: Vec<&str> = rows(&table)
        .map(|row| row.rsplit_once(" | ").unwrap().0)
        .collect();
    let different: BTreeSet<&&str> = told.iter().collect();
    assert_eq!(told.len(), different.len());
}

#[test]
fn a_test_that_is_not_there_is_found() {
    for row in [
        "| a | b | c |",
        "| a | b | `stomp_must.rs` |",
        "| a | b | `stomp_must.rs::nothing_of_that_name` |",
        "| a | b | `stomp_must.rs::faults_of` |",
        "| a | b | `no_such_file.rs::a_test_that_is_not_there_is_found` |",
        "| a | b | `stomp_must.rs::a_test_that_is_not_there_is_found`, `stomp_must.rs::other` |",
    ] {
        assert!(!faults_of(row).is_empty(), "{row}");
    }
    let row = "| a | `b` | `stomp_must.rs::a_test_that_is_not_there_is_found` |";
    assert_eq!(faults_of(row), Vec::<String>::new());
}

/// The rows of all tables, without the names of the columns and the rules below them.
fn rows(table: &str) -> impl Iterator<Item = &str> {
    table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| section |"))
        .filter(|line| !line.starts_with("| ---"))
}

fn faults_of(row: &str) -> Vec<String> {
    let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
    let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
    if names.is_empty() {
        return vec![format!("no test: {row}")];
    }
    let missing = names.into_iter().filter(|name| !exists(name));
    missing.map(|name| format!("there is no {name}")).collect()
}

/// Whether that test of a file below `tests/` is there, written `file.rs::function`.
fn exists(name: &str) -> bool {
    let Some((file, function)) = name.split_once("::") else {
        return false;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.contains(&format!("#[test]\nfn {function}()"))
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
