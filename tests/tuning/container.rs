//! The profile as a real filter around the real server, and what of the Containerfile can be seen without an engine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{file, folder, printed, run, text};
use crate::support::http::Http;
use crate::support::metrics::Metrics;
use crate::support::server::{Addresses, Options, Server};
use crate::support::sse::Stream;
use crate::support::wire::Socket;
use crate::support::{DEADLINE, Message};

const PROFILE: &str = "tuning/seccomp.json";
const CONTAINERFILE: &str = "tuning/Containerfile";

/// Python with Debian's libseccomp, which becomes the server under the profile; without some of its calls.
fn wrapper(without: &[&str]) -> Vec<String> {
    let path = |name: &str| file(name).to_str().unwrap().to_owned();
    let mut wrapper = vec![
        "/usr/bin/python3".to_owned(),
        path("tests/tuning/seccomp/run.py"),
        path(PROFILE),
    ];
    for name in without {
        wrapper.extend(["--without".to_owned(), (*name).to_owned()]);
    }
    wrapper.push("--".to_owned());
    wrapper
}

fn confined(config: &str, without: &[&str]) -> Options {
    Options {
        wrapper: wrapper(without),
        ..Options::with_config(config)
    }
}

#[test]
fn under_the_profile_the_server_starts_serves_reloads_is_upgraded_and_drains() {
    let mut server = Server::start(confined("[timeouts]\ndrain_ms = 300\n", &[]));
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("Seccomp:\t2\n"), "{status}");

    let mut raw = Socket::open(server.addresses.public, "/sub/news");
    let deflate = ["Sec-WebSocket-Extensions: permessage-deflate"];
    let (mut deflated, _) = Socket::open_with(server.addresses.public, "/sub/news", &deflate);
    let mut stream = Stream::open(server.addresses.public, "/sub/news");
    stream.position();
    for path in ["/stomp", "/connection/websocket"] {
        Socket::open(server.addresses.public, path);
    }
    let long = "x".repeat(2_000);
    server.http().publish("news", &long);
    assert_eq!(raw.message(), Message::text(&long));
    assert_eq!(stream.message(), long);
    let (first, _) = deflated.next_frame().unwrap();
    assert_eq!(first & 0x40, 0x40, "it is compressed");

    server.http().api("reload", "{}");
    server.signal("HUP");
    let answer = server.http().get("/metrics");
    assert_eq!(answer.status, 200);

    server.signal("USR2");
    Metrics::wait(&mut server.http(), "the upgraded server", |_| {
        let output = server.output();
        output.iter().any(|line| line.contains("taken over from"))
    });
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains("Seccomp:\t2\n"), "{status}");
    server.http().publish("news", "after it");
    assert_eq!(raw.message(), Message::text("after it"));

    server.signal("TERM");
    assert_eq!(raw.close_code(), 1001);
    assert_eq!(server.wait_for_exit(DEADLINE).code(), Some(0));
}

/// What an engine's own profile does: the reason why there is this one.
#[test]
fn without_io_uring_the_server_says_what_is_missing() {
    let options = confined("", &["io_uring_setup"]);
    let mut server = Server::launch(Addresses::free(), options);
    assert_eq!(server.wait_for_exit(DEADLINE).code(), Some(2));
    let output = server.finished_output();
    assert!(output.contains("seccomp profile"), "{output}");
    assert_eq!(output.lines().count(), 1, "{output}");
}

#[test]
fn what_the_profile_does_not_name_is_denied() {
    let socket = |family: &str| {
        let script = format!("import socket; socket.socket(socket.{family}, socket.SOCK_RAW)");
        ["/usr/bin/python3".to_owned(), "-c".to_owned(), script].to_vec()
    };
    let words = |command: &str| command.split(' ').map(str::to_owned).collect();
    let commands: [Vec<String>; 6] = [
        words("/usr/bin/unshare --net /bin/true"),
        words("/usr/bin/unshare --user /bin/true"),
        words("/usr/bin/mount -t tmpfs none /mnt"),
        words("/usr/sbin/chroot / /bin/true"),
        socket("AF_NETLINK"),
        socket("AF_PACKET"),
    ];
    let wrapper = wrapper(&[]);
    for command in commands {
        let mut confined = Command::new(&wrapper[0]);
        let output = run(confined.args(&wrapper[1..]).args(&command));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{command:?} is allowed");
        let is_denied = ["not permitted", "permission denied"];
        let complaint = complaint.to_lowercase();
        assert!(
            is_denied.iter().any(|word| complaint.contains(word)),
            "{command:?}: {complaint}"
        );
    }
}

#[test]
fn every_rule_of_the_profile_says_what_it_is_for_and_no_call_is_named_twice() {
    let profile: Value = serde_json::from_str(&text(PROFILE)).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let mut without_arguments = BTreeSet::new();
    for rule in profile["syscalls"].as_array().unwrap() {
        assert!(!rule["comment"].as_str().unwrap().is_empty());
        for name in rule["names"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let is_limited = rule.get("args").is_some();
            assert!(is_limited || without_arguments.insert(name), "{name}");
        }
    }
    // What a live upgrade is made of.
    for name in ["execve", "memfd_create", "pidfd_open"] {
        assert!(without_arguments.contains(name), "{name}");
    }
}

