//! Which key of several verifies a token, and which keys of a set are used at all.

use pushring::access::{Access, AuthSettings, KEYS_MAX, TokenError};
use serde_json::{Value, json};

use crate::rfc;
use crate::support::{
    SECRET, Signer, TempFile, ann, jwks, read_jwks, user, with_jwks, with_secret,
};

#[test]
fn a_token_is_verified_by_the_key_that_it_names_and_by_no_other() {
    let (old, new) = (Signer::ed25519(), Signer::ed25519());
    let access = with_jwks([
        old.jwk(json!({ "kid": "old" })),
        new.jwk(json!({ "kid": "new" })),
    ]);
    assert_eq!(user(&access, &old.named("old")), ann());
    assert_eq!(user(&access, &new.named("new")), ann());
    assert_eq!(
        user(&access, &old.named("new")),
        Err(TokenError::BadSignature)
    );
    assert_eq!(
        user(&access, &new.named("old")),
        Err(TokenError::BadSignature)
    );
}

#[test]
fn a_token_that_names_an_unknown_key_is_refused() {
    for signer in Signer::of_each_kind() {
        let access = with_jwks([signer.jwk(json!({ "kid": "1" }))]);
        for kid in ["2", "", "1 ", "../1"] {
            assert_eq!(
                user(&access, &signer.named(kid)),
                Err(TokenError::UnknownKey),
                "{} {kid:?}",
                signer.alg
            );
        }
    }
}

#[test]
fn a_token_that_names_no_key_is_verified_by_any_of_its_kind() {
    let [hmac, rsa, p256, ed25519] = Signer::of_each_kind();
    let other = Signer::ed25519();
    let access = with_jwks([
        hmac.jwk(json!({ "kid": "1" })),
        rsa.jwk(json!({ "kid": "2" })),
        other.jwk(json!({ "kid": "3" })),
        p256.jwk(json!({ "kid": "4" })),
        ed25519.jwk(json!({ "kid": "5" })),
    ]);
    for signer in [hmac, rsa, p256, ed25519, other] {
        let token = signer.token(json!({}), json!({}));
        assert_eq!(user(&access, &token), ann(), "{}", signer.alg);
    }
    let stranger = Signer::ed25519().token(json!({}), json!({}));
    assert_eq!(user(&access, &stranger), Err(TokenError::BadSignature));
}

#[test]
fn a_key_without_a_name_verifies_tokens_whatever_key_they_name_unless_there_is_one_of_that_name() {
    let (named, nameless) = (Signer::ed25519(), Signer::ed25519());
    let access = with_jwks([named.jwk(json!({ "kid": "1" })), nameless.jwk(json!({}))]);
    assert_eq!(user(&access, &nameless.token(json!({}), json!({}))), ann());
    assert_eq!(user(&access, &nameless.named("anything")), ann());
    assert_eq!(
        user(&access, &nameless.named("1")),
        Err(TokenError::BadSignature)
    );
    assert_eq!(
        user(&access, &named.named("2")),
        Err(TokenError::BadSignature)
    );
}

/// RFC 7517, section 4.5.
#[test]
fn keys_of_different_kinds_may_have_one_name() {
    let signers = Signer::of_each_kind();
    let access = with_jwks(signers.iter().map(|one| one.jwk(json!({ "kid": "1" }))));
    for signer in signers {
        assert_eq!(user(&access, &signer.named("1")), ann(), "{}", signer.alg);
    }
}

#[test]
fn the_secret_and_a_set_are_used_together() {
    let signer = Signer::p256();
    let file = TempFile::new(jwks([signer.jwk(json!({ "kid": "1" }))]));
    let access = Access::new(&AuthSettings {
        hmac_secret: Some(SECRET.to_owned()),
        jwks_file: Some(file.0.clone()),
        ..AuthSettings::default()
    })
    .unwrap();
    assert_eq!(user(&access, &signer.named("1")), ann());
    assert_eq!(
        user(&access, &Signer::secret().token(json!({}), json!({}))),
        ann()
    );
    // The secret has no name.
    assert_eq!(user(&access, &Signer::secret().named("2")), ann());
    assert_eq!(
        user(&access, &Signer::secret().named("1")),
        Err(TokenError::OtherAlgorithm)
    );
    assert_eq!(
        user(&access, &signer.named("2")),
        Err(TokenError::UnknownKey)
    );
}

#[test]
fn the_alg_of_a_key_is_the_only_one_that_it_is_used_with() {
    let hs256 = Signer::hmac("HS256", SECRET.as_bytes());
    let hs512 = Signer::hmac("HS512", SECRET.as_bytes());
    let access = with_jwks([hs512.jwk(json!({ "kid": "1", "alg": "HS512" }))]);
    assert_eq!(user(&access, &hs512.named("1")), ann());
    assert_eq!(
        user(&access, &hs256.named("1")),
        Err(TokenError::OtherAlgorithm)
    );
    assert_eq!(
        user(&access, &hs256.token(json!({}), json!({}))),
        Err(TokenError::NoKey)
    );
}

