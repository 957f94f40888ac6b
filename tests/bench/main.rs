//! `pushring bench` believed by nobody: servers that lose, double, reorder, falsify, pause, refuse and close on purpose, and the
//! tool must say so with exact counts.

#![forbid(unsafe_code)]

mod faulty;

use std::path::PathBuf;
use std::process::{Command, Output};

use faulty::{Action, Ending, Faulty, Manners, Message};
use pushring::bench::result::{Run, ScenarioResult};

/// What the tool said and measured.
struct Measured {
    result: ScenarioResult,
    code: Option<i32>,
    out: String,
}

impl Measured {
    fn run(&self) -> &Run {
        let target = &self.result.targets[0];
        assert!(target.failures.is_empty(), "{:?}", target.failures);
        &target.runs[0]
    }

    /// Whether the line of an alarm has these words.
    fn alarms(&self, words: &str) -> bool {
        let mut lines = self.out.lines();
        lines.any(|line| line.starts_with("! ") && line.contains(words))
    }
}

/// 100 messages of warm-up, one a millisecond, to four subscribers; and 200 that are measured.
const LOAD: [&str; 6] = ["--subscribers", "4", "--rate", "1000", "--warmup-ms", "100"];
const MEASURE: [&str; 2] = ["--measure-ms", "200"];

fn measure(name: &str, server: &Faulty, kind: &str, more: &[&str]) -> Measured {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}"));
    // Of an earlier day.
    let _ = std::fs::remove_dir_all(&folder);
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_pushring"))
        .args([
            "bench",
            kind,
            "--quiet",
            "--rounds",
            "1",
            "--patience-ms",
            "2000",
        ])
        .args(["--target", &server.url("ws", "/sub/{channel}")])
        .args(["--pid", &std::process::id().to_string()])
        .arg("--out")
        .arg(&folder)
        .args(more)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    let file = folder.join(format!("{kind}.json"));
    let json = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}: {status}: {stderr}", file.display()));
    Measured {
        result: serde_json::from_str(&json).unwrap(),
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
    }
}

/// Over WebSocket, the default load.
fn latency(name: &str, server: &Faulty, more: &[&str]) -> Measured {
    let publish = server.url("ws", "/pub/{channel}");
    let measured: &[&str] = match more.contains(&MEASURE[0]) {
        true => &[],
        false => &MEASURE,
    };
    let all = [&["--publish", &publish][..], &LOAD, measured, more].concat();
    measure(name, server, "latency", &all)
}

#[test]
fn a_faultless_server_is_clean_and_every_delivery_is_counted() {
    let server = Faulty::start(|message: Message<'_>| vec![Action::send(message.payload)]);
    let measured = latency("faultless", &server, &[]);
    let counts = measured.run().counts;
    assert!(counts.are_clean(), "{counts:?}");
    assert_eq!(counts.delivered, 4 * 300);
    assert_eq!(measured.run().load.as_ref().unwrap().published, 200);
    assert_eq!(measured.run().load.as_ref().unwrap().deliveries, 800);
    assert!(
        measured
            .run()
            .load
            .as_ref()
            .unwrap()
            .cpu_ns_per_delivery
            .unwrap()
            > 0.0
    );
    assert_eq!(measured.code, Some(0), "{}", measured.out);
    assert!(!measured.alarms("NOT CLEAN"));
}

#[test]
fn lost_doubled_reordered_and_foreign_deliveries_are_counted_exactly() {
    let mut held = Vec::new();
    let server = Faulty::start(move |message: Message<'_>| {
        let payload = message.payload;
        match (message.subscriber, message.sequence % 10) {
            (0, 3) => vec![],
            (1, 5) => vec![Action::send(payload), Action::send(payload)],
            (2, 6) => {
                held = payload.to_vec();
                vec![]
            }
            (2, 7) => vec![Action::send(payload), Action::send(&held)],
            (3, 8) => {
                let mut changed = payload.to_vec();
                changed[60] ^= 1;
                vec![Action::send(&changed), Action::send(payload)]
            }
            _ => vec![Action::send(payload)],
        }
    });
    let measured = latency("faults", &server, &[]);
    let counts = measured.run().counts;
    // A tenth of 300 each.
    assert_eq!(
        (
            counts.lost,
            counts.doubled,
            counts.reordered,
            counts.foreign
        ),
        (30, 30, 30, 30)
    );
    assert_eq!((counts.delivered, counts.closed), (4 * 300 - 30, 0));
    assert_eq!(measured.code, Some(1));
    let words = "NOT CLEAN: 30 lost, 30 doubled, 30 reordered, 30 foreign beside 1,170 deliveries";
    assert!(measured.alarms(words), "{}", measured.out);
    let page = pushring::bench::report::page(std::slice::from_ref(&measured.result));
    assert!(page.contains(words), "{page}");
    let table = pushring::bench::markdown::table(std::slice::from_ref(&measured.result));
    assert!(table.contains("*not clean*"), "{table}");
}

