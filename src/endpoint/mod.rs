//! What happens on a connection once it is a WebSocket or an event stream: endpoints, the built-in ones and those of
//! programs that embed the server.
//!
//! An [`Endpoint`] has four callbacks: open, message, close and error. A [`Route`] says at which
//! paths it is found, which pages may connect to it, and what is looked at before. Every shard
//! has an instance of its own, made by a factory on the shard's thread; so nothing in an endpoint
//! or in the state of its connections needs to be `Send`, and nothing needs a lock.
//!
//! A callback runs on the shard's thread and must not block: every other connection of the shard
//! waits for it. What takes long belongs on a thread of its own, which then speaks to connections
//! and channels through the server's handle.

#![forbid(unsafe_code)]

pub mod centrifuge;
mod closed;
mod command;
mod context;
mod credentials;
mod erased;
pub(crate) mod event_stream;
mod message;
mod order;
mod page;
pub mod raw;
mod request;
mod route;
mod saved;
mod since;
pub mod stomp;

pub use closed::{Closed, Error, Side};
pub use command::{ClosedFor, Command, ConnectionName, Heartbeat, Subscribe, Timeout, Via, Which};
pub use context::{Context, Publisher};
pub(crate) use context::{Sight, Transport};
pub use erased::Endpoints;
pub(crate) use erased::{Erased, State};
pub use message::{Message, Payload};
pub use order::{Addressee, Order, OrderedSubscription};
pub use page::Page;
pub use request::{Attributes, Request};
pub use route::{Destination, Found, Opening, Route, RouteError, Routes};

use crate::channel::{Answer, Refused};
use crate::config::Config;
use crate::publication::{Begun, Position, Publication};
use crate::ws::close::CloseCode;
use crate::ws::handshake::Refusal;

/// The line for paths that lead nowhere, where the server's own protocols are served.
pub const NOT_FOUND: &str = "there is nothing at this path: subscribe at /sub/{channel}, publish at /pub/{channel}, \
                             speak STOMP at /stomp, Centrifugo's protocol at /connection/websocket";

/// The routes of the server's own protocols.
pub fn protocols(config: &Config) -> impl Iterator<Item = Route> {
    raw::routes(config.echo)
        .chain(stomp::routes(config))
        .chain(centrifuge::routes(config))
}

