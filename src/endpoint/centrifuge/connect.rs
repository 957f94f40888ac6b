//! The connect command: who the client is, and what the server subscribes it to.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::connected::{Connected, refused};
use super::fault::Fault;
use super::identity::{self, Named, Proven};
use super::rights::{self, Granted};
use super::subscribing::{Begins, since};
use super::timing::ttl_s;
use super::{Settings, Stage, Work};
use crate::centrifuge::command::{Connect, Subscribe};
use crate::centrifuge::encode::{self, Subscribed};
use crate::centrifuge::{Disconnect, ErrorReply};
use crate::channel::{Answer, ChannelName, Question, Refused};
use crate::publication::{Begun, Position, Since};

/// As what the server introduces itself.
pub const SERVER: &str = concat!("pushring ", env!("CARGO_PKG_VERSION"));

/// A client whose connect command will be replied to when it is known where it stands in the channels that the server subscribes it
/// to: the reply says that, and what the client is to get of those channels must not come in front of it.
///
/// - Of a channel that keeps a history the owner is asked where it stands, and the subscription begins behind the reply, at the
///   place that was told.
/// - One to a channel that gives its newest publication to newcomers begins behind the reply, too.
/// - All others begin at once, and the reply waits until they have: what is published behind it comes.
#[derive(Serialize, Deserialize)]
pub struct Connecting {
    id: u32,
    pub(super) connected: Connected,
    channels: Vec<Promise>,
    /// What the client has said meanwhile.
    said: Vec<u8>,
}

/// A channel that the server subscribes the client to.
#[derive(Serialize, Deserialize)]
struct Promise {
    channel: ChannelName,
    /// What it is to begin with; `None` when it has been asked for.
    granted: Option<Granted>,
    /// What is waited for: the answer where it stands, or its beginning.
    ticket: Option<u32>,
    /// Where the client stands; `None` in a channel that keeps nothing.
    position: Option<Position>,
    /// Where it stood before, and whether it gets what it has missed since.
    missed: Option<(Since, bool)>,
    /// What the client is told about the subscription: JSON, or nothing.
    data: Bytes,
}

/// A client's first command.
pub fn connect(
    id: u32,
    asked: &Connect<'_>,
    token: Option<&str>,
    work: &mut Work<'_, '_>,
) -> Result<Stage, Fault> {
    let token = match &*asked.token {
        "" => token,
        token => Some(token),
    };
    let Proven {
        identity,
        info,
        expires_at_ms,
        channels,
    } = identity::prove(token, work)?;
    if channels.len() > work.settings.subscriptions_max {
        return Err(Disconnect::CHANNEL_LIMIT.into());
    }
    let connected = Connected::new(identity, info, expires_at_ms);
    let mut connecting = Connecting {
        id,
        connected,
        channels: Vec::new(),
        said: Vec::new(),
    };
    for named in channels {
        let asked = asked.subs.get(named.channel.as_str());
        connecting.promise(named, asked, work);
    }
    if connecting.is_complete() {
        let (connected, _) = connecting.finish(work);
        return Ok(Stage::Connected(connected));
    }
    Ok(Stage::Connecting(Box::new(connecting)))
}

impl Connecting {
    /// Of the connect command.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Keeps a command for later.
    pub fn put_off(&mut self, line: &[u8], settings: &Settings) -> Result<(), Fault> {
        if self.said.len() + line.len() > settings.message_bytes_max {
            let detail = "too much is said before the connect command is replied to";
            return Err(Fault::bad_request(detail));
        }
        self.said.extend_from_slice(line);
        self.said.push(b'\n');
        Ok(())
    }

    /// A channel's owner has said where it stands. An error is the reply to the connect command.
    pub fn answered(&mut self, ticket: u32, answer: Answer) -> Result<(), ErrorReply> {
        if let Some(promise) = self.take_awaited(ticket) {
            match answer {
                Answer::History {
                    position,
                    publications,
                } => {
                    let first = publications.first().map(|first| first.position.offset);
                    promise.stands_at(position, first);
                }
                Answer::Unrecoverable(position) => promise.stands_at(position, None),
                Answer::Refused(error) => return Err(refused(error)),
                // It keeps nothing.
                Answer::NotKept
                | Answer::Removed
                | Answer::Presence(_)
                | Answer::PresenceStats { .. } => promise.missed = None,
            }
        }
        Ok(())
    }

