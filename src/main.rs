//! The `pushring` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use pushring::cli;
use pushring::config::{Config, Source};
use pushring::reactor::{Given, sys};
use pushring::server::{Program, Server, StartError};
use pushring::systemd::Manager;

/// Keeps very many small blocks in little memory, and a heap for each thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all, while nearly nothing has been allocated. Refused, it costs memory only.
    let _ = sys::keep_pages_small();
    cli::main(std::env::args_os(), serve)
}

fn serve(config: Config, source: Source, given: Given) -> ExitCode {
    let log = cli::start_logging(&config.log);
    let (listen, internal) = (config.listen, config.internal);
    let mut server = Server::builder();
    // Named now: by the time of an upgrade the file is another, and this one has no name any more.
    if let Ok(file) = std::env::current_exe() {
        let arguments = std::env::args_os().collect();
        server = server.live_upgrade(Program::new(file, arguments));
    }
    let server = server
        .config(config)
        .internal(internal)
        .sockets(given)
        .managed_by(Manager::from_environment())
        .raw_protocol()
        .stomp_protocol()
        .centrifuge_protocol()
        .heed_signals()
        .reload_from(move || source.load())
        .on_reload(move |config| log.set_level(config.log.level))
        .start();
    match server {
        Ok(server) => {
            tracing::info!("subscribe at ws://{listen}/sub/{{channel}}");
            tracing::info!("publish with: curl -d hello http://{internal}/pub/news");
            server.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            let more = match error {
                StartError::Setup(_) => "; `pushring doctor` says more",
                _ => "",
            };
            eprintln!("pushring: {error}{more}");
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}
