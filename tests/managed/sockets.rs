//! Sockets that somebody else has opened.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Socket as RawSocket, Type};

use super::manager::Listening;
use crate::support::http::Http;
use crate::support::metrics::Metrics;
use crate::support::server::{Addresses, Options, Server};
use crate::support::wire::{Socket, handshake_lines, head};
use crate::support::{DEADLINE, Message};

const SHARDS: usize = 4;

fn listening() -> Arc<TcpListener> {
    Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
}

/// So many sockets with one address, as `ReusePort=yes` makes them.
fn sharing(count: usize) -> Vec<Arc<TcpListener>> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sockets = (0..count).map(|_| {
        let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        address = socket.local_addr().unwrap().as_socket().unwrap();
        socket.listen(64).unwrap();
        Arc::new(socket.into())
    });
    sockets.collect()
}

fn options(given: Vec<(&'static str, Arc<TcpListener>)>) -> Options {
    Options {
        // No addresses by flags.
        all_in_file: true,
        arguments: vec!["--shards".to_owned(), SHARDS.to_string()],
        given,
        ..Options::default()
    }
}

fn addresses(public: &TcpListener, internal: &TcpListener) -> Addresses {
    Addresses {
        public: public.local_addr().unwrap(),
        internal: internal.local_addr().unwrap(),
    }
}

fn shards_with_connections(http: &mut Http) -> HashSet<usize> {
    let metrics = Metrics::get(http);
    let has_some = |shard: &usize| {
        let label = format!("shard=\"{shard}\"");
        metrics.sum_where("connections_accepted_total", &label) > 0
    };
    (0..SHARDS).filter(has_some).collect()
}

#[test]
fn all_shards_accept_from_one_given_socket_and_it_outlives_the_server() {
    let (public, internal) = (listening(), listening());
    let addresses = addresses(&public, &internal);
    let given = vec![("public", public.clone()), ("internal", internal.clone())];
    let mut server = Server::start_at(addresses, options(given.clone()));
    let mut subscribers: Vec<Socket> = (0..64)
        .map(|_| Socket::open(addresses.public, "/sub/news"))
        .collect();
    let mut http = server.http();
    assert_eq!(shards_with_connections(&mut http).len(), SHARDS);
    http.publish("news", "to all");
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.message(), Message::text("to all"));
    }
    let accepted = public.local_addr().unwrap();
    assert_eq!(accepted, addresses.public, "the socket is whole");
    server.signal("TERM");
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.close_code(), 1001);
    }
    assert_eq!(server.wait_for_exit(DEADLINE).code(), Some(0));

    // Who comes while no server runs waits for the next one.
    let mut waiting = Socket::connect(addresses.public);
    waiting.send(&head(&handshake_lines("/sub/news")));
    let next = Server::start_at(addresses, options(given));
    assert_eq!(waiting.answer().status, 101);
    next.http().publish("news", "once more");
    assert_eq!(waiting.message(), Message::text("once more"));
}

#[test]
fn several_public_sockets_are_dealt_out_to_more_shards() {
    let public = sharing(2);
    let at = public[0].local_addr().unwrap();
    let given = public.into_iter().map(|socket| ("public", socket));
    let internal = crate::support::server::free_address();
    let mut options = options(given.collect());
    options
        .arguments
        .extend(["--internal".to_owned(), internal.to_string()]);
    let addresses = Addresses {
        public: at,
        internal,
    };
    let server = Server::start_at(addresses, options);
    let _subscribers: Vec<Socket> = (0..64).map(|_| Socket::open(at, "/sub/news")).collect();
    assert_eq!(shards_with_connections(&mut server.http()).len(), SHARDS);
}

#[test]
fn a_reload_keeps_given_addresses_and_says_nothing_of_them() {
    let (public, internal) = (listening(), listening());
    let addresses = addresses(&public, &internal);
    let given = vec![("public", public), ("internal", internal)];
    let server = Server::start_at(addresses, options(given));
    let answer = server.http().request("POST", "/api/reload", &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["result"]["kept"], serde_json::json!([]));
}

