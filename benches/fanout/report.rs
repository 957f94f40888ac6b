//! Medians, ratios and verdicts; the tables on the terminal and the JSON file.

use serde::Serialize;

use crate::client::Waiting;
use crate::ledger::Counts;
use crate::machine::{Cores, Description};
use crate::scenario::{FanOut, Figures, Load, Scenario};
use crate::server::Target;

/// Below this share of its core the server was not what limited a run.
const SERVER_BUSY_MIN: f64 = 0.9;
/// Above this share the client was.
const CLIENT_BUSY_MAX: f64 = 0.9;
/// Others on the server's core are worth a word from this share on.
const OTHERS_BUSY_MAX: f64 = 0.05;

/// Everything of one invocation; written as JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    #[serde(flatten)]
    pub machine: Description,
    /// Which cores.
    pub cores: Cores,
    /// The commit that the bench was built from, with `-dirty` after it if the tree differed.
    pub commit: Option<String>,
    /// Short runs, whose figures say little.
    pub quick: bool,
    /// How the client waited.
    pub client_waits: Waiting,
    /// Bytes of every message.
    pub payload_bytes: usize,
    /// The release binary's size.
    pub pushring_binary_bytes: Option<u64>,
    /// Bun's version, if it took part.
    pub bun_version: Option<String>,
    /// Each scenario that ran.
    pub scenarios: Vec<ScenarioReport>,
    /// Each target set, and what became of it.
    pub verdicts: Vec<Verdict>,
}

/// All runs of one scenario.
#[derive(Debug, Serialize)]
pub struct ScenarioReport {
    /// Which.
    pub scenario: Scenario,
    /// The size of each run.
    pub load: Load,
    /// Each run that could be made, in order.
    pub runs: Vec<Run>,
    /// Servers that did not start or broke off, and why.
    pub failures: Vec<Failure>,
}

/// One round with one server.
#[derive(Debug, Serialize)]
pub struct Run {
    /// The server.
    pub target: Target,
    /// From 1 up.
    pub round: u32,
    /// What it gave.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A round that gave no figures.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The server.
    pub target: Target,
    /// From 1 up.
    pub round: u32,
    /// Why.
    pub error: String,
}

/// A figure beside the target set for it.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// What the figure is.
    pub what: String,
    /// The median over the rounds.
    pub value: f64,
    /// What it may be at most.
    pub at_most: f64,
    /// The figure of each round.
    pub rounds: Vec<f64>,
    /// Whether the median is within the target.
    pub met: bool,
}

impl Verdict {
    fn new(what: impl Into<String>, rounds: Vec<f64>, at_most: f64) -> Option<Self> {
        let value = median(&rounds)?;
        Some(Self {
            what: what.into(),
            value,
            at_most,
            rounds,
            met: value <= at_most,
        })
    }

    /// The line on the terminal.
    pub fn line(&self) -> String {
        let digits = if self.at_most < 10.0 { 2 } else { 0 };
        let word = if self.met { "ok" } else { "MISSED" };
        let Self {
            what,
            value,
            at_most,
            ..
        } = self;
        let spread = match self.rounds.len() {
            1 => String::new(),
            count => {
                let (min, max) = bounds(&self.rounds);
                format!("  (rounds {min:.digits$} – {max:.digits$}, {count})")
            }
        };
        format!("{what:<66} {value:>11.digits$}  target {at_most:.digits$} or less  {word}{spread}")
    }
}

impl ScenarioReport {
    /// The figures that are compared, of the rounds that went through.
    fn headlines(&self, target: Target) -> Vec<f64> {
        self.of(target).map(|run| run.figures.headline()).collect()
    }

