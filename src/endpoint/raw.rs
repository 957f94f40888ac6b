//! The raw protocol's endpoints: `/sub/{channel}`, `/sub?channel=…&channel=…`, `/pub/{channel}` and
//! `/echo`. The first two are event streams as well.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::credentials::{Bearer, Expiries, Unauthorized};
use super::saved;
use super::since::{since, since_of_several};
use super::{
    Closed, ClosedFor, ConnectionName, Context, Endpoint, Message, Publisher, Request, Route,
    Timeout,
};
use crate::channel::{ChannelName, Refused};
use crate::publication::{Begun, Position, Recovery};
use crate::rules::Identity;
use crate::sse;
use crate::ws::close::CloseCode;
use crate::ws::handshake::{self, Refusal};

/// What a WebSocket is told that was too far behind; at most 123 bytes.
const DROPPED: &str = "too slow: what waited for you has been dropped";

/// What a WebSocket is told whose gap cannot be closed; at most 123 bytes.
const GAP: &str = "what you missed is not kept any more: load the state anew, then subscribe without epoch and offset";

/// What a client is told whose token has expired; at most 123 bytes.
const EXPIRED: &str = "the token has expired: connect again with a new one";

/// What a client is told whose channel is closed to all clients; at most 123 bytes.
const FORBIDDEN: &str = "no client may be subscribed to this channel any more";

/// The routes of the raw protocol; `/echo` only if asked for.
pub fn routes(echo: bool) -> impl Iterator<Item = Route> {
    let always = [
        Route::new("/sub/{*channel}", Subscriber::default).event_stream(),
        Route::new("/sub", Several::default).event_stream(),
        // A catch-all does not match nothing at all, which deserves its own answer.
        Route::new("/sub/", Subscriber::default).event_stream(),
        Route::new("/pub/{*channel}", Publish::default),
        Route::new("/pub/", Publish::default),
    ];
    let echo = echo.then(|| Route::new("/echo", || Echo));
    always.into_iter().chain(echo)
}

/// The number of a connection's first subscription. Others are somebody else's orders, of which the client has not asked
/// where they begin.
const OWN: u32 = 0;

/// `/sub/{channel}`: gets the channel's publications. What it says is checked and left alone.
#[derive(Default)]
struct Subscriber {
    expiries: Expiries,
}

impl Endpoint for Subscriber {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let channel = channel(request)?;
        let bearer = Bearer::of(request, context)?;
        bearer.may_subscribe(&channel, context)?;
        context.subscribe_alone(channel, since(request)?);
        self.expiries.admit(bearer, context);
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn subscribed(
        &mut self,
        (): &mut (),
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        if subscription == OWN {
            begin(result, context);
        }
    }

    fn fallen_behind(&mut self, (): &mut (), _: u32, last: Position, context: &mut Context<'_>) {
        tell_of_dropped(last, context);
    }

    fn forbidden(&mut self, (): &mut (), subscription: u32, context: &mut Context<'_>) {
        if subscription == OWN {
            close_forbidden(context);
        }
    }

    fn timeout(&mut self, (): &mut (), _: Timeout, context: &mut Context<'_>) {
        close_if_expired(&self.expiries, context);
    }

    fn save(&self, name: ConnectionName, (): &()) -> Option<Vec<u8>> {
        saved::save(&self.expiries.of(name))
    }

    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<()> {
        self.expiries.restore(name, saved::restore(saved)?);
        Some(())
    }

    fn close(&mut self, (): (), _: &Closed<'_>, publisher: &mut Publisher<'_>) {
        self.expiries.forget(publisher.name());
    }
}

/// `/sub?channel=a&channel=b`: gets the publications of all of them. Which one a publication is of
/// is for the payload to say.
#[derive(Default)]
struct Several {
    expiries: Expiries,
}

/// How many channels a connection has.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Channels {
    One,
    Several {
        /// So many.
        count: u32,
        /// Those whose owners have not answered yet.
        left: u32,
        /// Whether the client of an event stream has been here before.
        returns: bool,
    },
}

