//! What has to be said beside a target's figures.

use super::result::{LoadFigures, Run, ScenarioResult, TargetResult};
use super::scenario::{Kind, thousands};

/// Below this share of use of the servers' cores, they were not what limited a run.
const CORES_BUSY_MIN: f64 = 0.9;
/// Above this share the client was.
const CLIENT_BUSY_MAX: f64 = 0.9;
/// Others on the servers' cores are worth a word from this share on.
const OTHERS_BUSY_MAX: f64 = 0.05;
/// Publications later than this, in microseconds, are the client's share of the latencies.
const LATE_US_MAX: f64 = 1_000.0;

/// One sentence about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Whether it means that figures must not be used, or only with care.
    pub is_alarm: bool,
    /// Whether it is the caveat of the target's file, true of every run.
    pub is_caveat: bool,
    /// Without the target's name.
    pub text: String,
}

fn alarm(text: String) -> Remark {
    Remark {
        is_alarm: true,
        is_caveat: false,
        text,
    }
}

fn note(text: String) -> Remark {
    Remark {
        is_alarm: false,
        is_caveat: false,
        text,
    }
}

/// All remarks about a target, the alarms first.
pub fn remarks(result: &ScenarioResult, target: &TargetResult) -> Vec<Remark> {
    let mut remarks = Vec::new();
    failures(target, &mut remarks);
    not_clean(target, &mut remarks);
    loads(result, target, &mut remarks);
    stalled(target, &mut remarks);
    if result.scenario.deflate {
        let compressed = |run: &Run| run.connect.compressed >= run.connect.open;
        if !target.runs.is_empty() && !target.runs.iter().all(compressed) {
            remarks.push(note(
                "did not agree to compression: measured without".to_owned(),
            ));
        }
    }
    if target.single_threaded && result.server_cores.len() > 1 {
        let cores = result.server_cores.len();
        remarks.push(note(format!(
            "uses one of the {cores} cores that it was given"
        )));
    }
    if !target.caveat.is_empty() {
        remarks.push(Remark {
            is_caveat: true,
            ..note(target.caveat.clone())
        });
    }
    remarks.sort_by_key(|remark| !remark.is_alarm);
    remarks
}

fn failures(target: &TargetResult, remarks: &mut Vec<Remark>) {
    for failure in &target.failures {
        let why = &failure.why;
        remarks.push(alarm(match failure.round {
            0 => format!("not measured: {why}"),
            round => format!("not measured in round {round}: {why}"),
        }));
    }
}

/// What was not as it has to be, with exact counts.
fn not_clean(target: &TargetResult, remarks: &mut Vec<Remark>) {
    let counts = target.counts();
    if !counts.are_clean() {
        let mut parts = Vec::new();
        for (count, word) in [
            (counts.lost, "lost"),
            (counts.doubled, "doubled"),
            (counts.reordered, "reordered"),
            (counts.foreign, "foreign"),
        ] {
            if count > 0 {
                parts.push(format!("{} {word}", thousands(count)));
            }
        }
        if counts.closed > 0 {
            let codes: Vec<String> = close_codes(target)
                .into_iter()
                .map(|(code, count)| format!("{count} × {code}"))
                .collect();
            let codes = codes.join(", ");
            parts.push(format!(
                "{} connections closed ({codes})",
                thousands(counts.closed)
            ));
        }
        let delivered = thousands(counts.delivered);
        remarks.push(alarm(format!(
            "NOT CLEAN: {} beside {delivered} deliveries; its figures are of a server that did not do all the work",
            parts.join(", ")
        )));
    }
    for run in &target.runs {
        let round = run.round;
        if run.connect.failed > 0 {
            let why = run.connect.first_failure.as_deref().unwrap_or_default();
            let failed = thousands(run.connect.failed);
            remarks.push(alarm(format!(
                "round {round}: {failed} connections were not opened; the first: {why}"
            )));
        }
        if let Some(load) = run.load.as_ref().filter(|load| load.gave_up) {
            remarks.push(alarm(format!(
                "round {round}: given up after {:.1} s: deliveries stopped coming",
                load.wall_s
            )));
        }
        if let Some(load) = run.load.as_ref().filter(|load| load.refused > 0) {
            let why = load.first_refusal.as_deref().unwrap_or_default();
            let refused = thousands(load.refused);
            remarks.push(alarm(format!(
                "round {round}: {refused} publications were refused; the first: {why}"
            )));
        }
        if let Some(churn) = run.churn.as_ref().filter(|churn| churn.failed > 0) {
            remarks.push(alarm(format!(
                "round {round}: {} newcomers were refused",
                churn.failed
            )));
        }
    }
}

