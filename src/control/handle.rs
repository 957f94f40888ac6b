//! Reaching the shards from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::channel::{ChannelName, Refused};
use crate::endpoint::{ConnectionName, Order, Payload, OrderedSubscription};
use crate::publication::Position;
use crate::ws::close::CloseCode;

/// Letters that wait for the control thread; more make their senders wait.
const LETTERS_MAX: usize = 1_024;

pub type Answer = Result<Position, Refused>;

/// What is asked of the shards.
pub enum Letter {
    /// Publish, and say where in the stream.
    Publish {
        channel: ChannelName,
        payload: Payload,
        answer: Option<oneshot::Sender<Answer>>,
    },
    /// Do something with one connection.
    Connection { name: ConnectionName, order: Order },
    /// Close all connections within so many ms.
    Drain { drain_ms: u64 },
}

/// Publishes and speaks to connections from any thread, while the server runs.
///
/// Cheap to clone. Letters are worked on in their order by the control thread, which posts them
/// to the shards. Inside of a callback use what the [`Context`](crate::endpoint::Context) offers,
/// which is direct, or the functions here that neither wait nor block: those named `try_` and
/// those for connections.
///
/// ```
/// use pushring::channel::ChannelName;
/// use pushring::server::Server;
///
/// let server = Server::builder().listen(([127, 0, 0, 1], 0)).raw_protocol().start()?;
/// let news = ChannelName::parse("news")?;
/// let position = server.handle().publish_blocking(&news, "hello")?;
/// assert_eq!(position.offset, 1);
/// server.shut_down();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    letters: mpsc::Sender<Letter>,
    draining: Arc<AtomicBool>,
}

/// Why a publication got no place in its channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The owner keeps as many channels as it may.
    #[error(transparent)]
    Full(#[from] Refused),
    /// The server has ended.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Why a letter was not taken; nothing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// As many letters as there may be wait already.
    #[error("{LETTERS_MAX} letters wait for the shards already: try again later")]
    Full,
    /// The server has ended.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Handle {
    /// A handle, and the letters that come in by it and all its clones.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Letter>) {
        let (letters, received) = mpsc::channel(LETTERS_MAX);
        let handle = Self {
            letters,
            draining: Arc::new(AtomicBool::new(false)),
        };
        (handle, received)
    }

    /// Publishes a message and waits for its place in the stream.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        channel: &ChannelName,
        message: impl Into<Payload>,
    ) -> Result<Position, PublishError> {
        let (letter, answered) = publish(channel, message.into());
        if self.letters.send(letter).await.is_err() {
            return Err(PublishError::ShuttingDown);
        }
        match answered.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(PublishError::ShuttingDown),
        }
    }

    /// The same for threads without an asynchronous runtime.
    ///
    /// # Errors
    /// [`PublishError`].
    ///
    /// # Panics
    /// Inside of an asynchronous runtime, such as a callback's: that may not be blocked.
    pub fn publish_blocking(
        &self,
        channel: &ChannelName,
        message: impl Into<Payload>,
    ) -> Result<Position, PublishError> {
        let (letter, answered) = publish(channel, message.into());
        if self.letters.blocking_send(letter).is_err() {
            return Err(PublishError::ShuttingDown);
        }
        match answered.blocking_recv() {
            Ok(result) => Ok(result?),
            Err(_) => Err(PublishError::ShuttingDown),
        }
    }

    /// Hands a message over to be published, and does not wait for that.
    ///
    /// # Errors
    /// [`PostError`]. A message that the channel's owner refuses afterwards is counted there.
    pub fn try_publish(
        &self,
        channel: &ChannelName,
        message: impl Into<Payload>,
    ) -> Result<(), PostError> {
        self.post(Letter::Publish {
            channel: channel.clone(),
            payload: message.into(),
            answer: None,
        })
    }

    /// Sends a message to one connection; nothing happens if it is gone.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn send(&self, name: ConnectionName, message: impl Into<Payload>) -> Result<(), PostError> {
        self.order(name, Order::Send(message.into()))
    }

    /// Subscribes one connection to a channel; nothing happens if it is gone.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn subscribe(&self, name: ConnectionName, channel: ChannelName) -> Result<(), PostError> {
        self.order(name, Order::Subscribe(OrderedSubscription::to(channel).into()))
    }

    /// Ends the subscription of one connection to a channel, if it is there.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn unsubscribe(&self, name: ConnectionName, channel: ChannelName) -> Result<(), PostError> {
        self.order(name, Order::Unsubscribe(Some(channel)))
    }

    /// Closes one connection with a code and a reason; nothing happens if it is gone.
    ///
    /// # Errors
    /// [`PostError`].
    pub fn close(
        &self,
        name: ConnectionName,
        code: CloseCode,
        reason: impl Into<String>,
    ) -> Result<(), PostError> {
        let reason = reason.into();
        self.order(name, Order::Close { code, reason })
    }

    /// Has all shards close their connections, spread over so many ms, and end.
    pub async fn drain(&self, drain_ms: u64) {
        self.draining.store(true, Ordering::Relaxed);
        // Where nobody receives letters any more, all shards have ended.
        let _ = self.letters.send(Letter::Drain { drain_ms }).await;
    }

    /// The same for threads without an asynchronous runtime.
    ///
    /// # Panics
    /// Inside of an asynchronous runtime, such as a callback's: that may not be blocked.
    pub fn drain_blocking(&self, drain_ms: u64) {
        self.draining.store(true, Ordering::Relaxed);
        let _ = self.letters.blocking_send(Letter::Drain { drain_ms });
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn order(&self, name: ConnectionName, order: Order) -> Result<(), PostError> {
        self.post(Letter::Connection { name, order })
    }

    fn post(&self, letter: Letter) -> Result<(), PostError> {
        self.letters.try_send(letter).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PostError::Full,
            mpsc::error::TrySendError::Closed(_) => PostError::ShuttingDown,
        })
    }
}

fn publish(channel: &ChannelName, payload: Payload) -> (Letter, oneshot::Receiver<Answer>) {
    let (answer, answered) = oneshot::channel();
    let letter = Letter::Publish {
        channel: channel.clone(),
        payload,
        answer: Some(answer),
    };
    (letter, answered)
}
