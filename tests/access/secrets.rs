//! Nothing that is shown has a secret in it.

use pushring::access::{Access, AuthSettings};
use serde_json::{Value, json};

use crate::rfc;
use crate::support::{SECRET, Signer, TempFile, jwks, read_jwks, user, with_secret};

const API_KEY: &str = "an API key that nobody may see";

#[test]
fn settings_and_access_show_no_secret() {
    let file = TempFile::new(jwks([
        merged_kid(&rfc::OCT, "shared"),
        Signer::rsa().jwk(json!({ "kid": "public" })),
    ]));
    let settings = AuthSettings {
        hmac_secret: Some(SECRET.to_owned()),
        jwks_file: Some(file.0.clone()),
        api_keys: vec![API_KEY.to_owned()],
        audience: Some("push".to_owned()),
        issuer: None,
    };
    let access = Access::new(&settings).unwrap();
    let k = rfc::OCT["k"].as_str().unwrap();
    for shown in [
        format!("{settings:?}"),
        format!("{settings:#?}"),
        format!("{access:?}"),
        format!("{access:#?}"),
    ] {
        for secret in [SECRET, API_KEY, k, "AyM1", "0x03", "3, 35, 53"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    // What helps to find a mistake is there.
    let shown = format!("{access:?}");
    for seen in ["\"shared\"", "\"public\"", "HMAC", "RSA", "push"] {
        assert!(shown.contains(seen), "{shown}");
    }
    assert!(format!("{settings:?}").contains("access-"), "{settings:?}");
}

fn merged_kid(jwk: &Value, kid: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk["kid"] = json!(kid);
    jwk
}

/// What the parser says of a wrong value repeats it, so none of it is passed on.
#[test]
fn what_is_said_of_a_broken_set_has_no_secret() {
    let secret = "c2VjcmV0c2VjcmV0";
    for file in [
        format!(r#"{{"keys":"{secret}"}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":"{secret}"}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":"{secret}!"}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":["{secret}"]}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"{secret}"}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","alg":"{secret}","k":"x"}}]}}"#),
        format!(r#"{{"keys":["{secret}"]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":"{secret}"}}"#),
        format!(r#""{secret}""#),
        secret.to_owned(),
    ] {
        let error = read_jwks(&file).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    let short = Access::new(&AuthSettings {
        hmac_secret: Some(secret.to_owned()),
        api_keys: vec![secret.to_owned()],
        ..AuthSettings::default()
    });
    assert!(!format!("{short:?}").contains(secret));
}

#[test]
fn what_is_said_of_a_refused_token_repeats_nothing_of_it() {
    let mark = "mark4711";
    let signer = Signer::secret();
    for token in [
        mark.to_owned(),
        signer.sign(mark, mark),
        signer.sign(&format!(r#"{{"alg":"{mark}"}}"#), mark),
        signer.token(json!({ "kid": mark }), json!({ "exp": mark })),
        signer.token(json!({}), json!({ "sub": [mark], "publish": mark })),
        signer.token(json!({}), json!({ "aud": mark })),
        Signer::ed25519().named(mark),
    ] {
        let error = user(&with_secret(), &token).unwrap_err();
        assert!(!error.to_string().contains(mark), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
