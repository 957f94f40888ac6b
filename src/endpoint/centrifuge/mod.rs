//! The endpoint of Centrifugo's bidirectional protocol, `/connection/websocket`: JSON over WebSocket, client protocol
//! version 2.
//!
//! A client's messages become commands in [`crate::centrifuge`]; `connect` finds out who it is and begins the
//! subscriptions that its token names, `Connected` does what the commands of a connected client ask for. Every
//! subscription is a lane: a channel's pushes are the same for all subscribers.
//!
//! What a client asks for and does not get is replied to with an error; what breaks the protocol closes the connection
//! with a code that says whether to come back ([`Disconnect`]).

mod asking;
mod connect;
mod connected;
mod fault;
mod forms;
mod identity;
mod ordered;
mod publishing;
mod rights;
mod saved;
mod settings;
mod subscribing;
mod subscriptions;
mod timing;

use std::sync::Arc;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use super::credentials::token_of;
use super::{
    ClosedFor, ConnectionName, Context, Endpoint, Message, Order, Request, Route, Timeout,
};
use crate::centrifuge::command::{Command, Request as Asked, lines};
use crate::centrifuge::{Disconnect, ErrorReply, encode};
use crate::channel::{Answer, Refused};
use crate::config::Config;
use crate::publication::{Begun, Kind, Position};
use crate::ws::close::CloseCode;
use crate::ws::handshake::Refusal;
use connect::Connecting;
use connected::Connected;
use fault::Fault;
use forms::Forms;
use settings::Settings;

/// The routes of the protocol: one.
pub fn routes(config: &Config) -> impl Iterator<Item = Route> {
    let settings = Arc::new(Settings::new(config));
    let message_bytes_max = settings.message_bytes_max;
    let route = Route::new("/connection/websocket", move || {
        Centrifuge::new(settings.clone())
    });
    let route = route
        .message_bytes_max(message_bytes_max)
        .message_bytes_max_of(|config| Settings::new(config).message_bytes_max);
    std::iter::once(route)
}

/// A shard's instance.
struct Centrifuge {
    settings: Arc<Settings>,
    /// Replies are put together here.
    scratch: BytesMut,
    forms: Forms,
}

/// A connection's state.
#[derive(Serialize, Deserialize)]
struct Client {
    stage: Stage,
}

#[derive(Serialize, Deserialize)]
enum Stage {
    /// The connect command is awaited. A token may have come with the handshake.
    New { token: Option<Box<str>> },
    /// Where the channels stand that the server subscribes it to is awaited.
    Connecting(Box<Connecting>),
    /// As it should be.
    Connected(Connected),
    /// It was told why it cannot connect; it has nothing to say any more.
    Unwelcome,
    /// The connection is being closed.
    Over,
}

/// What the parts of the endpoint work with while a callback runs.
struct Work<'a, 'c> {
    settings: &'a Settings,
    scratch: &'a mut BytesMut,
    forms: &'a mut Forms,
    context: &'a mut Context<'c>,
}

impl Work<'_, '_> {
    /// Sends what is written.
    fn say(&mut self, put: impl FnOnce(&mut BytesMut)) {
        self.scratch.clear();
        put(self.scratch);
        self.context.send_kind(Kind::Text, self.scratch);
    }
}

impl Centrifuge {
    fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            scratch: BytesMut::new(),
            forms: Forms::default(),
        }
    }

    fn work<'a, 'c>(&'a mut self, context: &'a mut Context<'c>) -> Work<'a, 'c> {
        Work {
            settings: &self.settings,
            scratch: &mut self.scratch,
            forms: &mut self.forms,
            context,
        }
    }

    /// Lets a connected client's part do something.
    fn with_connected(
        &mut self,
        client: &mut Client,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Connected, &mut Work<'_, '_>) -> Result<(), Fault>,
    ) {
        let Stage::Connected(connected) = &mut client.stage else {
            return;
        };
        let done = work(connected, &mut self.work(context));
        self.settle(client, 0, done, context);
    }

    /// Replies with what is wrong with a command, or closes the connection for it.
    fn settle(
        &mut self,
        client: &mut Client,
        id: u32,
        done: Result<(), Fault>,
        context: &mut Context<'_>,
    ) {
        match done {
            Ok(()) => {}
            Err(Fault::Reply(error)) => {
                self.work(context)
                    .say(|out| encode::put_error(out, id, &error));
            }
            Err(Fault::Close(disconnect, detail)) => {
                client.stage = Stage::Over;
                if let Some(why) = closed_for(disconnect) {
                    context.note_closed(why);
                }
                let reason = match detail {
                    Some(detail) => format!("{}: {detail}", disconnect.reason),
                    None => disconnect.reason.to_owned(),
                };
                context.close(disconnect.code, reason);
            }
        }
    }

    /// Does what a line says.
    fn obey(&mut self, client: &mut Client, line: &[u8], context: &mut Context<'_>) {
        if let Stage::Connecting(connecting) = &mut client.stage {
            let done = connecting.put_off(line, &self.settings);
            return self.settle(client, 0, done, context);
        }
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => return self.settle(client, 0, Err(Fault::bad_request(error)), context),
        };
        let id = command.id;
        let mut work = self.work(context);
        let done = match (&mut client.stage, command.request) {
            (Stage::New { token }, Asked::Connect(connect)) => {
                let token = token.take();
                connect::connect(id, &connect, token.as_deref(), &mut work).map(|stage| {
                    client.stage = stage;
                })
            }
            (Stage::Connected(connected), request) => connected.handle(id, request, &mut work),
            (Stage::New { .. } | Stage::Unwelcome, _) => {
                Err(Fault::bad_request("the first command must be connect"))
            }
            (Stage::Connecting(_) | Stage::Over, _) => Ok(()),
        };
        if matches!(
            (&client.stage, &done),
            (Stage::New { .. }, Err(Fault::Reply(_)))
        ) {
            client.stage = Stage::Unwelcome;
        }
        self.settle(client, id, done, context);
    }

    /// Replies to the connect command when nothing is waited for any more, or when it cannot be obeyed.
    fn go_on_connecting(
        &mut self,
        client: &mut Client,
        done: Result<(), ErrorReply>,
        context: &mut Context<'_>,
    ) {
        let Stage::Connecting(connecting) = &mut client.stage else {
            return;
        };
        if let Err(error) = done {
            let id = connecting.id();
            context.unsubscribe_all();
            client.stage = Stage::Unwelcome;
            return self.settle(client, id, Err(error.into()), context);
        }
        if !connecting.is_complete() {
            return;
        }
        if let Stage::Connecting(connecting) = std::mem::replace(&mut client.stage, Stage::Over) {
            let (connected, said) = connecting.finish(&mut self.work(context));
            client.stage = Stage::Connected(connected);
            self.go_on(client, &said, context);
        }
    }

    /// Does what each line says.
    fn go_on(&mut self, client: &mut Client, said: &[u8], context: &mut Context<'_>) {
        for line in lines(said) {
            if matches!(client.stage, Stage::Over) {
                return;
            }
            self.obey(client, line, context);
        }
    }
}

