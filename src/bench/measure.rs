//! One round: a server is started, loaded, measured and ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::client::{Client, ClientError, Load, LoadReport};
use super::machine;
use super::progress::Progress;
use super::result::{ChurnFigures, ConnectFigures, LoadFigures, MemoryFigures, Percentiles, Run};
use super::scenario::{Kind, Scenario};
use super::setup::{client_settings, scenario_values};
use super::target::{Server, ServerError, Target, Values};

/// A pause in which a server that subscribes after its answer to the handshake gets to it.
const SETTLE: Duration = Duration::from_millis(200);
/// How long woken subscribers may take to read what waits for them.
const WAKE_MAX: Duration = Duration::from_secs(10);

/// Where and with what to measure.
pub struct Bench<'a> {
    /// The servers' cores.
    pub server_cores: &'a [usize],
    /// The client's.
    pub client_cores: &'a [usize],
    /// Where servers get their folders.
    pub scratch: &'a Path,
    /// Placeholders that are the same for all.
    pub values: &'a Values,
    /// Set when everything is to end early.
    pub stop: Arc<AtomicBool>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// One line.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked for an end.
    #[error("stopped")]
    Stopped,
}

impl From<ServerError> for RoundError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::NotReady(why) => Self::Failed(why),
            ServerError::Stopped => Self::Stopped,
        }
    }
}

impl From<ClientError> for RoundError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Stopped => Self::Stopped,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// A round's figures, and how long each delivery took in nanoseconds.
pub struct Round {
    /// The figures.
    pub run: Run,
    /// From when each message was due.
    pub latency: Histogram<u64>,
}

impl Bench<'_> {
    /// Measures one target in one round.
    ///
    /// # Errors
    /// [`RoundError`]; the server has been ended then too.
    pub fn round(
        &self,
        scenario: &Scenario,
        target: &Target,
        round: u32,
        progress: &Progress,
    ) -> Result<Round, RoundError> {
        self.check_files(scenario)?;
        let mut values = self.values.clone();
        scenario_values(scenario, &mut values);
        progress.say("starting");
        let mut server =
            Server::start(target, self.server_cores, self.scratch, &values, &self.stop)?;
        let settings = client_settings(scenario, target, server.values(), self.client_cores)
            .map_err(RoundError::Failed)?;
        let mut client = Client::start(settings, Arc::clone(&self.stop))?;
        let result = self.drive(scenario, target, round, &mut server, &mut client, progress);
        result.map_err(|error| match error {
            RoundError::Failed(why) => RoundError::Failed(server.explain(&why)),
            RoundError::Stopped => RoundError::Stopped,
        })
    }

    /// Every connection needs a file here, and the client a few besides.
    fn check_files(&self, scenario: &Scenario) -> Result<(), RoundError> {
        const BESIDES: u64 = 100;
        let limit = machine::raise_open_files().map_err(|error| failed(&error))?;
        let wanted = u64::from(scenario.connections()) + BESIDES;
        if wanted > limit {
            return Err(RoundError::Failed(format!(
                "{} connections need {wanted} open files, and this process may have {limit}; lower subscribers, or raise \
                 `ulimit -Hn`",
                scenario.connections()
            )));
        }
        Ok(())
    }

    fn drive(
        &self,
        scenario: &Scenario,
        target: &Target,
        round: u32,
        server: &mut Server,
        client: &mut Client,
        progress: &Progress,
    ) -> Result<Round, RoundError> {
        let empty = server.settled_memory(&self.stop);
        let mut run = Run {
            round,
            ..Run::default()
        };
        run.connect = connect(scenario, server, client, progress)?;
        if run.connect.open == 0 {
            let why = run.connect.first_failure.unwrap_or_default();
            return Err(RoundError::Failed(format!(
                "no connection was opened: {why}"
            )));
        }
        client.idle(SETTLE)?;
        let connected = match scenario.kind {
            Kind::Connect => None,
            _ => server.settled_memory(&self.stop),
        };
        if scenario.kind == Kind::Idle {
            run.idle_cpu_ms_per_s = idle_cpu(scenario, server, client, progress)?;
        }
        let mut latency = super::client::histogram();
        if target.publish.is_some() {
            client.open_publisher()?;
            progress.say("warm-up");
            let proves_only = matches!(scenario.kind, Kind::Connect | Kind::Idle);
            let warmup = Load {
                pace: scenario.pace(),
                duration: if proves_only {
                    Duration::ZERO
                } else {
                    scenario.warmup()
                },
                patience: scenario.patience(),
                churn_every_ns: 0,
            };
            let mut last = client.load(warmup, &mut |_| {})?;
            if !proves_only && !last.gave_up {
                if scenario.stalled_permille > 0 {
                    client.stall()?;
                }
                (run.load, last) = self.load(scenario, server, client, progress)?;
                run.latency = (!last.latency.is_empty()).then(|| percentiles(&last.latency));
                run.churn = (scenario.churn_per_second > 0).then(|| churn(&last));
                latency = last.latency;
            } else if last.gave_up {
                run.load = Some(load_figures(&last));
            }
        }
        if let (Some(empty_bytes), Some(connected_bytes)) = (empty, connected) {
            let after = server.settled_memory(&self.stop).unwrap_or(connected_bytes);
            let grown = connected_bytes.saturating_sub(empty_bytes) as f64;
            run.memory = Some(MemoryFigures {
                empty_bytes,
                connected_bytes,
                after_bytes: after,
                bytes_per_connection: grown / run.connect.open as f64,
            });
        }
        if scenario.stalled_permille > 0 {
            progress.say("waking those that did not read");
            run.stalled = Some(client.wake(WAKE_MAX)?);
        }
        (run.counts, run.closes) = client.settle()?;
        Ok(Round { run, latency })
    }

    fn load(
        &self,
        scenario: &Scenario,
        server: &Server,
        client: &mut Client,
        progress: &Progress,
    ) -> Result<(Option<LoadFigures>, LoadReport), RoundError> {
        let load = Load {
            pace: scenario.pace(),
            duration: scenario.measure(),
            patience: scenario.patience(),
            churn_every_ns: match scenario.churn_per_second {
                0 => 0,
                per_second => 1_000_000_000 / per_second,
            },
        };
        progress.begin("measuring", scenario.measure());
        let busy_before = machine::cores_busy(server.cores());
        let cpu_before = server.cpu();
        let report = client.load(load, &mut |_| progress.tick())?;
        let cpu_after = server.cpu();
        let busy = machine::cores_busy(server.cores()).saturating_sub(busy_before);
        let mut figures = load_figures(&report);
        if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
            let cpu = after.saturating_sub(before);
            let capacity_s = figures.wall_s * server.cores().len() as f64;
            let others = busy.saturating_sub(cpu).as_secs_f64();
            if report.deliveries > 0 {
                figures.cpu_ns_per_delivery =
                    Some(cpu.as_nanos() as f64 / report.deliveries as f64);
            }
            figures.server_busy = Some(cpu.as_secs_f64() / capacity_s);
            figures.others_busy = Some(others / capacity_s);
        }
        Ok((Some(figures), report))
    }
}

