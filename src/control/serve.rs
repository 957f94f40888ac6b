//! The internal listener's connections: accepted and served, and handed over between two requests when a live upgrade wants them.
//!
//! A caller that keeps its connection open is not to find it closed with a request on the way that nobody will answer. So a
//! connection with nothing under way stays open across an upgrade, with what has been read from it, be it half a head; one in the
//! middle of a request is answered first, and told that it is closed (`Connection: close`).

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How long requests that are under way may take to be answered before an upgrade goes on without them.
const ANSWERS_MAX: Duration = Duration::from_secs(5);

/// How long accepting rests when there is no file descriptor.
const STARVED_PAUSE: Duration = Duration::from_millis(250);

/// An open connection between two requests, and what has been read of the next one.
#[derive(Debug)]
pub struct Idle {
    /// Its socket.
    pub stream: TcpStream,
    /// Read, but not looked at.
    pub read: Bytes,
}

/// Wants all connections, and gives them back if it finds no use for them.
pub struct HandOver {
    /// Where they go.
    pub connections: oneshot::Sender<Vec<Idle>>,
    /// Those to go on with. Its sender's end is that of the connections.
    pub back: oneshot::Receiver<Vec<Idle>>,
}

/// Accepts and serves. Drop it to end all connections.
pub struct Serve {
    listener: TcpListener,
    router: Router,
    connections: JoinSet<Option<Idle>>,
    /// Ends the answers that would not end by themselves.
    end_streams: Box<dyn Fn() + Send>,
    /// Set while connections are to end between two requests.
    collect: watch::Sender<bool>,
}

impl Serve {
    /// Of a listening socket, and with connections that are open already. `end_streams` is called when connections are
    /// handed over: their answers are to end.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(
        listener: std::net::TcpListener,
        router: Router,
        open: Vec<Idle>,
        end_streams: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let mut serve = Self {
            listener: TcpListener::from_std(listener)?,
            router,
            connections: JoinSet::new(),
            end_streams: Box::new(end_streams),
            collect: watch::Sender::new(false),
        };
        serve.take_up(open);
        Ok(serve)
    }

    /// Accepts and serves, and hands the connections over when somebody wants them.
    pub async fn run(mut self, mut hand_overs: mpsc::Receiver<HandOver>) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.take_up(vec![Idle { stream, read: Bytes::new() }]),
                    Err(error) => {
                        tracing::warn!("the internal listener cannot accept: {error}");
                        tokio::time::sleep(STARVED_PAUSE).await;
                    }
                },
                Some(_) = self.connections.join_next() => {}
                Some(hand_over) = hand_overs.recv() => self.hand_over(hand_over).await,
            }
        }
    }

    async fn hand_over(&mut self, hand_over: HandOver) {
        self.collect.send_replace(true);
        (self.end_streams)();
        let mut idle = Vec::new();
        let collecting = async {
            while let Some(ended) = self.connections.join_next().await {
                idle.extend(ended.ok().flatten());
            }
        };
        let in_time = tokio::time::timeout(ANSWERS_MAX, collecting).await.is_ok();
        if !in_time {
            tracing::warn!(
                "{} calls of the internal listener have not ended within {ANSWERS_MAX:?} and are cut off",
                self.connections.len()
            );
            self.connections.shutdown().await;
        }
        self.collect.send_replace(false);
        // Nobody waits for them any more: they are served on.
        if let Err(idle) = hand_over.connections.send(idle) {
            return self.take_up(idle);
        }
        if let Ok(idle) = hand_over.back.await {
            self.take_up(idle);
        }
    }

    fn take_up(&mut self, open: Vec<Idle>) {
        for idle in open {
            let connection = serve(idle, self.router.clone(), self.collect.subscribe());
            self.connections.spawn(connection);
        }
    }
}

/// Serves a connection until it ends, or until it is wanted and between two requests: then it is returned.
async fn serve(idle: Idle, router: Router, mut collect: watch::Receiver<bool>) -> Option<Idle> {
    let progress = Arc::new(Progress::default());
    let io = TokioIo::new(Rewound {
        read: idle.read,
        stream: idle.stream,
        progress: progress.clone(),
    });
    let service = Counting {
        service: TowerToHyperService::new(router),
        progress: progress.clone(),
    };
    let mut connection = http1::Builder::new().serve_connection(io, service);
    let stays = tokio::select! {
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
            finish(&connection.into_parts().io.into_inner().stream);
            return None;
        }
        wanted = async { collect.wait_for(|wanted| *wanted).await.is_ok() } => {
            wanted && progress.is_between_requests()
        }
    };
    if !stays {
        // An answer is being made, or has not been taken, and says that the connection ends; or a request is not read to its end.
        Pin::new(&mut connection).graceful_shutdown();
        // An error ends it as well.
        let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        finish(&connection.into_parts().io.into_inner().stream);
        return None;
    }
    let parts = connection.into_parts();
    let Rewound { read, stream, .. } = parts.io.into_inner();
    // A part of a head, perhaps.
    let mut unread = BytesMut::from(&*parts.read_buf);
    unread.extend_from_slice(&read);
    Some(Idle {
        stream,
        read: unread.freeze(),
    })
}

/// Says that nothing more will be said.
fn finish(stream: &TcpStream) {
    // An error means that the caller has gone before.
    let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
}

/// How far a connection's requests have come.
#[derive(Default)]
struct Progress {
    /// Requests whose answers are being made.
    answering: AtomicUsize,
    /// Requests whose bodies have not been read to their ends.
    reading: AtomicUsize,
    /// The socket takes no more at the moment.
    blocked: AtomicBool,
}

impl Progress {
    /// Whether nothing is under way but, perhaps, the head of the next request. Between two polls of a connection its answers have
    /// been written, unless the socket takes no more.
    fn is_between_requests(&self) -> bool {
        self.answering.load(Ordering::Relaxed) == 0
            && self.reading.load(Ordering::Relaxed) == 0
            && !self.blocked.load(Ordering::Relaxed)
    }
}

/// Notes what becomes of requests.
struct Counting {
    service: TowerToHyperService<Router>,
    progress: Arc<Progress>,
}

impl Service<Request<Incoming>> for Counting {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let progress = self.progress.clone();
        progress.answering.fetch_add(1, Ordering::Relaxed);
        progress.reading.fetch_add(1, Ordering::Relaxed);
        let answer = self.service.call(request.map(|body| Watched {
            body,
            ended: false,
            progress: progress.clone(),
        }));
        Box::pin(async move {
            let answer = answer.await;
            progress.answering.fetch_sub(1, Ordering::Relaxed);
            answer
        })
    }
}

/// A request's body.
struct Watched {
    body: Incoming,
    ended: bool,
    progress: Arc<Progress>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // One that nobody wanted to its end stays counted: what follows on the connection is no request.
        if self.ended || self.body.is_end_stream() {
            self.progress.reading.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream of which something has been read already.
struct Rewound {
    read: Bytes,
    stream: TcpStream,
    progress: Arc<Progress>,
}

impl Rewound {
    fn note_written<T>(&self, written: Poll<T>) -> Poll<T> {
        let blocked = &self.progress.blocked;
        blocked.store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let len = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
