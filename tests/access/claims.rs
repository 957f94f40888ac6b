//! What tokens claim, and when they are too old, too new, or for somebody else.

use bytes::Bytes;
use pushring::access::{
    Access, AuthSettings, CLOCK_LEEWAY_MS, ConnectionClaims, ServerSubscription,
    SubscriptionClaims, TokenError,
};
use serde_json::{Value, json};

use crate::support::{
    NOW_MS, NOW_S, Signer, ann, connection, settings_with_secret, user, with_secret,
};

fn signed(claims: Value) -> String {
    Signer::secret().token(json!({}), claims)
}

/// Signed, of exactly this text.
fn of_text(claims: &str) -> String {
    Signer::secret().sign(r#"{"alg":"HS256"}"#, claims)
}

fn connect(claims: Value) -> Result<ConnectionClaims, TokenError> {
    connection(&with_secret(), &signed(claims))
}

fn subscribe(claims: Value) -> Result<SubscriptionClaims, TokenError> {
    with_secret().subscription(&signed(claims), NOW_MS)
}

/// The claim that is refused.
fn refused<T>(result: Result<T, TokenError>) -> &'static str {
    match result.map(drop) {
        Err(TokenError::Claim { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_token_claims_everything_that_its_bearer_may() {
    let claims = json!({
        "sub": "42",
        "exp": NOW_S + 60,
        "iat": NOW_S,
        "jti": "unheeded",
        "info": { "name": "Ann" },
        "channels": ["news", "rooms:1"],
        "subs": {
            "b": { "info": { "as": "guest" }, "data": [1, 2], "override": { "presence": { "value": true } } },
            "a": {},
            "c": null,
        },
        "publish": ["rooms:*"],
        "subscribe": ["news", "rooms:*"],
    });
    let plain = |channel: &str| ServerSubscription {
        channel: channel.to_owned(),
        info: Bytes::new(),
        data: Bytes::new(),
    };
    let b = ServerSubscription {
        info: Bytes::from_static(br#"{"as":"guest"}"#),
        data: Bytes::from_static(b"[1,2]"),
        ..plain("b")
    };
    assert_eq!(
        connect(claims),
        Ok(ConnectionClaims {
            user: "42".to_owned(),
            expires_at_ms: Some(NOW_MS + 60_000),
            info: Bytes::from_static(br#"{"name":"Ann"}"#),
            channels: vec!["news".to_owned(), "rooms:1".to_owned()],
            subs: vec![plain("a"), b, plain("c")],
            publish: vec!["rooms:*".to_owned()],
            subscribe: vec!["news".to_owned(), "rooms:*".to_owned()],
        })
    );
}

#[test]
fn a_token_that_claims_nothing_is_of_nobody_and_for_ever() {
    let nobody = ConnectionClaims {
        user: String::new(),
        expires_at_ms: None,
        info: Bytes::new(),
        channels: Vec::new(),
        subs: Vec::new(),
        publish: Vec::new(),
        subscribe: Vec::new(),
    };
    for claims in [
        "{}",
        r#"{"sub":""}"#,
        r#"{"sub":null,"info":null,"b64info":null,"channels":null,"subs":null,"publish":null,"subscribe":null}"#,
        r#"{"channel":null,"client":null,"aud":null,"iss":null,"b64info":""}"#,
    ] {
        assert_eq!(
            connection(&with_secret(), &of_text(claims)),
            Ok(nobody.clone()),
            "{claims}"
        );
    }
}

#[test]
fn a_subscription_token_claims_a_channel_for_a_user() {
    let claims = json!({ "channel": "rooms:1", "client": "c1", "info": "x" });
    let claims = subscribe(claims).unwrap();
    assert_eq!(
        claims,
        SubscriptionClaims {
            user: "ann".to_owned(),
            channel: "rooms:1".to_owned(),
            client: Some("c1".to_owned()),
            expires_at_ms: Some(NOW_MS + 60_000),
            info: Bytes::from_static(br#""x""#),
        }
    );
    assert!(claims.are_for("rooms:1", "ann", "c1"));
    assert!(!claims.are_for("rooms:2", "ann", "c1"));
    assert!(!claims.are_for("rooms:1", "bob", "c1"));
    assert!(!claims.are_for("rooms:1", "ann", "c2"));
    for no_client in [json!({}), json!({ "client": "" })] {
        let mut claims = no_client;
        claims["channel"] = json!("rooms:1");
        let claims = subscribe(claims).unwrap();
        assert_eq!(claims.client, None);
        assert!(claims.are_for("rooms:1", "ann", "c2"));
        assert!(!claims.are_for("rooms:1", "", "c2"));
    }
}

#[test]
fn a_subscription_token_does_not_connect_and_a_connection_token_does_not_subscribe() {
    assert_eq!(
        connect(json!({ "channel": "news" })),
        Err(TokenError::ForSubscription)
    );
    for none in [json!({}), json!({ "channel": "" })] {
        assert_eq!(refused(subscribe(none.clone())), "channel");
        assert!(connect(none).is_ok());
    }
    assert_eq!(
        refused(subscribe(json!({ "channel": ["news"] }))),
        "channel"
    );
    assert_eq!(refused(connect(json!({ "channel": 1 }))), "channel");
}

#[test]
fn an_expired_token_is_refused_when_the_leeway_is_over() {
    let access = with_secret();
    let token = signed(json!({ "exp": NOW_S }));
    let over_ms = NOW_MS + CLOCK_LEEWAY_MS;
    assert_eq!(
        access
            .connection(&token, over_ms - 1)
            .map(|claims| claims.expires_at_ms),
        Ok(Some(NOW_MS))
    );
    for late_ms in [over_ms, over_ms + 1, u64::MAX] {
        assert_eq!(
            access.connection(&token, late_ms),
            Err(TokenError::Expired),
            "{late_ms}"
        );
    }
    let subscription = signed(json!({ "exp": NOW_S, "channel": "news" }));
    assert!(access.subscription(&subscription, over_ms - 1).is_ok());
    assert_eq!(
        access.subscription(&subscription, over_ms),
        Err(TokenError::Expired)
    );
}

#[test]
fn a_token_that_is_not_valid_yet_is_refused_but_for_the_leeway() {
    let access = with_secret();
    let token = signed(json!({ "nbf": NOW_S, "exp": NOW_S + 60 }));
    let from_ms = NOW_MS - CLOCK_LEEWAY_MS;
    assert!(access.connection(&token, from_ms).is_ok());
    for early_ms in [from_ms - 1, 0] {
        assert_eq!(
            access.connection(&token, early_ms),
            Err(TokenError::NotYetValid),
            "{early_ms}"
        );
    }
    let subscription = signed(json!({ "nbf": NOW_S, "channel": "news" }));
    assert!(access.subscription(&subscription, from_ms).is_ok());
    assert_eq!(
        access.subscription(&subscription, from_ms - 1),
        Err(TokenError::NotYetValid)
    );
}

#[test]
fn a_time_may_have_a_fraction_and_lie_anywhere() {
    let expires_at_ms = |exp: &str| {
        let token = of_text(&format!(r#"{{"exp":{exp}}}"#));
        with_secret()
            .connection(&token, 0)
            .map(|claims| claims.expires_at_ms)
    };
    for (exp, ms) in [
        ("1.5", 1_500),
        ("1e3", 1_000_000),
        ("1800000000", NOW_MS),
        ("1800000000.25", NOW_MS + 250),
        ("0", 0),
        ("-1", 0),
        ("-1e300", 0),
        ("1e300", u64::MAX),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(expires_at_ms(exp), Ok(Some(ms)), "{exp}");
    }
    // Before 1970 it has expired by now, and never is later than any clock.
    assert_eq!(
        connect(json!({ "exp": -1 })).map(drop),
        Err(TokenError::Expired)
    );
    assert_eq!(
        connect(json!({ "nbf": 1e300 })).map(drop),
        Err(TokenError::NotYetValid)
    );
}

/// A backend that writes `null` there by mistake would otherwise make tokens that never expire.
#[test]
fn a_time_that_is_no_number_is_refused() {
    for name in ["exp", "nbf", "expire_at"] {
        for value in ["null", "\"1800000060\"", "[]", "{}", "true", "1e400"] {
            let token = of_text(&format!(r#"{{"{name}":{value}}}"#));
            assert_eq!(
                refused(connection(&with_secret(), &token)),
                name,
                "{name}: {value}"
            );
        }
    }
}

#[test]
fn expire_at_says_when_the_connection_ends_in_place_of_exp() {
    let ends_at = |claims| connect(claims).map(|claims| claims.expires_at_ms);
    let exp = NOW_S + 60;
    assert_eq!(
        ends_at(json!({ "exp": exp, "expire_at": NOW_S + 5 })),
        Ok(Some(NOW_MS + 5_000))
    );
    assert_eq!(ends_at(json!({ "exp": exp, "expire_at": 0 })), Ok(None));
    assert_eq!(
        ends_at(json!({ "exp": NOW_S - 60, "expire_at": exp })),
        Err(TokenError::Expired)
    );
    assert_eq!(
        ends_at(json!({ "exp": exp, "expire_at": NOW_S - 60 })),
        Err(TokenError::Expired)
    );
}

#[test]
fn expired_is_said_of_what_is_otherwise_good_alone() {
    let old = |claims: Value| {
        let mut claims = claims;
        claims["exp"] = json!(NOW_S - 3600);
        claims
    };
    assert_eq!(connect(old(json!({}))).map(drop), Err(TokenError::Expired));
    assert_eq!(refused(connect(old(json!({ "publish": "x" })))), "publish");
    assert_eq!(
        connect(old(json!({ "aud": "others" }))).map(drop),
        Err(TokenError::NoAudience)
    );
    assert_eq!(
        connect(old(json!({ "channel": "x" }))).map(drop),
        Err(TokenError::ForSubscription)
    );
    let forged = Signer::hmac("HS256", &[1; 32]).token(json!({}), old(json!({})));
    assert_eq!(
        connection(&with_secret(), &forged).map(drop),
        Err(TokenError::BadSignature)
    );
}

fn expecting(audience: Option<&str>, issuer: Option<&str>) -> Access {
    Access::new(&AuthSettings {
        audience: audience.map(str::to_owned),
        issuer: issuer.map(str::to_owned),
        ..settings_with_secret()
    })
    .unwrap()
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let access = expecting(Some("push"), None);
    for aud in [json!("push"), json!(["push"]), json!(["shop", "push"])] {
        assert_eq!(user(&access, &signed(json!({ "aud": aud }))), ann());
    }
    for aud in [
        json!("shop"),
        json!("PUSH"),
        json!("push "),
        json!(""),
        json!([]),
        json!(["shop", "push2"]),
        Value::Null,
    ] {
        let token = signed(json!({ "aud": aud }));
        assert_eq!(user(&access, &token), Err(TokenError::Audience), "{aud}");
        let subscription = signed(json!({ "aud": aud, "channel": "x" }));
        assert_eq!(
            access.subscription(&subscription, NOW_MS).map(drop),
            Err(TokenError::Audience)
        );
    }
}

/// RFC 7519, section 4.1.3: whoever does not find itself in `aud` must refuse the token. A set of an identity provider's keys would
/// otherwise let in the tokens of all its other customers.
#[test]
fn a_token_for_some_audience_is_refused_where_the_server_has_no_name() {
    for aud in [json!("push"), json!(["push"]), json!([])] {
        let token = signed(json!({ "aud": aud }));
        assert_eq!(user(&with_secret(), &token), Err(TokenError::NoAudience));
    }
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    let access = expecting(None, Some("https://login.example.com/"));
    let token = signed(json!({ "iss": "https://login.example.com/" }));
    assert_eq!(user(&access, &token), ann());
    assert_eq!(user(&with_secret(), &token), ann());
    for iss in [
        json!("https://login.example.com"),
        json!("https://login.example.org/"),
        json!(""),
        Value::Null,
    ] {
        let token = signed(json!({ "iss": iss }));
        assert_eq!(user(&access, &token), Err(TokenError::Issuer), "{iss}");
    }
}

#[test]
fn a_claim_of_another_kind_is_refused_by_its_name() {
    for (name, values) in [
        ("sub", [json!(42), json!(["ann"]), json!(true)]),
        ("aud", [json!(1), json!({}), json!(["push", 1])]),
        ("iss", [json!(1), json!(["x"]), json!({})]),
        (
            "channels",
            [json!("news"), json!([1]), json!({ "news": {} })],
        ),
        ("publish", [json!("news"), json!([null]), json!(true)]),
        ("subscribe", [json!("*"), json!([["news"]]), json!(0)]),
        (
            "subs",
            [json!(["news"]), json!({ "news": 1 }), json!({ "news": [] })],
        ),
        (
            "b64info",
            [json!(1), json!("no base64"), json!("bm8ganNvbg==")],
        ),
    ] {
        for value in values {
            let mut claims = json!({});
            claims[name] = value.clone();
            let result = connect(claims);
            assert_eq!(refused(result.clone()), name, "{value}");
            let line = result.unwrap_err().to_string();
            assert!(line.contains(&format!("claim {name} is not ")), "{line}");
        }
    }
    assert_eq!(
        refused(subscribe(json!({ "channel": "x", "client": 1 }))),
        "client"
    );
    for (name, value) in [("b64info", "bm8="), ("b64data", "bm8=")] {
        let mut claims = json!({ "subs": { "news": {} } });
        claims["subs"]["news"][name] = json!(value);
        assert_eq!(refused(connect(claims)), format!("{name} of subs"));
    }
}

#[test]
fn info_stays_as_it_was_written_and_in_one_line() {
    for (written, kept) in [
        ("1.0", "1.0"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        (r#"{"b":1,  "a":"\u00e9\n"}"#, r#"{"b":1,  "a":"\u00e9\n"}"#),
        ("{\r\n  \"a\": 1\n}", "{    \"a\": 1 }"),
        ("false", "false"),
        ("\"\"", "\"\""),
    ] {
        let token = of_text(&format!(r#"{{"info":{written}}}"#));
        let claims = connection(&with_secret(), &token).unwrap();
        assert_eq!(claims.info, kept);
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, written);
        // Centrifugo prefers it, too.
        let claims = connect(json!({ "b64info": base64, "info": "another" })).unwrap();
        assert_eq!(claims.info, kept);
        let subs = json!({ "x": { "b64info": base64, "b64data": base64 } });
        let claims = connect(json!({ "subs": subs })).unwrap();
        assert_eq!(claims.subs[0].info, kept);
        assert_eq!(claims.subs[0].data, kept);
        let claims = subscribe(json!({ "channel": "x", "b64info": base64 })).unwrap();
        assert_eq!(claims.info, kept);
    }
}
