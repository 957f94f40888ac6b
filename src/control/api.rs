//! The routes of the internal listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;

use serde::Deserialize;

use super::{Control, PublishError, metrics};
use crate::channel::ChannelName;
use crate::endpoint::Payload;
use crate::json;
use crate::publication::{Kind, Position};
use crate::ws::handshake;

/// What a call's envelope may add to the message.
const ENVELOPE_BYTES_MAX: usize = 256 * 1_024;

/// Error codes of the API, those of Centrifugo's.
const BAD_REQUEST: u32 = 107;
const LIMIT_EXCEEDED: u32 = 106;
const NOT_AVAILABLE: u32 = 108;
const METHOD_NOT_FOUND: u32 = 104;

const HELP: &str = "pushring, internal listener\n\
    POST /pub/{channel}   publishes the body\n\
    POST /api/publish     {\"channel\": \"news\", \"data\": any JSON}\n\
    POST /api/broadcast   {\"channels\": [\"news\", \"sport\"], \"data\": any JSON}\n\
    GET  /metrics         Prometheus text\n\
    GET  /health          200 while the process works\n\
    GET  /ready           200 while new clients should come here, 503 while it drains\n";

/// What `publish` is called with, apart from `data`.
#[derive(Deserialize)]
struct Publish {
    channel: String,
}

/// What `broadcast` is called with, apart from `data`.
#[derive(Deserialize)]
struct Broadcast {
    channels: Vec<String>,
}

pub fn router(control: Arc<Control>) -> Router {
    let message = DefaultBodyLimit::max(control.message_bytes_max);
    let call = DefaultBodyLimit::max(control.message_bytes_max + ENVELOPE_BYTES_MAX);
    Router::new()
        .route("/", get(async || HELP))
        .route("/pub/{*channel}", post(publish_body).layer(message))
        .route("/pub/", post(publish_body))
        .route("/api/publish", post(publish).layer(call))
        .route("/api/broadcast", post(broadcast).layer(call))
        .route("/api/{method}", post(unknown_method))
        .route("/metrics", get(scrape))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, HELP))
        .with_state(control)
}

/// `POST /pub/{channel}`: the body is the message.
async fn publish_body(
    State(control): State<Arc<Control>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse_body(&control, &error),
    };
    // Taken from the path as it was sent: a slash may be part of a name.
    let encoded = uri.path().strip_prefix("/pub/").unwrap_or_default();
    let channel = match channel(encoded) {
        Ok(channel) => channel,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason + "\n").into_response(),
    };
    let kind = if says_binary(&headers) {
        Kind::Binary
    } else {
        Kind::of(&body)
    };
    let payload = Payload::new(kind, body);
    match control.handle.publish(&channel, payload).await {
        Ok(position) => json_response(position_json(position)),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "5")],
            format!("{error}\n"),
        )
            .into_response(),
    }
}

/// `POST /api/publish`.
async fn publish(
    State(control): State<Arc<Control>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse_body(&control, &error),
    };
    let (parameters, data) = match parse::<Publish>(&control, &body) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    json_response(publish_one(&control, &parameters.channel, &data).await)
}

/// `POST /api/broadcast`: each channel has its own answer.
async fn broadcast(
    State(control): State<Arc<Control>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse_body(&control, &error),
    };
    let (parameters, data) = match parse::<Broadcast>(&control, &body) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let mut responses = Vec::with_capacity(parameters.channels.len());
    for channel in &parameters.channels {
        responses.push(publish_one(&control, channel, &data).await);
    }
    json_response(format!(
        "{{\"result\":{{\"responses\":[{}]}}}}",
        responses.join(",")
    ))
}

async fn unknown_method() -> Response {
    json_response(error_json(
        METHOD_NOT_FOUND,
        "method not found: there are publish and broadcast",
    ))
}

async fn scrape(State(control): State<Arc<Control>>) -> Response {
    const PROMETHEUS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics::encode(&control.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(control): State<Arc<Control>>) -> Response {
    if control.handle.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    } else {
        "ready\n".into_response()
    }
}

async fn publish_one(control: &Control, name: &str, data: &Bytes) -> String {
    let channel = match ChannelName::parse(name) {
        Ok(channel) => channel,
        Err(error) => return error_json(BAD_REQUEST, &format!("bad request: {error}")),
    };
    let payload = Payload::new(Kind::Text, data.clone());
    match control.handle.publish(&channel, payload).await {
        Ok(position) => format!("{{\"result\":{}}}", position_json(position)),
        Err(error @ PublishError::Full(_)) => error_json(LIMIT_EXCEEDED, &error.to_string()),
        Err(error @ PublishError::ShuttingDown) => error_json(NOT_AVAILABLE, &error.to_string()),
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    control: &Control,
    body: &Bytes,
) -> Result<(T, Bytes), Box<Response>> {
    let (parameters, data) = json::parse(body).map_err(|error| {
        let body = error_json(BAD_REQUEST, &format!("bad request: {error}"));
        Box::new((StatusCode::BAD_REQUEST, json_response(body)).into_response())
    })?;
    if data.len() > control.message_bytes_max {
        return Err(Box::new(too_large(control)));
    }
    Ok((parameters, data))
}

fn channel(encoded: &str) -> Result<ChannelName, String> {
    let decoded =
        handshake::percent_decode(encoded).map_err(|refusal| refusal.reason().to_owned())?;
    ChannelName::parse(&decoded).map_err(|error| error.to_string())
}

fn says_binary(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/octet-stream"))
}

fn refuse_body(control: &Control, error: &BytesRejection) -> Response {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(control),
        status => (status, error.body_text() + "\n").into_response(),
    }
}

fn too_large(control: &Control) -> Response {
    let max = control.message_bytes_max;
    let reason = format!("the message has more than {max} bytes (limits.message_bytes_max)\n");
    (StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
}

fn json_response(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn position_json(position: Position) -> String {
    format!(
        "{{\"offset\":{},\"epoch\":\"{:x}\"}}",
        position.offset, position.epoch
    )
}

fn error_json(code: u32, message: &str) -> String {
    format!(
        "{{\"error\":{{\"code\":{code},\"message\":{}}}}}",
        json::quoted(message)
    )
}
