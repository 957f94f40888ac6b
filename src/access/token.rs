//! The compact form of a signed token: RFC 7515, sections 3.1, 4 and 7.1.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, IgnoredAny};

use super::algorithm::Algorithm;
use super::{Part, TokenError};

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A token whose header has been read and whose signature has not been verified.
pub(super) struct Token<'t> {
    pub(super) algorithm: Algorithm,
    /// The name of the key that it says it was signed with.
    pub(super) kid: Option<String>,
    /// What is signed: header and claims as they were sent.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
    claims: &'t str,
}

/// The members of a header that matter. Others, among them those that bring keys along, are passed over.
#[derive(serde::Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// There at all, whatever its value: it must not be passed over.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'t> Token<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotCompact)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotCompact)?;
        // Five parts are an encrypted token (RFC 7516).
        if claims.contains('.') {
            return Err(TokenError::NotCompact);
        }
        let header: Header = object(&decode(header, Part::Header)?, Part::Header)?;
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(TokenError::Unsigned);
        }
        if header.crit {
            return Err(TokenError::Critical);
        }
        Ok(Self {
            algorithm: Algorithm::of_name(&header.alg).ok_or(TokenError::UnknownAlgorithm)?,
            kid: header.kid,
            signed: signed.as_bytes(),
            signature: decode(signature, Part::Signature)?,
            claims,
        })
    }

    /// The claims, decoded. Only for tokens that have been verified.
    pub(super) fn payload(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.claims, Part::Claims)
    }
}

fn decode(text: &str, part: Part) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::NotBase64(part))
}

/// Reads a JSON object. What a struct is read from may be an array as well for serde, which has no names.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8], part: Part) -> Result<T, TokenError> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(TokenError::NotJson(part));
    }
    serde_json::from_slice(json).map_err(|_| TokenError::NotJson(part))
}
