//! Starting, stopping, crashing and running out of things: the whole server as its operator meets it.

#![forbid(unsafe_code)]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket as RawSocket, Type};

use support::Message;
use support::client::{Client, KINDS, Kind};
use support::fanout::{Subscribers, assert_same, settle};
use support::http::Http;
use support::metrics::Metrics;
use support::server::{Addresses, Options, Server, free_address};
use support::wire::{Said, Socket, handshake_lines, head};

/// What an orderly end may take beside the time that the drain is set to.
const EXIT_AT_MOST: Duration = Duration::from_secs(10);

fn every_client_sees_1001_and_the_server_exits_0(signal: &str) {
    let mut server = Server::start(Options::with_config("[timeouts]\ndrain_ms = 500\n"));
    let mut publisher = server.http();
    let mut groups = KINDS.map(|kind| Subscribers::open(Client::start(kind), &server, "last", 20));
    settle(&mut publisher, "last", &mut groups);
    let mut publishers = KINDS.map(Client::start);
    for client in &mut publishers {
        client.open("publisher", &server.url("/pub/last"));
    }
    let last: Vec<Message> = (0..50)
        .map(|i| Message::text(&format!("last {i}")))
        .collect();
    for i in 0..50 {
        publisher.publish("last", format!("last {i}"));
    }

    server.signal(signal);

    for group in &mut groups {
        for id in &group.ids {
            let (messages, code, _) = group.client.until_closed(id);
            assert_same("what was published before is flushed", &messages, &last);
            assert_eq!(code, 1001, "{:?} {id}", group.client.kind);
        }
    }
    for client in &mut publishers {
        assert_eq!(
            client.until_closed("publisher").1,
            1001,
            "{:?} publisher",
            client.kind
        );
    }
    assert_eq!(server.wait_for_exit(EXIT_AT_MOST).code(), Some(0));
}

#[test]
fn on_sigterm_every_client_sees_1001_and_the_server_exits_0() {
    every_client_sees_1001_and_the_server_exits_0("TERM");
}

#[test]
fn on_sigint_every_client_sees_1001_and_the_server_exits_0() {
    every_client_sees_1001_and_the_server_exits_0("INT");
}

#[test]
fn without_connections_sigterm_ends_the_server_without_a_wait() {
    let mut server = Server::start(Options::with_config("[timeouts]\ndrain_ms = 600_000\n"));
    server.signal("TERM");
    assert_eq!(server.wait_for_exit(EXIT_AT_MOST).code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let mut server = Server::start(Options::with_config(
        "[timeouts]\ndrain_ms = 600_000\nlinger_ms = 60_000\n",
    ));
    let mut sockets: Vec<Socket> = (0..20)
        .map(|_| Socket::open(server.addresses.public, "/sub/slow-drain"))
        .collect();

    server.signal("TERM");
    let draining = Instant::now();
    while TcpStream::connect(server.addresses.public).is_ok() {
        assert!(draining.elapsed() < EXIT_AT_MOST, "it still accepts");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.exit_status(), None, "the drain takes ten minutes");

    server.signal("TERM");
    server.wait_for_exit(Duration::from_secs(2));
    // None is left hanging: the kernel has ended what the server had not.
    for socket in &mut sockets {
        while socket.next() != Said::End {}
    }
}

#[test]
fn after_kill_9_in_the_middle_of_load_a_restart_serves_within_6_seconds() {
    let mut server = Server::start(Options::default());
    let addresses = server.addresses;
    let mut groups = KINDS.map(|kind| Subscribers::open(Client::start(kind), &server, "load", 20));
    settle(&mut server.http(), "load", &mut groups);

    let killed = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = server_http(addresses);
            let failed = (0..u64::MAX).find_map(|i| {
                publisher
                    .try_request("POST", "/pub/load", &[], i.to_string().as_bytes())
                    .err()
            });
            assert!(
                killed.load(Ordering::Acquire),
                "publishing failed before the kill: {failed:?}"
            );
        });
        for group in &mut groups {
            for id in &group.ids {
                group.client.messages(id, 100);
            }
        }
        killed.store(true, Ordering::Release);
        server.kill();
    });

    let began = Instant::now();
    let server = Server::start_at(addresses, Options::default());
    let mut again = KINDS.map(|kind| Subscribers::open(Client::start(kind), &server, "load", 20));
    settle(&mut server.http(), "load", &mut again);
    let took = began.elapsed();
    assert!(
        took <= Duration::from_secs(6),
        "served again after {took:?}"
    );

    for group in &mut groups {
        for id in &group.ids {
            let (received, code, _) = group.client.until_closed(id);
            assert_eq!(code, 1006, "the killed server could not say goodbye");
            let Some(Message::Text(first)) = received.first() else {
                continue;
            };
            let first: u64 = first.parse().unwrap();
            let expected: Vec<Message> = (first..)
                .take(received.len())
                .map(|i| Message::text(&i.to_string()))
                .collect();
            assert_same("in order up to the kill", &received, &expected);
        }
    }
}

