//! What is refused.

use serde_json::json;

use super::clients::client::{Kind, Site};
use crate::support::token::SECRET;

pub fn what_there_is_not_is_an_error(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("one");
    let channel = json!({ "channel": "news" });
    let rpc = json!({ "method": "fly", "data": {} });
    assert_eq!(site.refused("rpc", "one", rpc), 104);
    assert_eq!(site.refused("presence", "one", channel.clone()), 108);
    assert_eq!(site.refused("presence_stats", "one", channel), 108);
    let history = json!({ "channel": "news", "options": { "limit": 10 } });
    assert_eq!(site.refused("history", "one", history), 108);
    let bad = json!({ "channel": "a\nb", "data": 1 });
    assert_eq!(site.refused("publish", "one", bad), 107);
    // It goes on all the same.
    site.subscribe("one", "news");
    site.publish("one", "news", json!(1));
    assert_eq!(site.data("one", "news"), 1);
}

pub fn a_terminal_code_keeps_it_from_coming_back(kind: Kind) {
    let mut site = Site::start_with(kind, &format!("[auth]\nhmac_secret = \"{SECRET}\"\n"));
    site.begin_connect("one", json!({ "tokens": ["a.b.c"] }));
    let disconnected = site.take("one", "disconnected");
    assert_eq!(disconnected["code"], 3500, "{disconnected}");
    let reason = disconnected["reason"].as_str().unwrap();
    assert!(reason.starts_with("invalid token: "), "{reason}");
    // Another one connects meanwhile.
    site.connect("two");
    let names = site.untaken("one");
    assert_eq!(names, ["connecting"], "once, and never again");
}
