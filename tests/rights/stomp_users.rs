//! STOMP: `/user/…` is the user's whom a token has proven.

use serde_json::json;

use super::stomp::{assert_error, client};
use super::{assert_counted, guarded, may};
use crate::support::stomp::Stomp;
use crate::support::token::token;

#[test]
fn a_login_alone_is_nobody() {
    let server = guarded();
    let (mut stomp, connected) = Stomp::connect_with(server.addresses.public, "1.2", "login:ann\n");
    assert_eq!(connected.header("user-name"), None, "{connected:?}");
    stomp.send("SUBSCRIBE\nid:0\ndestination:/user/news\nreceipt:r\n\n");
    let error = assert_error(&mut stomp, &["/user/news"], Some("r"), 1008);
    assert!(error.text().contains("token"), "{error:?}");
    // Nor is one who has not signed in.
    let mut stomp = client(&server, &token(&json!({ "sub": "", "subscribe": ["*"] })));
    stomp.send("SUBSCRIBE\nid:0\ndestination:/user/news\nreceipt:r\n\n");
    assert_error(&mut stomp, &["/user/news"], Some("r"), 1008);
    assert_counted(&server, 0, 2);
}

#[test]
fn a_user_hears_what_is_sent_to_that_user_and_nothing_else_whatever_the_token_grants() {
    let server = guarded();
    let of = |user: &str| token(&json!({ "sub": user, "subscribe": ["*"], "publish": ["*"] }));
    let mut ann = client(&server, &token(&json!({ "sub": "ann" })));
    let mut bob = client(&server, &of("bob"));
    let mut sly = client(&server, &of("bob"));
    ann.subscribe("0", "/user/news", "");
    bob.subscribe("0", "/user/news", "");
    // What looks like ann's is a destination of bob's own.
    sly.subscribe("0", "/user/ann/news", "");
    sly.subscribe("1", "/topic/>", "");
    sly.subscribe("2", "/topic/user/ann/news", "");
    for user in ["ann", "bob"] {
        bob.publish_among(&format!("/user/{user}/news"), &format!("for {user}"));
    }
    assert_eq!(ann.message().text(), "for ann");
    ann.assert_undisturbed();
    assert_eq!(bob.message().text(), "for bob");
    sly.assert_undisturbed();
    // A token for a channel is none for a user's.
    let own = token(&json!({ "sub": "ann", "channel": "news" }));
    ann.send(&format!(
        "SUBSCRIBE\nid:1\ndestination:/user/more\ntoken:{own}\nreceipt:r\n\n"
    ));
    assert_error(&mut ann, &["/user/ann/more"], Some("r"), 1008);
}

#[test]
fn only_who_may_publish_everywhere_may_send_to_users() {
    let server = guarded();
    for publish in ["user:*", "news", "/user/*", "bob*"] {
        let mut stomp = client(&server, &may(&[], &[publish]));
        stomp.send("SEND\ndestination:/user/bob/news\nreceipt:r\n\nhello");
        assert_error(&mut stomp, &["/user/bob/news"], Some("r"), 1008);
    }
    let mut stomp = client(&server, &may(&[], &["*"]));
    stomp.publish("/user/bob/news", "hello");
}
