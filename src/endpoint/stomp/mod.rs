//! The STOMP endpoints, `/stomp` and `/ws`: STOMP 1.0, 1.1 and 1.2 over WebSocket.
//!
//! A client's bytes become frames in [`Reader`]; `connect` agrees on a version and on heart-beats,
//! `Connected` does what the frames of a connected client ask for. Subscriptions that
//! acknowledge nothing are lanes, and cost what those of the raw protocol cost: their MESSAGE frames are
//! the same for all with the same subscription id. The others are handed each publication and are kept to
//! a window of unacknowledged messages.
//!
//! What a client does wrong is answered with an ERROR frame that says what and where, then close 1002.

mod acknowledge;
mod connect;
mod connected;
mod destination;
mod error;
mod forms;
mod rights;
mod saved;
mod settings;
mod subscribe;
mod subscription;
mod transaction;

use std::sync::Arc;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::credentials::token_of;
use super::{ConnectionName, Context, Endpoint, Message, Order, Request, Route, Timeout};
use crate::channel::Refused;
use crate::config::Config;
use crate::publication::{Begun, Position, Publication};
use crate::stomp::{self, Item, Reader, Version};
use crate::ws::close::CloseCode;
use crate::ws::handshake::{Preference, Refusal};
use connected::Connected;
use error::ErrorReply;
use forms::Forms;
use settings::Settings;

/// The routes of STOMP: `/stomp`, and `/ws` as clients of other servers know it.
pub fn routes(config: &Config) -> impl Iterator<Item = Route> {
    let settings = Arc::new(Settings::new(config));
    ["/stomp", "/ws"].into_iter().map(move |path| {
        let settings = settings.clone();
        let message_bytes_max = settings.message_bytes_max();
        Route::new(path, move || Stomp::new(settings.clone()))
            .message_bytes_max(message_bytes_max)
            .message_bytes_max_of(|config| Settings::new(config).message_bytes_max())
            .subprotocols(Version::SUBPROTOCOLS)
            .preference(Preference::Server)
    })
}

/// A shard's instance.
struct Stomp {
    settings: Arc<Settings>,
    /// Frames are put together here.
    scratch: BytesMut,
    forms: Forms,
}

/// A connection's state.
struct Client {
    reader: Reader,
    stage: Stage,
}

#[derive(Serialize, Deserialize)]
enum Stage {
    /// CONNECT is awaited. A token may have come with the handshake.
    Connecting(Option<Box<Presented>>),
    Connected(Box<Connected>),
    /// The last frame has been sent.
    Over,
}

/// A token.
#[derive(Serialize, Deserialize)]
struct Presented(Box<str>);

impl Client {
    fn version(&self) -> Option<Version> {
        match &self.stage {
            Stage::Connected(connected) => Some(connected.version()),
            Stage::Connecting(_) | Stage::Over => None,
        }
    }
}

/// What the parts of the endpoint work with while a callback runs.
struct Work<'a, 'c> {
    settings: &'a Settings,
    scratch: &'a mut BytesMut,
    forms: &'a mut Forms,
    context: &'a mut Context<'c>,
}

impl Stomp {
    fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            scratch: BytesMut::new(),
            forms: Forms::default(),
        }
    }

    /// Answers what a client did wrong, or what cannot be done for it, and closes the connection.
    fn refuse(&mut self, client: &mut Client, error: &ErrorReply, context: &mut Context<'_>) {
        if let Some(why) = error.counted {
            context.note_closed(why);
        }
        self.say_error(client, error, context);
        context.close(error.code, error.message.clone());
    }

    fn say_error(&mut self, client: &mut Client, error: &ErrorReply, context: &mut Context<'_>) {
        self.scratch.clear();
        error.put(&mut self.scratch, client.version());
        context.send_kind(crate::publication::Kind::Text, &self.scratch);
        client.stage = Stage::Over;
    }

    /// Lets a connected client's part do something, and answers what goes wrong.
    fn with_connected(
        &mut self,
        client: &mut Client,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Connected, &mut Work<'_, '_>) -> Result<(), ErrorReply>,
    ) {
        let Stage::Connected(connected) = &mut client.stage else {
            return;
        };
        let mut around = Work {
            settings: &self.settings,
            scratch: &mut self.scratch,
            forms: &mut self.forms,
            context,
        };
        let done = work(connected, &mut around);
        if let Err(error) = done {
            self.refuse(client, &error, context);
        }
    }
}

impl Endpoint for Stomp {
    type State = Client;

