//! What a whole invocation gave: runs, medians, ratios, verdicts. `table` prints it; as JSON it is kept.

use serde::Serialize;

use crate::client::Waiting;
use crate::ledger::Counts;
use crate::machine::{Cores, Description};
use crate::scenario::{FanOut, Figures, Load, Scenario};
use crate::server::Target;

/// Everything of one invocation; written as JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    #[serde(flatten)]
    pub machine: Description,
    /// Which cores.
    pub cores: Cores,
    /// The commit checked out, with `-dirty` after it if the tree differs.
    pub commit: Option<String>,
    /// Short runs, whose figures say little.
    pub quick: bool,
    /// How the client waited.
    pub client_waits: Waiting,
    /// Bytes of every message.
    pub payload_bytes: usize,
    /// The servers asked for.
    pub targets: Vec<Target>,
    /// The release binary's size, if pushring was asked for.
    pub pushring_binary_bytes: Option<u64>,
    /// Bun's version, if it took part.
    pub bun_version: Option<String>,
    /// RabbitMQ's version, if it took part.
    pub rabbitmq_version: Option<String>,
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

/// A figure beside the target set for it, if one is.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// What the figure is.
    pub what: String,
    /// The median over the rounds, if any round gave a figure.
    pub value: Option<f64>,
    /// What it may be at most, if a target is set.
    pub at_most: Option<f64>,
    /// The figure of each round.
    pub rounds: Vec<f64>,
    /// Whether the median is within the target. Not measured is not met.
    pub met: bool,
}

impl Report {
    /// Sets the verdicts, on what pushring was asked for.
    pub fn judge(&mut self) {
        if !self.targets.contains(&Target::Pushring) {
            return;
        }
        let verdicts = self
            .scenarios
            .iter()
            .flat_map(|scenario| scenario.verdicts(&self.targets));
        let mut verdicts: Vec<Verdict> = verdicts.collect();
        if self
            .scenarios
            .iter()
            .any(|result| result.scenario == Scenario::Start)
        {
            let bytes = self.pushring_binary_bytes.map(|bytes| bytes as f64);
            verdicts.push(Verdict::new(
                "start: the binary's bytes",
                bytes.into_iter().collect(),
                Some(10e6),
            ));
        }
        self.verdicts = verdicts;
    }

    /// Whether each run could be made and every delivery was right.
    pub fn is_sound(&self) -> bool {
        self.scenarios.iter().all(|scenario| {
            let mut runs = scenario.runs.iter();
            scenario.failures.is_empty() && runs.all(|run| run.figures.counts().are_clean())
        })
    }
}

impl ScenarioReport {
    /// The targets set for pushring in this scenario, as far as the servers to compare with were asked for.
    fn verdicts(&self, targets: &[Target]) -> Vec<Verdict> {
        let compare = |what: &str, target: Target, against: Target, at_most| {
            let what = format!("{}: {what}", self.scenario.name());
            let are_wanted = targets.contains(&target) && targets.contains(&against);
            are_wanted.then(|| Verdict::new(what, self.ratios(target, against), at_most))
        };
        let ratio = |against: Target, at_most| {
            let what = format!("CPU per delivery, pushring / {}", against.name());
            compare(&what, Target::Pushring, against, Some(at_most))
        };
        let plain = |what: &str, at_most| {
            let what = format!("{}: {what}", self.scenario.name());
            Some(Verdict::new(
                what,
                self.headlines(Target::Pushring),
                Some(at_most),
            ))
        };
        let verdicts = match self.scenario {
            Scenario::Channels => vec![ratio(Target::PushringUnmerged, 0.15)],
            Scenario::ChannelsSparse => vec![ratio(Target::PushringUnmerged, 1.02)],
            Scenario::OneAtATime => vec![ratio(Target::Bare, 0.85)],
            Scenario::Outstanding64 => vec![ratio(Target::Bun, 0.75), ratio(Target::BareTurn, 1.0)],
            Scenario::Deflate => vec![compare(
                "CPU per delivery, compressed / not",
                Target::PushringDeflate,
                Target::Pushring,
                Some(1.2),
            )],
            Scenario::Stomp | Scenario::Stomp1024 => vec![
                compare(
                    "CPU per delivery, stomp / raw",
                    Target::PushringStomp,
                    Target::Pushring,
                    Some(1.1),
                ),
                compare(
                    "CPU per delivery, stomp / rabbitmq",
                    Target::PushringStomp,
                    Target::Rabbitmq,
                    Some(1.0),
                ),
            ],
            Scenario::StompMemory => vec![compare(
                "resident bytes per idle subscriber, stomp / raw",
                Target::PushringStomp,
                Target::Pushring,
                None,
            )],
            Scenario::Centrifuge => vec![compare(
                "CPU per delivery, centrifuge / raw",
                Target::PushringCentrifuge,
                Target::Pushring,
                Some(1.1),
            )],
            Scenario::CentrifugeMemory => vec![compare(
                "resident bytes per idle subscriber, centrifuge / raw",
                Target::PushringCentrifuge,
                Target::Pushring,
                None,
            )],
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

    /// The ratios of two servers' figures, round by round: what stood side by side is compared, not the medians of
    /// different minutes.
    fn ratios(&self, target: Target, against: Target) -> Vec<f64> {
        let pairs = self.of(target).filter_map(|run| {
            let other = self.of(against).find(|other| other.round == run.round)?;
            Some(run.figures.headline()? / other.figures.headline()?)
        });
        pairs.collect()
    }

    /// The figures that are compared, of the rounds that gave one.
    pub fn headlines(&self, target: Target) -> Vec<f64> {
        self.of(target)
            .filter_map(|run| run.figures.headline())
            .collect()
    }

    /// The measured phases of publishing with one server, those given up left out.
    pub fn loads(&self, target: Target) -> Vec<&FanOut> {
        self.of(target)
            .filter_map(|run| run.figures.fan_out())
            .filter(|load| !load.stalled)
            .collect()
    }

    /// Everything counted in all runs with one server.
    pub fn counts(&self, target: Target) -> Counts {
        self.of(target).fold(Counts::default(), |mut sum, run| {
            sum += run.figures.counts();
            sum
        })
    }

    /// The runs with one server.
    pub fn of(&self, target: Target) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.target == target)
    }
}

impl Verdict {
    fn new(what: impl Into<String>, rounds: Vec<f64>, at_most: Option<f64>) -> Self {
        let value = median(&rounds);
        Self {
            what: what.into(),
            value,
            at_most,
            rounds,
            met: value.is_some_and(|value| at_most.is_none_or(|at_most| value <= at_most)),
        }
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The least and the greatest value.
pub fn bounds(values: &[f64]) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    values
        .iter()
        .fold(start, |(min, max), &value| (min.min(value), max.max(value)))
}
