//! The HTTP API on the real server, called by `cent` (Python), in both of its clients. `tests/cent/drive.py` does as it is told
//! here.
//!
//! tests/run installs it; without it these tests fail.

#![forbid(unsafe_code)]

mod support;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use support::server::{Options, Server};
use support::stomp::Stomp;

const KEY: &str = "a-key-that-is-long-enough-for-this";

const CONFIG: &str = "[auth]\napi_keys = [\"a-key-that-is-long-enough-for-this\"]\n\
    [[namespace]]\nchannels = \"log:*\"\nhistory_size = 10\nhistory_ttl = \"10m\"\npresence = true\n";

/// A program that calls what it is told.
struct Cent {
    child: Child,
    calls: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Cent {
    fn start(kind: &str, server: &Server, key: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/tools/python/bin/python");
        let mut child = Command::new(&python)
            .arg(root.join("tests/cent/drive.py"))
            .arg(kind)
            .arg(format!("http://{}/api", server.addresses.internal))
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot run {}: {error}: tests/install-tools installs it",
                    python.display()
                )
            });
        Self {
            calls: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    fn call(&mut self, request: &str, parameters: Value) -> Value {
        let call = json!({ "request": request, "parameters": parameters });
        writeln!(self.calls, "{call}").unwrap();
        let answer = self.answers.next().expect("cent has ended").unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// The result of a call that works.
    fn result(&mut self, request: &str, parameters: Value) -> Value {
        let mut answer = self.call(request, parameters);
        assert!(answer["error"].is_null(), "{request}: {answer}");
        answer["result"].take()
    }
}

impl Drop for Cent {
    fn drop(&mut self) {
        // It fails when the program has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_each_client(test: impl Fn(&Server, &mut Cent)) {
    for kind in ["sync", "async"] {
        let server = Server::start(Options::with_config(CONFIG));
        test(&server, &mut Cent::start(kind, &server, KEY));
    }
}

fn subscriber(server: &Server, channel: &str) -> Stomp {
    let mut stomp = Stomp::connect_with(server.addresses.public, "1.2", "login:ann\n").0;
    stomp.subscribe("0", &format!("/topic/{channel}"), "");
    stomp
}

#[test]
fn what_cent_publishes_arrives() {
    with_each_client(|server, cent| {
        let mut news = subscriber(server, "news");
        let parameters = json!({
            "channel": "news", "data": { "a": [1, "é"] }, "tags": { "kind": "x" },
            "idempotency_key": "once", "skip_history": true,
        });
        let first = cent.result("PublishRequest", parameters.clone());
        assert_eq!(first["offset"], 1, "{first}");
        assert_eq!(cent.result("PublishRequest", parameters), first);
        let message = news.message();
        let data: Value = serde_json::from_str(message.text()).unwrap();
        assert_eq!(data, json!({ "a": [1, "é"] }));
        assert_eq!(message.must("kind"), "x");
        let parameters = json!({ "channels": ["news", "", "sport"], "data": "all" });
        let answer = cent.result("BroadcastRequest", parameters);
        assert_eq!(answer["responses"][0]["result"]["offset"], 2, "{answer}");
        assert_eq!(answer["responses"][1]["error"]["code"], 107, "{answer}");
        assert_eq!(answer["responses"][2]["result"]["offset"], 1, "{answer}");
        assert_eq!(news.message().text(), r#""all""#);
    });
}

#[test]
fn cent_reads_and_removes_a_history() {
    with_each_client(|_, cent| {
        for number in 1..=3 {
            let parameters = json!({ "channel": "log:a", "data": number, "tags": { "n": "1" } });
            cent.result("PublishRequest", parameters);
        }
        let answer = cent.result("HistoryRequest", json!({ "channel": "log:a", "limit": -1 }));
        let publications = answer["publications"].as_array().unwrap();
        let data: Vec<_> = publications
            .iter()
            .map(|one| one["data"].as_u64())
            .collect();
        assert_eq!(data, [Some(1), Some(2), Some(3)]);
        assert_eq!(publications[0]["tags"], json!({ "n": "1" }));
        let since = json!({ "offset": 2, "epoch": answer["epoch"] });
        let parameters = json!({ "channel": "log:a", "limit": 5, "since": since });
        let behind = cent.result("HistoryRequest", parameters);
        assert_eq!(
            behind["publications"].as_array().map(Vec::len),
            Some(1),
            "{behind}"
        );
        cent.result("HistoryRemoveRequest", json!({ "channel": "log:a" }));
        let empty = cent.result("HistoryRequest", json!({ "channel": "log:a", "limit": -1 }));
        assert_eq!(
            (&empty["publications"], &empty["offset"]),
            (&json!([]), &json!(3))
        );
    });
}

#[test]
fn cent_asks_who_is_there() {
    with_each_client(|server, cent| {
        let channel = json!({ "channel": "log:a" });
        let nobody = cent.result("PresenceRequest", channel.clone());
        assert_eq!(nobody, json!({ "presence": {} }));
        let stats = cent.result("PresenceStatsRequest", channel);
        assert_eq!(stats, json!({ "num_clients": 0, "num_users": 0 }));
        let _subscribers = [subscriber(server, "news"), subscriber(server, "news")];
        let answer = cent.result("ChannelsRequest", json!({ "pattern": "n*" }));
        assert_eq!(
            answer,
            json!({ "channels": { "news": { "num_clients": 2 } } })
        );
        let info = cent.result("InfoRequest", json!({}));
        assert_eq!(info["nodes"][0]["num_clients"], 2, "{info}");
        assert_eq!(info["nodes"][0]["num_channels"], 1, "{info}");
        assert_eq!(info["nodes"][0]["version"], env!("CARGO_PKG_VERSION"));
    });
}

#[test]
fn cent_orders_what_is_done_with_a_user() {
    with_each_client(|server, cent| {
        let mut ann = subscriber(server, "news");
        let parameters = json!({ "user": "ann", "channel": "more", "data": {}, "info": {} });
        cent.result("SubscribeRequest", parameters);
        ann.assert_undisturbed();
        cent.result(
            "UnsubscribeRequest",
            json!({ "user": "ann", "channel": "news" }),
        );
        assert_eq!(ann.error().1, 1008);
        let mut ann = subscriber(server, "news");
        let disconnect = json!({ "code": 4000, "reason": "enough" });
        let parameters = json!({ "user": "ann", "disconnect": disconnect });
        cent.result("DisconnectRequest", parameters);
        let (error, code) = ann.error();
        assert_eq!((error.must("message"), code), ("enough", 4000));
    });
}

#[test]
fn cent_sends_batches() {
    with_each_client(|_, cent| {
        for parallel in [false, true] {
            let publish = json!({
                "request": "PublishRequest", "parameters": { "channel": "log:a", "data": {} },
            });
            let history = json!({
                "request": "HistoryRequest", "parameters": { "channel": "log:b", "limit": 1 },
            });
            let parameters = json!({ "requests": [publish, history], "parallel": parallel });
            let answer = cent.result("BatchRequest", parameters);
            assert!(answer["replies"][0]["offset"].is_u64(), "{answer}");
            assert_eq!(answer["replies"][1]["publications"], json!([]), "{answer}");
        }
    });
}

#[test]
fn cent_tells_errors_apart() {
    with_each_client(|server, cent| {
        let answer = cent.call("PresenceRequest", json!({ "channel": "news" }));
        assert_eq!(answer["error"], "CentApiResponseError", "{answer}");
        assert_eq!(answer["code"], 108, "{answer}");
        let answer = cent.call("RefreshRequest", json!({ "user": "ann" }));
        assert_eq!(answer["error"], "CentTransportError", "{answer}");
        assert_eq!(answer["status_code"], 404, "{answer}");
        for kind in ["sync", "async"] {
            let answer = Cent::start(kind, server, "another").call("InfoRequest", json!({}));
            assert_eq!(answer["error"], "CentUnauthorizedError", "{answer}");
        }
    });
}
