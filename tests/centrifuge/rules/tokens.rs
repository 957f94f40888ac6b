//! Who a client is, and what it may do.

use serde_json::{Value, json};

use crate::support::centrifuge::{Centrifuge, PATH};
use crate::support::server::{Options, Server};
use crate::support::token::{SECRET, in_s, token, token_by};
use crate::{client, server_with};

/// A server that takes tokens; `more` are namespaces and other settings.
fn guarded(more: &str) -> Server {
    server_with(&format!("{more}\n[auth]\nhmac_secret = \"{SECRET}\"\n"))
}

fn connect(server: &Server, claims: &Value) -> (Centrifuge, Value) {
    Centrifuge::connect_with(server.addresses.public, json!({ "token": token(claims) }))
}

#[test]
fn a_connection_is_its_tokens_user_and_its_publications_say_so() {
    let server =
        guarded("[[namespace]]\nchannels = \"*\"\npublish = \"anyone\"\npresence = true\n");
    let claims = json!({ "sub": "ann", "info": { "name": "Ann" }, "subscribe": ["news"] });
    let (mut ann, connected) = connect(&server, &claims);
    assert_eq!(connected.get("expires"), None);
    ann.subscribe("news");
    ann.publish("news", json!(1));
    let who =
        json!({ "user": "ann", "client": connected["client"], "conn_info": { "name": "Ann" } });
    assert_eq!(
        ann.publication("news"),
        json!({ "data": 1, "offset": 1, "info": who })
    );
    let presence = ann.call("presence", json!({ "channel": "news" }));
    let client = connected["client"].as_str().unwrap();
    assert_eq!(presence["presence"], json!({ client: who }));
}

#[test]
fn a_token_comes_with_the_command_the_header_or_the_query() {
    let server = guarded("");
    let token = token(&json!({ "sub": "ann", "subscribe": ["news"] }));
    let address = server.addresses.public;
    let header = format!("Authorization: Bearer {token}");
    let query = format!("{PATH}?token={token}");
    let clients = [
        (Centrifuge::open(address), json!({ "token": token })),
        (Centrifuge::open_at(address, PATH, &[&header]), json!({})),
        (Centrifuge::open_at(address, &query, &[]), json!({})),
        // That of the command counts.
        (
            Centrifuge::open_at(address, &format!("{PATH}?token=bad"), &[]),
            json!({ "token": token }),
        ),
    ];
    for (mut client, members) in clients {
        client.call("connect", members);
        client.subscribe("news");
    }
}

#[test]
fn a_bad_token_closes_the_connection_for_good_and_an_expired_one_is_said_to_be_that() {
    let server = guarded("");
    let claims = json!({ "sub": "ann" });
    let good = token(&claims);
    let (head, _) = good.rsplit_once('.').unwrap();
    for bad in [
        "a.b.c".to_owned(),
        token_by(&claims, "another secret, which is as long as it must be"),
        format!("{head}."),
        token(&json!({ "sub": 1 })),
        token(&json!({ "sub": "ann", "channels": ["a\nb"] })),
    ] {
        let mut client = Centrifuge::open(server.addresses.public);
        client.command("connect", json!({ "token": bad }));
        let (code, reason) = client.closed();
        assert_eq!(code, 3500, "{bad}: {reason}");
    }
    let mut client = Centrifuge::open(server.addresses.public);
    let expired = token(&json!({ "sub": "ann", "exp": in_s(-60) }));
    let (code, _) = client.error("connect", json!({ "token": expired }));
    assert_eq!(code, 109);
    // It has nothing more to say.
    client.command("connect", json!({ "token": good }));
    assert_eq!(client.closed().0, 3501);
}

#[test]
fn without_a_token_there_is_what_is_for_anyone() {
    let server = guarded(
        "[[namespace]]\nchannels = \"open:*\"\nsubscribe = \"anyone\"\npublish = \"anyone\"\n\
         [[namespace]]\nchannels = \"quiet:*\"\nsubscribe = \"anyone\"\npublish = \"nobody\"\n",
    );
    let mut client = client(&server);
    client.subscribe("open:a");
    client.publish("open:a", json!(1));
    assert_eq!(client.publication("open:a")["data"], 1);
    client.subscribe("quiet:a");
    for (command, channel) in [
        ("publish", "quiet:a"),
        ("publish", "closed"),
        ("subscribe", "closed"),
        ("presence", "closed"),
        ("history", "closed"),
    ] {
        let (code, message) = client.error(command, json!({ "channel": channel, "data": 1 }));
        assert_eq!(code, 103, "{command} {channel}");
        assert!(message.starts_with("permission denied: "), "{message}");
    }
}

