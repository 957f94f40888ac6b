//! What must hold between settings, and what is allowed but said at every start.

use pushring::config::{Config, Fault, Warning};

use crate::support::{from_text, from_variables, lines_about};

#[test]
fn the_default_configuration_is_valid_and_nothing_needs_to_be_said_about_it() {
    assert_eq!(Config::default().validate().unwrap(), []);
}

#[test]
fn a_hand_made_configuration_out_of_bounds_is_refused_by_validate() {
    let mut config = Config::default();
    config.timeouts.head_ms = 0;
    config.mailbox.entries = 1 << 20;
    let error = config.validate().unwrap_err();
    let lines: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "timeouts.head_ms = 0 is below the minimum, 10 milliseconds; write a whole number from 10 to 600_000 (milliseconds)",
            "mailbox.entries = 1_048_576 is above the maximum, 65_536 entries a pair of shards; write a whole number from 16 to \
             65_536 (entries a pair of shards)",
        ]
    );
}

#[test]
fn a_listener_that_other_machines_reach_is_refused_and_insecure_overrides_it_with_a_warning() {
    for (key, variable, auth) in [
        ("listen", "PUSHRING_LISTEN", "hmac_secret or jwks_file"),
        ("internal", "PUSHRING_INTERNAL", "api_keys"),
    ] {
        for address in [
            "0.0.0.0:9000",
            "10.0.0.1:9000",
            "[::]:9000",
            "[2001:db8::1]:9000",
            "[::ffff:10.0.0.1]:9000",
        ] {
            let error = from_variables(&[(variable, address)]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "{variable}: {key} = \"{address}\" can be reached from other machines and no authentication is configured; \
                     write {auth} below [auth], a loopback address such as \"127.0.0.1:9000\", or allow it with --insecure (insecure = true in the \
                     file)"
                )
            );
            let config =
                from_variables(&[(variable, address), ("PUSHRING_INSECURE", "true")]).unwrap();
            let address = address.parse().unwrap();
            assert_eq!(
                config.validate().unwrap(),
                [Warning::Reachable { key, address }]
            );
        }
    }
}

#[test]
fn a_listener_that_other_machines_reach_is_let_in_where_something_checks_who_comes() {
    let secret = (
        "PUSHRING_AUTH_HMAC_SECRET",
        "0123456789abcdef0123456789abcdef",
    );
    let jwks = ("PUSHRING_AUTH_JWKS_FILE", "/etc/pushring/jwks.json");
    let keys = (
        "PUSHRING_AUTH_API_KEYS",
        "0123456789abcdef,fedcba9876543210",
    );
    let listen = ("PUSHRING_LISTEN", "0.0.0.0:9000");
    let internal = ("PUSHRING_INTERNAL", "0.0.0.0:9001");
    for (variables, refused) in [
        (vec![listen, secret], &[][..]),
        (vec![listen, jwks], &[]),
        (vec![listen, keys], &["listen"]),
        (vec![internal, keys], &[]),
        (vec![internal, secret, jwks], &["internal"]),
        (vec![listen, internal, secret], &["internal"]),
        (vec![listen, internal, keys, jwks], &[]),
    ] {
        let refusals: Vec<&str> = match from_variables(&variables) {
            Ok(config) => {
                assert_eq!(config.validate().unwrap(), [], "{variables:?}");
                Vec::new()
            }
            Err(error) => error
                .problems()
                .iter()
                .map(|problem| match problem.fault {
                    Fault::Reachable { key, .. } => key,
                    _ => panic!("{problem}"),
                })
                .collect(),
        };
        assert_eq!(refusals, refused, "{variables:?}");
    }
}

#[test]
fn insecure_is_needless_where_something_checks_who_comes() {
    let mut config = from_variables(&[
        (
            "PUSHRING_AUTH_HMAC_SECRET",
            "0123456789abcdef0123456789abcdef",
        ),
        ("PUSHRING_LISTEN", "0.0.0.0:9000"),
    ])
    .unwrap();
    config.insecure = true;
    assert_eq!(config.validate().unwrap(), [Warning::NeedlesslyInsecure]);
}

