//! A pub/sub server with axum and its WebSocket extractor.

#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::Response;
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use futures_util::SinkExt;
use pushring_peers_tokio::arguments::Arguments;
use pushring_peers_tokio::channels::{Channels, Subscription};
use tokio::net::TcpListener;
use tokio::sync::broadcast::Sender;

/// What the documentation of the library below names for many connections of which little is read.
const READ_BUFFER_BYTES: usize = 4 * 1024;

struct Server {
    channels: Channels<Utf8Bytes>,
    message_bytes_max: usize,
}

fn main() -> std::io::Result<()> {
    Arguments::parse_for("axum").run(serve)
}

async fn serve(arguments: Arguments, listener: TcpListener) -> std::io::Result<()> {
    let server = Arc::new(Server {
        channels: Channels::new(arguments.lag_max),
        message_bytes_max: arguments.message_bytes_max,
    });
    let routes = Router::new()
        .route("/sub/{channel}", any(subscribe))
        .route("/sub", any(subscribe_to_several))
        .route("/pub/{channel}", get(publish_messages).post(publish))
        .layer(DefaultBodyLimit::max(arguments.message_bytes_max))
        .with_state(server);
    let listener = listener.tap_io(|stream| {
        // A socket that takes no options has been reset already; its first read says so.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes).await
}

async fn subscribe(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    subscribe_to(server, &[name], upgrade)
}

async fn subscribe_to_several(
    State(server): State<Arc<Server>>,
    Query(fields): Query<Vec<(String, String)>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let names: Vec<String> = fields
        .into_iter()
        .filter_map(|(field, name)| (field == "channel").then_some(name))
        .collect();
    subscribe_to(server, &names, upgrade)
}

fn subscribe_to(server: Arc<Server>, names: &[String], upgrade: WebSocketUpgrade) -> Response {
    let subscription = server.channels.subscribe(names);
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async move |connection| {
            // However it ended, it has.
            let _ = subscriber(connection, subscription, &server.channels).await;
        })
}

async fn publish_messages(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let channel = server.channels.channel(&name);
    upgrade
        .max_message_size(server.message_bytes_max)
        .on_upgrade(|connection| publisher(connection, channel))
}

async fn publish(State(server): State<Arc<Server>>, Path(name): Path<String>, payload: String) {
    // An error says that nobody is subscribed, which is no fault.
    let _ = server.channels.channel(&name).send(payload.into());
}

async fn subscriber(
    mut connection: WebSocket,
    mut subscription: Subscription<Utf8Bytes>,
    channels: &Channels<Utf8Bytes>,
) -> Result<(), axum::Error> {
    loop {
        let mut next = tokio::select! {
            next = subscription.recv() => next.map(Some),
            message = connection.recv() => match message {
                // Pings are answered by the library.
                Some(message) => { message?; continue }
                None => return Ok(()),
            },
        };
        // All that is there already leaves in one flush.
        while let Ok(Some(payload)) = next {
            connection.feed(Message::Text(payload)).await?;
            next = subscription.try_recv();
        }
        if let Err(lag) = next {
            channels.count_lag(lag);
            return connection.send(Message::Close(Some(behind()))).await;
        }
        connection.flush().await?;
    }
}

async fn publisher(mut connection: WebSocket, channel: Sender<Utf8Bytes>) {
    while let Some(Ok(message)) = connection.recv().await {
        if let Message::Text(payload) = message {
            // An error says that nobody is subscribed, which is no fault.
            let _ = channel.send(payload);
        }
    }
}

fn behind() -> CloseFrame {
    CloseFrame {
        code: close_code::AGAIN,
        reason: Utf8Bytes::from_static("behind"),
    }
}
