//! After a loss everything works again.

use serde_json::json;

use super::clients::client::{Kind, Site};
use crate::support::DEADLINE;
use crate::support::server::Server;

pub fn to_a_server_that_was_restarted(kind: Kind) {
    let mut site = Site::start(kind);
    begin(&mut site);
    for _ in 0..2 {
        let (addresses, options) = (site.server.addresses, site.server.options.clone());
        site.server.kill();
        site.take("loyal", "connecting");
        site.server = Server::start_at(addresses, options);
        assert_all_works_again(&mut site);
    }
}

/// SIGTERM: the server says goodbye before it ends.
pub fn to_the_successor_of_a_drained_server(kind: Kind) {
    let mut site = Site::start_with(kind, "[timeouts]\ndrain_ms = 100\n");
    begin(&mut site);
    let (addresses, options) = (site.server.addresses, site.server.options.clone());
    site.server.signal("TERM");
    let connecting = site.take("loyal", "connecting");
    assert_eq!(connecting["code"], 3001, "{connecting}");
    assert_eq!(connecting["reason"], "shutdown");
    site.server.wait_for_exit(DEADLINE);
    site.server = Server::start_at(addresses, options);
    assert_all_works_again(&mut site);
}

pub fn after_the_connection_was_cut(kind: Kind) {
    let mut site = Site::start(kind);
    begin(&mut site);
    for _ in 0..3 {
        site.tell("cut", "loyal", json!({}));
        site.take("loyal", "connecting");
        assert_all_works_again(&mut site);
    }
}

fn begin(site: &mut Site) {
    site.connect("loyal");
    site.take("loyal", "connecting");
    site.subscribe("loyal", "news");
    site.take("loyal", "subscribing");
    site.publish("loyal", "news", json!("first"));
    assert_eq!(site.data("loyal", "news"), "first");
}

fn assert_all_works_again(site: &mut Site) {
    site.take("loyal", "connected");
    site.take_of("loyal", "subscribed", "news");
    site.publish("loyal", "news", json!("again"));
    assert_eq!(site.data("loyal", "news"), "again");
}