#[test]
fn a_key_for_something_else_is_passed_over() {
    let kept = Signer::ed25519();
    for signer in Signer::of_each_kind() {
        for purpose in [
            json!({ "use": "enc" }),
            json!({ "use": "" }),
            json!({ "key_ops": ["encrypt", "sign"] }),
            json!({ "key_ops": [] }),
            json!({ "alg": "RSA-OAEP" }),
            json!({ "alg": "RS512" }),
            json!({ "alg": "none" }),
            json!({ "kty": "AKP" }),
            json!({ "kty": "EC", "crv": "P-384" }),
            json!({ "kty": "OKP", "crv": "X25519" }),
        ] {
            let other = signer.jwk(purpose.clone());
            let access = with_jwks([other, kept.jwk(json!({ "kid": "kept" }))]);
            let token = signer.token(json!({}), json!({}));
            assert!(user(&access, &token).is_err(), "{} {purpose}", signer.alg);
            assert_eq!(user(&access, &kept.named("kept")), ann());
        }
    }
}

#[test]
fn a_key_that_says_it_verifies_is_used() {
    for signer in Signer::of_each_kind() {
        for purpose in [
            json!({ "use": "sig" }),
            json!({ "key_ops": ["sign", "verify"] }),
            json!({ "use": "sig", "key_ops": ["verify"], "alg": signer.alg }),
            json!({ "x5c": ["anything"], "x5t": "anything", "of its own": 1 }),
        ] {
            let access = with_jwks([signer.jwk(purpose.clone())]);
            let token = signer.token(json!({}), json!({}));
            assert_eq!(user(&access, &token), ann(), "{} {purpose}", signer.alg);
        }
    }
}

/// Big-endian numbers have no zeros in front (RFC 7518, section 2), but some programs write one.
#[test]
fn a_modulus_with_a_zero_in_front_is_the_same_key() {
    let signer = Signer::rsa();
    let n = rfc::RSA["n"].as_str().unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let decoded = base64::Engine::decode(&engine, n).unwrap();
    let longer = base64::Engine::encode(&engine, [&[0], decoded.as_slice()].concat());
    let access = with_jwks([signer.jwk(json!({ "n": longer }))]);
    assert_eq!(user(&access, &signer.token(json!({}), json!({}))), ann());
}

#[test]
fn as_many_keys_as_are_allowed_are_read_and_one_more_is_refused() {
    let last = Signer::hmac("HS256", &[255; 32]);
    let others = |keys: usize| {
        (0..keys).map(|number| Signer::hmac("HS256", &[number as u8; 32]).jwk(json!({})))
    };
    let most = others(KEYS_MAX - 1).chain([last.jwk(json!({}))]);
    let access = with_jwks(most);
    assert_eq!(user(&access, &last.token(json!({}), json!({}))), ann());
    let more = jwks(others(KEYS_MAX + 1));
    let line = read_jwks(more).unwrap_err().to_string();
    assert!(line.contains("more than 32 keys"), "{line}");
}

/// As a set has more of them than verify: none is counted that is passed over.
#[test]
fn keys_that_are_passed_over_count_for_nothing() {
    let signer = Signer::ed25519();
    let others = (0..3 * KEYS_MAX).map(|_| json!({ "kty": "RSA", "use": "enc" }));
    let access = with_jwks(others.chain([signer.jwk(json!({}))]));
    assert_eq!(user(&access, &signer.token(json!({}), json!({}))), ann());
}

#[test]
fn a_reload_is_a_new_access_from_the_file_as_it_is_then() {
    let (old, new) = (Signer::ed25519(), Signer::ed25519());
    let file = TempFile::new(jwks([old.jwk(json!({ "kid": "old" }))]));
    let settings = AuthSettings {
        jwks_file: Some(file.0.clone()),
        ..AuthSettings::default()
    };
    let before = Access::new(&settings).unwrap();
    std::fs::write(&file.0, jwks([new.jwk(json!({ "kid": "new" }))])).unwrap();
    let after = Access::new(&settings).unwrap();
    assert_eq!(user(&before, &old.named("old")), ann());
    assert_eq!(user(&after, &new.named("new")), ann());
    assert_eq!(
        user(&before, &new.named("new")),
        Err(TokenError::UnknownKey)
    );
    assert_eq!(user(&after, &old.named("old")), Err(TokenError::UnknownKey));
}

#[test]
fn without_a_key_every_token_is_refused_and_the_settings_to_write_are_named() {
    let none = Access::new(&AuthSettings::default()).unwrap();
    assert!(!none.is_configured());
    for token in [
        String::new(),
        "x".to_owned(),
        Signer::secret().token(json!({}), json!({})),
        Signer::hmac("HS256", b"").token(json!({}), json!({})),
    ] {
        for access in [&none, &Access::default()] {
            let error = user(access, &token).unwrap_err();
            assert_eq!(error, TokenError::NotConfigured);
            assert_eq!(
                access.subscription(&token, 0).unwrap_err(),
                TokenError::NotConfigured
            );
            let line = error.to_string();
            assert!(line.contains("auth.hmac_secret"), "{line}");
            assert!(line.contains("auth.jwks_file"), "{line}");
        }
    }
}

#[test]
fn any_key_makes_access_configured() {
    let api_keys_alone = Access::new(&AuthSettings {
        api_keys: vec!["a key of the API for tests".to_owned()],
        ..AuthSettings::default()
    })
    .unwrap();
    assert!(api_keys_alone.is_configured());
    assert!(api_keys_alone.takes_api_keys());
    assert!(!api_keys_alone.takes_tokens());
    let token = Signer::secret().token(json!({}), json!({}));
    assert_eq!(
        user(&api_keys_alone, &token),
        Err(TokenError::NotConfigured)
    );
    for access in [
        with_secret(),
        with_jwks([Value::clone(&rfc::public(&rfc::RSA))]),
    ] {
        assert!(access.is_configured());
        assert!(access.takes_tokens());
        assert!(!access.takes_api_keys());
    }
}
