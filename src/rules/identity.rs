//! What a connection has proven of itself, and why that may not do.

use serde::{Deserialize, Serialize};

use crate::access::{ConnectionClaims, SubscriptionClaims};
use crate::channel::{ChannelName, ChannelPattern};

/// What a connection has proven of itself so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// Nothing.
    #[default]
    Anonymous,
    /// That it is this user's. In a box, for most connections of a server without tokens have none.
    User(Box<User>),
}

/// A user, and what its token lets it do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    name: Box<str>,
    /// Names of channels that the token subscribes it to.
    channels: Box<[Box<str>]>,
    subscribe: Box<[ChannelPattern]>,
    publish: Box<[ChannelPattern]>,
}

/// Why a connection may not subscribe or publish; to be told to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The namespace lets no connection do it.
    #[error("no client may do this on the channel")]
    Nobody,
    /// Only with a token, and none was shown.
    #[error("the channel needs a token: connect with one that names it")]
    TokenNeeded,
    /// The connection's token says nothing of the channel.
    #[error("the token does not allow this on the channel")]
    NotGranted,
    /// The subscription token is for another channel.
    #[error("the subscription token is for another channel")]
    OtherChannel,
    /// The subscription token is for another user.
    #[error("the subscription token is for another user")]
    OtherUser,
    /// The subscription token is for another connection.
    #[error("the subscription token is for another connection")]
    OtherClient,
    /// The channel is one user's, and the connection is not that user's.
    #[error("the channel is another user's")]
    Private,
}

impl Denied {
    /// Whether a token that the client has not shown could help: what HTTP tells by 401 instead of 403.
    pub fn needs_token(self) -> bool {
        self == Self::TokenNeeded
    }
}

impl Identity {
    /// Who a connection token is about. Of its patterns those that are none grant nothing.
    pub fn of_connection(claims: &ConnectionClaims) -> Self {
        let subs = claims.subs.iter().map(|sub| &sub.channel);
        let channels = claims.channels.iter().chain(subs);
        Self::User(Box::new(User {
            name: claims.user.as_str().into(),
            channels: channels.map(|channel| channel.as_str().into()).collect(),
            subscribe: patterns(&claims.subscribe),
            publish: patterns(&claims.publish),
        }))
    }

    /// Who a subscription token is about, where a connection has shown nothing else: it grants that subscription alone.
    pub fn of_subscription(claims: &SubscriptionClaims) -> Self {
        Self::User(Box::new(User {
            name: claims.user.as_str().into(),
            channels: Box::new([claims.channel.as_str().into()]),
            subscribe: Box::default(),
            publish: Box::default(),
        }))
    }

    /// The user's name: empty for one whose token has none, `None` where no token was shown.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(&user.name),
        }
    }

    /// Whether there is a token, and that is true of its user.
    pub(super) fn is_granted(&self, grants: impl FnOnce(&User) -> bool) -> Result<(), Denied> {
        match self {
            Self::Anonymous => Err(Denied::TokenNeeded),
            Self::User(user) if grants(user) => Ok(()),
            Self::User(_) => Err(Denied::NotGranted),
        }
    }
}

impl User {
    pub(super) fn may_subscribe(&self, channel: &ChannelName) -> bool {
        let channel = channel.as_str();
        self.channels.iter().any(|own| &**own == channel) || matches(&self.subscribe, channel)
    }

    pub(super) fn may_publish(&self, channel: &ChannelName) -> bool {
        matches(&self.publish, channel.as_str())
    }
}

fn patterns(texts: &[String]) -> Box<[ChannelPattern]> {
    let texts = texts.iter();
    texts
        .filter_map(|text| ChannelPattern::parse(text).ok())
        .collect()
}

fn matches(patterns: &[ChannelPattern], channel: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(channel))
}
