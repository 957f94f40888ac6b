//! Whether a target is installed, and in which version.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Target, TargetError, Values};

/// How long a version command may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The version of an installed target; `unknown` for a server that was not started here.
///
/// # Errors
/// [`TargetError::NotInstalled`]
pub fn version(target: &Target, values: &Values) -> Result<String, TargetError> {
    let Some(version) = &target.version else {
        return Ok("unknown".to_owned());
    };
    let command: Vec<String> = version
        .command
        .iter()
        .map(|word| values.fill(word))
        .collect();
    let output = run(&command).map_err(|why| TargetError::NotInstalled {
        name: target.name.clone(),
        why,
        installs: target.installs().to_owned(),
    })?;
    let found = match &version.pattern {
        Some(pattern) => output
            .split_once(pattern.as_str())
            .and_then(|(_, after)| after.split_whitespace().next()),
        None => output.lines().map(str::trim).find(|line| !line.is_empty()),
    };
    Ok(found.unwrap_or("unknown").to_owned())
}

/// The output of a command, standard output before error.
fn run(command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let until = Instant::now() + TIMEOUT;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => {
                // Both fail only for a child that has ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program} took more than {} s", TIMEOUT.as_secs()));
            }
        }
    };
    let output = read_all(&mut child);
    match status.success() {
        true => Ok(output),
        false => Err(format!(
            "{program} ended with {status}: {}",
            output.trim().replace('\n', "; ")
        )),
    }
}

/// What an ended child has left in its pipes; a version is short.
fn read_all(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        let _ = stdout.read_to_end(&mut bytes);
    }
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
