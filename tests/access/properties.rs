//! What holds for all tokens and all files.

use std::sync::LazyLock;

use proptest::prelude::*;
use pushring::access::{Access, AuthSettings};
use serde_json::json;

use crate::support::{
    NOW_MS, SECRET, Signer, TempFile, base64url, jwks, read_jwks, user, with_secret,
};

/// Verifies with a key of each kind, and a valid token of each.
static EACH_KIND: LazyLock<(Access, Vec<String>)> = LazyLock::new(|| {
    let signers = Signer::of_each_kind();
    let file = TempFile::new(jwks(
        signers.iter().map(|one| one.jwk(json!({ "kid": one.alg }))),
    ));
    let access = Access::new(&AuthSettings {
        hmac_secret: Some(SECRET.to_owned()),
        jwks_file: Some(file.0.clone()),
        ..AuthSettings::default()
    });
    let tokens = signers.iter().map(|one| one.named(one.alg));
    (access.unwrap(), tokens.collect())
});

/// Reads it as either kind of token.
fn read(token: &str) -> bool {
    let (access, _) = &*EACH_KIND;
    access.connection(token, NOW_MS).is_ok() | access.subscription(token, NOW_MS).is_ok()
}

proptest! {
    #[test]
    fn no_bytes_make_the_token_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(!read(&text));
        let (_, tokens) = &*EACH_KIND;
        for token in tokens {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let (header, claims) = signed.split_once('.').unwrap();
            let text = base64url(&bytes);
            for [header, claims, signature] in [
                [text.as_str(), claims, signature],
                [header, &text, signature],
                [header, claims, &text],
                [&text, &text, &text],
            ] {
                let changed = [header, claims, signature].join(".");
                prop_assert!(!read(&changed), "{}", changed);
            }
        }
    }

    /// Whatever somebody with the key writes: no header and no claims do harm.
    #[test]
    fn no_signed_bytes_make_the_token_reader_panic(
        header in "[ -~]{0,40}",
        claims in "\\PC{0,80}",
    ) {
        let signer = Signer::secret();
        read(&signer.sign(&header, &claims));
        read(&signer.sign(r#"{"alg":"HS256"}"#, &claims));
    }

    /// JSON of every kind in place of each claim.
    #[test]
    fn no_claims_make_the_token_reader_panic(
        name in prop::sample::select(vec![
            "sub", "exp", "expire_at", "nbf", "aud", "iss", "info", "b64info", "channels", "subs", "publish",
            "subscribe", "channel", "client",
        ]),
        value in prop_oneof![
            any::<f64>().prop_map(|number| json!(number)),
            any::<i64>().prop_map(|number| json!(number)),
            "\\PC{0,20}".prop_map(|text| json!(text)),
            "\\PC{0,8}".prop_map(|text| json!([text, 1])),
            "\\PC{0,8}".prop_map(|text| json!({ text: { "info": 1 } })),
        ],
    ) {
        let mut claims = json!({ "channel": "x" });
        claims[name] = value;
        read(&Signer::secret().sign(r#"{"alg":"HS256"}"#, &claims.to_string()));
    }

    /// Base64url has one text for each value, so also a change of the text alone is seen.
    #[test]
    fn no_token_with_another_character_in_one_place_is_taken(
        kind in 0..4usize,
        place in any::<prop::sample::Index>(),
        with in "[A-Za-z0-9_.=-]",
    ) {
        let (access, tokens) = &*EACH_KIND;
        let token = &tokens[kind];
        prop_assert!(user(access, token).is_ok());
        let at = place.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &with);
        prop_assert_eq!(user(access, &changed).is_ok(), changed == *token);
    }

    #[test]
    fn no_cut_token_is_taken(kind in 0..4usize, place in any::<prop::sample::Index>()) {
        let (_, tokens) = &*EACH_KIND;
        let token = &tokens[kind];
        prop_assert!(!read(&token[..place.index(token.len())]));
    }

    #[test]
    fn no_other_secret_of_any_length_signs(secret in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assume!(secret != SECRET.as_bytes());
        let token = Signer::hmac("HS256", &secret).token(json!({}), json!({}));
        prop_assert!(user(&with_secret(), &token).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_of_sets_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read_jwks(&bytes).is_err());
    }

    /// A key of which one member is something else: it is refused or passed over, or is a key.
    #[test]
    fn no_member_makes_the_reader_of_sets_panic(
        kind in 0..4usize,
        name in prop::sample::select(vec!["kty", "crv", "k", "n", "e", "x", "y", "d", "alg", "use", "key_ops", "kid"]),
        value in prop_oneof![
            any::<i64>().prop_map(|number| json!(number)),
            "\\PC{0,20}".prop_map(|text| json!(text)),
            prop::collection::vec(any::<u8>(), 0..1100).prop_map(|bytes| json!(base64url(bytes))),
            prop::sample::select(vec!["oct", "RSA", "EC", "OKP", "P-256", "Ed25519", "RS256", "AQAB", "AA", ""])
                .prop_map(|text| json!(text)),
        ],
    ) {
        let signer = &Signer::of_each_kind()[kind];
        let mut jwk = signer.jwk(json!({}));
        jwk[name] = value;
        if let Ok(access) = read_jwks(jwks([jwk])) {
            // Whatever key that is, it can be used.
            for token in &EACH_KIND.1 {
                let _ = access.connection(token, NOW_MS);
            }
        }
    }
}
