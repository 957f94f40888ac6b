//! What a client that subscribes by its request wants of what it has missed.

use std::borrow::Cow;

use super::Request;
use crate::publication::{Position, Since};
use crate::sse;
use crate::ws::handshake::{Refusal, percent_decode};

/// Reads `?epoch=…&offset=…` (the epoch in hexadecimal; without one the offset is of whatever stream there is), and for event
/// streams `Last-Event-ID`: the header that browsers send, or `?lastEventId=…` or `?last_event_id=…` where a program
/// begins with an id that it has kept. The header counts first, for it alone is of the connection before.
///
/// A header that is no id of this server's, but perhaps of the one before it, is a place that has been lost: answered by a
/// gap and not by a refusal, after which a browser would never come again.
///
/// # Errors
/// 400 with what to write.
pub fn since(request: &Request<'_>) -> Result<Option<Since>, Refusal> {
    if request.is_event_stream()
        && let Some(since) = last_event_id(request)?
    {
        return Ok(Some(since));
    }
    let epoch = request
        .query_parameter("epoch")
        .map(|digits| sse::parse_epoch(digits).ok_or_else(|| bad_epoch(digits)))
        .transpose()?;
    let offset = request
        .query_parameter("offset")
        .map(|digits| sse::parse_offset(digits).ok_or_else(|| bad_offset(digits)))
        .transpose()?;
    match (epoch, offset) {
        (None, None) => Ok(None),
        (None, Some(offset)) => Ok(Some(Since::Offset(offset))),
        (Some(epoch), Some(offset)) => Ok(Some(Since::Position(Position { epoch, offset }))),
        (Some(_), None) => Err(Refusal::new(
            400,
            "an epoch says nothing without an offset: write ?epoch=…&offset=…",
        )),
    }
}

/// The same for a connection to several channels, of which no position can speak: whether its client has been here before.
///
/// # Errors
/// 400 if there is a position in the query.
pub fn since_of_several(request: &Request<'_>) -> Result<bool, Refusal> {
    let names = ["epoch", "offset", "lastEventId", "last_event_id"];
    match names
        .into_iter()
        .any(|name| request.query_parameter(name).is_some())
    {
        false => Ok(request
            .header("Last-Event-ID")
            .is_some_and(|id| !id.is_empty())),
        true => Err(Refusal::new(
            400,
            "a position is of one channel: recover several channels on a connection each",
        )),
    }
}

fn last_event_id(request: &Request<'_>) -> Result<Option<Since>, Refusal> {
    let header = request.header("Last-Event-ID");
    if let Some(id) = header.filter(|id| !id.is_empty()) {
        let position = str::from_utf8(id).ok().and_then(sse::parse_id);
        return Ok(Some(Since::Position(position.unwrap_or(sse::NOWHERE))));
    }
    let names = ["lastEventId", "last_event_id"];
    let Some(encoded) = names
        .into_iter()
        .find_map(|name| request.query_parameter(name))
    else {
        return Ok(None);
    };
    let id = percent_decode(encoded)?;
    if id.is_empty() {
        return Ok(None);
    }
    match sse::parse_id(&id) {
        Some(position) => Ok(Some(Since::Position(position))),
        None => Err(Refusal::new(
            400,
            format!(
                "{:?} is no id: write one that an event had, such as 1a2b:7",
                excerpt(&id)
            ),
        )),
    }
}

fn bad_epoch(digits: &str) -> Refusal {
    let help = "is no epoch: write it as the HTTP API does, in hexadecimal digits";
    Refusal::new(400, format!("{:?} {help}", excerpt(digits)))
}

fn bad_offset(digits: &str) -> Refusal {
    let help = "is no offset: write the number of the last publication that you have";
    Refusal::new(400, format!("{:?} {help}", excerpt(digits)))
}

/// The beginning of what a client has written, to be shown to it again.
fn excerpt(text: &str) -> Cow<'_, str> {
    const SHOWN_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
