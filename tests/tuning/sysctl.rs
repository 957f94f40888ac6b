//! The kernel's settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{file, printed, text};

const FILE: &str = "tuning/sysctl.d/90-pushring.conf";

/// A setting of the file and the comment above it.
struct Setting {
    key: String,
    value: String,
    /// Whether the kernel may not know it.
    is_optional: bool,
    reason: String,
}

fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut reason = String::new();
    for line in text(FILE).lines() {
        if let Some(comment) = line.strip_prefix('#') {
            reason.push_str(comment);
            reason.push('\n');
        } else if let Some((key, value)) = line.split_once(" = ") {
            settings.push(Setting {
                key: key.trim_start_matches('-').to_owned(),
                value: value.to_owned(),
                is_optional: key.starts_with('-'),
                reason: std::mem::take(&mut reason),
            });
        } else {
            assert_eq!(line, "", "neither a comment nor a setting");
            reason.clear();
        }
    }
    assert!(!settings.is_empty());
    settings
}

fn path(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

#[test]
fn every_line_says_what_it_costs_and_where_to_look() {
    for setting in settings() {
        for part in [" Costs: ", " Look: "] {
            let found = setting.reason.matches(part).count();
            assert_eq!(found, 1, "{}: {part} in\n{}", setting.key, setting.reason);
        }
    }
}

#[test]
fn the_kernel_knows_every_setting_that_is_not_optional() {
    for setting in settings().iter().filter(|setting| !setting.is_optional) {
        // What belongs to the whole machine is not to be seen in a container's network namespace, and is not changed by a test.
        assert!(
            Path::new(&path(&setting.key)).exists(),
            "{} is not there",
            setting.key
        );
    }
}

/// Loaded by `sysctl` itself, in a network namespace of its own: what belongs to the whole machine is left out.
#[test]
fn the_kernel_takes_every_setting_of_the_network() {
    let of_network: Vec<Setting> = settings()
        .into_iter()
        .filter(|setting| setting.key.starts_with("net.") && !setting.is_optional)
        .collect();
    let script = r#"
        set -e
        mount -t proc proc /proc
        grep -E '^(#|$|net\.)' "$0" | sysctl --quiet --load=-
        for key; do echo "$key = $(sysctl --values "$key")"; done
    "#;
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--pid", "--fork", "sh", "-c", script])
        .arg(file(FILE))
        .args(of_network.iter().map(|setting| &setting.key));
    let printed = printed(&mut command);
    let taken: BTreeMap<&str, String> = printed
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, value)| (key, value.replace('\t', " ")))
        .collect();
    for setting in &of_network {
        assert_eq!(
            taken.get(setting.key.as_str()),
            Some(&setting.value),
            "{}\n{printed}",
            setting.key
        );
    }
    assert!(of_network.len() >= 3);
}

#[test]
fn the_ports_that_are_reserved_are_those_of_the_default_listeners() {
    let config = pushring::config::Config::default();
    let reserved = settings()
        .into_iter()
        .find(|setting| setting.key == "net.ipv4.ip_local_reserved_ports")
        .unwrap();
    let range = format!("{}-{}", config.listen.port(), config.internal.port());
    assert_eq!(reserved.value, range);
}
