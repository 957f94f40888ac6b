//! `pushring token`: a token for one user, to try a server out without a backend.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use clap::Args;

use super::{complain, config_file};
use crate::access::{Access, AccessError, AuthSettings, NewToken, TokenError};
use crate::channel::{ChannelName, NameError};
use crate::config::{
    AuthConfig, ChannelPattern, ConfigError, Overrides, PatternError, Secret, duration_ms, load,
};

/// The arguments of `pushring token`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct TokenArgs {
    /// The user, "" for one who has not signed in
    #[arg(long, value_name = "USER")]
    user: String,

    /// Make a subscription token for this channel instead of a connection token
    #[arg(long, value_name = "CHANNEL", conflicts_with_all = ["publish", "subscribe"])]
    channel: Option<String>,

    /// Channels that the connection may publish to where a namespace asks for a token; several times for several patterns
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,

    /// Channels that the connection may subscribe to where a namespace asks for a token; several times for several patterns
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,

    /// For how long it holds: a whole number of seconds or more and its unit (s, m, h or d)
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    expires: String,

    /// The TOML file with auth.hmac_secret; without it PUSHRING_CONFIG may name one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
The token is signed with auth.hmac_secret of the file (or PUSHRING_AUTH_HMAC_SECRET) by HS256, and has the audience and the
issuer that the file asks for. It is printed alone on a line. For keys of auth.jwks_file whoever has the private keys signs.

Examples:
  pushring token --user ann --subscribe 'news:*' --config /etc/pushring/pushring.toml
  pushring token --user ann --publish rooms:1 --subscribe rooms:1 --expires 10m
  pushring token --user ann --channel rooms:1     for the subscribe command of a centrifuge client";

/// Why there is no token; the fault of who wrote the arguments or the configuration.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("{0}")]
    File(&'static str),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("--channel: {0}")]
    Channel(#[from] NameError),
    #[error(
        "{flag} {pattern:?}: {error}; write a channel's name, or the beginning of names and a * behind it"
    )]
    Pattern {
        flag: &'static str,
        pattern: String,
        error: PatternError,
    },
    #[error(
        "--expires {0:?} is no time from 1s up; write a whole number and a unit, such as 30s, 10m, 2h or 7d"
    )]
    Expires(String),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("no server would take it: {0}")]
    Refused(#[from] TokenError),
}

/// Prints the token, or says in one line why there is none.
pub(super) fn run(
    args: TokenArgs,
    env: impl Iterator<Item = (String, String)>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    // A clock before 1970 is as good as one at 1970.
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    match make(args, env.collect(), now.as_secs()) {
        Ok(token) => {
            let _ = writeln!(out, "{token}");
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error.to_string(), err),
    }
}

fn make(args: TokenArgs, env: Vec<(String, String)>, now_s: u64) -> Result<String, NoToken> {
    let expires_in_s = seconds(&args.expires)?;
    if let Some(channel) = &args.channel {
        ChannelName::parse(channel)?;
    }
    check_patterns("--publish", &args.publish)?;
    check_patterns("--subscribe", &args.subscribe)?;
    let file = config_file(args.config, &env).map_err(NoToken::File)?;
    let config = load(file.as_deref(), env.into_iter(), Overrides::default())?;
    let settings = settings(&config.auth);
    let is_subscription = args.channel.is_some();
    let token = settings.sign(&NewToken {
        user: args.user,
        channel: args.channel,
        expires_at_s: Some(now_s.saturating_add(expires_in_s)),
        publish: args.publish,
        subscribe: args.subscribe,
    })?;
    // It may be too long.
    let access = Access::new(&settings)?;
    if is_subscription {
        access.subscription(&token, now_s * 1000)?;
    } else {
        access.connection(&token, now_s * 1000)?;
    }
    Ok(token)
}

fn seconds(duration: &str) -> Result<u64, NoToken> {
    duration_ms(duration)
        .map(|ms| ms / 1000)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| NoToken::Expires(duration.to_owned()))
}

fn check_patterns(flag: &'static str, patterns: &[String]) -> Result<(), NoToken> {
    for pattern in patterns {
        ChannelPattern::parse(pattern).map_err(|error| NoToken::Pattern {
            flag,
            pattern: pattern.clone(),
            error,
        })?;
    }
    Ok(())
}

/// What concerns a token that is signed with the secret. The JWKS file is left out: it may lie where only the server reads it.
fn settings(auth: &AuthConfig) -> AuthSettings {
    AuthSettings {
        hmac_secret: auth
            .hmac_secret
            .as_ref()
            .map(Secret::reveal)
            .map(str::to_owned),
        audience: auth.audience.clone(),
        issuer: auth.issuer.clone(),
        ..AuthSettings::default()
    }
}
