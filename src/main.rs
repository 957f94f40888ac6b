//! The `pushring` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use pushring::cli;
use pushring::config::Config;
use pushring::reactor::sys;

/// Keeps very many small blocks in little memory, and a heap for each thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all, while nearly nothing has been allocated. Refused, it costs memory only.
    let _ = sys::keep_pages_small();
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
