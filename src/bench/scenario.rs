//! Scenarios: what load is made and what is measured. Standard ones are in `benches/scenarios`.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::Pace;
use super::ledger::Plan;
use super::payload::{PAYLOAD_BYTES_MIN, PayloadKind};
use super::target::toml_error;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// How cheaply and how fast deliveries are made: so many messages outstanding, as fast as it goes.
    Fanout,
    /// How long a delivery takes at a fixed rate.
    Latency,
    /// How fast connections are opened.
    Connect,
    /// What idle connections cost.
    Idle,
    /// Deliveries at a fixed rate while subscribers come and go.
    Churn,
}

impl Kind {
    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Latency => "latency",
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Churn => "churn",
        }
    }
}

/// One scenario. Every key has a default, so that a file says what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(default)]
    pub name: String,
    /// One line for tables and plots.
    pub title: String,
    /// What is measured.
    pub kind: Kind,
    /// Subscribing connections.
    #[serde(default = "default_subscribers")]
    pub subscribers: u32,
    /// `fanout`: messages to a channel that may be on their way to somebody.
    #[serde(default = "default_window")]
    pub window: u64,
    /// `latency` and `churn`: messages a second, over all channels.
    #[serde(default = "default_rate")]
    pub rate: u64,
    /// Bytes of each payload.
    #[serde(default = "default_payload_bytes")]
    pub payload_bytes: usize,
    /// What payloads look like.
    #[serde(default = "default_payload")]
    pub payload: PayloadKind,
    /// Channels there are.
    #[serde(default = "one")]
    pub channels: u32,
    /// Channels that each subscriber is on.
    #[serde(default = "one")]
    pub channels_each: u32,
    /// `latency`: of a thousand subscribers, how many stop reading before the measurement and read again after it.
    #[serde(default)]
    pub stalled_permille: u32,
    /// `churn`: subscribers a second that leave while as many come.
    #[serde(default)]
    pub churn_per_second: u64,
    /// Whether clients offer permessage-deflate.
    #[serde(default)]
    pub deflate: bool,
    /// Opening handshakes that are under way at a time.
    #[serde(default = "default_handshakes")]
    pub handshakes: u32,
    /// Milliseconds of load before the measurement.
    #[serde(default = "default_warmup_ms")]
    pub warmup_ms: u64,
    /// Milliseconds that are measured; of `idle`, in which nothing happens.
    #[serde(default = "default_measure_ms")]
    pub measure_ms: u64,
    /// Milliseconds without a delivery after which what is outstanding is given up.
    #[serde(default = "default_patience_ms")]
    pub patience_ms: u64,
}

fn default_subscribers() -> u32 {
    1_000
}
fn default_window() -> u64 {
    1
}
fn default_rate() -> u64 {
    1_000
}
fn default_payload_bytes() -> usize {
    128
}
fn default_payload() -> PayloadKind {
    PayloadKind::Text
}
fn one() -> u32 {
    1
}
fn default_handshakes() -> u32 {
    64
}
fn default_warmup_ms() -> u64 {
    500
}
fn default_measure_ms() -> u64 {
    3_000
}
fn default_patience_ms() -> u64 {
    5_000
}

/// Why a scenario cannot be used, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub struct ScenarioError {
    /// The file, or the flags.
    pub place: String,
    /// What is wrong and what to write instead.
    pub why: String,
}

