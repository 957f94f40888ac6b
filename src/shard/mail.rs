//! What shards (and the control thread) say to each other.
//!
//! Two queues lead from each to each other: requests, which go to the owner of a channel, and
//! deliveries, which an owner sends out. A request may cause deliveries, a delivery causes no
//! further mail; so a shard that cannot get rid of its deliveries stops taking requests and goes
//! on taking deliveries, and two shards that are full towards each other still drain.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Live;
use crate::channel::{Answer, ChannelName, Glob, Question, Refused, Verdict};
use crate::endpoint::{Addressee, Order};
use crate::publication::{Begun, ClientInfo, Draft, Event, Kind, Position, Publication, Since};
use crate::table::Key;

/// What an answer brings back to the asker, who alone can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ticket {
    /// A connection's key as a number; for the control thread the number of the call.
    pub asker: u64,
    /// Which of the asker's subscriptions.
    pub subscription: u32,
}

/// A consumer of a queue, as the queue's owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Consumer {
    /// Its shard.
    pub shard: usize,
    /// Its connection and subscription there.
    pub ticket: Ticket,
}

/// From a shard to the owner of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueRequest {
    /// A message for the queue. Answered by [`Delivery::Published`].
    Send {
        /// Text or binary.
        kind: Kind,
        /// As in [`Publication::headers`].
        headers: Bytes,
        /// The bytes as sent.
        payload: Bytes,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// One more consumer. Answered by [`Delivery::Subscribed`], then [`Delivery::Handed`] with
    /// messages.
    Consume {
        /// Messages that it may have unsettled at one time.
        window: u32,
        /// Names the consumer.
        ticket: Ticket,
    },
    /// What became of messages that a consumer was handed.
    Settle {
        /// The consumer's.
        ticket: Ticket,
        /// Which messages.
        offsets: Vec<u64>,
        /// What became of them.
        verdict: Verdict,
        /// Where [`Delivery::Done`] goes, if somebody waits for it.
        done: Option<Ticket>,
    },
    /// The consumer is gone; what it has not settled goes back to the queue.
    Leave {
        /// The consumer's.
        ticket: Ticket,
        /// Where [`Delivery::Done`] goes, if somebody waits for it.
        done: Option<Ticket>,
    },
}

/// A message of a queue on its way to a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedMessage {
    /// The consumer's.
    pub ticket: Ticket,
    /// The message, with its number in the queue.
    pub publication: Publication,
    /// Whether it has been handed to somebody before.
    pub redelivered: bool,
}

/// What a subscriber may want besides the publications that are to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Of those that have been.
    pub since: Option<Since>,
    /// To be shown to the others as that.
    pub info: Option<Arc<ClientInfo>>,
}

/// What the control thread asks of all shards at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survey {
    /// The channels that have subscribers.
    Channels {
        /// Only those.
        pattern: Option<Glob>,
        /// So many at the most; of more the answer is that they are too many.
        channels_max: usize,
    },
    /// How much there is of everything.
    Counts,
    /// The channels with the most publications since this was asked the last time, and those with the most subscribers.
    Busiest {
        /// So many of each kind.
        channels_max: usize,
    },
    /// How these channels are at this moment.
    Looks(Arc<[ChannelName]>),
    /// Have the connections of a user do something.
    User {
        /// Which of them.
        addressee: Addressee,
        /// What.
        order: Order,
    },
}

/// A shard's answer to a [`Survey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surveyed {
    /// Each channel with its subscriptions on the shard, in no order.
    Channels(Vec<(ChannelName, usize)>),
    /// There are more channels than were asked for, or than one turn looks at.
    TooManyChannels,
    /// How much there is.
    Counts {
        /// Connections, those that are not WebSockets yet included.
        connections: usize,
        /// Subscriptions.
        subscriptions: usize,
        /// Channels with subscribers that the shard owns.
        channels: usize,
        /// The users who have connections there, by what all shards hash their names to; nothing where there are more than
        /// one turn looks at.
        users: Option<Vec<u64>>,
    },
    /// Channels that the shard owns with their publications since the last time, and channels with their subscriptions
    /// on the shard: each of these the most first, and none that is a single user's.
    Busiest {
        /// By publications.
        published: Vec<(ChannelName, u64)>,
        /// By subscriptions.
        subscribed: Vec<(ChannelName, usize)>,
    },
    /// How the channels are.
    Looks {
        /// Who says so.
        shard: usize,
        /// Of each channel, in the order in which they were asked for.
        looks: Vec<Look>,
    },
    /// So many connections have been told.
    Told(usize),
}

/// What one shard knows of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Subscriptions on the shard.
    pub subscribers: usize,
    /// How many of them are those of connections that have a backlog.
    pub behind: usize,
    /// Where the channel stands, if the shard owns it and it is there.
    pub position: Option<Position>,
}

/// What the drivers of all shards are told during a live upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeStep {
    /// Read, accept and wait for nothing more, but finish what is under way.
    Hold {
        /// Whether connections that cannot be saved are to be closed.
        closes_unsaved: bool,
    },
    /// Say whether anything is under way. Answered by [`Delivery::Probed`].
    Probe,
    /// Save all that the shard is. Answered by [`Delivery::Saved`].
    Save,
    /// Go on as if nothing had been.
    Release,
}

/// How far a shard that holds has come to rest. All have when none has anything to do, and together they have
/// taken as much mail as they have sent, twice in a row the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Whether nothing is under way on the shard itself.
    pub at_rest: bool,
    /// Mail sent to other shards since the start.
    pub sent: u64,
    /// Mail taken from other shards since the start.
    pub taken: u64,
}

