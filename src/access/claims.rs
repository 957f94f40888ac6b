//! What tokens claim: RFC 7519, section 4.1, and the claims of Centrifugo's connection and subscription tokens.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::token::object;
use super::{Part, TokenError};

/// By how much the clocks of who makes tokens and of this server may differ, in milliseconds: a token is taken
/// this long after its `exp` and before its `nbf`.
pub const CLOCK_LEEWAY_MS: u64 = 5_000;

/// What a connection token claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionClaims {
    /// `sub`: the user, empty for one who has not signed in.
    pub user: String,
    /// When the connection ends unless a new token is brought: `expire_at` in milliseconds since 1970 (0 is `None`), or `exp` if there is no such
    /// claim. `None`: never. Up to [`CLOCK_LEEWAY_MS`] in the past when the token has just been taken.
    pub expires_at_ms: Option<u64>,
    /// `info`, or `b64info` if there is that: JSON without line ends, or empty.
    pub info: Bytes,
    /// `channels`: what the server subscribes the connection to. No name has been checked.
    pub channels: Vec<String>,
    /// `subs`: the same with more about each, by name.
    pub subs: Vec<ServerSubscription>,
    /// `publish`: patterns of the channels that may be published to where a namespace asks for a token. None has been checked.
    pub publish: Vec<String>,
    /// `subscribe`: patterns of the channels that may be subscribed to where a namespace asks for a token. None has been checked.
    pub subscribe: Vec<String>,
}

/// A channel that a connection token subscribes its connection to. Its `override` is not heeded: what a channel does, its
/// namespace says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSubscription {
    /// Its name, not checked.
    pub channel: String,
    /// `info`, or `b64info` if there is that: JSON without line ends, or empty.
    pub info: Bytes,
    /// `data`, or `b64data` if there is that, for the client: JSON without line ends, or empty.
    pub data: Bytes,
}

/// What a subscription token claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionClaims {
    /// `sub`: the user, empty for one who has not signed in.
    pub user: String,
    /// `channel`: never empty, otherwise not checked.
    pub channel: String,
    /// `client`: the one connection that may use it.
    pub client: Option<String>,
    /// When the subscription ends unless a new token is brought, as with [`ConnectionClaims::expires_at_ms`].
    pub expires_at_ms: Option<u64>,
    /// `info`, or `b64info` if there is that: JSON without line ends, or empty.
    pub info: Bytes,
}

impl SubscriptionClaims {
    /// Whether it is for that channel, that user and that connection. One without `client` is for all connections of its user.
    pub fn are_for(&self, channel: &str, user: &str, client: &str) -> bool {
        self.channel == channel
            && self.user == user
            && self.client.as_deref().is_none_or(|own| own == client)
    }
}

/// What `aud` and `iss` are compared with.
pub(super) struct Expected<'a> {
    pub(super) audience: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
}

/// The claims as they stand in the token. Each is read by itself, so that an error can name it.
#[derive(Deserialize)]
pub(super) struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "raw")]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    expire_at: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    iss: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    info: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    b64info: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    channels: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    subs: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    publish: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    subscribe: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    client: Option<&'a RawValue>,
}

/// An entry of `subs`.
#[derive(Deserialize)]
struct Sub<'a> {
    #[serde(borrow, default, deserialize_with = "raw")]
    info: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    b64info: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    b64data: Option<&'a RawValue>,
}

/// Any value, also `null`, which serde by itself takes for none.
fn raw<'de, D>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Claims<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, TokenError> {
        object(payload, Part::Claims)
    }

    /// Of a connection token.
    pub(super) fn connection(&self) -> Result<ConnectionClaims, TokenError> {
        // A backend that lets a user into one channel has not let it connect.
        if self.channel()?.is_some() {
            return Err(TokenError::ForSubscription);
        }
        Ok(ConnectionClaims {
            user: self.user()?,
            expires_at_ms: self.expires_at_ms()?,
            info: json("info", self.info, "b64info", self.b64info)?,
            channels: texts("channels", self.channels)?,
            subs: subs(self.subs)?,
            publish: texts("publish", self.publish)?,
            subscribe: texts("subscribe", self.subscribe)?,
        })
    }

    /// Of a subscription token.
    pub(super) fn subscription(&self) -> Result<SubscriptionClaims, TokenError> {
        Ok(SubscriptionClaims {
            user: self.user()?,
            channel: self.channel()?.ok_or(wrong("channel", CHANNEL))?,
            client: unless_empty(read("client", TEXT, self.client)?),
            expires_at_ms: self.expires_at_ms()?,
            info: json("info", self.info, "b64info", self.b64info)?,
        })
    }

    fn user(&self) -> Result<String, TokenError> {
        Ok(read("sub", TEXT, self.sub)?.unwrap_or_default())
    }

    fn channel(&self) -> Result<Option<String>, TokenError> {
        Ok(unless_empty(read("channel", CHANNEL, self.channel)?))
    }

    fn expires_at_ms(&self) -> Result<Option<u64>, TokenError> {
        match date_ms("expire_at", self.expire_at)? {
            Some(0) => Ok(None),
            Some(ms) => Ok(Some(ms)),
            None => date_ms("exp", self.exp),
        }
    }

    /// Whether the token is for this server and this time; the time last, so that what has expired is otherwise good.
    pub(super) fn check(&self, expected: &Expected<'_>, unix_ms: u64) -> Result<(), TokenError> {
        let (exp_ms, nbf_ms) = (date_ms("exp", self.exp)?, date_ms("nbf", self.nbf)?);
        self.check_audience(expected.audience)?;
        self.check_issuer(expected.issuer)?;
        if nbf_ms.is_some_and(|nbf_ms| nbf_ms > unix_ms.saturating_add(CLOCK_LEEWAY_MS)) {
            return Err(TokenError::NotYetValid);
        }
        let is_over =
            |ms: Option<u64>| ms.is_some_and(|ms| ms.saturating_add(CLOCK_LEEWAY_MS) <= unix_ms);
        if is_over(exp_ms) || is_over(self.expires_at_ms()?) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }

    /// RFC 7519, section 4.1.3.
    fn check_audience(&self, expected: Option<&str>) -> Result<(), TokenError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Audience {
            One(String),
            Several(Vec<String>),
        }
        let expectation = "a text or a list of texts";
        let audience = read("aud", expectation, self.aud)?;
        let Some(expected) = expected else {
            return match audience {
                None => Ok(()),
                Some(_) => Err(TokenError::NoAudience),
            };
        };
        let is_for_us = match audience {
            None => false,
            Some(Audience::One(one)) => one == expected,
            Some(Audience::Several(several)) => several.iter().any(|one| one == expected),
        };
        is_for_us.then_some(()).ok_or(TokenError::Audience)
    }

    /// RFC 7519, section 4.1.1.
    fn check_issuer(&self, expected: Option<&str>) -> Result<(), TokenError> {
        let issuer: Option<String> = read("iss", TEXT, self.iss)?;
        match expected {
            Some(expected) if issuer.as_deref() != Some(expected) => Err(TokenError::Issuer),
            _ => Ok(()),
        }
    }
}

