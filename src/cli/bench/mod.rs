//! `pushring bench`: measures servers and shows what was measured.

mod args;
mod interrupt;
mod show;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) use args::BenchArgs;
use args::{Action, CommonArgs, CompareArgs, KindArgs, TableArgs};

use super::complain;
use crate::bench::compare::{Contestant, Keeper, compare};
use crate::bench::machine::{allowed_cores, now_utc};
use crate::bench::measure::Bench;
use crate::bench::progress::Progress;
use crate::bench::result::{Run, ScenarioResult};
use crate::bench::scenario::{Kind, Scenario};
use crate::bench::setup::scenario_values;
use crate::bench::target::{Peers, Target, TargetError, Values, launch, version};
use crate::bench::{report, table};

/// The exit code when something was not measured, or was not clean.
const EXIT_NOT_CLEAN: u8 = 1;
/// The exit code when somebody ended it: that of a program that SIGINT ends.
const EXIT_INTERRUPTED: u8 = 130;

/// Does what the arguments say.
pub(super) fn run(args: BenchArgs, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let done = match args.action {
        Action::Fanout(args) => one_kind(Kind::Fanout, args, out, err),
        Action::Latency(args) => one_kind(Kind::Latency, args, out, err),
        Action::Connect(args) => one_kind(Kind::Connect, args, out, err),
        Action::Idle(args) => one_kind(Kind::Idle, args, out, err),
        Action::Churn(args) => one_kind(Kind::Churn, args, out, err),
        Action::Compare(args) => side_by_side(args, out, err),
        Action::Report(args) => show::report(args, out),
        Action::Table(TableArgs { results }) => show::markdown(&results, out),
        Action::Launch {
            parent,
            cores,
            command,
        } => Err(launch(parent, &cores, &command)),
    };
    done.unwrap_or_else(|why| complain(&why, err))
}

