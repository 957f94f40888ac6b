//! The examples of the documentation make tokens that are taken.

use std::process::Command;

use crate::support::{SECRET, ann, with_secret};

/// What stands between the fences of this language in the documentation of the module.
fn example(language: &str) -> String {
    let source = include_str!("../../src/access/mod.rs");
    source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .skip_while(|line| *line != format!("```{language}"))
        .skip(1)
        .take_while(|line| *line != "```")
        .map(|line| format!("{line}\n"))
        .collect()
}

fn token_printed_by(program: &str, example: &str) -> String {
    assert!(!example.is_empty());
    let output = Command::new(program)
        .args(["-c", example])
        .env("HMAC_SECRET", SECRET)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// At the time that the examples look at.
fn assert_lets_ann_in(token: &str) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let claims = with_secret()
        .connection(token, now.as_millis() as u64)
        .unwrap();
    assert_eq!(Ok(claims.user), ann());
    let left_ms = claims.expires_at_ms.unwrap() - now.as_millis() as u64;
    assert!((3_500_000..=3_601_000).contains(&left_ms), "{left_ms}");
}

#[test]
fn a_token_made_by_a_shell_with_openssl_lets_its_user_in() {
    assert_lets_ann_in(&token_printed_by("sh", &example("sh")));
}

#[test]
fn a_token_made_by_python_lets_its_user_in() {
    assert_lets_ann_in(&token_printed_by("python3", &example("python")));
}
