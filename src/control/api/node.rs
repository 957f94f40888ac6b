//! What is asked of the whole server: `channels` and `info`.

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes};
use serde::Deserialize;

use super::reply::{ApiError, Reply};
use super::{Control, parameters, survey};
use crate::channel::{ChannelName, Glob};
use crate::json;

/// Channels in one answer.
const CHANNELS_MAX: usize = 10_000;

/// What `channels` is called with.
#[derive(Deserialize)]
struct Channels {
    #[serde(default)]
    pattern: Option<String>,
}

/// What `info` is called with: nothing.
#[derive(Deserialize)]
struct Info {}

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
    let Info {} = parameters(body)?;
    let counts = survey(control.handle.counts()).await?;
    let node = &control.node;
    Ok(format!(
        "{{\"nodes\":[{{\"uid\":{uid},\"name\":{name},\"version\":{version},\
         \"num_clients\":{clients},\"num_subs\":{subscriptions},\"num_channels\":{channels},\
         \"uptime\":{uptime}}}]}}",
        uid = json::quoted(&node.uid),
        name = json::quoted(&node.name),
        version = json::quoted(env!("CARGO_PKG_VERSION")),
        clients = counts.connections,
        subscriptions = counts.subscriptions,
        channels = counts.channels,
        uptime = node.started.elapsed().as_secs(),
    ))
}

fn too_many() -> ApiError {
    ApiError::limit_exceeded(format!(
        "more than {CHANNELS_MAX} channels: ask for fewer with a pattern, as in news:*"
    ))
}
