//! The page of the internal listener in a real Chromium, driven by the scripts in `tests/page`, and the stream that it
//! reads.

#![forbid(unsafe_code)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use support::http::Http;
use support::metrics::Metrics;
use support::server::{Options, Server};
use support::sse::Stream;
use support::wire::Socket;

const KEY: &str = "a-key-that-only-this-test-knows-0123456789";

/// Has a script drive a browser on a server, and does with the server what it asks for.
fn drive(script: &str, server: &mut Server, arguments: &[&str]) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    let script = scripts.join(script);
    let mut node = Command::new("node")
        .arg(&script)
        .arg(server.addresses.internal.to_string())
        .arg(server.addresses.public.to_string())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run node: {error}: run tests/install-tools"));
    let mut complaints = node.stderr.take().unwrap();
    let complaints = thread::spawn(move || {
        let mut text = String::new();
        complaints.read_to_string(&mut text).unwrap();
        text
    });
    let mut answers = node.stdin.take().unwrap();
    for line in BufReader::new(node.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "kill" => server.kill(),
            "start" => *server = Server::start_at(server.addresses, server.options.clone()),
            "stop" => server.signal("STOP"),
            "continue" => server.signal("CONT"),
            other => panic!("the script asks for {other:?}"),
        }
        answers.write_all(b"done\n").unwrap();
    }
    let status = node.wait().unwrap();
    let complaints = complaints.join().unwrap();
    assert!(status.success(), "{}:\n{complaints}", script.display());
}

/// A subscriber that reads whatever comes until it is over.
fn reader(server: &Server, channel: &str) -> JoinHandle<()> {
    let socket = Socket::open(server.addresses.public, &format!("/sub/{channel}"));
    let mut stream: TcpStream = socket.stream().try_clone().unwrap();
    stream.set_read_timeout(None).unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        // The server that is killed may reset it.
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    })
}

#[test]
fn the_figures_follow_a_load_name_the_slow_consumers_channel_and_survive_the_servers_end() {
    let config = "[slow_consumer]\nbacklog_bytes_max = 67_108_864\nbacklog_age_ms_max = 600_000\n";
    let mut server = Server::start(Options::with_config(config));
    let mut readers: Vec<_> = (0..10).map(|_| reader(&server, "busy")).collect();
    readers.push(reader(&server, "big"));
    let _slow = Socket::open(server.addresses.public, "/sub/big");
    drive("figures.mjs", &mut server, &[]);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn every_protocol_subscribes_publishes_and_comes_back_by_hand() {
    let config = "[[namespace]]\nchannels = \"kept\"\nhistory_size = 10\nhistory_ttl = \"10m\"\n";
    let mut server = Server::start(Options::with_config(config));
    drive("hand.mjs", &mut server, &[]);
}

#[test]
fn a_guarded_server_is_shown_to_who_has_its_key_and_refusals_say_what_to_set() {
    let config = format!(
        "[auth]\nhmac_secret = \"a secret of this test's, 32 bytes or more\"\napi_keys = [\"{KEY}\"]\n\
         [origins]\nallowed = [\"https://app.example.com\", \"http://elsewhere.localhost:8080\"]\n"
    );
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (file, token) = (folder.join("page-guarded.toml"), folder.join("page-token"));
    std::fs::write(&file, &config).unwrap();
    let rights = ["--user", "ann", "--subscribe", "news", "--publish", "news"];
    let made = Command::new(env!("CARGO_BIN_EXE_pushring"))
        .arg("token")
        .args(rights)
        .arg("--config")
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(&token, made.stdout).unwrap();
    let mut server = Server::start(Options::with_config(&config));
    drive("guarded.mjs", &mut server, &[token.to_str().unwrap()]);
}

#[test]
fn it_is_for_everybody_light_and_dark_narrow_and_by_keyboard_alone() {
    let mut server = Server::start(Options::default());
    drive("access.mjs", &mut server, &[]);
}

#[test]
fn a_browser_gets_the_page_under_a_strict_policy_and_everybody_else_the_help() {
    let server = Server::start(Options::default());
    let mut http = server.http();
    let accept = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    let page = http.request("GET", "/", &[("Accept", accept)], b"");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("vary"), Some("Accept"));
    let policy = page.header("content-security-policy").unwrap();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!page.text().contains("<style") && !page.text().contains(" style="));
    let help = http.get("/");
    assert_eq!(
        help.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(help.text().starts_with("pushring, internal listener\n"));

    // Whatever the document and its parts refer to is there.
    let mut files = referred_to(&page.text());
    let mut seen: Vec<String> = Vec::new();
    while let Some(file) = files.pop() {
        if seen.contains(&file) {
            continue;
        }
        let answer = http.get(&format!("/{file}"));
        assert_eq!(answer.status, 200, "{file}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{file}"
        );
        files.extend(referred_to(&answer.text()));
        seen.push(file);
    }
    assert!(seen.len() >= 15, "{seen:?}");
}

