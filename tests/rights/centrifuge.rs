//! Centrifugo's protocol, as far as tests/centrifuge does not have it.

use serde_json::json;

use super::{assert_counted, bad_tokens, guarded, may, wait_for_expired};
use crate::support::centrifuge::{Centrifuge, Heard, PATH};
use crate::support::server::{Options, Server};
use crate::support::token::{SECRET, taken_for_ms, token};

#[test]
fn a_token_that_lets_nobody_in_closes_the_connection_wherever_it_comes_from() {
    let server = guarded();
    let mut closed = 0;
    for (token, says) in bad_tokens() {
        let from_url = Centrifuge::open_at(
            server.addresses.public,
            &format!("{PATH}?token={token}"),
            &[],
        );
        let from_command = Centrifuge::open(server.addresses.public);
        for (mut client, command) in [
            (from_url, json!({})),
            (from_command, json!({ "token": token })),
        ] {
            let id = client.command("connect", command);
            if says == "has expired" {
                assert_eq!(client.reply(id)["error"]["code"], 109);
                continue;
            }
            let (code, reason) = client.closed();
            assert_eq!(code, 3500, "{says}: {reason}");
            assert!(reason.contains(says), "{says}: {reason}");
            closed += 1;
        }
    }
    assert_counted(&server, 0, closed);
}

#[test]
fn a_pattern_is_granted_by_a_pattern() {
    let server = guarded();
    let connect = |token: String| {
        Centrifuge::connect_with(server.addresses.public, json!({ "token": token })).0
    };
    let mut client = connect(may(&["prices.usd"], &[]));
    for channel in ["prices.*", "prices.>", ">", "*"] {
        let (code, _) = client.error("subscribe", json!({ "channel": channel }));
        assert_eq!(code, 103, "{channel}");
    }
    let mut client = connect(may(&["prices.*"], &[]));
    client.subscribe("prices.*");
    server.http().publish("prices.usd", "0.85");
    assert!(matches!(client.next(), Heard::Said(_)));
}

#[test]
fn a_connection_that_ends_with_its_token_is_counted() {
    let config = format!("[auth]\nhmac_secret = \"{SECRET}\"\n[centrifuge]\nexpired_ms = 0\n");
    let server = Server::start(Options::with_config(&config));
    // It is let in for a little longer than it is valid; here it ends as soon as that is over.
    let exp = taken_for_ms(4_000);
    let token = token(&json!({ "sub": "ann", "exp": exp }));
    let (mut client, _) =
        Centrifuge::connect_with(server.addresses.public, json!({ "token": token }));
    assert_eq!(client.closed().0, 3005);
    wait_for_expired(&server, 1);
}

#[test]
fn where_no_tokens_are_taken_a_token_of_the_request_is_somebody_elses() {
    let server = Server::start(Options::default());
    let mut client = Centrifuge::open_at(
        server.addresses.public,
        &format!("{PATH}?token=%zz"),
        &["Authorization: Bearer of-a-proxy"],
    );
    client.call("connect", json!({}));
    client.subscribe("news");
}
