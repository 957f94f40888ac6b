//! Making tokens, for operators who try things out and for programs that embed the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac::{self, HMAC_SHA256};
use serde_json::{Map, Value};

use super::{AccessError, AuthSettings, SECRET_BYTES_MIN};

/// What a token is to claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewToken {
    /// `sub`: the user, empty for one who has not signed in.
    pub user: String,
    /// `channel`: for a subscription token the channel, `None` for a connection token.
    pub channel: Option<String>,
    /// `exp`: seconds since 1970 (UTC); `None` for never.
    pub expires_at_s: Option<u64>,
    /// `publish`: patterns of channels.
    pub publish: Vec<String>,
    /// `subscribe`: patterns of channels.
    pub subscribe: Vec<String>,
}

impl AuthSettings {
    /// Makes a token that an [`Access`](super::Access) of these settings takes until it expires: signed with
    /// `hmac_secret` by HS256, with their audience and issuer.
    ///
    /// # Errors
    /// [`AccessError::NoSecret`] and [`AccessError::ShortSecret`].
    pub fn sign(&self, token: &NewToken) -> Result<String, AccessError> {
        let secret = self.hmac_secret.as_ref().ok_or(AccessError::NoSecret)?;
        if secret.len() < SECRET_BYTES_MIN {
            return Err(AccessError::ShortSecret {
                bytes: secret.len(),
            });
        }
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        let claims = self.claims(token).to_string();
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let key = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        let signature = hmac::sign(&key, signed.as_bytes());
        Ok(format!("{signed}.{}", base64url(signature)))
    }

    fn claims(&self, token: &NewToken) -> Value {
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        claim("sub", token.user.as_str().into());
        for (name, text) in [
            ("channel", &token.channel),
            ("aud", &self.audience),
            ("iss", &self.issuer),
        ] {
            if let Some(text) = text {
                claim(name, text.as_str().into());
            }
        }
        if let Some(expires_at_s) = token.expires_at_s {
            claim("exp", expires_at_s.into());
        }
        for (name, patterns) in [("publish", &token.publish), ("subscribe", &token.subscribe)] {
            if !patterns.is_empty() {
                claim(name, patterns.as_slice().into());
            }
        }
        Value::Object(claims)
    }
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
