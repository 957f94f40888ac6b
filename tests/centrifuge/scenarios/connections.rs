//! Connecting, staying and leaving.

use serde_json::json;

use super::clients::client::{Kind, Site};

pub fn a_client_is_told_who_it_is(kind: Kind) {
    let mut site = Site::start(kind);
    let first = site.connect("first")["client"].clone();
    let second = site.connect("second")["client"].clone();
    assert!(
        first.is_string() && second.is_string() && first != second,
        "{first} {second}"
    );
}

pub fn it_answers_the_servers_pings_and_stays(kind: Kind) {
    let mut site = Site::start_with(
        kind,
        "[timeouts]\nping_interval_ms = 100\npong_timeout_ms = 5000\n",
    );
    site.connect("loyal");
    site.subscribe("loyal", "news");
    let mut http = site.server.http();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while std::time::Instant::now() < until {
        http.publish("news", "1");
        site.data("loyal", "news");
    }
    let names = site.untaken("loyal");
    assert!(
        !names.iter().any(|name| name == "disconnected"),
        "{names:?}"
    );
    assert_eq!(names.iter().filter(|name| *name == "connecting").count(), 1);
}

pub fn it_leaves_and_comes_back(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect("one");
    site.subscribe("one", "news");
    for _ in 0..3 {
        site.tell("disconnect", "one", json!({}));
        assert_eq!(site.take("one", "disconnected")["code"], 0);
        site.tell("connect", "one", json!({}));
        site.take("one", "connected");
        site.take_of("one", "subscribed", "news");
        site.publish("one", "news", json!("back"));
        assert_eq!(site.data("one", "news"), "back");
    }
}
