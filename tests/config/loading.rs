//! File, variables and flags become a configuration.

use pushring::config::{
    Config, LogFormat, LogLevel, Overrides, Place, Setting, load, resolve, settings,
};

use crate::support::{TempFile, from_text, from_variables, line_of_file, no_flags, variables};

#[test]
fn without_file_environment_and_flags_every_setting_has_its_default() {
    assert_eq!(
        load(None, variables(&[]), no_flags()).unwrap(),
        Config::default()
    );
    assert_eq!(from_text("").unwrap(), Config::default());
    assert_eq!(
        from_variables(&[
            ("PATH", "/bin"),
            ("pushring_listen", "x"),
            ("PUSHRING", "x")
        ])
        .unwrap(),
        Config::default()
    );
}

#[test]
fn values_of_every_kind_arrive_in_their_fields() {
    let config = from_text(
        "listen = '127.0.0.2:9000'\ninternal = \"[::1]:9001\"\nshards = 7\necho = true\n\
         origins = { allowed = ['https://a.example', 'https://*.b.example:*'], missing_allowed = false }\n\
         limits.message_bytes_max = 0x20_000\n[timeouts]\nhead_ms = 1_000\n[log]\nlevel = 'trace'\nformat = 'json'\n",
    )
    .unwrap();
    assert_eq!(config.listen, "127.0.0.2:9000".parse().unwrap());
    assert_eq!(config.internal, "[::1]:9001".parse().unwrap());
    assert_eq!(
        (config.shards, config.echo, config.insecure),
        (7, true, false)
    );
    assert_eq!(
        config.origins.allowed,
        ["https://a.example", "https://*.b.example:*"]
    );
    assert!(!config.origins.missing_allowed);
    assert_eq!(config.limits.message_bytes_max, 131_072);
    assert_eq!(config.timeouts.head_ms, 1_000);
    assert_eq!(
        (config.log.level, config.log.format),
        (LogLevel::Trace, LogFormat::Json)
    );
}

#[test]
fn variables_are_written_as_in_the_file_but_without_quotes() {
    let config = from_variables(&[
        ("PUSHRING_LISTEN", "[::1]:9000"),
        ("PUSHRING_ECHO", "true"),
        (
            "PUSHRING_ORIGINS_ALLOWED",
            "https://a.example, https://b.example",
        ),
        ("PUSHRING_LIMITS_MESSAGE_BYTES_MAX", "131_072"),
        ("PUSHRING_LOG_FORMAT", "json"),
    ])
    .unwrap();
    assert_eq!(config.listen, "[::1]:9000".parse().unwrap());
    assert!(config.echo);
    assert_eq!(
        config.origins.allowed,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(config.limits.message_bytes_max, 131_072);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(
        from_variables(&[("PUSHRING_ORIGINS_ALLOWED", "[]")])
            .unwrap()
            .origins
            .allowed,
        [""; 0]
    );
    assert_eq!(
        from_variables(&[("PUSHRING_ORIGINS_ALLOWED", "['*']")]).unwrap(),
        Config::default()
    );
}

#[test]
fn every_setting_has_its_own_variable() {
    let mut names: Vec<String> = settings().iter().map(Setting::variable).collect();
    assert!(
        names
            .iter()
            .all(|name| name != pushring::config::CONFIG_VARIABLE)
    );
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_default_can_be_written_in_file_and_variable_and_is_within_its_bounds() {
    for setting in settings() {
        let default = setting.default_toml();
        if default.is_empty() {
            continue;
        }
        assert_eq!(
            from_text(line_of_file(setting, &default)).unwrap(),
            Config::default(),
            "{}",
            setting.key()
        );
        let text = default.trim_matches('"');
        assert_eq!(
            from_variables(&[(&setting.variable(), text)]).unwrap(),
            Config::default(),
            "{}",
            setting.key()
        );
    }
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_named_pushring_are_let_stand() {
    let links = [
        ("PUSHRING_SERVICE_HOST", "10.0.0.11"),
        ("PUSHRING_PORT", "tcp://10.0.0.11:8000"),
    ];
    assert_eq!(from_variables(&links).unwrap(), Config::default());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_mistake() {
    let config = from_text("\u{feff}echo = true\r\n[limits]\r\nheaders_max = 32\r\n").unwrap();
    assert!(config.echo);
    assert_eq!(config.limits.headers_max, 32);
}

#[test]
fn the_differences_from_the_defaults_are_told_with_where_they_were_written() {
    let file = TempFile::new("shards = 2\necho = false\n[limits]\nheaders_max = 32\n");
    let flags = Overrides {
        shards: Some("3".to_owned()),
        ..no_flags()
    };
    let resolved = resolve(
        Some(&file.0),
        variables(&[("PUSHRING_LOG_LEVEL", "warn")]),
        flags,
    )
    .unwrap();
    let told: Vec<(String, String, Place)> = resolved
        .differences
        .iter()
        .map(|d| (d.setting.key(), d.value.clone(), d.place.clone()))
        .collect();
    let in_file = Place::File {
        path: file.0.clone(),
        line: Some(4),
    };
    assert_eq!(
        told,
        [
            ("shards".to_owned(), "3".to_owned(), Place::Flag("--shards")),
            ("limits.headers_max".to_owned(), "32".to_owned(), in_file),
            (
                "log.level".to_owned(),
                "\"warn\"".to_owned(),
                Place::Variable("PUSHRING_LOG_LEVEL".to_owned())
            ),
        ]
    );
}
