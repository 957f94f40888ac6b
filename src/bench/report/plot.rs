//! Plots as SVG, drawn twice: for narrow and for wide screens. Colours are classes, so that the page's scheme decides them.

use std::fmt::Write as _;

use super::escape;
use crate::bench::metric::figure;

/// A screen that a plot is drawn for.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Its class in the page.
    pub class: &'static str,
    /// Pixels.
    pub width: f64,
}

/// The two there are.
pub const SCREENS: [Screen; 2] = [
    Screen {
        class: "narrow",
        width: 344.0,
    },
    Screen {
        class: "wide",
        width: 960.0,
    },
];

/// One bar: a label, a median with its extremes, and the number of its colour.
pub struct Bar {
    /// The target's.
    pub label: String,
    /// The bar's length.
    pub median: f64,
    /// The whisker's beginning.
    pub min: f64,
    /// The whisker's end.
    pub max: f64,
    /// A colour.
    pub color: usize,
    /// Whether it must be told apart: not clean.
    pub marked: bool,
}

/// One line: a label, points by percentile, and the number of its colour.
pub struct Line {
    /// The target's.
    pub label: String,
    /// Percentile (0 to 100) and microseconds.
    pub points: Vec<(f64, f64)>,
    /// A colour.
    pub color: usize,
}

/// Horizontal bars from zero on a linear scale, each under its label.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    SCREENS
        .iter()
        .map(|screen| bars_for(*screen, title, bars))
        .collect()
}

/// The same bars with their title above them, as a document of its own.
pub fn picture(title: &str, bars: &[Bar], style: &str) -> String {
    const TITLE: f64 = 34.0;
    let screen = Screen {
        class: "picture",
        width: 720.0,
    };
    let plot = bars_for(screen, title, bars);
    let height = TITLE + height_of(bars);
    let width = screen.width;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-12 -6 {0} {1}\" width=\"{0}\" height=\"{1}\">\n<style>{style}</style>\n\
         <rect x=\"-12\" y=\"-6\" width=\"{0}\" height=\"{1}\" style=\"fill: var(--paper)\"/>\n\
         <text x=\"2\" y=\"18\" style=\"font-weight: 600\">{2}</text>\n<g transform=\"translate(0 {TITLE})\">\n{plot}</g>\n</svg>\n",
        width + 24.0,
        height + 12.0,
        escape(title)
    )
}

/// Pixels a bar takes with its label.
const ROW: f64 = 42.0;

fn height_of(bars: &[Bar]) -> f64 {
    ROW * bars.len() as f64 + 6.0
}

fn bars_for(screen: Screen, title: &str, bars: &[Bar]) -> String {
    const LEFT: f64 = 2.0;
    let width = screen.width;
    let height = height_of(bars);
    let most = bars
        .iter()
        .map(|bar| bar.max)
        .fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + value / most * (width - 2.0 * LEFT - 4.0);
    let mut svg = open(screen, height, title);
    for (index, bar) in bars.iter().enumerate() {
        let top = ROW * index as f64;
        let label = escape(&fit(&bar.label, width * 0.6));
        let mark = if bar.marked { " – not clean" } else { "" };
        let value = figure(bar.median) + mark;
        let _ = write!(
            svg,
            "<text x=\"{LEFT}\" y=\"{:.1}\">{label}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"value\">{value}</text>\
             <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" rx=\"2\" class=\"fill c{}\"/>",
            top + 15.0,
            width - LEFT,
            top + 15.0,
            top + 20.0,
            (x(bar.median) - LEFT).max(1.0),
            bar.color,
        );
        if bar.max > bar.min {
            let (from, to, middle) = (x(bar.min), x(bar.max), top + 27.0);
            let _ = write!(
                svg,
                "<path d=\"M{from:.1} {:.1}v8m0 -4H{to:.1}m0 -4v8\" class=\"whisker\"/>",
                middle - 4.0
            );
        }
    }
    svg += "</svg>\n";
    svg
}

