//! Collects snapshots, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout};

use super::snapshot::{About, Channel, Channels, Counted, Figures, Rates, Snapshot};
use crate::channel::ChannelName;
use crate::control::Control;
use crate::publication::Position;
use crate::shard::mail::{Look, Surveyed};

/// Channels of each kind that are named: those with the most publications, and those with the most subscribers.
const CHANNELS_MAX: usize = 50;

/// For how long a channel is named on after it was among the busiest.
const RECENT: Duration = Duration::from_secs(10);

/// How long all shards may take to answer. One that takes longer is shown as it is, and so are the others.
const SURVEY_MAX: Duration = Duration::from_secs(1);

/// What has to be remembered from one snapshot to the next.
pub struct Collector {
    before: Option<(Instant, Vec<Counted>)>,
    /// Of each shard: its turns when they were last seen to be more, and when that was.
    moved: Vec<(u64, Instant)>,
    /// When the busiest channels were asked for last.
    asked: Instant,
    /// Where those stood that were named last, when that was, and when each was among the busiest.
    named: (Instant, HashMap<ChannelName, (Position, Instant)>),
}

impl Collector {
    /// Asks the shards for the first time: what they answer is of the time before anybody read, and of no use.
    pub async fn begin(control: &Control) -> Self {
        let _ = timeout(SURVEY_MAX, control.handle.busiest(0)).await;
        Self {
            before: None,
            moved: Vec::new(),
            asked: Instant::now(),
            named: (Instant::now(), HashMap::new()),
        }
    }

    /// Takes a snapshot.
    pub async fn collect(&mut self, control: &Control) -> Snapshot {
        // First, for a shard that answers has begun a turn.
        let channels = self.channels(control).await;
        let now = Instant::now();
        let shards: Vec<Counted> = control
            .shards
            .iter()
            .map(|shard| Counted {
                counters: shard.counters(),
                turns: shard.turns(),
            })
            .collect();
        let stuck_ms = self.stuck_ms(now, &shards);
        let mut total = Figures::of(&Counted::sum(&shards));
        total.stuck_ms = stuck_ms.iter().copied().max().unwrap_or(0);
        let mut figures: Vec<Figures> = shards.iter().map(Figures::of).collect();
        for (figures, stuck_ms) in figures.iter_mut().zip(stuck_ms) {
            figures.stuck_ms = stuck_ms;
        }
        let before = self.before.replace((now, shards));
        let interval_ms = before.as_ref().map(|(then, _)| ms_between(*then, now));
        if let (Some((_, before)), Some(interval_ms), Some((_, after))) =
            (&before, interval_ms, &self.before)
        {
            let rates = |before: &Counted, after: &Counted, shards: usize| {
                Some(Rates::between(before, after, interval_ms, shards))
            };
            let sums = (Counted::sum(before), Counted::sum(after));
            total.rates = rates(&sums.0, &sums.1, after.len());
            for (figures, (before, after)) in figures.iter_mut().zip(before.iter().zip(after)) {
                figures.rates = rates(before, after, 1);
            }
        }
        Snapshot {
            server: about(control),
            unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
            interval_ms,
            total,
            shards: figures,
            channels,
        }
    }

    /// For how long each shard has not begun a turn, in ms; 0 for one that has since the last snapshot.
    fn stuck_ms(&mut self, now: Instant, shards: &[Counted]) -> Vec<u64> {
        self.moved.resize(shards.len(), (u64::MAX, now));
        let shards = self.moved.iter_mut().zip(shards);
        shards
            .map(|((turns, since), shard)| {
                if *turns != shard.counters.turns {
                    (*turns, *since) = (shard.counters.turns, now);
                }
                ms_between(*since, now)
            })
            .collect()
    }

    async fn channels(&mut self, control: &Control) -> Channels {
        match timeout(SURVEY_MAX, self.ask(control)).await {
            Ok(channels) => channels,
            Err(_) => unknown("not all shards have answered in time"),
        }
    }

