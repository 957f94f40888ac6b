//! A pub/sub server around tokio-tungstenite.

#![forbid(unsafe_code)]

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pushring_peers_tokio::arguments::Arguments;
use pushring_peers_tokio::channels::{Channels, Subscription};
use pushring_peers_tokio::http::{Library, serve};
use tokio::sync::broadcast::Sender;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// What the library's documentation names for many connections of which little is read.
const READ_BUFFER_BYTES: usize = 4 * 1024;

fn main() -> std::io::Result<()> {
    Arguments::parse_for("tokio-tungstenite").run(serve::<TokioTungstenite>)
}

struct TokioTungstenite;

impl Library for TokioTungstenite {
    type Payload = Utf8Bytes;
    type Error = Error;
    type Upgrade = OnUpgrade;

    fn payload(body: Bytes) -> Option<Utf8Bytes> {
        Utf8Bytes::try_from(body).ok()
    }

    fn upgrade(request: &mut Request<Incoming>) -> Option<(Response<Full<Bytes>>, OnUpgrade)> {
        let headers = request.headers();
        if headers.get(SEC_WEBSOCKET_VERSION)? != "13" {
            return None;
        }
        let accept = derive_accept_key(headers.get(SEC_WEBSOCKET_KEY)?.as_bytes());
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).ok()?);
        Some((response, hyper::upgrade::on(request)))
    }

    async fn subscriber(
        upgrade: OnUpgrade,
        mut subscription: Subscription<Utf8Bytes>,
        channels: &Channels<Utf8Bytes>,
    ) -> Result<(), Error> {
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let Some(mut connection) = open(upgrade, config).await else {
            return Ok(());
        };
        loop {
            let mut next = tokio::select! {
                next = subscription.recv() => next.map(Some),
                message = connection.next() => match message {
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
                return connection.close(Some(behind())).await;
            }
            connection.flush().await?;
        }
    }

    async fn publisher(
        upgrade: OnUpgrade,
        channel: Sender<Utf8Bytes>,
        message_bytes_max: usize,
    ) -> Result<(), Error> {
        let config = WebSocketConfig::default().max_message_size(Some(message_bytes_max));
        let Some(mut connection) = open(upgrade, config).await else {
            return Ok(());
        };
        while let Some(message) = connection.next().await {
            if let Message::Text(payload) = message? {
                // An error says that nobody is subscribed, which is no fault.
                let _ = channel.send(payload);
            }
        }
        Ok(())
    }
}

/// The upgraded connection; `None` if it ended before.
async fn open(
    upgrade: OnUpgrade,
    config: WebSocketConfig,
) -> Option<WebSocketStream<TokioIo<Upgraded>>> {
    let stream = TokioIo::new(upgrade.await.ok()?);
    Some(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
}

fn behind() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Again,
        reason: Utf8Bytes::from_static("behind"),
    }
}
