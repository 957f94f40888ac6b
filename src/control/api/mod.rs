//! `POST /api/{method}`: the HTTP API of Centrifugo, version 4 and later, so that its clients work here.
//!
//! A method takes a JSON object and answers `{"result":{…}}` or `{"error":{"code":…,"message":…}}`, nearly always
//! with status 200: what a status says is about the request itself (401 no known key, 404 no such method, 400 no
//! JSON of the method's shape, 413 too large). With the header `X-Centrifugo-Error-Mode: transport` an error has a
//! status of its own, and its object is the whole body.

mod batch;
mod channel;
mod node;
mod publish;
mod reply;
mod user;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{Control, PublishError};
use crate::channel::ChannelName;
use crate::json;
use reply::{ApiError, Reply};

pub use reply::{foreign_page, json_response, position_json, unauthorized};

/// What a call's envelope may add to the message.
const ENVELOPE_BYTES_MAX: usize = 256 * 1_024;

/// The longest batch, where not even a single message may be longer.
const BATCH_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// How long all shards together may take to answer.
const SURVEY_MAX: Duration = Duration::from_secs(5);

/// Every method.
const METHODS: &str = "publish, broadcast, batch, subscribe, unsubscribe, disconnect, presence, \
                       presence_stats, history, history_remove, channels, info, reload, upgrade";

/// The routes of the API.
pub fn routes(control: &Arc<Control>) -> Router<Arc<Control>> {
    let limit = |more: More| from_fn_with_state((control.clone(), more), limit_body);
    Router::new()
        .route("/api/batch", post(answer_batch).layer(limit(More::Calls)))
        .route("/api/{method}", post(answer).layer(limit(More::Call)))
}

/// What a body has besides a message.
#[derive(Clone, Copy)]
enum More {
    Call,
    Calls,
}

/// Refuses bodies that are longer than they may be at this moment.
async fn limit_body(
    State((control, more)): State<(Arc<Control>, More)>,
    mut request: Request,
    next: Next,
) -> Response {
    let call_bytes_max = control.message_bytes_max() + ENVELOPE_BYTES_MAX;
    let bytes_max = match more {
        More::Call => call_bytes_max,
        More::Calls => call_bytes_max.max(BATCH_BYTES_MAX),
    };
    DefaultBodyLimit::max(bytes_max).apply(&mut request);
    next.run(request).await
}

async fn answer_batch(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        // Its answer has no `result` around it.
        Ok(body) => match batch::batch(&control, &body).await {
            Ok(replies) => reply::json_response(StatusCode::OK, replies),
            Err(error) => error.response(&headers),
        },
        Err(rejection) => rejected(&control, &rejection).response(&headers),
    }
}

async fn answer(
    State(control): State<Arc<Control>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let reply = match body {
        Ok(body) => call(&control, &method, body).await,
        Err(rejection) => Err(rejected(&control, &rejection)),
    };
    match reply {
        Ok(result) => reply::json_response(StatusCode::OK, format!("{{\"result\":{result}}}")),
        Err(error) => error.response(&headers),
    }
}

/// Does what a method says with its parameters.
async fn call(control: &Control, method: &str, parameters: Bytes) -> Reply {
    match method {
        "publish" => publish::publish(control, &parameters).await,
        "broadcast" => publish::broadcast(control, &parameters).await,
        "subscribe" => user::subscribe(control, &parameters).await,
        "unsubscribe" => user::unsubscribe(control, &parameters).await,
        "disconnect" => user::disconnect(control, &parameters).await,
        "presence" => channel::presence(control, &parameters).await,
        "presence_stats" => channel::presence_stats(control, &parameters).await,
        "history" => channel::history(control, &parameters).await,
        "history_remove" => channel::history_remove(control, &parameters).await,
        "channels" => node::channels(control, &parameters).await,
        "info" => node::info(control, &parameters).await,
        "reload" => node::reload(control, &parameters).await,
        "upgrade" => node::upgrade(control, &parameters).await,
        _ => Err(ApiError::method_not_found(METHODS)),
    }
}

/// The parameters of a method that hands nothing on as it came.
fn parameters<T: DeserializeOwned>(text: &Bytes) -> Result<T, ApiError> {
    // simd-json takes a NUL for a space behind a number, and a list for an object.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::malformed("the body is no JSON object: write {…}"));
    }
    json::parse_all(text).map_err(ApiError::malformed)
}

/// What all shards answer, unless one of them takes too long.
async fn survey<T>(answers: impl Future<Output = Result<T, PublishError>>) -> Result<T, ApiError> {
    match tokio::time::timeout(SURVEY_MAX, answers).await {
        Ok(answers) => answers.map_err(ApiError::not_available),
        Err(_) => Err(ApiError::internal(format!(
            "not all shards have answered within {} s",
            SURVEY_MAX.as_secs()
        ))),
    }
}

fn channel_name(text: &str) -> Result<ChannelName, ApiError> {
    ChannelName::parse(text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// A body that could not be taken.
fn rejected(control: &Control, rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(control.message_bytes_max()),
        _ => ApiError::malformed(rejection.body_text()),
    }
}
