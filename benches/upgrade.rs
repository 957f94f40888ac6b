//! Live upgrades under load: very many connections over all protocols, publishers at full speed, one upgrade after the other, and
//! every publication counted at every subscriber. `benches/README.md` says how it measures.

#![forbid(unsafe_code)]

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/fire/centrifuge.rs"]
mod centrifuge;
#[path = "../tests/upgrade/channel.rs"]
mod channel;
#[allow(dead_code, reason = "tests/fire.rs uses the rest")]
#[path = "../tests/fire/conversation.rs"]
mod conversation;
#[path = "../tests/upgrade/crowd.rs"]
mod crowd;
#[path = "../tests/fire/event_stream.rs"]
mod event_stream;
#[path = "../tests/fire/payload.rs"]
mod payload;
#[path = "../tests/upgrade/publishers.rs"]
mod publishers;
#[path = "../tests/fire/raw.rs"]
mod raw;
#[path = "../tests/fire/stomp.rs"]
mod stomp;
#[path = "../tests/upgrade/trial.rs"]
mod trial;
#[allow(dead_code, reason = "tests/upgrade.rs uses the rest")]
#[path = "../tests/upgrade/upgrading.rs"]
mod upgrading;
#[allow(dead_code, reason = "tests/fire.rs uses the rest")]
#[path = "../tests/fire/web_socket.rs"]
mod web_socket;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pushring::bench::machine::{self, Machine};

use crowd::Silence;
use trial::{Outcomes, Trial};
use upgrading::{Outcome, Program};

/// A place of a channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    epoch: u64,
    offset: u64,
}

/// Files that the process has open besides its connections.
const FILES_BESIDES: u64 = 200;

/// Disconnects, what was lost, doubled or reordered, and for how long nothing was sent.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench upgrade --")]
struct Options {
    /// Subscribers.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    connections: u32,
    /// Upgrades, of which one is to a program that refuses and one to a program that crashes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(3..=1_000))]
    upgrades: u32,
    /// Shards of the server.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    shards: u32,
    /// 1,000 connections and 5 upgrades.
    #[arg(long)]
    quick: bool,
    /// Set by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    // Anything but `cargo bench`, such as `cargo test --all-targets`, wants to see it work, not to wait for figures.
    options.quick |= !options.bench;
    if options.quick {
        (options.connections, options.upgrades) = (1_000, 5);
    }
    match measure(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench itself failed: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all of it is as it must be.
fn measure(options: &Options) -> Result<bool, String> {
    let limit = machine::raise_open_files().map_err(|error| error.to_string())?;
    if u64::from(options.connections) + FILES_BESIDES > limit {
        return Err(format!(
            "{} connections need more than the {limit} open files there may be: raise the limit (ulimit -Hn) or lower --connections",
            options.connections
        ));
    }
    let trial = Trial {
        connections: options.connections as usize,
        channels: 20,
        shards: options.shards as usize,
        programs: programs(options.upgrades),
        patience: Duration::from_secs(60),
    };
    println!("{}, {}", machine::now_utc(), Machine::read().cpu);
    println!(
        "{} connections over {} channels, {} shards",
        trial.connections, trial.channels, trial.shards
    );
    match trial.run() {
        Ok(outcomes) => Ok(print(&outcomes)),
        Err(failure) => {
            println!("{failure}");
            Ok(false)
        }
    }
}

/// One that refuses at a third, one that crashes at two thirds.
fn programs(upgrades: u32) -> Vec<Program> {
    (0..upgrades)
        .map(|number| match number {
            number if number == upgrades / 3 => Program::OtherFormat,
            number if number == upgrades * 2 / 3 => Program::Crashing,
            _ => Program::Same,
        })
        .collect()
}

fn print(outcomes: &Outcomes) -> bool {
    println!(
        "\n| upgrade | program | outcome | pause ms | longest silence ms | of all together ms | deliveries |"
    );
    println!("| ---: | --- | --- | ---: | ---: | ---: | ---: |");
    for (number, round) in (1..).zip(&outcomes.rounds) {
        let (outcome, pause) = match &round.outcome {
            Outcome::TakenOver { pause } => ("taken over", ms(*pause)),
            Outcome::Refused(_) => ("refused", String::new()),
        };
        let Silence { longest, common } = round.silence;
        println!(
            "| {number} | {:?} | {outcome} | {pause} | {} | {} | {} |",
            round.program,
            ms(longest),
            ms(common),
            round.deliveries
        );
    }
    let undisturbed = outcomes.undisturbed;
    println!(
        "| none | | | | {} | {} | |",
        ms(undisturbed.longest),
        ms(undisturbed.common)
    );
    let pauses = outcomes.pauses();
    let of = |pauses: &[Duration]| match pauses {
        [] => "none".to_owned(),
        [.., max] => format!(
            "p50 {} ms, max {} ms",
            ms(pauses[pauses.len() / 2]),
            ms(*max)
        ),
    };
    let seconds = outcomes.took.as_secs_f64();
    let counts = outcomes.counts;
    println!("\n| what | |\n| --- | ---: |");
    for (what, figure) in [
        ("connections", outcomes.connections.to_string()),
        ("upgrades taken over", pauses.len().to_string()),
        (
            "upgrades refused",
            (outcomes.rounds.len() - pauses.len()).to_string(),
        ),
        ("pause (the server's log)", of(&pauses)),
        (
            "nobody heard anything for (all clients together)",
            of(&outcomes.common_silences()),
        ),
        ("publications", outcomes.publications.to_string()),
        ("deliveries", outcomes.deliveries.to_string()),
        (
            "deliveries a second, upgrades included",
            format!("{:.0}", outcomes.deliveries as f64 / seconds),
        ),
        (
            "publishers' HTTP connections that were closed between two requests",
            outcomes.reconnects.to_string(),
        ),
        (
            "open files before and after",
            format!("{:?}", outcomes.open_files),
        ),
        ("disconnects", outcomes.disconnects.to_string()),
        ("lost", counts.lost.to_string()),
        ("doubled", counts.doubled.to_string()),
        ("reordered", counts.reordered.to_string()),
    ] {
        println!("| {what} | {figure} |");
    }
    for objection in &outcomes.objections {
        println!("WRONG: {objection}");
    }
    outcomes.objections.is_empty()
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}
