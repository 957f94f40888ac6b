//! The HTTP side for libraries that leave it to their user, by hyper: routes, POST, and which
//! connection is upgraded to what.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::Sender;

use crate::arguments::Arguments;
use crate::channels::{Channels, Subscription};

/// A WebSocket library, as far as the servers differ.
pub trait Library: 'static {
    /// What is published, in the form that costs the library least to send to many.
    type Payload: Clone + Send + Sync + 'static;
    /// Why a connection ended.
    type Error: Send;
    /// The connection, as soon as the answer to its opening handshake has been sent.
    type Upgrade: Send;

    /// A POST body as a payload; `None` if it is no text.
    fn payload(body: Bytes) -> Option<Self::Payload>;

    /// The answer to an opening handshake, and what becomes of its connection; `None` if it is none.
    fn upgrade(request: &mut Request<Incoming>) -> Option<(Response<Full<Bytes>>, Self::Upgrade)>;

    /// Sends a subscriber what is published, until one side ends it.
    fn subscriber(
        upgrade: Self::Upgrade,
        subscription: Subscription<Self::Payload>,
        channels: &Channels<Self::Payload>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Publishes what a connection sends, until one side ends it.
    fn publisher(
        upgrade: Self::Upgrade,
        channel: Sender<Self::Payload>,
        message_bytes_max: usize,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Accepts connections for as long as the process lives.
///
/// # Errors
/// Those of `accept` that another attempt would not mend.
pub async fn serve<L: Library>(arguments: Arguments, listener: TcpListener) -> std::io::Result<()> {
    let server = Arc::new(Server::<L> {
        channels: Channels::new(arguments.lag_max),
        message_bytes_max: arguments.message_bytes_max,
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(server.clone(), stream));
    }
}

struct Server<L: Library> {
    channels: Channels<L::Payload>,
    message_bytes_max: usize,
}

async fn connection<L: Library>(server: Arc<Server<L>>, stream: TcpStream) {
    let service = service_fn(|request| answer(server.clone(), request));
    let served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    // A client that goes away in the middle of a request is nobody's fault here.
    if let Err(error) = served
        && error.is_parse()
    {
        eprintln!("a request could not be read: {error}");
    }
}

async fn answer<L: Library>(
    server: Arc<Server<L>>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    if let Some(names) = subscribed(&path, request.uri().query()) {
        return Ok(match L::upgrade(&mut request) {
            Some((response, upgrade)) => {
                let subscription = server.channels.subscribe(&names);
                tokio::spawn(async move {
                    L::subscriber(upgrade, subscription, &server.channels).await
                });
                response
            }
            None => status(StatusCode::UPGRADE_REQUIRED),
        });
    }
    let Some(name) = path.strip_prefix("/pub/").filter(|name| !name.is_empty()) else {
        return Ok(status(StatusCode::NOT_FOUND));
    };
    let channel = server.channels.channel(name);
    if request.method() == Method::POST {
        return Ok(publish::<L>(&channel, request.into_body(), server.message_bytes_max).await);
    }
    Ok(match L::upgrade(&mut request) {
        Some((response, upgrade)) => {
            tokio::spawn(L::publisher(upgrade, channel, server.message_bytes_max));
            response
        }
        None => status(StatusCode::UPGRADE_REQUIRED),
    })
}

/// The channels of `/sub/CHANNEL` or `/sub?channel=A&channel=B`.
fn subscribed(path: &str, query: Option<&str>) -> Option<Vec<String>> {
    if let Some(name) = path.strip_prefix("/sub/").filter(|name| !name.is_empty()) {
        return Some(vec![name.to_owned()]);
    }
    if path != "/sub" {
        return None;
    }
    let names: Vec<String> = query?
        .split('&')
        .filter_map(|field| field.strip_prefix("channel="))
        .map(str::to_owned)
        .collect();
    (!names.is_empty()).then_some(names)
}

async fn publish<L: Library>(
    channel: &Sender<L::Payload>,
    body: Incoming,
    message_bytes_max: usize,
) -> Response<Full<Bytes>> {
    let Ok(body) = Limited::new(body, message_bytes_max).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    match L::payload(body.to_bytes()) {
        Some(payload) => {
            // An error says that nobody is subscribed, which is no fault.
            let _ = channel.send(payload);
            status(StatusCode::OK)
        }
        None => status(StatusCode::BAD_REQUEST),
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
