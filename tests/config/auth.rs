//! `[auth]`: what is read, what is refused, and that no secret is shown.

use pushring::config::{Overrides, Secret, resolve};

use crate::support::{TempFile, from_text, from_variables, lines_about, no_flags, variables};

#[test]
fn keys_and_claims_arrive_from_the_file_and_from_variables() {
    let in_file = from_text(
        "[auth]\nhmac_secret = \"0123456789abcdef0123456789abcdef\"\njwks_file = \"/etc/jwks.json\"\n\
         api_keys = [\"0123456789abcdef\", \"fedcba9876543210\"]\naudience = \"pushring\"\nissuer = \"login\"\n",
    )
    .unwrap();
    let in_variables = from_variables(&[
        (
            "PUSHRING_AUTH_HMAC_SECRET",
            "0123456789abcdef0123456789abcdef",
        ),
        ("PUSHRING_AUTH_JWKS_FILE", "/etc/jwks.json"),
        (
            "PUSHRING_AUTH_API_KEYS",
            "0123456789abcdef, fedcba9876543210",
        ),
        ("PUSHRING_AUTH_AUDIENCE", "pushring"),
        ("PUSHRING_AUTH_ISSUER", "login"),
    ])
    .unwrap();
    assert_eq!(in_file, in_variables);
    let auth = &in_file.auth;
    assert!(auth.checks_tokens());
    let secret = auth.hmac_secret.as_ref().map(Secret::reveal);
    assert_eq!(secret, Some("0123456789abcdef0123456789abcdef"));
    let keys: Vec<&str> = auth.api_keys.iter().map(Secret::reveal).collect();
    assert_eq!(keys, ["0123456789abcdef", "fedcba9876543210"]);
    assert_eq!(
        auth.jwks_file.as_ref().unwrap().to_str(),
        Some("/etc/jwks.json")
    );
    assert_eq!(auth.audience.as_deref(), Some("pushring"));
    assert_eq!(auth.issuer.as_deref(), Some("login"));
}

#[test]
fn what_is_empty_is_refused_and_not_taken_for_not_set() {
    for (name, line) in [
        (
            "hmac_secret",
            "(hidden) is empty; write a text between double quotes, or leave it out",
        ),
        (
            "issuer",
            "'' is empty; write a text between double quotes, or leave it out",
        ),
        (
            "jwks_file",
            "'' is empty; write for example \"/etc/pushring/jwks.json\", or leave it out",
        ),
    ] {
        let lines = lines_about(format!("[auth]\n{name} = ''\n"));
        assert_eq!(lines, [format!("FILE:2: auth.{name} = {line}")]);
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused_by_its_number() {
    for key in [
        "with space and more",
        "grüße, grüße, grüße",
        "line\\nfeed, line feed",
    ] {
        let lines = lines_about(format!(
            "[auth]\n\napi_keys = [\"0123456789abcdef\", \"{key}\"]\n"
        ));
        assert_eq!(
            lines,
            [
                "FILE:3: entry 2 of auth.api_keys has a character that a header cannot carry; write letters, digits and signs \
                 without spaces"
            ],
            "{key}"
        );
    }
}

#[test]
fn keys_that_can_be_guessed_are_refused() {
    assert_eq!(
        lines_about(
            "[auth]\nhmac_secret = 'short'\napi_keys = ['0123456789abcdef', 'short', '']\n"
        ),
        [
            "FILE:2: auth.hmac_secret has 5 bytes; write at least 32 random ones, such as openssl rand -hex 32 prints",
            "FILE:3: entry 2 of auth.api_keys has 5 bytes; write at least 16 random ones, such as openssl rand -hex 32 prints",
            "FILE:3: entry 3 of auth.api_keys has 0 bytes; write at least 16 random ones, such as openssl rand -hex 32 prints",
        ]
    );
}

#[test]
fn what_tokens_must_say_is_refused_where_nothing_checks_them() {
    assert_eq!(
        lines_about("[auth]\nissuer = 'login'\naudience = 'us'\n"),
        [
            "FILE:3: auth.audience is about tokens, and no key is configured to check them with; write hmac_secret or jwks_file \
             below [auth] as well, or leave it out",
            "FILE:2: auth.issuer is about tokens, and no key is configured to check them with; write hmac_secret or jwks_file \
             below [auth] as well, or leave it out",
        ]
    );
}

/// Whatever is wrong with a secret, in the file or in a variable.
#[test]
fn no_line_about_a_mistake_shows_a_secret() {
    for text in [
        "[auth]\nhmac_secret = 'sesame'\n",
        "[auth]\napi_keys = ['sesame']\n",
        "[auth]\nhmac_secret = ['sesame']\n",
        "[auth]\nhmac_secret = { sesame = 1 }\n",
        "[auth]\napi_keys = 'sesame'\n",
        "[auth]\napi_keys = ['sesame', 5]\n",
        "[auth]\napi_keys = ['sesame sesame']\n",
        "[auth]\nhmac_secret = \"sesame\\q\"\n",
        "[auth]\nhmac_secret = \"sesame\n",
        "[auth]\nhmac_secret = sesame\n",
        "[auth]\nhmac_secret = 'sesame' sesame\n",
        "[auth]\nhmac_secret = 'sesame'\nhmac_secret = 'sesame'\n",
    ] {
        for line in lines_about(text) {
            assert!(!line.contains("sesame"), "{line}");
        }
    }
    for (name, value) in [
        ("PUSHRING_AUTH_HMAC_SECRET", "sesame\u{fffd}"),
        ("PUSHRING_AUTH_HMAC_SECRETS", "sesame"),
        ("PUSHRING_AUTH_API_KEYS", "sesame,"),
        ("PUSHRING_AUTH_API_KEYS", "[sesame]"),
        ("PUSHRING_AUTH_API_KEYS", "sesame sesame"),
    ] {
        for problem in from_variables(&[(name, value)]).unwrap_err().problems() {
            assert!(!problem.to_string().contains("sesame"), "{problem}");
        }
    }
}

#[test]
fn what_a_file_changes_is_told_without_its_secrets() {
    let file = TempFile::new(
        "[auth]\nhmac_secret = 'sesamesesamesesamesesamesesamesesame'\n\
         api_keys = ['sesamesesamesesame', 'sesame2sesame2sesame2']\n",
    );
    let resolved = resolve(Some(&file.0), variables(&[]), Overrides { ..no_flags() }).unwrap();
    let told: Vec<(String, &str)> = resolved
        .differences
        .iter()
        .map(|difference| (difference.setting.key(), &*difference.value))
        .collect();
    assert_eq!(
        told,
        [
            ("auth.hmac_secret".to_owned(), "\"(hidden)\""),
            ("auth.api_keys".to_owned(), "[\"(hidden)\", \"(hidden)\"]")
        ]
    );
}