#[test]
fn a_live_upgrade_takes_given_sockets_over_and_is_a_reload_to_the_manager() {
    let manager = Listening::new();
    let (public, internal) = (listening(), listening());
    let addresses = addresses(&public, &internal);
    let given = vec![("public", public), ("internal", internal)];
    let mut options = options(given);
    options.environment = manager.variables(None);
    let server = Server::start_at(addresses, options);
    manager.wait_for_line("READY=1");
    let mut subscriber = Socket::open(addresses.public, "/sub/news");
    // The second time it is a program that was not given them itself.
    for round in 0..2 {
        server.signal("USR2");
        let reloading = manager.next_state();
        assert!(reloading.value("MONOTONIC_USEC").is_some(), "{reloading:?}");
        let ready = manager.next_state();
        assert!(ready.says("READY=1"), "{ready:?}");
        let mut late = Socket::open(addresses.public, "/sub/news");
        let text = format!("after upgrade {round}");
        server.http().publish("news", &text);
        for subscriber in [&mut subscriber, &mut late] {
            assert_eq!(subscriber.message(), Message::text(&text));
        }
        let answer = server.http().request("POST", "/api/reload", &[], b"");
        assert_eq!(
            answer.json()["result"]["kept"],
            serde_json::json!([]),
            "the addresses stay"
        );
        assert!(manager.next_state().says("RELOADING=1"));
        assert!(manager.next_state().says("READY=1"));
    }
    let output = server.output();
    let upgrades = output
        .iter()
        .filter(|line| line.contains("taken over from pushring"));
    assert_eq!(upgrades.count(), 2, "{output:#?}");
}

/// The one line with which it refuses to start.
fn refusal(mut options: Options, arguments: &[&str]) -> String {
    let more = arguments.iter().map(|&argument| argument.to_owned());
    options.arguments.extend(more);
    let mut server = Server::launch(Addresses::free(), options);
    assert_eq!(server.wait_for_exit(DEADLINE).code(), Some(2));
    let output = server.finished_output();
    let lines: Vec<&str> = output.lines().filter(|line| !line.is_empty()).collect();
    let [line] = lines[..] else {
        panic!("one line is expected: {lines:#?}");
    };
    assert!(line.starts_with("pushring: "), "{line}");
    line.to_owned()
}

#[test]
fn sockets_that_cannot_be_used_are_refused_with_one_line() {
    let line = refusal(options(vec![("pushring.socket", listening())]), &[]);
    assert!(
        line.contains("\"pushring.socket\": write FileDescriptorName=public"),
        "{line}"
    );

    let line = refusal(
        options(vec![("public", listening())]),
        &["--listen", "127.0.0.1:9"],
    );
    assert!(
        line.contains("--listen 127.0.0.1:9: systemd has opened a socket at"),
        "{line}"
    );

    let everywhere = Arc::new(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    let address = everywhere.local_addr().unwrap().to_string();
    let line = refusal(options(vec![("public", everywhere)]), &[]);
    assert!(
        line.contains(&address) && line.contains("insecure"),
        "{line}"
    );

    let apart = vec![("public", listening()), ("public", listening())];
    let line = refusal(options(apart), &[]);
    assert!(line.contains("ReusePort=yes"), "{line}");

    let mut one_shard = options(Vec::new());
    one_shard.arguments = vec!["--shards=1".to_owned()];
    one_shard.given = sharing(2).into_iter().map(|s| ("public", s)).collect();
    let line = refusal(one_shard, &[]);
    assert!(line.contains("set shards = 2"), "{line}");

    let mut misnamed = options(vec![("public", listening())]);
    misnamed.environment = vec![("LISTEN_FDNAMES".to_owned(), "public:internal".to_owned())];
    let line = refusal(misnamed, &[]);
    assert!(line.contains("LISTEN_FDNAMES"), "{line}");
}

#[test]
fn what_was_meant_for_another_process_is_left_alone() {
    let options = Options {
        environment: vec![
            ("LISTEN_PID".to_owned(), "1".to_owned()),
            ("LISTEN_FDS".to_owned(), "1".to_owned()),
            ("LISTEN_FDNAMES".to_owned(), "public".to_owned()),
        ],
        ..Options::default()
    };
    let server = Server::start(options);
    Socket::open(server.addresses.public, "/sub/news");
}
