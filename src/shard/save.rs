//! A shard as a value that another process makes the same shard of: what a live upgrade carries over.
//!
//! It is saved while it rests ([`Shard::is_at_rest`]): all mail taken, all lanes flushed, all sessions told. What is left is what
//! connections are, what they are subscribed to, what they could not take yet, and what is kept of the channels owned here. Lanes, handouts
//! and timers are made anew from that.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::backlog::{Backlog, SavedBacklog};
use super::connection::{
    Connection, Connections, Extra, Phase, Place, Subscription, Subscriptions, Timers,
};
use super::lane::Member;
use super::lifecycle::{Reason, name_of};
use super::mail::{Consumer, HandedMessage};
use super::pool::{Pool, Restored};
use super::rate::Bucket;
use super::wheel::Tick;
use super::{ConnectionId, Effect, Identity, QUEUES, Shard, directory_limits, queue_limits};
use crate::channel::{
    self, ChannelName, Directory, Idempotency, Queues, SavedDirectory, SavedIdempotency,
    SavedQueues,
};
use crate::config::Config;
use crate::encoding::Encoding;
use crate::endpoint::Heartbeat;
use crate::metrics::Counters;
use crate::rules::Rules;
use crate::session::{self, RouteMap, SavedSession, Session};
use crate::table::{Key, Table};

/// See the module's documentation.
#[derive(Serialize, Deserialize)]
pub struct SavedShard {
    /// The path patterns of its routes.
    routes: Vec<String>,
    /// Of all slots.
    generations: Vec<u32>,
    connections: Vec<SavedConnection>,
    /// Bytes that backlogs share.
    pool: Vec<Bytes>,
    channels: Vec<SavedLocal>,
    directory: SavedDirectory,
    queues: SavedQueues<Consumer>,
    idempotency: SavedIdempotency,
    counters: Counters,
}

/// A channel with subscribers here.
#[derive(Serialize, Deserialize)]
struct SavedLocal {
    channel: ChannelName,
    is_pattern: bool,
    counted: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedConnection {
    key: Key,
    session: SavedSession,
    subscriptions: Vec<(u32, SavedPlace)>,
    backlog: Option<SavedBacklog>,
    extra: Option<SavedExtra>,
    /// Its user, and what its client is called.
    user: Option<(Box<str>, Box<str>)>,
    heard: Tick,
    since: Tick,
    phase: Phase,
    pinged: bool,
    publishes: bool,
}

#[derive(Serialize, Deserialize)]
enum SavedPlace {
    Lane(ChannelName, Encoding),
    Handed(ChannelName),
    Queue(ChannelName),
}

#[derive(Serialize, Deserialize)]
struct SavedExtra {
    peer: Option<std::net::IpAddr>,
    rate: Option<(Bucket, Bucket)>,
    heartbeat: Heartbeat,
    beat: Tick,
    deadline: Option<Tick>,
    parked: Vec<HandedMessage>,
    granted_bytes: usize,
}

/// Why a shard cannot be made of what was saved; nothing has been done then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// What a connection was, or at which endpoint.
    #[error("connection {slot}: {why}")]
    Session {
        /// The connection's slot.
        slot: u32,
        /// What is the matter.
        why: session::RestoreError,
    },
    /// What is kept of channels or queues.
    #[error(transparent)]
    Channels(#[from] channel::RestoreError),
    /// Connections, their slots or their backlogs.
    #[error("the connections that were saved do not fit together")]
    Connections,
}

impl Shard {
    /// Whether nothing is under way here, so that the shard can be saved. Mail that is on its way elsewhere is the
    /// driver's to know.
    pub fn is_at_rest(&self) -> bool {
        !self.has_work() && self.pending_patterns.is_empty() && self.post.depth() == 0
    }

    /// Closes the connections that cannot be saved, because their endpoints do not save what they are.
    pub fn end_unsaved(&mut self, now_ms: u64) {
        let unsaved: Vec<ConnectionId> = (self.connections.table.iter())
            .filter(|(_, connection)| connection.phase == Phase::Open)
            .filter(|(id, connection)| {
                let name = name_of(&self.identity, *id);
                connection.session.save(name, &self.endpoints).is_none()
            })
            .map(|(id, _)| id)
            .collect();
        for id in unsaved {
            if self.end(now_ms, id, Reason::Upgrade) {
                self.counters.closed_upgrade += 1;
            }
        }
    }

