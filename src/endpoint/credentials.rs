//! The tokens that connections bring: where they stand in a request, what may be done with them, and when they expire.
//!
//! Where the server takes no tokens nothing here is looked at, and nothing is kept.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{ConnectionName, Context, Request};
use crate::access::{CLOCK_LEEWAY_MS, SubscriptionClaims, TokenError};
use crate::channel::ChannelName;
use crate::rules::{Denied, Identity, Rules};
use crate::ws::handshake::{Refusal, percent_decode};

/// Why a connection may not do what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// Its token lets nobody in.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What it has proven of itself is not enough.
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl From<Unauthorized> for Refusal {
    /// As section 3 of RFC 6750 has it: 401 where another token may help, 403 where this one does not allow it.
    fn from(error: Unauthorized) -> Self {
        match error {
            Unauthorized::Token(error) => Self::new(401, error.to_string())
                .with_header("WWW-Authenticate", "Bearer error=\"invalid_token\""),
            Unauthorized::Denied(denied) if denied.needs_token() => {
                let how =
                    "write `Authorization: Bearer {token}`, or ?token={token} behind the path";
                Self::new(401, format!("{denied}; {how}")).with_header("WWW-Authenticate", "Bearer")
            }
            Unauthorized::Denied(denied) => Self::new(403, denied.to_string()),
        }
    }
}

/// The token that a request brings, if the server takes any: `Authorization: Bearer` (RFC 6750, section 2.1) first, or
/// `?token=` for browsers, which let no page set that header of a WebSocket or an event stream.
///
/// # Errors
/// 400 for a query that cannot be decoded.
pub fn token_of<'a>(request: &Request<'a>, rules: &Rules) -> Result<Option<Cow<'a, str>>, Refusal> {
    if !rules.access.takes_tokens() {
        return Ok(None);
    }
    let header = request.header("Authorization");
    if let Some(token) = header.and_then(|value| bearer(str::from_utf8(value).ok()?)) {
        return Ok(Some(token.into()));
    }
    let token = request.query_parameter("token").map(percent_decode);
    Ok(token.transpose()?.filter(|token| !token.is_empty()))
}

/// The token of an `Authorization` header, if its scheme is `Bearer`.
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Whether a connection may subscribe, by a subscription token where it has brought one; what that claims.
///
/// # Errors
/// [`Unauthorized`].
pub fn may_subscribe(
    identity: &Identity,
    channel: &ChannelName,
    token: Option<&str>,
    context: &Context<'_>,
) -> Result<Option<SubscriptionClaims>, Unauthorized> {
    let rules = context.rules();
    let Some(token) = token else {
        rules.may_subscribe(channel, identity)?;
        return Ok(None);
    };
    let claims = rules.access.subscription(token, context.unix_ms())?;
    let client = context.name().to_string();
    rules.may_subscribe_with(channel, identity, &claims, &client)?;
    Ok(Some(claims))
}

/// When a connection or a subscription ends whose token expires then, in ms since 1970: as late as the token itself would be
/// taken.
pub fn ends_at_ms(expires_at_ms: u64) -> u64 {
    expires_at_ms.saturating_add(CLOCK_LEEWAY_MS)
}

/// What the token of a request proves, of a protocol in which the request is all that a client says of itself.
#[derive(Debug, Default)]
pub struct Bearer {
    identity: Identity,
    /// Where it is a subscription token.
    subscription: Option<SubscriptionClaims>,
    /// In ms since 1970.
    expires_at_ms: Option<u64>,
}

impl Bearer {
    /// Looks at the token that a request brings: a connection token or a subscription token. Without one its client is nobody.
    ///
    /// # Errors
    /// 401 for a token that lets nobody in, 400 as [`token_of`].
    pub fn of(request: &Request<'_>, context: &Context<'_>) -> Result<Self, Refusal> {
        let rules = context.rules();
        let Some(token) = token_of(request, rules)? else {
            return Ok(Self::default());
        };
        let proven = Self::prove(&token, rules, context.unix_ms());
        Ok(proven.map_err(Unauthorized::Token)?)
    }

    fn prove(token: &str, rules: &Rules, unix_ms: u64) -> Result<Self, TokenError> {
        match rules.access.connection(token, unix_ms) {
            Ok(claims) => Ok(Self {
                identity: Identity::of_connection(&claims),
                subscription: None,
                expires_at_ms: claims.expires_at_ms,
            }),
            Err(TokenError::ForSubscription) => {
                let claims = rules.access.subscription(token, unix_ms)?;
                Ok(Self {
                    identity: Identity::of_subscription(&claims),
                    expires_at_ms: claims.expires_at_ms,
                    subscription: Some(claims),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether its bearer may subscribe.
    ///
    /// # Errors
    /// [`Unauthorized`].
    pub fn may_subscribe(
        &self,
        channel: &ChannelName,
        context: &Context<'_>,
    ) -> Result<(), Unauthorized> {
        let rules = context.rules();
        match &self.subscription {
            None => rules.may_subscribe(channel, &self.identity)?,
            Some(claims) => {
                let client = context.name().to_string();
                rules.may_subscribe_with(channel, &self.identity, claims, &client)?;
            }
        }
        Ok(())
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// When the tokens of a shard's connections expire, for endpoints that keep nothing else of most connections: one whose token
/// never expires, or that has none, is not in here.
#[derive(Default)]
pub struct Expiries(HashMap<ConnectionName, u64>);

impl Expiries {
    /// Lets the connection in: it is found by its user from now on, and the endpoint is called when the token expires, if it
    /// does.
    pub fn admit(&mut self, bearer: Bearer, context: &mut Context<'_>) -> Identity {
        if let Some(user) = bearer.identity.name() {
            context.identify(user, &context.name().to_string());
        }
        if let Some(expires_at_ms) = bearer.expires_at_ms {
            let ends_at_ms = ends_at_ms(expires_at_ms);
            self.0.insert(context.name(), ends_at_ms);
            context.set_deadline_at(Some(ends_at_ms));
        }
        bearer.identity
    }

    /// Whether the token has expired. If it has not, the endpoint is called again: deadlines do not reach far, and clocks
    /// are set.
    pub fn have_come(&self, context: &mut Context<'_>) -> bool {
        let Some(&ends_at_ms) = self.0.get(&context.name()) else {
            return false;
        };
        let is_over = ends_at_ms <= context.unix_ms();
        if !is_over {
            context.set_deadline_at(Some(ends_at_ms));
        }
        is_over
    }

    /// When that connection's token expires, if it does.
    pub fn of(&self, name: ConnectionName) -> Option<u64> {
        self.0.get(&name).copied()
    }

    /// The connection was here before a live upgrade, with what [`Expiries::of`] has said of it. Its deadline is set as it was.
    pub fn restore(&mut self, name: ConnectionName, ends_at_ms: Option<u64>) {
        if let Some(ends_at_ms) = ends_at_ms {
            self.0.insert(name, ends_at_ms);
        }
    }

    /// The connection is over.
    pub fn forget(&mut self, name: ConnectionName) {
        self.0.remove(&name);
    }
}