    /// Asks for the busiest of each shard, then all shards for each of these.
    async fn ask(&mut self, control: &Control) -> Channels {
        let Ok(answers) = control.handle.busiest(CHANNELS_MAX).await else {
            return unknown("the server is shutting down");
        };
        let asked = std::mem::replace(&mut self.asked, Instant::now());
        let Some(busiest) = Busiest::of(answers) else {
            return unknown(
                "a shard has more channels than can be looked at in one turn (200,000)",
            );
        };
        let names = self.with_recent(busiest.names());
        let looks = control.handle.looks(names.clone());
        let (Ok(looks), Ok(counts)) = tokio::join!(looks, control.handle.counts()) else {
            return unknown("the server is shutting down");
        };
        let now = Instant::now();
        let mut positions = HashMap::new();
        let mut channels = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let mut channel = Channel {
                name: name.to_string(),
                subscribers: 0,
                behind: 0,
                publications: None,
                owner: None,
            };
            for (shard, looks) in &looks {
                let Look {
                    subscribers,
                    behind,
                    position,
                } = looks.get(at).copied().unwrap_or_default();
                channel.subscribers += subscribers;
                channel.behind += behind;
                if let Some(position) = position {
                    channel.owner = Some(*shard);
                    channel.publications = self.rate_since(now, name, position).or_else(|| {
                        let published = busiest.published.get(name)?;
                        Some(rate(*published, ms_between(asked, self.asked)))
                    });
                    let busy = match busiest.has(name) {
                        true => now,
                        false => self.busy_at(name).unwrap_or(now),
                    };
                    positions.insert(name.clone(), (position, busy));
                }
            }
            channels.push(channel);
        }
        self.named = (now, positions);
        let key = |channel: &Channel| channel.publications.unwrap_or(0.0);
        channels.sort_by(|one, other| {
            let by_rate = key(other).total_cmp(&key(one));
            by_rate
                .then(other.subscribers.cmp(&one.subscribers))
                .then_with(|| one.name.cmp(&other.name))
        });
        Channels {
            used: Some(counts.channels),
            unknown: None,
            busiest: channels,
        }
    }

    /// Names, and those of channels that were among the busiest shortly before: a list that changed with each second could
    /// not be read.
    fn with_recent(&self, mut names: Vec<ChannelName>) -> Arc<[ChannelName]> {
        let now = Instant::now();
        let recent = self.named.1.iter().filter(|(name, (_, busy))| {
            now.saturating_duration_since(*busy) < RECENT && names.binary_search(name).is_err()
        });
        let recent: Vec<ChannelName> = recent.map(|(name, _)| name.clone()).collect();
        names.extend(recent.into_iter().take(CHANNELS_MAX));
        names.into()
    }

    fn busy_at(&self, name: &ChannelName) -> Option<Instant> {
        self.named.1.get(name).map(|(_, busy)| *busy)
    }

    /// How much was published to a channel a second since it was named last, if it was. Of one that was not, and that is
    /// none of those with the most publications, the next snapshot knows.
    fn rate_since(&self, now: Instant, name: &ChannelName, position: Position) -> Option<f64> {
        let (then, positions) = &self.named;
        let (before, _) = positions
            .get(name)
            .filter(|(before, _)| before.epoch == position.epoch)?;
        let published = position.offset.saturating_sub(before.offset);
        Some(rate(published, ms_between(*then, now)))
    }
}

/// The busiest channels of all shards.
struct Busiest {
    /// By their publications since they were asked for last.
    published: HashMap<ChannelName, u64>,
    /// By their subscriptions on those shards where they are among the first.
    subscribed: HashMap<ChannelName, usize>,
}

impl Busiest {
    /// Nothing where a shard has more channels than can be looked at.
    fn of(answers: Vec<Surveyed>) -> Option<Self> {
        let mut all = Self {
            published: HashMap::new(),
            subscribed: HashMap::new(),
        };
        for answer in answers {
            let Surveyed::Busiest {
                published,
                subscribed,
            } = answer
            else {
                return None;
            };
            all.published.extend(published);
            for (channel, subscribers) in subscribed {
                *all.subscribed.entry(channel).or_default() += subscribers;
            }
        }
        Some(all)
    }

    /// Whether any shard names the channel.
    fn has(&self, channel: &ChannelName) -> bool {
        self.published.contains_key(channel) || self.subscribed.contains_key(channel)
    }

    /// The first of both kinds, each once, in order.
    fn names(&self) -> Vec<ChannelName> {
        let mut names = first(&self.published);
        names.extend(first(&self.subscribed));
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn first<N: Copy + Ord>(channels: &HashMap<ChannelName, N>) -> Vec<ChannelName> {
    let mut all: Vec<_> = channels.iter().collect();
    all.sort_unstable_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
    all.into_iter()
        .take(CHANNELS_MAX)
        .map(|(channel, _)| channel.clone())
        .collect()
}

fn about(control: &Control) -> About {
    let live = control.config.borrow();
    About {
        product: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: control.node.name.clone(),
        uptime_s: control.node.started.elapsed().as_secs(),
        draining: control.handle.is_draining(),
        public: control.public.to_string(),
        origins: live.config.origins.allowed.clone(),
        message_bytes_max: live.config.limits.message_bytes_max,
    }
}

fn unknown(why: &str) -> Channels {
    Channels {
        unknown: Some(why.to_owned()),
        ..Channels::default()
    }
}

fn rate(count: u64, interval_ms: u64) -> f64 {
    let a_second = count as f64 * 1_000.0 / interval_ms.max(1) as f64;
    (a_second * 10.0).round() / 10.0
}

fn ms_between(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_millis() as u64
}
