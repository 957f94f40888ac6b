//! The watchdog, which hears of the server only as long as every shard works.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pushring::systemd::Manager;
use pushring::{Context, Endpoint, Message, Refusal, Request, Route};

use super::manager::Listening;
use crate::support::DEADLINE;
use crate::support::server::{Addresses, Options, Server};
use crate::support::wire::Socket;

const WATCHDOG: Duration = Duration::from_millis(600);

#[test]
fn a_server_at_rest_says_again_and_again_that_it_is_alive() {
    let manager = Listening::new();
    let options = Options {
        shards: 4,
        environment: manager.variables(Some(WATCHDOG)),
        ..Options::default()
    };
    let _server = Server::launch(Addresses::free(), options);
    manager.wait_for_line("READY=1");
    for _ in 0..10 {
        manager.wait_for_line("WATCHDOG=1");
    }
}

#[test]
fn a_server_that_ends_slowly_is_still_alive() {
    let manager = Listening::new();
    let options = Options {
        environment: manager.variables(Some(WATCHDOG)),
        ..Options::with_config("timeouts.drain_ms = 600_000\n")
    };
    let mut server = Server::launch(Addresses::free(), options);
    manager.wait_for_line("READY=1");
    let _subscribers = [(); 20].map(|()| Socket::open(server.addresses.public, "/sub/news"));
    server.signal("TERM");
    manager.wait_for_line("STOPPING=1");
    for _ in 0..5 {
        manager.wait_for_line("WATCHDOG=1");
    }
    assert!(
        server.exit_status().is_none(),
        "most connections are still open"
    );
}

/// Blocks its shard from its first message on until the test lets it go.
struct Stuck {
    blocked: Sender<()>,
    release: Arc<Mutex<Receiver<()>>>,
}

impl Endpoint for Stuck {
    type State = ();

    fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, context: &mut Context<'_>) {
        self.blocked.send(()).unwrap();
        self.release.lock().unwrap().recv().unwrap();
        context.send_text("free");
    }
}

#[test]
fn when_one_of_four_shards_is_stuck_the_watchdog_hears_nothing_until_it_is_free_again() {
    let listening = Listening::new();
    let (blocked, is_blocked) = mpsc::channel();
    let (let_go, release) = mpsc::channel();
    let release = Arc::new(Mutex::new(release));
    let manager = Manager::at(listening.path(), Some(WATCHDOG)).unwrap();
    let server = pushring::Server::builder()
        .listen(([127, 0, 0, 1], 0))
        .shards(4)
        .route(Route::new("/stuck", move || Stuck {
            blocked: blocked.clone(),
            release: release.clone(),
        }))
        .managed_by(manager)
        .start()
        .unwrap();
    listening.wait_for_line("READY=1");
    for _ in 0..2 {
        let mut socket = Socket::open(server.public_address(), "/stuck");
        listening.wait_for_line("WATCHDOG=1");
        socket.send_text("block");
        is_blocked.recv_timeout(DEADLINE).unwrap();
        // One may be on its way: all had answered just before.
        let stuck_since = Instant::now();
        let mut last = None;
        while stuck_since.elapsed() < WATCHDOG * 4 {
            let told = listening.next_within(WATCHDOG);
            if told.is_some_and(|told| told.says("WATCHDOG=1")) {
                last = Some(stuck_since.elapsed());
            }
        }
        assert!(last.is_none_or(|at| at < WATCHDOG), "{last:?}");
        let_go.send(()).unwrap();
        listening.wait_for_line("WATCHDOG=1");
        assert_eq!(socket.message(), crate::support::Message::text("free"));
        listening.wait_for_line("WATCHDOG=1");
    }
    server.shut_down();
}
