//! `tuning/pushring.toml` lists every setting with its true default and bounds.
//!
//! `REWRITE_REFERENCE=1 cargo test --test config` writes the file anew after the table has changed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pushring::config::{Config, Expected, Overrides, load, reference, sections, settings};

fn reference_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/pushring.toml")
}

fn file_text() -> String {
    static REWRITTEN: OnceLock<()> = OnceLock::new();
    // Once and before any test reads it, for they run at the same time.
    REWRITTEN.get_or_init(|| {
        if std::env::var_os("REWRITE_REFERENCE").is_some() {
            std::fs::write(reference_file(), reference()).unwrap();
        }
    });
    std::fs::read_to_string(reference_file()).unwrap()
}

#[test]
fn the_file_is_what_the_table_of_settings_says() {
    assert_eq!(
        file_text(),
        reference(),
        "REWRITE_REFERENCE=1 cargo test --test config writes it anew"
    );
}

#[test]
fn the_file_loads_as_the_default_configuration() {
    file_text();
    let loaded = load(
        Some(&reference_file()),
        std::iter::empty(),
        Overrides::default(),
    )
    .unwrap();
    assert_eq!(loaded, Config::default());
}

/// Read with another TOML reader than the product's (into plain values), so that a setting that `load` passes over is noticed.
#[test]
fn the_file_names_every_setting_once_and_nothing_else() {
    let table: toml::Table = file_text().parse().unwrap();
    let mut in_file: Vec<String> = Vec::new();
    for (key, value) in &table {
        match value.as_table() {
            Some(section) => in_file.extend(section.keys().map(|name| format!("{key}.{name}"))),
            None => in_file.push(key.clone()),
        }
    }
    let mut in_table: Vec<String> = settings().iter().map(|setting| setting.key()).collect();
    in_file.sort();
    in_table.sort();
    assert_eq!(in_file, in_table);
}

#[test]
fn the_line_above_each_number_states_its_unit_bounds_default_and_variable() {
    let text = file_text();
    let lines: Vec<&str> = text.lines().collect();
    let mut section = "";
    let mut numbers = 0;
    for (index, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = sections()
                .iter()
                .map(|s| s.name)
                .find(|known| name == format!("{known}]"))
                .unwrap();
        }
        let Some((name, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let setting = settings()
            .iter()
            .find(|s| s.section == section && s.name == name)
            .unwrap();
        let above = lines[index - 1];
        assert!(
            above.contains(&format!("Default {value}. {}", setting.variable())),
            "{above}"
        );
        if setting.expected() == Expected::Number {
            let bounds = setting.bounds.unwrap();
            let plain = above.replace('_', "");
            assert!(
                plain.starts_with(&format!(
                    "# {} to {} {}",
                    bounds.min,
                    bounds.max,
                    bounds.unit.replace('_', "")
                )),
                "{above}"
            );
            numbers += 1;
        }
    }
    assert_eq!(
        numbers,
        settings().iter().filter(|s| s.bounds.is_some()).count()
    );
}
