//! The flags of `pushring bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::bench::payload::PayloadKind;
use crate::bench::protocol::Protocol;
use crate::bench::scenario::{Kind, Scenario};

/// The arguments of `pushring bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct BenchArgs {
    #[command(subcommand)]
    pub(super) action: Action,
}

const EXAMPLES: &str = "\
Every payload carries a sequence number and the time it was due; lost, doubled, reordered and foreign deliveries are counted and
shown. The exit code is 0 when everything was clean, 1 when something was not, 2 for arguments that cannot be used, 130 after
Ctrl-C (what was measured by then is kept).

Examples:
  pushring bench fanout --target pushring
  pushring bench latency --target pushring --subscribers 500 --rate 1000
  pushring bench fanout --target ws://127.0.0.1:8000/sub/{channel} --publish http://127.0.0.1:8001/pub/{channel} --pid 4711
  pushring bench compare --scenario one-at-a-time --targets pushring,uwebsockets,bun
  pushring bench report target/bench/2026-01-31T120000Z
  benches/peers/setup bun                     installs a server to compare with";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// As many deliveries as it takes, so many messages outstanding: CPU per delivery
    Fanout(KindArgs),
    /// Messages at a fixed rate: latency of each delivery from when its message was due
    Latency(KindArgs),
    /// Many connections at once: connections a second
    Connect(KindArgs),
    /// Subscribed connections on which nothing happens: memory and CPU of each
    Idle(KindArgs),
    /// Messages at a fixed rate while subscribers come and go
    Churn(KindArgs),
    /// Several servers in turn in the same scenarios: medians, spread, ratios, a report
    Compare(CompareArgs),
    /// Make the HTML report of results anew
    Report(ReportArgs),
    /// Print a Markdown table of results
    Table(TableArgs),
    /// Become a command on these cores (what the bench starts servers with).
    #[command(hide = true)]
    Launch {
        parent: u32,
        cores: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
}

/// A kind of measurement and its target.
#[derive(Debug, Args)]
pub(super) struct KindArgs {
    /// A name from benches/peers, the path of such a file, or an address like ws://127.0.0.1:8000/sub/{channel}
    #[arg(long, value_name = "NAME|FILE|URL")]
    pub target: String,

    #[command(flatten)]
    pub load: LoadArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

impl KindArgs {
    pub fn peers_folder(&self) -> Option<PathBuf> {
        self.common.peers.clone()
    }
}

/// The scenario in flags; what is not given has the default of its kind.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Subscribing connections [default: 1000]
    #[arg(long, value_name = "N")]
    subscribers: Option<u32>,
    /// fanout: messages of a channel that may be on their way [default: 1]
    #[arg(long, value_name = "N")]
    window: Option<u64>,
    /// latency, churn: messages a second [default: 1000]
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    /// Bytes of each payload [default: 128]
    #[arg(long, value_name = "N")]
    payload_bytes: Option<usize>,
    /// Payloads are JSON, as a price feed sends it
    #[arg(long)]
    json: bool,
    /// Channels there are [default: 1]
    #[arg(long, value_name = "N")]
    channels: Option<u32>,
    /// Channels that each subscriber is on [default: 1]
    #[arg(long, value_name = "N")]
    channels_each: Option<u32>,
    /// latency: of a thousand subscribers, how many stop reading [default: 0]
    #[arg(long, value_name = "N")]
    stalled_permille: Option<u32>,
    /// churn: subscribers that leave, and come, in a second [default: 50]
    #[arg(long, value_name = "N")]
    churn_per_second: Option<u64>,
    /// Offer permessage-deflate
    #[arg(long)]
    deflate: bool,
    /// Opening handshakes under way at a time [default: 64]
    #[arg(long, value_name = "N")]
    handshakes: Option<u32>,
    /// Milliseconds of load before the measurement [default: 500]
    #[arg(long, value_name = "MS")]
    warmup_ms: Option<u64>,
    /// Milliseconds that are measured [default: 3000]
    #[arg(long, value_name = "MS")]
    measure_ms: Option<u64>,
    /// Milliseconds without a delivery after which a round is given up [default: 5000]
    #[arg(long, value_name = "MS")]
    patience_ms: Option<u64>,
}

