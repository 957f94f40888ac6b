//! The configuration is read again while the server runs: by SIGHUP, over HTTP, and by a program that embeds the server.

#![forbid(unsafe_code)]

mod support;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pushring::config::{Config, Secret};
use pushring::server::{ReloadError, Server as Embedded};

use support::http::{Answer, Http};
use support::metrics::Metrics;
use support::server::{Addresses, Options, Server};
use support::wire::{Said, Socket, handshake_lines, head};
use support::{DEADLINE, Message};

const SHARDS: usize = 4;

/// More channels and connections than shards, so that each shard has some of both.
const MANY: usize = 40;

/// A configuration file that is written again and again, and gone at the end.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "reload-{}-{}.toml",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn name(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }

    fn options(&self) -> Options {
        Options {
            shards: SHARDS,
            arguments: vec!["--config".to_owned(), self.name()],
            ..Options::default()
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A server, and how many lines of its log have been looked at.
struct Watched {
    server: Server,
    seen: usize,
}

impl Watched {
    fn start(options: Options) -> Self {
        let server = Server::start(options);
        let seen = server.output().len();
        Self { server, seen }
    }

    /// Sends SIGHUP, and waits for the line with that, which is the last about it; all lines since then.
    fn hang_up(&mut self, until: &str) -> Vec<String> {
        self.server.signal("HUP");
        let began = Instant::now();
        loop {
            let lines = self.server.output();
            let new = &lines[self.seen..];
            if new.iter().any(|line| line.contains(until)) {
                let new = new.to_vec();
                self.seen = lines.len();
                return new;
            }
            assert!(began.elapsed() < DEADLINE, "no {until:?} in {new:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same for a file that can be used.
    fn reload(&mut self) -> Vec<String> {
        self.hang_up("SIGHUP: the configuration is read again")
    }

    fn http(&self) -> Http {
        self.server.http()
    }

    fn open(&self, path: &str) -> Socket {
        Socket::open(self.server.addresses.public, path)
    }
}

fn api_reload(http: &mut Http) -> Answer {
    http.request("POST", "/api/reload", &[], b"")
}

/// The lines about a configuration that cannot be used.
fn problems_of(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 400, "{answer:?}");
    let error = &answer.json()["error"];
    assert_eq!(error["code"], 107);
    let message = error["message"].as_str().unwrap();
    let (says, lines) = message.split_once('\n').unwrap();
    assert!(says.ends_with("nothing has changed"), "{says}");
    lines.lines().map(str::to_owned).collect()
}

fn text_of(said: Said) -> String {
    match said {
        Said::Message(Message::Text(text)) => text,
        other => panic!("a text is expected, not {other:?}"),
    }
}

fn one_line_with(lines: &[String], part: &str) -> String {
    let mut found = lines.iter().filter(|line| line.contains(part));
    let first = found.next();
    let first = first.unwrap_or_else(|| panic!("no {part:?} in {lines:#?}"));
    assert!(found.next().is_none(), "{part:?} twice in {lines:#?}");
    first.clone()
}

#[test]
fn namespaces_and_limits_hold_for_new_subscribes_on_all_shards_and_connections_stay_open() {
    let file = File::new("");
    let mut watched = Watched::start(file.options());
    let mut http = watched.http();
    let mut before: Vec<Socket> = (0..MANY)
        .map(|i| watched.open(&format!("/sub/news{i}")))
        .collect();
    for (i, before) in before.iter_mut().enumerate() {
        http.publish(&format!("news{i}"), "not kept");
        assert_eq!(text_of(before.next()), "not kept");
    }
    for (i, before) in before.iter_mut().enumerate() {
        let mut late = watched.open(&format!("/sub?channel=news{i}&channel=a&channel=b"));
        http.publish(&format!("news{i}"), "first");
        assert_eq!(
            text_of(late.next()),
            "first",
            "nothing is kept, three may be subscribed to"
        );
        assert_eq!(text_of(before.next()), "first");
    }

    file.write(
        "[limits]\nsubscriptions_max = 2\n[[namespace]]\nchannels = \"news*\"\ncache = true\nsubscribers_max = 2\n",
    );
    let lines = watched.reload();
    one_line_with(&lines, "limits.subscriptions_max = 2 (was 128)");
    one_line_with(&lines, "[[namespace]] for the channels \"news*\" is new");

    for (i, before) in before.iter_mut().enumerate() {
        let channel = format!("news{i}");
        http.publish(&channel, format!("kept {i}"));
        assert_eq!(text_of(before.next()), format!("kept {i}"), "still open");
        let mut late = watched.open(&format!("/sub/{channel}"));
        assert_eq!(
            text_of(late.next()),
            format!("kept {i}"),
            "{channel} is cached"
        );
    }
    for _ in 0..MANY {
        let mut greedy = watched.open("/sub?channel=x&channel=y&channel=z");
        assert_eq!(
            greedy.close_code(),
            1008,
            "three subscriptions are too many on every shard"
        );
    }
    // Those who were there before the limit are not counted.
    let third = |i: usize| {
        let channel = format!("/sub/news{i}");
        let first = watched.open(&channel);
        let mut second = watched.open(&channel);
        text_of(second.next());
        let mut third = watched.open(&channel);
        assert_eq!(third.close_code(), 1013, "the third of {channel}");
        drop(first);
    };
    (0..MANY).for_each(third);

    file.write("");
    watched.reload();
    for (i, before) in before.iter_mut().enumerate() {
        http.publish(&format!("news{i}"), "again");
        assert_eq!(text_of(before.next()), "again", "still open");
        let mut late = watched.open(&format!("/sub?channel=news{i}&channel=a&channel=b"));
        http.publish(&format!("news{i}"), "last");
        assert_eq!(text_of(late.next()), "last", "nothing is kept");
        assert_eq!(text_of(before.next()), "last");
    }
}

#[test]
fn what_takes_a_restart_is_named_with_both_values_and_kept() {
    let (running, wanted) = (Addresses::free(), Addresses::free());
    let text = |addresses: Addresses, more: &str| {
        let Addresses { public, internal } = addresses;
        format!("listen = \"{public}\"\ninternal = \"{internal}\"\nshards = 2\n{more}")
    };
    let file = File::new(&text(running, ""));
    let options = Options {
        all_in_file: true,
        ..file.options()
    };
    let server = Server::start_at(running, options);
    let seen = server.output().len();
    let mut watched = Watched { server, seen };
    let mut subscriber = watched.open("/sub/news");

    file.write(&text(
        wanted,
        "echo = true\nlimits.subscriptions_max = 1\nmailbox.entries = 64\n",
    ));
    for _ in 0..2 {
        // The second time as well, for the file still wants what is not so.
        let lines = watched.reload();
        for (setting, wanted, running) in [
            (
                "listen",
                format!("\"{}\"", wanted.public),
                format!("\"{}\"", running.public),
            ),
            (
                "internal",
                format!("\"{}\"", wanted.internal),
                format!("\"{}\"", running.internal),
            ),
            ("mailbox.entries", "64".to_owned(), "4_096".to_owned()),
            ("echo", "true".to_owned(), "false".to_owned()),
        ] {
            let line = format!("{setting} = {wanted} takes a restart, until which it is {running}");
            one_line_with(&lines, &line);
        }
        assert!(TcpStream::connect(wanted.public).is_err());
        assert!(TcpStream::connect(wanted.internal).is_err());
        assert_eq!(
            watched.open("/sub?channel=a&channel=b").close_code(),
            1008,
            "all else is done"
        );
    }
    watched.http().publish("news", "still here");
    assert_eq!(text_of(subscriber.next()), "still here");

    let answer = api_reload(&mut watched.http());
    assert_eq!(answer.status, 200);
    let result = &answer.json()["result"];
    assert_eq!(result["changed"], serde_json::json!([]));
    assert_eq!(result["kept"].as_array().unwrap().len(), 4, "{result}");
}

#[test]
fn a_bad_file_changes_nothing_and_every_mistake_is_a_line() {
    let good = "limits.subscriptions_max = 2\n";
    let file = File::new(good);
    let mut watched = Watched::start(file.options());
    let mut subscriber = watched.open("/sub/news");
    let mut http = watched.http();
    let bad = "limits.subscriptions_max = 5\nech = true\n\n[[namespace]]\nchannels = \"a*b\"\n";
    let mistakes = [
        format!(
            "{}:2: there is no setting ech; the nearest is echo,",
            file.name()
        ),
        format!(
            "{}:5: namespace.channels = \"a*b\" is no pattern",
            file.name()
        ),
    ];
    file.write(bad);
    let lines = watched.hang_up("the configuration cannot be used, and nothing has changed");
    for mistake in &mistakes {
        one_line_with(&lines, mistake);
    }
    let answer = api_reload(&mut http);
    assert_eq!(answer.status, 400);
    let problems = problems_of(&answer);
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, mistake) in problems.iter().zip(&mistakes) {
        assert!(problem.starts_with(mistake), "{problem}");
    }
    for (text, mistake) in [
        (
            "limits.subscriptions_max = 5\nauth.jwks_file = \"/nonexistent.json\"\n",
            "cannot be read",
        ),
        (
            "limits.subscriptions_max = 5\nlisten = \"0.0.0.0:1\"\ninsecure = 1\n",
            ":3: insecure = 1",
        ),
        ("\u{1}", "is not TOML"),
    ] {
        file.write(text);
        let answer = api_reload(&mut http);
        let problems = problems_of(&answer);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(mistake), "{problems:?}");
    }
    fs::remove_file(&file.0).unwrap();
    assert_eq!(api_reload(&mut http).status, 400, "without the file");

    assert_eq!(
        watched
            .open("/sub?channel=a&channel=b&channel=c")
            .close_code(),
        1008
    );
    http.publish("news", "still here");
    assert_eq!(text_of(subscriber.next()), "still here");
    file.write("limits.subscriptions_max = 3\n");
    let answer = api_reload(&mut http);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()["result"]["changed"],
        serde_json::json!(["limits.subscriptions_max = 3 (was 2)"])
    );
}

#[test]
fn what_the_internal_listener_and_the_handshake_check_is_read_again_too() {
    let file = File::new("limits.message_bytes_max = 100\n");
    let mut watched = Watched::start(file.options());
    let mut http = watched.http();
    let long = "x".repeat(150);
    let knock = |watched: &Watched| {
        let mut socket = Socket::connect(watched.server.addresses.public);
        let mut lines = handshake_lines("/sub/news");
        lines.push("Origin: https://evil.example".to_owned());
        socket.send(&head(&lines));
        socket.answer().status
    };
    assert_eq!(http.post("/pub/news", &long).status, 413);
    assert_eq!(knock(&watched), 101);
    file.write("limits.message_bytes_max = 200\norigins.allowed = [\"https://good.example\"]\n");
    watched.reload();
    assert_eq!(http.post("/pub/news", &long).status, 200);
    let call = format!("{{\"channel\":\"news\",\"data\":\"{long}\"}}");
    assert_eq!(http.post("/api/publish", &call).status, 200);
    let too_long = "x".repeat(201);
    assert_eq!(http.post("/pub/news", &too_long).status, 413);
    assert_eq!(knock(&watched), 403);
}

#[test]
fn variables_and_flags_still_win_over_the_file() {
    let file = File::new("");
    let mut options = file.options();
    options.arguments.push("--echo".to_owned());
    let mut watched = Watched::start(options);
    file.write("echo = false\nshards = 1\n");
    let lines = watched.reload();
    let kept = lines.iter().filter(|line| line.contains("takes a restart"));
    assert_eq!(kept.count(), 0, "{lines:#?}");
}

#[test]
fn the_level_of_the_log_is_read_again() {
    let file = File::new("log.level = \"warn\"\n");
    let mut watched = Watched::start(file.options());
    let before = watched.server.output();
    assert!(
        !before.iter().any(|line| line.contains("INFO")),
        "{before:#?}"
    );
    file.write("log.level = \"info\"\n");
    let lines = watched.reload();
    one_line_with(&lines, "log.level = \"info\" (was \"warn\")");
}

#[test]
fn secrets_are_changed_without_being_shown() {
    let text = |secret: &str, key: &str| {
        format!("[auth]\nhmac_secret = \"{secret}\"\napi_keys = [\"{key}\"]\n")
    };
    let file = File::new(&text(&"sesame".repeat(6), &"simsim".repeat(3)));
    let mut watched = Watched::start(file.options());
    file.write(&text(&"sesame".repeat(7), &"simsim".repeat(4)));
    let lines = watched.reload();
    one_line_with(&lines, "auth.hmac_secret has changed");
    one_line_with(&lines, "auth.api_keys has changed");
    file.write(&text("sesame", "simsim"));
    watched.hang_up("nothing has changed");
    let all = watched.server.output().join("\n");
    assert!(!all.contains("sesame") && !all.contains("simsim"), "{all}");
}

#[test]
fn publications_are_neither_lost_nor_doubled_while_the_configuration_is_read_again_and_again() {
    const PUBLICATIONS: usize = 2_000;
    let file = File::new("");
    let mut watched = Watched::start(file.options());
    let mut subscribers: Vec<Socket> = (0..MANY).map(|_| watched.open("/sub/news")).collect();
    let mut http = watched.http();
    let publisher = thread::spawn(move || {
        for i in 0..PUBLICATIONS {
            http.publish("news", i.to_string());
        }
    });
    let texts = [
        "fanout.lane_bytes_max = 4096\nfanout.sends_per_turn_max = 16\n[[namespace]]\nchannels = '*'\nhistory_size = 10\n",
        "fanout.rest_percent = 0\ndeflate.level = 1\n",
        "[[namespace]]\nchannels = 'news'\npresence = true\nhistory_size = 1000\nhistory_ttl = '10ms'\n",
    ];
    let mut reloads = 0;
    while !publisher.is_finished() || reloads < texts.len() {
        file.write(texts[reloads % texts.len()]);
        watched.reload();
        reloads += 1;
    }
    publisher.join().unwrap();
    for subscriber in &mut subscribers {
        for i in 0..PUBLICATIONS {
            assert_eq!(text_of(subscriber.next()), i.to_string());
        }
    }
}

#[test]
fn a_smaller_bound_of_a_namespaces_histories_holds_at_once_on_all_shards() {
    let text = |bound: usize| {
        format!(
            "limits.message_bytes_max = 2_000\n[[namespace]]\nchannels = '*'\nhistory_size = 9\nhistory_bytes_max = 2_000\n\
             histories_bytes_max = {bound}\n"
        )
    };
    let file = File::new(&text(1_000_000));
    let mut watched = Watched::start(file.options());
    let mut http = watched.http();
    for i in 0..MANY {
        http.publish(&format!("channel:{i}"), "x".repeat(1_000));
    }
    let kept = |metrics: &Metrics| metrics.sum("history_bytes");
    Metrics::wait(&mut http, "all are kept", |metrics| {
        kept(metrics) > 1_000 * MANY as u64
    });
    file.write(&text(2_000));
    watched.reload();
    let metrics = Metrics::wait(&mut http, "each shard keeps one", |metrics| {
        kept(metrics) <= 2_000 * SHARDS as u64
    });
    let cut = metrics.sum_where("histories_cut_total", "bound=\"namespace\"");
    let left = MANY as u64 - cut;
    assert!((1..=SHARDS as u64).contains(&left), "{metrics:?}");
    assert!(kept(&metrics) > 1_000 * left, "{metrics:?}");
}

#[test]
fn a_program_that_embeds_the_server_reloads_by_its_handle() {
    let start = || {
        Embedded::builder()
            .listen(([127, 0, 0, 1], 0))
            .shards(2)
            .raw_protocol()
            .start()
            .unwrap()
    };
    let server = start();
    let base = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        shards: 2,
        ..Config::default()
    };
    let handle = server.handle().clone();
    let mut config = base.clone();
    config.limits.subscriptions_max = 1;
    config.mailbox.entries = 16;
    let reloaded = handle.reload_blocking(config.clone()).unwrap();
    let lines = |list: Vec<String>| list.join("; ");
    assert_eq!(
        lines(reloaded.changed.iter().map(ToString::to_string).collect()),
        "limits.subscriptions_max = 1 (was 128)"
    );
    assert_eq!(
        lines(reloaded.kept.iter().map(ToString::to_string).collect()),
        "mailbox.entries = 16 takes a restart, until which it is 4_096"
    );
    let mut greedy = Socket::open(server.public_address(), "/sub?channel=a&channel=b");
    assert_eq!(greedy.close_code(), 1008);

    config.limits.subscriptions_max = 0;
    config.auth.hmac_secret = Some(Secret::new("short"));
    let error = handle.reload_blocking(config.clone()).unwrap_err();
    assert_eq!(error.lines().len(), 2, "{error}");
    let mut greedy = Socket::open(server.public_address(), "/sub?channel=a&channel=b");
    assert_eq!(greedy.close_code(), 1008, "as before");

    server.shut_down();
    assert_eq!(handle.reload_blocking(base), Err(ReloadError::ShuttingDown));
    // The same without waiting, inside of a runtime.
    let server = start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let reloaded = runtime.block_on(server.handle().reload(Config {
        echo: true,
        ..Config::default()
    }));
    assert_eq!(reloaded.unwrap().changed, []);
    server.shut_down();
}
