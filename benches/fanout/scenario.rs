//! What is measured, and how one round of it goes with one server.

use std::io;
use std::time::Duration;

use crate::channels::{Channels, Pace};
use crate::client::{Client, Phase, Protocol, Waiting};
use crate::ledger::{Counts, Payload};
use crate::messages::Sharing;
use crate::probe::Probe;
use crate::server::{CpuReading, Programs, Server, Target};

/// Bytes of every message, where the scenario has none of its own.
pub const PAYLOAD_BYTES: usize = 128;
/// Bytes of the messages that are compressed.
const JSON_BYTES: usize = 1_024;
/// Bytes of the larger messages of STOMP.
const LARGE_BYTES: usize = 1_024;
/// Rounds that RabbitMQ takes part in, of as many as there are: it needs half a minute to let 5,000 subscribers in, and is too
/// far away from the others for more rounds to say more.
const RABBITMQ_ROUNDS_MAX: u32 = 3;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// The next message is published when the last has arrived everywhere.
    OneAtATime,
    /// 64 messages are outstanding.
    #[value(name = "outstanding-64")]
    #[serde(rename = "outstanding-64")]
    Outstanding64,
    /// The next message, JSON, is published when the last has arrived everywhere: with compression and without.
    Deflate,
    /// Each subscriber is on 20 of 100 channels; a message to each of them, and the next when all have arrived.
    Channels,
    /// Each subscriber is on 20 of 100 channels; 4 messages are outstanding, and no two of them go to the same subscriber.
    ChannelsSparse,
    /// As one at a time, to subscribers that speak STOMP; brings the two after it with it.
    Stomp,
    /// The same with larger messages.
    #[value(name = "stomp-1024")]
    #[serde(rename = "stomp-1024")]
    Stomp1024,
    /// Memory of STOMP subscribers that nothing is published to.
    StompMemory,
    /// As one at a time, to subscribers that speak Centrifugo's protocol; brings the one after it with it.
    Centrifuge,
    /// Memory of subscribers that speak Centrifugo's protocol and that nothing is published to.
    CentrifugeMemory,
    /// Memory of subscribers that nothing is published to.
    IdleMemory,
    /// Newcomers while the publisher asks for all the server has.
    Saturated,
    /// From the process's start to readiness.
    Start,
}