/// What connections at a path do.
///
/// ```
/// use pushring::endpoint::{Closed, Context, Endpoint, Message, Publisher, Request};
/// use pushring::channel::ChannelName;
/// use pushring::ws::handshake::Refusal;
///
/// /// Whoever is in a room gets what is said in it.
/// struct Room;
///
/// impl Endpoint for Room {
///     type State = ChannelName;
///
///     fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<ChannelName, Refusal> {
///         let room = ChannelName::parse(request.parameter("room").unwrap_or_default())?;
///         context.subscribe(room.clone());
///         context.send_text("welcome");
///         Ok(room)
///     }
///
///     fn message(&mut self, room: &mut ChannelName, message: Message<'_>, context: &mut Context<'_>) {
///         context.publish(room, message);
///     }
///
///     fn close(&mut self, room: ChannelName, _: &Closed<'_>, publisher: &mut Publisher<'_>) {
///         publisher.publish(&room, "somebody has left");
///     }
/// }
/// ```
pub trait Endpoint: 'static {
    /// What is kept for each connection while it is open. A type without size costs nothing.
    type State: 'static;

    /// The handshake is in order: lets the connection in, or refuses it with an HTTP status.
    ///
    /// What is sent from here reaches the client right behind the handshake's answer.
    ///
    /// # Errors
    /// The refusal that the client is answered with; nothing that the context was told counts
    /// then, and no other callback is called for the connection.
    fn open(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Self::State, Refusal>;

    /// The client has sent a whole message.
    fn message(&mut self, state: &mut Self::State, message: Message<'_>, context: &mut Context<'_>);

    /// A subscription of the connection has begun: what is published after that place of the
    /// channel's stream comes to it, behind what is sent from here; before that what it has missed, if
    /// it has asked for that. Or it has not, because the channel's owner keeps as many channels as it
    /// may, or the channel has as many subscribers; then the connection is closed unless the endpoint
    /// does something else.
    ///
    /// `subscription` is what [`Context::subscribe`] returned.
    fn subscribed(
        &mut self,
        state: &mut Self::State,
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        let _ = (state, subscription);
        if let Err(refused) = result {
            context.close(CloseCode::TRY_AGAIN_LATER, refused.to_string());
        }
    }

    /// A message got its place in its channel's stream, or was refused. Called once for each
    /// [`Context::publish_confirmed`], whose return value is `ticket`, while the connection lives.
    fn published(
        &mut self,
        state: &mut Self::State,
        ticket: u32,
        result: Result<Position, Refused>,
        context: &mut Context<'_>,
    ) {
        let _ = (state, ticket, result, context);
    }

    /// The connection was behind by more than its backlog may hold, and its channel's namespace has
    /// `slow_consumer = "drop_oldest"`: what waited of that subscription has been dropped, up to that place of the
    /// stream. What is sent from here stands where that was. Unless the endpoint does something else, the
    /// connection is closed.
    fn fallen_behind(
        &mut self,
        state: &mut Self::State,
        subscription: u32,
        last: Position,
        context: &mut Context<'_>,
    ) {
        let _ = (state, subscription, last);
        let reason = "too slow: what waited for you has been dropped";
        context.close(CloseCode::TRY_AGAIN_LATER, reason);
    }

    /// The owner of a channel has answered: called once for each [`Context::ask`], whose return value is
    /// `ticket`, while the connection lives.
    fn answered(
        &mut self,
        state: &mut Self::State,
        ticket: u32,
        answer: Answer,
        context: &mut Context<'_>,
    ) {
        let _ = (state, ticket, answer, context);
    }

    /// What the connection has asked for has been done: called once for each
    /// [`Context::settle_confirmed`] and [`Context::end_subscription_confirmed`], whose return value is
    /// `ticket`, while the connection lives.
    fn done(&mut self, state: &mut Self::State, ticket: u32, context: &mut Context<'_>) {
        let _ = (state, ticket, context);
    }

    /// Something has come on a subscription that hands its publications over: of
    /// [`Context::subscribe_handed`], or of [`Context::consume`], whose messages want to be settled.
    ///
    /// `redelivered` says that a queue has handed it to somebody before.
    fn publication(
        &mut self,
        state: &mut Self::State,
        subscription: u32,
        publication: &Publication,
        redelivered: bool,
        context: &mut Context<'_>,
    ) {
        let _ = (state, subscription, publication, redelivered, context);
    }

    /// Somebody outside of the callbacks orders something to be done with the connection: the server's
    /// handle, or the HTTP API. [`Context::obey`] does it in the plain way, which is right for all endpoints
    /// whose clients know nothing but messages; others tell their clients in their own protocol.
    fn ordered(&mut self, state: &mut Self::State, order: Order, context: &mut Context<'_>) {
        if let Order::Close { code, reason } = &order {
            self.farewell(state, *code, reason, context);
        }
        context.obey(order);
    }

    /// After a reload no client may subscribe any more to the channel of that subscription (`subscribe = "nobody"`). The built-in
    /// protocols end it, unless the server has begun it; what other endpoints subscribe their connections to is their own
    /// business, so nothing happens here.
    fn forbidden(&mut self, state: &mut Self::State, subscription: u32, context: &mut Context<'_>) {
        let _ = (state, subscription, context);
    }

    /// Time has passed, as [`Context::set_heartbeat`] or [`Context::set_deadline`] asked for.
    fn timeout(&mut self, state: &mut Self::State, timeout: Timeout, context: &mut Context<'_>) {
        let _ = (state, timeout, context);
    }

    /// The server closes the connection with that code, because of a limit, a broken frame, an order or its
    /// own end: the last chance to say something in the endpoint's protocol, also by a code and a reason of
    /// its own with [`Context::close`]. Not called when an endpoint has asked for the close itself, nor when
    /// nothing can be sent any more.
    fn farewell(
        &mut self,
        state: &mut Self::State,
        code: CloseCode,
        reason: &str,
        context: &mut Context<'_>,
    ) {
        let _ = (state, code, reason, context);
    }

    /// The server's settings have changed while it runs; [`Context::rules`] says from now on what they say. For endpoints that
    /// keep something of the configuration.
    fn reloaded(&mut self, config: &Config) {
        let _ = config;
    }

    /// What [`Endpoint::restore`] makes the state of again when a new version of the program has taken the server over in place
    /// (a live upgrade). `None`, the default: the connection does not outlive the upgrade, and is closed with code 1012
    /// before it. Nothing else of the endpoint is carried over: what it keeps for all its connections is made anew by its
    /// factory, so what it keeps of this one, by its name, belongs into what is saved of it.
    ///
    /// The bytes are the endpoint's own affair; they are read by a later version of it, which is why a format that can
    /// be told from others is worth having. An endpoint without state saves `Some(Vec::new())`. One whose state is a name:
    ///
    /// ```
    /// # use pushring::endpoint::{ConnectionName, Context, Endpoint, Message, Request};
    /// # use pushring::ws::handshake::Refusal;
    /// struct Named;
    ///
    /// impl Endpoint for Named {
    ///     type State = String;
    ///
    ///     fn save(&self, _: ConnectionName, user: &String) -> Option<Vec<u8>> {
    ///         Some(user.clone().into_bytes())
    ///     }
    ///
    ///     fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<String> {
    ///         String::from_utf8(saved.to_vec()).ok()
    ///     }
    /// #
    /// #   fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<String, Refusal> { Ok(String::new()) }
    /// #   fn message(&mut self, _: &mut String, _: Message<'_>, _: &mut Context<'_>) {}
    ///     // open, message and the others
    /// }
    /// ```
    fn save(&self, name: ConnectionName, state: &Self::State) -> Option<Vec<u8>> {
        let _ = (name, state);
        None
    }

    /// The state of a connection that [`Endpoint::save`] of an earlier version has saved. Its name, its subscriptions, timers
    /// and place in all channels are as they were; nothing is sent, and no other callback is called for it. `None`: the bytes
    /// are not understood; then the upgrade is refused before it has begun.
    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<Self::State> {
        let _ = (name, saved);
        None
    }

    /// The connection is over. Called exactly once for each that was opened, whichever way it
    /// ends; the state is given back.
    fn close(&mut self, state: Self::State, closed: &Closed<'_>, publisher: &mut Publisher<'_>) {
        let _ = (state, closed, publisher);
    }

    /// The connection ends because something went wrong; [`Endpoint::close`] follows.
    fn error(&mut self, state: &mut Self::State, error: &Error, publisher: &mut Publisher<'_>) {
        let _ = (state, error, publisher);
    }
}
