//! What can be wrong with the settings of `[auth]` and with a JWKS file, each as one line.

use std::path::PathBuf;

use super::{API_KEY_BYTES_MIN, API_KEYS_MAX, JWKS_BYTES_MAX, KEYS_MAX, SECRET_BYTES_MIN};

/// Settings that cannot be used; the fault of who wrote them or the file that they name. No text has anything secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// [`hmac_secret`](super::AuthSettings::hmac_secret) can be guessed.
    #[error(
        "auth.hmac_secret has {bytes} bytes; write at least {SECRET_BYTES_MIN} random ones, such as openssl rand -hex 32 prints"
    )]
    ShortSecret {
        /// Its length.
        bytes: usize,
    },

    /// A token is to be made without [`hmac_secret`](super::AuthSettings::hmac_secret).
    #[error(
        "there is no auth.hmac_secret to sign with; write one of at least {SECRET_BYTES_MIN} random bytes, such as openssl rand -hex 32 prints"
    )]
    NoSecret,

    /// One of [`api_keys`](super::AuthSettings::api_keys) can be guessed.
    #[error(
        "auth.api_keys: key {number} has {bytes} bytes; write at least {API_KEY_BYTES_MIN} random ones, such as openssl rand -hex 32 prints"
    )]
    ShortApiKey {
        /// Which one, counted from one.
        number: usize,
        /// Its length.
        bytes: usize,
    },

    /// More of [`api_keys`](super::AuthSettings::api_keys) than anybody needs.
    #[error(
        "auth.api_keys has {keys} keys; leave out the old ones, at most {API_KEYS_MAX} are compared with"
    )]
    TooManyApiKeys {
        /// How many.
        keys: usize,
    },

    /// [`audience`](super::AuthSettings::audience) or [`issuer`](super::AuthSettings::issuer) is there and empty.
    #[error("auth.{setting} is empty; leave it out, or write what tokens have there")]
    Empty {
        /// Which one, without its section.
        setting: &'static str,
    },

    /// [`audience`](super::AuthSettings::audience) or [`issuer`](super::AuthSettings::issuer) without any key.
    #[error(
        "auth.{setting} guards nothing while no token can be verified; write auth.hmac_secret or auth.jwks_file as well, or leave it out"
    )]
    WithoutKey {
        /// Which one, without its section.
        setting: &'static str,
    },

    /// The JWKS file could not be read.
    #[error(
        "auth.jwks_file {path:?} cannot be read: {reason}; write the name of a JWKS file that this user may read"
    )]
    Unreadable {
        /// Its name as it was given.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },

    /// Over [`JWKS_BYTES_MAX`].
    #[error(
        "auth.jwks_file {path:?} has more than {JWKS_BYTES_MAX} bytes; write the name of a JWKS file"
    )]
    TooLong {
        /// Its name as it was given.
        path: PathBuf,
    },

    /// It breaks JSON's grammar.
    #[error(
        "auth.jwks_file {path:?} is not JSON (line {line}, column {column}); write a JWK set: {{\"keys\": [{{\"kty\": …}}]}}"
    )]
    NotJson {
        /// Its name as it was given.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// Counted from one; 0 at the end of a line.
        column: usize,
    },

    /// It is JSON and no JWK set.
    #[error(
        "auth.jwks_file {path:?} is no JWK set; write {{\"keys\": [{{\"kty\": …}}]}}, also around a single key"
    )]
    NotASet {
        /// Its name as it was given.
        path: PathBuf,
    },

    /// More than [`KEYS_MAX`] keys.
    #[error(
        "auth.jwks_file {path:?} has more than {KEYS_MAX} keys that verify tokens; leave out the old ones"
    )]
    TooManyKeys {
        /// Its name as it was given.
        path: PathBuf,
    },

    /// No key, or only such as are for something else.
    #[error(
        "auth.jwks_file {path:?} has no key that verifies tokens{}; add one with kty oct, RSA, EC (crv P-256) or OKP (crv Ed25519)",
        passed_over(.first_passed_over)
    )]
    NoUsableKey {
        /// Its name as it was given.
        path: PathBuf,
        /// The number of the first key, counted from one, and why it is passed over.
        first_passed_over: Option<(usize, &'static str)>,
    },

    /// A key of the set is broken.
    #[error("auth.jwks_file {path:?}, key {number}{}: {fault}", with_kid(.kid))]
    Key {
        /// The file's name as it was given.
        path: PathBuf,
        /// Which one, counted from one.
        number: usize,
        /// Its name.
        kid: Option<String>,
        /// What is wrong with it.
        fault: KeyFault,
    },
}

fn passed_over(first: &Option<(usize, &'static str)>) -> String {
    match first {
        None => String::new(),
        Some((number, reason)) => format!(" (key {number} is passed over because {reason})"),
    }
}

fn with_kid(kid: &Option<String>) -> String {
    match kid {
        None => String::new(),
        Some(kid) => format!(" (kid {kid:?})"),
    }
}

/// What is wrong with a JWK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It is something else.
    #[error("it is no JSON object; write {{\"kty\": …}}")]
    NotAnObject,

    /// A member is missing that keys of its kind have.
    #[error("{member} is missing; write the key as its maker gave it")]
    Missing {
        /// Its name.
        member: &'static str,
    },

    /// A member is no text.
    #[error("{member} is not a text; write it between double quotes")]
    NotText {
        /// Its name.
        member: &'static str,
    },

    /// `key_ops` is no list.
    #[error("key_ops is not a list; write [\"verify\"]")]
    NotOperations,

    /// A member cannot be decoded.
    #[error("{member} is not base64url without padding (RFC 7515, section 2); write it so")]
    NotBase64 {
        /// Its name.
        member: &'static str,
    },

    /// A member has another length than the curve has.
    #[error("{member} has {bytes} bytes; write all {expected}, with zeros in front if need be")]
    Length {
        /// Its name.
        member: &'static str,
        /// Its length, decoded.
        bytes: usize,
        /// The length that it must have.
        expected: usize,
    },

    /// A secret that can be guessed.
    #[error(
        "k has {bytes} bytes; make another key with at least {SECRET_BYTES_MIN} random ones, in base64url"
    )]
    ShortSecret {
        /// Its length, decoded.
        bytes: usize,
    },

    /// RSA with a modulus that is too short or too long.
    #[error("its modulus n has {bits} bits; make another key with 2048 to 8192")]
    Modulus {
        /// Its length, rounded up to whole bytes.
        bits: usize,
    },

    /// The numbers cannot be those of a public key.
    #[error("its numbers are no public key; write the key as its maker gave it")]
    NotAKey,

    /// The private part is there, with which anybody could make tokens.
    #[error(
        "it has the private part d, which belongs with who makes the tokens; write the public key alone"
    )]
    Private,

    /// `alg` does not go with `kty`.
    #[error(
        "its alg {alg} is not for its kty; write the one that tokens are signed with, or leave alg out"
    )]
    OtherAlgorithm {
        /// What it says.
        alg: &'static str,
    },
}
