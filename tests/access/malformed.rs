//! What is no token at all.

use pushring::access::{Part, TOKEN_BYTES_MAX, TokenError};
use serde_json::json;

use crate::support::{NOW_MS, Signer, ann, base64url, user, with_secret};

const HEADER: &str = r#"{"alg":"HS256"}"#;

#[test]
fn a_token_of_the_greatest_length_is_taken_and_a_longer_one_is_not_looked_at() {
    let filled = |bytes: usize| {
        let claims = format!(r#"{{"sub":"ann","x":"{}"}}"#, "x".repeat(bytes));
        Signer::secret().sign(HEADER, &claims)
    };
    // Base64 has four characters for three bytes.
    let longest = (0..TOKEN_BYTES_MAX)
        .map(filled)
        .take_while(|token| token.len() <= TOKEN_BYTES_MAX)
        .last()
        .unwrap();
    assert!(TOKEN_BYTES_MAX - longest.len() < 2, "{}", longest.len());
    assert_eq!(user(&with_secret(), &longest), ann());
    for token in [
        format!("{longest}AAAA"),
        "x".repeat(TOKEN_BYTES_MAX + 1),
        ".".repeat(1 << 20),
    ] {
        assert_eq!(user(&with_secret(), &token), Err(TokenError::TooLong));
    }
}

#[test]
fn what_has_not_three_parts_is_no_token() {
    let token = Signer::secret().token(json!({}), json!({}));
    let (signed, _) = token.rsplit_once('.').unwrap();
    for text in [
        "",
        "x",
        "ann",
        "é",
        HEADER,
        signed,
        &format!("{token}."),
        &format!(".{token}"),
        &format!("{token}.{token}"),
        "a.b.c.d.e",
    ] {
        assert_eq!(
            user(&with_secret(), text),
            Err(TokenError::NotCompact),
            "{text}"
        );
    }
}

#[test]
fn broken_base64_is_refused_and_the_part_is_named() {
    let token = Signer::secret().token(json!({}), json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    for (index, part) in [Part::Header, Part::Signature].into_iter().enumerate() {
        let index = 2 * index;
        for broken in [
            format!("{}=", parts[index]),
            format!(" {}", parts[index]),
            format!("{}\n", parts[index]),
            format!("+/{}", parts[index]),
            format!("{}é", parts[index]),
            "A".to_owned(),
            // Bits that belong to no byte.
            "AB".to_owned(),
        ] {
            let mut parts = parts.clone();
            parts[index] = &broken;
            assert_eq!(
                user(&with_secret(), &parts.join(".")),
                Err(TokenError::NotBase64(part)),
                "{broken:?}"
            );
        }
    }
    // Nothing of the claims is looked at before the signature.
    let broken = format!("{}.{}=.{}", parts[0], parts[1], parts[2]);
    assert_eq!(user(&with_secret(), &broken), Err(TokenError::BadSignature));
    let signed = format!("{}.e30=", base64url(HEADER));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, crate::support::SECRET.as_bytes());
    let signature = base64url(ring::hmac::sign(&key, signed.as_bytes()));
    assert_eq!(
        user(&with_secret(), &format!("{signed}.{signature}")),
        Err(TokenError::NotBase64(Part::Claims))
    );
}

#[test]
fn broken_json_is_refused_and_the_part_is_named() {
    for broken in [
        "",
        " ",
        "null",
        "{",
        "[]",
        r#"["HS256"]"#,
        r#"["HS256",null,null]"#,
        "\"HS256\"",
        r#"{"alg":"HS256"}{}"#,
        r#"{"alg":"HS256"} x"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{alg:"HS256"}"#,
        "{\"alg\":\"HS256\u{0}\"}",
    ] {
        let header = Signer::secret().sign(broken, "{}");
        assert_eq!(
            user(&with_secret(), &header),
            Err(TokenError::NotJson(Part::Header)),
            "{broken}"
        );
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","kid":1}"#,
    ] {
        let token = Signer::secret().sign(header, "{}");
        assert_eq!(
            user(&with_secret(), &token),
            Err(TokenError::NotJson(Part::Header)),
            "{header}"
        );
    }
    for broken in [
        "",
        "null",
        "{",
        "[]",
        r#"["ann"]"#,
        r#"{"sub":"ann"}{}"#,
        r#"{"sub":"ann","sub":"bob"}"#,
        r#"{"exp":9e99,"exp":1}"#,
        r#"{"sub":"ann",}"#,
        "{\"sub\":\"\n\"}",
    ] {
        let token = Signer::secret().sign(HEADER, broken);
        let refused = Err(TokenError::NotJson(Part::Claims));
        assert_eq!(user(&with_secret(), &token), refused, "{broken}");
        assert_eq!(
            with_secret()
                .subscription(&token, NOW_MS)
                .map(|_| String::new()),
            refused
        );
    }
}

#[test]
fn claims_that_are_not_utf_8_are_refused() {
    let signed = format!("{}.{}", base64url(HEADER), base64url(b"{\"sub\":\"\xff\"}"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, crate::support::SECRET.as_bytes());
    let signature = base64url(ring::hmac::sign(&key, signed.as_bytes()));
    assert_eq!(
        user(&with_secret(), &format!("{signed}.{signature}")),
        Err(TokenError::NotJson(Part::Claims))
    );
}

#[test]
fn other_members_of_header_and_claims_are_passed_over_however_deep_they_are() {
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    for any in [r#""x""#, "1e999", "{\"sub\":\"bob\"}", &deep] {
        let header = format!(r#" {{"typ":"JWT","cty":{any},"alg":"HS256","x":{any}}} "#);
        let claims = format!(" {{\"x\":{any},\"sub\":\"ann\"}}\n");
        let token = Signer::secret().sign(&header, &claims);
        assert_eq!(user(&with_secret(), &token), ann(), "{token}");
    }
    let token = Signer::secret().sign(HEADER, &format!(r#"{{"aud":{deep}}}"#));
    let refused = user(&with_secret(), &token).unwrap_err();
    assert!(matches!(refused, TokenError::Claim { name: "aud", .. }));
}
