//! The keys of the HTTP API.

use std::fmt;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::{Choice, ConstantTimeEq};

use super::AccessError;

/// The shortest API key, in bytes; what is shorter can be guessed.
pub const API_KEY_BYTES_MIN: usize = 16;

/// The most API keys: each call of the API is compared with all of them.
pub const API_KEYS_MAX: usize = 64;

/// The API keys, as digests: those have one length, and the keys themselves are not kept.
#[derive(Clone, Default)]
pub(super) struct ApiKeys(Vec<[u8; SHA256_OUTPUT_LEN]>);

impl ApiKeys {
    pub(super) fn new(keys: &[String]) -> Result<Self, AccessError> {
        if keys.len() > API_KEYS_MAX {
            return Err(AccessError::TooManyApiKeys { keys: keys.len() });
        }
        for (index, key) in keys.iter().enumerate() {
            if key.len() < API_KEY_BYTES_MIN {
                return Err(AccessError::ShortApiKey {
                    number: index + 1,
                    bytes: key.len(),
                });
            }
        }
        Ok(Self(
            keys.iter().map(|key| sha256(key.as_bytes())).collect(),
        ))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares with every key to the end, so that time tells neither which one it was nor how far it was right.
    pub(super) fn knows(&self, key: &[u8]) -> bool {
        let shown = sha256(key);
        let none = Choice::from(0);
        self.0
            .iter()
            .fold(none, |found, own| found | own.ct_eq(&shown))
            .into()
    }
}

fn sha256(bytes: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut out = [0; SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// How many there are.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secret", self.0.len())
    }
}
