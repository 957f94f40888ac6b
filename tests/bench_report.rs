//! The report of `pushring bench` in a real Chromium: on a telephone and on a desk, light and dark.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use pushring::bench::client::StalledReport;
use pushring::bench::ledger::Counts;
use pushring::bench::machine::Machine;
use pushring::bench::protocol::Protocol;
use pushring::bench::report::page;
use pushring::bench::result::{
    ChurnFigures, ConnectFigures, FORMAT, Failure, LoadFigures, MemoryFigures, Percentiles, Run,
    ScenarioResult, TargetResult,
};
use pushring::bench::scenario::{Kind, Scenario};

/// A round whose figures grow with `scale`.
fn run(round: u32, scale: f64) -> Run {
    let scale = scale * (1.0 + f64::from(round) / 10.0);
    let percentiles = Percentiles {
        p50_us: 40.0 * scale,
        p90_us: 90.0 * scale,
        p99_us: 400.0 * scale,
        p999_us: 2_000.0 * scale,
        max_us: 9_000.0 * scale,
    };
    Run {
        round,
        counts: Counts {
            delivered: 1_234_567,
            ..Counts::default()
        },
        load: Some(LoadFigures {
            published: 1_000,
            deliveries: 1_234_567,
            wall_s: 3.0,
            deliveries_per_s: 400_000.0 / scale,
            cpu_ns_per_delivery: Some(4_000.0 * scale),
            server_busy: Some(0.95),
            others_busy: Some(0.01),
            client_busy: 0.5,
            wire_bytes_per_delivery: 130.0,
            ..LoadFigures::default()
        }),
        latency: Some(percentiles),
        connect: ConnectFigures {
            open: 1_000,
            per_s: 20_000.0 / scale,
            cpu_us_each: Some(20.0 * scale),
            opening: percentiles,
            ..ConnectFigures::default()
        },
        memory: Some(MemoryFigures {
            empty_bytes: 4_000_000,
            connected_bytes: 5_000_000,
            after_bytes: 5_500_000,
            bytes_per_connection: 250.0 * scale,
        }),
        idle_cpu_ms_per_s: Some(0.5),
        ..Run::default()
    }
}

fn target(name: &str, title: &str, version: &str, scale: f64) -> TargetResult {
    let steps = (0..60_i32).map(f64::from);
    TargetResult {
        name: name.to_owned(),
        title: title.to_owned(),
        version: version.to_owned(),
        protocol: Protocol::Raw,
        caveat: format!("the caveat of {name}, <b>told</b> & escaped"),
        tuned: "g++ -O3 -flto -march=native, one App a core, no TLS, no zlib".to_owned(),
        single_threaded: false,
        runs: (1..=3).map(|round| run(round, scale)).collect(),
        failures: Vec::new(),
        distribution: steps
            .map(|step| {
                (
                    100.0 * (1.0 - 0.5_f64.powf(step / 3.0)),
                    30.0 * scale * (1.0 + step * step),
                )
            })
            .collect(),
    }
}

fn result(name: &str, kind: Kind) -> ScenarioResult {
    let mut scenario = Scenario::of_kind(kind);
    scenario.name = name.to_owned();
    scenario.title = format!("The title of {name}");
    ScenarioResult {
        format: FORMAT,
        began: "2026-01-31T12:00:00Z".to_owned(),
        tool: "pushring 0.1.0".to_owned(),
        machine: Machine {
            kernel: "6.18.0".to_owned(),
            cpu: "A processor with quite a long name @ 3.50GHz".to_owned(),
            cores: 2,
            congestion_control: "bbr".to_owned(),
        },
        server_cores: vec![0],
        hold_ups: Vec::new(),
        client_cores: vec![1],
        scenario,
        rounds: 3,
        stopped: false,
        targets: vec![
            target("pushring", "pushring", "0.1.0", 1.0),
            target("uwebsockets", "uWebSockets 20.58", "20.58", 1.6),
            target(
                "centrifuge-2021",
                "Centrifuge 0.15 (2021)",
                "0.15.0+git20210306.f435ba2-2",
                3.0,
            ),
            target("rabbitmq", "RabbitMQ Web-STOMP", "3.10.8-1.1+deb12u1", 40.0),
        ],
    }
}

/// One scenario of each kind; in the first something was not clean, in another something was not measured.
fn results() -> Vec<ScenarioResult> {
    let mut fanout = result("one-at-a-time", Kind::Fanout);
    let bad = &mut fanout.targets[2].runs[1];
    (bad.counts.lost, bad.counts.doubled, bad.counts.closed) = (1_017, 3, 2);
    bad.closes = BTreeMap::from([(1013, 2)]);
    let mut stalled = result("stalled", Kind::Latency);
    stalled.scenario.stalled_permille = 10;
    for run in &mut stalled.targets[0].runs {
        run.stalled = Some(StalledReport {
            subscribers: 10,
            closed: BTreeMap::from([(1013, 10)]),
            ..StalledReport::default()
        });
    }
    let mut churn = result("churn", Kind::Churn);
    churn.scenario.churn_per_second = 50;
    for run in &mut churn.targets[1].runs {
        run.churn = Some(ChurnFigures {
            left: 150,
            joined: 149,
            ..ChurnFigures::default()
        });
    }
    churn.targets[3].runs.clear();
    churn.targets[3].distribution.clear();
    churn.targets[3].failures.push(Failure {
        round: 1,
        why: "port 18000 was not ready in 15000 ms; its last words: <script>alert(1)</script>"
            .to_owned(),
    });
    let idle = result("idle", Kind::Idle);
    vec![
        fanout,
        stalled,
        churn,
        idle,
        result("connect-storm", Kind::Connect),
    ]
}

#[test]
fn the_report_in_chromium_at_two_widths_and_in_both_schemes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-report.html");
    std::fs::write(&file, page(&results())).unwrap();
    let Output { status, stderr, .. } = Command::new("node")
        .arg(root.join("tests/browser/bench_report.mjs"))
        // It has no server.
        .arg("127.0.0.1:9")
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("cannot run node: {error}: run tests/install-tools"));
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn the_report_stands_alone() {
    let page = page(&results());
    for word in [
        "<script", "src=", "href=", "@import", "url(", "http://", "https://",
    ] {
        assert!(!page.contains(word), "{word}");
    }
}