#[test]
fn deliveries_of_another_channel_are_foreign() {
    // Everybody gets everything, whatever they subscribed to.
    let server = Faulty::start(|message: Message<'_>| vec![Action::send(message.payload)]);
    let measured = latency("channels", &server, &["--channels", "2"]);
    let counts = measured.run().counts;
    // 150 messages on each channel; two subscribers are on each.
    assert_eq!((counts.delivered, counts.foreign), (4 * 150, 4 * 150));
    assert_eq!((counts.lost, counts.doubled, counts.reordered), (0, 0, 0));
}

#[test]
fn a_closed_connection_is_counted_with_its_code_and_what_it_missed() {
    let server =
        Faulty::start(
            |message: Message<'_>| match (message.subscriber, message.sequence) {
                (2, 150) => vec![Action::Close(1008)],
                _ => vec![Action::send(message.payload)],
            },
        );
    let measured = latency("closes", &server, &[]);
    let counts = measured.run().counts;
    assert_eq!((counts.closed, counts.lost), (1, 150));
    assert_eq!(measured.run().closes.get(&1008), Some(&1));
    assert!(
        measured.alarms("1 connections closed (1 × 1008)"),
        "{}",
        measured.out
    );
}

/// A server that pauses makes those messages late that come due meanwhile, not only the one that it was busy with.
#[test]
fn latency_counts_from_when_a_message_was_due() {
    const PAUSE_MS: u64 = 400;
    let server = Faulty::start(|message: Message<'_>| {
        if (message.subscriber, message.sequence) == (0, 300) {
            std::thread::sleep(std::time::Duration::from_millis(PAUSE_MS));
        }
        vec![Action::send(message.payload)]
    });
    let measured = latency("pause", &server, &["--measure-ms", "1000"]);
    let latency = measured.run().latency.unwrap();
    // 400 of 1,000 messages came due while it slept: a tenth of all waited for 300 ms and more.
    assert!(latency.p90_us > 250_000.0, "{latency:?}");
    assert!(latency.max_us > 390_000.0, "{latency:?}");
    assert_eq!(measured.run().load.as_ref().unwrap().published, 1_000);
    assert!(measured.run().counts.are_clean());
}

#[test]
fn publications_that_are_refused_are_counted_and_quoted() {
    let server = Faulty::start(|message: Message<'_>| match message.sequence % 10 {
        4 => vec![Action::Refuse],
        _ => vec![Action::send(message.payload)],
    });
    let publish = server.url("http", "/pub/{channel}");
    let all = [&["--publish", &publish][..], &LOAD, &MEASURE].concat();
    let measured = measure("refuses", &server, "latency", &all);
    let load = measured.run().load.as_ref().unwrap();
    assert_eq!(load.refused, 30);
    assert!(load.first_refusal.as_ref().unwrap().contains("503"));
    assert_eq!(measured.run().counts.lost, 4 * 30);
    assert!(
        measured.alarms("30 publications were refused"),
        "{}",
        measured.out
    );
}

/// A faultless server that closes publishing connections.
fn ending(ending: Ending) -> Faulty {
    let manners = Manners {
        ending,
        ..Manners::default()
    };
    Faulty::start_with(manners, |message: Message<'_>| {
        vec![Action::send(message.payload)]
    })
}

/// Over HTTP, as many messages as a window of that many lets through.
fn window(name: &str, server: &Faulty, window: &str) -> Measured {
    let publish = server.url("http", "/pub/{channel}");
    let load = ["--publish", &publish, "--subscribers", "3"];
    let all = [
        &load[..],
        &["--window", window, "--warmup-ms", "50"],
        &MEASURE,
    ]
    .concat();
    measure(name, server, "fanout", &all)
}

#[test]
fn a_publisher_whose_connection_ends_behind_every_answer_connects_anew_and_repeats_nothing() {
    let server = ending(Ending::Announced);
    let publish = server.url("http", "/pub/{channel}");
    let all = [&["--publish", &publish][..], &LOAD, &MEASURE].concat();
    let measured = measure("announced", &server, "latency", &all);
    let counts = measured.run().counts;
    assert!(counts.are_clean(), "{counts:?}");
    assert_eq!(counts.delivered, 4 * 300);
    assert_eq!(measured.run().load.as_ref().unwrap().refused, 0);
    assert_eq!(measured.code, Some(0), "{}", measured.out);
}

