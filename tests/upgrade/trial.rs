//! Many connections over all protocols, publishers at full speed, and one upgrade after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::channel::{Channel, Counts};
use crate::crowd::{Crowd, Silence};
use crate::publishers::Publishers;
use crate::support::metrics::Metrics;
use crate::support::server::Options;
use crate::upgrading::{Outcome, Program, Upgrading};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Some channels keep histories and presence, some nothing.
const CONFIG: &str = "\
[limits]
connections_max = 20_000
accepts_per_second_max = 20_000
connections_per_peer_max = 20_000

[timeouts]
head_ms = 60_000

[[namespace]]
channels = \"kept:*\"
history_size = 300
history_ttl = \"1m\"
presence = true
";

/// What is done.
pub struct Trial {
    pub connections: usize,
    pub channels: usize,
    pub shards: usize,
    /// What stands at the path of the server's program at each upgrade.
    pub programs: Vec<Program>,
    /// How long all of it may stand still before it is given up.
    pub patience: Duration,
}

/// What came of an upgrade.
pub struct Round {
    pub program: Program,
    pub outcome: Outcome,
    pub silence: Silence,
    /// From the question to the answer of the log.
    pub took: Duration,
    /// Deliveries counted between this upgrade's beginning and the next one's.
    pub deliveries: u64,
}

/// What came of all of it.
pub struct Outcomes {
    /// Of subscribers.
    pub connections: usize,
    /// Connections of publishers besides.
    pub publishers: usize,
    pub disconnects: usize,
    pub faults: Option<String>,
    pub publications: u64,
    pub deliveries: u64,
    pub counts: Counts,
    pub rounds: Vec<Round>,
    /// Silences where there was no upgrade.
    pub undisturbed: Silence,
    /// HTTP connections that the server has said it closes.
    pub reconnects: u64,
    /// Files that the process had open before the first upgrade and after the last.
    pub open_files: [usize; 2],
    pub took: Duration,
    /// What does not hold that should.
    pub objections: Vec<String>,
}

