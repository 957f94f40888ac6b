//! What the tests of access share: keys that sign, tokens, and files with JWK sets.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pushring::access::{Access, AccessError, AuthSettings, ConnectionClaims, TokenError};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use crate::rfc;

/// The time of the tests.
pub const NOW_S: u64 = 1_800_000_000;
pub const NOW_MS: u64 = NOW_S * 1000;

pub const SECRET: &str = "a secret of more than thirty-two bytes";

/// A file that is gone when the test is over.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("access-{}-{number}.json", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn settings_with_secret() -> AuthSettings {
    AuthSettings {
        hmac_secret: Some(SECRET.to_owned()),
        ..AuthSettings::default()
    }
}

pub fn with_secret() -> Access {
    Access::new(&settings_with_secret()).unwrap()
}

/// The keys of a set and nothing else.
pub fn with_jwks(keys: impl IntoIterator<Item = Value>) -> Access {
    read_jwks(jwks(keys)).unwrap()
}

pub fn jwks(keys: impl IntoIterator<Item = Value>) -> String {
    json!({ "keys": Value::from_iter(keys) }).to_string()
}

pub fn read_jwks(file: impl AsRef<[u8]>) -> Result<Access, AccessError> {
    let file = TempFile::new(file);
    Access::new(&AuthSettings {
        jwks_file: Some(file.0.clone()),
        ..AuthSettings::default()
    })
}

/// Makes the signature of what it is given.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key that signs tokens.
pub struct Signer {
    pub alg: &'static str,
    jwk: Value,
    sign: Sign,
}

impl Signer {
    /// A shared secret; `alg` is one of HS256, HS384 and HS512.
    pub fn hmac(alg: &'static str, secret: &[u8]) -> Self {
        let algorithm = match alg {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        let key = hmac::Key::new(algorithm, secret);
        Self {
            alg,
            jwk: json!({ "kty": "oct", "k": base64url(secret) }),
            sign: Box::new(move |signed| hmac::sign(&key, signed).as_ref().to_vec()),
        }
    }

    /// The secret of [`SECRET`].
    pub fn secret() -> Self {
        Self::hmac("HS256", SECRET.as_bytes())
    }

    pub fn rsa() -> Self {
        let member = |name: &str| bytes(&rfc::RSA[name]);
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents {
                n: member("n"),
                e: member("e"),
            },
            d: member("d"),
            p: member("p"),
            q: member("q"),
            dP: member("dp"),
            dQ: member("dq"),
            qInv: member("qi"),
        })
        .unwrap();
        Self {
            alg: "RS256",
            jwk: rfc::public(&rfc::RSA),
            sign: Box::new(move |signed| {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    signed,
                    &mut signature,
                )
                .unwrap();
                signature
            }),
        }
    }

    /// A new key each time.
    pub fn p256() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            pkcs8.unwrap().as_ref(),
            &random,
        )
        .unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        Self {
            alg: "ES256",
            jwk: json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) }),
            sign: Box::new(move |signed| pair.sign(&random, signed).unwrap().as_ref().to_vec()),
        }
    }

    /// A new key each time.
    pub fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = base64url(pair.public_key().as_ref());
        Self {
            alg: "EdDSA",
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
            sign: Box::new(move |signed| pair.sign(signed).as_ref().to_vec()),
        }
    }

    /// One of each kind.
    pub fn of_each_kind() -> [Self; 4] {
        [
            Self::hmac("HS256", SECRET.as_bytes()),
            Self::rsa(),
            Self::p256(),
            Self::ed25519(),
        ]
    }

    /// What verifies its tokens, with more members.
    pub fn jwk(&self, members: Value) -> Value {
        merged(&self.jwk, &members)
    }

    /// A token of user `ann` that has a minute left, with this name of its key.
    pub fn named(&self, kid: &str) -> String {
        self.token(json!({ "kid": kid }), json!({}))
    }

    /// A token of user `ann` that has a minute left, with more members in its header and more claims.
    pub fn token(&self, header: Value, claims: Value) -> String {
        let header = merged(&json!({ "alg": self.alg, "typ": "JWT" }), &header);
        let claims = merged(&json!({ "sub": "ann", "exp": NOW_S + 60 }), &claims);
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// A token of exactly these texts.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let signature = (self.sign)(signed.as_bytes());
        format!("{signed}.{}", base64url(signature))
    }
}

/// The members of both, those of the second winning; `null` takes one away.
fn merged(base: &Value, over: &Value) -> Value {
    let mut all = base.as_object().unwrap().clone();
    for (name, value) in over.as_object().unwrap() {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(all)
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(member: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap()
}

pub fn connection(access: &Access, token: &str) -> Result<ConnectionClaims, TokenError> {
    access.connection(token, NOW_MS)
}

/// Who the token lets in.
pub fn user(access: &Access, token: &str) -> Result<String, TokenError> {
    connection(access, token).map(|claims| claims.user)
}

pub fn ann() -> Result<String, TokenError> {
    Ok("ann".to_owned())
}
