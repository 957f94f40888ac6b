//! Bun, from npm, installed into the target folder the first time it is wanted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The release line that results are compared across.
const PACKAGE: &str = "bun@~1.4";
/// How long npm may take.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Bun's binary and version, installed into `peers` if need be, or one sentence why it cannot be had.
pub fn find(peers: &Path) -> Result<(PathBuf, String), String> {
    let bun = peers.join("node_modules/.bin/bun");
    if !bun.exists() {
        install(peers)?;
    }
    let version = Command::new(&bun)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    match version {
        Ok(output) if output.status.success() => Ok((
            bun,
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )),
        Ok(output) => Err(format!(
            "{} --version ended with {}",
            bun.display(),
            output.status
        )),
        Err(error) => Err(format!("{} cannot be run: {error}", bun.display())),
    }
}

fn install(peers: &Path) -> Result<(), String> {
    println!("installing {PACKAGE} into {} …", peers.display());
    let log = peers.join("npm.log");
    let output = fs::create_dir_all(peers).and_then(|()| File::create(&log));
    let output = output.map_err(|error| format!("{}: {error}", log.display()))?;
    let error_output = output
        .try_clone()
        .map_err(|error| format!("{}: {error}", log.display()))?;
    let mut npm = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
        ])
        .arg(peers)
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(error_output)
        .spawn()
        .map_err(|error| format!("npm cannot be run: {error}"))?;
    let started = Instant::now();
    loop {
        match npm.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                return Err(format!("npm ended with {status}, see {}", log.display()));
            }
            Ok(None) if started.elapsed() < INSTALL_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(100))
            }
            Ok(None) | Err(_) => {
                // Both fail only for a child that has ended.
                let _ = npm.kill();
                let _ = npm.wait();
                return Err(format!(
                    "npm took more than {} s",
                    INSTALL_TIMEOUT.as_secs()
                ));
            }
        }
    }
}