impl Scenario {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 13] = [
        Self::OneAtATime,
        Self::Outstanding64,
        Self::Deflate,
        Self::Channels,
        Self::ChannelsSparse,
        Self::Stomp,
        Self::Stomp1024,
        Self::StompMemory,
        Self::Centrifuge,
        Self::CentrifugeMemory,
        Self::IdleMemory,
        Self::Saturated,
        Self::Start,
    ];

    /// The name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneAtATime => "one-at-a-time",
            Self::Outstanding64 => "outstanding-64",
            Self::Deflate => "deflate",
            Self::Channels => "channels",
            Self::ChannelsSparse => "channels-sparse",
            Self::Stomp => "stomp",
            Self::Stomp1024 => "stomp-1024",
            Self::StompMemory => "stomp-memory",
            Self::Centrifuge => "centrifuge",
            Self::CentrifugeMemory => "centrifuge-memory",
            Self::IdleMemory => "idle-memory",
            Self::Saturated => "saturated",
            Self::Start => "start",
        }
    }

    /// Whether it is measured when `named` is asked for.
    pub fn belongs_to(self, named: Self) -> bool {
        self == named
            || (named == Self::Stomp && matches!(self, Self::Stomp1024 | Self::StompMemory))
            || (named == Self::Centrifuge && self == Self::CentrifugeMemory)
    }

    /// The servers that it makes sense for. The bare process takes no newcomers while it publishes.
    pub fn targets(self) -> &'static [Target] {
        match self {
            Self::OneAtATime => &[Target::Pushring, Target::Bare, Target::Bun],
            Self::Outstanding64 => &[
                Target::Pushring,
                Target::BareTurn,
                Target::Bun,
                Target::Bare,
            ],
            Self::Deflate => &[Target::Pushring, Target::PushringDeflate],
            Self::Channels | Self::ChannelsSparse => &[Target::Pushring, Target::PushringUnmerged],
            Self::Stomp | Self::Stomp1024 => {
                &[Target::Pushring, Target::PushringStomp, Target::Rabbitmq]
            }
            Self::StompMemory => &[Target::Pushring, Target::PushringStomp],
            Self::Centrifuge | Self::CentrifugeMemory => {
                &[Target::Pushring, Target::PushringCentrifuge]
            }
            Self::IdleMemory | Self::Start => &[Target::Pushring, Target::Bare, Target::Bun],
            Self::Saturated => &[Target::Pushring, Target::Bun],
        }
    }

    /// What one run consists of.
    pub fn load(self, quick: bool) -> Load {
        let (subscribers, window, warm_up_ms, measured_ms) = match (self, quick) {
            (Self::OneAtATime, false) => (5_000, 1, 500, 1_500),
            (Self::OneAtATime, true) => (1_000, 1, 200, 400),
            (Self::Outstanding64, false) => (1_000, 64, 300, 1_500),
            (Self::Outstanding64, true) => (500, 64, 200, 400),
            (Self::Deflate, false) => (2_000, 1, 500, 2_000),
            (Self::Deflate, true) => (500, 1, 200, 400),
            (Self::Channels, false) => (1_000, 1, 500, 2_000),
            (Self::Channels, true) => (200, 1, 200, 400),
            (Self::ChannelsSparse, false) => (1_000, 4, 500, 2_000),
            (Self::ChannelsSparse, true) => (200, 4, 200, 400),
            (Self::Stomp | Self::Stomp1024 | Self::Centrifuge, false) => (5_000, 1, 500, 1_500),
            (Self::Stomp | Self::Stomp1024 | Self::Centrifuge, true) => (500, 1, 200, 400),
            (Self::IdleMemory | Self::StompMemory | Self::CentrifugeMemory, false) => {
                (15_000, 1, 0, 0)
            }
            (Self::IdleMemory | Self::StompMemory | Self::CentrifugeMemory, true) => {
                (3_000, 1, 0, 0)
            }
            (Self::Saturated, false) => (2_000, 2_048, 500, 5_000),
            (Self::Saturated, true) => (500, 2_048, 200, 1_000),
            (Self::Start, _) => (0, 1, 0, 0),
        };
        Load {
            subscribers,
            window,
            warm_up: Duration::from_millis(warm_up_ms),
            measured: Duration::from_millis(measured_ms),
        }
    }

    /// What is published.
    pub fn payload(self) -> Payload {
        match self {
            Self::Deflate => Payload::json(JSON_BYTES),
            Self::Stomp1024 => Payload::new(LARGE_BYTES),
            _ => Payload::new(PAYLOAD_BYTES),
        }
    }

    /// How many rounds there are with a server when `wanted` are asked for: fewer where a round takes long and figures hardly
    /// vary.
    pub fn rounds(self, target: Target, wanted: u32) -> u32 {
        match (self, target) {
            (
                Self::IdleMemory | Self::StompMemory | Self::CentrifugeMemory | Self::Saturated,
                _,
            ) => 1,
            (_, Target::Rabbitmq) => wanted.min(RABBITMQ_ROUNDS_MAX),
            _ => wanted,
        }
    }
}

/// The size of one run.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Load {
    /// Subscribers of the one channel.
    pub subscribers: u32,
    /// Messages outstanding at most.
    pub window: u64,
    /// Time of publishing before anything is measured.
    #[serde(rename = "warm_up_s", serialize_with = "as_seconds")]
    pub warm_up: Duration,
    /// Time of publishing that is measured.
    #[serde(rename = "measured_s", serialize_with = "as_seconds")]
    pub measured: Duration,
}

/// What one run with one server gave.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// CPU per delivery.
    FanOut(FanOut),
    /// Memory per connection.
    Memory(Memory),
    /// Newcomers' waits, and the load they came into.
    Saturated { newcomers: Newcomers, load: FanOut },
    /// Start to ready.
    Start { ready_after_ms: f64 },
}