    /// All that the shard is; to be called only while it [rests](Shard::is_at_rest). Connections that cannot be saved are left out,
    /// which [`Shard::end_unsaved`] has closed before.
    pub fn save(&self) -> SavedShard {
        let mut pool = Pool::default();
        let mut generations = self.connections.table.generations();
        let mut connections = Vec::with_capacity(self.connections.table.len());
        let mut counters = self.counters();
        for (key, connection) in self.connections.table.iter() {
            match self.save_connection(key, connection, &mut pool) {
                Some(saved) => connections.push(saved),
                None => {
                    // Its socket is not handed on, and its name is not given out again.
                    counters.closed += 1;
                    if let Some(generation) = generations.get_mut(key.slot as usize) {
                        *generation = generation.wrapping_add(1);
                    }
                }
            }
        }
        SavedShard {
            routes: self.sessions.routes.patterns(),
            generations,
            connections,
            pool: pool.into_saved(),
            channels: (self.fanout.kinds())
                .map(|(channel, is_pattern, counted)| SavedLocal {
                    channel: channel.clone(),
                    is_pattern,
                    counted,
                })
                .collect(),
            directory: self.directory.save(),
            queues: self.queues.save(),
            idempotency: self.idempotency.save(),
            counters,
        }
    }

    /// The shard that was saved, in another process: same connections under the same names, at the same places of the same
    /// streams. What is to be done with their sockets comes as effects.
    ///
    /// Settings may be others than before; what becomes of that is what a [reload](super::Live) does.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(
        identity: Identity,
        config: Arc<Config>,
        sessions: Arc<session::Settings>,
        rules: Arc<Rules>,
        saved: SavedShard,
        now_ms: u64,
    ) -> Result<Self, RestoreError> {
        let mut shard = Self::new(identity, config, sessions, rules);
        shard.restore_channels(saved.directory, saved.queues, saved.idempotency, now_ms)?;
        shard.restore_counters(saved.counters);
        let routes = RouteMap::new(saved.routes, &shard.sessions.routes);
        let pool = Restored(saved.pool);
        shard.wheel.advance(Tick::at(now_ms), &mut Vec::new());
        let mut restored = Vec::with_capacity(saved.connections.len());
        let mut rest = Vec::with_capacity(saved.connections.len());
        for connection in saved.connections {
            let (key, connection, more) = shard.restore_connection(connection, &routes, &pool)?;
            restored.push((key, connection));
            rest.push((key, more));
        }
        let table = Table::restore(&saved.generations, restored);
        shard.connections = Connections::restore(table.ok_or(RestoreError::Connections)?);
        for local in saved.channels {
            let SavedLocal {
                channel,
                is_pattern,
                counted,
            } = local;
            shard.fanout.expect(channel, is_pattern, counted);
        }
        for (id, more) in rest {
            shard.restore_places(id, more);
        }
        // Other limits may let messages go that have waited.
        let mut handed = Vec::new();
        let limits = queue_limits(&shard.config);
        shard.queues.set_limits(limits, &mut handed);
        shard.send_handed(now_ms, handed);
        Ok(shard)
    }

    fn save_connection(
        &self,
        key: Key,
        connection: &Connection,
        pool: &mut Pool,
    ) -> Option<SavedConnection> {
        if connection.phase == Phase::Gone {
            return None;
        }
        let user = self.users.identity(key);
        Some(SavedConnection {
            key,
            session: (connection.session).save(name_of(&self.identity, key), &self.endpoints)?,
            subscriptions: (connection.subscriptions.iter())
                .filter_map(|one| Some((one.number, self.save_place(&one.place)?)))
                .collect(),
            backlog: connection
                .backlog
                .as_ref()
                .map(|backlog| backlog.save(pool)),
            extra: connection.extra.as_ref().map(|extra| SavedExtra {
                peer: extra.peer,
                rate: extra.rate.as_deref().copied(),
                heartbeat: extra.timers.heartbeat,
                beat: extra.timers.beat,
                deadline: extra.timers.deadline,
                parked: extra.parked.clone(),
                granted_bytes: extra.granted_bytes,
            }),
            user: user.map(|(user, client)| (user.into(), client.into())),
            heard: connection.heard,
            since: connection.since,
            phase: connection.phase,
            pinged: connection.pinged,
            publishes: connection.publishes,
        })
    }

    /// Nothing where the owner has not answered, which it has while the shard rests.
    fn save_place(&self, place: &Place) -> Option<SavedPlace> {
        match place {
            Place::Pending(_) => None,
            Place::Active { lane, .. } => {
                let lane = self.fanout.lanes.get(self.fanout.lanes.key_at(*lane)?)?;
                Some(SavedPlace::Lane(
                    lane.channel().clone(),
                    lane.encoding().clone(),
                ))
            }
            Place::Handed(handed) => Some(SavedPlace::Handed(handed.0.clone())),
            Place::Queue(queue) => Some(SavedPlace::Queue((**queue).clone())),
        }
    }

