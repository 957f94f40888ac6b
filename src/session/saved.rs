//! A session as one version of the program hands it to the next, which takes the server over in place (a live upgrade).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::head::HeadBuffer;
use super::{Open, Session, State};
use crate::endpoint::{ConnectionName, Endpoints, Routes, Transport};
use crate::ws::message::{DamagedReader, Reader, SavedReader};

/// All that a [`Session`] is, as values that can be written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedSession(Saved);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Saved {
    Head(Box<HeadBuffer>),
    Open(SavedOpen),
    Over,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedOpen {
    reader: SavedReader,
    /// As its endpoint has saved it.
    state: Bytes,
    /// By the numbers of the version that has saved it.
    route: u16,
    transport: Transport,
    next_number: u32,
}

/// Why a session cannot be restored, so that the new version does not take the server over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The new version has no such route.
    #[error(
        "connections are open at {pattern:?}, which is no route any more: serve it, or restart instead of upgrading"
    )]
    RouteGone {
        /// As it was registered before.
        pattern: String,
    },
    /// An endpoint's [`restore`](crate::endpoint::Endpoint::restore) has returned nothing.
    #[error(
        "the endpoint of {pattern:?} does not understand what its version before has saved of a connection"
    )]
    Endpoint {
        /// Of the route.
        pattern: String,
    },
    /// What no session can have been.
    #[error("what was saved of a connection is damaged")]
    Damaged,
}

impl From<DamagedReader> for RestoreError {
    fn from(_: DamagedReader) -> Self {
        Self::Damaged
    }
}

/// From the numbers of routes in the version that has saved sessions to those of the one that restores them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMap(Vec<Target>);

/// A route as it was, and its number now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    pattern: String,
    route: Option<u16>,
}

impl RouteMap {
    /// From the patterns of the version that has saved sessions, as [`Routes::patterns`] gave them, to those routes.
    pub fn new(saved: Vec<String>, routes: &Routes) -> Self {
        let patterns = routes.patterns();
        let targets = saved.into_iter().map(|pattern| {
            let number = patterns.iter().position(|one| *one == pattern);
            Target {
                route: number.and_then(|number| u16::try_from(number).ok()),
                pattern,
            }
        });
        Self(targets.collect())
    }

    fn find(&self, saved: u16) -> Result<(u16, &str), RestoreError> {
        let target = self.0.get(usize::from(saved));
        let Target { pattern, route } = target.ok_or(RestoreError::Damaged)?;
        match route {
            Some(route) => Ok((*route, pattern)),
            None => Err(RestoreError::RouteGone {
                pattern: pattern.clone(),
            }),
        }
    }
}

impl Session {
    /// All that it is, to be called between two turns. `None` if its endpoint does not save its connections' states
    /// ([`Endpoint::save`](crate::endpoint::Endpoint::save)): then the connection has to be closed before an upgrade.
    ///
    /// `name` is the connection's, and `endpoints` are those that it has been fed with.
    pub fn save(&self, name: ConnectionName, endpoints: &Endpoints) -> Option<SavedSession> {
        Some(SavedSession(match &self.0 {
            State::Head(buffer) => Saved::Head(buffer.clone()),
            State::Open(open) => Saved::Open(open.save(name, endpoints)?),
            State::Over => Saved::Over,
        }))
    }

    /// A session that goes on where the saved one was; it sends nothing and wants nothing of its shard by that.
    ///
    /// `name` is the connection's and the same as before. `routes` leads to the routes that `endpoints` are instances of.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(
        saved: SavedSession,
        name: ConnectionName,
        routes: &RouteMap,
        endpoints: &mut Endpoints,
    ) -> Result<Self, RestoreError> {
        Ok(Self(match saved.0 {
            Saved::Head(buffer) if buffer.is_sound() => State::Head(buffer),
            Saved::Head(_) => return Err(RestoreError::Damaged),
            Saved::Open(open) => State::Open(open.restore(name, routes, endpoints)?),
            Saved::Over => State::Over,
        }))
    }
}

impl Open {
    fn save(&self, name: ConnectionName, endpoints: &Endpoints) -> Option<SavedOpen> {
        let Self {
            reader,
            state,
            route,
            transport,
            next_number,
        } = self;
        let state = endpoints.look_at(*route).save(name, state)?;
        Some(SavedOpen {
            reader: reader.save(),
            state: state.into(),
            route: *route,
            transport: *transport,
            next_number: *next_number,
        })
    }
}

impl SavedOpen {
    fn restore(
        self,
        name: ConnectionName,
        routes: &RouteMap,
        endpoints: &mut Endpoints,
    ) -> Result<Open, RestoreError> {
        let (route, pattern) = routes.find(self.route)?;
        let state = endpoints.of(route).restore(name, &self.state);
        Ok(Open {
            reader: Reader::restore(self.reader)?,
            state: state.ok_or_else(|| RestoreError::Endpoint {
                pattern: pattern.to_owned(),
            })?,
            route,
            transport: self.transport,
            next_number: self.next_number,
        })
    }
}