    fn of(&self, target: Target) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.target == target)
    }

    /// The ratio of two servers' figures, round by round: what stood side by side is compared, not medians of different
    /// minutes.
    fn ratios(&self, target: Target, against: Target) -> Vec<f64> {
        let pairs = self.of(target).filter_map(|run| {
            let other = self.of(against).find(|other| other.round == run.round)?;
            Some(run.figures.headline() / other.figures.headline())
        });
        pairs.collect()
    }

    /// The targets set for this scenario, for the servers that ran.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let pushring = Target::Pushring;
        let ratio = |against: Target, at_most| {
            let what = format!(
                "{}: CPU per delivery, pushring / {}",
                self.scenario.name(),
                against.name()
            );
            Verdict::new(what, self.ratios(pushring, against), at_most)
        };
        let plain = |what: &str, at_most| {
            Verdict::new(
                format!("{}: {what}", self.scenario.name()),
                self.headlines(pushring),
                at_most,
            )
        };
        let verdicts = match self.scenario {
            Scenario::OneAtATime => vec![ratio(Target::Bare, 0.85)],
            Scenario::Outstanding64 => vec![ratio(Target::Bun, 0.75), ratio(Target::BareTurn, 1.0)],
            Scenario::IdleMemory => vec![plain(
                "resident bytes per idle subscribed connection",
                300.0,
            )],
            Scenario::Saturated => vec![plain(
                "longest wait of a newcomer for its first message, ms",
                1_000.0,
            )],
            Scenario::Start => vec![plain("start to ready, ms", 100.0)],
        };
        verdicts.into_iter().flatten().collect()
    }

    /// Everything counted in all runs with one server.
    pub fn counts(&self, target: Target) -> Counts {
        self.of(target).fold(Counts::default(), |mut sum, run| {
            sum += run.figures.counts();
            sum
        })
    }

    /// Prints the table and what has to be said about it.
    pub fn print(&self) {
        let targets: Vec<Target> = self
            .scenario
            .targets()
            .iter()
            .copied()
            .filter(|&target| self.of(target).count() > 0)
            .collect();
        let Load {
            subscribers,
            window,
            ..
        } = self.load;
        match self.scenario {
            Scenario::OneAtATime | Scenario::Outstanding64 => {
                println!(
                    "\n{}: {subscribers} subscribers, {window} outstanding",
                    self.scenario.name()
                );
                println!(
                    "{:<10} {:>15} {:>19} {:>12} {} {:>9} {:>7} {:>7} {:>7}",
                    "",
                    "CPU ns/delivery",
                    "min – max",
                    "deliveries",
                    COUNTS_HEAD,
                    "wall s",
                    "server",
                    "client",
                    "others"
                );
            }
            Scenario::IdleMemory => {
                println!(
                    "\n{}: {subscribers} subscribers, resident memory",
                    self.scenario.name()
                );
                println!(
                    "{:<10} {:>16} {:>11} {:>13} {:>13}",
                    "", "bytes/connection", "empty KiB", "connected KiB", "1 message KiB"
                );
            }
            Scenario::Saturated => {
                println!(
                    "\n{}: {subscribers} subscribers, publisher at full speed; newcomers, connect to first message",
                    self.scenario.name()
                );
                println!(
                    "{:<10} {:>9} {:>9} {:>9} {:>15} {:>12} {} {:>9} {:>7} {:>7} {:>7}",
                    "",
                    "newcomers",
                    "median ms",
                    "max ms",
                    "CPU ns/delivery",
                    "deliveries",
                    COUNTS_HEAD,
                    "wall s",
                    "server",
                    "client",
                    "others"
                );
            }
            Scenario::Start => {
                println!(
                    "\n{}: process made to GET /ready answered, ms",
                    self.scenario.name()
                );
                println!("{:<10} {:>9} {:>19}", "", "median", "min – max");
            }
        }
        for target in targets {
            self.print_row(target);
        }
        self.print_remarks();
    }

    fn print_row(&self, target: Target) {
        let name = target.name();
        let headlines = self.headlines(target);
        let middle = median(&headlines).unwrap_or(f64::NAN);
        let (min, max) = bounds(&headlines);
        let counts = self.counts(target);
        let loads: Vec<&FanOut> = self
            .of(target)
            .filter_map(|run| run.figures.fan_out())
            .collect();
        let shared = || {
            let deliveries: u64 = loads.iter().map(|load| load.deliveries).sum();
            let of = |figure: fn(&FanOut) -> f64| {
                median(&loads.iter().map(|load| figure(load)).collect::<Vec<_>>())
                    .unwrap_or(f64::NAN)
            };
            format!(
                "{deliveries:>12} {} {:>9.2} {:>6.0}% {:>6.0}% {:>6.0}%",
                columns(counts),
                of(|load| load.wall_s),
                of(|load| load.server_busy) * 100.0,
                of(|load| load.client_busy) * 100.0,
                of(|load| load.others_busy) * 100.0,
            )
        };
        match self.scenario {
            Scenario::OneAtATime | Scenario::Outstanding64 => {
                println!(
                    "{name:<10} {middle:>15.1} {:>19} {}",
                    format!("{min:.1} – {max:.1}"),
                    shared()
                );
            }
            Scenario::Start => println!(
                "{name:<10} {middle:>9.1} {:>19}",
                format!("{min:.1} – {max:.1}")
            ),
            Scenario::IdleMemory | Scenario::Saturated => {
                for run in self.of(target) {
                    match &run.figures {
                        Figures::Memory(memory) => println!(
                            "{name:<10} {:>16.1} {:>11} {:>13} {:>13}",
                            memory.bytes_per_connection,
                            memory.empty_bytes / 1024,
                            memory.connected_bytes / 1024,
                            memory.after_message_bytes / 1024
                        ),
                        Figures::Saturated { newcomers, load } => println!(
                            "{name:<10} {:>9} {:>9.1} {:>9.1} {:>15.1} {}",
                            newcomers.count,
                            newcomers.median_ms,
                            newcomers.max_ms,
                            load.cpu_ns_per_delivery,
                            shared()
                        ),
                        Figures::FanOut(_) | Figures::Start { .. } => {}
                    }
                }
            }
        }
    }

    fn print_remarks(&self) {
        for failure in &self.failures {
            println!(
                "! {} in round {}: {}",
                failure.target.name(),
                failure.round,
                failure.error
            );
        }
        for &target in self.scenario.targets() {
            let counts = self.counts(target);
            if !counts.are_clean() {
                println!(
                    "! {}: not every message arrived once, in order and unchanged: {counts:?}",
                    target.name()
                );
            }
            let loads: Vec<&FanOut> = self
                .of(target)
                .filter_map(|run| run.figures.fan_out())
                .collect();
            let idle = loads
                .iter()
                .filter(|load| load.server_busy < SERVER_BUSY_MIN);
            let (by_client, by_waiting): (Vec<&FanOut>, Vec<&FanOut>) = idle
                .copied()
                .partition(|load| load.client_busy > CLIENT_BUSY_MAX);
            if !by_client.is_empty() {
                println!(
                    "  {}: the client, not the server, was the limit in {} of {} rounds",
                    target.name(),
                    by_client.len(),
                    loads.len()
                );
            }
            if !by_waiting.is_empty() {
                println!(
                    "  {}: the server waited for the client in {} of {} rounds (the way there and back, not the client's work)",
                    target.name(),
                    by_waiting.len(),
                    loads.len()
                );
            }
            if loads.iter().any(|load| load.others_busy > OTHERS_BUSY_MAX) {
                println!(
                    "  {}: others took more than {:.0} % of the server's core in some rounds",
                    target.name(),
                    OTHERS_BUSY_MAX * 100.0
                );
            }
        }
    }
}

