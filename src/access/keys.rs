//! All keys, and which of them may verify a token.

use super::key::{Key, Material};
use super::token::Token;
use super::{AccessError, TokenError};

/// The keys that verify tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn push(&mut self, key: Key) {
        self.0.push(key);
    }

    /// The secret of the configuration, which has no name and does all of HMAC.
    pub(super) fn push_secret(&mut self, secret: &str) -> Result<(), AccessError> {
        let bytes = secret.as_bytes();
        let material =
            Material::of_secret(bytes).ok_or(AccessError::ShortSecret { bytes: bytes.len() })?;
        self.push(Key {
            kid: None,
            algorithm: None,
            material,
        });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the signature is that of a key which may verify this token.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), TokenError> {
        let kid = token.kid.as_deref();
        let is_named = kid.is_some() && self.0.iter().any(|key| key.kid.as_deref() == kid);
        let may_verify = |key: &&Key| match kid {
            Some(_) if is_named => key.kid.as_deref() == kid,
            Some(_) => key.kid.is_none(),
            None => true,
        };
        let mut is_any_for_it = false;
        for key in self.0.iter().filter(may_verify) {
            is_any_for_it |= key.is_for(token.algorithm);
            if key.verifies(token.algorithm, token.signed, &token.signature) {
                return Ok(());
            }
        }
        Err(match kid {
            _ if is_any_for_it => TokenError::BadSignature,
            Some(_) if is_named => TokenError::OtherAlgorithm,
            Some(_) => TokenError::UnknownKey,
            None => TokenError::NoKey,
        })
    }
}
