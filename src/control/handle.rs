//! Reaching the shards from any thread.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::hold::Hold;
use super::reload::{self, Prepared};
use crate::channel::{Answer, ChannelName, Glob, Question, Refused};
use crate::endpoint::{Addressee, ConnectionName, Order, OrderedSubscription, Payload};
use crate::publication::{Draft, Position};
use crate::shard::mail::{Look, Survey, Surveyed};
use crate::ws::close::CloseCode;

/// Letters that wait for the control thread; more make their senders wait.
const LETTERS_MAX: usize = 1_024;

/// The place that a message got.
pub type Placed = Result<Position, Refused>;

/// What is asked of the shards.
pub enum Letter {
    /// Publish, and say where in the stream.
    Publish {
        channel: ChannelName,
        /// Not if something was published with the same key shortly before.
        key: Option<Box<str>>,
        draft: Draft,
        answer: Option<oneshot::Sender<Placed>>,
    },
    /// Ask the owner of a channel.
    Ask {
        channel: ChannelName,
        question: Question,
        answer: oneshot::Sender<Answer>,
    },
    /// Ask all shards.
    Survey {
        survey: Survey,
        answer: oneshot::Sender<Vec<Surveyed>>,
    },
    /// Do something with one connection.
    Connection { name: ConnectionName, order: Order },
    /// Close all connections within so many ms.
    Drain { drain_ms: u64 },
    /// Bring all shards to rest and save them.
    Hold(Box<Hold>),
    /// Work with other settings.
    Reload {
        prepared: Box<Prepared>,
        answer: reload::Answer,
    },
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
    pub(super) letters: mpsc::Sender<Letter>,
    draining: Arc<AtomicBool>,
}

/// How much there is on all shards together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections, those that are not WebSockets yet included.
    pub connections: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Channels with subscribers.
    pub channels: usize,
    /// Users with connections, each once on however many shards these are; nothing where a shard has more than 200,000. They
    /// are told apart by 64 bits of a hash.
    pub users: Option<usize>,
}