fn server_http(addresses: Addresses) -> Http {
    Http::connect(addresses.internal)
}

/// Launches a server that cannot start, and returns its complaint: one line, after the one that says it tries again.
fn refused_start(addresses: Addresses, options: Options, within: Duration) -> String {
    let began = Instant::now();
    let mut server = Server::launch(addresses, options);
    let status = server.wait_for_exit(within + EXIT_AT_MOST);
    let took = began.elapsed();
    let output = server.finished_output();
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(took <= within, "it took {took:?}: {output}");
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains("trying again"))
        .collect();
    assert_eq!(lines.len(), 1, "one line says what is wrong: {output}");
    lines[0].to_owned()
}

#[test]
fn an_address_that_another_program_has_is_one_line_and_exit_code_2() {
    for taken_is_public in [true, false] {
        let other_program = TcpListener::bind(free_address()).unwrap();
        let taken = other_program.local_addr().unwrap();
        let free = Addresses::free();
        let addresses = match taken_is_public {
            true => Addresses {
                public: taken,
                ..free
            },
            false => Addresses {
                internal: taken,
                ..free
            },
        };
        let complaint = refused_start(addresses, Options::default(), Duration::from_secs(8));
        assert!(complaint.contains(&taken.to_string()), "{complaint}");
        assert!(complaint.contains("in use"), "{complaint}");
    }
}

#[test]
fn an_address_that_becomes_free_in_time_is_taken() {
    let other_program = TcpListener::bind(free_address()).unwrap();
    let addresses = Addresses {
        public: other_program.local_addr().unwrap(),
        ..Addresses::free()
    };
    let mut server = Server::launch(addresses, Options::default());
    let began = Instant::now();
    while !server
        .output()
        .iter()
        .any(|line| line.contains("trying again"))
    {
        assert!(
            began.elapsed() < EXIT_AT_MOST,
            "it does not say that it tries again"
        );
        thread::sleep(Duration::from_millis(5));
    }
    drop(other_program);
    server.wait_until_ready();
    Socket::open(addresses.public, "/sub/news");
}