/// The files below `page/` that a text names.
fn referred_to(text: &str) -> Vec<String> {
    let in_quotes = text.split(['"', '\'']);
    let files = in_quotes.filter_map(|quoted| {
        let name = quoted.strip_prefix("page/").or(quoted.strip_prefix("./"))?;
        let is_file = [".js", ".css", ".svg"]
            .iter()
            .any(|end| name.ends_with(end));
        is_file.then(|| format!("page/{name}"))
    });
    files.collect()
}

fn next_snapshot(stream: &mut Stream) -> Value {
    serde_json::from_str(&stream.message()).unwrap()
}

#[test]
fn the_stream_of_figures_is_an_event_stream_with_ids_whose_numbers_add_up() {
    let server = Server::start(Options {
        shards: 3,
        ..Options::default()
    });
    let public = server.addresses.public;
    let sockets: Vec<Socket> = (0..5).map(|_| Socket::open(public, "/sub/a")).collect();
    let mut http = server.http();
    let mut stream = Stream::open(server.addresses.internal, "/live");
    assert_eq!(stream.head.header("cache-control"), Some("no-store"));
    let first = next_snapshot(&mut stream);
    assert_eq!(first["server"]["product"], "pushring");
    assert_eq!(first["server"]["public"], public.to_string());
    assert!(first["interval_ms"].is_null() && first["total"]["rates"].is_null());
    let id = stream.reader.last_event_id.clone();
    while next_snapshot(&mut stream)["total"]["subscriptions"] != sockets.len() {}
    for _ in 0..100 {
        http.publish("a", "hello");
    }

    // The hundred are told in one snapshot or in two.
    let mut told = 0.0;
    let newest = loop {
        let next = next_snapshot(&mut stream);
        let seconds = next["interval_ms"].as_f64().unwrap() / 1_000.0;
        told += next["total"]["rates"]["publications"].as_f64().unwrap() * seconds;
        if next["total"]["deliveries"] == 500 {
            break next;
        }
    };
    assert!((told - 100.0).abs() < 1.0, "{told} were told");
    assert_ne!(stream.reader.last_event_id, id);
    assert_eq!(newest["total"]["publications"], 100);
    let shards = newest["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 3);
    for number in ["connections", "subscriptions", "deliveries", "publications"] {
        let of_each = shards.iter().map(|shard| shard[number].as_u64().unwrap());
        assert_eq!(newest["total"][number], of_each.sum::<u64>(), "{number}");
    }
    let channel = &newest["channels"]["busiest"][0];
    assert_eq!(
        (&channel["name"], &channel["subscribers"]),
        (&"a".into(), &5.into())
    );
    assert_eq!(newest["channels"]["used"], 1);
    let owner = channel["owner"].as_u64().unwrap() as usize;
    assert_eq!(shards[owner]["publications"], 100);
}

#[test]
fn the_figures_are_for_who_has_a_key_where_there_are_any() {
    let config = format!("[auth]\napi_keys = [\"{KEY}\"]\n");
    let server = Server::start(Options::with_config(&config));
    let mut http = server.http();
    assert_eq!(http.get("/live").status, 401);
    let wrong = [("X-API-Key", "wrong")];
    assert_eq!(http.request("GET", "/live", &wrong, b"").status, 401);
    assert_eq!(
        http.get("/page/main.js").status,
        200,
        "the page itself holds nothing"
    );
    let key = format!("X-API-Key: {KEY}");
    let mut stream = Stream::open_with(server.addresses.internal, "/live", &[&key]);
    assert_eq!(next_snapshot(&mut stream)["total"]["connections"], 0);
}

#[test]
fn nobody_is_surveyed_while_nobody_watches() {
    let server = Server::start(Options::default());
    let mut http = server.http();
    let turns = |http: &mut Http| Metrics::get(http).sum("turns_total");
    let mut stream = Stream::open(server.addresses.internal, "/live");
    next_snapshot(&mut stream);
    let before = turns(&mut http);
    next_snapshot(&mut stream);
    next_snapshot(&mut stream);
    let watched = turns(&mut http) - before;
    assert!(watched >= 4, "{watched} turns of two shards in two seconds");
    drop(stream);
    // The server hears of that with its next snapshot or the one behind it; from then on nothing happens.
    thread::sleep(Duration::from_millis(3_500));
    let before = turns(&mut http);
    thread::sleep(Duration::from_millis(2_500));
    let unwatched = turns(&mut http) - before;
    assert!(unwatched <= 1, "{unwatched} turns of idle shards");
}
