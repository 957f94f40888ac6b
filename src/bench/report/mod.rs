//! Results as one page of HTML with its plots in it: no script, nothing loaded from elsewhere, for light and dark, for a
//! telephone and a desk.

mod plot;

use std::fmt::Write as _;

use plot::{Bar, Line};

use super::hold_ups;
use super::metric::{Metric, figure};
use super::remarks::remarks;
use super::result::{Run, ScenarioResult, TargetResult};
use super::scenario::{Kind, thousands};
use super::table::{cores, median};

/// Colours there are; more targets than that begin again.
const COLORS: usize = 12;

/// The page of these scenarios.
pub fn page(results: &[ScenarioResult]) -> String {
    let mut page = String::from(HEAD);
    let several = results.iter().any(|result| result.targets.len() > 1);
    let title = match several {
        true => "Servers side by side",
        false => "One server under load",
    };
    let _ = write!(
        page,
        "<title>pushring bench: {0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{0}</h1>\n",
        title
    );
    if let Some(first) = results.first() {
        page += &place(first);
    }
    page += "</header>\n<main>\n";
    for result in results {
        page += &section(result);
    }
    page += &targets(results);
    page += METHOD;
    page += "</main>\n</body>\n</html>\n";
    page
}

/// Where and when.
fn place(result: &ScenarioResult) -> String {
    let machine = &result.machine;
    format!(
        "<p>{}. {}, Linux {}, {} congestion control. Servers on {}, load from {}. {}.</p>\n",
        escape(&result.began.replace('T', " ").replace('Z', " UTC")),
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.congestion_control),
        cores(&result.server_cores),
        cores(&result.client_cores),
        escape(&result.tool),
    )
}

fn section(result: &ScenarioResult) -> String {
    let scenario = &result.scenario;
    let mut html = format!(
        "<section id=\"{}\">\n<h2>{}</h2>\n<p>{}. {}</p>\n",
        escape(&scenario.name),
        escape(&scenario.title),
        escape(&scenario.describe()),
        rounds(result),
    );
    html += &alarms(result);
    for metric in plotted(result) {
        html += &bars(result, metric);
    }
    html += &latency(result);
    html += &table(result);
    html += &notes(result);
    html + "</section>\n"
}

fn rounds(result: &ScenarioResult) -> String {
    let words = match result.rounds {
        1 => "One round.".to_owned(),
        rounds => format!("{rounds} rounds, the servers in turn in each."),
    };
    let words = match hold_ups::sentence(&result.hold_ups) {
        Some(sentence) => format!("{words} Cores {}.", escape(&sentence)),
        None => words,
    };
    match result.stopped {
        true => format!("{words} <strong>Ended early.</strong>"),
        false => words,
    }
}

fn alarms(result: &ScenarioResult) -> String {
    let mut items = String::new();
    for target in &result.targets {
        for remark in remarks(result, target)
            .iter()
            .filter(|remark| remark.is_alarm)
        {
            let (label, text) = (escape(&target.label()), escape(&remark.text));
            let _ = writeln!(items, "<li><strong>{label}</strong>: {text}</li>");
        }
    }
    match items.as_str() {
        "" => "<p class=\"clean\">Every publication reached every subscriber once, in order and unchanged.</p>\n"
            .to_owned(),
        items => format!("<ul class=\"alarm\">\n{items}</ul>\n"),
    }
}

fn notes(result: &ScenarioResult) -> String {
    let mut items = String::new();
    for target in &result.targets {
        for remark in remarks(result, target)
            .iter()
            .filter(|remark| !remark.is_alarm && !remark.is_caveat)
        {
            let (label, text) = (escape(&target.label()), escape(&remark.text));
            let _ = writeln!(items, "<li>{label}: {text}</li>");
        }
    }
    match items.as_str() {
        "" => String::new(),
        items => format!("<ul class=\"notes\">\n{items}</ul>\n"),
    }
}

/// The figures that have a plot.
fn plotted(result: &ScenarioResult) -> Vec<Metric> {
    let metrics = Metric::of_scenario(&result.scenario);
    let shown = match result.scenario.kind {
        Kind::Fanout | Kind::Latency | Kind::Churn => {
            vec![
                Metric::CpuPerDelivery,
                Metric::MemoryPerConnection,
                Metric::WireBytes,
            ]
        }
        Kind::Connect => vec![Metric::ConnectionsPerSecond, Metric::CpuPerConnection],
        Kind::Idle => vec![Metric::MemoryPerConnection],
    };
    shown
        .into_iter()
        .filter(|metric| metrics.contains(metric))
        .collect()
}

/// The first plot of each scenario as a picture of its own, for a README: the name of its file, and the SVG.
pub fn pictures(results: &[ScenarioResult]) -> Vec<(String, String)> {
    let pictures = results.iter().filter_map(|result| {
        let metric = *plotted(result).first()?;
        let bars = bars_of(result, metric);
        let title = format!("{}: {}", result.scenario.title, metric.title());
        let file = format!("{}.svg", result.scenario.name);
        (!bars.is_empty()).then(|| (file, plot::picture(&title, &bars, STYLE)))
    });
    pictures.collect()
}

fn bars_of(result: &ScenarioResult, metric: Metric) -> Vec<Bar> {
    colored(result)
        .filter_map(|(color, target)| {
            let spread = metric.spread(target)?;
            Some(Bar {
                label: target.label(),
                median: spread.median,
                min: spread.min,
                max: spread.max,
                color,
                marked: !target.runs.iter().all(Run::is_clean),
            })
        })
        .collect()
}