    /// A subscription has begun, or was refused. An error is the reply to the connect command.
    pub fn subscribed(
        &mut self,
        number: u32,
        result: Result<Begun, Refused>,
    ) -> Result<(), ErrorReply> {
        if self.take_awaited(number).is_some() {
            result.map_err(refused)?;
            // Nobody is told but by the reply.
            self.connected.take_waiting(number);
        }
        Ok(())
    }

    /// Whether nothing is waited for any more.
    pub fn is_complete(&self) -> bool {
        self.channels.iter().all(|promise| promise.ticket.is_none())
    }

    /// Replies, and begins the subscriptions that have not begun; what the client has said meanwhile is returned.
    pub fn finish(self, work: &mut Work<'_, '_>) -> (Connected, Vec<u8>) {
        let Self {
            id,
            mut connected,
            channels,
            said,
        } = self;
        let client = work.context.name().to_string();
        let told = encode::Connected {
            client: &client,
            version: SERVER,
            ttl_s: ttl_s(connected.times.expires_at_ms(), work.context.unix_ms()),
            ping_s: work.settings.ping_s(),
        };
        work.say(|out| {
            let subs = channels.iter().map(Promise::told);
            encode::put_connected(out, id, &told, subs);
        });
        if let Some(user) = connected.identity.name() {
            work.context.identify(user, &client);
        }
        connected.start(work);
        for promise in channels {
            let Promise {
                channel,
                granted: Some(granted),
                position,
                ..
            } = promise
            else {
                continue;
            };
            let since = position.map(Since::Position);
            connected.begin(channel, granted, since, Begins::Promised(position), work);
        }
        (connected, said)
    }

    fn promise(
        &mut self,
        Named {
            channel,
            info,
            data,
        }: Named,
        asked: Option<&Subscribe<'_>>,
        work: &mut Work<'_, '_>,
    ) {
        let recoverable = rights::is_recoverable(&channel, work);
        let missed = asked
            .filter(|asked| asked.recover.0 && recoverable)
            .map(|asked| since(asked.offset.0, &asked.epoch));
        // The first publication shows whether all behind that place are there.
        let question = Question::History {
            since: match missed {
                Some(Since::Position(position)) => Some(position),
                Some(Since::Offset(_) | Since::Newest) | None => None,
            },
            limit: Some(1),
            reverse: false,
        };
        let mut granted = Some(Granted {
            info,
            ..Granted::default()
        });
        let ticket = if recoverable {
            Some(work.context.ask(channel.clone(), question))
        } else if rights::gives_newest(&channel, work) {
            None
        } else {
            granted.take().map(|granted| {
                let begins = Begins::Promised(None);
                (self.connected).begin(channel.clone(), granted, None, begins, work)
            })
        };
        self.channels.push(Promise {
            channel,
            granted,
            ticket,
            position: None,
            missed: missed.map(|missed| (missed, false)),
            data,
        });
    }

    fn take_awaited(&mut self, ticket: u32) -> Option<&mut Promise> {
        let awaited = |promise: &&mut Promise| promise.ticket == Some(ticket);
        let promise = self.channels.iter_mut().find(awaited)?;
        promise.ticket = None;
        Some(promise)
    }
}

impl Promise {
    /// The stream stands there; `first` is the offset of the first publication behind the place where the client
    /// was, or of the first that is kept.
    fn stands_at(&mut self, position: Position, first: Option<u64>) {
        self.position = Some(position);
        let Some((missed, recovered)) = &mut self.missed else {
            return;
        };
        let offset = match *missed {
            Since::Position(place) if place.epoch == position.epoch => place.offset,
            Since::Offset(offset) => offset,
            Since::Position(_) | Since::Newest => return,
        };
        let is_next = |first: u64| first <= offset.saturating_add(1);
        if offset == position.offset || (offset < position.offset && first.is_some_and(is_next)) {
            *recovered = true;
            self.position = Some(Position { offset, ..position });
        }
    }

    fn told(&self) -> (&str, Subscribed<'_>) {
        let subscribed = Subscribed {
            ttl_s: None,
            position: self.position,
            recovered: self.missed.map(|(_, recovered)| recovered),
            data: &self.data,
        };
        (self.channel.as_str(), subscribed)
    }
}