    fn restore_channels(
        &mut self,
        directory: SavedDirectory,
        queues: SavedQueues<Consumer>,
        idempotency: SavedIdempotency,
        now_ms: u64,
    ) -> Result<(), RestoreError> {
        let Identity {
            shards,
            first_epoch,
            ..
        } = self.identity;
        self.directory = Directory::restore(
            self.hasher.clone(),
            self.rules.namespaces.clone(),
            directory_limits(&self.config),
            first_epoch,
            shards,
            now_ms,
            directory,
        )?;
        let may_be = |consumer: &Consumer| consumer.shard < shards;
        self.queues = Queues::restore(self.hasher.clone(), first_epoch | QUEUES, queues, may_be)?;
        let keys_max = self.config.limits.idempotency_keys_max;
        self.idempotency = Idempotency::restore(self.hasher.clone(), keys_max, idempotency)?;
        Ok(())
    }

    /// What is counted goes on from where it stood.
    fn restore_counters(&mut self, counters: Counters) {
        let sent = &mut self.codec.compressors.tally;
        sent.compressed = counters.compressions;
        sent.incompressible = counters.compressions_vain;
        sent.bytes_in = counters.compressed_bytes_in;
        sent.bytes_out = counters.compressed_bytes_out;
        let received = &mut self.codec.decompressor.tally;
        received.messages = counters.decompressions;
        received.bytes_in = counters.decompressed_bytes_in;
        received.bytes_out = counters.decompressed_bytes_out;
        // The gauges among them are counted as connections come.
        self.counters = Counters {
            subscriptions: 0,
            backlogged: 0,
            backlog_bytes: 0,
            ..counters
        };
    }

    fn restore_connection(
        &mut self,
        saved: SavedConnection,
        routes: &RouteMap,
        pool: &Restored,
    ) -> Result<(Key, Connection, More), RestoreError> {
        let key = saved.key;
        let name = name_of(&self.identity, key);
        let session = Session::restore(saved.session, name, routes, &mut self.endpoints);
        let session = session.map_err(|why| RestoreError::Session {
            slot: key.slot,
            why,
        })?;
        let backlog = saved.backlog.map(|backlog| {
            let backlog = Backlog::restore(backlog, pool);
            backlog.map(Box::new).ok_or(RestoreError::Connections)
        });
        let connection = Connection {
            session,
            subscriptions: Subscriptions::None,
            backlog: backlog.transpose()?,
            extra: saved.extra.map(|extra| Box::new(extra.into())),
            timer: Tick(0),
            heard: saved.heard,
            since: saved.since,
            phase: saved.phase,
            pinged: saved.pinged,
            publishes: saved.publishes,
            paused: false,
        };
        let more = More {
            places: saved.subscriptions,
            user: saved.user,
        };
        Ok((key, connection, more))
    }

    /// Puts a connection back where it was: lanes, handouts, its user, the wheel.
    fn restore_places(&mut self, id: ConnectionId, more: More) {
        if let Some((user, client)) = more.user {
            self.users.identify(id, &user, &client);
        }
        for (number, place) in more.places {
            let member = Member {
                slot: id.slot,
                subscription: number,
            };
            let place = match place {
                SavedPlace::Lane(channel, encoding) => {
                    self.fanout.count_in_restored(&channel);
                    let policy = self.rules.namespaces.of(channel.as_str()).slow_consumer;
                    let (lane, position) = self.fanout.join(&channel, &encoding, member, policy);
                    Place::Active {
                        lane: lane.slot,
                        position,
                    }
                }
                SavedPlace::Handed(channel) => {
                    self.fanout.count_in_restored(&channel);
                    // All that was published before has been handed over.
                    let position = self.fanout.join_handout(&channel, member, 0);
                    Place::Handed(Box::new((channel, position)))
                }
                SavedPlace::Queue(queue) => Place::Queue(Box::new(queue)),
            };
            self.counters.subscriptions += 1;
            if let Some(connection) = self.connections.table.get_mut(id) {
                connection.subscriptions.add(Subscription { number, place });
            }
        }
        self.connections.note_subscriptions(id);
        let Some(connection) = self.connections.table.get(id) else {
            return;
        };
        if let Some(backlog) = &connection.backlog {
            self.counters.backlog_bytes += backlog.bytes() as u64;
            self.counters.backlogged += 1;
            self.connections.stall(id.slot);
            self.effects.push_back(Effect::Watch(id));
        } else if connection.phase == Phase::Closing {
            self.outbox.note_closing(id);
        }
        if let Some(due) = self.due(id) {
            self.schedule(id, due);
        }
    }
}

/// What is put back when all connections are there.
struct More {
    places: Vec<(u32, SavedPlace)>,
    user: Option<(Box<str>, Box<str>)>,
}

impl From<SavedExtra> for Extra {
    fn from(saved: SavedExtra) -> Self {
        Self {
            peer: saved.peer,
            rate: saved.rate.map(Box::new),
            timers: Timers {
                heartbeat: saved.heartbeat,
                beat: saved.beat,
                deadline: saved.deadline,
            },
            parked: saved.parked,
            granted_bytes: saved.granted_bytes,
        }
    }
}