#[test]
fn who_mistyped_a_key_is_not_told_that_the_listener_is_open() {
    for text in [
        "listen = '0.0.0.0:8000'\n[auth]\nhmac_sekret = 'x'\n",
        "listen = '0.0.0.0:8000'\n[auth]\nhmac_secret = 5\n",
        "listen = '0.0.0.0:8000'\n[auth]\njwks_file = ''\n",
        "internal = '0.0.0.0:8001'\n[auth]\napi_keys = 'x'\n",
        "internal = '0.0.0.0:8001'\n[auth]\napi_keys = ['x']\n",
        "internal = '0.0.0.0:8001'\n[auth]\napi_key = ['x']\n",
    ] {
        let lines = lines_about(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[test]
fn every_loopback_address_is_let_in_without_insecure() {
    for address in [
        "127.0.0.1:9000",
        "127.9.9.9:9000",
        "[::1]:9000",
        "[::ffff:127.0.0.1]:9000",
    ] {
        assert_eq!(
            from_variables(&[("PUSHRING_LISTEN", address)])
                .unwrap()
                .validate()
                .unwrap(),
            []
        );
    }
}

#[test]
fn insecure_is_said_at_every_start_also_where_nothing_needs_it() {
    let config = Config {
        insecure: true,
        ..Config::default()
    };
    assert_eq!(config.validate().unwrap(), [Warning::NeedlesslyInsecure]);
}

#[test]
fn who_mistyped_insecure_is_not_told_that_it_is_missing() {
    assert_eq!(
        lines_about("listen = '0.0.0.0:8000'\ninsecur = true\n").len(),
        1
    );
    assert_eq!(
        lines_about("listen = '0.0.0.0:8000'\ninsecure = 'yes'\n").len(),
        1
    );
    assert_eq!(
        lines_about("listen = '0.0.0.0:8000'\nech = true\n").len(),
        2
    );
}

#[test]
fn both_listeners_on_one_port_are_refused_where_they_collide() {
    for (listen, internal, collide) in [
        ("127.0.0.1:9000", "127.0.0.1:9000", true),
        ("127.0.0.1:9000", "127.0.0.2:9000", false),
        ("127.0.0.1:9000", "127.0.0.1:9001", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
        ("0.0.0.0:9000", "127.0.0.1:9000", true),
        ("127.0.0.1:9000", "[::]:9000", true),
        ("0.0.0.0:9000", "[::1]:9000", false),
        ("[::ffff:127.0.0.1]:9000", "127.0.0.1:9000", true),
    ] {
        let pairs = [
            ("PUSHRING_LISTEN", listen),
            ("PUSHRING_INTERNAL", internal),
            ("PUSHRING_INSECURE", "true"),
        ];
        match from_variables(&pairs) {
            Ok(_) => assert!(!collide, "{listen} {internal}"),
            Err(error) => {
                assert!(collide, "{error}");
                assert!(matches!(error.problems()[0].fault, Fault::SamePort { .. }));
            }
        }
    }
}

#[test]
fn an_allowed_origin_that_no_browser_sends_is_refused() {
    for entry in [
        "",
        "example.com",
        "https://example.com/",
        "https://example.com/a",
        "https://",
        "://a",
        "https://a b",
        "**",
    ] {
        let lines = lines_about(format!("[origins]\nallowed = ['*', '{entry}']\n"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!(
                "FILE:2: origins.allowed has the entry \"{entry}\", "
            )),
            "{lines:?}"
        );
    }
    for entry in [
        "*",
        "null",
        "https://example.com",
        "http://127.0.0.1:3000",
        "http://[::1]:*",
        "https://*.example.com:*",
    ] {
        assert!(
            from_text(format!("[origins]\nallowed = ['{entry}']\n")).is_ok(),
            "{entry}"
        );
    }
}

#[test]
fn a_backlog_smaller_than_the_longest_message_is_warned_of() {
    let config = from_text("slow_consumer.backlog_bytes_max = 2048\n").unwrap();
    let expected = Warning::BacklogBelowMessage {
        backlog_bytes_max: 2_048,
        message_bytes_max: 65_536,
    };
    assert_eq!(config.validate().unwrap(), [expected]);
}