/// A measured phase of publishing.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct FanOut {
    /// CPU of the server's process and of the kernel's network thread on its core, nanoseconds per delivery.
    pub cpu_ns_per_delivery: f64,
    /// The kernel thread's part of it.
    pub softirq_daemon_ns_per_delivery: f64,
    /// Messages published in the measured time.
    pub publications: u64,
    /// Deliveries in the measured time.
    pub deliveries: u64,
    /// Bytes that a subscriber received for a delivery, its frame's header included.
    pub wire_bytes_per_delivery: f64,
    /// First publication to last delivery, or its receipt where that is later, seconds.
    pub wall_s: f64,
    /// The server's share of its core.
    pub server_busy: f64,
    /// The client's share of its core that was spent reading and publishing.
    pub client_busy: f64,
    /// What others took of the server's core.
    pub others_busy: f64,
    /// Whether something never arrived and was given up: the run's counts stand, its times mean nothing.
    pub stalled: bool,
    /// Everything counted since the server's start, warm-up included.
    pub counts: Counts,
}

/// What idle subscribers cost.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Memory {
    /// Resident bytes without connections.
    pub empty_bytes: u64,
    /// Resident bytes with all subscribers connected and idle.
    pub connected_bytes: u64,
    /// Resident bytes after one message has been delivered to each.
    pub after_message_bytes: u64,
    /// The difference of the first two over the number of connections.
    pub bytes_per_connection: f64,
    /// The one message, counted.
    pub counts: Counts,
}

/// Clients that came while the server was saturated.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Newcomers {
    /// How many came.
    pub count: usize,
    /// The median time from connecting to the first message, milliseconds.
    pub median_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// What they received.
    pub counts: Counts,
}

/// Runs one round of `scenario` with one server, from its start to its end.
pub fn run(
    scenario: Scenario,
    target: Target,
    load: Load,
    programs: &Programs,
    waiting: Waiting,
) -> io::Result<Figures> {
    let mut server = Server::start(target, programs)?;
    if scenario == Scenario::Start {
        return Ok(Figures::Start {
            ready_after_ms: milliseconds(server.ready_after()),
        });
    }
    let pace = match scenario {
        Scenario::Channels => Some(Pace::Together),
        Scenario::ChannelsSparse => Some(Pace::InTurn {
            outstanding: load.window,
        }),
        _ => None,
    };
    if let Some(pace) = pace {
        let figures = channels(&server, load, pace, waiting).map(Figures::FanOut);
        return figures.map_err(|error| server.explain(&error));
    }
    let protocol = match target {
        Target::PushringDeflate => Protocol::Deflate,
        Target::PushringStomp => Protocol::Stomp(Sharing::All),
        Target::Rabbitmq => Protocol::Stomp(Sharing::Nobody),
        Target::PushringCentrifuge => Protocol::Centrifuge,
        Target::Pushring
        | Target::PushringUnmerged
        | Target::Bare
        | Target::BareTurn
        | Target::Bun => Protocol::Raw,
    };
    let payload = scenario.payload();
    let mut client = Client::new(server.public(), waiting, payload, load.window, protocol)?;
    let figures = match scenario {
        Scenario::IdleMemory | Scenario::StompMemory | Scenario::CentrifugeMemory => {
            idle_memory(&server, &mut client, load).map(Figures::Memory)
        }
        Scenario::Saturated => saturated(&server, &mut client, load),
        _ => fan_out(&server, &mut client, load, || Ok(())).map(Figures::FanOut),
    };
    figures.map_err(|error| server.explain(&error))
}

fn fan_out(
    server: &Server,
    client: &mut Client,
    load: Load,
    between: impl FnMut() -> io::Result<()>,
) -> io::Result<FanOut> {
    client.subscribe(load.subscribers)?;
    client.connect_publisher()?;
    let warm_up = client.drive(load.warm_up, || Ok(()))?;
    let before = server.cpu()?;
    let phase = if warm_up.stalled {
        warm_up
    } else {
        client.drive(load.measured, between)?
    };
    let after = server.cpu()?;
    Ok(FanOut::new(before, after, phase, client.counts()))
}