/// What a disconnect is counted as, where that says more than its code.
fn closed_for(disconnect: Disconnect) -> Option<ClosedFor> {
    match disconnect {
        Disconnect::INVALID_TOKEN => Some(ClosedFor::Unauthorized),
        Disconnect::EXPIRED => Some(ClosedFor::TokenExpired),
        _ => None,
    }
}

impl Endpoint for Centrifuge {
    type State = Client;

    fn open(
        &mut self,
        request: &Request<'_>,
        context: &mut Context<'_>,
    ) -> Result<Client, Refusal> {
        context.set_deadline(Some(self.settings.connect_ms));
        let token = token_of(request, context.rules())?.map(Into::into);
        Ok(Client {
            stage: Stage::New { token },
        })
    }

    fn message(&mut self, client: &mut Client, message: Message<'_>, context: &mut Context<'_>) {
        self.go_on(client, message.as_bytes(), context);
    }

    fn subscribed(
        &mut self,
        client: &mut Client,
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        if let Stage::Connecting(connecting) = &mut client.stage {
            let done = connecting.subscribed(subscription, result);
            return self.go_on_connecting(client, done, context);
        }
        self.with_connected(client, context, |connected, work| {
            connected.subscribed(subscription, result, work)
        });
    }

    fn fallen_behind(
        &mut self,
        client: &mut Client,
        subscription: u32,
        _: Position,
        context: &mut Context<'_>,
    ) {
        self.with_connected(client, context, |connected, work| {
            connected.fallen_behind(subscription, work)
        });
    }

    fn forbidden(&mut self, client: &mut Client, subscription: u32, context: &mut Context<'_>) {
        self.with_connected(client, context, |connected, work| {
            connected.end_forbidden(subscription, work);
            Ok(())
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
            connected.published(ticket, result, work);
            Ok(())
        });
    }

    fn answered(
        &mut self,
        client: &mut Client,
        ticket: u32,
        answer: Answer,
        context: &mut Context<'_>,
    ) {
        if let Stage::Connecting(connecting) = &mut client.stage {
            let done = connecting.answered(ticket, answer);
            return self.go_on_connecting(client, done, context);
        }
        self.with_connected(client, context, |connected, work| {
            connected.answered(ticket, answer, work);
            Ok(())
        });
    }

    fn timeout(&mut self, client: &mut Client, timeout: Timeout, context: &mut Context<'_>) {
        match &mut client.stage {
            Stage::Connected(_) => {
                self.with_connected(client, context, |connected, work| {
                    connected.timeout(timeout, work)
                });
            }
            Stage::New { .. } | Stage::Connecting(_) | Stage::Unwelcome => {
                let late = Err(Fault::Close(Disconnect::STALE, None));
                self.settle(client, 0, late, context);
            }
            Stage::Over => {}
        }
    }

    fn ordered(&mut self, client: &mut Client, order: Order, context: &mut Context<'_>) {
        self.do_ordered(client, order, context);
    }

    /// How often a connection is sent a ping was told to its client and stays as it is.
    fn reloaded(&mut self, config: &Config) {
        self.settings = Arc::new(Settings::new(config));
    }

    fn save(&self, _: ConnectionName, client: &Client) -> Option<Vec<u8>> {
        client.save()
    }

    fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<Client> {
        Client::restore(saved, &mut self.forms)
    }

    /// The close frame itself says it in the protocol's way.
    fn farewell(&mut self, _: &mut Client, code: CloseCode, _: &str, context: &mut Context<'_>) {
        let disconnect = match code {
            CloseCode::GOING_AWAY | CloseCode::SERVICE_RESTART => Disconnect::SHUTDOWN,
            CloseCode::TRY_AGAIN_LATER => Disconnect::SLOW,
            CloseCode::POLICY => Disconnect::TOO_MANY_REQUESTS,
            CloseCode::INTERNAL => Disconnect::SERVER_ERROR,
            // What is wrong with the WebSocket is said in its own words.
            _ => return,
        };
        context.close(disconnect.code, disconnect.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_subscriber_has_stays_small() {
        assert!(size_of::<Client>() <= 80, "{}", size_of::<Client>());
    }
}