/// One target in a scenario made of flags.
fn one_kind(
    kind: Kind,
    args: KindArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, String> {
    let scenario = args.load.scenario(kind);
    scenario
        .check("the flags")
        .map_err(|error| error.to_string())?;
    let bench = Prepared::new(
        &args.common,
        &args.peers_folder(),
        std::slice::from_ref(&args.target),
    )?;
    bench.run(&[scenario], &args.common, args.common.out.clone(), out, err)
}

/// Several targets in several scenarios.
fn side_by_side(
    args: CompareArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<ExitCode, String> {
    let peers = Peers::find(args.common.peers.as_deref());
    let root = peers.as_ref().ok().map(Peers::root);
    let mut scenarios = Vec::new();
    for name in &args.scenario {
        let file = scenario_file(name, root.as_deref());
        scenarios.push(Scenario::load(&file).map_err(|error| error.to_string())?);
    }
    let bench = Prepared::new(&args.common, &args.common.peers, &args.targets)?;
    let folder = args.common.out.clone().unwrap_or_else(|| {
        let name: String = now_utc().chars().filter(|c| *c != ':').collect();
        match &root {
            Some(root) => root.join("target/bench").join(name),
            None => Path::new("pushring-bench").join(name),
        }
    });
    bench.run(&scenarios, &args.common, Some(folder), out, err)
}

/// The file itself, or the standard scenario of that name.
fn scenario_file(name: &Path, root: Option<&Path>) -> PathBuf {
    let is_name = name.components().count() == 1 && name.extension().is_none();
    match root {
        Some(root) if is_name && !name.exists() => root
            .join("benches/scenarios")
            .join(name)
            .with_extension("toml"),
        _ => name.to_owned(),
    }
}

/// Everything that must be known before the first server is started.
struct Prepared {
    targets: Vec<Target>,
    root: PathBuf,
    values: Values,
    server_cores: Vec<usize>,
    client_cores: Vec<usize>,
}

impl Prepared {
    fn new(
        common: &CommonArgs,
        peers_folder: &Option<PathBuf>,
        names: &[String],
    ) -> Result<Self, String> {
        let targets: Result<Vec<Target>, TargetError> = names
            .iter()
            .map(|name| target(name, common, peers_folder.as_deref()))
            .collect();
        let targets = targets.map_err(|error| error.to_string())?;
        let root = match Peers::find(peers_folder.as_deref()) {
            Ok(peers) => peers.root(),
            Err(_) => std::env::current_dir().map_err(|error| error.to_string())?,
        };
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut values = Values::default();
        values.set("root", root.display());
        values.set("peers", root.join("target/peers").display());
        let pushring = match &common.pushring {
            Some(path) => path.canonicalize().map_err(|error| {
                format!(
                    "--pushring {}: {error}; give the path of a binary",
                    path.display()
                )
            })?,
            None => own,
        };
        values.set("pushring", pushring.display());
        let (server_cores, client_cores) = choose_cores(common)?;
        Ok(Self {
            targets,
            root,
            values,
            server_cores,
            client_cores,
        })
    }

    /// Measures, shows and keeps.
    fn run(
        &self,
        scenarios: &[Scenario],
        common: &CommonArgs,
        folder: Option<PathBuf>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<ExitCode, String> {
        let stop = interrupt::watch()?;
        let contestants = self.installed(&scenarios[0], common.skip_missing, err)?;
        if cfg!(debug_assertions) {
            let _ = writeln!(
                err,
                "pushring: warning: this is a debug build; its figures say nothing"
            );
        }
        let scratch = self.root.join("target/bench/run");
        std::fs::create_dir_all(&scratch)
            .map_err(|error| format!("{}: {error}", scratch.display()))?;
        let bench = Bench {
            server_cores: &self.server_cores,
            client_cores: &self.client_cores,
            scratch: &scratch,
            values: &self.values,
            stop: std::sync::Arc::clone(&stop),
        };
        let keeper = Keeper {
            folder: folder.as_deref(),
        };
        let mut progress = Progress::new(common.quiet);
        let mut results: Vec<ScenarioResult> = Vec::new();
        for scenario in scenarios {
            let result = compare(
                &bench,
                scenario,
                &contestants,
                common.rounds,
                &keeper,
                &mut progress,
            )?;
            if results.is_empty() {
                let _ = write!(out, "{}", table::head(&result));
            }
            let _ = write!(out, "{}", table::scenario(&result));
            let _ = out.flush();
            let stopped = result.stopped;
            results.push(result);
            if stopped {
                break;
            }
        }
        if let Some(folder) = &folder {
            let page = folder.join("report.html");
            std::fs::write(&page, report::page(&results))
                .map_err(|error| format!("{}: {error}", page.display()))?;
            let _ = writeln!(out, "\nresults and report: {}", folder.display());
        }
        Ok(ExitCode::from(exit_code(&results)))
    }

    /// The targets with their versions. One that is not there ends it, unless it may be skipped with a word.
    fn installed(
        &self,
        scenario: &Scenario,
        skip_missing: bool,
        err: &mut dyn Write,
    ) -> Result<Vec<Contestant>, String> {
        let mut values = self.values.clone();
        scenario_values(scenario, &mut values);
        let mut contestants = Vec::new();
        for target in &self.targets {
            match version(target, &values) {
                Ok(version) => contestants.push(Contestant {
                    target: target.clone(),
                    version,
                }),
                Err(error) if skip_missing => {
                    let _ = writeln!(err, "pushring: warning: left out: {error}");
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        match contestants.is_empty() {
            true => Err("no target is left to measure".to_owned()),
            false => Ok(contestants),
        }
    }
}

fn exit_code(results: &[ScenarioResult]) -> u8 {
    let stopped = results.iter().any(|result| result.stopped);
    let clean = (results.iter().flat_map(|result| &result.targets))
        .all(|target| target.failures.is_empty() && target.runs.iter().all(Run::is_clean));
    match (stopped, clean) {
        (true, _) => EXIT_INTERRUPTED,
        (false, true) => 0,
        (false, false) => EXIT_NOT_CLEAN,
    }
}

/// A target by its name, its file, or its address.
fn target(name: &str, common: &CommonArgs, peers: Option<&Path>) -> Result<Target, TargetError> {
    if name.contains("://") {
        return Target::at(
            name,
            common.protocol.into(),
            common.publish.as_deref(),
            common.pid,
        );
    }
    if name.ends_with(".toml") {
        return Target::load(Path::new(name));
    }
    Peers::find(peers)?.load(name)
}

/// The servers' cores and the client's: as given, or the first and the second there is.
fn choose_cores(common: &CommonArgs) -> Result<(Vec<usize>, Vec<usize>), String> {
    let allowed = allowed_cores().map_err(|error| error.to_string())?;
    for core in common.server_cores.iter().chain(&common.client_cores) {
        if !allowed.contains(core) {
            return Err(format!(
                "core {core} is not one that this process may use: {allowed:?}"
            ));
        }
    }
    let server = match common.server_cores.as_slice() {
        [] => allowed
            .iter()
            .copied()
            .find(|core| !common.client_cores.contains(core)),
        given => return Ok((given.to_vec(), client_cores(common, given, &allowed))),
    };
    let server = vec![server.unwrap_or(allowed.first().copied().unwrap_or(0))];
    let client = client_cores(common, &server, &allowed);
    Ok((server, client))
}

fn client_cores(common: &CommonArgs, server: &[usize], allowed: &[usize]) -> Vec<usize> {
    if !common.client_cores.is_empty() {
        return common.client_cores.clone();
    }
    let other = allowed.iter().copied().find(|core| !server.contains(core));
    vec![other.unwrap_or(server[0])]
}
