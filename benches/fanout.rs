//! The server against a bare `send(2)` loop, Bun and RabbitMQ, in one run. `benches/README.md` says how it measures.

#![forbid(unsafe_code)]

#[path = "fanout/bare.rs"]
mod bare;
#[path = "fanout/bun.rs"]
mod bun;
#[path = "fanout/centrifuge.rs"]
mod centrifuge;
#[path = "fanout/channels.rs"]
mod channels;
#[path = "fanout/client.rs"]
mod client;
#[path = "fanout/dialogue.rs"]
mod dialogue;
#[path = "fanout/frames.rs"]
mod frames;
#[path = "fanout/handshake.rs"]
mod handshake;
#[path = "../src/ws/deflate/tests/naive.rs"]
mod inflate;
#[path = "fanout/ledger.rs"]
mod ledger;
#[path = "fanout/machine.rs"]
mod machine;
#[path = "fanout/messages.rs"]
mod messages;
#[path = "fanout/probe.rs"]
mod probe;
#[path = "fanout/publisher.rs"]
mod publisher;
#[path = "fanout/pushes.rs"]
mod pushes;
#[path = "fanout/rabbitmq.rs"]
mod rabbitmq;
#[path = "fanout/report.rs"]
mod report;
#[path = "fanout/samples.rs"]
mod samples;
#[path = "fanout/scenario.rs"]
mod scenario;
#[path = "fanout/server.rs"]
mod server;
#[path = "fanout/stomp.rs"]
mod stomp;
#[path = "fanout/table.rs"]
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use client::Waiting;
use machine::{Cores, Description};
use rabbitmq::RabbitMq;
use report::{Failure, Report, Run, ScenarioReport};
use scenario::{PAYLOAD_BYTES, Scenario};
use server::{Programs, Target};

/// Files a process needs besides its connections.
const FILES_BESIDES: u64 = 100;

/// CPU per delivery, memory per connection and more, side by side.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench fanout --")]
struct Options {
    /// What to measure; everything if none is named.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Rounds, each with every server in turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Small and short: shows that everything works, its figures say little.
    #[arg(long)]
    quick: bool,
    /// Servers to measure, separated by commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "pushring,bare,bare-turn,bun,deflate,unmerged,stomp,centrifuge,rabbitmq"
    )]
    targets: Vec<Target>,
    /// What the client does while nothing arrives.
    #[arg(long, value_enum, default_value = "spin")]
    client: Waiting,
    /// Another binary to measure in the place of the one just built.
    #[arg(long, value_name = "FILE")]
    pushring: Option<PathBuf>,
    /// Set by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if let Some(error) = server::play_child_role() {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    let mut options = Options::parse();
    // Anything but `cargo bench`, such as `cargo test --all-targets`, wants to see it work, not to wait for figures.
    options.quick |= !options.bench;
    match measure(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench itself failed: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all of it went through and every delivery was right.
fn measure(mut options: Options) -> io::Result<bool> {
    let target_folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap_or(Path::new("target"));
    let cores = Cores::choose()?;
    let chosen = |scenario: &Scenario| {
        let named = &options.scenarios;
        named.is_empty() || named.iter().any(|&named| scenario.belongs_to(named))
    };
    let scenarios: Vec<Scenario> = Scenario::ALL.into_iter().filter(chosen).collect();
    check_open_files(&scenarios, options.quick)?;
    let is_wanted = |target| {
        let mut measuring = scenarios
            .iter()
            .filter(|scenario| scenario.targets().contains(&target));
        options.targets.contains(&target) && measuring.next().is_some()
    };
    let rabbitmq = match is_wanted(Target::Rabbitmq).then(RabbitMq::find) {
        Some(Err(reason)) => {
            println!("rabbitmq is SKIPPED: {reason}");
            None
        }
        found => found.transpose().unwrap_or_default(),
    };
    let (bun, bun_version) = if is_wanted(Target::Bun) {
        match bun::find(&target_folder.join("peers")) {
            Ok((bun, version)) => (Some(bun), Some(version)),
            Err(reason) => {
                println!("bun is SKIPPED: {reason}");
                (None, None)
            }
        }
    } else {
        (None, None)
    };
    let pushring = options
        .pushring
        .clone()
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_pushring").into());
    let measures_pushring = options.targets.contains(&Target::Pushring);
    let rabbitmq_version = rabbitmq.as_ref().map(|rabbitmq| rabbitmq.version.clone());
    if rabbitmq.is_none() {
        // Nothing is said against it where it is not installed.
        options.targets.retain(|&target| target != Target::Rabbitmq);
    }
    let programs = Programs {
        pushring,
        bun,
        rabbitmq,
        logs: target_folder.join("fanout-logs"),
        cores,
    };
    let mut report = Report {
        machine: Description::read()?,
        cores,
        commit: commit(),
        quick: options.quick,
        client_waits: options.client,
        payload_bytes: PAYLOAD_BYTES,
        pushring_binary_bytes: measures_pushring
            .then(|| fs::metadata(&programs.pushring))
            .transpose()?
            .map(|file| file.len()),
        bun_version,
        rabbitmq_version,
        targets: options.targets.clone(),
        scenarios: Vec::new(),
        verdicts: Vec::new(),
    };
    table::print_head(&report);
    machine::pin(cores.client)?;
    for scenario in scenarios {
        let result = measure_scenario(scenario, &options, &programs);
        table::print_scenario(&result);
        report.scenarios.push(result);
    }
    report.judge();
    table::print_verdicts(&report);
    let json = target_folder.join("fanout.json");
    fs::write(
        &json,
        serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n",
    )?;
    println!("{}", json.display());
    Ok(report.is_sound())
}

/// Raises the soft limit, and refuses to begin what cannot be finished under the hard one.
fn check_open_files(scenarios: &[Scenario], quick: bool) -> io::Result<()> {
    let limit = machine::raise_open_files()?;
    for scenario in scenarios {
        let wanted = u64::from(scenario.load(quick).subscribers) + FILES_BESIDES;
        if wanted > limit {
            return Err(io::Error::other(format!(
                "{} needs {wanted} open files and the limit is {limit}: raise it (ulimit -Hn) or choose other scenarios",
                scenario.name()
            )));
        }
    }
    Ok(())
}

/// All rounds of one scenario: in each, every server in turn.
fn measure_scenario(scenario: Scenario, options: &Options, programs: &Programs) -> ScenarioReport {
    let load = scenario.load(options.quick);
    let mut result = ScenarioReport {
        scenario,
        load,
        runs: Vec::new(),
        failures: Vec::new(),
    };
    let rounds = if options.quick {
        options.rounds.min(2)
    } else {
        options.rounds
    };
    for round in 1..=rounds {
        for &target in scenario
            .targets()
            .iter()
            .filter(|target| options.targets.contains(target))
        {
            let is_missing = target == Target::Bun && programs.bun.is_none();
            if is_missing || round > scenario.rounds(target, rounds) {
                continue;
            }
            // One that failed is not waited for again and again.
            if result
                .failures
                .iter()
                .any(|failure| failure.target == target)
            {
                continue;
            }
            match scenario::run(scenario, target, load, programs, options.client) {
                Ok(figures) => result.runs.push(Run {
                    target,
                    round,
                    figures,
                }),
                Err(error) => result.failures.push(Failure {
                    target,
                    round,
                    error: error.to_string(),
                }),
            }
        }
    }
    result
}

/// The commit checked out, where git can tell.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args([
        "-C",
        env!("CARGO_MANIFEST_DIR"),
        "describe",
        "--always",
        "--dirty",
        "--exclude=*",
    ]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
