//! Ready, reloading, ending, and what `systemctl status` shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::manager::{Listening, Told};
use crate::support::server::{Addresses, Options, Server};
use crate::support::wire::{Said, Socket};
use crate::support::{DEADLINE, Message};

fn launch(manager: &Listening, config: &str) -> Server {
    let options = Options {
        environment: manager.variables(None),
        ..Options::with_config(config)
    };
    Server::launch(Addresses::free(), options)
}

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000
}

#[test]
fn ready_is_said_when_clients_can_connect_and_once() {
    let manager = Listening::new();
    let server = launch(&manager, "");
    let first = manager.next_state();
    assert!(first.says("READY=1"), "{first:?}");
    let mut subscriber = Socket::open(server.addresses.public, "/sub/news");
    server.http().publish("news", "hello");
    assert_eq!(subscriber.message(), Message::text("hello"));
    server.signal("TERM");
    let next = manager.next_state();
    assert!(next.says("STOPPING=1"), "{next:?}");
}

#[test]
fn the_status_shows_what_the_server_does() {
    let manager = Listening::new();
    let server = launch(&manager, "");
    manager.wait_for_line("READY=1");
    let _subscribers = [(); 3].map(|()| Socket::open(server.addresses.public, "/sub/news"));
    let mut http = server.http();
    let status = |told: &Told| told.value("STATUS").unwrap_or_default().to_owned();
    manager.wait_for("3 connections", |told| {
        status(told).starts_with("3 connections, 0 deliveries/s, 2 shards, 0 slow consumers")
    });
    for _ in 0..10 {
        http.publish("news", "hello");
    }
    manager.wait_for("deliveries", |told| {
        let status = status(told);
        status.starts_with("3 connections, ") && !status.contains(" 0 deliveries/s")
    });
}

/// A configuration file of its own, gone at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("managed-{name}-{}.toml", std::process::id());
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::write(&file.0, text).unwrap();
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_reload_is_announced_with_the_time_and_ends_with_ready_also_when_the_file_is_bad() {
    let manager = Listening::new();
    let file = File::new("reload", "");
    let options = Options {
        environment: manager.variables(None),
        arguments: vec!["--config".to_owned(), file.0.to_str().unwrap().to_owned()],
        ..Options::default()
    };
    let server = Server::launch(Addresses::free(), options);
    manager.wait_for_line("READY=1");
    let reload = |ask: &dyn Fn()| {
        let asked = monotonic_us();
        ask();
        let reloading = manager.next_state();
        assert!(reloading.says("RELOADING=1"), "{reloading:?}");
        let said: i64 = reloading.value("MONOTONIC_USEC").unwrap().parse().unwrap();
        assert!((asked..=monotonic_us()).contains(&said), "{said}");
        let ready = manager.next_state();
        assert!(ready.says("READY=1"), "{ready:?}");
        ready.value("STATUS").unwrap_or_default().to_owned()
    };
    let hang_up = || server.signal("HUP");
    let call = || {
        server.http().request("POST", "/api/reload", &[], b"");
    };

    fs::write(&file.0, "limits.subscriptions_max = 2\n").unwrap();
    let status = reload(&hang_up);
    assert!(!status.contains("nothing"), "{status}");
    let mut greedy = Socket::open(
        server.addresses.public,
        "/sub?channel=a&channel=b&channel=c",
    );
    assert_eq!(greedy.close_code(), 1008, "when it is ready, others hold");

    fs::write(&file.0, "limits.subscriptions_max = 5\nech = true\n").unwrap();
    for (ask, by) in [
        (&hang_up as &dyn Fn(), "SIGHUP"),
        (&call, "POST /api/reload"),
    ] {
        let status = reload(ask);
        assert!(
            status.starts_with(&format!("{by} has changed nothing: ")),
            "{status}"
        );
        assert!(status.contains(":2: there is no setting ech"), "{status}");
    }
    // It stays in sight until it has been mended.
    manager.wait_for("figures behind it", |told| {
        let status = told.value("STATUS").unwrap_or_default();
        status.contains("there is no setting ech") && status.contains(" connections, ")
    });
    let mut greedy = Socket::open(
        server.addresses.public,
        "/sub?channel=a&channel=b&channel=c",
    );
    assert_eq!(greedy.close_code(), 1008, "the old ones hold");
    fs::write(&file.0, "limits.subscriptions_max = 5\n").unwrap();
    let status = reload(&call);
    assert!(!status.contains("nothing"), "{status}");
}

fn answers_ready(server: &Server) -> bool {
    match server.http().get("/ready").status {
        200 => true,
        503 => false,
        other => panic!("/ready answers {other}"),
    }
}

#[test]
fn for_its_delay_ready_fails_and_everything_else_goes_on() {
    let manager = Listening::new();
    let mut server = launch(&manager, "timeouts.ready_delay_ms = 600_000\n");
    manager.wait_for_line("READY=1");
    assert!(answers_ready(&server));
    let mut before = Socket::open(server.addresses.public, "/sub/news");
    server.signal("TERM");
    let stopping = manager.next_state();
    assert!(stopping.says("STOPPING=1"), "{stopping:?}");
    // The delay, the drain's 5 s, the linger's 1 s and what the process needs to end.
    let extended = stopping.value("EXTEND_TIMEOUT_USEC");
    assert_eq!(extended, Some("611000000"));
    assert!(
        stopping
            .value("STATUS")
            .unwrap()
            .starts_with("SIGTERM: closing all connections")
    );
    let until = Instant::now() + DEADLINE;
    while answers_ready(&server) {
        assert!(Instant::now() < until, "/ready still answers 200");
    }
    let mut late = Socket::open(server.addresses.public, "/sub/news");
    server.http().publish("news", "still here");
    for subscriber in [&mut before, &mut late] {
        assert_eq!(subscriber.message(), Message::text("still here"));
    }
    server.signal("TERM");
    let status = server.wait_for_exit(DEADLINE);
    assert_eq!(status.code(), Some(1), "a second signal ends at once");
}

#[test]
fn when_the_delay_is_over_connections_are_closed() {
    let manager = Listening::new();
    let delay = Duration::from_millis(300);
    let config = "[timeouts]\nready_delay_ms = 300\ndrain_ms = 100\n";
    let mut server = launch(&manager, config);
    manager.wait_for_line("READY=1");
    let mut subscriber = Socket::open(server.addresses.public, "/sub/news");
    let asked = Instant::now();
    server.signal("TERM");
    assert_eq!(subscriber.close_code(), 1001);
    assert!(asked.elapsed() >= delay, "{:?}", asked.elapsed());
    assert_eq!(subscriber.next(), Said::End);
    assert_eq!(server.wait_for_exit(DEADLINE).code(), Some(0));
}
