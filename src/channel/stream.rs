//! One channel at its owner: its numbers, its history, its subscribers.

mod saved;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::saved::{Infos, are_below};
use super::budget::Load;
use super::directory::{Joined, Joining, Published, SubscribersFull};
use super::history::{History, HistoryBounds};
use super::members::{MemberId, Members};
use super::namespace::Namespace;
use super::{Answer, Question, Refused, ShardSet};
use crate::publication::{Begun, ClientInfo, Draft, Position, Publication, Recovery, Since};

/// See the module's documentation. What only some channels need is in a box of its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct Stream {
    position: Position,
    interested: ShardSet,
    /// When it was last published to or left, in ms.
    pub used_ms: u64,
    /// Whether it stands in the queue of streams that may be forgotten.
    #[serde(skip)]
    pub queued: bool,
    /// The low bits of the offset when [`Stream::count_since`] was called last.
    counted_to: u32,
    kept: Option<Box<Kept>>,
    counted: Option<Box<Counted>>,
    paced: Option<Box<Paced>>,
}

/// What a channel with a history keeps.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    history: History,
    /// The [`Namespace::number`] of the namespace whose histories it counts among. Not saved: it is looked up again.
    #[serde(skip)]
    namespace: usize,
    bounds: HistoryBounds,
    /// Whether new subscribers get the newest publication.
    cache: bool,
    /// Whether subscribers may recover; not where only the newest publication is kept for newcomers.
    recoverable: bool,
}

/// What a channel keeps that counts its subscriptions.
#[derive(Clone, Serialize, Deserialize)]
struct Counted {
    members: Members,
    presence: bool,
    /// Whether subscribers are told who comes and leaves.
    news: bool,
    /// Subscriptions; 0 for no limit.
    subscribers_max: usize,
}

/// What a channel keeps that publishes only so often.
#[derive(Clone, Serialize, Deserialize)]
struct Paced {
    every_ms: u64,
    /// When it published last.
    last_ms: Option<u64>,
    /// The newest message since then.
    held: Option<Draft>,
}

impl Stream {
    /// A stream in which nothing was published yet.
    pub fn new(now_ms: u64, epoch: u64, namespace: &Namespace) -> Self {
        let mut stream = Self {
            position: Position { epoch, offset: 0 },
            interested: ShardSet::default(),
            used_ms: now_ms,
            queued: false,
            counted_to: 0,
            kept: None,
            counted: None,
            paced: None,
        };
        stream.set_namespace(now_ms, namespace);
        stream
    }

    /// From now on these rules hold. Subscriptions that were not counted before stay uncounted.
    pub fn set_namespace(&mut self, now_ms: u64, namespace: &Namespace) {
        let newest = self.position.offset;
        let history = namespace.history_size > 0;
        self.kept = (history || namespace.cache).then(|| {
            let bounds = HistoryBounds {
                publications_max: namespace.history_size.max(usize::from(namespace.cache)),
                ttl_ms: namespace.history_ttl_ms,
                bytes_max: namespace.history_bytes_max,
            };
            let history = self.kept.take().map(|kept| kept.history);
            let mut kept = Box::new(Kept {
                history: history.unwrap_or_else(|| History::behind(newest)),
                namespace: namespace.number,
                bounds,
                cache: namespace.cache,
                recoverable: namespace.history_size > 0,
            });
            kept.history.trim(now_ms, &bounds);
            kept
        });
        let counts = namespace.presence || namespace.join_leave || namespace.subscribers_max > 0;
        self.counted = counts.then(|| {
            let members = self.counted.take().map(|counted| counted.members);
            Box::new(Counted {
                members: members.unwrap_or_default(),
                presence: namespace.presence,
                news: namespace.join_leave,
                subscribers_max: namespace.subscribers_max,
            })
        });
        let held = self.paced.take();
        self.paced = match (namespace.latest_every_ms, held) {
            (0, Some(paced)) if paced.held.is_some() => Some(Box::new(Paced {
                // It leaves at once, and the box with it.
                every_ms: 0,
                ..*paced
            })),
            (0, _) => None,
            (every_ms, paced) => Some(Box::new(Paced {
                every_ms,
                last_ms: paced.as_ref().and_then(|paced| paced.last_ms),
                held: paced.and_then(|paced| paced.held),
            })),
        };
    }

