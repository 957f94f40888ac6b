//! `tuning/pushring.toml` lists every setting with its true default and bounds.
//!
//! `REWRITE_REFERENCE=1 cargo test --test config` writes the file anew after the table has changed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pushring::config::{
    ChannelPattern, Config, Expected, NamespaceConfig, Overrides, Setting, load,
    namespace_settings, reference, sections, settings,
};

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
    let table: toml::Table = with_what_is_not_set(&file_text()).parse().unwrap();
    let mut in_file: Vec<String> = Vec::new();
    for (key, value) in &table {
        let sections = match value.as_array() {
            Some(list) => list.iter().filter_map(toml::Value::as_table).collect(),
            None => Vec::from_iter(value.as_table()),
        };
        if sections.is_empty() {
            in_file.push(key.clone());
        }
        let names = sections.iter().flat_map(|section| section.keys());
        in_file.extend(names.map(|name| format!("{key}.{name}")));
    }
    let all = settings().iter().chain(namespace_settings());
    let mut in_table: Vec<String> = all.map(Setting::key).collect();
    in_file.sort();
    in_table.sort();
    assert_eq!(in_file, in_table);
}

/// What stands behind a `#` can be written as it stands there, and the namespace then has its defaults.
#[test]
fn what_is_not_set_is_shown_as_it_can_be_written() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference-with-all.toml");
    let text = with_what_is_not_set(&file_text());
    // What is shown for a secret is too short to be one.
    let text = text.replace("\"...\"", "\"0123456789abcdef0123456789abcdef\"");
    std::fs::write(&path, text).unwrap();
    let loaded = load(Some(&path), std::iter::empty(), Overrides::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let set = settings().iter().filter(|s| s.default_toml().is_empty());
    for setting in set {
        assert!(!setting.value_toml(&loaded).is_empty(), "{}", setting.key());
    }
    let [namespace] = &loaded.namespaces[..] else {
        panic!("{:?}", loaded.namespaces);
    };
    assert_eq!(
        NamespaceConfig {
            channels: ChannelPattern::all(),
            subscribe: None,
            publish: None,
            ..namespace.clone()
        },
        NamespaceConfig::default()
    );
}

/// The text with those lines too that begin with `#` and no space.
fn with_what_is_not_set(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
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
        let restart = if setting.needs_restart() {
            ". Takes a restart"
        } else {
            ""
        };
        assert!(
            above.ends_with(&format!("Default {value}{restart}. {}", setting.variable())),
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

/// What the README shows can be written so.
#[test]
fn the_example_in_the_readme_loads() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme-example.toml");
    std::fs::write(&path, example).unwrap();
    let config = load(Some(&path), std::iter::empty(), Overrides::default()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(config.validate().unwrap(), []);
    assert!(config.auth.checks_tokens());
    assert_eq!(config.namespaces.len(), 1);
}
