//! A pub/sub server around fastwebsockets.

#![forbid(unsafe_code)]

use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, is_upgrade_request, upgrade};
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError,
    WebSocketWrite,
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use pushring_peers_tokio::arguments::Arguments;
use pushring_peers_tokio::channels::{Channels, Lagged, Subscription};
use pushring_peers_tokio::http::{Library, serve};
use tokio::io::{AsyncWrite, BufWriter};
use tokio::sync::Mutex;
use tokio::sync::broadcast::Sender;

/// The library writes each frame by itself; so much is collected, so that what was published together
/// leaves together.
const WRITE_BYTES: usize = 16 * 1024;

fn main() -> std::io::Result<()> {
    Arguments::parse_for("fastwebsockets").run(serve::<FastWebSockets>)
}

struct FastWebSockets;

impl Library for FastWebSockets {
    type Payload = Bytes;
    type Error = WebSocketError;
    type Upgrade = UpgradeFut;

    fn payload(body: Bytes) -> Option<Bytes> {
        str::from_utf8(&body).is_ok().then_some(body)
    }

    fn upgrade(request: &mut Request<Incoming>) -> Option<(Response<Full<Bytes>>, UpgradeFut)> {
        if !is_upgrade_request(request) {
            return None;
        }
        let (response, connection) = upgrade(request).ok()?;
        Some((response.map(|_| Full::default()), connection))
    }

    async fn subscriber(
        upgrade: UpgradeFut,
        mut subscription: Subscription<Bytes>,
        channels: &Channels<Bytes>,
    ) -> Result<(), WebSocketError> {
        let (reader, writer) = upgrade.await?.split(|stream| {
            let (reader, writer) = tokio::io::split(stream);
            (reader, BufWriter::with_capacity(WRITE_BYTES, writer))
        });
        let mut reader = FragmentCollectorRead::new(reader);
        let writer = Mutex::new(writer);
        let reading = async {
            loop {
                let mut answer = async |frame| {
                    let mut writer = writer.lock().await;
                    writer.write_frame(frame).await?;
                    writer.flush().await
                };
                let frame = reader.read_frame::<_, WebSocketError>(&mut answer).await?;
                if frame.opcode == OpCode::Close {
                    return Ok(());
                }
            }
        };
        let writing = async {
            loop {
                let next = subscription.recv().await;
                let mut writer = writer.lock().await;
                if let Err(lag) = write_batch(&mut writer, next, &mut subscription).await? {
                    channels.count_lag(lag);
                    writer.write_frame(Frame::close(1013, b"behind")).await?;
                    return writer.flush().await;
                }
            }
        };
        // Both are polled until one ends, so that neither can wait for a lock whose holder sleeps.
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    }

    async fn publisher(
        upgrade: UpgradeFut,
        channel: Sender<Bytes>,
        message_bytes_max: usize,
    ) -> Result<(), WebSocketError> {
        let mut connection = upgrade.await?;
        connection.set_max_message_size(message_bytes_max + 1);
        let mut connection = FragmentCollector::new(connection);
        loop {
            let frame = connection.read_frame().await?;
            match frame.opcode {
                OpCode::Close => return Ok(()),
                OpCode::Text => {
                    // An error says that nobody is subscribed, which is no fault.
                    let _ = channel.send(Bytes::from(Vec::from(frame.payload)));
                }
                _ => {}
            }
        }
    }
}

/// Writes `next` and whatever else is there already, in one flush.
async fn write_batch<W: AsyncWrite + Unpin>(
    writer: &mut WebSocketWrite<W>,
    next: Result<Bytes, Lagged>,
    subscription: &mut Subscription<Bytes>,
) -> Result<Result<(), Lagged>, WebSocketError> {
    let mut next = next.map(Some);
    loop {
        match next {
            Ok(Some(payload)) => {
                let frame = Frame::text(Payload::Borrowed(&payload));
                writer.write_frame(frame).await?;
            }
            Ok(None) => {
                writer.flush().await?;
                return Ok(Ok(()));
            }
            Err(lag) => return Ok(Err(lag)),
        }
        next = subscription.try_recv();
    }
}
