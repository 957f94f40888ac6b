//! Why a token does not let its bearer in.

use std::fmt;

use super::{CLOCK_LEEWAY_MS, TOKEN_BYTES_MAX};

/// Why a token is refused. The text is for the client that brought it; it repeats nothing of the token and names no key.
///
/// Whose fault it is: of [`NotConfigured`](Self::NotConfigured) and [`NoAudience`](Self::NoAudience) the one's who wrote the
/// configuration; of [`Expired`](Self::Expired) the client's, which asks its backend for another; of all others the one's who made the
/// token, or who altered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing else is wrong with it: the client gets another one and comes again. Centrifugo's error 109.
    #[error("the token has expired: get a new one")]
    Expired,

    /// `nbf` is in the future.
    #[error(
        "the token is not valid yet: its nbf is more than {} s ahead of the server's clock",
        CLOCK_LEEWAY_MS / 1000
    )]
    NotYetValid,

    /// There is no key that any token could be verified with.
    #[error(
        "this server takes no tokens: its configuration has neither auth.hmac_secret nor auth.jwks_file"
    )]
    NotConfigured,

    /// Over [`TOKEN_BYTES_MAX`].
    #[error("the token has more than {TOKEN_BYTES_MAX} bytes: make one with fewer claims")]
    TooLong,

    /// Not in the compact form.
    #[error(
        "the token is no signed JWT: bring header, claims and signature, each as base64url, with points between"
    )]
    NotCompact,

    /// One of the three parts cannot be decoded.
    #[error("the token's {0} is not base64url without padding (RFC 7515, section 2)")]
    NotBase64(Part),

    /// The header or the claims cannot be read.
    #[error("the token's {0} cannot be read: write one JSON object with {members} and each name once", members = .0.members())]
    NotJson(Part),

    /// Its header says that there is no signature.
    #[error("the token is not signed (alg \"none\"): sign it")]
    Unsigned,

    /// Its header names an algorithm that no key here is for.
    #[error(
        "the token's alg is not one of HS256, HS384, HS512, RS256, ES256 and EdDSA: sign it with one of them"
    )]
    UnknownAlgorithm,

    /// Its header demands an extension (RFC 7515, section 4.1.11).
    #[error("the token's header has crit, and this server knows no extension: leave it out")]
    Critical,

    /// No key has the name that its header gives, and none without a name is for its algorithm.
    #[error(
        "the server has no key with the token's kid: sign it with a key of the server's, or add that one to the JWKS file"
    )]
    UnknownKey,

    /// The key with its `kid` is of another kind, or its JWK names another `alg`.
    #[error("the key with the token's kid is not for its alg: sign it with the key's own")]
    OtherAlgorithm,

    /// It names no key, and there is none for its algorithm.
    #[error("the server has no key for the token's alg: sign it with a key of the server's")]
    NoKey,

    /// The signature is not that of a key here.
    #[error(
        "the token's signature is wrong: it was made with another key than the server's, or it was altered"
    )]
    BadSignature,

    /// Its `aud` is missing or another than `auth.audience`.
    #[error("the token is not for this server: its aud does not have the server's auth.audience")]
    Audience,

    /// It has an `aud`, and the server has no name to compare with.
    #[error(
        "the token has an aud and the server has none: write auth.audience into its configuration, or leave aud out"
    )]
    NoAudience,

    /// Its `iss` is missing or another than `auth.issuer`.
    #[error("the token is of another issuer: its iss is not the server's auth.issuer")]
    Issuer,

    /// A claim is missing or of the wrong kind.
    #[error("the token's claim {name} is not {expected}")]
    Claim {
        /// Its name.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },

    /// A subscription token where a connection token is due.
    #[error(
        "the token has the claim channel, so it is for a subscription: connect with one without it"
    )]
    ForSubscription,
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second.
    Claims,
    /// The third.
    Signature,
}

impl Part {
    /// What its JSON has, for an error.
    fn members(self) -> &'static str {
        match self {
            Self::Header => "alg and perhaps kid, both texts,",
            Self::Claims | Self::Signature => "the claims",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "part with the claims",
            Self::Signature => "signature",
        })
    }
}
