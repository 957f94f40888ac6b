//! `GET /live`: how the server does, once a second, as an event stream. The page and `pushring top` read it.
//!
//! While nobody reads it nothing is collected. While somebody does, the control thread reads the shards' numbers and
//! makes two surveys of their channels a second, however many readers there are.

mod collect;
pub mod snapshot;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::Control;
use crate::publication::{Draft, Kind, Position};
use crate::sse;
use collect::Collector;
use snapshot::Snapshot;

/// How often there is a snapshot.
const EVERY: Duration = Duration::from_secs(1);

/// Readers at one time.
const READERS_MAX: usize = 64;

/// Snapshots that wait for a slow reader; what comes when there are so many passes it by, for a newer one says more.
const WAITING_MAX: usize = 2;

/// After how long a reader that has lost its connection is to come back.
const RETRY_MS: u64 = 2_000;

/// Who reads, and what they read last.
pub struct Live {
    readers: Mutex<Readers>,
    /// Names the stream of snapshots in their ids.
    epoch: u64,
}

#[derive(Default)]
struct Readers {
    all: Vec<mpsc::Sender<Bytes>>,
    /// Whether there is a task that collects for them.
    collecting: bool,
    /// The newest snapshot while it does.
    last: Option<Bytes>,
    /// Snapshots so far.
    count: u64,
}

impl Live {
    /// A stream without readers.
    pub fn new() -> Self {
        // A clock before 1970 is as good as one at 1970.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            readers: Mutex::default(),
            epoch: since_1970.map_or(0, |since| since.as_secs()),
        }
    }

    /// One more reader, unless there are too many; and whether it is the first, for whom collecting has to begin.
    fn join(&self) -> Option<(mpsc::Receiver<Bytes>, bool)> {
        let mut readers = self.lock();
        readers.all.retain(|reader| !reader.is_closed());
        if readers.all.len() >= READERS_MAX {
            return None;
        }
        // What it begins with has room, too.
        let (sender, receiver) = mpsc::channel(WAITING_MAX + 2);
        let _ = sender.try_send(greeting());
        if let Some(last) = &readers.last {
            let _ = sender.try_send(last.clone());
        }
        readers.all.push(sender);
        let is_first = !std::mem::replace(&mut readers.collecting, true);
        Some((receiver, is_first))
    }

    /// Hands a snapshot to all readers. False when there are none left, and collecting is over.
    fn hand_out(&self, snapshot: &Snapshot) -> bool {
        let mut readers = self.lock();
        readers.all.retain(|reader| !reader.is_closed());
        if readers.all.is_empty() {
            readers.collecting = false;
            readers.last = None;
            return false;
        }
        readers.count += 1;
        let position = Position {
            epoch: self.epoch,
            offset: readers.count,
        };
        let event = event(snapshot, position);
        for reader in &readers.all {
            let _ = reader.try_send(event.clone());
        }
        readers.last = Some(event);
        true
    }

    /// Ends all streams. Readers come back.
    pub fn end(&self) {
        self.lock().all.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Readers> {
        // Nothing is left half done behind this lock.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with the stream.
pub async fn answer(State(control): State<Arc<Control>>) -> Response {
    let Some((snapshots, is_first)) = control.live.join() else {
        let reason = format!("{READERS_MAX} readers are reading this already\n");
        return (StatusCode::SERVICE_UNAVAILABLE, reason).into_response();
    };
    if is_first {
        tokio::spawn(collect(control));
    }
    let headers = [
        (header::CONTENT_TYPE.as_str(), sse::MEDIA_TYPE),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::new(Stream(snapshots))).into_response()
}

/// Collects as long as somebody reads.
async fn collect(control: Arc<Control>) {
    let mut collector = Collector::begin(&control).await;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // The first is at once.
        ticks.tick().await;
        let snapshot = collector.collect(&control).await;
        if !control.live.hand_out(&snapshot) {
            return;
        }
    }
}

/// What every reader is told first.
fn greeting() -> Bytes {
    let mut out = BytesMut::new();
    sse::put_comment(&mut out, "pushring: a snapshot a second, each whole");
    sse::put_retry(&mut out, RETRY_MS);
    out.freeze()
}

fn event(snapshot: &Snapshot, position: Position) -> Bytes {
    let mut out = BytesMut::new();
    match serde_json::to_vec(snapshot) {
        Ok(json) => {
            let publication = Draft::new(Kind::Text, json.into()).numbered(position);
            sse::put_publication(&mut out, &publication, true);
        }
        // Numbers, texts and lists of them: there is nothing that could not be written.
        Err(error) => sse::put_comment(&mut out, &error.to_string()),
    }
    out.freeze()
}

/// The body of the answer: what its reader has not been sent.
struct Stream(mpsc::Receiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests;
