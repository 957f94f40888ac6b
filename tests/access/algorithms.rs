//! How tokens are signed, and what nobody may sign them with.

use pushring::access::TokenError;
use serde_json::json;

use crate::rfc;
use crate::support::{NOW_S, SECRET, Signer, ann, base64url, user, with_jwks, with_secret};

#[test]
fn a_token_is_taken_with_each_algorithm_by_the_key_of_a_set() {
    for signer in Signer::of_each_kind() {
        let access = with_jwks([signer.jwk(json!({ "kid": "1" }))]);
        assert_eq!(user(&access, &signer.named("1")), ann(), "{}", signer.alg);
    }
}

#[test]
fn a_secret_verifies_every_length_of_hmac() {
    let in_a_set = with_jwks([Signer::secret().jwk(json!({}))]);
    for alg in ["HS256", "HS384", "HS512"] {
        let token = Signer::hmac(alg, SECRET.as_bytes()).token(json!({}), json!({}));
        assert_eq!(user(&with_secret(), &token), ann(), "{alg}");
        assert_eq!(user(&in_a_set, &token), ann(), "{alg}");
    }
}

#[test]
fn eddsa_may_also_be_called_ed25519() {
    let signer = Signer::ed25519();
    for alg in ["EdDSA", "Ed25519"] {
        let token = signer.token(json!({ "alg": alg }), json!({}));
        for in_key in ["EdDSA", "Ed25519"] {
            let access = with_jwks([signer.jwk(json!({ "alg": in_key }))]);
            assert_eq!(user(&access, &token), ann(), "{alg} {in_key}");
        }
    }
}

#[test]
fn another_key_of_the_same_kind_verifies_nothing() {
    let n = rfc::RSA["n"].as_str().unwrap();
    let other_n = n.replacen("ofgW", "ofgX", 1);
    let other_keys = [
        Signer::hmac("HS256", &[7; 32]).jwk(json!({})),
        Signer::rsa().jwk(json!({ "n": other_n })),
        Signer::p256().jwk(json!({})),
        Signer::ed25519().jwk(json!({})),
    ];
    for (signer, other) in Signer::of_each_kind().iter().zip(other_keys) {
        let token = signer.token(json!({}), json!({}));
        let refused = user(&with_jwks([other]), &token);
        assert_eq!(refused, Err(TokenError::BadSignature), "{}", signer.alg);
    }
}

/// The classic: the verifier's public key is known to all, so whoever gets it taken for a secret can sign.
#[test]
fn an_hmac_made_with_a_public_key_is_refused() {
    for signer in Signer::of_each_kind().iter().skip(1) {
        let jwk = signer.jwk(json!({ "kid": "1" }));
        let text = jwk.to_string();
        let x_or_n = jwk.get("n").unwrap_or(&jwk["x"]).as_str().unwrap();
        let decoded =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, x_or_n)
                .unwrap();
        let spki = format!("-----BEGIN PUBLIC KEY-----\n{x_or_n}\n-----END PUBLIC KEY-----\n");
        for secret in [
            text.as_bytes(),
            x_or_n.as_bytes(),
            &decoded,
            spki.as_bytes(),
        ] {
            for alg in ["HS256", "HS384", "HS512"] {
                let forger = Signer::hmac(alg, secret);
                let access = with_jwks([jwk.clone()]);
                assert_eq!(
                    user(&access, &forger.named("1")),
                    Err(TokenError::OtherAlgorithm)
                );
                assert_eq!(
                    user(&access, &forger.token(json!({}), json!({}))),
                    Err(TokenError::NoKey)
                );
            }
        }
    }
}

#[test]
fn a_token_without_a_signature_is_refused_however_none_is_written() {
    let claims = json!({ "sub": "ann", "exp": NOW_S + 60 }).to_string();
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = json!({ "alg": none, "typ": "JWT" }).to_string();
        let unsigned = format!("{}.{}.", base64url(&header), base64url(&claims));
        assert_eq!(
            user(&with_secret(), &unsigned),
            Err(TokenError::Unsigned),
            "{none}"
        );
        let signed_as_none = Signer::secret().sign(&header, &claims);
        assert_eq!(
            user(&with_secret(), &signed_as_none),
            Err(TokenError::Unsigned)
        );
    }
}