/// A shard, with its sockets, as bytes that a new process makes the same of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The reactor's and the shard's.
    pub bytes: Bytes,
    /// The descriptors that are named in it.
    pub sockets: Vec<i32>,
    /// Its listening socket.
    pub listener: Option<SavedListener>,
}

/// A listening socket on its way into a new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedListener {
    /// Its descriptor.
    pub fd: i32,
    /// Whether somebody else made it and keeps it open.
    pub given: bool,
    /// Whether other shards accept from the same socket.
    pub shared: bool,
}

/// From anyone to the owner of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// One more subscriber. Answered by [`Delivery::Subscribed`], in order with the channel's
    /// publications: what is delivered after the answer is what the subscriber gets.
    Subscribe {
        /// The channel.
        channel: ChannelName,
        /// Comes back with the answer.
        ticket: Ticket,
        /// What most do not want.
        wishes: Option<Box<Wishes>>,
    },
    /// One of the sending shard's subscribers has left; only where the answer to its subscribe asked for
    /// that, or has not come yet. If it was the last one, [`Request::Leave`] follows.
    Depart {
        /// The channel.
        channel: ChannelName,
        /// As it came with the subscribe.
        ticket: Ticket,
    },
    /// The sending shard has a subscriber to all channels that fit a pattern. It goes to every shard, each of
    /// which answers with [`Delivery::PatternNoted`].
    SubscribePattern {
        /// The pattern.
        pattern: ChannelName,
        /// Comes back with the answers.
        ticket: Ticket,
    },
    /// The sending shard has no subscriber to the pattern any more; to every shard.
    LeavePattern {
        /// The pattern.
        pattern: ChannelName,
    },
    /// The sending shard has no subscriber of the channel any more.
    Leave {
        /// The channel.
        channel: ChannelName,
    },
    /// A message to be numbered and delivered.
    Publish {
        /// The channel.
        channel: ChannelName,
        /// The message.
        draft: Draft,
        /// Where [`Delivery::Published`] goes, if the publisher waits for it.
        ticket: Option<Ticket>,
    },
    /// The same, unless something was published with that key shortly before: then the answer is its place.
    PublishOnce {
        /// The channel.
        channel: ChannelName,
        /// At most [`KEY_BYTES_MAX`](crate::channel::KEY_BYTES_MAX) bytes.
        key: Box<str>,
        /// The message.
        draft: Box<Draft>,
        /// Where [`Delivery::Published`] goes, if the publisher waits for it.
        ticket: Option<Ticket>,
    },
    /// A question about a channel. Answered by [`Delivery::Answered`].
    Ask {
        /// The channel.
        channel: ChannelName,
        /// What about it.
        question: Question,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// To the owner of a queue.
    Queue {
        /// The queue.
        queue: ChannelName,
        /// What about it.
        request: Box<QueueRequest>,
    },
    /// From the control thread: do something with one connection, if it is still there.
    Connection {
        /// The connection's key.
        key: Key,
        /// What to do.
        order: Order,
    },
    /// From the control thread, to every shard. Answered by [`Delivery::Surveyed`].
    Survey {
        /// Comes back with the answer.
        ticket: Ticket,
        /// What it asks.
        survey: Box<Survey>,
    },
    /// From the control thread: close all connections within that many ms.
    Drain {
        /// Over how long the closes are spread, in ms.
        drain_ms: u64,
    },
    /// From the control thread to the driver of every shard: a step of a live upgrade.
    Upgrade(UpgradeStep),
    /// From the control thread: other settings hold from the next turn on. Answered by [`Delivery::Reloaded`] then.
    Reload(Arc<Live>),
}

/// From the owner of a channel to a shard with subscribers, or back to an asker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Answers [`Request::Subscribe`] with the place of the stream that the subscription begins at.
    Subscribed {
        /// As it came with the request.
        ticket: Ticket,
        /// Where it begins, or why it does not.
        result: Result<Begun, Refused>,
        /// Whether the owner wants to hear of this subscription's end ([`Request::Depart`]).
        counted: bool,
    },
    /// Answers [`Request::SubscribePattern`].
    PatternNoted {
        /// As it came with the request.
        ticket: Ticket,
        /// Why it was not noted, if so.
        result: Result<(), Refused>,
    },
    /// A publication for all subscribers on the shard.
    Publication {
        /// The channel, or the pattern that it fits.
        channel: ChannelName,
        /// The message and its number.
        publication: Publication,
    },
    /// Somebody has come or left, for all subscribers on the shard.
    Event {
        /// The channel.
        channel: ChannelName,
        /// Who.
        event: Event,
    },
    /// Answers [`Request::Ask`].
    Answered {
        /// As it came with the request.
        ticket: Ticket,
        /// The answer.
        answer: Box<Answer>,
    },
    /// Answers [`Request::Survey`].
    Surveyed {
        /// As it came with the request.
        ticket: Ticket,
        /// The answer.
        answer: Box<Surveyed>,
    },
    /// Answers [`Request::Publish`].
    Published {
        /// As it came with the request.
        ticket: Ticket,
        /// The place it got, or why it got none.
        result: Result<Position, Refused>,
    },
    /// Answers [`QueueRequest::Settle`] and [`QueueRequest::Leave`].
    Done {
        /// As it came with the request.
        ticket: Ticket,
    },
    /// A message of a queue for one of the shard's consumers.
    Handed(Box<HandedMessage>),
    /// To the other shards at the beginning of a drain: whatever was published before is in the
    /// mailbox before this.
    DrainBegun,
    /// Answers [`Request::Reload`]: those settings hold.
    Reloaded {
        /// [`Live::version`].
        version: u64,
    },
    /// Answers [`UpgradeStep::Probe`].
    Probed(Probed),
    /// Answers [`UpgradeStep::Save`].
    Saved(Box<Saved>),
    /// To the control thread: the shard has closed all its connections and ends.
    Drained,
}
