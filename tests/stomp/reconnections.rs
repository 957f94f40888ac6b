//! After a loss everything works again.

use crate::support::DEADLINE;
use crate::support::server::Server;

use super::client::{Client, Kind, Options};
use super::site::Site;

const TOPIC: &str = "/topic/back";
const QUEUE: &str = "/queue/back";

fn options() -> Options {
    Options {
        reconnect_ms: Some(100),
        ..Options::default()
    }
}

pub fn to_a_server_that_was_restarted(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect_with("loyal", &options());
    assert_all_works(&mut site.client, "loyal");
    for _ in 0..2 {
        let (addresses, server_options) = (site.server.addresses, site.server.options.clone());
        site.server.kill();
        let code = site.client.closed("loyal");
        assert_eq!(code, 1006);
        site.server = Server::start_at(addresses, server_options);
        site.client.reconnect("loyal");
        assert_all_works(&mut site.client, "loyal");
    }
}

/// SIGTERM: the server says goodbye before it ends.
pub fn to_the_successor_of_a_drained_server(kind: Kind) {
    let mut site = Site::start_with(kind, "[timeouts]\ndrain_ms = 100\n");
    site.connect_with("loyal", &options());
    let (addresses, server_options) = (site.server.addresses, site.server.options.clone());
    site.server.signal("TERM");
    let error = site.client.error("loyal");
    assert!(error.headers.contains_key("message"), "{error:?}");
    assert_eq!(site.client.closed("loyal"), 1001, "{error:?}");
    site.server.wait_for_exit(DEADLINE);
    site.server = Server::start_at(addresses, server_options);
    site.client.reconnect("loyal");
    assert_all_works(&mut site.client, "loyal");
}

pub fn after_the_connection_was_cut(kind: Kind) {
    let mut site = Site::start(kind);
    site.connect_with("loyal", &options());
    for _ in 0..3 {
        assert_all_works(&mut site.client, "loyal");
        site.client.cut("loyal");
        site.client.closed("loyal");
        site.client.reconnect("loyal");
    }
    assert_all_works(&mut site.client, "loyal");
}

fn assert_all_works(client: &mut Client, id: &str) {
    client.subscribe(id, "t", TOPIC, &[]);
    client.send(id, TOPIC, "to all");
    assert_eq!(client.message_of(id, "t").text(), "to all");
    client.subscribe(id, "q", QUEUE, &[("ack", "client")]);
    client.begin(id, "tx", None);
    client.send_with(id, QUEUE, "to one", &[("transaction", "tx")]);
    client.commit(id, "tx", None);
    let message = client.message_of(id, "q");
    assert_eq!(message.text(), "to one");
    client.ack(id, &message, &[("receipt", "r")]);
    client.receipt(id, "r");
}