/// The server takes one of each eight that were sent at once: the others must come again, in their order.
#[test]
fn requests_behind_the_last_answer_of_a_connection_are_sent_on_the_next() {
    let measured = window("announced-window", &ending(Ending::Announced), "8");
    let counts = measured.run().counts;
    assert!(counts.are_clean(), "{counts:?}");
    let load = measured.run().load.as_ref().unwrap();
    assert!(load.published > 16, "{load:?}");
    assert_eq!(load.deliveries, 3 * load.published);
    assert!(!load.gave_up);
}

#[test]
fn a_connection_that_ends_between_two_publications_is_no_loss() {
    let measured = window("silent-end", &ending(Ending::Silent), "1");
    let counts = measured.run().counts;
    assert!(counts.are_clean(), "{counts:?}");
    let load = measured.run().load.as_ref().unwrap();
    assert!(load.published > 2, "{load:?}");
    assert_eq!(load.deliveries, 3 * load.published);
}

#[test]
fn a_connection_that_ends_within_an_answer_is_a_failure() {
    let measured = window("torn", &ending(Ending::Torn), "1");
    let failures = &measured.result.targets[0].failures;
    let words =
        "the publishing connection was lost: the server closed it in the middle of an answer";
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].why.contains(words), "{failures:?}");
}

#[test]
fn connections_that_are_refused_are_counted_and_quoted() {
    let manners = Manners {
        refuses_every: 5,
        ..Manners::default()
    };
    let server = Faulty::start_with(manners, |message: Message<'_>| {
        vec![Action::send(message.payload)]
    });
    let measured = measure("connects", &server, "connect", &["--subscribers", "20"]);
    let connect = &measured.run().connect;
    assert_eq!((connect.open, connect.failed), (16, 4));
    assert!(connect.first_failure.as_ref().unwrap().contains("503"));
    assert!(
        measured.alarms("4 connections were not opened"),
        "{}",
        measured.out
    );
    assert_eq!(measured.code, Some(1));
}

/// The second of four stops reading; this server sends it nothing for a while and says nothing of it.
#[test]
fn what_one_that_stopped_reading_misses_without_a_word_is_told() {
    let server =
        Faulty::start(
            |message: Message<'_>| match (message.subscriber, message.sequence) {
                (1, 120..170) => vec![],
                _ => vec![Action::send(message.payload)],
            },
        );
    let measured = latency("stalled", &server, &["--stalled-permille", "250"]);
    let stalled = measured.run().stalled.as_ref().unwrap();
    assert_eq!(
        (stalled.subscribers, stalled.incomplete, stalled.missed),
        (1, 1, 50)
    );
    assert_eq!(
        stalled.received, 149,
        "the first after the gap is not in order"
    );
    assert!(measured.run().counts.are_clean(), "the others lack nothing");
    assert!(
        measured.alarms("50 messages missing without a word"),
        "{}",
        measured.out
    );
}

#[test]
fn a_server_that_stops_delivering_is_given_up_with_a_word() {
    let server = Faulty::start(|message: Message<'_>| match message.sequence {
        0..20 => vec![Action::send(message.payload)],
        _ => vec![],
    });
    let publish = server.url("ws", "/pub/{channel}");
    let measured = measure(
        "silent",
        &server,
        "fanout",
        &["--publish", &publish, "--subscribers", "3", "--window", "4"],
    );
    assert!(measured.run().load.as_ref().unwrap().gave_up);
    assert_eq!(measured.run().counts.delivered, 3 * 20);
    assert_eq!(measured.run().counts.lost, 3 * 4);
    assert!(measured.alarms("given up"), "{}", measured.out);
}

#[test]
fn subscribers_that_come_and_go_owe_what_they_were_there_for() {
    let server = Faulty::start(|message: Message<'_>| {
        // One of those that are there at the beginning loses something before anybody leaves.
        match (message.subscriber, message.sequence) {
            (0, 50) => vec![],
            _ => vec![Action::send(message.payload)],
        }
    });
    let publish = server.url("ws", "/pub/{channel}");
    let load = [
        &["--publish", &publish, "--churn-per-second", "100"][..],
        &LOAD,
        &MEASURE,
    ]
    .concat();
    let measured = measure("churn", &server, "churn", &load);
    let churn = measured.run().churn.as_ref().unwrap();
    assert!(churn.left >= 10 && churn.left <= 20, "{churn:?}");
    assert!(churn.joined > 0 && churn.joined <= churn.left, "{churn:?}");
    assert_eq!(churn.failed, 0);
    let counts = measured.run().counts;
    assert_eq!(
        (counts.lost, counts.doubled, counts.foreign, counts.closed),
        (1, 0, 0, 0)
    );
}
