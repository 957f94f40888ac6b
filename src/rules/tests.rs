use bytes::Bytes;

use super::*;
use crate::access::{self, ConnectionClaims, ServerSubscription};
use crate::channel::ChannelPattern;
use crate::config::{self, NamespaceConfig};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

fn namespace(channels: &str, subscribe: Who, publish: Who) -> NamespaceConfig {
    NamespaceConfig {
        channels: ChannelPattern::parse(channels).unwrap(),
        subscribe: Some(subscribe),
        publish: Some(publish),
        ..NamespaceConfig::default()
    }
}

/// With channels that are open, closed to all, and (like all others) for those with a token.
fn rules() -> Rules {
    let mut config = Config::default();
    config.auth.hmac_secret = Some(Secret::new(SECRET));
    config.namespaces = vec![
        namespace("open", Who::Anyone, Who::Anyone),
        namespace("closed", Who::Nobody, Who::Nobody),
        namespace("read", Who::Anyone, Who::Nobody),
    ];
    config.validate().unwrap();
    Rules::new(&config).unwrap()
}

fn ann() -> ConnectionClaims {
    ConnectionClaims {
        user: "ann".to_owned(),
        expires_at_ms: None,
        info: Bytes::new(),
        channels: Vec::new(),
        subs: Vec::new(),
        publish: Vec::new(),
        subscribe: Vec::new(),
    }
}

fn subscription(user: &str, channel: &str, client: Option<&str>) -> SubscriptionClaims {
    SubscriptionClaims {
        user: user.to_owned(),
        channel: channel.to_owned(),
        client: client.map(str::to_owned),
        expires_at_ms: None,
        info: Bytes::new(),
    }
}

#[test]
fn without_anything_configured_anyone_may_do_all() {
    let rules = Rules::default();
    for identity in [Identity::Anonymous, Identity::of_connection(&ann())] {
        assert_eq!(rules.may_subscribe(&name("news"), &identity), Ok(()));
        assert_eq!(rules.may_publish(&name("news"), &identity), Ok(()));
    }
    let own = ChannelName::of_user("ann", "a").unwrap();
    assert_eq!(rules.may_subscribe(&own, &Identity::Anonymous), Ok(()));
}

#[test]
fn namespaces_say_who_may_subscribe_and_who_may_publish() {
    let rules = rules();
    let anonymous = Identity::Anonymous;
    let ann = Identity::of_connection(&ann());
    for (channel, identity, subscribe, publish) in [
        ("open", &anonymous, Ok(()), Ok(())),
        ("open", &ann, Ok(()), Ok(())),
        ("closed", &ann, Err(Denied::Nobody), Err(Denied::Nobody)),
        ("read", &anonymous, Ok(()), Err(Denied::Nobody)),
        (
            "other",
            &anonymous,
            Err(Denied::TokenNeeded),
            Err(Denied::TokenNeeded),
        ),
        (
            "other",
            &ann,
            Err(Denied::NotGranted),
            Err(Denied::NotGranted),
        ),
    ] {
        let channel = name(channel);
        assert_eq!(
            rules.may_subscribe(&channel, identity),
            subscribe,
            "{channel}"
        );
        assert_eq!(rules.may_publish(&channel, identity), publish, "{channel}");
    }
}

#[test]
fn a_connection_token_grants_what_its_patterns_and_its_channels_say() {
    let rules = rules();
    let identity = Identity::of_connection(&ConnectionClaims {
        channels: vec!["mine".to_owned(), "star*".to_owned()],
        subs: vec![ServerSubscription {
            channel: "sub".to_owned(),
            info: Bytes::new(),
            data: Bytes::new(),
        }],
        subscribe: vec![
            "news:*".to_owned(),
            "no*pattern*".to_owned(),
            "closed".to_owned(),
        ],
        publish: vec!["chat".to_owned()],
        ..ann()
    });
    for (channel, subscribe, publish) in [
        ("mine", true, false),
        ("sub", true, false),
        ("news:a", true, false),
        ("chat", false, true),
        ("chatter", false, false),
        // A name in `channels` is no pattern.
        ("star*", true, false),
        ("stars", false, false),
        ("no", false, false),
    ] {
        let granted = |granted: bool| {
            if granted {
                Ok(())
            } else {
                Err(Denied::NotGranted)
            }
        };
        let channel = name(channel);
        assert_eq!(
            rules.may_subscribe(&channel, &identity),
            granted(subscribe),
            "{channel}"
        );
        assert_eq!(
            rules.may_publish(&channel, &identity),
            granted(publish),
            "{channel}"
        );
    }
    let closed = rules.may_subscribe(&name("closed"), &identity);
    assert_eq!(
        closed,
        Err(Denied::Nobody),
        "no token helps where nobody may"
    );
}

