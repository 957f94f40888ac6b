//! What is asked of the whole server: `channels`, `info` and, which is no method of Centrifugo's, `reload`.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytes::{BufMut as _, Bytes};
use serde::Deserialize;

use super::reply::{ApiError, Reply};
use super::{Control, parameters, survey};
use crate::channel::{ChannelName, Glob};
use crate::control::{ReloadError, Reloaded};
use crate::json;

/// Channels in one answer.
const CHANNELS_MAX: usize = 10_000;

/// What `channels` is called with.
#[derive(Deserialize)]
struct Channels {
    #[serde(default)]
    pattern: Option<String>,
}

/// What `info` and `reload` are called with.
#[derive(Deserialize)]
struct Nothing {}

/// `channels`: those that have subscribers, and how many.
pub async fn channels(control: &Control, body: &Bytes) -> Reply {
    let call: Channels = parameters(body)?;
    let pattern = call.pattern.filter(|pattern| !pattern.is_empty());
    let pattern = pattern
        .map(|pattern| Glob::parse(&pattern))
        .transpose()
        .map_err(ApiError::bad_request)?;
    let answers = survey(control.handle.channels(pattern, CHANNELS_MAX));
    let mut channels: BTreeMap<ChannelName, usize> = BTreeMap::new();
    for answer in answers.await? {
        for (channel, clients) in answer.ok_or_else(too_many)? {
            *channels.entry(channel).or_default() += clients;
        }
    }
    if channels.len() > CHANNELS_MAX {
        return Err(too_many());
    }
    let mut out = b"{\"channels\":{".to_vec();
    for (index, (channel, clients)) in channels.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        json::put_string(&mut out, channel.as_str());
        out.put_slice(format!(":{{\"num_clients\":{clients}}}").as_bytes());
    }
    out.put_slice(b"}}");
    String::from_utf8(out).map_err(ApiError::internal)
}

/// `info`: the server as the only node there is.
pub async fn info(control: &Control, body: &Bytes) -> Reply {
    let Nothing {} = parameters(body)?;
    let counts = survey(control.handle.counts()).await?;
    let node = &control.node;
    Ok(format!(
        "{{\"nodes\":[{{\"uid\":{uid},\"name\":{name},\"version\":{version},\
         \"num_clients\":{clients},{users}\"num_subs\":{subscriptions},\"num_channels\":{channels},\
         \"uptime\":{uptime}}}]}}",
        uid = json::quoted(&node.uid),
        name = json::quoted(&node.name),
        version = json::quoted(env!("CARGO_PKG_VERSION")),
        clients = counts.connections,
        users = counts
            .users
            .map_or_else(String::new, |users| format!("\"num_users\":{users},")),
        subscriptions = counts.subscriptions,
        channels = counts.channels,
        uptime = node.started.elapsed().as_secs(),
    ))
}

/// `upgrade`: whatever program this one's file holds now takes the server over, in this process. The answer is given when it is
/// known that it can, just before it does.
pub async fn upgrade(control: &Control, body: &Bytes) -> Reply {
    if !body.is_empty() {
        let Nothing {} = parameters(body)?;
    }
    let Some(upgrade) = &control.upgrade else {
        return Err(ApiError::not_available(
            "this server cannot be upgraded while it runs",
        ));
    };
    match upgrade.clone().begin("POST /api/upgrade").await {
        Ok(()) => Ok("{}".to_owned()),
        Err(error) => Err(ApiError::not_available(format!(
            "not upgraded, and nothing has changed: {error}"
        ))),
    }
}

/// `reload`: the configuration is read again. Without one that can be, or with mistakes in it, nothing changes.
pub async fn reload(control: &Control, body: &Bytes) -> Reply {
    if !body.is_empty() {
        let Nothing {} = parameters(body)?;
    }
    let Some(reload) = &control.reload else {
        return Err(ApiError::not_available(
            "the server was started without a configuration that can be read again",
        ));
    };
    match reload.run("POST /api/reload").await {
        Ok(Reloaded { changed, kept, .. }) => Ok(format!(
            "{{\"changed\":[{}],\"kept\":[{}]}}",
            list(&changed),
            list(&kept)
        )),
        Err(error @ ReloadError::ShuttingDown) => Err(ApiError::not_available(error)),
        Err(error) => Err(ApiError::malformed(format!(
            "the configuration cannot be used, and nothing has changed\n{}",
            error.lines().join("\n")
        ))),
    }
}

/// What each says of itself, as texts of a JSON list.
fn list(lines: &[impl Display]) -> String {
    let quoted: Vec<String> = lines
        .iter()
        .map(|line| json::quoted(&line.to_string()))
        .collect();
    quoted.join(",")
}

fn too_many() -> ApiError {
    ApiError::limit_exceeded(format!(
        "more than {CHANNELS_MAX} channels: ask for fewer with a pattern, as in news:*"
    ))
}