fn connect(
    scenario: &Scenario,
    server: &Server,
    client: &mut Client,
    progress: &Progress,
) -> Result<ConnectFigures, RoundError> {
    progress.begin_count("connecting", scenario.subscribers.into());
    let cpu_before = server.cpu();
    let connected = client.connect(scenario.subscribers, scenario.handshakes, &mut |open| {
        progress.count(open);
    })?;
    let cpu_after = server.cpu();
    let cpu = cpu_before
        .zip(cpu_after)
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    let open = connected.open.max(1) as f64;
    Ok(ConnectFigures {
        open: connected.open,
        failed: connected.failed,
        first_failure: connected.first_failure.map(|why| one_line(&why)),
        per_s: connected.open as f64 / seconds(connected.wall_ns.max(1)),
        cpu_us_each: cpu.map(|cpu_s| cpu_s * 1e6 / open),
        opening: percentiles(&connected.opening),
        compressed: connected.compressed,
    })
}

fn idle_cpu(
    scenario: &Scenario,
    server: &Server,
    client: &mut Client,
    progress: &Progress,
) -> Result<Option<f64>, RoundError> {
    progress.say("idle");
    let before = server.cpu();
    client.idle(scenario.measure())?;
    let cpu = before
        .zip(server.cpu())
        .map(|(before, after)| after.saturating_sub(before));
    Ok(cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / scenario.measure().as_secs_f64()))
}

fn load_figures(report: &LoadReport) -> LoadFigures {
    let wall_s = seconds(report.wall_ns.max(1));
    let deliveries = report.deliveries.max(1) as f64;
    LoadFigures {
        published: report.published,
        deliveries: report.deliveries,
        wall_s,
        deliveries_per_s: report.deliveries as f64 / wall_s,
        cpu_ns_per_delivery: None,
        server_busy: None,
        others_busy: None,
        client_busy: report.busy,
        wire_bytes_per_delivery: report.received_bytes as f64 / deliveries,
        late_p99_us: micros(report.lateness.value_at_quantile(0.99)),
        late_max_us: micros(report.lateness.max()),
        gave_up: report.gave_up,
        refused: report.refused,
        first_refusal: report.first_refusal.as_deref().map(one_line),
    }
}

fn churn(report: &LoadReport) -> ChurnFigures {
    ChurnFigures {
        left: report.left,
        joined: report.joined.open,
        failed: report.joined.failed,
        first_message: percentiles(&report.joined.opening),
    }
}

fn percentiles(times: &Histogram<u64>) -> Percentiles {
    if times.is_empty() {
        return Percentiles::default();
    }
    let at = |quantile| micros(times.value_at_quantile(quantile));
    Percentiles {
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: micros(times.max()),
    }
}

/// Nanoseconds in microseconds, to a tenth.
pub(super) fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn failed(error: &std::io::Error) -> RoundError {
    RoundError::Failed(error.to_string())
}

/// Somebody else's words on one line.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}