fn bars(result: &ScenarioResult, metric: Metric) -> String {
    let bars = bars_of(result, metric);
    if bars.is_empty() {
        return String::new();
    }
    let better = if metric.more_is_better() {
        "More"
    } else {
        "Less"
    };
    figure_with(
        metric.title(),
        &plot::bars(metric.title(), &bars),
        &format!(
            "Medians; whiskers are the least and the most of {} rounds. {better} is better.",
            result.rounds
        ),
        result,
    )
}

fn latency(result: &ScenarioResult) -> String {
    let lines: Vec<Line> = colored(result)
        .filter(|(_, target)| !target.distribution.is_empty())
        .map(|(color, target)| Line {
            label: target.label(),
            points: target.distribution.clone(),
            color,
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let mut legend = String::from("<ul class=\"legend\">");
    for line in &lines {
        let (color, dash) = (line.color, plot::dash(line.color));
        let _ = write!(
            legend,
            "<li><svg width=\"28\" height=\"10\" aria-hidden=\"true\"><path d=\"M1 5H27\" class=\"line c{color} d{dash}\"/>\
             </svg> {}</li>",
            escape(&line.label)
        );
    }
    legend += "</ul>";
    let from = match result.scenario.kind {
        Kind::Fanout => "from when a message was published",
        _ => "from when a message was due, so that a pause shows in full",
    };
    let title = "Latency of deliveries by percentile";
    figure_with(
        title,
        &(plot::percentiles(title, &lines) + &legend),
        &format!("All rounds together, {from}. Both scales are logarithmic. Lower is better."),
        result,
    )
}

fn figure_with(title: &str, plot: &str, words: &str, result: &ScenarioResult) -> String {
    let scenario = &result.scenario;
    format!(
        "<figure>\n<h3>{}</h3>\n{plot}\n<figcaption>{}. {words} Servers on {}, load from {}. Versions, settings and caveats are \
         below.</figcaption>\n</figure>\n",
        escape(title),
        escape(&scenario.describe()),
        cores(&result.server_cores),
        cores(&result.client_cores),
    )
}

fn colored(result: &ScenarioResult) -> impl Iterator<Item = (usize, &TargetResult)> {
    result
        .targets
        .iter()
        .enumerate()
        .map(|(index, target)| (index % COLORS, target))
}

fn table(result: &ScenarioResult) -> String {
    let metrics = Metric::of_scenario(&result.scenario);
    let mut html =
        String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th></th>");
    let _ = write!(
        html,
        "<th>{}</th><th>min – max</th><th>ratio</th>",
        metrics[0].heading()
    );
    for metric in &metrics[1..] {
        let _ = write!(html, "<th>{}</th>", metric.heading());
    }
    for word in [
        "deliveries",
        "lost",
        "doubled",
        "reordered",
        "foreign",
        "closed",
    ] {
        let _ = write!(html, "<th>{word}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for target in &result.targets {
        let spread = metrics[0].spread(target);
        let extremes = spread.map_or("–".to_owned(), |it| {
            format!("{} – {}", figure(it.min), figure(it.max))
        });
        let ratio = metrics[0].ratio(target, &result.targets[0]);
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{extremes}</td><td>{ratio}</td>",
            escape(&target.label()),
            median(spread)
        );
        for metric in &metrics[1..] {
            let _ = write!(html, "<td>{}</td>", median(metric.spread(target)));
        }
        let counts = target.counts();
        let _ = write!(html, "<td>{}</td>", thousands(counts.delivered));
        for count in [
            counts.lost,
            counts.doubled,
            counts.reordered,
            counts.foreign,
            counts.closed,
        ] {
            let class = if count > 0 { " class=\"bad\"" } else { "" };
            let _ = write!(html, "<td{class}>{}</td>", thousands(count));
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table></div>\n"
}

/// Every target once: version, settings, caveat.
fn targets(results: &[ScenarioResult]) -> String {
    let mut html = String::from("<section id=\"servers\">\n<h2>Servers</h2>\n<dl>\n");
    let mut seen: Vec<&str> = Vec::new();
    for target in results.iter().flat_map(|result| &result.targets) {
        if seen.contains(&target.name.as_str()) {
            continue;
        }
        seen.push(&target.name);
        let _ = writeln!(html, "<dt>{}</dt>", escape(&target.label()));
        for (word, text) in [("Settings", &target.tuned), ("Caveat", &target.caveat)] {
            if !text.is_empty() {
                let _ = writeln!(html, "<dd>{word}: {}</dd>", escape(text));
            }
        }
    }
    html + "</dl>\n</section>\n"
}

/// Text as it may stand in HTML, also in an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n";

const METHOD: &str = "<section id=\"method\">\n<h2>How it was measured</h2>\n\
    <p>Every payload carries its channel, a sequence number and the time at which it was due. Every message at every subscriber was \
    checked: lost, doubled, reordered and foreign ones are counted in the tables. CPU is the time of the server’s whole process tree, \
    from the kernel’s account, in the stretch between the warm-up and the last delivery; memory is the tree’s proportional set size \
    with all connections less without them. A ratio is formed within each round, and the median of these is shown: only what \
    ran side by side may be compared.</p>\n</section>\n";

const STYLE: &str = include_str!("style.css");
