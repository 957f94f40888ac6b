//! What `[auth]` says.

use std::fmt;
use std::path::PathBuf;

/// The settings of `[auth]`; by default there are none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// The secret that HS256, HS384 and HS512 tokens are signed with: the bytes of the text as it is written,
    /// [`SECRET_BYTES_MIN`](super::SECRET_BYTES_MIN) at least.
    pub hmac_secret: Option<String>,
    /// A file with a JWK set (RFC 7517, section 5), [`JWKS_BYTES_MAX`](super::JWKS_BYTES_MAX) bytes at the most.
    pub jwks_file: Option<PathBuf>,
    /// The keys that the HTTP API takes, each [`API_KEY_BYTES_MIN`](super::API_KEY_BYTES_MIN) bytes at least; several while one is
    /// exchanged for another.
    pub api_keys: Vec<String>,
    /// What a token's `aud` must be or contain. Without it a token that has an `aud` is refused (RFC 7519, section 4.1.3).
    pub audience: Option<String>,
    /// What a token's `iss` must be. Without it any will do.
    pub issuer: Option<String>,
}

/// Everything but the secrets.
impl fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hmac_secret,
            jwks_file,
            api_keys,
            audience,
            issuer,
        } = self;
        f.debug_struct("AuthSettings")
            .field("hmac_secret", &hmac_secret.as_ref().map(|_| Secret))
            .field("jwks_file", jwks_file)
            .field("api_keys", &vec![Secret; api_keys.len()])
            .field("audience", audience)
            .field("issuer", issuer)
            .finish()
    }
}

/// Stands where a secret would.
#[derive(Clone, Copy)]
struct Secret;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
