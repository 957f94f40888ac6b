//! One JSON Web Key: RFC 7517, section 4, RFC 7518, section 6, and RFC 8037, section 2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::KeyFault;
use super::algorithm::Algorithm;
use super::key::{Key, Material};

/// What a JWK is good for here.
pub(super) enum Jwk {
    /// It verifies tokens.
    Key(Key),
    /// It is for something else; the reason, as the end of a sentence.
    PassedOver(&'static str),
}

/// The members of a JWK.
pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn parse(json: &str) -> Result<Self, KeyFault> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|_| KeyFault::NotAnObject)
    }

    /// Its name.
    pub(super) fn kid(&self) -> Result<Option<&str>, KeyFault> {
        self.text("kid")
    }

    pub(super) fn read(&self) -> Result<Jwk, KeyFault> {
        let kty = self.required("kty")?;
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Ok(Jwk::PassedOver("its use is not \"sig\""));
        }
        if !self.may_verify()? {
            return Ok(Jwk::PassedOver("its key_ops do not have \"verify\""));
        }
        let algorithm = match self.text("alg")? {
            None => None,
            Some(name) => match Algorithm::of_name(name) {
                None => {
                    return Ok(Jwk::PassedOver(
                        "its alg is none of HS256, HS384, HS512, RS256, ES256 and EdDSA",
                    ));
                }
                known => known,
            },
        };
        let Some(material) = self.material(kty)? else {
            return Ok(Jwk::PassedOver(
                "its kty and crv are none of oct, RSA, EC with P-256 and OKP with Ed25519",
            ));
        };
        if let Some(algorithm) = algorithm
            && !material.can(algorithm)
        {
            return Err(KeyFault::OtherAlgorithm {
                alg: algorithm.name(),
            });
        }
        Ok(Jwk::Key(Key {
            kid: self.kid()?.map(str::to_owned),
            algorithm,
            material,
        }))
    }

    /// Whether `key_ops` allows it (RFC 7517, section 4.3).
    fn may_verify(&self) -> Result<bool, KeyFault> {
        match self.0.get("key_ops") {
            None => Ok(true),
            Some(Value::Array(operations)) => Ok(operations.iter().any(|one| one == "verify")),
            Some(_) => Err(KeyFault::NotOperations),
        }
    }

    fn material(&self, kty: &str) -> Result<Option<Material>, KeyFault> {
        let curve = match kty {
            "oct" => return self.secret().map(Some),
            "RSA" => "",
            "EC" | "OKP" => self.required("crv")?,
            _ => return Ok(None),
        };
        let material = match (kty, curve) {
            ("RSA", _) => Material::of_rsa(&self.bytes("n")?, &self.bytes("e")?),
            ("EC", "P-256") => Material::of_p256(&self.bytes("x")?, &self.bytes("y")?),
            ("OKP", "Ed25519") => Material::of_ed25519(&self.bytes("x")?),
            _ => return Ok(None),
        }?;
        // Whoever reads this file could make tokens.
        if self.0.contains_key("d") {
            return Err(KeyFault::Private);
        }
        Ok(Some(material))
    }

    fn secret(&self) -> Result<Material, KeyFault> {
        let k = self.bytes("k")?;
        Material::of_secret(&k).ok_or(KeyFault::ShortSecret { bytes: k.len() })
    }

    fn text(&self, member: &'static str) -> Result<Option<&str>, KeyFault> {
        match self.0.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(KeyFault::NotText { member }),
        }
    }

    fn required(&self, member: &'static str) -> Result<&str, KeyFault> {
        self.text(member)?.ok_or(KeyFault::Missing { member })
    }

    fn bytes(&self, member: &'static str) -> Result<Vec<u8>, KeyFault> {
        URL_SAFE_NO_PAD
            .decode(self.required(member)?)
            .map_err(|_| KeyFault::NotBase64 { member })
    }
}