    /// Notes a subscription.
    pub fn join(&mut self, now_ms: u64, joining: Joining) -> Result<Joined, Refused> {
        let mut news = None;
        if let Some(counted) = &mut self.counted {
            let max = counted.subscribers_max;
            if max > 0 && counted.members.len() >= max {
                return Err(SubscribersFull.into());
            }
            let is_new = counted.members.insert(joining.member, joining.info.clone());
            if is_new && counted.news {
                news = joining.info;
            }
        }
        self.interested.insert(joining.member.shard);
        let recovery = self.recover(now_ms, joining.since);
        Ok(Joined {
            begun: Begun {
                position: self.position,
                recovery,
                recoverable: self.kept.as_ref().is_some_and(|kept| kept.recoverable),
            },
            counted: self.counted.is_some(),
            news: news.map(|info| (info, self.interested)),
        })
    }

    /// Notes that a subscription is over; its shard may have others.
    pub fn depart(&mut self, member: &MemberId) -> Option<(Arc<ClientInfo>, ShardSet)> {
        let counted = self.counted.as_mut()?;
        let info = counted.members.remove(member)?;
        counted.news.then_some((info, self.interested))
    }

    /// Notes that a shard has no subscription left.
    pub fn leave(&mut self, now_ms: u64, shard: usize) {
        self.interested.remove(shard);
        self.used_ms = now_ms;
        if let Some(counted) = &mut self.counted {
            counted.members.remove_shard(shard);
        }
    }

    /// Numbers a message and keeps it, or holds it back.
    pub fn publish(&mut self, now_ms: u64, draft: Draft) -> Published {
        if let Some(paced) = &mut self.paced {
            if paced.due_ms().is_some_and(|due_ms| now_ms < due_ms) {
                paced.held = Some(draft);
                return Published::Later(Position {
                    offset: self.position.offset + 1,
                    ..self.position
                });
            }
            // One whose time has come, too, and that has not left yet, is not the newest any more.
            paced.held = None;
        }
        Published::Now(self.number(now_ms, draft), self.interested)
    }

    /// Gives up what is too old, and the message that was held back if its time has come.
    pub fn handle_due(&mut self, now_ms: u64) -> Option<(Publication, ShardSet)> {
        if let Some(kept) = &mut self.kept {
            kept.history.expire(now_ms, kept.bounds.ttl_ms);
        }
        let paced = self.paced.as_mut()?;
        paced.due_ms().filter(|&due_ms| due_ms <= now_ms)?;
        let held = paced.held.take()?;
        Some((self.number(now_ms, held), self.interested))
    }

    /// When [`Stream::handle_due`] has something to do, in ms.
    pub fn due_ms(&self) -> Option<u64> {
        let expires = self.load().expires_at_ms;
        [expires, self.held_until_ms()].into_iter().flatten().min()
    }

    /// When the message that is held back leaves, in ms.
    pub fn held_until_ms(&self) -> Option<u64> {
        let paced = self.paced.as_ref()?;
        paced.held.as_ref()?;
        paced.due_ms()
    }

    /// What its history weighs.
    pub fn load(&self) -> Load {
        self.kept.as_ref().map_or(Load::default(), |kept| Load {
            namespace: kept.namespace,
            bytes: kept.history.bytes(),
            expires_at_ms: kept.history.expires_at_ms(kept.bounds.ttl_ms),
        })
    }

    /// How many publications the bound in bytes of its own history has cost since the last call.
    pub fn take_crowded_out(&mut self) -> u32 {
        self.kept
            .as_mut()
            .map_or(0, |kept| kept.history.take_crowded_out())
    }

