//! Channels: a [`tokio::sync::broadcast`] each, as tokio's documentation suggests for one message to
//! many tasks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::stream::{SelectAll, StreamExt};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// All channels by name. They stay once they have been named.
pub struct Channels<T> {
    by_name: Mutex<HashMap<String, Sender<T>>>,
    lag_max: usize,
    lagged: AtomicU64,
}

impl<T: Clone + Send + 'static> Channels<T> {
    /// No channels yet; `lag_max` is how far a subscriber may be behind, in publications.
    pub fn new(lag_max: usize) -> Self {
        Self {
            by_name: Mutex::new(HashMap::new()),
            lag_max,
            lagged: AtomicU64::new(0),
        }
    }

    /// A subscription to all channels of these names.
    pub fn subscribe(&self, names: &[String]) -> Subscription<T> {
        match names {
            [name] => Subscription::One(self.channel(name).subscribe()),
            names => Subscription::Several(
                names
                    .iter()
                    .map(|name| BroadcastStream::new(self.channel(name).subscribe()))
                    .collect(),
            ),
        }
    }

    /// Where to publish to the channel of this name.
    pub fn channel(&self, name: &str) -> Sender<T> {
        // Nothing panics while it is held, so that a poisoned lock holds a whole map.
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        match by_name.get(name) {
            Some(channel) => channel.clone(),
            None => by_name
                .entry(name.to_owned())
                .insert_entry(Sender::new(self.lag_max))
                .get()
                .clone(),
        }
    }

    /// Counts a subscriber that fell behind, and says so: its connection is closed, so that nothing is
    /// lost in silence.
    pub fn count_lag(&self, lag: Lagged) {
        let lagged = self.lagged.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!(
            "a subscriber missed {} publications and is disconnected, {lagged} so far",
            lag.0
        );
    }
}

/// Why a subscription has ended: this many publications were lost to it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0} publications behind")]
pub struct Lagged(pub u64);

/// One connection's channels.
pub enum Subscription<T> {
    /// A single one, as most have.
    One(Receiver<T>),
    /// Several, of which those that have something are polled.
    Several(SelectAll<BroadcastStream<T>>),
}

impl<T: Clone + Send + 'static> Subscription<T> {
    /// Waits for the next publication. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`Lagged`] when some were lost.
    pub async fn recv(&mut self) -> Result<T, Lagged> {
        match self {
            Self::One(receiver) => match receiver.recv().await {
                Ok(payload) => Ok(payload),
                Err(RecvError::Lagged(count)) => Err(Lagged(count)),
                // Channels stay, so their senders do.
                Err(RecvError::Closed) => std::future::pending().await,
            },
            Self::Several(streams) => match streams.next().await {
                Some(Ok(payload)) => Ok(payload),
                Some(Err(BroadcastStreamRecvError::Lagged(count))) => Err(Lagged(count)),
                None => std::future::pending().await,
            },
        }
    }

    /// The next publication if there is one already.
    ///
    /// # Errors
    /// [`Lagged`] when some were lost.
    pub fn try_recv(&mut self) -> Result<Option<T>, Lagged> {
        match self {
            Self::One(receiver) => match receiver.try_recv() {
                Ok(payload) => Ok(Some(payload)),
                Err(TryRecvError::Lagged(count)) => Err(Lagged(count)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => Ok(None),
            },
            Self::Several(_) => self.recv().now_or_never().transpose(),
        }
    }
}
