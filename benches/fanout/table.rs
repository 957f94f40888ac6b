//! The report on the terminal.

use crate::ledger::Counts;
use crate::report::{Report, ScenarioReport, Verdict, bounds, median};
use crate::scenario::{FanOut, Figures, Load, Scenario};
use crate::server::Target;

/// Below this share of use of the server's core, it was not what limited a run.
const CORE_BUSY_MIN: f64 = 0.9;
/// Above this share the client was.
const CLIENT_BUSY_MAX: f64 = 0.9;
/// Others on the server's core are worth a word from this share on.
const OTHERS_BUSY_MAX: f64 = 0.05;

/// Prints where and how it is measured.
pub fn print_head(report: &Report) {
    let machine = &report.machine;
    println!(
        "{}, Linux {}, {}, {} congestion control\nserver on core {}, client on core {} ({:?}), {}-byte messages where nothing else is said",
        machine.date,
        machine.kernel,
        machine.cpu,
        machine.congestion_control,
        report.cores.server,
        report.cores.client,
        report.client_waits,
        report.payload_bytes
    );
}

/// Prints one scenario's table and what has to be said about it.
pub fn print_scenario(result: &ScenarioReport) {
    let Load {
        subscribers,
        window,
        ..
    } = result.load;
    let name = result.scenario.name();
    match result.scenario {
        Scenario::OneAtATime
        | Scenario::Outstanding64
        | Scenario::Channels
        | Scenario::ChannelsSparse => {
            println!("\n{name}: {subscribers} subscribers, {window} outstanding");
            println!(
                "{:<10} {:>15} {:>19} {LOAD_HEAD}",
                "", "CPU ns/delivery", "min – max"
            );
        }
        Scenario::Deflate => {
            println!(
                "\n{name}: {subscribers} subscribers, {window} outstanding, JSON of {} bytes",
                result.scenario.payload().len()
            );
            println!(
                "{:<10} {:>13} {:>15} {:>19} {LOAD_HEAD}",
                "", "wire bytes", "CPU ns/delivery", "min – max"
            );
        }
        Scenario::Stomp | Scenario::Stomp1024 | Scenario::Centrifuge => {
            println!(
                "\n{name}: {subscribers} subscribers, {window} outstanding, {}-byte messages",
                result.scenario.payload().len()
            );
            println!(
                "{:<10} {:>13} {:>15} {:>19} {LOAD_HEAD}",
                "", "wire bytes", "CPU ns/delivery", "min – max"
            );
        }
        Scenario::IdleMemory | Scenario::StompMemory | Scenario::CentrifugeMemory => {
            println!("\n{name}: {subscribers} subscribers, resident memory");
            println!(
                "{:<10} {:>16} {:>11} {:>13} {:>13}",
                "", "bytes/connection", "empty KiB", "connected KiB", "1 message KiB"
            );
        }
        Scenario::Saturated => {
            println!(
                "\n{name}: {subscribers} subscribers, publisher at full speed; newcomers, connect to first message"
            );
            println!(
                "{:<10} {:>9} {:>9} {:>9} {:>15} {LOAD_HEAD}",
                "", "newcomers", "median ms", "max ms", "CPU ns/delivery"
            );
        }
        Scenario::Start => {
            println!("\n{name}: from making the process to the first 200 of GET /ready");
            println!("{:<10} {:>9} {:>19}", "", "median ms", "min – max");
        }
    }
    for &target in result.scenario.targets() {
        if result.of(target).next().is_some() {
            print_row(result, target);
        }
    }
    print_remarks(result);
}

fn print_row(result: &ScenarioReport, target: Target) {
    let name = target.name();
    let headlines = result.headlines(target);
    let middle = figure(median(&headlines), 1);
    let spread = match bounds(&headlines) {
        (min, max) if min <= max => format!("{min:.1} – {max:.1}"),
        _ => "-".to_owned(),
    };
    match result.scenario {
        Scenario::OneAtATime
        | Scenario::Outstanding64
        | Scenario::Channels
        | Scenario::ChannelsSparse => {
            println!(
                "{name:<10} {middle:>15} {spread:>19} {}",
                load_columns(result, target)
            );
        }
        Scenario::Deflate | Scenario::Stomp | Scenario::Stomp1024 | Scenario::Centrifuge => {
            let loads = result.loads(target);
            let bytes: Vec<f64> = (loads.iter())
                .map(|load| load.wire_bytes_per_delivery)
                .collect();
            println!(
                "{name:<10} {:>13} {middle:>15} {spread:>19} {}",
                figure(median(&bytes), 1),
                load_columns(result, target)
            );
        }
        Scenario::Start => println!("{name:<10} {middle:>9} {spread:>19}"),
        Scenario::IdleMemory
        | Scenario::StompMemory
        | Scenario::CentrifugeMemory
        | Scenario::Saturated => {
            for run in result.of(target) {
                match &run.figures {
                    Figures::Memory(memory) => println!(
                        "{name:<10} {:>16.1} {:>11} {:>13} {:>13}",
                        memory.bytes_per_connection,
                        memory.empty_bytes / 1024,
                        memory.connected_bytes / 1024,
                        memory.after_message_bytes / 1024
                    ),
                    Figures::Saturated { newcomers, load } => println!(
                        "{name:<10} {:>9} {:>9} {:>9} {:>15} {}",
                        newcomers.count,
                        figure(newcomers.median_ms, 1),
                        figure(newcomers.max_ms, 1),
                        figure((!load.stalled).then_some(load.cpu_ns_per_delivery), 1),
                        load_columns(result, target)
                    ),
                    Figures::FanOut(_) | Figures::Start { .. } => {}
                }
            }
        }
    }
}

