//! Rounds in turn: A B C A B C …, so that a machine whose speed drifts hurts all alike.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::hold_ups::{self, HoldUps};
use super::machine::{Machine, now_utc};
use super::measure::{Bench, RoundError, micros};
use super::progress::Progress;
use super::result::{FORMAT, Failure, ScenarioResult, TargetResult};
use super::scenario::Scenario;
use super::setup::unsuitable;
use super::target::{Target, Threads};

/// Rounds that may fail one after the other before a target is left alone.
const FAILURES_MAX: usize = 2;

/// How long the cores are watched before each round.
const WATCHED: Duration = Duration::from_millis(500);

/// A target that is installed, and its version.
pub struct Contestant {
    /// Its description.
    pub target: Target,
    /// What its version command said.
    pub version: String,
}

/// Where results are kept while a comparison goes on.
pub struct Keeper<'a> {
    /// The folder; `None` to keep nothing.
    pub folder: Option<&'a Path>,
}

impl Keeper<'_> {
    /// Writes a scenario's file anew, whole or not at all.
    fn keep(&self, result: &ScenarioResult) -> Result<(), String> {
        let Some(folder) = self.folder else {
            return Ok(());
        };
        let path = folder.join(format!("{}.json", result.scenario.name));
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let json = serde_json::to_string_pretty(result).map_err(|error| failed(&error))?;
        let beside: PathBuf = path.with_extension("json.new");
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        std::fs::write(&beside, json + "\n").map_err(|error| failed(&error))?;
        std::fs::rename(&beside, &path).map_err(|error| failed(&error))
    }
}

/// Measures all targets in one scenario. What was measured is kept after every round, and returned also when somebody ended it
/// early.
///
/// # Errors
/// When a result cannot be written.
pub fn compare(
    bench: &Bench<'_>,
    scenario: &Scenario,
    contestants: &[Contestant],
    rounds: u32,
    keeper: &Keeper<'_>,
    progress: &mut Progress,
) -> Result<ScenarioResult, String> {
    let mut result = begin(bench, scenario, contestants, rounds);
    let mut latencies: Vec<Histogram<u64>> = contestants
        .iter()
        .map(|_| super::client::histogram())
        .collect();
    for round in 1..=rounds {
        if !result.stopped {
            hold_ups::watch(&mut result.hold_ups, WATCHED);
        }
        for (index, contestant) in contestants.iter().enumerate() {
            let target = &mut result.targets[index];
            if is_hopeless(target) || result.stopped {
                continue;
            }
            progress.of(format!(
                "{} {}, round {round} of {rounds}",
                scenario.name, target.name
            ));
            match bench.round(scenario, &contestant.target, round, progress) {
                Ok(measured) => {
                    target.runs.push(measured.run);
                    // Equal bounds.
                    let _ = latencies[index].add(&measured.latency);
                    target.distribution = distribution(&latencies[index]);
                }
                Err(RoundError::Failed(why)) => target.failures.push(Failure { round, why }),
                Err(RoundError::Stopped) => result.stopped = true,
            }
            result.stopped |= bench.stop.load(Ordering::Relaxed);
            keeper.keep(&result)?;
        }
    }
    progress.finish();
    Ok(result)
}

fn begin(
    bench: &Bench<'_>,
    scenario: &Scenario,
    contestants: &[Contestant],
    rounds: u32,
) -> ScenarioResult {
    let build = if cfg!(debug_assertions) {
        " (debug build)"
    } else {
        ""
    };
    let targets = contestants.iter().map(|Contestant { target, version }| {
        let left_out = unsuitable(scenario, target).map(|why| Failure { round: 0, why });
        TargetResult {
            name: target.name.clone(),
            title: target.title.clone(),
            version: version.clone(),
            protocol: target.protocol,
            caveat: target.caveat.clone(),
            tuned: target.tuned.clone(),
            single_threaded: target.threads == Threads::One,
            runs: Vec::new(),
            failures: left_out.into_iter().collect(),
            distribution: Vec::new(),
        }
    });
    let client_only = |core: &&usize| !bench.server_cores.contains(core);
    let client_cores = bench.client_cores.iter().filter(client_only);
    let hold_ups = bench.server_cores.iter().chain(client_cores);
    ScenarioResult {
        format: FORMAT,
        began: now_utc(),
        tool: format!("pushring {}{build}", env!("CARGO_PKG_VERSION")),
        machine: Machine::read(),
        server_cores: bench.server_cores.to_vec(),
        client_cores: bench.client_cores.to_vec(),
        hold_ups: hold_ups.map(|&core| HoldUps::of(core)).collect(),
        scenario: scenario.clone(),
        rounds,
        stopped: false,
        targets: targets.collect(),
    }
}

/// Whether it cannot be measured at all, or has failed again and again.
fn is_hopeless(target: &TargetResult) -> bool {
    let left_out = target.failures.iter().any(|failure| failure.round == 0);
    left_out || (target.runs.is_empty() && target.failures.len() >= FAILURES_MAX)
}

/// Latency by percentile, closer together towards the end: each step halves what is beyond it.
fn distribution(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    const STEPS_PER_HALF: i32 = 3;
    if latency.is_empty() {
        return Vec::new();
    }
    let mut points = Vec::new();
    for step in 0.. {
        let beyond = 0.5_f64.powf(f64::from(step) / f64::from(STEPS_PER_HALF));
        // What is beyond is less than one delivery.
        if beyond * (latency.len() as f64) < 1.0 {
            break;
        }
        let at = latency.value_at_quantile(1.0 - beyond);
        points.push((round_percentile(100.0 * (1.0 - beyond)), micros(at)));
    }
    points.push((100.0, micros(latency.max())));
    points
}

fn round_percentile(percentile: f64) -> f64 {
    (percentile * 1e6).round() / 1e6
}

/// Reads a result file, or all of a folder in the order of their names.
///
/// # Errors
/// One line with what is wrong and where.
pub fn load_results(path: &Path) -> Result<Vec<ScenarioResult>, String> {
    let mut files = Vec::new();
    if path.is_dir() {
        let entries =
            std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "json")
        }));
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    if files.is_empty() {
        return Err(format!(
            "{}: no result file (*.json) is there; `pushring bench compare --out {}` makes some",
            path.display(),
            path.display()
        ));
    }
    files.iter().map(|file| load_result(file)).collect()
}

fn load_result(file: &Path) -> Result<ScenarioResult, String> {
    let failed = |why: String| format!("{}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let result: ScenarioResult = serde_json::from_str(&text)
        .map_err(|error| failed(format!("this is no result of `pushring bench`: {error}")))?;
    match result.format {
        FORMAT => Ok(result),
        other => Err(failed(format!(
            "it has format {other}, and this version reads {FORMAT}"
        ))),
    }
}
