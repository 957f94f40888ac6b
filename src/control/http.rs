//! The routes of the internal listener that are not the API's: publishing a body, metrics, health.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;

use super::{Control, api, key, live, metrics, page};
use crate::channel::ChannelName;
use crate::endpoint::Payload;
use crate::publication::Kind;
use crate::ws::handshake;

const HELP: &str = "pushring, internal listener\n\
    POST /pub/{channel}   publishes the body\n\
    POST /api/publish     {\"channel\": \"news\", \"data\": any JSON}\n\
    POST /api/{method}    broadcast, batch, subscribe, unsubscribe, disconnect, presence, presence_stats,\n\
    \x20                     history, history_remove, channels, info, reload, upgrade\n\
    GET  /                a page to see it all on, in a browser\n\
    GET  /live            figures once a second, as an event stream (pushring top shows them)\n\
    GET  /metrics         Prometheus text\n\
    GET  /health          200 while the process works\n\
    GET  /ready           200 while new clients should come here, 503 while it drains\n";

/// All routes of the internal listener.
pub fn router(control: Arc<Control>) -> Router {
    let message = middleware::from_fn_with_state(control.clone(), limit_message);
    let keyed = Router::new()
        .route("/pub/{*channel}", post(publish_body).layer(message))
        .route("/pub/", post(publish_body))
        .merge(api::routes(&control))
        .route("/live", get(live::answer))
        .layer(middleware::from_fn_with_state(control.clone(), key::check));
    Router::new()
        .route(
            "/",
            get(async |headers: HeaderMap| page::front(&headers, HELP)),
        )
        .merge(page::routes())
        .route("/metrics", get(scrape))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .merge(keyed)
        .fallback(async || (StatusCode::NOT_FOUND, HELP))
        .with_state(control)
}

/// Refuses bodies that are longer than a message may be at this moment.
async fn limit_message(
    State(control): State<Arc<Control>>,
    mut request: Request,
    next: Next,
) -> Response {
    DefaultBodyLimit::max(control.message_bytes_max()).apply(&mut request);
    next.run(request).await
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
    // A history may keep it for long, and is not to keep the connection's whole buffer with it.
    let payload = Payload::new(kind, Bytes::copy_from_slice(&body));
    match control.handle.publish(&channel, payload).await {
        Ok(position) => api::json_response(StatusCode::OK, api::position_json(position)),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "5")],
            format!("{error}\n"),
        )
            .into_response(),
    }
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
        StatusCode::PAYLOAD_TOO_LARGE => {
            let max = control.message_bytes_max();
            let reason =
                format!("the message has more than {max} bytes (limits.message_bytes_max)\n");
            (StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
        }
        status => (status, error.body_text() + "\n").into_response(),
    }
}