#[test]
fn an_empty_or_shortened_signature_is_refused() {
    for signer in Signer::of_each_kind() {
        let access = with_jwks([signer.jwk(json!({}))]);
        let token = signer.token(json!({}), json!({}));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        // Four characters are whole bytes.
        for kept in [0, 4, signature.len() / 4 * 4 - 4] {
            let cut = format!("{signed}.{}", &signature[..kept]);
            assert_eq!(user(&access, &cut), Err(TokenError::BadSignature), "{cut}");
        }
    }
}

#[test]
fn an_algorithm_that_is_not_the_key_s_is_refused() {
    let signers = Signer::of_each_kind();
    for key in &signers {
        let access = with_jwks([key.jwk(json!({ "kid": "1" }))]);
        for claimed in &signers {
            if claimed.alg == key.alg {
                continue;
            }
            // Signed by the key's owner even.
            let named = key.token(json!({ "alg": claimed.alg, "kid": "1" }), json!({}));
            assert_eq!(user(&access, &named), Err(TokenError::OtherAlgorithm));
            let nameless = key.token(json!({ "alg": claimed.alg }), json!({}));
            assert_eq!(user(&access, &nameless), Err(TokenError::NoKey));
        }
    }
}

#[test]
fn an_algorithm_that_nobody_here_knows_is_refused() {
    for alg in [
        "RS512", "PS256", "ES384", "ES256K", "hs256", "HS1", "", "dir",
    ] {
        let token = Signer::secret().token(json!({ "alg": alg }), json!({}));
        assert_eq!(
            user(&with_secret(), &token),
            Err(TokenError::UnknownAlgorithm),
            "{alg:?}"
        );
    }
}

/// RFC 7515, section 4.1.11: what must be understood and is not, makes the token invalid.
#[test]
fn a_token_that_demands_an_extension_is_refused() {
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!("b64")] {
        let token = Signer::secret().token(json!({ "crit": crit, "b64": false }), json!({}));
        assert_eq!(
            user(&with_secret(), &token),
            Err(TokenError::Critical),
            "{crit}"
        );
    }
}

/// RFC 7515, sections 4.1.2, 4.1.3 and 4.1.6.
#[test]
fn a_key_that_a_token_brings_itself_is_not_used() {
    let (own, brought) = (Signer::ed25519(), Signer::ed25519());
    let access = with_jwks([own.jwk(json!({ "kid": "1" }))]);
    for header in [
        json!({ "jwk": brought.jwk(json!({})) }),
        json!({ "jwk": brought.jwk(json!({ "kid": "1" })), "kid": "1" }),
        json!({ "jku": "http://127.0.0.1:9/jwks.json" }),
        json!({ "x5c": ["AAAA"], "x5u": "http://127.0.0.1:9/x" }),
    ] {
        let token = brought.token(header.clone(), json!({}));
        assert_eq!(
            user(&access, &token),
            Err(TokenError::BadSignature),
            "{header}"
        );
    }
}

/// The same signature in DER, as OpenSSL writes it, is another text for one token.
#[test]
fn a_signature_of_es256_in_der_is_refused() {
    let signer = Signer::p256();
    let access = with_jwks([signer.jwk(json!({}))]);
    let token = signer.token(json!({}), json!({}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let fixed =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature)
            .unwrap();
    let integer = |number: &[u8]| [&[2, 33, 0], number].concat();
    let numbers = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    let der = [&[0x30, numbers.len() as u8], numbers.as_slice()].concat();
    assert_eq!(
        user(&access, &format!("{signed}.{}", base64url(der))),
        Err(TokenError::BadSignature)
    );
}