/// Why a trial ended before its time.
#[derive(Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Trial {
    /// All of it. What was counted is checked: what does not hold is among the objections.
    pub fn run(&self) -> Result<Outcomes, Failure> {
        raise_open_files();
        let mut upgrading = Upgrading::start(Options {
            shards: self.shards,
            ..Options::with_config(CONFIG)
        });
        self.run_on(&mut upgrading).map_err(|Failure(why)| {
            let log = upgrading.server.output();
            let end = log[log.len().saturating_sub(30)..].join("\n");
            Failure(format!("{why}\nthe end of the server's log:\n{end}"))
        })
    }

    fn run_on(&self, upgrading: &mut Upgrading) -> Result<Outcomes, Failure> {
        let addresses = upgrading.server.addresses;
        let pid = upgrading.server.id();
        let channels = self.channels();
        let crowd = Crowd::start(addresses.public, &channels);
        let mut http = upgrading.server.http();
        let until = Instant::now() + self.patience;
        while Metrics::get(&mut http).sum("subscriptions") < self.connections as u64 {
            self.check(&crowd, until, "to subscribe")?;
            thread::sleep(LOOK_EVERY * 10);
        }
        let files_before = upgrading.open_files();
        let began = Instant::now();
        let publishers = Publishers::start(addresses, &channels, self.ahead_max());
        self.until_all_have(&channels, &crowd, "the first publications", |channel| {
            channel.least_heard() > 0
        })?;
        crowd.begin_silence();
        self.hear_on(&channels, &crowd)?;
        let undisturbed = crowd.silence();
        let mut rounds = Vec::new();
        for &program in &self.programs {
            let round = self.upgrade(program, upgrading, &channels, &crowd)?;
            rounds.push(round);
        }
        let reconnects = Arc::clone(&publishers.reconnects);
        publishers.end().map_err(Failure)?;
        self.until_all_have(&channels, &crowd, "all publications", |channel| {
            channel.least_heard() >= channel.published()
        })?;
        let took = began.elapsed();
        let faults = crowd.faults();
        let disconnects = crowd.shared.faults.lock().unwrap().len();
        // Publishers have gone, and nobody else has.
        let metrics = Metrics::wait(&mut http, "publishers gone", |metrics| {
            metrics.sum("connections") <= self.connections as u64
        });
        upgrading.wait_until_childless();
        let files_after = upgrading.open_files();
        let sum = |count: fn(&Channel) -> u64| channels.iter().map(|one| count(one)).sum::<u64>();
        let mut result = Outcomes {
            connections: self.connections,
            publishers: Publishers::connections(self.channels),
            disconnects,
            faults,
            publications: sum(Channel::published),
            deliveries: sum(Channel::delivered),
            counts: crowd.end(),
            rounds,
            undisturbed,
            reconnects: reconnects.load(std::sync::atomic::Ordering::Relaxed),
            open_files: [files_before, files_after],
            took,
            objections: Vec::new(),
        };
        result.check(&metrics);
        if upgrading.server.id() != pid || upgrading.server.exit_status().is_some() {
            result.objections.push("another process".to_owned());
        }
        Ok(result)
    }

    /// No more is to be on its way than subscribers take within a second or so.
    fn ahead_max(&self) -> u64 {
        (300_000 / self.connections as u64).clamp(10, 200)
    }

    fn channels(&self) -> Vec<Arc<Channel>> {
        let (all, channels) = (self.connections, self.channels);
        let mut made = Vec::new();
        for index in 0..channels {
            let kind = ["kept", "plain"][index / 4 % 2];
            let subscribers = all * (index + 1) / channels - all * index / channels;
            let name = format!("{kind}:{index}");
            made.push(Arc::new(Channel::new(index, name, subscribers)));
        }
        made
    }

    fn upgrade(
        &self,
        program: Program,
        upgrading: &mut Upgrading,
        channels: &[Arc<Channel>],
        crowd: &Crowd,
    ) -> Result<Round, Failure> {
        let delivered = |channels: &[Arc<Channel>]| -> u64 {
            channels.iter().map(|channel| channel.delivered()).sum()
        };
        upgrading.replace(program);
        let before = delivered(channels);
        crowd.begin_silence();
        let began = Instant::now();
        let outcome = upgrading.upgrade();
        let took = began.elapsed();
        // Whoever was silent is silent until it hears something.
        self.hear_on(channels, crowd)?;
        Ok(Round {
            program,
            outcome,
            silence: crowd.silence(),
            took,
            deliveries: delivered(channels) - before,
        })
    }

    /// Waits until every subscriber has something that was published after now.
    fn hear_on(&self, channels: &[Arc<Channel>], crowd: &Crowd) -> Result<(), Failure> {
        let now: Vec<u64> = channels.iter().map(|channel| channel.published()).collect();
        self.until_all_have(channels, crowd, "new publications", |channel| {
            channel.least_heard() > now[channel.index]
        })
    }

    fn until_all_have(
        &self,
        channels: &[Arc<Channel>],
        crowd: &Crowd,
        what: &str,
        has: impl Fn(&Channel) -> bool,
    ) -> Result<(), Failure> {
        let mut until = Instant::now() + self.patience;
        let mut least = 0;
        while !channels.iter().all(|channel| has(channel)) {
            let all = channels.iter();
            let now: u64 = all.map(|channel| channel.least_heard()).sum();
            if std::mem::replace(&mut least, now) != now {
                until = Instant::now() + self.patience;
            }
            self.check(crowd, until, what).map_err(|Failure(why)| {
                let all: Vec<_> = (channels.iter())
                    .map(|one| (one.published(), one.mean_heard(), one.least_heard()))
                    .collect();
                Failure(format!("{why}\npublished, mean and least heard: {all:?}"))
            })?;
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn check(&self, crowd: &Crowd, until: Instant, what: &str) -> Result<(), Failure> {
        if let Some(faults) = crowd.faults() {
            return Err(Failure(faults));
        }
        if Instant::now() > until {
            let patience = self.patience;
            return Err(Failure(format!(
                "nothing for {patience:?}; waited for {what}"
            )));
        }
        Ok(())
    }
}

impl Outcomes {
    fn check(&mut self, metrics: &Metrics) {
        let mut objections = Vec::new();
        let mut object = |holds: bool, what: String| {
            if !holds {
                objections.push(what);
            }
        };
        let counts = self.counts;
        object(counts == Counts::default(), format!("{counts:?}"));
        object(self.disconnects == 0, format!("{:?}", self.faults));
        for (number, round) in self.rounds.iter().enumerate() {
            let as_expected = match &round.outcome {
                Outcome::TakenOver { .. } => round.program == Program::Same,
                Outcome::Refused(line) => {
                    round.program != Program::Same && line.contains(round.program.complaint())
                }
            };
            let outcome = &round.outcome;
            object(as_expected, format!("upgrade {number}: {outcome:?}"));
            object(round.deliveries > 0, format!("upgrade {number}: no load"));
        }
        let [before, after] = self.open_files;
        object(
            before == after,
            format!("open files: {before}, then {after}"),
        );
        // All of them were counted through all upgrades.
        for (family, expected) in [
            ("connections", self.connections as u64),
            ("publications_total", self.publications),
            ("deliveries_total", self.deliveries),
            ("connections_closed_total", self.publishers as u64),
            ("closes_total", 0),
        ] {
            let counted = metrics.sum(family);
            object(
                counted == expected,
                format!("{family}: {counted}, not {expected}"),
            );
        }
        self.objections = objections;
    }

    /// Pauses as the server's log tells them, the shortest first.
    pub fn pauses(&self) -> Vec<Duration> {
        let outcomes = self.rounds.iter().map(|round| &round.outcome);
        let mut pauses: Vec<_> = outcomes
            .filter_map(|outcome| match outcome {
                Outcome::TakenOver { pause } => Some(*pause),
                Outcome::Refused(_) => None,
            })
            .collect();
        pauses.sort();
        pauses
    }
}

impl Outcomes {
    /// For how long no subscriber heard anything, by upgrade that was taken over, the shortest first.
    pub fn common_silences(&self) -> Vec<Duration> {
        let taken_over = self.rounds.iter().filter(|round| {
            let outcome = &round.outcome;
            matches!(outcome, Outcome::TakenOver { .. })
        });
        let mut silences: Vec<_> = taken_over.map(|round| round.silence.common).collect();
        silences.sort();
        silences
    }
}

fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
