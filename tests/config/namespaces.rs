//! `[[namespace]]`: what is read, and what is refused in one line.

use std::time::Duration;

use pushring::config::{
    ChannelPattern, Expected, NamespaceConfig, SlowPolicy, Warning, Who, namespace_settings,
    resolve,
};

use crate::support::{TempFile, from_text, lines_about, no_flags, variables};

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text).unwrap()
}

#[test]
fn every_setting_of_a_namespace_arrives_in_its_field() {
    let config = from_text(
        "[auth]\nhmac_secret = '0123456789abcdef0123456789abcdef'\n\
         [[namespace]]\nchannels = \"news:*\"\nhistory_size = 100\nhistory_ttl = \"5m\"\nhistory_bytes_max = 65_536\n\
         histories_bytes_max = 1_000_000\n\
         presence = true\njoin_leave = true\ncache = true\nlatest_every_ms = 250\nslow_consumer = \"drop_oldest\"\n\
         subscribe = \"token\"\npublish = \"nobody\"\nwildcards = true\nsubscribers_max = 7\n\
         [[namespace]]\nchannels = \"news\"\nslow_consumer = 'conflate'\nsubscribe = 'anyone'\n",
    )
    .unwrap();
    assert_eq!(
        config.namespaces,
        [
            NamespaceConfig {
                channels: pattern("news:*"),
                history_size: 100,
                history_ttl: Duration::from_secs(300),
                history_bytes_max: 65_536,
                histories_bytes_max: 1_000_000,
                presence: true,
                join_leave: true,
                cache: true,
                latest_every_ms: 250,
                slow_consumer: SlowPolicy::DropOldest,
                subscribe: Some(Who::Token),
                publish: Some(Who::Nobody),
                wildcards: true,
                subscribers_max: 7,
            },
            NamespaceConfig {
                channels: pattern("news"),
                slow_consumer: SlowPolicy::Conflate,
                subscribe: Some(Who::Anyone),
                ..NamespaceConfig::default()
            }
        ]
    );
}

#[test]
fn a_namespace_can_be_written_in_one_line() {
    let config =
        from_text("namespace = [{ channels = 'a', presence = true }, { channels = 'b*' }]\n");
    let patterns: Vec<String> = config
        .unwrap()
        .namespaces
        .iter()
        .map(|namespace| namespace.channels.to_string())
        .collect();
    assert_eq!(patterns, ["a", "b*"]);
}

#[test]
fn a_history_size_alone_is_kept_for_ten_minutes() {
    let config = from_text("[[namespace]]\nchannels = 'a'\nhistory_size = 5\n").unwrap();
    assert_eq!(config.namespaces[0].history_ttl, Duration::from_secs(600));
}

#[test]
fn each_mistake_is_one_line_with_its_place_and_what_to_write() {
    for (text, line) in [
        (
            "[[namespace]]\nchannels = 'a'\nhistroy_size = 5\n",
            "FILE:3: there is no setting namespace.histroy_size; the nearest is namespace.history_size, write history_size = ... \
             below [[namespace]]",
        ),
        (
            "[[namespace]]\nchannel = 'a'\n",
            "FILE:2: there is no setting namespace.channel; the nearest is namespace.channels, write channels = ... below \
             [[namespace]]",
        ),
        (
            "history_size = 5\n",
            "FILE:1: there is no setting history_size; the nearest is namespace.history_size, write history_size = ... below \
             [[namespace]]",
        ),
        (
            "echo = true\n[namespace]\nchannels = 'a'\n",
            "FILE:2: there can be many of namespace; write [[namespace]] with two brackets on each side and its settings below",
        ),
        (
            "namespace = 5\n",
            "FILE:1: there can be many of namespace; write [[namespace]] with two brackets on each side and its settings below",
        ),
        (
            "[[namespaces]]\nchannels = 'a'\n",
            "FILE:1: there is no section [namespaces]; the nearest is [[namespace]], write that",
        ),
        (
            "[[limits]]\nheaders_max = 8\n",
            "FILE:1: limits is a section, not a setting; write [limits] on a line of its own and its settings below",
        ),
        (
            "[[namespace]]\nchannels = 'a'\n\n[[namespace]]\ncache = true\n",
            "FILE:4: this [[namespace]] does not say which channels it is for; write for example channels = \"news:*\" below it",
        ),
        (
            "[[namespace]]\nchannels = 'a*'\n[[namespace]]\n\nchannels = 'a*'\n",
            "FILE:5: channels = \"a*\" stands in a [[namespace]] before this one; keep one of the two",
        ),
        (
            "[[namespace]]\nchannels = 'a*b'\n",
            "FILE:2: namespace.channels = 'a*b' is no pattern of channels: a * stands only at its end; write for example \
             \"news:*\" or \"news\"",
        ),
        (
            "[[namespace]]\nchannels = ['a']\n",
            "FILE:2: namespace.channels = ['a'] is a list, not a pattern of channels; write for example \"news:*\" or \"news\"",
        ),
        (
            "[[namespace]]\nchannels = 'a'\nhistory_ttl = 600\n",
            "FILE:3: namespace.history_ttl = 600 is a number, not a duration; write for example \"10m\", from \"10ms\" to \"30d\" \
             (units ms, s, m, h, d)",
        ),
        (
            "[[namespace]]\nchannels = 'a'\nhistory_ttl = '10 min'\n",
            "FILE:3: namespace.history_ttl = '10 min' is not a duration; write for example \"10m\", from \"10ms\" to \"30d\" \
             (units ms, s, m, h, d)",
        ),
        (
            "[[namespace]]\nchannels = 'a'\nhistory_ttl = '31d'\n",
            "FILE:3: namespace.history_ttl = '31d' is above the maximum, 30d; write for example \"10m\", from \"10ms\" to \"30d\" \
             (units ms, s, m, h, d)",
        ),
        (
            "[[namespace]]\nchannels = 'a'\nhistory_size = 1_000_001\n",
            "FILE:3: namespace.history_size = 1_000_001 is above the maximum, 1_000_000 publications a channel; write a whole \
             number from 0 to 1_000_000 (publications a channel, 0 = none are kept)",
        ),
        (
            "[[namespace]]\nchannels = 'a'\nslow_consumer = 'drop'\n",
            "FILE:3: namespace.slow_consumer = 'drop' is not one of its words; write one of \"disconnect\", \"drop_oldest\", \
             \"conflate\"",
        ),
        (
            "[[namespace]]\nchannels = 'a'\nsubscribe = 'everyone'\n",
            "FILE:3: namespace.subscribe = 'everyone' is not one of its words; write one of \"anyone\", \"token\", \"nobody\"",
        ),
        (
            "[[namespace]]\nchannels = 'a'\npublish = 'token'\n",
            "FILE:3: publish = \"token\" for the channels \"a\", but no key is configured to check tokens with; write hmac_secret \
             or jwks_file below [auth], or \"anyone\" or \"nobody\" here",
        ),
        (
            "[[namespace]]\nchannels = 'a'\n[namespace.more]\npresence = true\n",
            "FILE:3: there is no setting namespace.more; the nearest is namespace.cache, write cache = ... below [[namespace]]",
        ),
    ] {
        assert_eq!(lines_about(text), [line], "{text}");
    }
}

