//! The process stays what it was: its id, its files, no children.

use crate::support::Message;
use crate::support::server::Options;
use crate::support::wire::Socket;
use crate::upgrading::Upgrading;

#[test]
fn twenty_upgrades_later_it_is_the_same_process_with_as_many_files_and_no_children() {
    let mut upgrading = Upgrading::start(Options::default());
    let mut subscriber = Socket::open(upgrading.server.addresses.public, "/sub/news");
    let mut http = upgrading.server.http();
    http.publish("news", "0");
    assert_eq!(subscriber.message(), Message::text("0"));
    upgrading.must_upgrade();
    upgrading.wait_until_childless();
    let (id, files) = (upgrading.server.id(), upgrading.open_files());
    for number in 1..20 {
        upgrading.must_upgrade();
        http.publish("news", number.to_string());
        assert_eq!(subscriber.message(), Message::text(&number.to_string()));
    }
    upgrading.wait_until_childless();
    assert_eq!((upgrading.server.id(), upgrading.open_files()), (id, files));
    assert_eq!(upgrading.server.exit_status(), None);
}
