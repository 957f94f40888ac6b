//! Prometheus and Grafana: what they ask for is there, and a real Prometheus scrapes the real server with the files as they are.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::proxies::server_program;
use super::{file, folder, printed, text};
use crate::support::DEADLINE;
use crate::support::http::Http;
use crate::support::server::{Options, Server, free_address};

const ALERTS: &str = "tuning/prometheus/alerts.yml";
const SCRAPE: &str = "tuning/prometheus/prometheus.yml";
const DASHBOARD: &str = "tuning/grafana/pushring.json";

/// A metric that an expression names, with the labels that it asks for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Selector {
    metric: String,
    /// As they stand in the text of a scrape: `reason="full"`.
    labels: Vec<String>,
}

/// The selectors of pushring's metrics in a text.
fn selectors(text: &str) -> BTreeSet<Selector> {
    let mut selectors = BTreeSet::new();
    for (at, _) in text.match_indices("pushring_") {
        let rest = &text[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_lowercase() && c != '_')
            .unwrap_or(rest.len());
        let (metric, rest) = rest.split_at(end);
        let labels = rest
            .strip_prefix('{')
            .and_then(|rest| rest.split('}').next());
        // Only what must be equal: the other matches are variables of the dashboard.
        let labels = labels
            .unwrap_or_default()
            .split(", ")
            .filter(|label| label.contains("=\"") && !label.contains("=~"))
            .map(str::to_owned)
            .collect();
        selectors.insert(Selector {
            metric: metric.to_owned(),
            labels,
        });
    }
    selectors
}

/// The queries of the dashboard's panels, and its variable's.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<String> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(queries.len() >= panels.len());
    queries
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_one_of_the_server() {
    let server = Server::start(Options::default());
    let metrics = server.http().get("/metrics").text();
    let samples: Vec<(&str, &str)> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('{'))
        .collect();
    let alerts = text(ALERTS);
    let rules: String = alerts
        .lines()
        .filter(|line| {
            let line = line.trim_start();
            !["#", "summary:", "action:"]
                .iter()
                .any(|no| line.starts_with(no))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let variables = dashboard["templating"].to_string();
    let mut asked = selectors(&rules);
    asked.extend(
        dashboard_queries()
            .iter()
            .flat_map(|query| selectors(query)),
    );
    asked.extend(selectors(&variables));
    assert!(asked.len() > 20, "{asked:?}");
    for Selector { metric, labels } in &asked {
        let is_there = samples.iter().any(|(name, sample)| {
            name == metric && labels.iter().all(|label| sample.contains(label.as_str()))
        });
        assert!(is_there, "{metric} with {labels:?} is not in /metrics");
    }
}

#[test]
fn selectors_are_found_with_their_labels() {
    let found =
        selectors(r#"rate(pushring_a_total{instance=~"$i", kind="x"}[1m]) / pushring_b > 1"#);
    let expected = [
        Selector {
            metric: "pushring_a_total".to_owned(),
            labels: vec!["kind=\"x\"".to_owned()],
        },
        Selector {
            metric: "pushring_b".to_owned(),
            labels: Vec::new(),
        },
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn promtool_finds_no_mistake_in_job_and_alerts() {
    let said = printed(
        Command::new(server_program("promtool"))
            .args(["check", "config", "--lint-fatal"])
            .arg(file(SCRAPE)),
    );
    assert!(said.contains("10 rules found"), "{said}");
}

/// When each alert fires and when it does not stands in tests/tuning/alerts.yml.
#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let tests = "tests/tuning/alerts.yml";
    let said = printed(
        Command::new(server_program("promtool"))
            .args(["test", "rules"])
            .arg(file(tests)),
    );
    assert!(said.contains("SUCCESS"), "{said}");
    let tests = text(tests);
    for alert in alerts() {
        let block = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels:");
        assert!(tests.contains(&block), "{alert} is not seen to fire");
        let quiet = format!("alertname: {alert}, exp_alerts: []");
        assert!(tests.contains(&quiet), "{alert} is not seen to be quiet");
    }
}

fn alerts() -> Vec<String> {
    let alerts: Vec<String> = text(ALERTS)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .map(str::to_owned)
        .collect();
    assert!(alerts.len() >= 5);
    alerts
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
    http: Http,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// With the files as they are, but for the address of the server.
    fn start(server: &Server) -> Self {
        let folder = folder("prometheus");
        let target = server.addresses.internal.to_string();
        let scrape = text(SCRAPE).replace("127.0.0.1:8001", &target);
        assert!(scrape.contains(&target));
        fs::write(folder.join("prometheus.yml"), scrape).unwrap();
        fs::copy(file(ALERTS), folder.join("alerts.yml")).unwrap();
        let address = free_address();
        let child = Command::new(server_program("prometheus"))
            .current_dir(&folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let until = Instant::now() + DEADLINE;
        let http = loop {
            match Http::try_connect(address) {
                Ok(http) => break http,
                Err(error) => assert!(Instant::now() < until, "Prometheus: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Self {
            child,
            address,
            http,
        }
    }

    /// What the API answers to a query; `None` while it is not ready.
    fn query(&mut self, query: &str) -> Option<Value> {
        let body = format!("query={}", percent_encoded(query));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = self
            .http
            .request("POST", "/api/v1/query", &form, body.as_bytes());
        if answer.status == 503 {
            return None;
        }
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        Some(answer.json()["data"]["result"].clone())
    }

    /// Waits for a query to have a result.
    fn result(&mut self, query: &str) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.query(query) {
                Some(result) if result.as_array().is_some_and(|all| !all.is_empty()) => {
                    return result;
                }
                _ => assert!(Instant::now() < until, "{query} has no result"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn a_real_prometheus_scrapes_the_server_and_answers_every_query_of_the_dashboard() {
    let server = Server::start(Options::default());
    let mut prometheus = Prometheus::start(&server);
    let up = prometheus.result("up{job=\"pushring\"} == 1");
    let instance = server.addresses.internal.to_string();
    assert_eq!(up[0]["metric"]["instance"], instance.as_str());
    // The answer is longer than one piece, which the tests' own client does not put together.
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail"]);
    let rules = printed(curl.arg(format!("http://{}/api/v1/rules", prometheus.address)));
    let rules: Value = serde_json::from_str(&rules).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    let loaded: Vec<&str> = rules
        .iter()
        .filter_map(|rule| rule["name"].as_str())
        .collect();
    assert_eq!(loaded, alerts());
    for query in dashboard_queries() {
        let query = query
            .replace("$instance", &instance)
            .replace("$__rate_interval", "20s");
        assert!(prometheus.query(&query).is_some(), "{query}");
    }
    let connections = format!("sum(pushring_connections{{instance=\"{instance}\"}})");
    assert_eq!(prometheus.result(&connections)[0]["value"][1], "0");
}

#[test]
fn the_panels_of_the_dashboard_stand_side_by_side_and_say_what_they_show() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title} stands on another");
            }
        }
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
        assert!(!title.is_empty() && !unit.is_empty());
    }
}
