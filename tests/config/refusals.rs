//! What cannot be read or is unknown is refused in one line, with where it stands and what to write instead.

use std::path::Path;

use pushring::config::{Overrides, load, settings};

use crate::support::{
    TempFile, from_variables, line_about_variable, lines_about, no_flags, variables,
};

#[test]
fn an_unknown_key_is_refused_with_file_line_and_the_nearest_known_one() {
    assert_eq!(
        lines_about("echo = true\n\n[limits]\n# a comment\nmesage_bytes_max = 5\n"),
        [
            "FILE:5: there is no setting limits.mesage_bytes_max; the nearest is limits.message_bytes_max, write \
             message_bytes_max = ... below [limits]"
        ]
    );
    assert_eq!(
        lines_about("[log]\nlisten = '127.0.0.1:1'\n"),
        [
            "FILE:2: there is no setting log.listen; the nearest is listen, write listen = ... above the first section"
        ]
    );
    assert_eq!(
        lines_about("[limit]\nx = 1\n"),
        ["FILE:1: there is no section [limit]; the nearest is [limits], write that"]
    );
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        line_about_variable("PUSHRING_LIMITS_MESAGE_BYTES_MAX", "5"),
        "PUSHRING_LIMITS_MESAGE_BYTES_MAX: there is no such variable; the nearest is PUSHRING_LIMITS_MESSAGE_BYTES_MAX, write \
         that or unset this one"
    );
    assert!(
        line_about_variable("PUSHRING_CONFIGURATION", "x")
            .contains("the nearest is PUSHRING_CONFIG,")
    );
}

#[test]
fn a_value_of_another_kind_is_refused_with_what_to_write() {
    for (text, line) in [
        (
            "[timeouts]\nhead_ms = '5s'",
            "FILE:2: timeouts.head_ms = '5s' is text, not a whole number; write a whole number from 10 to 600_000 (milliseconds)",
        ),
        (
            "shards = 1.5",
            "FILE:1: shards = 1.5 is a number with a fraction or exponent, not a whole number; write a whole number from 0 to 64 \
             (shards, 0 = one for each core of the process's affinity mask)",
        ),
        (
            "echo = 1",
            "FILE:1: echo = 1 is a number, not a truth value; write true or false",
        ),
        (
            "listen = 'localhost:9000'",
            "FILE:1: listen = 'localhost:9000' is not an IP address and port; write for example \"127.0.0.1:9000\"",
        ),
        (
            "[log]\nlevel = 'verbose'",
            "FILE:2: log.level = 'verbose' is not one of its words; write one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        ),
        (
            "[origins]\nallowed = ['*', 5]",
            "FILE:2: origins.allowed = ['*', 5] has an entry that is a number, not text; write for example \
             [\"https://app.example.com\"]",
        ),
        (
            "limits = 5",
            "FILE:1: limits is a section, not a setting; write [limits] on a line of its own and its settings below",
        ),
    ] {
        assert_eq!(lines_about(text), [line]);
    }
}

#[test]
fn an_address_that_is_none_is_answered_with_what_may_have_been_meant() {
    for (written, meant) in [
        ("localhost:9000", "127.0.0.1:9000"),
        (":9000", "127.0.0.1:9000"),
        ("9000", "127.0.0.1:9000"),
        ("127.0.0.3", "127.0.0.3:8000"),
        ("::1", "[::1]:8000"),
        ("[::1]", "[::1]:8000"),
        ("127.0.0.1:99999", "127.0.0.1:8000"),
        ("", "127.0.0.1:8000"),
    ] {
        let line = line_about_variable("PUSHRING_LISTEN", written);
        assert!(
            line.ends_with(&format!("write for example {meant}")),
            "{line}"
        );
    }
}

#[test]
fn an_empty_variable_is_refused() {
    for setting in settings() {
        assert!(
            from_variables(&[(&setting.variable(), "")]).is_err(),
            "{}",
            setting.key()
        );
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    let line = line_about_variable("PUSHRING_ORIGINS_ALLOWED", "https://\u{fffd}.example");
    assert!(line.contains("is not UTF-8 text"), "{line}");
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    for (text, line) in [
        ("shards = 1\nhead_ms = 5s\n", "FILE:2: is not TOML ("),
        ("listen = 127.0.0.1:8000\n", "FILE:1: is not TOML ("),
        ("\n\n[limits\n", "FILE:3: is not TOML ("),
        (
            "shards = 1\necho = true\nshards = 2\n",
            "FILE:3: the same name is given a second time; keep one of the two",
        ),
    ] {
        let lines = lines_about(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(line), "{lines:?}");
    }
}

#[test]
fn what_is_no_text_file_is_refused() {
    assert_eq!(
        lines_about(b"echo = true\n# \xff\n"),
        ["FILE:2: is not UTF-8 text; save the file in that encoding"]
    );
    let reason = |path: &str| {
        load(Some(Path::new(path)), variables(&[]), no_flags())
            .unwrap_err()
            .to_string()
    };
    assert!(
        reason("/nonexistent/pushring.toml")
            .starts_with("/nonexistent/pushring.toml: cannot be read: ")
    );
    assert!(reason("/").starts_with("/: cannot be read: "));
    assert!(reason("/dev/zero").starts_with("/dev/zero: is longer than 1048576 bytes"));
}

#[test]
fn every_mistake_is_told_and_those_of_the_file_come_first_and_in_its_order() {
    let file = TempFile::new("[log]\nlevel = 5\n[limits]\nx = 1\nheaders_max = 1\n");
    let flags = Overrides {
        shards: Some("99".to_owned()),
        ..no_flags()
    };
    let error = load(Some(&file.0), variables(&[("PUSHRING_ECHO", "yes")]), flags).unwrap_err();
    let places: Vec<String> = error
        .problems()
        .iter()
        .map(|problem| problem.place.to_string())
        .collect();
    let of_file = |line| format!("{}:{line}", file.0.display());
    assert_eq!(
        places,
        [
            of_file(2),
            of_file(4),
            of_file(5),
            "PUSHRING_ECHO".to_owned(),
            "--shards".to_owned()
        ]
    );
    assert!(
        error
            .to_string()
            .ends_with(" (and 4 more; pushring check-config lists all)"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_is_refused_also_where_another_layer_overrides_it() {
    let file = TempFile::new("shards = 99\n");
    let flags = Overrides {
        shards: Some("1".to_owned()),
        ..no_flags()
    };
    assert!(load(Some(&file.0), variables(&[]), flags).is_err());
}

/// Some other program's file, given by accident.
#[test]
fn of_very_many_mistakes_the_first_hundred_are_listed() {
    let text: String = (0..50_000).map(|n| format!("key{n} = 1\n")).collect();
    let lines = lines_about(text);
    assert_eq!(lines.len(), 101);
    assert!(
        lines[99].starts_with("FILE:100: there is no setting key99;"),
        "{}",
        lines[99]
    );
    assert_eq!(
        lines[100],
        "FILE:101: more mistakes follow; only the first 100 are listed"
    );
}

#[test]
fn deep_nesting_is_refused_without_exhausting_the_stack() {
    for text in [
        format!("a = {}", "[".repeat(300_000)),
        format!("a{} = 1", ".a".repeat(300_000)),
    ] {
        let lines = lines_about(text);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("is not TOML"), "{}", lines[0]);
    }
}
