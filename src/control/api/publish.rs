//! `publish` and `broadcast`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::reply::{ApiError, Reply, position_json};
use super::{Control, channel_name};
use crate::channel::KEY_BYTES_MAX;
use crate::control::PublishError;
use crate::control::handle::Placing;
use crate::json;
use crate::publication::{Draft, Kind};
use crate::stomp::UserHeaders;

/// Channels of one broadcast.
const CHANNELS_MAX: usize = 10_000;

/// Bytes of all tags of a publication, as header lines.
const TAGS_BYTES_MAX: usize = 8_192;

/// What `publish` is called with, apart from `data`.
#[derive(Deserialize)]
struct Publish {
    channel: String,
    #[serde(flatten)]
    options: Options,
}

/// What `broadcast` is called with, apart from `data`.
#[derive(Deserialize)]
struct Broadcast {
    channels: Vec<String>,
    #[serde(flatten)]
    options: Options,
}

/// What both may have.
#[derive(Default, Deserialize)]
struct Options {
    #[serde(default)]
    skip_history: bool,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    b64data: Option<String>,
    #[serde(default)]
    idempotency_key: Option<String>,
}

/// What is to be published.
#[derive(Clone)]
struct Outgoing {
    draft: Draft,
    /// Not if something was published with the same shortly before.
    key: Option<Box<str>>,
}

/// `publish`: the position that the message got.
pub async fn publish(control: &Control, body: &Bytes) -> Reply {
    let (call, data): (Publish, _) =
        json::parse_around(body, "data").map_err(ApiError::malformed)?;
    let outgoing = outgoing(control, call.options, data)?;
    let placing = place(control, &call.channel, outgoing).await?;
    placed(placing).await
}

/// `broadcast`: the answer of each channel.
pub async fn broadcast(control: &Control, body: &Bytes) -> Reply {
    let (call, data): (Broadcast, _) =
        json::parse_around(body, "data").map_err(ApiError::malformed)?;
    if call.channels.is_empty() {
        return Err(ApiError::bad_request(
            "channels is empty: name one at least",
        ));
    }
    if call.channels.len() > CHANNELS_MAX {
        return Err(ApiError::limit_exceeded(format!(
            "at most {CHANNELS_MAX} channels in one broadcast"
        )));
    }
    let outgoing = outgoing(control, call.options, data)?;
    // All are under way before the first answer is waited for.
    let mut under_way = Vec::with_capacity(call.channels.len());
    for channel in &call.channels {
        under_way.push(place(control, channel, outgoing.clone()).await);
    }
    let mut responses = Vec::with_capacity(under_way.len());
    for placing in under_way {
        let reply = match placing {
            Ok(placing) => placed(placing).await,
            Err(error) => Err(error),
        };
        responses.push(match reply {
            Ok(result) => format!("{{\"result\":{result}}}"),
            Err(error) => error.json(),
        });
    }
    Ok(format!("{{\"responses\":[{}]}}", responses.join(",")))
}

fn outgoing(
    control: &Control,
    options: Options,
    data: Option<Bytes>,
) -> Result<Outgoing, ApiError> {
    let (kind, payload) = match (options.b64data, data) {
        (Some(text), _) if !text.is_empty() => {
            let bytes = BASE64_STANDARD
                .decode(text)
                .map_err(|error| ApiError::bad_request(format!("b64data is no base64: {error}")))?;
            (Kind::of(&bytes), Bytes::from(bytes))
        }
        // A history may keep it for long, and is not to keep the whole body with it.
        (_, Some(data)) => (Kind::Text, Bytes::copy_from_slice(&data)),
        (_, None) => return Err(ApiError::malformed(json::JsonError::NoData)),
    };
    if payload.len() > control.message_bytes_max() {
        return Err(ApiError::too_large(control.message_bytes_max()));
    }
    let mut draft = Draft::new(kind, payload);
    draft.headers = headers(options.tags.unwrap_or_default())?;
    draft.skip_history = options.skip_history;
    let key = options.idempotency_key.filter(|key| !key.is_empty());
    match &key {
        Some(key) if key.len() > KEY_BYTES_MAX => Err(ApiError::bad_request(format!(
            "idempotency_key has {} bytes: at most {KEY_BYTES_MAX} are allowed",
            key.len()
        ))),
        _ => Ok(Outgoing {
            draft,
            key: key.map(Into::into),
        }),
    }
}

/// Tags are what STOMP calls user headers.
fn headers(tags: BTreeMap<String, String>) -> Result<Bytes, ApiError> {
    if tags.keys().any(String::is_empty) {
        return Err(ApiError::bad_request("a tag has no name"));
    }
    let pairs = tags
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let headers = UserHeaders::from_pairs(pairs);
    match headers.len() <= TAGS_BYTES_MAX {
        true => Ok(headers.as_bytes().clone()),
        false => Err(ApiError::limit_exceeded(format!(
            "the tags have {} bytes: at most {TAGS_BYTES_MAX} are allowed",
            headers.len()
        ))),
    }
}

/// Sends a message on its way.
async fn place(control: &Control, channel: &str, outgoing: Outgoing) -> Result<Placing, ApiError> {
    let channel = channel_name(channel)?;
    let Outgoing { draft, key } = outgoing;
    let placing = control.handle.place(&channel, draft, key).await;
    placing.map_err(refused)
}

/// Waits for the place that it got.
async fn placed(placing: Placing) -> Reply {
    match placing.wait().await {
        Ok(position) => Ok(position_json(position)),
        Err(error) => Err(refused(error)),
    }
}

fn refused(error: PublishError) -> ApiError {
    match error {
        PublishError::ShuttingDown => ApiError::not_available(error),
        error => ApiError::limit_exceeded(error),
    }
}
