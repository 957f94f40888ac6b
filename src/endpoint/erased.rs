//! Endpoints of all types behind one, with the state of their connections.

use std::any::Any;

use super::{
    Closed, ConnectionName, Context, Endpoint, Error, Message, Order, Publisher, Request, Routes,
    Timeout,
};
use crate::channel::{Answer, Refused};
use crate::config::Config;
use crate::publication::{Begun, Position, Publication};
use crate::ws::close::CloseCode;
use crate::ws::handshake::Refusal;

/// The state of a connection whose endpoint only knows its type. Of a type without size the box
/// allocates nothing.
pub type State = Box<dyn Any>;

/// An [`Endpoint`] without its type.
pub trait Erased {
    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<State, Refusal>;
    fn message(&mut self, state: &mut State, message: Message<'_>, context: &mut Context<'_>);
    fn subscribed(
        &mut self,
        state: &mut State,
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    );
    fn published(
        &mut self,
        state: &mut State,
        ticket: u32,
        result: Result<Position, Refused>,
        context: &mut Context<'_>,
    );
    fn fallen_behind(
        &mut self,
        state: &mut State,
        subscription: u32,
        last: Position,
        context: &mut Context<'_>,
    );
    fn answered(
        &mut self,
        state: &mut State,
        ticket: u32,
        answer: Answer,
        context: &mut Context<'_>,
    );
    fn done(&mut self, state: &mut State, ticket: u32, context: &mut Context<'_>);
    fn publication(
        &mut self,
        state: &mut State,
        subscription: u32,
        publication: &Publication,
        redelivered: bool,
        context: &mut Context<'_>,
    );
    fn ordered(&mut self, state: &mut State, order: Order, context: &mut Context<'_>);
    fn forbidden(&mut self, state: &mut State, subscription: u32, context: &mut Context<'_>);
    fn timeout(&mut self, state: &mut State, timeout: Timeout, context: &mut Context<'_>);
    fn farewell(
        &mut self,
        state: &mut State,
        code: CloseCode,
        reason: &str,
        context: &mut Context<'_>,
    );
    fn reloaded(&mut self, config: &Config);
    fn save(&self, name: ConnectionName, state: &State) -> Option<Vec<u8>>;
    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<State>;
    fn close(&mut self, state: State, closed: &Closed<'_>, publisher: &mut Publisher<'_>);
    fn error(&mut self, state: &mut State, error: &Error, publisher: &mut Publisher<'_>);
}

impl<E: Endpoint> Erased for E {
    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<State, Refusal> {
        Ok(Box::new(Endpoint::open(self, request, context)?))
    }

    fn message(&mut self, state: &mut State, message: Message<'_>, context: &mut Context<'_>) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::message(self, state, message, context);
        }
    }

    fn subscribed(
        &mut self,
        state: &mut State,
        subscription: u32,
        result: Result<Begun, Refused>,
        context: &mut Context<'_>,
    ) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::subscribed(self, state, subscription, result, context);
        }
    }

    fn published(
        &mut self,
        state: &mut State,
        ticket: u32,
        result: Result<Position, Refused>,
        context: &mut Context<'_>,
    ) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::published(self, state, ticket, result, context);
        }
    }

    fn fallen_behind(
        &mut self,
        state: &mut State,
        subscription: u32,
        last: Position,
        context: &mut Context<'_>,
    ) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::fallen_behind(self, state, subscription, last, context);
        }
    }

    fn answered(
        &mut self,
        state: &mut State,
        ticket: u32,
        answer: Answer,
        context: &mut Context<'_>,
    ) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::answered(self, state, ticket, answer, context);
        }
    }

    fn done(&mut self, state: &mut State, ticket: u32, context: &mut Context<'_>) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::done(self, state, ticket, context);
        }
    }

    fn publication(
        &mut self,
        state: &mut State,
        subscription: u32,
        publication: &Publication,
        redelivered: bool,
        context: &mut Context<'_>,
    ) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::publication(self, state, subscription, publication, redelivered, context);
        }
    }

    fn farewell(
        &mut self,
        state: &mut State,
        code: CloseCode,
        reason: &str,
        context: &mut Context<'_>,
    ) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::farewell(self, state, code, reason, context);
        }
    }

    fn ordered(&mut self, state: &mut State, order: Order, context: &mut Context<'_>) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::ordered(self, state, order, context);
        }
    }

    fn forbidden(&mut self, state: &mut State, subscription: u32, context: &mut Context<'_>) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::forbidden(self, state, subscription, context);
        }
    }

    fn timeout(&mut self, state: &mut State, timeout: Timeout, context: &mut Context<'_>) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::timeout(self, state, timeout, context);
        }
    }

    fn reloaded(&mut self, config: &Config) {
        Endpoint::reloaded(self, config);
    }

    fn save(&self, name: ConnectionName, state: &State) -> Option<Vec<u8>> {
        Endpoint::save(self, name, state.downcast_ref()?)
    }

    fn restore(&mut self, name: ConnectionName, saved: &[u8]) -> Option<State> {
        Some(Box::new(Endpoint::restore(self, name, saved)?))
    }

    fn close(&mut self, state: State, closed: &Closed<'_>, publisher: &mut Publisher<'_>) {
        if let Ok(state) = state.downcast() {
            Endpoint::close(self, *state, closed, publisher);
        }
    }

    fn error(&mut self, state: &mut State, error: &Error, publisher: &mut Publisher<'_>) {
        if let Some(state) = state.downcast_mut() {
            Endpoint::error(self, state, error, publisher);
        }
    }
}

/// A shard's instances, one for each route.
pub struct Endpoints(Vec<Box<dyn Erased>>);

impl Endpoints {
    /// Calls the factories of all routes.
    pub fn new(routes: &Routes) -> Self {
        Self(routes.instances().collect())
    }

    /// Tells all instances of other settings.
    pub(crate) fn reload(&mut self, config: &Config) {
        for endpoint in &mut self.0 {
            endpoint.reloaded(config);
        }
    }

    /// The instance of a route.
    pub(crate) fn of(&mut self, route: u16) -> &mut dyn Erased {
        &mut *self.0[usize::from(route)]
    }

    /// The same to look at.
    pub(crate) fn look_at(&self, route: u16) -> &dyn Erased {
        &*self.0[usize::from(route)]
    }
}