const TEXT: &str = "a text (write 42 as \"42\")";
const CHANNEL: &str = "a text, the name of the channel to subscribe to";
const TEXTS: &str = "a list of texts";
const DATE: &str = "a number, seconds since 1970 (leave it out for never)";
const JSON: &str = "base64 (RFC 4648, section 4) of one JSON value";
const SUBS: &str =
    "an object with, for each channel's name, an object with info and data, or an empty one";

fn wrong(name: &'static str, expected: &'static str) -> TokenError {
    TokenError::Claim { name, expected }
}

/// A claim of that kind; `null` counts as none, because many languages write it so.
fn read<'a, T: Deserialize<'a>>(
    name: &'static str,
    expected: &'static str,
    claim: Option<&'a RawValue>,
) -> Result<Option<T>, TokenError> {
    match claim {
        None => Ok(None),
        Some(claim) => serde_json::from_str(claim.get()).map_err(|_| wrong(name, expected)),
    }
}

/// Backends write an empty text for none, too.
fn unless_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn texts(name: &'static str, claim: Option<&RawValue>) -> Result<Vec<String>, TokenError> {
    Ok(read(name, TEXTS, claim)?.unwrap_or_default())
}

/// A time in milliseconds since 1970, from seconds that may have a fraction (RFC 7519, section 2, NumericDate). Here `null` is not taken for none:
/// a token that never expires should be meant so. What lies before 1970 is 1970.
fn date_ms(name: &'static str, claim: Option<&RawValue>) -> Result<Option<u64>, TokenError> {
    let Some(claim) = claim else {
        return Ok(None);
    };
    let seconds: f64 = serde_json::from_str(claim.get()).map_err(|_| wrong(name, DATE))?;
    // The conversion stops at both ends of the type.
    Ok(Some((seconds * 1000.0) as u64))
}

fn subs(claim: Option<&RawValue>) -> Result<Vec<ServerSubscription>, TokenError> {
    let subs: Option<BTreeMap<String, Option<&RawValue>>> = read("subs", SUBS, claim)?;
    subs.unwrap_or_default()
        .into_iter()
        .map(|(channel, about)| {
            let (info, data) = match about {
                None => Default::default(),
                Some(about) => {
                    let sub: Sub<'_> = object(about.get().as_bytes(), Part::Claims)
                        .map_err(|_| wrong("subs", SUBS))?;
                    (
                        json("info of subs", sub.info, "b64info of subs", sub.b64info)?,
                        json("data of subs", sub.data, "b64data of subs", sub.b64data)?,
                    )
                }
            };
            Ok(ServerSubscription {
                channel,
                info,
                data,
            })
        })
        .collect()
}

/// A claim that is any JSON, or its other form, which is that JSON in base64 and is preferred, as Centrifugo does. `null` and an
/// empty text of base64 count as none.
fn json(
    name: &'static str,
    claim: Option<&RawValue>,
    base64_name: &'static str,
    base64_claim: Option<&RawValue>,
) -> Result<Bytes, TokenError> {
    let base64: Option<String> = read(base64_name, JSON, base64_claim)?;
    if let Some(base64) = base64.filter(|base64| !base64.is_empty()) {
        let refused = || wrong(base64_name, JSON);
        let decoded = STANDARD.decode(base64).map_err(|_| refused())?;
        let value: &RawValue = serde_json::from_slice(&decoded).map_err(|_| refused())?;
        return Ok(in_one_line(value));
    }
    let value: Option<&RawValue> = read(name, "JSON", claim)?;
    Ok(value.map_or_else(Bytes::new, in_one_line))
}

/// The value as it was written, with blanks for line ends: there are clients' protocols that end a message at one. In valid JSON
/// they stand between values only.
fn in_one_line(value: &RawValue) -> Bytes {
    let bytes = value.get().bytes();
    bytes
        .map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            byte => byte,
        })
        .collect()
}