impl Figures {
    fn fan_out(&self) -> Option<&FanOut> {
        match self {
            Self::FanOut(load) | Self::Saturated { load, .. } => Some(load),
            Self::Memory(_) | Self::Start { .. } => None,
        }
    }
}

impl Report {
    /// The verdicts on everything, the binary's size included.
    pub fn judge(&mut self) {
        self.verdicts = self
            .scenarios
            .iter()
            .flat_map(ScenarioReport::verdicts)
            .collect();
        if let Some(bytes) = self.pushring_binary_bytes {
            self.verdicts
                .extend(Verdict::new("the binary's bytes", vec![bytes as f64], 10e6));
        }
    }

    /// Whether each run could be made and every delivery was right.
    pub fn is_sound(&self) -> bool {
        self.scenarios.iter().all(|scenario| {
            scenario.failures.is_empty()
                && scenario
                    .runs
                    .iter()
                    .all(|run| run.figures.counts().are_clean())
        })
    }
}

const COUNTS_HEAD: &str = " lost doubled reordered foreign closed";

fn columns(counts: Counts) -> String {
    let Counts {
        delivered: _,
        lost,
        doubled,
        reordered,
        foreign,
        closed,
    } = counts;
    format!("{lost:>5} {doubled:>7} {reordered:>9} {foreign:>7} {closed:>6}")
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &value| {
            (min.min(value), max.max(value))
        })
}
