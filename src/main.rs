//! The `pushring` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use pushring::cli;
use pushring::config::Config;

/// Keeps very many small blocks in little memory, and a heap for each thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), serve)
}

fn serve(config: Config) -> ExitCode {
    cli::start_logging(&config.log);
    match pushring::server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pushring: {error}");
            ExitCode::from(cli::EXIT_USAGE)
        }
    }
}