#[test]
fn a_tokens_patterns_say_what_its_user_may() {
    let server = guarded("");
    let claims = json!({ "sub": "ann", "subscribe": ["news:*", "chat"], "publish": ["chat"] });
    let (mut ann, _) = connect(&server, &claims);
    ann.subscribe("news:1");
    ann.subscribe("chat");
    ann.publish("chat", json!(1));
    assert_eq!(
        ann.error("publish", json!({ "channel": "news:1", "data": 1 }))
            .0,
        103
    );
    assert_eq!(ann.error("subscribe", json!({ "channel": "other" })).0, 103);
}

#[test]
fn a_subscription_token_lets_one_user_into_one_channel() {
    let server = guarded("[[namespace]]\nchannels = \"*\"\npublish = \"anyone\"\n");
    let (mut ann, connected) = connect(&server, &json!({ "sub": "ann" }));
    let own = connected["client"].clone();
    for (claims, code) in [
        (json!({ "sub": "ann", "channel": "other" }), 103),
        (json!({ "sub": "bob", "channel": "room" }), 103),
        (
            json!({ "sub": "ann", "channel": "room", "client": "another" }),
            103,
        ),
        (
            json!({ "sub": "ann", "channel": "room", "exp": in_s(-60) }),
            109,
        ),
        (json!({ "sub": "ann" }), 103),
    ] {
        let members = json!({ "channel": "room", "token": token(&claims) });
        assert_eq!(ann.error("subscribe", members).0, code, "{claims}");
    }
    assert_eq!(
        ann.error("subscribe", json!({ "channel": "room", "token": "a.b.c" }))
            .0,
        103
    );
    let claims = json!({ "sub": "ann", "channel": "room", "client": own, "info": { "seat": 7 } });
    let members = json!({ "channel": "room", "token": token(&claims) });
    assert_eq!(ann.call("subscribe", members), json!({}));
    ann.publish("room", json!(1));
    // Only in this channel it is that.
    assert_eq!(
        ann.publication("room")["info"]["chan_info"],
        json!({ "seat": 7 })
    );
    let members =
        json!({ "channel": "hall", "token": token(&json!({ "sub": "ann", "channel": "hall" })) });
    ann.call("subscribe", members);
    ann.publish("hall", json!(1));
    assert_eq!(ann.publication("hall")["info"].get("chan_info"), None);
}

const KEEPS: &str = "[[namespace]]\nchannels = \"kept:*\"\nhistory_size = 5\nhistory_ttl = \"10m\"\n\
     [[namespace]]\nchannels = \"last:*\"\ncache = true\n";

