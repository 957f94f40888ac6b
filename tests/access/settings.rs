//! Settings and files that cannot be used: each is one line that says where, what and what to write.

use pushring::access::{Access, AuthSettings, JWKS_BYTES_MAX};
use serde_json::{Value, json};

use crate::rfc;
use crate::support::{SECRET, Signer, TempFile, base64url, jwks, settings_with_secret};

fn line(settings: &AuthSettings) -> String {
    let line = Access::new(settings).unwrap_err().to_string();
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    line
}

/// The line about a file with this text, with FILE for its name.
fn line_about(file: impl AsRef<[u8]>) -> String {
    let file = TempFile::new(file);
    let settings = AuthSettings {
        jwks_file: Some(file.0.clone()),
        ..AuthSettings::default()
    };
    line(&settings).replace(&format!("{:?}", file.0), "FILE")
}

/// The line about a set of this key alone, behind where it says so.
fn fault_of(jwk: Value) -> String {
    let line = line_about(jwks([jwk]));
    line.strip_prefix("auth.jwks_file FILE, key 1")
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_with_the_way_to_another() {
    for secret in ["", "secret", "31 bytes are not quite enough.."] {
        assert_eq!(
            line(&AuthSettings {
                hmac_secret: Some(secret.to_owned()),
                ..AuthSettings::default()
            }),
            format!(
                "auth.hmac_secret has {} bytes; write at least 32 random ones, such as openssl rand -hex 32 prints",
                secret.len()
            )
        );
    }
    let enough = AuthSettings {
        hmac_secret: Some("32 bytes are just about enough..".to_owned()),
        ..AuthSettings::default()
    };
    assert!(Access::new(&enough).is_ok());
}

#[test]
fn an_api_key_that_can_be_guessed_is_refused_by_its_number() {
    assert_eq!(
        line(&AuthSettings {
            api_keys: vec!["sixteen bytes ok".to_owned(), "fifteen bytes -".to_owned()],
            ..AuthSettings::default()
        }),
        "auth.api_keys: key 2 has 15 bytes; write at least 16 random ones, such as openssl rand -hex 32 prints"
    );
    assert_eq!(
        line(&AuthSettings {
            api_keys: vec![String::new()],
            ..AuthSettings::default()
        }),
        "auth.api_keys: key 1 has 0 bytes; write at least 16 random ones, such as openssl rand -hex 32 prints"
    );
    assert_eq!(
        line(&AuthSettings {
            api_keys: vec![SECRET.to_owned(); 65],
            ..AuthSettings::default()
        }),
        "auth.api_keys has 65 keys; leave out the old ones, at most 64 are compared with"
    );
}

#[test]
fn an_audience_or_issuer_that_guards_nothing_is_refused() {
    let guards_nothing = "guards nothing while no token can be verified; write auth.hmac_secret or auth.jwks_file as \
                          well, or leave it out";
    let audience = |audience: &str| AuthSettings {
        audience: Some(audience.to_owned()),
        ..AuthSettings::default()
    };
    let issuer = |issuer: &str| AuthSettings {
        issuer: Some(issuer.to_owned()),
        api_keys: vec![SECRET.to_owned()],
        ..AuthSettings::default()
    };
    assert_eq!(
        line(&audience("push")),
        format!("auth.audience {guards_nothing}")
    );
    assert_eq!(line(&issuer("me")), format!("auth.issuer {guards_nothing}"));
    let empty = "is empty; leave it out, or write what tokens have there";
    let with_secret = |settings: AuthSettings| AuthSettings {
        hmac_secret: settings_with_secret().hmac_secret,
        ..settings
    };
    assert_eq!(
        line(&with_secret(audience(""))),
        format!("auth.audience {empty}")
    );
    assert_eq!(
        line(&with_secret(issuer(""))),
        format!("auth.issuer {empty}")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_the_system_says() {
    let missing = AuthSettings {
        jwks_file: Some("no such\nfile.json".into()),
        ..AuthSettings::default()
    };
    assert_eq!(
        line(&missing),
        "auth.jwks_file \"no such\\nfile.json\" cannot be read: No such file or directory (os error 2); write the name \
         of a JWKS file that this user may read"
    );
    let folder = AuthSettings {
        jwks_file: Some(env!("CARGO_TARGET_TMPDIR").into()),
        ..AuthSettings::default()
    };
    assert!(
        line(&folder).contains("Is a directory"),
        "{}",
        line(&folder)
    );
    // A file without end is read up to the limit.
    let endless = AuthSettings {
        jwks_file: Some("/dev/zero".into()),
        ..AuthSettings::default()
    };
    assert_eq!(
        line(&endless),
        "auth.jwks_file \"/dev/zero\" has more than 262144 bytes; write the name of a JWKS file"
    );
    let set = jwks([rfc::OCT.clone()]);
    let longest = set.clone() + &" ".repeat(JWKS_BYTES_MAX as usize - set.len());
    let file = TempFile::new(&longest);
    let settings = AuthSettings {
        jwks_file: Some(file.0.clone()),
        ..AuthSettings::default()
    };
    assert!(Access::new(&settings).is_ok());
    assert!(line_about(longest + " ").contains("more than 262144 bytes"));
}

#[test]
fn what_is_no_set_is_refused_with_what_one_looks_like() {
    let set = "{\"keys\": [{\"kty\": …}]}";
    for (text, place) in [
        ("", "line 1, column 0"),
        ("x", "line 1, column 1"),
        ("-----BEGIN PUBLIC KEY-----", "line 1, column 2"),
        ("{\"keys\": [\n{]}", "line 2, column 2"),
        ("{\"keys\": []} {}", "line 1, column 14"),
    ] {
        assert_eq!(
            line_about(text),
            format!("auth.jwks_file FILE is not JSON ({place}); write a JWK set: {set}"),
            "{text}"
        );
    }
    for text in [
        "{}",
        "[]",
        "null",
        "[[]]",
        &format!("[[{}]]", *rfc::OCT),
        &rfc::OCT.to_string(),
        "{\"keys\": {}}",
        "{\"keys\": null}",
        "{\"keys\": [], \"keys\": []}",
    ] {
        assert_eq!(
            line_about(text),
            format!("auth.jwks_file FILE is no JWK set; write {set}, also around a single key"),
            "{text}"
        );
    }
}

#[test]
fn a_set_without_a_key_that_verifies_is_refused_with_the_reason() {
    let add = "; add one with kty oct, RSA, EC (crv P-256) or OKP (crv Ed25519)";
    assert_eq!(
        line_about("{\"keys\": []}"),
        format!("auth.jwks_file FILE has no key that verifies tokens{add}")
    );
    for (members, reason) in [
        (json!({ "use": "enc" }), "its use is not \"sig\""),
        (
            json!({ "key_ops": ["sign"] }),
            "its key_ops do not have \"verify\"",
        ),
        (
            json!({ "alg": "PS256" }),
            "its alg is none of HS256, HS384, HS512, RS256, ES256 and EdDSA",
        ),
        (
            json!({ "kty": "EC", "crv": "P-521" }),
            "its kty and crv are none of oct, RSA, EC with P-256 and OKP with Ed25519",
        ),
    ] {
        assert_eq!(
            line_about(jwks([Signer::rsa().jwk(members)])),
            format!(
                "auth.jwks_file FILE has no key that verifies tokens (key 1 is passed over because {reason}){add}"
            )
        );
    }
}

#[test]
fn a_broken_key_is_named_by_number_and_kid() {
    let good = Signer::ed25519().jwk(json!({}));
    let broken = Signer::ed25519().jwk(json!({ "kid": "k \"1\"\n", "x": null }));
    assert_eq!(
        line_about(jwks([good, broken])),
        "auth.jwks_file FILE, key 2 (kid \"k \\\"1\\\"\\n\"): x is missing; write the key as its maker gave it"
    );
}

#[test]
fn what_is_wrong_with_a_key_is_said_with_what_to_write() {
    let [hmac, rsa, p256, ed25519] = Signer::of_each_kind();
    assert_eq!(
        fault_of(json!("x")),
        ": it is no JSON object; write {\"kty\": …}"
    );
    for (jwk, member) in [
        (hmac.jwk(json!({ "kty": null })), "kty"),
        (hmac.jwk(json!({ "k": null })), "k"),
        (rsa.jwk(json!({ "n": null })), "n"),
        (rsa.jwk(json!({ "e": null })), "e"),
        (p256.jwk(json!({ "crv": null })), "crv"),
        (p256.jwk(json!({ "y": null })), "y"),
        (ed25519.jwk(json!({ "x": null })), "x"),
    ] {
        assert_eq!(
            fault_of(jwk),
            format!(": {member} is missing; write the key as its maker gave it")
        );
    }
    for member in ["kty", "use", "alg", "kid", "n"] {
        let mut jwk = rsa.jwk(json!({}));
        jwk[member] = json!(1);
        assert_eq!(
            fault_of(jwk),
            format!(": {member} is not a text; write it between double quotes")
        );
    }
    assert_eq!(
        fault_of(rsa.jwk(json!({ "key_ops": "verify" }))),
        ": key_ops is not a list; write [\"verify\"]"
    );
    for (jwk, member) in [
        (hmac.jwk(json!({ "k": "=" })), "k"),
        (rsa.jwk(json!({ "e": "AQAB=" })), "e"),
        (p256.jwk(json!({ "x": "+/" })), "x"),
    ] {
        assert_eq!(
            fault_of(jwk),
            format!(
                ": {member} is not base64url without padding (RFC 7515, section 2); write it so"
            )
        );
    }
    for bytes in [0, 31, 33] {
        for (signer, member) in [(&p256, "x"), (&p256, "y"), (&ed25519, "x")] {
            let mut jwk = signer.jwk(json!({}));
            jwk[member] = json!(base64url(vec![1; bytes]));
            assert_eq!(
                fault_of(jwk),
                format!(
                    ": {member} has {bytes} bytes; write all 32, with zeros in front if need be"
                )
            );
        }
    }
    assert_eq!(
        fault_of(hmac.jwk(json!({ "k": base64url([1; 31]) }))),
        ": k has 31 bytes; make another key with at least 32 random ones, in base64url"
    );
    for (bytes, bits) in [(128, 1024), (255, 2040), (1025, 8200), (0, 0)] {
        assert_eq!(
            fault_of(rsa.jwk(json!({ "n": base64url(vec![1; bytes]) }))),
            format!(": its modulus n has {bits} bits; make another key with 2048 to 8192")
        );
    }
    assert_eq!(
        fault_of(rsa.jwk(json!({ "alg": "ES256" }))),
        ": its alg ES256 is not for its kty; write the one that tokens are signed with, or leave alg out"
    );
}

#[test]
fn numbers_that_no_public_key_has_are_refused() {
    let [_, rsa, p256, _] = Signer::of_each_kind();
    let refusal = ": its numbers are no public key; write the key as its maker gave it";
    // Even, or an exponent that is even, one, or longer than any.
    assert_eq!(
        fault_of(rsa.jwk(json!({ "n": base64url(vec![2; 256]) }))),
        refusal
    );
    for e in [&[1][..], &[2], &[], &[1, 0, 0], &[3, 0, 0, 0, 1], &[1; 9]] {
        assert_eq!(
            fault_of(rsa.jwk(json!({ "e": base64url(e) }))),
            refusal,
            "{e:?}"
        );
    }
    // No point of the curve.
    assert_eq!(
        fault_of(p256.jwk(json!({ "x": base64url([1; 32]) }))),
        refusal
    );
}

#[test]
fn a_private_key_is_refused() {
    for jwk in [&rfc::RSA, &rfc::P256, &rfc::ED25519] {
        assert_eq!(
            fault_of(Value::clone(jwk)),
            ": it has the private part d, which belongs with who makes the tokens; write the public key alone"
        );
    }
}
