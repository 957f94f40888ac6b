//! What is asked about one channel: `history`, `history_remove`, `presence`, `presence_stats`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut as _, Bytes};
use serde::Deserialize;

use super::reply::{ApiError, Reply};
use super::{Control, channel_name, parameters};
use crate::channel::{Answer, ChannelName, Question};
use crate::json;
use crate::publication::{ClientInfo, Kind, Position, Publication};
use crate::stomp::UserHeaders;

/// What all of them are called with.
#[derive(Deserialize)]
struct OfChannel {
    channel: String,
}

/// What `history` is called with.
#[derive(Deserialize)]
struct History {
    channel: String,
    /// Publications; none where it is left out, all where it is negative.
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    since: Option<StreamPosition>,
    #[serde(default)]
    reverse: bool,
}

/// A place in a stream as the API writes it.
#[derive(Deserialize)]
pub struct StreamPosition {
    /// Of a publication.
    #[serde(default)]
    pub offset: u64,
    /// Hexadecimal digits; nothing for whatever stream there is.
    #[serde(default)]
    pub epoch: String,
}

/// `history`: where the stream stands, and publications of it.
pub async fn history(control: &Control, body: &Bytes) -> Reply {
    let call: History = parameters(body)?;
    let channel = channel_name(&call.channel)?;
    let limit = call.limit.unwrap_or(0);
    let since = match call.since {
        None => None,
        Some(since) => Some(position(control, &channel, &since).await?),
    };
    let question = Question::History {
        since,
        limit: usize::try_from(limit).ok(),
        reverse: call.reverse,
    };
    match ask(control, &channel, question).await? {
        Answer::History {
            position,
            publications,
        } => history_json(position, &publications),
        other => Err(unexpected(&other)),
    }
}

/// `history_remove`: the stream goes on, but nobody recovers what was before.
pub async fn history_remove(control: &Control, body: &Bytes) -> Reply {
    let call: OfChannel = parameters(body)?;
    let channel = channel_name(&call.channel)?;
    match ask(control, &channel, Question::RemoveHistory).await? {
        Answer::Removed => Ok("{}".to_owned()),
        other => Err(unexpected(&other)),
    }
}

/// `presence`: who is subscribed.
pub async fn presence(control: &Control, body: &Bytes) -> Reply {
    let call: OfChannel = parameters(body)?;
    let channel = channel_name(&call.channel)?;
    match ask(control, &channel, Question::Presence).await? {
        Answer::Presence(clients) => {
            let mut out = b"{\"presence\":{".to_vec();
            for (index, client) in clients.iter().enumerate() {
                if index > 0 {
                    out.put_u8(b',');
                }
                json::put_string(&mut out, &client.client);
                out.put_u8(b':');
                put_client(&mut out, client);
            }
            out.put_slice(b"}}");
            text(out)
        }
        other => Err(unexpected(&other)),
    }
}

/// `presence_stats`: how many are subscribed.
pub async fn presence_stats(control: &Control, body: &Bytes) -> Reply {
    let call: OfChannel = parameters(body)?;
    let channel = channel_name(&call.channel)?;
    match ask(control, &channel, Question::PresenceStats).await? {
        Answer::PresenceStats { clients, users } => Ok(format!(
            "{{\"num_clients\":{clients},\"num_users\":{users}}}"
        )),
        other => Err(unexpected(&other)),
    }
}

/// The place that is meant: of a stream that is not there any more where the epoch cannot be one.
async fn position(
    control: &Control,
    channel: &ChannelName,
    place: &StreamPosition,
) -> Result<Position, ApiError> {
    let offset = place.offset;
    if let Ok(epoch) = u64::from_str_radix(&place.epoch, 16) {
        return Ok(Position { epoch, offset });
    }
    let now = Question::History {
        since: None,
        limit: Some(0),
        reverse: false,
    };
    match ask(control, channel, now).await? {
        Answer::History { position, .. } if place.epoch.is_empty() => {
            Ok(Position { offset, ..position })
        }
        Answer::History { position, .. } => Err(ApiError::unrecoverable_position(position)),
        other => Err(unexpected(&other)),
    }
}

async fn ask(
    control: &Control,
    channel: &ChannelName,
    question: Question,
) -> Result<Answer, ApiError> {
    let answer = control.handle.ask(channel, question).await;
    match answer.map_err(ApiError::not_available)? {
        Answer::Unrecoverable(position) => Err(ApiError::unrecoverable_position(position)),
        Answer::NotKept => Err(ApiError::not_available(match question {
            Question::History { .. } | Question::RemoveHistory => {
                "the channel's namespace keeps no history (history_size)"
            }
            Question::Presence | Question::PresenceStats => {
                "the channel's namespace keeps no presence (presence)"
            }
        })),
        Answer::Refused(refused) => Err(ApiError::limit_exceeded(refused)),
        answer => Ok(answer),
    }
}

fn unexpected(answer: &Answer) -> ApiError {
    ApiError::internal(format!("an answer to another question: {answer:?}"))
}

fn history_json(position: Position, publications: &[Publication]) -> Reply {
    let mut out = b"{\"publications\":[".to_vec();
    for (index, publication) in publications.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        put_publication(&mut out, publication);
    }
    let Position { epoch, offset } = position;
    out.put_slice(format!("],\"offset\":{offset},\"epoch\":\"{epoch:x}\"}}").as_bytes());
    text(out)
}

/// What is no JSON is a string, or base64 where it is no text either.
fn put_publication(out: &mut Vec<u8>, publication: &Publication) {
    out.put_slice(b"{\"data\":");
    let payload = &publication.payload;
    match (
        json::check(payload),
        publication.kind,
        str::from_utf8(payload),
    ) {
        (Ok(()), _, _) => out.put_slice(payload),
        (Err(_), Kind::Text, Ok(text)) => json::put_string(out, text),
        (Err(_), _, _) => {
            out.put_slice(b"null,\"b64data\":\"");
            out.put_slice(BASE64_STANDARD.encode(payload).as_bytes());
            out.put_u8(b'"');
        }
    }
    out.put_slice(format!(",\"offset\":{}", publication.position.offset).as_bytes());
    if !publication.headers.is_empty() {
        put_tags(out, &publication.headers);
    }
    if let Some(publisher) = &publication.publisher {
        out.put_slice(b",\"info\":");
        put_client(out, publisher);
    }
    out.put_u8(b'}');
}

/// The publisher's headers; of repeated ones the first counts.
fn put_tags(out: &mut Vec<u8>, headers: &Bytes) {
    let headers = UserHeaders::from_lines(headers.clone());
    let mut tags: Vec<(String, String)> = Vec::new();
    for (name, value) in headers.pairs() {
        if tags.iter().all(|(known, _)| *known != name) {
            tags.push((name, value));
        }
    }
    out.put_slice(b",\"tags\":{");
    for (index, (name, value)) in tags.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        json::put_string(out, name);
        out.put_u8(b':');
        json::put_string(out, value);
    }
    out.put_u8(b'}');
}

fn put_client(out: &mut Vec<u8>, client: &ClientInfo) {
    out.put_slice(b"{\"client\":");
    json::put_string(out, &client.client);
    out.put_slice(b",\"user\":");
    json::put_string(out, &client.user);
    for (name, info) in [
        ("conn_info", &client.conn_info),
        ("chan_info", &client.chan_info),
    ] {
        if !info.is_empty() {
            out.put_slice(format!(",\"{name}\":").as_bytes());
            out.put_slice(info);
        }
    }
    out.put_u8(b'}');
}

fn text(json: Vec<u8>) -> Reply {
    String::from_utf8(json).map_err(ApiError::internal)
}
