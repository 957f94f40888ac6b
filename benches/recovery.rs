//! Thousands of clients that come back at once, each behind by the same publications. `benches/README.md` says how it measures.

#![forbid(unsafe_code)]

#[path = "recovery/clients.rs"]
mod clients;
#[path = "recovery/protocol.rs"]
mod protocol;
#[path = "recovery/report.rs"]
mod report;
#[path = "recovery/round.rs"]
mod round;
#[path = "recovery/server.rs"]
mod server;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use pushring::bench::machine::{self, Machine};
use pushring::bench::target;

use protocol::Protocol;
use report::{Outcome, Report, Round};
use round::Load;

/// Files a process needs besides its connections.
const FILES_BESIDES: u64 = 100;

/// Seconds until all are current, CPU of a recovered publication against that of a live delivery, and peak memory.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench recovery --")]
struct Options {
    /// Rounds, each with every protocol in turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// What clients speak, separated by commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "raw,centrifuge"
    )]
    protocols: Vec<Protocol>,
    /// Clients that come back.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Small and short: shows that everything works, its figures say little.
    #[arg(long)]
    quick: bool,
    /// Another binary to measure in the place of the one just built.
    #[arg(long, value_name = "FILE")]
    pushring: Option<PathBuf>,
    /// Set by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if let Some(error) = play_launcher() {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    let mut options = Options::parse();
    // Anything but `cargo bench`, such as `cargo test --all-targets`, wants to see it work, not to wait for figures.
    options.quick |= !options.bench;
    match measure(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the bench itself failed: {error}");
            ExitCode::from(2)
        }
    }
}

/// Becomes the server on its core if the arguments say so. Returns only if they do not, or if that fails.
fn play_launcher() -> Option<String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bench, launch, parent, cores, command @ ..] = &arguments[..] else {
        return None;
    };
    let parent = parent.parse().ok()?;
    (bench == "bench" && launch == "launch").then(|| target::launch(parent, cores, command))
}

/// Whether all of it went through and every publication was right.
fn measure(options: &Options) -> io::Result<bool> {
    let load = Load {
        clients: if options.quick { 500 } else { options.clients },
        missed: 100,
    };
    let rounds = if options.quick { 1 } else { options.rounds };
    let limit = machine::raise_open_files()?;
    if u64::from(load.clients) + FILES_BESIDES > limit {
        return Err(io::Error::other(format!(
            "{} clients need more than the {limit} open files there may be: raise the limit (ulimit -Hn) or lower --clients",
            load.clients
        )));
    }
    let [core, client_core, ..] = machine::allowed_cores()?[..] else {
        return Err(io::Error::other(
            "two cores are needed, one for the server and one for the clients",
        ));
    };
    machine::pin(&[client_core])?;
    let binary = options
        .pushring
        .clone()
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_pushring").into());
    let target_folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap_or(Path::new("target"));
    let scratch = target_folder.join("recovery");
    fs::create_dir_all(&scratch)?;
    let mut report = Report {
        date: machine::now_utc(),
        machine: Machine::read(),
        cores: [core, client_core],
        quick: options.quick,
        load,
        rounds: Vec::new(),
        verdicts: Vec::new(),
    };
    report.print_head();
    for round in 1..=rounds {
        for &protocol in &options.protocols {
            let result = round::run(protocol, load, round, &binary, core, &scratch);
            report.rounds.push(Round {
                protocol,
                round,
                result: match result {
                    Ok(figures) => Outcome::Figures(Box::new(figures)),
                    Err(error) => Outcome::Error(error.to_string()),
                },
            });
        }
    }
    for &protocol in &options.protocols {
        report.print_protocol(protocol);
    }
    report.judge(&options.protocols);
    report.print_verdicts();
    let json = target_folder.join("recovery.json");
    let text = serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n";
    fs::write(&json, text)?;
    println!("{}", json.display());
    Ok(report.is_sound())
}
