//! What `/metrics` says, in the Prometheus text format.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use super::DEADLINE;
use super::http::Http;

const POLL_EVERY: Duration = Duration::from_millis(5);

/// Every sample: its name with its labels, and its value.
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The counters of now.
    pub fn get(http: &mut Http) -> Self {
        let answer = http.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        Self::parse(&answer.text())
    }

    /// Waits until the counters are as wanted.
    pub fn wait(http: &mut Http, what: &str, wanted: impl Fn(&Self) -> bool) -> Self {
        let until = Instant::now() + DEADLINE;
        loop {
            let metrics = Self::get(http);
            if wanted(&metrics) {
                return metrics;
            }
            assert!(
                Instant::now() < until,
                "not seen in /metrics: {what}\n{metrics:?}"
            );
            thread::sleep(POLL_EVERY);
        }
    }

    /// Reads the text format; a line that breaks it fails the test.
    fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(sample).collect())
    }

    /// The sum of a family over all shards and labels, given without the prefix that all have.
    pub fn sum(&self, family: &str) -> u64 {
        self.sum_where(family, "")
    }

    /// The same over those that have a label, written `name="value"`.
    pub fn sum_where(&self, family: &str, label: &str) -> u64 {
        let name = format!("pushring_{family}");
        let mut found = self
            .0
            .iter()
            .filter(|(key, _)| key.split('{').next() == Some(&name) && key.contains(label))
            .map(|(_, value)| *value)
            .peekable();
        assert!(
            found.peek().is_some(),
            "no metric {name} with {label:?}: {self:?}"
        );
        found.sum::<f64>() as u64
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .filter(|(_, value)| **value != 0.0)
            .try_for_each(|(key, value)| writeln!(f, "{key} {value}"))
    }
}

fn sample(line: &str) -> (String, f64) {
    let (key, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("no sample: {line:?}"));
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line:?}"));
    (key.to_owned(), value)
}