impl Scenario {
    /// The defaults of a kind.
    pub fn of_kind(kind: Kind) -> Self {
        Self {
            name: kind.name().to_owned(),
            title: String::new(),
            kind,
            subscribers: default_subscribers(),
            window: default_window(),
            rate: default_rate(),
            payload_bytes: default_payload_bytes(),
            payload: default_payload(),
            channels: 1,
            channels_each: 1,
            stalled_permille: 0,
            churn_per_second: if kind == Kind::Churn { 50 } else { 0 },
            deflate: false,
            handshakes: default_handshakes(),
            warmup_ms: default_warmup_ms(),
            measure_ms: default_measure_ms(),
            patience_ms: default_patience_ms(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError`] with the line.
    pub fn load(file: &Path) -> Result<Self, ScenarioError> {
        let place = file.display().to_string();
        let refused = |why: String| ScenarioError {
            place: place.clone(),
            why,
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            refused(format!(
                "{error}; the standard scenarios are in benches/scenarios"
            ))
        })?;
        let mut scenario: Self =
            toml::from_str(&text).map_err(|error| refused(toml_error(&text, &error)))?;
        scenario.name = file
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        scenario.check(&place)?;
        Ok(scenario)
    }

    /// Whether its values fit together. `place` is where they come from.
    ///
    /// # Errors
    /// [`ScenarioError`]
    pub fn check(&self, place: &str) -> Result<(), ScenarioError> {
        const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
        let json_min = 120;
        let payload_min = match self.payload {
            PayloadKind::Text => PAYLOAD_BYTES_MIN,
            PayloadKind::Json => json_min,
        };
        let moves = self.stalled_permille > 0 || self.churn_per_second > 0;
        let bounds: [(&str, u64, u64, u64); 11] = [
            ("subscribers", self.subscribers.into(), 1, 1_000_000),
            ("window", self.window, 1, 1_000_000),
            ("rate", self.rate, 1, 10_000_000),
            (
                "payload_bytes",
                self.payload_bytes as u64,
                payload_min as u64,
                MESSAGE_BYTES_MAX as u64,
            ),
            ("channels", self.channels.into(), 1, 65_536),
            (
                "channels_each",
                self.channels_each.into(),
                1,
                self.channels.into(),
            ),
            ("stalled_permille", self.stalled_permille.into(), 0, 999),
            ("churn_per_second", self.churn_per_second, 0, 100_000),
            ("handshakes", self.handshakes.into(), 1, 10_000),
            ("measure_ms", self.measure_ms, 1, 3_600_000),
            ("patience_ms", self.patience_ms, 100, 600_000),
        ];
        let why = bounds
            .iter()
            .find(|(_, value, min, max)| !(min..=max).contains(&value))
            .map(|(name, value, min, max)| format!("{name} = {value}; it must be {min} to {max}"))
            .or_else(|| {
                (moves && self.channels > 1)
                    .then(|| "stalled_permille and churn_per_second need channels = 1".to_owned())
            })
            .or_else(|| {
                (self.stalled_permille > 0 && self.kind != Kind::Latency)
                    .then(|| "stalled_permille needs kind = \"latency\"".to_owned())
            })
            .or_else(|| {
                ((self.churn_per_second > 0) != (self.kind == Kind::Churn)).then(|| {
                    "churn_per_second belongs to kind = \"churn\", which needs it".to_owned()
                })
            });
        match why {
            None => Ok(()),
            Some(why) => Err(ScenarioError {
                place: place.to_owned(),
                why,
            }),
        }
    }

    /// Channels and subscriptions.
    pub fn plan(&self) -> Plan {
        Plan {
            all: self.channels,
            each: self.channels_each,
        }
    }

    /// How fast to publish.
    pub fn pace(&self) -> Pace {
        match self.kind {
            Kind::Latency | Kind::Churn => Pace::Every((1_000_000_000 / self.rate).max(1)),
            Kind::Fanout | Kind::Connect | Kind::Idle => Pace::Window(self.window),
        }
    }

    /// Connections that are made: subscribers and publishers.
    pub fn connections(&self) -> u32 {
        self.subscribers + self.channels
    }

    /// The warm-up.
    pub fn warmup(&self) -> Duration {
        Duration::from_millis(self.warmup_ms)
    }

    /// What is measured.
    pub fn measure(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }

    /// When to give up.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }

    /// The load in words.
    pub fn describe(&self) -> String {
        let subscribers = thousands(self.subscribers.into());
        let mut words = match self.kind {
            Kind::Fanout if self.window == 1 => {
                format!("{subscribers} subscribers, the next message when all have the last")
            }
            Kind::Fanout => {
                let window = self.window;
                format!("{subscribers} subscribers, at most {window} messages outstanding")
            }
            Kind::Latency => {
                let rate = thousands(self.rate);
                format!("{subscribers} subscribers, {rate} messages a second")
            }
            Kind::Connect => {
                let at_once = self.handshakes;
                format!("{subscribers} connections, at most {at_once} handshakes under way")
            }
            Kind::Idle => format!("{subscribers} subscribed connections, nothing published"),
            Kind::Churn => format!(
                "{subscribers} subscribers, {} messages a second, {} leave and come a second",
                thousands(self.rate),
                self.churn_per_second
            ),
        };
        if self.channels > 1 {
            let (each, all) = (self.channels_each, self.channels);
            words += &format!(", each on {each} of {all} channels");
        }
        if !matches!(self.kind, Kind::Connect | Kind::Idle) {
            let kind = match self.payload {
                PayloadKind::Text => "",
                PayloadKind::Json => " of JSON",
            };
            words += &format!(", {} bytes{kind}", thousands(self.payload_bytes as u64));
        }
        if self.deflate {
            words += ", permessage-deflate offered";
        }
        if self.stalled_permille > 0 {
            let percent = f64::from(self.stalled_permille) / 10.0;
            words += &format!(", {percent} % of them stop reading");
        }
        words
    }
}

/// A number with commas between thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_scenarios_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/scenarios");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| Scenario::load(&file.unwrap().path()).unwrap().name)
            .collect();
        names.sort();
        let expected = [
            "channels-100",
            "connect-storm",
            "deflate-json",
            "fixed-rate",
            "idle",
            "one-at-a-time",
            "outstanding-64",
            "payload-16k",
            "smoke",
            "stalled",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn values_that_do_not_fit_are_refused_with_what_to_write() {
        let refused = |change: fn(&mut Scenario), words: &str| {
            let mut scenario = Scenario::of_kind(Kind::Latency);
            change(&mut scenario);
            let error = scenario.check("here").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(
            |it| it.payload_bytes = 10,
            "payload_bytes = 10; it must be 40 to",
        );
        refused(
            |it| it.channels_each = 2,
            "channels_each = 2; it must be 1 to 1",
        );
        refused(|it| it.churn_per_second = 1, "kind = \"churn\"");
        refused(
            |it| (it.stalled_permille, it.channels) = (10, 2),
            "need channels = 1",
        );
        Scenario::of_kind(Kind::Churn).check("").unwrap();
    }

    #[test]
    fn thousands_have_commas() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
