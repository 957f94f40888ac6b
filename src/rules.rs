//! What holds while the server runs until it is told otherwise: namespaces, and who may come in and do what.
//!
//! [`Rules`] are made of a configuration as a whole and never changed; a reload replaces them at once. Endpoints reach them by
//! [`Context::rules`](crate::endpoint::Context::rules), and are who enforces them: a connection is as much as the [`Identity`]
//! that it has proven.

#![forbid(unsafe_code)]

mod identity;

use std::sync::Arc;

pub use identity::{Denied, Identity, User};

use crate::access::{Access, AccessError, AuthSettings, SubscriptionClaims};
use crate::channel::{ChannelName, Namespaces, Who};
use crate::config::{AuthConfig, Config, Secret};

/// See the module's documentation. By default there are no namespaces, and anyone may do all.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What holds for which channels.
    pub namespaces: Arc<Namespaces>,
    /// What tokens and keys are checked with.
    pub access: Access,
}

impl Rules {
    /// Those of a configuration that has been checked. Reads the JWKS file, if one is named.
    ///
    /// # Errors
    /// [`AccessError`] about the keys, above all about those of the file.
    pub fn new(config: &Config) -> Result<Self, AccessError> {
        Ok(Self {
            namespaces: Arc::new(Namespaces::new(config)),
            access: Access::new(&settings(&config.auth))?,
        })
    }

    /// Whether a connection may subscribe to a channel.
    ///
    /// # Errors
    /// [`Denied`] says why it may not.
    pub fn may_subscribe(&self, channel: &ChannelName, identity: &Identity) -> Result<(), Denied> {
        if self.access.takes_tokens()
            && let Some(owner) = channel.user()
        {
            return match identity.name() {
                Some(name) if name == owner => Ok(()),
                _ => Err(Denied::Private),
            };
        }
        match self.namespaces.of(channel.as_str()).subscribe {
            Who::Anyone => Ok(()),
            Who::Nobody => Err(Denied::Nobody),
            Who::Token => identity.is_granted(|user| user.may_subscribe(channel)),
        }
    }

    /// Whether no client at all may subscribe to a channel, whatever it shows.
    #[must_use]
    pub fn forbid_subscribing(&self, channel: &ChannelName) -> bool {
        let is_its_users = self.access.takes_tokens() && channel.user().is_some();
        !is_its_users && self.namespaces.of(channel.as_str()).subscribe == Who::Nobody
    }

    /// Whether a connection may subscribe to a channel with a subscription token for it. `client` is the connection's name as
    /// its tokens have it.
    ///
    /// # Errors
    /// [`Denied`] says why it may not.
    pub fn may_subscribe_with(
        &self,
        channel: &ChannelName,
        identity: &Identity,
        token: &SubscriptionClaims,
        client: &str,
    ) -> Result<(), Denied> {
        if token.channel != channel.as_str() {
            return Err(Denied::OtherChannel);
        }
        if token.user != identity.name().unwrap_or_default() {
            return Err(Denied::OtherUser);
        }
        if !token.are_for(channel.as_str(), &token.user, client) {
            return Err(Denied::OtherClient);
        }
        match self.namespaces.of(channel.as_str()).subscribe {
            Who::Anyone | Who::Token => Ok(()),
            Who::Nobody => Err(Denied::Nobody),
        }
    }

    /// Whether a connection may publish to a channel.
    ///
    /// # Errors
    /// [`Denied`] says why it may not.
    pub fn may_publish(&self, channel: &ChannelName, identity: &Identity) -> Result<(), Denied> {
        match self.namespaces.of(channel.as_str()).publish {
            Who::Anyone => Ok(()),
            Who::Nobody => Err(Denied::Nobody),
            Who::Token => identity.is_granted(|user| user.may_publish(channel)),
        }
    }
}

fn settings(config: &AuthConfig) -> AuthSettings {
    let text = |secret: &Secret| secret.reveal().to_owned();
    AuthSettings {
        hmac_secret: config.hmac_secret.as_ref().map(text),
        jwks_file: config.jwks_file.clone(),
        api_keys: config.api_keys.iter().map(text).collect(),
        audience: config.audience.clone(),
        issuer: config.issuer.clone(),
    }
}

#[cfg(test)]
mod tests;
