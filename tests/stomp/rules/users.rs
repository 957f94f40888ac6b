//! `/user/…`: what reaches the connections of one user.

use crate::support::server::Server;
use crate::support::stomp::Stomp;
use crate::{assert_error, client, server};

fn client_of(server: &Server, login: &str) -> Stomp {
    let lines = format!("login:{login}\npasscode:any\n");
    Stomp::connect_with(server.addresses.public, "1.2", &lines).0
}

#[test]
fn what_is_sent_to_a_user_reaches_all_of_that_users_connections_alone() {
    let server = server();
    let mut of_ann = [client_of(&server, "ann"), client_of(&server, "ann")];
    let mut of_bob = client_of(&server, "bob");
    for stomp in of_ann.iter_mut().chain([&mut of_bob]) {
        stomp.subscribe("0", "/user/queue/news", "");
    }
    let mut sender = client(&server);
    sender.publish("/user/ann/queue/news", "for ann");
    sender.publish("/user/bob/queue/news", "for bob");
    for stomp in &mut of_ann {
        let message = stomp.message();
        assert_eq!(message.text(), "for ann");
        assert_eq!(message.must("subscription"), "0");
        stomp.assert_undisturbed();
    }
    assert_eq!(of_bob.message().text(), "for bob");
    of_bob.assert_undisturbed();
}

#[test]
fn a_user_destination_may_be_acknowledged() {
    let server = server();
    let mut ann = client_of(&server, "ann");
    ann.subscribe("0", "/user/news", "ack:client\nprefetch-count:1\n");
    let mut sender = client(&server);
    sender.publish("/user/ann/news", "1");
    sender.publish("/user/ann/news", "2");
    let first = ann.message();
    ann.assert_undisturbed();
    ann.send(&format!("ACK\nid:{}\n\n", first.must("ack")));
    assert_eq!(ann.message().text(), "2");
}

#[test]
fn a_user_destination_without_a_login_is_an_error() {
    let server = server();
    for lines in ["", "login:\n"] {
        let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", lines).0;
        stomp.send("SUBSCRIBE\nid:0\ndestination:/user/news\nreceipt:7\n\n");
        let (error, code) = stomp.error();
        assert_error(&error, &["/user/news"], Some("7"));
        assert!(error.text().contains("login"), "{error:?}");
        assert_eq!(code, 1002);
    }
}

#[test]
fn no_other_destination_reaches_a_users() {
    let server = server();
    let mut ann = client_of(&server, "ann");
    ann.subscribe("0", "/user/news", "");
    let mut sender = client(&server);
    for destination in [
        "/topic/news",
        "/topic/ann/news",
        "/topic//user/ann/news",
        "/topic/user/ann/news",
        "/queue/user/ann/news",
        "/user/ann/news/more",
        "/user/an/n/news",
    ] {
        sender.publish(destination, "not for ann");
    }
    server.http().publish("%2Fuser%2Fann%2Fnews", "not for ann");
    sender.publish("/user/ann/news", "for ann");
    assert_eq!(ann.message().text(), "for ann");
}

#[test]
fn users_whose_names_run_into_their_destinations_are_kept_apart() {
    let server = server();
    let mut one = client_of(&server, "ann");
    one.subscribe("0", "/user/b/c", "");
    let mut other = client_of(&server, "ann/b");
    other.subscribe("0", "/user/c", "");
    let mut sender = client(&server);
    sender.publish("/user/ann/b/c", "for the one");
    assert_eq!(one.message().text(), "for the one");
    other.assert_undisturbed();
}