#[test]
fn the_server_subscribes_a_client_to_the_channels_of_its_token() {
    let server = guarded(KEEPS);
    let mut http = server.http();
    for number in 1..=3 {
        for channel in ["kept:a", "last:a", "plain"] {
            http.publish(channel, number.to_string());
        }
    }
    let claims = json!({
        "sub": "ann",
        "channels": ["kept:a", "plain", "plain"],
        "subs": { "last:a": {}, "kept:b": { "data": { "x": 1 } } },
    });
    let (mut ann, connected) = connect(&server, &claims);
    let subs = connected["subs"].as_object().unwrap();
    assert_eq!(subs.len(), 4, "{connected}");
    assert_eq!(subs["plain"], json!({}));
    assert_eq!(subs["last:a"], json!({}));
    assert_eq!(
        (&subs["kept:a"]["recoverable"], &subs["kept:a"]["offset"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(
        (&subs["kept:b"]["data"], &subs["kept:b"]["offset"]),
        (&json!({ "x": 1 }), &json!(0))
    );
    // The last value comes, and nothing else of what was.
    assert_eq!(ann.publication("last:a")["data"], 3);
    ann.assert_undisturbed();
    for channel in ["kept:a", "plain", "last:a", "kept:b"] {
        http.publish(channel, "4");
        assert_eq!(ann.publication(channel)["data"], 4);
    }
    assert_eq!(ann.error("subscribe", json!({ "channel": "plain" })).0, 105);

    // Back again, where it was and further on.
    let mut recover = json!({});
    for (channel, offset) in [("kept:a", 2), ("kept:b", 1), ("plain", 1), ("unknown", 0)] {
        let epoch = connected["subs"][channel]["epoch"].clone();
        recover[channel] = json!({ "recover": true, "offset": offset, "epoch": epoch });
    }
    let members = json!({ "token": token(&claims), "subs": recover });
    let (mut back, connected) = Centrifuge::connect_with(server.addresses.public, members);
    let subs = &connected["subs"];
    for (channel, offset) in [("kept:a", 2), ("kept:b", 1)] {
        assert_eq!(subs[channel]["was_recovering"], true, "{subs}");
        assert_eq!(subs[channel]["recovered"], true, "{subs}");
        assert_eq!(subs[channel]["offset"], offset, "{subs}");
    }
    assert_eq!(subs["plain"], json!({}));
    assert_eq!(subs.get("unknown"), None);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let push = back.push();
        numbers.push((
            push["channel"].as_str().unwrap().to_owned(),
            push["pub"]["data"].as_u64().unwrap(),
        ));
    }
    numbers.sort();
    let expected = [("kept:a", 3), ("kept:a", 4), ("last:a", 4)];
    assert_eq!(
        numbers,
        expected.map(|(channel, number)| (channel.to_owned(), number))
    );
    back.assert_undisturbed();
}

#[test]
fn what_a_server_side_subscription_has_missed_and_is_not_kept_is_told() {
    let server = guarded(KEEPS);
    let claims = json!({ "sub": "ann", "channels": ["kept:a"] });
    let (_, first) = connect(&server, &claims);
    let mut http = server.http();
    for number in 1..=8 {
        http.publish("kept:a", number.to_string());
    }
    for (epoch, offset) in [
        (first["subs"]["kept:a"]["epoch"].clone(), 1),
        (json!("_"), 0),
        (json!(""), 2),
    ] {
        let subs = json!({ "kept:a": { "recover": true, "offset": offset, "epoch": epoch } });
        let members = json!({ "token": token(&claims), "subs": subs });
        let (mut back, connected) = Centrifuge::connect_with(server.addresses.public, members);
        let sub = &connected["subs"]["kept:a"];
        assert_eq!(
            (&sub["was_recovering"], &sub["recovered"]),
            (&json!(true), &json!(false)),
            "{sub}"
        );
        assert_eq!(sub["offset"], 8, "{sub}");
        back.assert_undisturbed();
    }
}

#[test]
fn what_is_said_while_the_reply_to_connect_waits_for_channels_is_done_behind_it() {
    let server = guarded(KEEPS);
    for _ in 0..20 {
        let claims =
            json!({ "sub": "ann", "channels": ["kept:a", "kept:b", "kept:c"], "subscribe": ["*"] });
        let mut client = Centrifuge::open(server.addresses.public);
        client.say(&format!(
            "{}\n{}\n{}",
            json!({ "id": 1, "connect": { "token": token(&claims) } }),
            json!({ "id": 2, "subscribe": { "channel": "own" } }),
            json!({ "id": 3, "rpc": {} }),
        ));
        for id in 1..=3 {
            let crate::support::centrifuge::Heard::Said(said) = client.next() else {
                panic!("a reply");
            };
            // The subscription's reply may come from another shard.
            if id == 1 {
                assert_eq!(said["id"], 1, "{said}");
            }
        }
    }
}

#[test]
fn a_connection_ends_when_its_token_expires_unless_it_is_renewed() {
    let server = guarded("[centrifuge]\nexpired_ms = 0\n");
    let claims = |seconds| json!({ "sub": "ann", "exp": in_s(seconds), "subscribe": ["*"] });
    let (mut loyal, connected) = connect(&server, &claims(2));
    let (mut short, _) = connect(&server, &claims(2));
    assert_eq!(connected["expires"], true);
    assert!(connected["ttl"].as_u64().unwrap() <= 2, "{connected}");
    let (code, _) = loyal.error(
        "refresh",
        json!({ "token": token(&json!({ "sub": "ann", "exp": in_s(-60) })) }),
    );
    assert_eq!(code, 109);
    let refreshed = loyal.call("refresh", json!({ "token": token(&claims(600)) }));
    assert_eq!(refreshed["expires"], true);
    assert_eq!(refreshed["client"], connected["client"]);
    assert!(
        (590..=600).contains(&refreshed["ttl"].as_u64().unwrap()),
        "{refreshed}"
    );
    assert_eq!(short.closed(), (3005, "connection expired".to_owned()));
    loyal.subscribe("news");
    // Another user's token is none.
    let other = token(&json!({ "sub": "bob", "exp": in_s(600) }));
    loyal.command("refresh", json!({ "token": other }));
    assert_eq!(loyal.closed().0, 3500);
}

#[test]
fn a_renewed_token_that_does_not_expire_ends_the_waiting() {
    let server = guarded("[centrifuge]\nexpired_ms = 0\n");
    let (mut ann, _) = connect(&server, &json!({ "sub": "ann", "exp": in_s(2) }));
    let (mut witness, _) = connect(&server, &json!({ "sub": "ann", "exp": in_s(3) }));
    let refreshed = ann.call(
        "refresh",
        json!({ "token": token(&json!({ "sub": "ann" })) }),
    );
    assert_eq!(refreshed.get("expires"), None, "{refreshed}");
    assert_eq!(witness.closed().0, 3005);
    ann.assert_undisturbed();
}

#[test]
fn a_subscription_ends_when_its_token_expires_unless_it_is_renewed() {
    let server = guarded("[centrifuge]\nexpired_ms = 0\n");
    let (mut ann, _) = connect(&server, &json!({ "sub": "ann" }));
    let of = |channel: &str, seconds| {
        token(&json!({ "sub": "ann", "channel": channel, "exp": in_s(seconds) }))
    };
    for channel in ["loyal", "short"] {
        let subscribed = ann.call(
            "subscribe",
            json!({ "channel": channel, "token": of(channel, 2) }),
        );
        assert_eq!(subscribed["expires"], true, "{subscribed}");
        assert!(subscribed["ttl"].as_u64().unwrap() <= 2);
    }
    let (code, _) = ann.error(
        "sub_refresh",
        json!({ "channel": "loyal", "token": of("short", 600) }),
    );
    assert_eq!(code, 103);
    assert_eq!(
        ann.error("sub_refresh", json!({ "channel": "loyal" })).0,
        107
    );
    let refreshed = ann.call(
        "sub_refresh",
        json!({ "channel": "loyal", "token": of("loyal", 600) }),
    );
    assert_eq!(refreshed["expires"], true, "{refreshed}");
    let push = ann.push();
    assert_eq!(push["channel"], "short");
    assert_eq!(
        push["unsubscribe"],
        json!({ "code": 2501, "reason": "subscription expired" })
    );
    server.http().publish("short", "unheard");
    server.http().publish("loyal", "heard");
    assert_eq!(ann.publication("loyal")["data"], "heard");
    // It may come back with another token.
    ann.call(
        "subscribe",
        json!({ "channel": "short", "token": of("short", 600) }),
    );
}

#[test]
fn more_channels_than_a_connection_may_have_close_it() {
    let server = guarded("[limits]\nsubscriptions_max = 2\n");
    let mut client = Centrifuge::open(server.addresses.public);
    let claims = json!({ "sub": "ann", "channels": ["a", "b", "c"] });
    client.command("connect", json!({ "token": token(&claims) }));
    assert_eq!(client.closed().0, 3505);
}

#[test]
fn a_token_may_subscribe_to_a_pattern_of_names() {
    let server = guarded(
        "[[namespace]]\nchannels = \"*\"\nwildcards = true\nhistory_size = 5\nhistory_ttl = \"10m\"\n",
    );
    let claims = json!({ "sub": "ann", "channels": ["news.>"] });
    let subs = json!({ "news.>": { "recover": true, "offset": 1, "epoch": "1" } });
    let members = json!({ "token": token(&claims), "subs": subs });
    let (mut ann, connected) = Centrifuge::connect_with(server.addresses.public, members);
    assert_eq!(connected["subs"], json!({ "news.>": {} }));
    server.http().publish("news.a", "1");
    let publication = ann.publication("news.>");
    assert_eq!(publication, json!({ "data": 1, "channel": "news.a" }));
}

#[test]
fn what_is_published_behind_the_reply_to_connect_is_heard() {
    let server = guarded(KEEPS);
    let mut http = server.http();
    for n in 0..50 {
        let channels = ["plain", "kept:a", "last:a"].map(|name| format!("{name}{n}"));
        let (mut ann, _) = connect(&server, &json!({ "sub": "ann", "channels": channels }));
        for channel in &channels {
            http.publish(channel, "1");
        }
        let mut heard: Vec<String> = (0..3)
            .map(|_| ann.push()["channel"].as_str().unwrap().to_owned())
            .collect();
        heard.sort();
        let mut expected = channels.to_vec();
        expected.sort();
        assert_eq!(heard, expected);
    }
}

#[test]
fn a_server_with_as_many_channels_as_it_keeps_says_so_to_who_connects() {
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config(&format!(
            "{KEEPS}[limits]\nchannels_max = 1\n[auth]\nhmac_secret = \"{SECRET}\"\n"
        ))
    });
    let (mut first, _) = connect(&server, &json!({ "sub": "ann", "channels": ["plain"] }));
    for other in ["other", "kept:a"] {
        let mut second = Centrifuge::open(server.addresses.public);
        let claims = json!({ "sub": "bob", "channels": ["plain", other] });
        let (code, _) = second.error("connect", json!({ "token": token(&claims) }));
        assert_eq!(code, 106, "{other}");
        server.http().publish("plain", "1");
        assert_eq!(first.publication("plain")["data"], 1);
        // It is subscribed to nothing, and has nothing to say.
        second.say("{\"id\":2,\"rpc\":{}}");
        assert_eq!(second.closed().0, 3501);
    }
}
