//! Whatever the new program is or does, the old one goes on as if nothing had been.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::Message;
use crate::support::metrics::Metrics;
use crate::support::server::{Addresses, Options};
use crate::support::wire::{Said, Socket};
use crate::upgrading::{Outcome, Program, Upgrading};

/// A configuration file that is written again.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("upgrade-{process}-{next}.toml");
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn options(&self) -> Options {
        Options {
            arguments: vec!["--config".to_owned(), self.0.to_str().unwrap().to_owned()],
            ..Options::default()
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_program_that_cannot_take_over_does_not_and_the_next_one_does() {
    let config = "[timeouts]\nupgrade_test_ms = 3_000\n";
    let mut upgrading = Upgrading::start(Options::with_config(config));
    let mut http = upgrading.server.http();
    let mut subscriber = Socket::open(upgrading.server.addresses.public, "/sub/news");
    let before = upgrading.open_files();
    for (number, program) in (1..).zip([
        Program::OtherFormat,
        Program::Damaged,
        Program::Crashing,
        Program::Foreign,
        Program::Babbling,
        Program::Hanging,
        Program::Garbage,
        Program::Missing,
    ]) {
        upgrading.replace(program);
        let line = upgrading.must_refuse();
        assert!(line.contains(program.complaint()), "{program:?}: {line}");
        assert_eq!(http.publish("news", "still here"), number);
        assert_eq!(subscriber.message(), Message::text("still here"));
        // The same over HTTP, with the reason in the answer.
        let answer = http.post("/api/upgrade", "");
        let _ = upgrading.outcome();
        assert_eq!(answer.json()["error"]["code"], 108, "{program:?}");
        assert!(answer.text().contains("nothing has changed"), "{answer:?}");
    }
    // Who does not end is ended.
    upgrading.wait_until_childless();
    assert_eq!(upgrading.open_files(), before);
    upgrading.replace(Program::Same);
    upgrading.must_upgrade();
    assert_eq!(http.publish("news", "and here"), 9);
    assert_eq!(subscriber.message(), Message::text("and here"));
}

#[test]
fn a_configuration_with_a_mistake_is_refused_and_the_line_says_which() {
    let file = File::new("");
    let mut upgrading = Upgrading::start(file.options());
    let mut http = upgrading.server.http();
    http.publish("news", "1");
    file.write("[limits]\nmesage_bytes_max = 1\n");
    let line = upgrading.must_refuse();
    assert!(line.contains("mesage_bytes_max"), "{line}");
    assert_eq!(http.publish("news", "2"), 2);
    // What can be read holds for the new program.
    file.write("[[namespace]]\nchannels = \"*\"\nhistory_size = 5\nhistory_ttl = \"1m\"\n");
    upgrading.must_upgrade();
    assert_eq!(http.publish("news", "3"), 3);
    let history = http.api("history", r#"{"channel":"news","limit":-1}"#);
    assert_eq!(
        history["result"]["publications"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn listeners_stay_what_they_are_and_do_not_lose_what_guards_them() {
    let addresses = Addresses::free();
    let Addresses { public, internal } = addresses;
    let port = public.port();
    let config = |listen: &str, shards: u32, rest: &str| {
        format!(
            "listen = \"{listen}:{port}\"\ninternal = \"{internal}\"\nshards = {shards}\n{rest}"
        )
    };
    let open = "0.0.0.0";
    let file = File::new(&config(open, 2, "insecure = true\n"));
    let options = Options {
        all_in_file: true,
        ..file.options()
    };
    let mut upgrading = Upgrading::start_at(addresses, options);
    // What is said would need no guard, what stays open does.
    file.write(&config("127.0.0.1", 2, ""));
    let line = upgrading.must_refuse();
    assert!(
        line.contains("with the listeners that stay open") && line.contains("insecure"),
        "{line}"
    );
    file.write(&config("127.0.0.1", 3, "insecure = true\n"));
    upgrading.server.signal("USR2");
    for said in [
        format!("listen = 127.0.0.1:{port} takes a restart: it stays 0.0.0.0:{port}"),
        "shards = 3 takes a restart: it stays 2".to_owned(),
    ] {
        upgrading.wait_for_line(|line| line.contains(&said));
    }
    assert!(matches!(upgrading.outcome(), Outcome::TakenOver { .. }));
    let mut subscriber = Socket::open(public, "/sub/news");
    let mut http = upgrading.server.http();
    let one = |metrics: &Metrics| metrics.sum("subscriptions") == 1;
    Metrics::wait(&mut http, "a subscription", one);
    http.publish("news", "1");
    assert_eq!(subscriber.message(), Message::text("1"));
}

#[test]
fn while_an_upgrade_is_under_way_another_is_refused_and_a_reload_goes_through() {
    let config = "[timeouts]\nupgrade_test_ms = 4_000\n";
    let file = File::new(config);
    let mut upgrading = Upgrading::start(file.options());
    let mut http = upgrading.server.http();
    upgrading.replace(Program::Hanging);
    upgrading.server.signal("USR2");
    upgrading.wait_for_line(|line| line.contains("SIGUSR2: upgrading to"));
    let answer = http.post("/api/upgrade", "");
    assert!(answer.text().contains("under way"), "{answer:?}");
    upgrading.server.signal("HUP");
    upgrading.wait_for_line(|line| line.contains("SIGHUP: the configuration is read again"));
    http.publish("news", "1");
    let Outcome::Refused(line) = upgrading.outcome() else {
        panic!("taken over");
    };
    assert!(line.contains(Program::Hanging.complaint()), "{line}");
    // Both at once: the order is anybody's guess, and either way all goes on.
    upgrading.replace(Program::Same);
    upgrading.server.signal("HUP");
    upgrading.must_upgrade();
    upgrading.server.signal("HUP");
    upgrading.wait_for_line(|line| line.contains("SIGHUP: the configuration is read again"));
    assert_eq!(http.publish("news", "2"), 2);
}

#[test]
fn a_server_that_ends_is_not_upgraded() {
    let config = "[timeouts]\nready_delay_ms = 3_000\ndrain_ms = 100\n";
    let mut upgrading = Upgrading::start(Options::with_config(config));
    let mut http = upgrading.server.http();
    let mut subscriber = Socket::open(upgrading.server.addresses.public, "/sub/news");
    upgrading.server.signal("TERM");
    while http.get("/ready").status == 200 {
        std::thread::yield_now();
    }
    let line = upgrading.must_refuse();
    assert!(line.contains("the server is shutting down"), "{line}");
    assert!(matches!(
        subscriber.next(),
        Said::Close {
            code: Some(1001),
            ..
        }
    ));
    let status = upgrading.server.wait_for_exit(crate::support::DEADLINE);
    assert!(status.success(), "{status}");
}

#[test]
fn counters_go_on_where_they_stood() {
    let mut upgrading = Upgrading::start(Options::default());
    let mut http = upgrading.server.http();
    let _subscriber = Socket::open(upgrading.server.addresses.public, "/sub/news");
    http.publish("news", "1");
    let delivered = |metrics: &Metrics| metrics.sum("deliveries_total") == 1;
    let before = Metrics::wait(&mut http, "a delivery", delivered);
    upgrading.must_upgrade();
    let after = Metrics::wait(&mut http, "the same", delivered);
    for family in [
        "publications_total",
        "connections_accepted_total",
        "handshakes_total",
        "bytes_sent_total",
        "connections",
        "subscriptions",
        "channels",
        "lanes",
    ] {
        assert_eq!(after.sum(family), before.sum(family), "{family}");
    }
    assert!(after.sum("turns_total") > before.sum("turns_total"));
}