#[test]
fn a_number_is_taken_exactly_if_it_is_within_its_bounds() {
    let mut tried = 0;
    for setting in namespace_settings() {
        let (Expected::Number, Some(bounds)) = (setting.expected(), setting.bounds) else {
            continue;
        };
        let below = bounds.min.checked_sub(1);
        for number in [
            Some(bounds.min),
            Some(bounds.max),
            Some(bounds.max + 1),
            below,
        ]
        .into_iter()
        .flatten()
        {
            let text = format!(
                "[[namespace]]\nchannels = 'a'\n{} = {number}\n",
                setting.name
            );
            let within = (bounds.min..=bounds.max).contains(&number);
            assert_eq!(
                from_text(text).is_ok(),
                within,
                "{} = {number}",
                setting.name
            );
            tried += 1;
        }
    }
    assert!(tried > 9, "{tried}");
}

#[test]
fn mistakes_in_several_namespaces_are_told_in_the_order_of_the_file() {
    let lines = lines_about(
        "[[namespace]]\nchannels = 5\n[limits]\nheaders_max = 1\n[[namespace]]\npresence = 1\nchannels = 'a'\n",
    );
    let places: Vec<&str> = lines.iter().map(|line| &line[..7]).collect();
    assert_eq!(places, ["FILE:2:", "FILE:4:", "FILE:6:"], "{lines:?}");
}

#[test]
fn a_hand_made_namespace_out_of_bounds_is_refused_by_validate() {
    let config = pushring::config::Config {
        namespaces: vec![NamespaceConfig {
            history_ttl: Duration::MAX,
            subscribers_max: usize::MAX,
            ..NamespaceConfig::default()
        }],
        ..Default::default()
    };
    let error = config.validate().unwrap_err();
    let lines: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("namespace.history_ttl = "), "{lines:?}");
    assert!(lines[0].contains("is above the maximum, 30d;"), "{lines:?}");
    assert!(
        lines[1].starts_with("namespace.subscribers_max = "),
        "{lines:?}"
    );
}

#[test]
fn a_history_that_cannot_hold_the_longest_message_is_warned_of() {
    let text =
        |more: &str| format!("[[namespace]]\nchannels = 'a'\nhistory_bytes_max = 1_024\n{more}");
    let expected = Warning::HistoryBelowMessage {
        channels: pattern("a"),
        history_bytes_max: 1_024,
        message_bytes_max: 65_536,
    };
    for (more, warnings) in [
        ("", &[][..]),
        ("history_size = 1\n", std::slice::from_ref(&expected)),
        ("cache = true\n", std::slice::from_ref(&expected)),
    ] {
        let config = from_text(text(more)).unwrap();
        assert_eq!(config.validate().unwrap(), warnings, "{more}");
    }
}

#[test]
fn a_namespace_whose_histories_have_less_than_one_of_them_may_have_is_warned_of() {
    let text = |bound: &str| {
        format!("[[namespace]]\nchannels = 'a*'\nhistory_size = 5\nhistories_bytes_max = {bound}\n")
    };
    for bound in ["0", "1_048_576"] {
        assert_eq!(from_text(text(bound)).unwrap().validate().unwrap(), []);
    }
    let warnings = from_text(text("1_048_575")).unwrap().validate().unwrap();
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "histories_bytes_max = 1_048_575 of the channels \"a*\" is less than history_bytes_max = 1_048_576 bytes: no channel \
             can keep as much as it may"
        ]
    );
}

#[test]
fn what_a_namespace_changes_is_told_with_its_channels_and_its_line() {
    let file =
        TempFile::new("[[namespace]]\nchannels = 'a*'\nhistory_size = 5\npresence = false\n");
    let resolved = resolve(Some(&file.0), variables(&[]), no_flags()).unwrap();
    let told: Vec<(String, String)> = resolved
        .differences
        .iter()
        .map(|difference| {
            assert_eq!(difference.channels, Some(pattern("a*")));
            let line = format!("{} = {}", difference.setting.name, difference.value);
            (
                line,
                difference
                    .place
                    .to_string()
                    .replace(&file.0.display().to_string(), ""),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("channels = \"a*\"".to_owned(), ":2".to_owned()),
            ("history_size = 5".to_owned(), ":3".to_owned())
        ]
    );
}
