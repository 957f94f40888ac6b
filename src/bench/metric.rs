//! The figures that tables and plots show, each with its unit and the way to find it in a round.

use super::result::{Run, TargetResult};
use super::scenario::{Kind, Scenario, thousands};
use super::statistics::{Spread, ratio};

/// One figure of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The server's CPU time for a delivery.
    CpuPerDelivery,
    /// Deliveries a second.
    DeliveriesPerSecond,
    /// The median of deliveries' latencies.
    LatencyP50,
    /// The 99th percentile.
    LatencyP99,
    /// The 99.9th percentile.
    LatencyP999,
    /// The longest.
    LatencyMax,
    /// The server's memory for a connection.
    MemoryPerConnection,
    /// Connections opened in a second.
    ConnectionsPerSecond,
    /// The server's CPU time to open one.
    CpuPerConnection,
    /// The 99th percentile of opening one.
    OpeningP99,
    /// CPU that idle connections take.
    IdleCpu,
    /// Bytes received for a delivery.
    WireBytes,
    /// The 99th percentile from connecting to the first message.
    FirstMessageP99,
    /// Memory that the server holds more after the load than before.
    MemoryGrowth,
}

impl Metric {
    /// What a scenario is judged by, first, and what else its table shows.
    pub fn of_scenario(scenario: &Scenario) -> Vec<Self> {
        let mut metrics = match scenario.kind {
            Kind::Fanout => vec![
                Self::CpuPerDelivery,
                Self::DeliveriesPerSecond,
                Self::LatencyP50,
                Self::LatencyP99,
                Self::MemoryPerConnection,
            ],
            Kind::Latency => vec![
                Self::LatencyP99,
                Self::LatencyP50,
                Self::LatencyP999,
                Self::LatencyMax,
                Self::CpuPerDelivery,
                Self::MemoryPerConnection,
            ],
            Kind::Connect => vec![
                Self::ConnectionsPerSecond,
                Self::CpuPerConnection,
                Self::OpeningP99,
            ],
            Kind::Idle => vec![
                Self::MemoryPerConnection,
                Self::IdleCpu,
                Self::ConnectionsPerSecond,
            ],
            Kind::Churn => vec![
                Self::LatencyP99,
                Self::LatencyP50,
                Self::LatencyMax,
                Self::FirstMessageP99,
                Self::CpuPerDelivery,
            ],
        };
        if scenario.deflate {
            metrics.insert(1, Self::WireBytes);
        }
        if scenario.stalled_permille > 0 {
            metrics.push(Self::MemoryGrowth);
        }
        metrics
    }

    /// The heading of its column.
    pub fn heading(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "CPU ns/delivery",
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::LatencyP50 => "p50 µs",
            Self::LatencyP99 => "p99 µs",
            Self::LatencyP999 => "p99.9 µs",
            Self::LatencyMax => "max µs",
            Self::MemoryPerConnection => "bytes/connection",
            Self::ConnectionsPerSecond => "connections/s",
            Self::CpuPerConnection => "CPU µs/connection",
            Self::OpeningP99 => "open p99 µs",
            Self::IdleCpu => "idle CPU ms/s",
            Self::WireBytes => "wire bytes",
            Self::FirstMessageP99 => "join p99 µs",
            Self::MemoryGrowth => "memory grown KiB",
        }
    }

    /// What it is, for people who read a plot alone.
    pub fn title(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "Server CPU per delivery, nanoseconds",
            Self::DeliveriesPerSecond => "Deliveries a second",
            Self::LatencyP50 => "Latency of a delivery, median, microseconds",
            Self::LatencyP99 => "Latency of a delivery, 99th percentile, microseconds",
            Self::LatencyP999 => "Latency of a delivery, 99.9th percentile, microseconds",
            Self::LatencyMax => "Longest latency of a delivery, microseconds",
            Self::MemoryPerConnection => "Server memory per connection, bytes",
            Self::ConnectionsPerSecond => "Connections opened a second",
            Self::CpuPerConnection => "Server CPU to open a connection, microseconds",
            Self::OpeningP99 => "Opening a connection, 99th percentile, microseconds",
            Self::IdleCpu => "Server CPU while all connections are idle, milliseconds a second",
            Self::WireBytes => "Bytes on the wire per delivery",
            Self::FirstMessageP99 => {
                "From connecting to the first message, 99th percentile, microseconds"
            }
            Self::MemoryGrowth => "Server memory after the load less before it, KiB",
        }
    }

    /// Whether more of it is better.
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::DeliveriesPerSecond | Self::ConnectionsPerSecond)
    }

    /// Its value in one round.
    pub fn of(self, run: &Run) -> Option<f64> {
        let load = run.load.as_ref();
        // A load that was given up says nothing of times.
        let whole = load.filter(|load| !load.gave_up && load.deliveries > 0);
        let latency = run.latency.filter(|_| whole.is_some());
        let opened = (run.connect.open > 0).then_some(&run.connect);
        match self {
            Self::CpuPerDelivery => whole.and_then(|load| load.cpu_ns_per_delivery),
            Self::DeliveriesPerSecond => whole.map(|load| load.deliveries_per_s),
            Self::LatencyP50 => latency.map(|latency| latency.p50_us),
            Self::LatencyP99 => latency.map(|latency| latency.p99_us),
            Self::LatencyP999 => latency.map(|latency| latency.p999_us),
            Self::LatencyMax => latency.map(|latency| latency.max_us),
            Self::MemoryPerConnection => run.memory.map(|memory| memory.bytes_per_connection),
            Self::ConnectionsPerSecond => opened.map(|connect| connect.per_s),
            Self::CpuPerConnection => opened.and_then(|connect| connect.cpu_us_each),
            Self::OpeningP99 => opened.map(|connect| connect.opening.p99_us),
            Self::IdleCpu => run.idle_cpu_ms_per_s,
            Self::WireBytes => whole.map(|load| load.wire_bytes_per_delivery),
            Self::FirstMessageP99 => {
                let churn = run.churn.as_ref().filter(|churn| churn.joined > 0);
                churn.map(|churn| churn.first_message.p99_us)
            }
            Self::MemoryGrowth => run.memory.map(|memory| {
                memory.after_bytes.saturating_sub(memory.connected_bytes) as f64 / 1024.0
            }),
        }
    }

    /// Its spread over a target's rounds.
    pub fn spread(self, target: &TargetResult) -> Option<Spread> {
        Spread::of(target.runs.iter().filter_map(|run| self.of(run)))
    }

    /// The median of its ratios to another target, round by round.
    pub fn ratio(self, target: &TargetResult, to: &TargetResult) -> Option<f64> {
        ratio(&self.by_round(target), &self.by_round(to))
    }

    fn by_round(self, target: &TargetResult) -> Vec<(u32, f64)> {
        let runs = target.runs.iter();
        runs.filter_map(|run| Some((run.round, self.of(run)?)))
            .collect()
    }
}

/// A figure with three significant digits, or all before the point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => thousands(value.round().max(0.0) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_or_all_before_the_point() {
        for (value, text) in [
            (0.0, "0"),
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (1_234.5, "1,235"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