    /// Answers a question.
    pub fn answer(&mut self, now_ms: u64, question: Question) -> Answer {
        match (question, &mut self.kept, &mut self.counted) {
            (
                Question::History {
                    since,
                    limit,
                    reverse,
                },
                Some(kept),
                _,
            ) => {
                kept.history.expire(now_ms, kept.bounds.ttl_ms);
                if since.is_some_and(|since| since.epoch != self.position.epoch) {
                    return Answer::Unrecoverable(self.position);
                }
                let behind = since.map(|since| since.offset);
                let limit = limit.unwrap_or(usize::MAX);
                Answer::History {
                    position: self.position,
                    publications: kept.history.page(behind, limit, reverse),
                }
            }
            (Question::RemoveHistory, Some(kept), _) => {
                kept.history.clear();
                Answer::Removed
            }
            (Question::Presence, _, Some(counted)) if counted.presence => {
                Answer::Presence(counted.members.infos())
            }
            (Question::PresenceStats, _, Some(counted)) if counted.presence => {
                let (clients, users) = counted.members.stats();
                Answer::PresenceStats { clients, users }
            }
            _ => Answer::NotKept,
        }
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Publications since the last call, or since its beginning; right if they are fewer than four billion.
    pub fn count_since(&mut self) -> u32 {
        let newest = self.position.offset as u32;
        let since = newest.wrapping_sub(self.counted_to);
        self.counted_to = newest;
        since
    }

    /// Gives up the oldest publication that is kept.
    pub fn evict(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.history.evict();
        }
    }

    /// Whether somebody is subscribed.
    pub fn is_used(&self) -> bool {
        !self.interested.is_empty()
    }

    /// Shards with subscribers.
    pub fn interests(&self) -> usize {
        self.interested.count()
    }

    /// Subscriptions, where they are counted.
    pub fn members(&self) -> usize {
        self.counted
            .as_ref()
            .map_or(0, |counted| counted.members.len())
    }

    /// When it may be forgotten, in ms, if nothing happens until then.
    pub fn idle_at_ms(&self, idle_ms: u64) -> u64 {
        self.used_ms.saturating_add(idle_ms)
    }

    fn recover(&mut self, now_ms: u64, since: Option<Since>) -> Recovery {
        let position = self.position;
        let mut none = History::behind(position.offset);
        let (history, has_cache) = match &mut self.kept {
            Some(kept) => {
                kept.history.expire(now_ms, kept.bounds.ttl_ms);
                (&mut kept.history, kept.cache)
            }
            None => (&mut none, false),
        };
        let missed = match since {
            None if has_cache => None,
            None => return Recovery::Unasked,
            Some(Since::Newest) => return Recovery::Newest(history.newest()),
            Some(Since::Offset(offset)) => history.since(position.offset, offset),
            Some(Since::Position(place)) if place.epoch == position.epoch => {
                history.since(position.offset, place.offset)
            }
            Some(Since::Position(_)) => None,
        };
        match missed {
            Some(missed) => Recovery::Whole(missed),
            None if has_cache => Recovery::Newest(history.newest()),
            None => Recovery::Gap,
        }
    }

    fn number(&mut self, now_ms: u64, draft: Draft) -> Publication {
        self.position.offset += 1;
        let is_kept = !draft.skip_history;
        let publication = draft.numbered(self.position);
        if let Some(kept) = &mut self.kept
            && is_kept
        {
            kept.history.push(now_ms, publication.clone(), &kept.bounds);
        }
        match &mut self.paced {
            Some(paced) if paced.every_ms == 0 => self.paced = None,
            Some(paced) => paced.last_ms = Some(now_ms),
            None => {}
        }
        publication
    }
}

impl Paced {
    /// When the next message may leave; at once if nothing has left yet.
    fn due_ms(&self) -> Option<u64> {
        self.last_ms
            .map(|last_ms| last_ms.saturating_add(self.every_ms))
    }
}