fn close_codes(target: &TargetResult) -> std::collections::BTreeMap<u16, u64> {
    let mut codes = std::collections::BTreeMap::new();
    for (code, count) in target.runs.iter().flat_map(|run| &run.closes) {
        *codes.entry(*code).or_default() += count;
    }
    codes
}

/// Who was the limit, and how much the client spoilt.
fn loads(result: &ScenarioResult, target: &TargetResult, remarks: &mut Vec<Remark>) {
    let loads: Vec<&LoadFigures> = target
        .runs
        .iter()
        .filter_map(|run| run.load.as_ref())
        .collect();
    let rounds = loads.len();
    let in_rounds =
        |is: &dyn Fn(&LoadFigures) -> bool| loads.iter().filter(|load| is(load)).count();
    let by_client = in_rounds(&|load| load.client_busy > CLIENT_BUSY_MAX && has_room(load));
    if by_client > 0 && result.scenario.kind == Kind::Fanout {
        remarks.push(note(format!(
            "the load generator, not the server, was the limit in {by_client} of {rounds} rounds: deliveries a second and \
             latency are its own, CPU per delivery holds"
        )));
    }
    let late = in_rounds(&|load| load.late_p99_us > LATE_US_MAX);
    if late > 0 && result.scenario.kind != Kind::Fanout {
        let worst = loads
            .iter()
            .map(|load| load.late_p99_us)
            .fold(0.0, f64::max);
        remarks.push(alarm(format!(
            "the load generator published late in {late} of {rounds} rounds (99th percentile up to {worst:.0} µs): latencies \
             contain that"
        )));
    }
    let others = in_rounds(&|load| load.others_busy.is_some_and(|busy| busy > OTHERS_BUSY_MAX));
    if others > 0 {
        let percent = OTHERS_BUSY_MAX * 100.0;
        remarks.push(note(format!(
            "others took more than {percent:.0} % of the server's cores in {others} of {rounds} rounds"
        )));
    }
}

fn has_room(load: &LoadFigures) -> bool {
    match (load.server_busy, load.others_busy) {
        (Some(server), Some(others)) => server + others < CORES_BUSY_MIN,
        _ => true,
    }
}

fn stalled(target: &TargetResult, remarks: &mut Vec<Remark>) {
    let reports = target.runs.iter().filter_map(|run| run.stalled.as_ref());
    let mut sum = super::client::StalledReport::default();
    for report in reports {
        sum.add(report);
    }
    if sum.subscribers == 0 {
        return;
    }
    let closed: Vec<String> = sum
        .closed
        .iter()
        .map(|(code, count)| format!("{count} closed with {code}"))
        .collect();
    let mut parts = closed;
    if sum.complete > 0 {
        parts.push(format!("{} kept and sent everything later", sum.complete));
    }
    if sum.incomplete > 0 {
        let missed = thousands(sum.missed);
        let words = format!(
            "{} kept, and {missed} messages missing without a word",
            sum.incomplete
        );
        parts.push(words);
    }
    let text = format!(
        "of {} that did not read: {}",
        sum.subscribers,
        parts.join(", ")
    );
    remarks.push(match sum.incomplete {
        0 => note(text),
        _ => alarm(text),
    });
}