const LOAD_HEAD: &str =
    "  deliveries  lost doubled reordered foreign closed  wall s  server  client  others";

fn load_columns(result: &ScenarioReport, target: Target) -> String {
    let loads = result.loads(target);
    let middle = |of: fn(&FanOut) -> f64| {
        let figures: Vec<f64> = loads.iter().map(|load| of(load)).collect();
        median(&figures)
    };
    let percent = |of: fn(&FanOut) -> f64| {
        let share = figure(middle(of).map(|share| share * 100.0), 0);
        format!("{share:>6}%")
    };
    let deliveries: u64 = loads.iter().map(|load| load.deliveries).sum();
    let Counts {
        delivered: _,
        lost,
        doubled,
        reordered,
        foreign,
        closed,
    } = result.counts(target);
    format!(
        "{deliveries:>12} {lost:>5} {doubled:>7} {reordered:>9} {foreign:>7} {closed:>6} {:>7} {} {} {}",
        figure(middle(|load| load.wall_s), 2),
        percent(|load| load.server_busy),
        percent(|load| load.client_busy),
        percent(|load| load.others_busy),
    )
}

/// A number, or a dash where there is none.
fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn print_remarks(result: &ScenarioReport) {
    for failure in &result.failures {
        println!(
            "! {} in round {}: {}",
            failure.target.name(),
            failure.round,
            failure.error
        );
    }
    for &target in result.scenario.targets() {
        let name = target.name();
        let counts = result.counts(target);
        if !counts.are_clean() {
            println!(
                "! {name}: not every message arrived once, in order and unchanged: {counts:?}"
            );
        }
        let gave_up = result
            .of(target)
            .filter_map(|run| run.figures.fan_out())
            .filter(|load| load.stalled)
            .count();
        if gave_up > 0 {
            println!("! {name}: given up in {gave_up} rounds, after 5 s without a delivery");
        }
        let loads = result.loads(target);
        let rounds = loads.len();
        let waited = loads
            .iter()
            .filter(|load| load.server_busy + load.others_busy < CORE_BUSY_MIN);
        let (by_client, by_latency): (Vec<&FanOut>, Vec<&FanOut>) = waited
            .copied()
            .partition(|load| load.client_busy > CLIENT_BUSY_MAX);
        if !by_client.is_empty() {
            println!(
                "  {name}: the client, not the server, was the limit in {} of {rounds} rounds",
                by_client.len()
            );
        }
        if !by_latency.is_empty() {
            println!(
                "  {name}: neither server nor client was at its limit in {} of {rounds} rounds",
                by_latency.len()
            );
        }
        if loads.iter().any(|load| load.others_busy > OTHERS_BUSY_MAX) {
            let percent = OTHERS_BUSY_MAX * 100.0;
            println!(
                "  {name}: others took more than {percent:.0} % of the server's core in some rounds"
            );
        }
    }
}

/// Prints the verdicts, and whether they may be believed.
pub fn print_verdicts(report: &Report) {
    println!();
    for verdict in &report.verdicts {
        println!("{}", verdict_line(verdict));
    }
    if report.quick {
        println!("quick: these figures say little");
    }
    if !report.is_sound() {
        println!(
            "FAILED: a server could not be measured, or a delivery was not right (see the lines with !)"
        );
    }
}

fn verdict_line(verdict: &Verdict) -> String {
    let Verdict {
        what,
        value,
        at_most,
        rounds,
        met,
    } = verdict;
    let digits = if at_most.is_none_or(|at_most| at_most < 10.0) {
        2
    } else {
        0
    };
    let target = match (at_most, met) {
        (Some(at_most), true) => format!("target {at_most:.digits$} or less  ok"),
        (Some(at_most), false) => format!("target {at_most:.digits$} or less  MISSED"),
        (None, _) => "no target".to_owned(),
    };
    let value = value.map_or_else(
        || "not measured".to_owned(),
        |value| format!("{value:.digits$}"),
    );
    let spread = match bounds(rounds) {
        (min, max) if rounds.len() > 1 => format!(
            "  ({} rounds, {min:.digits$} – {max:.digits$})",
            rounds.len()
        ),
        _ => String::new(),
    };
    format!("{what:<67} {value:>12}  {target}{spread}")
}