impl LoadArgs {
    /// The scenario that they are.
    pub fn scenario(&self, kind: Kind) -> Scenario {
        let mut scenario = Scenario::of_kind(kind);
        scenario.title = format!("pushring bench {}", kind.name());
        set(&mut scenario.subscribers, self.subscribers);
        set(&mut scenario.window, self.window);
        set(&mut scenario.rate, self.rate);
        set(&mut scenario.payload_bytes, self.payload_bytes);
        set(&mut scenario.channels, self.channels);
        set(&mut scenario.channels_each, self.channels_each);
        set(&mut scenario.stalled_permille, self.stalled_permille);
        set(&mut scenario.churn_per_second, self.churn_per_second);
        set(&mut scenario.handshakes, self.handshakes);
        set(&mut scenario.warmup_ms, self.warmup_ms);
        set(&mut scenario.measure_ms, self.measure_ms);
        set(&mut scenario.patience_ms, self.patience_ms);
        if self.json {
            scenario.payload = PayloadKind::Json;
        }
        scenario.deflate = self.deflate;
        scenario
    }
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

/// What all measurements have in common.
#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// How often each target is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Where to keep results and report [default: for compare a folder in target/bench; otherwise nowhere]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The servers' cores, for example 0,2 [default: the first there is]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    pub server_cores: Vec<usize>,
    /// The load generator's cores, a thread for each [default: the second there is]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    pub client_cores: Vec<usize>,
    /// The folder of target files [default: benches/peers, here or above]
    #[arg(long, value_name = "DIR")]
    pub peers: Option<PathBuf>,
    /// Another pushring to measure than this one
    #[arg(long, value_name = "FILE")]
    pub pushring: Option<PathBuf>,
    /// Leave out, with a word, what is not installed
    #[arg(long)]
    pub skip_missing: bool,
    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
    /// For a target that is an address: where to publish, ws:// or http:// [default: in the protocol's own words]
    #[arg(long, value_name = "URL")]
    pub publish: Option<String>,
    /// For a target that is an address: what its clients speak
    #[arg(long, value_name = "PROTOCOL", default_value = "raw")]
    pub protocol: ProtocolArg,
    /// For a target that is an address: its process, to measure CPU and memory
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
}

/// A protocol on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ProtocolArg {
    Raw,
    Stomp,
    Centrifuge,
    CentrifugeV1,
    Nats,
    Mqtt,
    Pusher,
}

impl From<ProtocolArg> for Protocol {
    fn from(protocol: ProtocolArg) -> Self {
        match protocol {
            ProtocolArg::Raw => Self::Raw,
            ProtocolArg::Stomp => Self::Stomp,
            ProtocolArg::Centrifuge => Self::Centrifuge,
            ProtocolArg::CentrifugeV1 => Self::CentrifugeV1,
            ProtocolArg::Nats => Self::Nats,
            ProtocolArg::Mqtt => Self::Mqtt,
            ProtocolArg::Pusher => Self::Pusher,
        }
    }
}

/// Several targets.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Targets, the first of which the others are compared with
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', required = true)]
    pub targets: Vec<String>,
    /// Scenario files, or names of standard ones (benches/scenarios)
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub scenario: Vec<PathBuf>,

    #[command(flatten)]
    pub common: CommonArgs,
}

/// Results to show again.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A result file, or a folder of them
    #[arg(value_name = "RESULT")]
    pub results: PathBuf,
    /// The page [default: report.html in the folder, RESULT.html beside the file]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also write each scenario's first plot as an SVG file there, for a README
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
}

/// Results to put in a README.
#[derive(Debug, Args)]
pub(super) struct TableArgs {
    /// A result file, or a folder of them
    #[arg(value_name = "RESULT")]
    pub results: PathBuf,
}