#[test]
fn a_listener_that_others_reach_needs_insecure() {
    let free = Addresses::free();
    let reachable = |address: SocketAddr| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    for addresses in [
        Addresses {
            public: reachable(free.public),
            ..free
        },
        Addresses {
            internal: reachable(free.internal),
            ..free
        },
    ] {
        let complaint = refused_start(addresses, Options::default(), Duration::from_secs(2));
        assert!(
            complaint.contains("insecure"),
            "the cure is named: {complaint}"
        );
        assert!(
            complaint.contains("0.0.0.0"),
            "the address is named: {complaint}"
        );
    }
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_code_2() {
    for (config, named) in [
        ("[limits]\nmesage_bytes_max = 1\n", "message_bytes_max"),
        ("[timeouts]\ndrain_ms = 0\n", "drain_ms"),
        ("not toml", "toml"),
        (
            "[origins]\nallowed = [\"example.com/path\"]\n",
            "example.com/path",
        ),
    ] {
        let complaint = refused_start(
            Addresses::free(),
            Options::with_config(config),
            Duration::from_secs(2),
        );
        assert!(
            complaint.to_lowercase().contains(named),
            "{config}: {complaint}"
        );
    }
}

#[test]
fn without_file_descriptors_the_open_connections_are_served_and_accepting_resumes() {
    const SOCKETS: usize = 100;
    let server = Server::start(Options {
        shards: 1,
        open_files_max: Some(64),
        ..Options::default()
    });
    // For another one there may be no descriptor later. An answer shows that it is accepted, not only connected: were it still
    // in the kernel's queue, the crowd could take the last descriptor from it.
    let mut http = server.http();
    http.get("/health");
    let said_at_start = server.output().len();

    // All of them connect, since the kernel keeps those that wait; on one shard they are accepted in this order.
    let mut sockets: Vec<Socket> = (0..SOCKETS)
        .map(|_| Socket::connect(server.addresses.public))
        .collect();
    for socket in &mut sockets {
        socket.send(&head(&handshake_lines("/sub/crowded")));
    }
    // It has tried again several times, so that a line each time would show.
    let metrics = Metrics::wait(&mut http, "accepting rests", |m| {
        m.sum_where("accept_pauses_total", "files") >= 3
    });
    let served = metrics.sum("handshakes_total") as usize;
    assert!((10..64).contains(&served), "{metrics:?}");
    for socket in &mut sockets[..served] {
        assert_eq!(socket.answer().status, 101);
    }
    http.publish("crowded", "to those inside");
    for socket in &mut sockets[..served] {
        assert_eq!(socket.message(), Message::text("to those inside"));
    }
    let said: Vec<String> = server.output().split_off(said_at_start);
    let about_files = said
        .iter()
        .filter(|line| line.contains("file descriptor"))
        .count();
    assert_eq!(about_files, 1, "one line in the log: {said:?}");

    // As many as leave are let in.
    const LEAVING: usize = 8;
    sockets.drain(..LEAVING);
    Metrics::wait(&mut http, "accepting resumes", |m| {
        m.sum("handshakes_total") as usize == served + LEAVING
    });
    for socket in &mut sockets[served - LEAVING..served] {
        assert_eq!(socket.answer().status, 101);
    }
    http.publish("crowded", "to the new ones too");
    for socket in &mut sockets[..served] {
        assert_eq!(socket.message(), Message::text("to the new ones too"));
    }
}

#[test]
fn connections_of_one_address_beyond_the_limit_get_429_and_other_addresses_are_served() {
    let server = Server::start(Options {
        shards: 1,
        ..Options::with_config("[limits]\nconnections_per_peer_max = 2\n")
    });
    let connect_from = |last: u8| {
        let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())
            .unwrap();
        socket.connect(&server.addresses.public.into()).unwrap();
        let mut socket = Socket::over(socket.into());
        socket.send(&head(&handshake_lines("/sub/peers")));
        let status = socket.answer().status;
        (socket, status)
    };
    let (first, first_status) = connect_from(2);
    let (_second, second_status) = connect_from(2);
    let (mut third, third_status) = connect_from(2);
    let (_other, other_status) = connect_from(3);
    assert_eq!(
        [first_status, second_status, third_status, other_status],
        [101, 101, 429, 101]
    );
    assert!(third.is_ended(), "who is refused is disconnected");

    drop(first);
    Metrics::wait(&mut server.http(), "one of three has left", |m| {
        m.sum("connections") == 2
    });
    assert_eq!(connect_from(2).1, 101);
}

#[test]
fn vanished_clients_leave_nothing_behind() {
    let server = Server::start(Options::default());
    let mut http = server.http();
    for kind in KINDS {
        let mut subscribers = Subscribers::open(Client::start(kind), &server, "gone", 30);
        settle(&mut http, "gone", std::slice::from_mut(&mut subscribers));
        // The program is killed: no close frames.
        drop(subscribers);
    }
    let left = Metrics::wait(&mut http, "all connections are gone", |m| {
        m.sum("connections") == 0
    });
    for family in [
        "subscriptions",
        "lanes",
        "backlog_bytes",
        "backlogged_connections",
    ] {
        assert_eq!(left.sum(family), 0, "{family}: {left:?}");
    }
    let mut after = Subscribers::open(Client::start(Kind::Node), &server, "gone", 1);
    settle(&mut http, "gone", std::slice::from_mut(&mut after));
}
