//! The shards' numbers as Prometheus text.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::metrics::{DESCRIPTIONS, Kind, ShardMetrics, TURN_BOUNDS_US};

/// The bounds of turns' lengths that are told, in microseconds: some of those that are counted by, three a decade.
const TOLD_BOUNDS_US: [u64; 19] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    200_000, 500_000, 1_000_000,
];

/// Reads the shards' numbers at every scrape.
#[derive(Debug)]
struct Shards(Vec<Arc<ShardMetrics>>);

/// A registry of all there is to scrape.
pub fn registry(shards: Vec<Arc<ShardMetrics>>) -> Registry {
    let mut registry = Registry::with_prefix("pushring");
    registry.register_collector(Box::new(Shards(shards)));
    registry
}

/// The text of a scrape.
///
/// # Errors
/// What the encoder reports.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::new();
    text::encode(&mut out, registry)?;
    Ok(out)
}

impl Collector for Shards {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let values: Vec<_> = self.0.iter().map(|shard| shard.values()).collect();
        let mut at = 0;
        while at < DESCRIPTIONS.len() {
            let family = &DESCRIPTIONS[at];
            let end = at
                + DESCRIPTIONS[at..]
                    .iter()
                    .take_while(|other| other.family == family.family)
                    .count();
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(family.family, family.help, None, kind)?;
            for (index, description) in DESCRIPTIONS.iter().enumerate().take(end).skip(at) {
                for (shard, values) in values.iter().enumerate() {
                    let mut labels = vec![("shard", shard.to_string())];
                    labels.extend(description.label.map(|(k, v)| (k, v.to_owned())));
                    let one = metric.encode_family(&labels)?;
                    match description.kind {
                        Kind::Counter => ConstCounter::new(values[index]).encode(one)?,
                        Kind::Gauge => ConstGauge::new(values[index] as i64).encode(one)?,
                    }
                }
            }
            at = end;
        }
        self.encode_turns(encoder)
    }
}

impl Shards {
    /// How long turns took, as a cumulative histogram in microseconds. Written as counters with a
    /// bound: a shard counts, it does not keep the sum that a histogram would need.
    fn encode_turns(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Turns that took no longer than the bound, in microseconds.";
        let mut metric =
            encoder.encode_descriptor("turns_within", help, None, MetricType::Counter)?;
        for (shard, metrics) in self.0.iter().enumerate() {
            let mut within = 0;
            for (bucket, count) in metrics.turns().into_iter().enumerate() {
                within += count;
                let bound = match TURN_BOUNDS_US.get(bucket) {
                    Some(bound) if TOLD_BOUNDS_US.contains(bound) => bound.to_string(),
                    Some(_) => continue,
                    None => "+Inf".to_owned(),
                };
                let labels = [("shard", shard.to_string()), ("microseconds", bound)];
                ConstCounter::new(within).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counters;

    #[test]
    fn every_number_of_every_shard_is_in_the_text() {
        let shards: Vec<_> = (0..2).map(|_| Arc::new(ShardMetrics::default())).collect();
        let counters = Counters {
            deliveries: 42,
            connections: 7,
            exceptions_full: 3,
            ..Counters::default()
        };
        shards[1].publish(&counters);
        (0..5).for_each(|_| shards[1].note_turn(29));
        let text = encode(&registry(shards)).unwrap();
        for line in [
            "pushring_deliveries_total{shard=\"1\"} 42",
            "pushring_deliveries_total{shard=\"0\"} 0",
            "pushring_connections{shard=\"1\"} 7",
            "pushring_exceptions_total{shard=\"1\",kind=\"full\"} 3",
            "pushring_turns_within_total{shard=\"1\",microseconds=\"20\"} 0",
            "pushring_turns_within_total{shard=\"1\",microseconds=\"50\"} 5",
            "pushring_turns_within_total{shard=\"1\",microseconds=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
        for bound in TOLD_BOUNDS_US {
            let told = format!("{{shard=\"0\",microseconds=\"{bound}\"}} 0");
            assert!(text.contains(&told), "{bound} is no bound of turns");
        }
        for description in DESCRIPTIONS {
            assert!(text.contains(&format!("# TYPE pushring_{} ", description.family)));
        }
    }
}
