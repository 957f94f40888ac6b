//! What was measured, as it is written to a file: one file a scenario.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::StalledReport;
use super::hold_ups::HoldUps;
use super::ledger::Counts;
use super::machine::Machine;
use super::scenario::Scenario;

/// The number of this file format.
pub const FORMAT: u32 = 1;

/// All rounds of all targets in one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// [`FORMAT`]
    pub format: u32,
    /// When it began, UTC.
    pub began: String,
    /// The tool's version, and whether it is a debug build.
    pub tool: String,
    /// Where.
    pub machine: Machine,
    /// The servers' cores.
    pub server_cores: Vec<usize>,
    /// The client's cores.
    pub client_cores: Vec<usize>,
    /// How long the machine held those cores up while nothing was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_ups: Vec<HoldUps>,
    /// What was done.
    pub scenario: Scenario,
    /// Rounds that were wanted.
    pub rounds: u32,
    /// Whether somebody ended it early.
    pub stopped: bool,
    /// Whom to, in the order of the command line.
    pub targets: Vec<TargetResult>,
}

/// One target's rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetResult {
    /// The name on the command line.
    pub name: String,
    /// The name in tables.
    pub title: String,
    /// What its version command said.
    pub version: String,
    /// The protocol spoken.
    pub protocol: super::protocol::Protocol,
    /// What a reader must know.
    pub caveat: String,
    /// Settings and build flags.
    pub tuned: String,
    /// Whether it cannot use more than one core.
    pub single_threaded: bool,
    /// Rounds that were measured.
    pub runs: Vec<Run>,
    /// Rounds that were not, and why.
    pub failures: Vec<Failure>,
    /// Latency by percentile over all rounds: percentile (0 to 100) and microseconds.
    pub distribution: Vec<(f64, f64)>,
}

/// A round that could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// From 1.
    pub round: u32,
    /// One line.
    pub why: String,
}

/// One round. What a kind of scenario does not measure is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// From 1.
    pub round: u32,
    /// What arrived, and what should not have: over the whole run, warm-up included.
    pub counts: Counts,
    /// Close codes of the connections that ended, with how often each came.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub closes: BTreeMap<u16, u64>,
    /// Deliveries that were measured, and in how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadFigures>,
    /// How long a delivery took, from when its message was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Percentiles>,
    /// How connections were opened.
    pub connect: ConnectFigures,
    /// The server's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryFigures>,
    /// CPU that the server took while nothing happened, in milliseconds a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_cpu_ms_per_s: Option<f64>,
    /// What became of those that did not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<StalledReport>,
    /// Those that came and left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<ChurnFigures>,
}

/// A load and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadFigures {
    /// Publications made.
    pub published: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// From the first publication to the last delivery.
    pub wall_s: f64,
    /// Deliveries a second.
    pub deliveries_per_s: f64,
    /// The server's CPU time, all its processes.
    pub cpu_ns_per_delivery: Option<f64>,
    /// The share of its cores that the server took.
    pub server_busy: Option<f64>,
    /// The share of the server's cores that somebody else took.
    pub others_busy: Option<f64>,
    /// The share of its time in which the client's busiest thread found something to do.
    pub client_busy: f64,
    /// Bytes received for each delivery, all headers below TCP's left out.
    pub wire_bytes_per_delivery: f64,
    /// How late publications were made: the 99th percentile and the longest, in microseconds.
    pub late_p99_us: f64,
    /// The same.
    pub late_max_us: f64,
    /// Whether it was given up before everything had arrived.
    pub gave_up: bool,
    /// Publications that the server refused.
    pub refused: u64,
    /// In its words, the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_refusal: Option<String>,
}

/// Percentiles of times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50_us: f64,
    /// 90 % are no longer.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// How connections were opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectFigures {
    /// Open and subscribed.
    pub open: u64,
    /// Refused.
    pub failed: u64,
    /// Why the first was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// Connections a second, subscription included.
    pub per_s: f64,
    /// The server's CPU time for each, in microseconds.
    pub cpu_us_each: Option<f64>,
    /// From SYN to subscription.
    pub opening: Percentiles,
    /// How many agreed to compression.
    pub compressed: u64,
}

/// Memory of the server's processes, their proportional set size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryFigures {
    /// Without connections.
    pub empty_bytes: u64,
    /// With all connections, before anything was published.
    pub connected_bytes: u64,
    /// After the load.
    pub after_bytes: u64,
    /// For each subscriber, before anything was published.
    pub bytes_per_connection: f64,
}

/// Those that came and left while others were served.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChurnFigures {
    /// Left.
    pub left: u64,
    /// Came and received something.
    pub joined: u64,
    /// Came and were refused.
    pub failed: u64,
    /// From SYN to the first message.
    pub first_message: Percentiles,
}

impl Run {
    /// Whether every publication reached every subscriber once, in order and unchanged, and nothing was refused or given up.
    pub fn is_clean(&self) -> bool {
        self.counts.are_clean()
            && self.connect.failed == 0
            && self
                .load
                .as_ref()
                .is_none_or(|load| !load.gave_up && load.refused == 0)
            && self.churn.as_ref().is_none_or(|churn| churn.failed == 0)
    }
}

impl TargetResult {
    /// The sum of all rounds' counts.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for run in &self.runs {
            sum += run.counts;
        }
        sum
    }

    /// Title and version; the part of a version that the title has already is not said twice.
    pub fn label(&self) -> String {
        let version = self.version.as_str();
        if version == "unknown" || self.title.contains(version) {
            return self.title.clone();
        }
        let begins_version = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_digit()) && version.starts_with(word)
        };
        match self.title.split(' ').find(begins_version) {
            Some(word) => self.title.replacen(word, version, 1),
            None => format!("{} {version}", self.title),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_the_version_once() {
        for (title, version, label) in [
            ("pushring", "0.1.0", "pushring 0.1.0"),
            ("Bun 1.4", "1.4.5", "Bun 1.4.5"),
            (
                "Centrifuge 0.15 (2021)",
                "0.15.0+git",
                "Centrifuge 0.15.0+git (2021)",
            ),
            ("uWebSockets 20.58", "20.58", "uWebSockets 20.58"),
            ("127.0.0.1:8000", "unknown", "127.0.0.1:8000"),
        ] {
            let json = serde_json::json!({
                "name": "x", "title": title, "version": version, "protocol": "raw", "caveat": "",
                "tuned": "", "single_threaded": false, "runs": [], "failures": [], "distribution": [],
            });
            let target: TargetResult = serde_json::from_value(json).unwrap();
            assert_eq!(target.label(), label);
        }
    }
}