#[test]
fn a_subscription_token_is_for_its_channel_its_user_and_its_connection() {
    let rules = rules();
    let ann = Identity::of_connection(&ann());
    let anonymous = Identity::Anonymous;
    for (identity, token, result) in [
        (&ann, subscription("ann", "news", None), Ok(())),
        (&ann, subscription("ann", "news", Some("c1")), Ok(())),
        (
            &ann,
            subscription("ann", "new", None),
            Err(Denied::OtherChannel),
        ),
        (
            &ann,
            subscription("ann", "news*", None),
            Err(Denied::OtherChannel),
        ),
        (
            &ann,
            subscription("bob", "news", None),
            Err(Denied::OtherUser),
        ),
        (&ann, subscription("", "news", None), Err(Denied::OtherUser)),
        (
            &ann,
            subscription("ann", "news", Some("c2")),
            Err(Denied::OtherClient),
        ),
        (&anonymous, subscription("", "news", None), Ok(())),
        (
            &anonymous,
            subscription("ann", "news", None),
            Err(Denied::OtherUser),
        ),
    ] {
        let got = rules.may_subscribe_with(&name("news"), identity, &token, "c1");
        assert_eq!(got, result, "{token:?}");
    }
    let token = subscription("ann", "closed", None);
    let closed = rules.may_subscribe_with(&name("closed"), &ann, &token, "c1");
    assert_eq!(closed, Err(Denied::Nobody));
}

#[test]
fn a_subscription_token_alone_makes_a_user_with_that_subscription() {
    let rules = rules();
    let token = subscription("ann", "news", None);
    let identity = Identity::of_subscription(&token);
    assert_eq!(identity.name(), Some("ann"));
    assert_eq!(rules.may_subscribe(&name("news"), &identity), Ok(()));
    assert_eq!(
        rules.may_subscribe_with(&name("news"), &identity, &token, "c1"),
        Ok(())
    );
    for other in ["other", "news*"] {
        let denied = rules.may_subscribe(&name(other), &identity);
        assert_eq!(denied, Err(Denied::NotGranted), "{other}");
    }
    assert_eq!(
        rules.may_publish(&name("news"), &identity),
        Err(Denied::NotGranted)
    );
}

#[test]
fn where_users_are_proven_a_users_channel_is_that_users_alone() {
    let rules = rules();
    let own = ChannelName::of_user("ann", "orders").unwrap();
    let named = |user: &str| {
        Identity::of_connection(&ConnectionClaims {
            user: user.to_owned(),
            subscribe: vec!["*".to_owned()],
            ..ann()
        })
    };
    assert_eq!(rules.may_subscribe(&own, &named("ann")), Ok(()));
    for other in [named("bob"), named(""), Identity::Anonymous] {
        assert_eq!(rules.may_subscribe(&own, &other), Err(Denied::Private));
    }
}

#[test]
fn the_bounds_of_keys_are_those_that_the_configuration_checks() {
    assert_eq!(config::SECRET_BYTES_MIN, access::SECRET_BYTES_MIN);
    assert_eq!(config::API_KEY_BYTES_MIN, access::API_KEY_BYTES_MIN);
}

#[test]
fn rules_show_no_secret() {
    let shown = format!("{:?}", rules());
    assert!(!shown.contains(SECRET), "{shown}");
}
