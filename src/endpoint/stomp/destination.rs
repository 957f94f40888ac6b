//! Where STOMP messages go to and come from.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::ErrorReply;
use crate::channel::{ChannelName, NameError};

const HELP: &str = "Write /topic/{name} for everyone, /queue/{name} for one consumer at a time, \
                    /user/{login}/{name} to send to one user and /user/{name} to subscribe as that user.";

/// What a destination leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// Everyone who is subscribed gets each message.
    Topic(ChannelName),
    /// Each message goes to one consumer.
    Queue(ChannelName),
}

impl Destination {
    /// Of a SEND.
    pub fn to_send(text: &str) -> Result<Self, ErrorReply> {
        if let Some(rest) = text.strip_prefix("/user/") {
            let (user, rest) = rest.split_once('/').unwrap_or((rest, ""));
            return ChannelName::of_user(user, rest)
                .map(Self::Topic)
                .map_err(|error| wrong(text, error));
        }
        Self::shared(text)
    }

    /// Of a SUBSCRIBE by a user, if the client has said who it is, or proven it where that is asked for.
    pub fn to_subscribe(
        text: &str,
        user: Option<&str>,
        with_proof: bool,
    ) -> Result<Self, ErrorReply> {
        if let Some(rest) = text.strip_prefix("/user/") {
            let Some(user) = user else {
                return Err(ErrorReply::nobody(text, with_proof));
            };
            return ChannelName::of_user(user, rest)
                .map(Self::Topic)
                .map_err(|error| wrong(text, error));
        }
        Self::shared(text)
    }

    /// The channel, or the queue, whose namespace says who may do what.
    pub fn channel(&self) -> &ChannelName {
        match self {
            Self::Topic(channel) | Self::Queue(channel) => channel,
        }
    }

    fn shared(text: &str) -> Result<Self, ErrorReply> {
        let parse = |name| ChannelName::parse(name).map_err(|error| wrong(text, error));
        if let Some(name) = text.strip_prefix("/topic/") {
            parse(name).map(Self::Topic)
        } else if let Some(name) = text.strip_prefix("/queue/") {
            parse(name).map(Self::Queue)
        } else {
            Err(ErrorReply::new(
                format!("unknown destination \"{}\"", excerpt(text)),
                HELP,
            ))
        }
    }
}

/// As it is written in a SEND.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(queue) => write!(f, "/queue/{queue}"),
            Self::Topic(channel) => match channel.user_and_rest() {
                Some((user, rest)) => write!(f, "/user/{user}/{rest}"),
                None => write!(f, "/topic/{channel}"),
            },
        }
    }
}

fn wrong(text: &str, error: NameError) -> ErrorReply {
    ErrorReply::new(format!("destination \"{}\": {error}", excerpt(text)), HELP)
}

/// What an error quotes of a client's text.
pub fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(60)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    #[test]
    fn topics_and_queues_of_the_same_name_are_different_for_senders_and_subscribers() {
        for (text, destination) in [
            ("/topic/a/b", Destination::Topic(name("a/b"))),
            ("/queue/a", Destination::Queue(name("a"))),
        ] {
            assert_eq!(Destination::to_send(text).unwrap(), destination);
            assert_eq!(
                Destination::to_subscribe(text, None, false).unwrap(),
                destination
            );
            assert_eq!(destination.to_string(), text);
        }
    }

    #[test]
    fn what_is_sent_to_a_user_reaches_that_users_subscription_alone() {
        let sent = Destination::to_send("/user/ann/news/today").unwrap();
        let subscribed =
            |user| Destination::to_subscribe("/user/news/today", Some(user), true).unwrap();
        assert_eq!(sent, subscribed("ann"));
        assert_ne!(sent, subscribed("bob"));
        assert_eq!(sent.to_string(), "/user/ann/news/today");
        assert!(Destination::to_subscribe("/user/news", None, false).is_err());
    }

    #[test]
    fn every_other_destination_is_refused_with_what_to_write() {
        for text in [
            "",
            "news",
            "/topic",
            "/topic/",
            "/queue/",
            "/exchange/a",
            "/user/ann",
            "topic/a",
        ] {
            let error = Destination::to_send(text).unwrap_err();
            assert!(error.message.contains(&format!("\"{text}\"")), "{error:?}");
        }
    }
}