/// The instructions of the Containerfile, lines that go on put together.
fn instructions() -> Vec<(String, String)> {
    let text = text(CONTAINERFILE).replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            (name.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

fn arguments(name: &str) -> Vec<String> {
    let all = instructions().into_iter();
    all.filter(|(other, _)| other == name)
        .map(|(_, rest)| rest)
        .collect()
}

#[test]
fn the_images_are_named_without_a_registry_and_the_server_is_not_root() {
    let images = arguments("FROM");
    assert_eq!(images.len(), 2);
    for image in &images {
        let name = image.split(' ').next().unwrap();
        assert!(!name.contains('/'), "{name}");
    }
    assert_eq!(arguments("USER"), ["65532:65532"]);
    let order: Vec<String> = instructions().into_iter().map(|(name, _)| name).collect();
    let at = |name: &str| order.iter().rposition(|other| other == name).unwrap();
    assert!(at("FROM") < at("USER") && at("USER") < at("ENTRYPOINT"));
}

/// The sources of the build stage alone, put where the engine would put them, are a package that Cargo understands, and have
/// every file that the program embeds.
#[test]
fn what_is_copied_suffices_to_build() {
    let stage = folder("stage");
    let mut copied = Vec::new();
    for copy in arguments("COPY") {
        if copy.starts_with("--from=build ") {
            assert!(copy.contains("/build/target/release/pushring /usr/bin/pushring"));
            continue;
        }
        let mut paths: Vec<&str> = copy.split(' ').collect();
        let to = paths.pop().unwrap();
        for path in paths {
            assert!(file(path).exists(), "{path} is not there");
            if !to.starts_with('/') {
                let into = if to == "./" {
                    stage.clone()
                } else {
                    stage.join(to)
                };
                let from = if to == "./" {
                    file(path)
                } else {
                    file(path).join(".")
                };
                fs::create_dir_all(&into).unwrap();
                printed(Command::new("cp").arg("-r").arg(from).arg(into));
                copied.push(path.to_owned());
            }
        }
    }
    assert!(copied.contains(&"Cargo.lock".to_owned()), "{copied:?}");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&stage);
    let metadata = printed(cargo.args([
        "metadata",
        "--locked",
        "--offline",
        "--no-deps",
        "--format-version=1",
    ]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    for target in metadata["packages"][0]["targets"].as_array().unwrap() {
        let source = target["src_path"].as_str().unwrap();
        assert!(Path::new(source).exists(), "{source}");
    }
    let build = arguments("RUN");
    assert_eq!(build, ["cargo build --locked --release --bin pushring"]);
    let embedded = printed(
        Command::new("grep")
            .args(["-rnoE", r#"include_(str|bytes)!\("[^"]+"\)"#, "src"])
            .current_dir(&stage),
    );
    for line in embedded.lines() {
        let (place, rest) = line.split_once(':').unwrap();
        let name = rest.split('"').nth(1).unwrap();
        // From the file that embeds it; unit tests are not part of the program.
        let path = stage.join(place).parent().unwrap().join(name);
        assert!(path.exists() || place.contains("tests"), "{line}");
    }
}

/// Its very command, under the profile, beside a server that is ready and one that is not there.
#[test]
fn the_health_check_asks_the_server() {
    let check = arguments("HEALTHCHECK");
    let (_, command) = check[0].split_once("CMD ").unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    let server = Server::start(Options::default());
    let health = |addresses: Addresses| {
        let internal = addresses.internal;
        let script = command[2].replace(
            "/dev/tcp/127.0.0.1/8001",
            &format!("/dev/tcp/{}/{}", internal.ip(), internal.port()),
        );
        assert_ne!(script, command[2]);
        let wrapper = wrapper(&[]);
        let mut check = Command::new(&wrapper[0]);
        check.args(&wrapper[1..]).args(["/bin/bash", "-c", &script]);
        run(&mut check).status.success()
    };
    assert!(health(server.addresses));
    assert!(!health(Addresses::free()));
    // It says more than that somebody listens.
    assert_eq!(
        Http::connect(server.addresses.internal)
            .get("/ready")
            .status,
        200
    );
}

#[test]
fn the_image_is_refused_by_the_server_as_long_as_everybody_may_come() {
    let variables = arguments("ENV").join(" ");
    let refused = Command::new(env!("CARGO_BIN_EXE_pushring"))
        .envs(
            variables
                .split(' ')
                .map(|pair| pair.split_once('=').unwrap()),
        )
        .arg("serve")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let line = String::from_utf8(refused.stderr).unwrap();
    assert!(line.contains("auth") && line.contains("insecure"), "{line}");
}
