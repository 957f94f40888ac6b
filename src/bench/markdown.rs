//! The README's table, made from a folder of results.

use std::fmt::Write as _;

use super::metric::{Metric, figure};
use super::result::{ScenarioResult, TargetResult};
use super::scenario::Kind;

/// A Markdown table: a row for each scenario with its first figure (of scenarios at a fixed rate the latency), a column for each target,
/// with the median, and in brackets the ratio to the first target. What was not clean is marked.
pub fn table(results: &[ScenarioResult]) -> String {
    let names = names(results);
    let mut text = String::from("| |");
    for name in &names {
        let label = results.iter().find_map(|result| find(result, name));
        let label = label.map_or(name.clone(), TargetResult::label);
        let _ = write!(text, " {label} |");
    }
    text += "\n| --- |";
    text += &" --- |".repeat(names.len());
    text.push('\n');
    for result in results {
        let metric = Metric::of_scenario(&result.scenario)[0];
        let _ = write!(text, "| {}: {} |", result.scenario.title, metric.heading());
        for name in &names {
            let cell = find(result, name).map_or("–".to_owned(), |target| cell(result, target));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text.push('\n');
    text += &footnote(results);
    text
}

fn find<'a>(result: &'a ScenarioResult, name: &str) -> Option<&'a TargetResult> {
    result.targets.iter().find(|target| target.name == name)
}

/// Targets in the order in which they first come.
fn names(results: &[ScenarioResult]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for target in results.iter().flat_map(|result| &result.targets) {
        if !names.contains(&target.name) {
            names.push(target.name.clone());
        }
    }
    names
}

fn cell(result: &ScenarioResult, target: &TargetResult) -> String {
    let metric = Metric::of_scenario(&result.scenario)[0];
    let Some(spread) = metric.spread(target) else {
        return "–".to_owned();
    };
    let mut cell = figure(spread.median);
    let is_first = result
        .targets
        .first()
        .is_some_and(|first| first.name == target.name);
    if let Some(ratio) = metric
        .ratio(target, &result.targets[0])
        .filter(|_| !is_first)
    {
        let _ = write!(cell, " ({ratio:.2})");
    }
    if !target.runs.iter().all(super::result::Run::is_clean) {
        cell += " *not clean*";
    }
    cell
}

fn footnote(results: &[ScenarioResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let rounds = results
        .iter()
        .map(|result| result.rounds)
        .min()
        .unwrap_or(0);
    let day = first.began.split('T').next().unwrap_or_default();
    let deliveries: u64 = results
        .iter()
        .flat_map(|result| &result.targets)
        .map(|target| target.counts().delivered)
        .sum();
    let latencies = match results
        .iter()
        .any(|result| result.scenario.kind == Kind::Latency)
    {
        true => " Latencies count from when a message was due.",
        false => "",
    };
    format!(
        "Medians of {rounds} rounds in turn on {day} ({}, Linux {}; server on {}, client on {}), in brackets the ratio to {}. All {} \
         deliveries were counted.{latencies}\n",
        first.machine.cpu,
        first.machine.kernel,
        super::table::cores(&first.server_cores),
        super::table::cores(&first.client_cores),
        first
            .targets
            .first()
            .map_or_else(String::new, TargetResult::label),
        super::scenario::thousands(deliveries),
    )
}