impl Endpoint for Several {
    type State = Channels;

    fn open(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Channels, Refusal> {
        let channels = channels(request)?;
        let Some(first) = channels.first() else {
            let help = "name channels: /sub?channel=a&channel=b, or one: /sub/a";
            return Err(Refusal::new(400, help));
        };
        let bearer = Bearer::of(request, context)?;
        for channel in &channels {
            bearer.may_subscribe(channel, context)?;
        }
        if channels.iter().all(|channel| channel == first) {
            context.subscribe_alone(first.clone(), since(request)?);
            self.expiries.admit(bearer, context);
            return Ok(Channels::One);
        }
        let returns = since_of_several(request)?;
        let mut count = 0;
        let mut seen = HashSet::new();
        for channel in &channels {
            if seen.insert(channel) {
                context.subscribe(channel.clone());
                count += 1;
            }
        }
        self.expiries.admit(bearer, context);
        Ok(Channels::Several {
            count,
            left: count,
            returns,
        })
    }

    fn message(&mut self, _: &mut Channels, _: Message<'_>, _: &mut Context<'_>) {}

    fn subscribed(
        &mut self,
        channels: &mut Channels,
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        match (channels, result) {
            (Channels::One, result) if subscription == OWN => begin(result, context),
            (Channels::One, _) => {}
            (Channels::Several { count, .. }, _) if subscription >= *count => {}
            (_, Err(refused)) => context.close(CloseCode::TRY_AGAIN_LATER, refused.to_string()),
            (Channels::Several { left, returns, .. }, Ok(_)) => {
                *left = left.saturating_sub(1);
                // No position could speak for all of them, but a browser says that it was here before.
                match (*left, *returns) {
                    (0, true) => context.send_blocks(|out| sse::put_gap(out, sse::NOWHERE)),
                    (0, false) => context.send_blocks(|out| sse::put_position(out, sse::NOWHERE)),
                    _ => {}
                }
            }
        }
    }

    fn fallen_behind(
        &mut self,
        channels: &mut Channels,
        _: u32,
        last: Position,
        context: &mut Context<'_>,
    ) {
        let place = match channels {
            Channels::One => last,
            Channels::Several { .. } => sse::NOWHERE,
        };
        tell_of_dropped(place, context);
    }

    fn forbidden(&mut self, channels: &mut Channels, subscription: u32, context: &mut Context<'_>) {
        let count = match channels {
            Channels::One => OWN + 1,
            Channels::Several { count, .. } => *count,
        };
        if subscription < count {
            close_forbidden(context);
        }
    }

    fn timeout(&mut self, _: &mut Channels, _: Timeout, context: &mut Context<'_>) {
        close_if_expired(&self.expiries, context);
    }

    fn save(&self, name: ConnectionName, state: &Channels) -> Option<Vec<u8>> {
        saved::save(&(state, self.expiries.of(name)))
    }

    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<Channels> {
        let (state, ends_at_ms) = saved::restore(saved)?;
        self.expiries.restore(name, ends_at_ms);
        Some(state)
    }

    fn close(&mut self, _: Channels, _: &Closed<'_>, publisher: &mut Publisher<'_>) {
        self.expiries.forget(publisher.name());
    }
}

/// Closes a connection whose token has expired.
fn close_if_expired(expiries: &Expiries, context: &mut Context<'_>) {
    if expiries.have_come(context) {
        context.note_closed(ClosedFor::TokenExpired);
        // A browser would come again with the same token; its page hears why that will be in vain.
        context.send_blocks(|out| sse::put_expired(out, EXPIRED));
        context.close(CloseCode::TOKEN_EXPIRED, EXPIRED);
    }
}

/// Closes a connection that is not to hear its channel any more. An event stream just ends: when its client comes again, it is
/// answered with 403.
fn close_forbidden(context: &mut Context<'_>) {
    context.note_closed(ClosedFor::Unauthorized);
    context.close(CloseCode::POLICY, FORBIDDEN);
}

/// Tells the client that it has missed what came up to that place. A WebSocket can be told nothing: it is closed.
fn tell_of_dropped(last: Position, context: &mut Context<'_>) {
    if context.is_event_stream() {
        context.send_blocks(|out| sse::put_gap(out, last));
    } else {
        context.close(CloseCode::TRY_AGAIN_LATER, DROPPED);
    }
}

/// Tells the client how its subscription to its only channel has begun.
fn begin(result: Result<Begun, Refused>, context: &mut Context<'_>) {
    let begun = match result {
        Ok(begun) => begun,
        Err(refused) => return context.close(CloseCode::TRY_AGAIN_LATER, refused.to_string()),
    };
    let position = begun.position;
    let is_gap = begun.recovery == Recovery::Gap;
    if is_gap && !context.is_event_stream() {
        context.close(CloseCode::GAP, GAP);
    } else if is_gap {
        context.send_blocks(|out| sse::put_gap(out, position));
    } else if begun
        .recovery
        .missed()
        .is_none_or(|missed| missed.is_empty())
    {
        // A client that is cut off before the first publication knows from where on it has missed something. Where
        // it is sent what it has missed, that says where it stands; this would be ahead of it.
        context.send_blocks(|out| sse::put_position(out, position));
    }
}

/// `/pub/{channel}`: every message is published.
#[derive(Default)]
struct Publish {
    expiries: Expiries,
}

/// Who publishes where.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Publishing {
    channel: ChannelName,
    identity: Identity,
}

