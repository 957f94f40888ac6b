//! What a whole invocation gave, as text and as JSON.

use pushring::bench::machine::Machine;
use pushring::bench::statistics::Spread;
use serde::Serialize;

use crate::protocol::Protocol;
use crate::round::{Figures, Load, PAYLOAD_BYTES, Return};

/// Everything of one invocation; written as JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it began, UTC.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// The core of the server, and that of the clients.
    pub cores: [usize; 2],
    /// Small and short, so that the figures say little.
    pub quick: bool,
    /// The size of each round.
    pub load: Load,
    /// Each round, in order.
    pub rounds: Vec<Round>,
    /// The targets set, and what became of them.
    pub verdicts: Vec<Verdict>,
}

/// One round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// What its clients spoke.
    pub protocol: Protocol,
    /// From 1 up.
    pub round: u32,
    /// What it gave, or why it gave nothing.
    #[serde(flatten)]
    pub result: Outcome,
}

/// What became of a round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its figures.
    Figures(Box<Figures>),
    /// Why there are none.
    Error(String),
}

/// A figure beside the target set for it.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// What clients spoke.
    pub protocol: Protocol,
    /// CPU of a recovered publication by that of a live delivery of the same round: the median over the rounds.
    pub ratio: Option<f64>,
    /// The same with all that coming back costs.
    pub ratio_gross: Option<f64>,
    /// Whether the first is below 1. Not measured is not met.
    pub met: bool,
}

impl Round {
    /// Whether every publication came to every client once and in order, and the server says so, too.
    pub fn is_sound(&self, load: Load) -> bool {
        match &self.result {
            Outcome::Figures(figures) => {
                let wanted = u64::from(load.clients) * load.missed;
                let is_silent = figures.fault.is_none();
                figures.counts.are_clean() && figures.recovered == wanted && is_silent
            }
            Outcome::Error(_) => false,
        }
    }

    fn figures(&self) -> Option<&Figures> {
        match &self.result {
            Outcome::Figures(figures) => Some(figures),
            Outcome::Error(_) => None,
        }
    }
}

impl Report {
    /// Whether all went through, and everything that was counted is right.
    pub fn is_sound(&self) -> bool {
        self.rounds.iter().all(|round| round.is_sound(self.load))
    }

    /// Sets the verdicts.
    pub fn judge(&mut self, protocols: &[Protocol]) {
        let verdicts = protocols.iter().map(|&protocol| {
            let ratio = self.median(protocol, |it| it.recovered_ns / it.live_ns);
            Verdict {
                protocol,
                ratio,
                ratio_gross: self.median(protocol, |it| it.recovered_gross_ns / it.live_ns),
                met: ratio.is_some_and(|ratio| ratio < 1.0),
            }
        });
        self.verdicts = verdicts.collect();
    }

    /// Prints where and how it is measured.
    pub fn print_head(&self) {
        let Machine { kernel, cpu, .. } = &self.machine;
        let [server, client] = self.cores;
        let Load { clients, missed } = self.load;
        println!(
            "{}, Linux {kernel}, {cpu}\nserver on core {server}, clients on core {client}; \
             {clients} clients, {missed} publications of {PAYLOAD_BYTES} bytes",
            self.date
        );
    }

    /// Prints what one protocol's rounds gave: medians, and the least and the most of each.
    pub fn print_protocol(&self, protocol: Protocol) {
        let rounds: Vec<&Round> = self.of(protocol).collect();
        println!("\n{}, {} rounds", protocol.name(), rounds.len());
        let line = |what: &str, unit: &str, digits: usize, of: &dyn Fn(&Figures) -> f64| {
            let spread = Spread::of(rounds.iter().filter_map(|round| round.figures()).map(of));
            let figures = spread.map_or_else(
                || "-".to_owned(),
                |Spread {
                     median, min, max, ..
                 }| {
                    format!("{median:>9.digits$} {unit:<3} ({min:.digits$} – {max:.digits$})")
                },
            );
            println!("  {what:<66} {figures}");
        };
        let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        line(
            "live delivery, one publication at a time: CPU",
            "ns",
            1,
            &|it| it.live_ns,
        );
        line(
            "live delivery, all published at once: CPU",
            "ns",
            1,
            &|it| it.live_together_ns,
        );
        for (what, of) in [
            (
                "all come back with nothing missed",
                current as fn(&Figures) -> Return,
            ),
            ("all come back with everything missed", behind),
        ] {
            line(&format!("{what}: until all are current"), "s", 3, &|it| {
                of(it).seconds
            });
            line(&format!("{what}: server CPU"), "s", 3, &|it| {
                of(it).cpu_ns / 1e9
            });
            line(&format!("{what}: peak memory"), "MiB", 1, &|it| {
                mib(of(it).peak_bytes)
            });
        }
        line(
            "memory without clients",
            "MiB",
            1,
            &|it| mib(it.empty_bytes),
        );
        line("memory with all connected, at rest", "MiB", 1, &|it| {
            mib(it.connected_bytes)
        });
        line("recovered publication: CPU", "ns", 1, &|it| it.recovered_ns);
        line("the same with all that coming back costs", "ns", 1, &|it| {
            it.recovered_gross_ns
        });
        line(
            "recovered publication / live, all published at once",
            "",
            2,
            &|it| it.recovered_ns / it.live_together_ns,
        );
        self.print_counts(&rounds);
    }

    fn print_counts(&self, rounds: &[&Round]) {
        for round in rounds {
            let number = round.round;
            match &round.result {
                Outcome::Error(error) => println!("! round {number}: {error}"),
                Outcome::Figures(figures) => {
                    let (counts, recovered) = (figures.counts, figures.recovered);
                    let mark = if round.is_sound(self.load) { ' ' } else { '!' };
                    println!(
                        "{mark} round {number}: {} delivered, of which recovered {recovered}; lost {}, doubled {}, \
                         reordered {}, foreign {}, closed {}{}",
                        counts.delivered,
                        counts.lost,
                        counts.doubled,
                        counts.reordered,
                        counts.foreign,
                        counts.closed,
                        figures.fault.as_deref().unwrap_or_default()
                    );
                }
            }
        }
    }

    /// Prints the verdicts, and whether they may be believed.
    pub fn print_verdicts(&self) {
        println!();
        for verdict in &self.verdicts {
            let ratio = verdict
                .ratio
                .map_or_else(|| "not measured".to_owned(), |ratio| format!("{ratio:.2}"));
            let gross = verdict
                .ratio_gross
                .map_or_else(String::new, |ratio| format!("; with handshakes {ratio:.2}"));
            let met = if verdict.met { "ok" } else { "MISSED" };
            println!(
                "{:<10} CPU of a recovered publication / a live delivery  {ratio}  target below 1.00  {met}{gross}",
                verdict.protocol.name()
            );
        }
        if self.quick {
            println!("quick: these figures say little");
        }
        if !self.is_sound() {
            println!(
                "FAILED: a round could not be measured, or a publication was not right (see the lines with !)"
            );
        }
    }

    fn of(&self, protocol: Protocol) -> impl Iterator<Item = &Round> {
        self.rounds
            .iter()
            .filter(move |round| round.protocol == protocol)
    }

    fn median(&self, protocol: Protocol, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        let figures = self.of(protocol).filter_map(Round::figures);
        Some(Spread::of(figures.map(of))?.median)
    }
}

fn current(figures: &Figures) -> Return {
    figures.current
}

fn behind(figures: &Figures) -> Return {
    figures.behind
}
