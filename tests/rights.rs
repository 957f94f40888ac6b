//! Who may do what, by every protocol of the public listener, on the real server: tokens, namespaces, and the end of a
//! connection whose token expires.
//!
//! What a token must be like to be taken at all is tested in tests/access; here are a few of those that are not, to see that each
//! protocol asks. What is particular to Centrifugo's protocol is tested in tests/centrifuge.

#![forbid(unsafe_code)]

mod support;

mod rights {
    mod centrifuge;
    mod clients;
    mod event_streams;
    mod programs;
    mod raw;
    mod reload;
    mod stomp;
    mod stomp_tokens;
    mod stomp_users;

    use serde_json::{Value, json};

    use crate::support::metrics::Metrics;
    use crate::support::server::{Options, Server};
    use crate::support::token::{SECRET, in_s, token, token_by, unsigned};

    /// One for each kind of who may do what; what is in none of them asks for a token.
    const NAMESPACES: &str = r#"
        [[namespace]]
        channels = "open:*"
        subscribe = "anyone"
        publish = "anyone"

        [[namespace]]
        channels = "read:*"
        subscribe = "anyone"
        publish = "nobody"

        [[namespace]]
        channels = "closed:*"
        subscribe = "nobody"
        publish = "nobody"

        [[namespace]]
        channels = "prices.*"
        wildcards = true
    "#;

    /// A server that takes tokens.
    fn guarded() -> Server {
        guarded_on(2)
    }

    fn guarded_on(shards: usize) -> Server {
        let auth = format!("[auth]\nhmac_secret = \"{SECRET}\"\n");
        Server::start(Options {
            shards,
            ..Options::with_config(&format!("{auth}{NAMESPACES}"))
        })
    }

    /// The token of a user who may do that.
    fn may(subscribe: &[&str], publish: &[&str]) -> String {
        token(&json!({ "sub": "ann", "subscribe": subscribe, "publish": publish }))
    }

    /// The same who may do everything that a token can let her do, for `ms` from now on.
    fn short_lived(ms: u64) -> String {
        let exp = crate::support::token::taken_for_ms(ms);
        token(&json!({ "sub": "ann", "exp": exp, "subscribe": ["*"], "publish": ["*"] }))
    }

    /// Tokens that let nobody in, and what is said of them, though they claim everything.
    fn bad_tokens() -> Vec<(String, &'static str)> {
        let with = |more: Value| {
            let mut claims = json!({ "sub": "ann", "subscribe": ["*"], "publish": ["*"] });
            let members = more.as_object().unwrap().clone();
            claims.as_object_mut().unwrap().extend(members);
            claims
        };
        let good = token(&with(json!({})));
        let (signed, _) = good.rsplit_once('.').unwrap();
        let none = unsigned(&json!({ "alg": "none" }), &with(json!({})));
        let another = "another secret, which is as long as it must be";
        vec![
            (token_by(&with(json!({})), another), "signature is wrong"),
            (format!("{signed}."), "signature is wrong"),
            (format!("{none}."), "not signed"),
            (format!("{none}.AAAA"), "not signed"),
            (token(&with(json!({ "exp": in_s(-60) }))), "has expired"),
            (token(&with(json!({ "nbf": in_s(60) }))), "not valid yet"),
            (token(&with(json!({ "aud": "another server" }))), "aud"),
            (token(&with(json!({ "sub": 7 }))), "sub"),
            ("guest".to_owned(), "no signed JWT"),
        ]
    }

    /// Asserts that so many connections have been refused and closed for want of a right, and that nothing of them is left.
    fn assert_counted(server: &Server, refused: u64, closed: u64) {
        let metrics = Metrics::wait(&mut server.http(), "unauthorized", |metrics| {
            let reason = "reason=\"unauthorized\"";
            metrics.sum_where("connections_refused_total", reason) == refused
                && metrics.sum_where("closes_total", reason) == closed
                && metrics.sum("connections") == 0
        });
        for family in ["subscriptions", "lanes"] {
            assert_eq!(metrics.sum(family), 0, "{metrics:?}");
        }
        let request = "reason=\"request\"";
        assert_eq!(metrics.sum_where("connections_refused_total", request), 0);
    }

    /// Waits until so many have been closed because a token had expired.
    fn wait_for_expired(server: &Server, count: u64) {
        Metrics::wait(&mut server.http(), "expired", |metrics| {
            metrics.sum_where("closes_total", "reason=\"token_expired\"") == count
        });
    }

    /// Waits until there are that many subscriptions; of a server with one shard they have begun then.
    fn wait_for_subscriptions(server: &Server, count: u64) {
        assert_eq!(server.options.shards, 1);
        Metrics::wait(&mut server.http(), "subscriptions", |metrics| {
            metrics.sum("subscriptions") == count
        });
    }
}
