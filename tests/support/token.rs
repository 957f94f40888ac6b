//! Tokens as a backend makes them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

/// What tokens are signed with, for the setting `auth.hmac_secret`.
pub const SECRET: &str = "a secret of the tests, which is long enough";

/// A JWT with those claims, signed by HS256.
pub fn token(claims: &Value) -> String {
    token_by(claims, SECRET)
}

/// The same signed with another secret.
pub fn token_by(claims: &Value, secret: &str) -> String {
    let signed = unsigned(&json!({ "alg": "HS256" }), claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Header and claims of a token, without the second point and the signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The `exp` of a token that is taken for so many ms from now on: as much before now as the server lets clocks differ.
pub fn taken_for_ms(ms: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = u64::try_from(now.as_millis()).unwrap();
    (now_ms + ms - pushring::access::CLOCK_LEEWAY_MS) as f64 / 1_000.0
}

/// In so many seconds (or so many ago), as `exp` has it.
pub fn in_s(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().cast_signed() + seconds
}