impl Endpoint for Publish {
    type State = Publishing;

    fn open(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Publishing, Refusal> {
        let channel = channel(request)?;
        let bearer = Bearer::of(request, context)?;
        let may_publish = context.rules().may_publish(&channel, bearer.identity());
        may_publish.map_err(Unauthorized::Denied)?;
        let identity = self.expiries.admit(bearer, context);
        Ok(Publishing { channel, identity })
    }

    fn message(
        &mut self,
        Publishing { channel, identity }: &mut Publishing,
        message: Message<'_>,
        context: &mut Context<'_>,
    ) {
        // The rules may be others by now.
        match context.rules().may_publish(channel, identity) {
            Ok(()) => context.publish(channel, message),
            Err(denied) => {
                context.note_closed(ClosedFor::Unauthorized);
                context.close(CloseCode::POLICY, denied.to_string());
            }
        }
    }

    fn timeout(&mut self, _: &mut Publishing, _: Timeout, context: &mut Context<'_>) {
        close_if_expired(&self.expiries, context);
    }

    fn save(&self, name: ConnectionName, state: &Publishing) -> Option<Vec<u8>> {
        saved::save(&(state, self.expiries.of(name)))
    }

    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<Publishing> {
        let (state, ends_at_ms) = saved::restore(saved)?;
        self.expiries.restore(name, ends_at_ms);
        Some(state)
    }

    fn close(&mut self, _: Publishing, _: &Closed<'_>, publisher: &mut Publisher<'_>) {
        self.expiries.forget(publisher.name());
    }
}

/// `/echo`: every message comes back.
struct Echo;

impl Endpoint for Echo {
    type State = ();

    fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.send(message);
    }

    fn save(&self, _: ConnectionName, (): &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<()> {
        saved.is_empty().then_some(())
    }
}

/// The channel that the rest of the path names; a slash may stand in it as it is.
fn channel(request: &Request<'_>) -> Result<ChannelName, Refusal> {
    Ok(ChannelName::parse(
        request.parameter("channel").unwrap_or_default(),
    )?)
}

/// The channels that a query names.
fn channels(request: &Request<'_>) -> Result<Vec<ChannelName>, Refusal> {
    let pairs = request.query().unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.strip_prefix("channel="))
        .map(|encoded| Ok(ChannelName::parse(&handshake::percent_decode(encoded)?)?))
        .collect()
}
