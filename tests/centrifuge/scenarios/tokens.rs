//! Tokens: who it is, what it may, and what happens when they expire.

use serde_json::json;

use super::clients::client::{Kind, Site};
use crate::support::token::{SECRET, in_s, token};

fn guarded(kind: Kind, more: &str) -> Site {
    Site::start_with(
        kind,
        &format!("{more}\n[auth]\nhmac_secret = \"{SECRET}\"\n"),
    )
}

pub fn the_user_of_a_token_is_told_to_the_others(kind: Kind) {
    let mut site = guarded(kind, "");
    let claims =
        json!({ "sub": "ann", "info": { "name": "Ann" }, "subscribe": ["*"], "publish": ["*"] });
    site.connect_with("ann", &[token(&claims)]);
    site.subscribe("ann", "room");
    site.publish("ann", "room", json!("hello"));
    let publication = site.publication("ann", "room");
    assert_eq!(publication["info"]["user"], "ann", "{publication}");
    assert_eq!(publication["info"]["conn_info"], json!({ "name": "Ann" }));
}

pub fn what_a_token_does_not_allow_is_denied(kind: Kind) {
    let mut site = guarded(kind, "");
    site.connect_with("ann", &[token(&json!({ "sub": "ann" }))]);
    site.tell("subscribe", "ann", json!({ "channel": "room" }));
    assert_eq!(site.take_of("ann", "unsubscribed", "room")["code"], 103);
    let refused = site.refused("publish", "ann", json!({ "channel": "room", "data": 1 }));
    assert_eq!(refused, 103);
    // With a token for the channel it may.
    let claims = json!({ "sub": "ann", "channel": "hall" });
    site.tell(
        "subscribe",
        "ann",
        json!({ "channel": "hall", "tokens": [token(&claims)] }),
    );
    site.take_of("ann", "subscribed", "hall");
    site.server.http().publish("hall", "1");
    assert_eq!(site.data("ann", "hall"), 1);
}

/// The library asks for another token when one has expired, and goes on without a break.
pub fn tokens_are_renewed_before_they_end_anything(kind: Kind) {
    let mut site = guarded(kind, "");
    let connection = |seconds| token(&json!({ "sub": "ann", "exp": in_s(seconds) }));
    site.connect_with("ann", &[connection(2), connection(600)]);
    let room = |seconds| token(&json!({ "sub": "ann", "channel": "room", "exp": in_s(seconds) }));
    let tokens = [room(2), room(600)];
    site.tell(
        "subscribe",
        "ann",
        json!({ "channel": "room", "tokens": tokens }),
    );
    site.take_of("ann", "subscribed", "room");
    for _ in 0..2 {
        site.take("ann", "token_asked");
    }
    // Both were taken: what comes behind the second reply says so.
    let history = json!({ "channel": "room", "options": { "limit": 1 } });
    assert_eq!(site.refused("history", "ann", history), 108);
    site.server.http().publish("room", "1");
    assert_eq!(site.data("ann", "room"), 1);
    let names = site.untaken("ann");
    for bad in [
        "disconnected",
        "error",
        "subscription_error",
        "unsubscribed",
    ] {
        assert!(!names.iter().any(|name| name == bad), "{bad}: {names:?}");
    }
    assert_eq!(
        names.iter().filter(|name| *name == "connecting").count(),
        1,
        "{names:?}"
    );
}

/// Nobody renews it: the server ends the connection, and it comes back with another token.
pub fn who_comes_with_an_expired_token_gets_another(kind: Kind) {
    let mut site = guarded(kind, "");
    let expired = token(&json!({ "sub": "ann", "exp": in_s(-60) }));
    let good = token(&json!({ "sub": "ann", "exp": in_s(600) }));
    site.connect_with("ann", &[expired, good]);
    assert!(site.untaken("ann").contains(&"token_asked".to_owned()));
    let room = |seconds| token(&json!({ "sub": "ann", "channel": "room", "exp": in_s(seconds) }));
    let tokens = [room(-60), room(600)];
    site.tell(
        "subscribe",
        "ann",
        json!({ "channel": "room", "tokens": tokens }),
    );
    site.take_of("ann", "subscribed", "room");
}

pub fn a_token_subscribes_to_channels_and_they_recover(kind: Kind) {
    let mut site = guarded(
        kind,
        "[[namespace]]\nchannels = \"kept\"\nhistory_size = 10\nhistory_ttl = \"10m\"\n",
    );
    let claims = json!({ "sub": "ann", "channels": ["kept", "plain"] });
    site.connect_with("ann", &[token(&claims), token(&claims), token(&claims)]);
    let kept = site.take_of("ann", "server_subscribed", "kept");
    assert_eq!(kept["recoverable"], true, "{kept}");
    site.take_of("ann", "server_subscribed", "plain");
    let mut http = site.server.http();
    let mut at = 0;
    for _ in 0..2 {
        http.publish("kept", (at + 1).to_string());
        let publication = site.take_of("ann", "server_publication", "kept");
        assert_eq!(
            (&publication["data"], &publication["offset"]),
            (&json!(at + 1), &json!(at + 1))
        );
        site.tell("disconnect", "ann", json!({}));
        site.take("ann", "disconnected");
        for number in at + 2..=at + 4 {
            http.publish("kept", number.to_string());
        }
        site.tell("connect", "ann", json!({}));
        let kept = site.take_of("ann", "server_subscribed", "kept");
        assert_eq!(
            (&kept["was_recovering"], &kept["recovered"]),
            (&json!(true), &json!(true)),
            "{kept}"
        );
        assert_eq!(kept["stream_position"]["offset"], at + 1, "{kept}");
        for number in at + 2..=at + 4 {
            assert_eq!(
                site.take_of("ann", "server_publication", "kept")["data"],
                number
            );
        }
        site.take_of("ann", "server_subscribed", "plain");
        at += 4;
    }
    assert!(
        !site
            .untaken("ann")
            .contains(&"server_unsubscribed".to_owned())
    );
}
