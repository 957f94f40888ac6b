//! Who may come in: connection tokens, subscription tokens and API keys.
//!
//! A token is a JWT (RFC 7519) in the compact form of RFC 7515. The backend makes one for a user who has signed in, the client
//! brings it, and [`Access`] says what it claims if a key of the configuration verifies it. The claims are those of Centrifugo's tokens, and
//! two of this server's own, [`publish`](ConnectionClaims::publish) and [`subscribe`](ConnectionClaims::subscribe).
//! Nothing here knows sockets or channels, and time is an argument.
//!
//! # Keys
//! A key is the shared secret `hmac_secret`, or one of a JWK set (RFC 7517) in a file. Each is of one kind and verifies that
//! kind's algorithms alone, whatever a token says of itself:
//!
//! | `kty` | `alg` |
//! | --- | --- |
//! | `oct`, and `hmac_secret` | `HS256`, `HS384`, `HS512`; at least [`SECRET_BYTES_MIN`] bytes (RFC 7518, section 3.2) |
//! | `RSA`, 2,048 to 8,192 bits | `RS256` |
//! | `EC` with `P-256` | `ES256` |
//! | `OKP` with `Ed25519` | `EdDSA`, also written `Ed25519` (RFC 9864) |
//!
//! Keys of a set that are for something else (`use` is not `sig`, `key_ops` lacks `verify`, another `kty`, `crv` or `alg`) are
//! passed over, as section 5 of RFC 7517 wants; one that is broken, or has a private part, is an [`AccessError`].
//!
//! A token with a `kid` is verified by the keys of that name. If there is none of that name, keys without any may verify it, and so they
//! all may where a token has no `kid`. Keys that a token brings itself (`jwk`, `jku`, `x5c`) are never looked at, and a token
//! with `crit` is refused.
//!
//! # Making a token
//! A program that embeds the server calls [`AuthSettings::sign`], an operator `pushring token`. In a shell with nothing else:
//!
//! ```sh
//! base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
//! header=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url)
//! claims=$(printf '{"sub":"ann","exp":%d}' $(($(date +%s) + 3600)) | base64url)
//! signature=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha256 -hmac "$HMAC_SECRET" -binary | base64url)
//! echo "$header.$claims.$signature"
//! ```
//!
//! In Python, without any package:
//!
//! ```python
//! import base64, hashlib, hmac, json, os, time
//!
//! def base64url(data):
//!     return base64.urlsafe_b64encode(data).rstrip(b"=")
//!
//! header = base64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
//! claims = base64url(json.dumps({"sub": "ann", "exp": int(time.time()) + 3600}).encode())
//! signature = hmac.digest(os.environ["HMAC_SECRET"].encode(), header + b"." + claims, hashlib.sha256)
//! print(b".".join([header, claims, base64url(signature)]).decode())
//! ```
//!
//! A subscription token has the claim `channel` besides.

#![forbid(unsafe_code)]

mod algorithm;
mod api_key;
mod claims;
mod error;
mod jwk;
mod jwks;
mod key;
mod keys;
mod settings;
mod sign;
mod token;
mod token_error;

use std::fmt;

pub use api_key::{API_KEY_BYTES_MIN, API_KEYS_MAX};
pub use claims::{CLOCK_LEEWAY_MS, ConnectionClaims, ServerSubscription, SubscriptionClaims};
pub use error::{AccessError, KeyFault};
pub use jwks::{JWKS_BYTES_MAX, KEYS_MAX};
pub use key::SECRET_BYTES_MIN;
pub use settings::AuthSettings;
pub use sign::NewToken;
pub use token::TOKEN_BYTES_MAX;
pub use token_error::{Part, TokenError};

use api_key::ApiKeys;
use claims::{Claims, Expected};
use keys::Keys;
use token::Token;

/// What the settings of `[auth]` let in. The default lets in nobody who has to show something.
///
/// It never changes: a reload makes another one from the settings and the JWKS file of that moment.
#[derive(Clone, Default)]
pub struct Access {
    keys: Keys,
    api_keys: ApiKeys,
    audience: Option<String>,
    issuer: Option<String>,
}

impl Access {
    /// Checks the settings and reads the JWKS file, if there is one.
    ///
    /// # Errors
    /// [`AccessError`]: the fault of who wrote the settings or the file.
    pub fn new(settings: &AuthSettings) -> Result<Self, AccessError> {
        let mut keys = Keys::default();
        if let Some(secret) = &settings.hmac_secret {
            keys.push_secret(secret)?;
        }
        if let Some(path) = &settings.jwks_file {
            jwks::read(path, &mut keys)?;
        }
        let access = Self {
            keys,
            api_keys: ApiKeys::new(&settings.api_keys)?,
            audience: settings.audience.clone(),
            issuer: settings.issuer.clone(),
        };
        access.check_expectations()?;
        Ok(access)
    }

    /// Audience and issuer that are not empty, and only where there are tokens to have them: who writes them alone
    /// believes that something is guarded.
    fn check_expectations(&self) -> Result<(), AccessError> {
        for (setting, value) in [("audience", &self.audience), ("issuer", &self.issuer)] {
            match value.as_deref() {
                None => {}
                Some("") => return Err(AccessError::Empty { setting }),
                Some(_) if self.takes_tokens() => {}
                Some(_) => return Err(AccessError::WithoutKey { setting }),
            }
        }
        Ok(())
    }

    /// Whether there is any setting of `[auth]`: a key that verifies tokens, or an API key.
    pub fn is_configured(&self) -> bool {
        self.takes_tokens() || self.takes_api_keys()
    }

    /// Whether there is a key that verifies tokens. Where there is none, every token is refused.
    pub fn takes_tokens(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether there is an API key.
    pub fn takes_api_keys(&self) -> bool {
        !self.api_keys.is_empty()
    }

    /// What a connection token claims, at a time in milliseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::Expired`] only if nothing else is wrong with the token.
    pub fn connection(&self, token: &str, unix_ms: u64) -> Result<ConnectionClaims, TokenError> {
        let payload = self.verified(token)?;
        let claims = Claims::parse(&payload)?;
        let connection = claims.connection()?;
        claims.check(&self.expected(), unix_ms)?;
        Ok(connection)
    }

    /// What a subscription token claims, at a time in milliseconds since 1970 (UTC). Whether it is for the channel, the user and the
    /// client who bring it, [`SubscriptionClaims::are_for`] says.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::Expired`] only if nothing else is wrong with the token.
    pub fn subscription(
        &self,
        token: &str,
        unix_ms: u64,
    ) -> Result<SubscriptionClaims, TokenError> {
        let payload = self.verified(token)?;
        let claims = Claims::parse(&payload)?;
        let subscription = claims.subscription()?;
        claims.check(&self.expected(), unix_ms)?;
        Ok(subscription)
    }

    /// The payload of a token that one of the keys verifies.
    fn verified(&self, token: &str) -> Result<Vec<u8>, TokenError> {
        if !self.takes_tokens() {
            return Err(TokenError::NotConfigured);
        }
        let token = Token::parse(token)?;
        self.keys.verify(&token)?;
        token.payload()
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            audience: self.audience.as_deref(),
            issuer: self.issuer.as_deref(),
        }
    }

    /// Whether this is one of the API keys. Takes as long for every key of its length, whichever it is.
    pub fn knows_api_key(&self, key: &[u8]) -> bool {
        self.api_keys.knows(key)
    }
}

/// Names and kinds of the keys, and nothing that is secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("keys", &self.keys)
            .field("api_keys", &self.api_keys)
            .field("audience", &self.audience)
            .field("issuer", &self.issuer)
            .finish()
    }
}