fn channels(server: &Server, load: Load, pace: Pace, waiting: Waiting) -> io::Result<FanOut> {
    let mut client = Channels::new(server.public(), pace, waiting)?;
    client.connect(load.subscribers)?;
    let warm_up = client.drive(load.warm_up)?;
    let before = server.cpu()?;
    let phase = match warm_up.stalled {
        true => warm_up,
        false => client.drive(load.measured)?,
    };
    let after = server.cpu()?;
    Ok(FanOut::new(before, after, phase, client.counts()))
}

fn idle_memory(server: &Server, client: &mut Client, load: Load) -> io::Result<Memory> {
    let empty_bytes = server.settled_resident_bytes()?;
    client.subscribe(load.subscribers)?;
    let connected_bytes = server.settled_resident_bytes()?;
    // That they are subscribed is shown, not believed.
    client.connect_publisher()?;
    client.drive(Duration::ZERO, || Ok(()))?;
    let after_message_bytes = server.settled_resident_bytes()?;
    Ok(Memory {
        empty_bytes,
        connected_bytes,
        after_message_bytes,
        bytes_per_connection: connected_bytes.saturating_sub(empty_bytes) as f64
            / f64::from(load.subscribers),
        counts: client.counts(),
    })
}

fn saturated(server: &Server, client: &mut Client, load: Load) -> io::Result<Figures> {
    let mut probe = Probe::new(server.public(), PAYLOAD_BYTES);
    let load = fan_out(server, client, load, || probe.step())?;
    let (mut waits, counts) = probe.finish();
    waits.sort_unstable();
    let newcomers = Newcomers {
        count: waits.len(),
        median_ms: waits.get(waits.len() / 2).copied().map(milliseconds),
        max_ms: waits.last().copied().map(milliseconds),
        counts,
    };
    Ok(Figures::Saturated { newcomers, load })
}

impl FanOut {
    fn new(before: CpuReading, after: CpuReading, phase: Phase, counts: Counts) -> Self {
        let softirq_daemon = after.softirq_daemon.saturating_sub(before.softirq_daemon);
        let cpu = after.server.saturating_sub(before.server) + softirq_daemon;
        let core = after.core.saturating_sub(before.core);
        let share = |time: Duration| time.as_secs_f64() / phase.wall.as_secs_f64();
        let per_delivery = |time: Duration| time.as_nanos() as f64 / phase.delivered as f64;
        Self {
            cpu_ns_per_delivery: per_delivery(cpu),
            softirq_daemon_ns_per_delivery: per_delivery(softirq_daemon),
            publications: phase.published,
            deliveries: phase.delivered,
            wire_bytes_per_delivery: phase.received_bytes as f64 / phase.delivered as f64,
            wall_s: phase.wall.as_secs_f64(),
            server_busy: share(cpu),
            client_busy: 1.0 - share(phase.client_idle),
            others_busy: share(core.saturating_sub(cpu)),
            stalled: phase.stalled,
            counts,
        }
    }
}

impl Figures {
    /// The figure that servers are compared by, unless the run gave none.
    pub fn headline(&self) -> Option<f64> {
        match self {
            Self::FanOut(run) => (!run.stalled).then_some(run.cpu_ns_per_delivery),
            Self::Memory(memory) => Some(memory.bytes_per_connection),
            Self::Saturated { newcomers, load } => newcomers.max_ms.filter(|_| !load.stalled),
            Self::Start { ready_after_ms } => Some(*ready_after_ms),
        }
    }

    /// The measured phase of publishing, if the scenario has one.
    pub fn fan_out(&self) -> Option<&FanOut> {
        match self {
            Self::FanOut(load) | Self::Saturated { load, .. } => Some(load),
            Self::Memory(_) | Self::Start { .. } => None,
        }
    }

    /// Everything counted in the run.
    pub fn counts(&self) -> Counts {
        match self {
            Self::FanOut(run) => run.counts,
            Self::Memory(memory) => memory.counts,
            Self::Saturated { newcomers, load } => {
                let mut counts = load.counts;
                counts += newcomers.counts;
                counts
            }
            Self::Start { .. } => Counts::default(),
        }
    }
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
