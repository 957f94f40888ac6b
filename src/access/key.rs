//! A key: what it verifies, and with what.

use std::fmt;

use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey};
use ring::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::KeyFault;
use super::algorithm::Algorithm;

/// The shortest secret for HMAC, in bytes: the length of a SHA-256 (RFC 7518, section 3.2). Whoever sees a token signed with a
/// shorter one can look for the secret at leisure.
pub const SECRET_BYTES_MIN: usize = 32;

/// The lengths of an RSA modulus, in bytes: 2,048 bits at least (RFC 7518, section 3.3), 8,192 at the most.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The largest RSA exponent; a larger one only costs time.
const EXPONENT_MAX: u64 = (1 << 33) - 1;

const COORDINATE_BYTES: usize = 32;

/// A key that verifies tokens.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name, if it has one.
    pub(super) kid: Option<String>,
    /// The one algorithm that it may be used with; all of its kind if it does not say.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) material: Material,
}

/// What a key is made of. Each kind can do some algorithms and no others, so no token can have a
/// public key taken for a secret.
#[derive(Clone)]
pub(super) enum Material {
    Hmac(Box<HmacKeys>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(UnparsedPublicKey<Vec<u8>>),
    Ed25519(UnparsedPublicKey<Vec<u8>>),
}

/// A secret, made ready for each hash.
#[derive(Clone)]
pub(super) struct HmacKeys {
    sha256: hmac::Key,
    sha384: hmac::Key,
    sha512: hmac::Key,
}

impl Key {
    /// Whether a token with this algorithm may be verified with this key.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.material.can(algorithm)
    }

    /// Whether the signature is this key's, by this algorithm; never for one that it is not for.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.is_for(algorithm) && self.material.verifies(algorithm, signed, signature)
    }
}

impl Material {
    /// `None` below [`SECRET_BYTES_MIN`].
    pub(super) fn of_secret(secret: &[u8]) -> Option<Self> {
        (secret.len() >= SECRET_BYTES_MIN).then(|| {
            Self::Hmac(Box::new(HmacKeys {
                sha256: hmac::Key::new(HMAC_SHA256, secret),
                sha384: hmac::Key::new(HMAC_SHA384, secret),
                sha512: hmac::Key::new(HMAC_SHA512, secret),
            }))
        })
    }

    /// Modulus and exponent, big-endian.
    pub(super) fn of_rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        if !MODULUS_BYTES.contains(&n.len()) {
            return Err(KeyFault::Modulus {
                bits: n.len().saturating_mul(8),
            });
        }
        let exponent = (e.len() <= size_of::<u64>())
            .then(|| e.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        let is_exponent = exponent.is_some_and(|e| (3..=EXPONENT_MAX).contains(&e));
        if !is_odd(n) || !is_odd(e) || !is_exponent {
            return Err(KeyFault::NotAKey);
        }
        Ok(Self::Rsa(RsaPublicKeyComponents {
            n: n.to_vec(),
            e: e.to_vec(),
        }))
    }

    /// The coordinates of a point of P-256.
    pub(super) fn of_p256(x: &[u8], y: &[u8]) -> Result<Self, KeyFault> {
        check_length("x", x)?;
        check_length("y", y)?;
        // SEC 1, section 2.3.3: not compressed.
        let point = [&[4], x, y].concat();
        if !is_on_p256(&point) {
            return Err(KeyFault::NotAKey);
        }
        Ok(Self::P256(UnparsedPublicKey::new(
            &ECDSA_P256_SHA256_FIXED,
            point,
        )))
    }

    pub(super) fn of_ed25519(x: &[u8]) -> Result<Self, KeyFault> {
        check_length("x", x)?;
        Ok(Self::Ed25519(UnparsedPublicKey::new(&ED25519, x.to_vec())))
    }

    pub(super) fn can(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Hmac(_) => matches!(
                algorithm,
                Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512
            ),
            Self::Rsa(_) => algorithm == Algorithm::Rs256,
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Hmac(keys), Algorithm::Hs256) => hmac::verify(&keys.sha256, signed, signature),
            (Self::Hmac(keys), Algorithm::Hs384) => hmac::verify(&keys.sha384, signed, signature),
            (Self::Hmac(keys), Algorithm::Hs512) => hmac::verify(&keys.sha512, signed, signature),
            (Self::Rsa(key), Algorithm::Rs256) => {
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            (Self::P256(key), Algorithm::Es256) | (Self::Ed25519(key), Algorithm::EdDsa) => {
                key.verify(signed, signature)
            }
            _ => return false,
        }
        .is_ok()
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn check_length(member: &'static str, bytes: &[u8]) -> Result<(), KeyFault> {
    if bytes.len() == COORDINATE_BYTES {
        return Ok(());
    }
    Err(KeyFault::Length {
        member,
        bytes: bytes.len(),
        expected: COORDINATE_BYTES,
    })
}

/// Whether it is a point of the curve: an agreement begins by finding that out. What verifies signatures says
/// only that one is wrong, which would then be said of every token.
fn is_on_p256(point: &[u8]) -> bool {
    EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).is_ok_and(|private| {
        let peer = agreement::UnparsedPublicKey::new(&ECDH_P256, point);
        agreement::agree_ephemeral(private, &peer, |_| ()).is_ok()
    })
}

/// Name and kind, and nothing that is secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.material {
            Material::Hmac(_) => "HMAC",
            Material::Rsa(_) => "RSA",
            Material::P256(_) => "P-256",
            Material::Ed25519(_) => "Ed25519",
        };
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("kind", &kind)
            .finish()
    }
}
