//! The `pushring` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    pushring::cli::main(std::env::args_os(), |_config| {
        // JOIN: `pushring::server::run(config)` goes here, its `StartError` as one line and exit code 2.
        eprintln!("pushring: this build has no server in it");
        ExitCode::FAILURE
    })
}