    fn open(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Client, Refusal> {
        let token = token_of(request, context.rules())?;
        context.set_deadline(Some(self.settings.connect_ms));
        Ok(Client {
            reader: Reader::new(),
            stage: Stage::Connecting(token.map(|token| Box::new(Presented(token.into())))),
        })
    }

    fn message(&mut self, client: &mut Client, message: Message<'_>, context: &mut Context<'_>) {
        let mut input = message.as_bytes();
        while !input.is_empty() && !matches!(client.stage, Stage::Over) {
            let version = client.version();
            let Client { reader, stage } = client;
            let done = match reader.read(input, &self.settings.limits, version) {
                Err(mut error) => {
                    // The head's other lines say more, as far as they are there.
                    error.receipt = error
                        .receipt
                        .or_else(|| stomp::find_receipt(input, version));
                    Err(ErrorReply::frame(error))
                }
                Ok((consumed, item)) => {
                    input = &input[consumed..];
                    let mut work = Work {
                        settings: &self.settings,
                        scratch: &mut self.scratch,
                        forms: &mut self.forms,
                        context,
                    };
                    match (item, &mut *stage) {
                        (None | Some(Item::HeartBeat), _) | (_, Stage::Over) => Ok(()),
                        (Some(Item::Frame(frame)), Stage::Connecting(token)) => {
                            let token = token.as_ref().map(|token| &*token.0);
                            connect::connect(&frame, token, &mut work).map(|connected| {
                                *stage = Stage::Connected(Box::new(connected));
                            })
                        }
                        (Some(Item::Frame(frame)), Stage::Connected(connected)) => {
                            let done = connected.handle(&frame, &mut work);
                            if connected.has_left() {
                                *stage = Stage::Over;
                            }
                            done
                        }
                    }
                }
            };
            if let Err(error) = done {
                self.refuse(client, &error, context);
            }
        }
    }

    fn subscribed(
        &mut self,
        client: &mut Client,
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        self.with_connected(client, context, |connected, work| {
            connected.subscribed(subscription, result, work)
        });
    }

    fn fallen_behind(
        &mut self,
        client: &mut Client,
        subscription: u32,
        last: Position,
        context: &mut Context<'_>,
    ) {
        self.with_connected(client, context, |connected, work| {
            connected.put_gap(subscription, last, work);
            Ok(())
        });
    }

    fn forbidden(&mut self, client: &mut Client, subscription: u32, context: &mut Context<'_>) {
        self.with_connected(client, context, |connected, _| {
            connected.end_forbidden(subscription)
        });
    }

    fn published(
        &mut self,
        client: &mut Client,
        ticket: u32,
        result: Result<Position, Refused>,
        context: &mut Context<'_>,
    ) {
        self.with_connected(client, context, |connected, work| {
            connected.published(ticket, result, work)
        });
    }

    fn done(&mut self, client: &mut Client, ticket: u32, context: &mut Context<'_>) {
        self.with_connected(client, context, |connected, work| {
            connected.done(ticket, work);
            Ok(())
        });
    }

    fn publication(
        &mut self,
        client: &mut Client,
        subscription: u32,
        publication: &Publication,
        redelivered: bool,
        context: &mut Context<'_>,
    ) {
        self.with_connected(client, context, |connected, work| {
            connected.publication(subscription, publication, redelivered, work)
        });
    }

    /// A client that has no name for a subscription cannot be given one, and one whose subscription ends
    /// without its doing is told so by an ERROR, which is the only frame of STOMP's that says it.
    fn ordered(&mut self, client: &mut Client, order: Order, context: &mut Context<'_>) {
        match order {
            Order::Subscribe(_) => {}
            Order::Unsubscribe(channel) => {
                self.with_connected(client, context, |connected, _| {
                    connected.end_topic(channel.as_ref())
                });
            }
            Order::Close { code, reason } => {
                self.farewell(client, code, &reason, context);
                context.close(code, reason);
            }
            Order::Send(_) => context.obey(order),
        }
    }

    fn timeout(&mut self, client: &mut Client, timeout: Timeout, context: &mut Context<'_>) {
        match (timeout, &client.stage) {
            (Timeout::Beat, Stage::Connected(_)) => context.send_text("\n"),
            (Timeout::Silence, Stage::Connected(connected)) => {
                let error = ErrorReply::silent(connected.silence_ms());
                self.refuse(client, &error, context);
            }
            (Timeout::Deadline, Stage::Connected(_)) => {
                self.with_connected(client, context, |connected, work| {
                    connected.check_expiry(work)
                });
            }
            (Timeout::Deadline, Stage::Connecting(_)) => {
                let error = ErrorReply::late(self.settings.connect_ms);
                self.refuse(client, &error, context);
            }
            _ => {}
        }
    }

    /// Connections that are there already keep what they have agreed on.
    fn reloaded(&mut self, config: &Config) {
        self.settings = Arc::new(Settings::new(config));
    }

    fn save(&self, _: ConnectionName, client: &Client) -> Option<Vec<u8>> {
        saved::save(client)
    }

    fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<Client> {
        saved::restore(saved, &mut self.forms)
    }

    fn farewell(
        &mut self,
        client: &mut Client,
        code: CloseCode,
        reason: &str,
        context: &mut Context<'_>,
    ) {
        if !matches!(client.stage, Stage::Over) {
            self.say_error(client, &ErrorReply::ended(code, reason), context);
        }
    }
}