/// Each channel of a shard with its subscriptions there; nothing where there are more than were asked for.
pub type ChannelCounts = Option<Vec<(ChannelName, usize)>>;

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
        self.publish_draft(channel, draft(message.into())).await
    }

    /// The same with all that a message may have.
    pub(crate) async fn publish_draft(
        &self,
        channel: &ChannelName,
        draft: Draft,
    ) -> Result<Position, PublishError> {
        self.place(channel, draft, None).await?.wait().await
    }

    /// Sends a message on its way, and leaves the waiting for its place to who asks. With a key it is not
    /// published if something was published with the same shortly before, whose place is the answer then.
    pub(crate) async fn place(
        &self,
        channel: &ChannelName,
        draft: Draft,
        key: Option<Box<str>>,
    ) -> Result<Placing, PublishError> {
        let (letter, answered) = publish(channel, draft, key);
        match self.letters.send(letter).await {
            Ok(()) => Ok(Placing(answered)),
            Err(_) => Err(PublishError::ShuttingDown),
        }
    }

    /// Asks the owner of a channel for what it keeps.
    ///
    /// # Errors
    /// [`PublishError::ShuttingDown`].
    pub async fn ask(
        &self,
        channel: &ChannelName,
        question: Question,
    ) -> Result<Answer, PublishError> {
        let (answer, answered) = oneshot::channel();
        let letter = Letter::Ask {
            channel: channel.clone(),
            question,
            answer,
        };
        if self.letters.send(letter).await.is_err() {
            return Err(PublishError::ShuttingDown);
        }
        answered.await.map_err(|_| PublishError::ShuttingDown)
    }

    /// Has the connections of a user do something, on whichever shards they are. Returns when all have been
    /// told: how many they were.
    ///
    /// # Errors
    /// [`PublishError::ShuttingDown`].
    pub async fn order_user(
        &self,
        addressee: Addressee,
        order: Order,
    ) -> Result<usize, PublishError> {
        let told = |answer| match answer {
            Surveyed::Told(connections) => connections,
            _ => 0,
        };
        let answers = self.survey(Survey::User { addressee, order }).await?;
        Ok(answers.into_iter().map(told).sum())
    }

    /// How much there is of everything.
    ///
    /// # Errors
    /// [`PublishError::ShuttingDown`].
    pub async fn counts(&self) -> Result<Counts, PublishError> {
        let mut counts = Counts::default();
        let mut all_users = Some(HashSet::new());
        for answer in self.survey(Survey::Counts).await? {
            if let Surveyed::Counts {
                connections,
                subscriptions,
                channels,
                users,
            } = answer
            {
                all_users = all_users.zip(users).map(|(mut all, users)| {
                    all.extend(users);
                    all
                });
                counts.connections += connections;
                counts.subscriptions += subscriptions;
                counts.channels += channels;
            }
        }
        counts.users = all_users.map(|all: HashSet<u64>| all.len());
        Ok(counts)
    }

    /// The channels with subscribers, at most so many a shard: of each shard by itself.
    pub(crate) async fn channels(
        &self,
        pattern: Option<Glob>,
        channels_max: usize,
    ) -> Result<Vec<ChannelCounts>, PublishError> {
        let survey = Survey::Channels {
            pattern,
            channels_max,
        };
        let found = |answer| match answer {
            Surveyed::Channels(channels) => Some(channels),
            _ => None,
        };
        let answers = self.survey(survey).await?;
        Ok(answers.into_iter().map(found).collect())
    }

    /// The busiest channels, so many of each kind and shard, as the shards tell them.
    pub(crate) async fn busiest(&self, channels_max: usize) -> Result<Vec<Surveyed>, PublishError> {
        self.survey(Survey::Busiest { channels_max }).await
    }

    /// What each shard, which is named with it, knows of these channels.
    pub(crate) async fn looks(
        &self,
        channels: Arc<[ChannelName]>,
    ) -> Result<Vec<(usize, Vec<Look>)>, PublishError> {
        let looks = |answer| match answer {
            Surveyed::Looks { shard, looks } => Some((shard, looks)),
            _ => None,
        };
        let answers = self.survey(Survey::Looks(channels)).await?;
        Ok(answers.into_iter().filter_map(looks).collect())
    }

    async fn survey(&self, survey: Survey) -> Result<Vec<Surveyed>, PublishError> {
        let (answer, answered) = oneshot::channel();
        if self
            .letters
            .send(Letter::Survey { survey, answer })
            .await
            .is_err()
        {
            return Err(PublishError::ShuttingDown);
        }
        answered.await.map_err(|_| PublishError::ShuttingDown)
    }

    /// [`Handle::publish`] for threads without an asynchronous runtime.
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
        let (letter, answered) = publish(channel, draft(message.into()), None);
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
            key: None,
            draft: draft(message.into()),
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
        self.order(
            name,
            Order::Subscribe(OrderedSubscription::to(channel).into()),
        )
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

    /// Has `/ready` say from now on that new clients should go elsewhere; nothing else changes until [`Handle::drain`].
    pub fn announce_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Has all shards close their connections, spread over so many ms, and end.
    pub async fn drain(&self, drain_ms: u64) {
        self.announce_drain();
        // Where nobody receives letters any more, all shards have ended.
        let _ = self.letters.send(Letter::Drain { drain_ms }).await;
    }

    /// The same for threads without an asynchronous runtime.
    ///
    /// # Panics
    /// Inside of an asynchronous runtime, such as a callback's: that may not be blocked.
    pub fn drain_blocking(&self, drain_ms: u64) {
        self.announce_drain();
        let _ = self.letters.blocking_send(Letter::Drain { drain_ms });
    }

    /// Whether a drain has begun or has been announced.
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

/// A message on its way to its owner.
pub(crate) struct Placing(oneshot::Receiver<Placed>);

impl Placing {
    /// Waits for its place in the stream.
    pub(crate) async fn wait(self) -> Result<Position, PublishError> {
        match self.0.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(PublishError::ShuttingDown),
        }
    }
}

fn draft(payload: Payload) -> Draft {
    let (kind, payload) = payload.into_parts();
    Draft::new(kind, payload)
}

fn publish(
    channel: &ChannelName,
    draft: Draft,
    key: Option<Box<str>>,
) -> (Letter, oneshot::Receiver<Placed>) {
    let (answer, answered) = oneshot::channel();
    let letter = Letter::Publish {
        channel: channel.clone(),
        key,
        draft,
        answer: Some(answer),
    };
    (letter, answered)
}