/// Latency by percentile: both scales logarithmic, the horizontal one in what is beyond the percentile.
pub fn percentiles(title: &str, lines: &[Line]) -> String {
    SCREENS
        .iter()
        .map(|screen| percentiles_for(*screen, title, lines))
        .collect()
}

/// The percentiles that are marked, with how much is beyond them.
const MARKS: [(&str, f64); 6] = [
    ("50", 0.5),
    ("90", 0.1),
    ("99", 0.01),
    ("99.9", 0.001),
    ("99.99", 0.000_1),
    ("99.999", 0.000_01),
];

fn percentiles_for(screen: Screen, title: &str, lines: &[Line]) -> String {
    const LEFT: f64 = 52.0;
    const TOP: f64 = 10.0;
    const BOTTOM: f64 = 40.0;
    let width = screen.width;
    let plot = if width > 500.0 { 300.0 } else { 220.0 };
    let height = TOP + plot + BOTTOM;
    let values = || {
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(_, us)| us.max(0.1)))
    };
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(1.0, f64::max).log10().ceil().max(low + 1.0);
    let beyond = |percentile: f64| 1.0 - percentile / 100.0;
    let least = lines
        .iter()
        .flat_map(|line| {
            line.points
                .iter()
                .map(|(percentile, _)| beyond(*percentile))
        })
        .filter(|beyond| *beyond > 1e-9)
        .fold(0.1, f64::min);
    // A little more on the right for the longest of all.
    let last = -least.log10() + 0.15;
    let x = |beyond: f64| {
        let place = if beyond > 1e-9 { -beyond.log10() } else { last };
        LEFT + place.min(last) / last * (width - LEFT - 10.0)
    };
    let y = |us: f64| TOP + plot - (us.max(0.1).log10() - low) / (high - low) * plot;
    let mut svg = open(screen, height, title);
    let mut decade = low;
    while decade <= high {
        let at = y(10_f64.powf(decade));
        let label = micros(10_f64.powf(decade));
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" class=\"grid\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"value axis\">{label}</text>",
            width - 10.0,
            LEFT - 6.0,
            at + 4.0
        );
        decade += 1.0;
    }
    for (label, beyond) in MARKS.iter().filter(|(_, beyond)| *beyond >= least) {
        let at = x(*beyond);
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{:.1}\" class=\"grid\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" class=\"middle axis\">{label}</text>",
            TOP + plot,
            TOP + plot + 16.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" class=\"middle axis\">percentile of deliveries</text>",
        LEFT + (width - LEFT) / 2.0,
        height - 6.0
    );
    for line in lines {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|(percentile, us)| format!("{:.1},{:.1}", x(beyond(*percentile)), y(*us)))
            .collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" class=\"line c{} d{}\"><title>{}</title></polyline>",
            points.join(" "),
            line.color,
            dash(line.color),
            escape(&line.label)
        );
    }
    svg += "</svg>\n";
    svg
}

fn open(screen: Screen, height: f64, title: &str) -> String {
    format!(
        "<svg class=\"{}\" viewBox=\"0 0 {} {height}\" width=\"{}\" height=\"{height}\" role=\"img\"><title>{}</title>",
        screen.class,
        screen.width,
        screen.width,
        escape(title)
    )
}

/// The dashes of a colour, so that lines of like colours differ.
pub fn dash(color: usize) -> usize {
    color / 4
}

/// Microseconds with the unit that makes them short.
fn micros(us: f64) -> String {
    match us {
        ..1_000.0 => format!("{us} µs"),
        ..1_000_000.0 => format!("{} ms", us / 1e3),
        _ => format!("{} s", us / 1e6),
    }
}

/// A label cut to about so many pixels.
fn fit(label: &str, pixels: f64) -> String {
    const LETTER: f64 = 7.0;
    let letters = (pixels / LETTER) as usize;
    match label.chars().count() {
        count if count <= letters => label.to_owned(),
        _ => {
            let cut: String = label.chars().take(letters.saturating_sub(1)).collect();
            format!("{}…", cut.trim_end())
        }
    }
}
