//! Results on the terminal.

use std::fmt::Write as _;

use super::hold_ups;
use super::metric::{Metric, figure};
use super::remarks::remarks;
use super::result::{ScenarioResult, TargetResult};
use super::scenario::thousands;
use super::statistics::Spread;

/// Where and how it was measured.
pub fn head(result: &ScenarioResult) -> String {
    let machine = &result.machine;
    format!(
        "{}, {}, Linux {}, {} congestion control\nserver on {}, client on {}\n",
        result.tool,
        machine.cpu,
        machine.kernel,
        machine.congestion_control,
        cores(&result.server_cores),
        cores(&result.client_cores),
    )
}

/// Cores in words.
pub fn cores(cores: &[usize]) -> String {
    let names: Vec<String> = cores.iter().map(usize::to_string).collect();
    let word = if cores.len() == 1 { "core" } else { "cores" };
    format!("{word} {}", names.join(","))
}

/// The heading of what was not as it has to be.
const WRONG: &str = "lost/doubled/reordered/foreign/closed";

/// One scenario's table, with what has to be said about it.
pub fn scenario(result: &ScenarioResult) -> String {
    let mut text = format!(
        "\n{}: {}\n",
        result.scenario.name,
        result.scenario.describe()
    );
    let rows = rows(result);
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text += "  (busy: the server's share of its cores, and the load generator's of its own)\n";
    if let Some(sentence) = hold_ups::sentence(&result.hold_ups) {
        let _ = writeln!(text, "  ({sentence})");
    }
    for target in &result.targets {
        for remark in remarks(result, target) {
            let sign = if remark.is_alarm { '!' } else { ' ' };
            let _ = writeln!(text, "{sign} {}: {}", target.name, remark.text);
        }
    }
    if result.stopped {
        text += "! ended early: what had been measured by then\n";
    }
    text
}

/// Header and one row a target: name, headline with spread and ratio, further figures, counts, shares of cores.
fn rows(result: &ScenarioResult) -> Vec<Vec<String>> {
    let metrics = Metric::of_scenario(&result.scenario);
    let several = result.targets.len() > 1;
    let mut header = vec![String::new(), metrics[0].heading().to_owned()];
    header.push("min – max".to_owned());
    if several {
        header.push("ratio".to_owned());
    }
    header.extend(
        metrics[1..]
            .iter()
            .map(|metric| metric.heading().to_owned()),
    );
    header.extend(["deliveries", WRONG, "busy"].map(str::to_owned));
    let mut rows = vec![header];
    for target in &result.targets {
        rows.push(row(result, target, &metrics, several));
    }
    rows
}

fn row(
    result: &ScenarioResult,
    target: &TargetResult,
    metrics: &[Metric],
    several: bool,
) -> Vec<String> {
    let mut row = vec![target.label()];
    let spread = metrics[0].spread(target);
    row.push(median(spread));
    row.push(spread.map_or("-".to_owned(), |it| {
        format!("{} – {}", figure(it.min), figure(it.max))
    }));
    if several {
        let ratio = metrics[0].ratio(target, &result.targets[0]);
        row.push(ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
    }
    row.extend(
        metrics[1..]
            .iter()
            .map(|metric| median(metric.spread(target))),
    );
    let counts = target.counts();
    row.push(thousands(counts.delivered));
    let wrong = [
        counts.lost,
        counts.doubled,
        counts.reordered,
        counts.foreign,
        counts.closed,
    ];
    row.push(wrong.map(thousands).join("/"));
    let loads = || target.runs.iter().filter_map(|run| run.load.as_ref());
    let server = percent(loads().filter_map(|load| load.server_busy));
    let client = percent(loads().map(|load| load.client_busy));
    row.push(format!("{server}, {client}"));
    row
}

/// A median, or a dash where there is none.
pub fn median(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |it| figure(it.median))
}

fn percent(shares: impl Iterator<Item = f64>) -> String {
    Spread::of(shares).map_or("-".to_owned(), |it| format!("{:.0} %", it.median * 100.0))
}
