//! What the channels of a world keep, and a model of their owners: it knows when each publication was numbered, and nothing of
//! histories, lanes or mailboxes.

use std::collections::HashMap;
use std::time::Duration;

use pushring::config::{ChannelPattern, NamespaceConfig};

use super::client::{self, Client};
use super::rng::Rng;

/// What a namespace says of its channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Publications; 0 for none.
    pub history_size: usize,
    pub ttl_ms: u64,
    /// New subscribers get the newest.
    pub cache: bool,
    /// The shortest time between two publications; 0 for no such limit.
    pub every_ms: u64,
}

/// The namespaces of a world.
#[derive(Default)]
pub struct Keepings {
    /// What holds for channels without a namespace of their own.
    general: Keeping,
    /// Those of single channels.
    own: Vec<Option<Keeping>>,
    /// Whether there are subscriptions to patterns of names.
    pub wildcards: bool,
    /// Whether owners know each of their channels' subscriptions; in worlds without patterns, of which they do not.
    pub presence: bool,
}

/// Where a subscriber wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    pub offset: u64,
    /// The stream that it means; `None` for whatever stream there is.
    pub epoch: Option<u64>,
    /// Whether that is another one than there is.
    pub is_of_another: bool,
}

/// When the owner has counted a subscriber in, and how many publications there were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    pub position: u64,
    pub at_ms: u64,
}

/// What a subscriber is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// All behind that offset.
    Behind(u64),
    /// A word that what it asked for is gone, and at the most what is published from then on.
    Gap,
}

/// What the world notes of its channels' owners.
#[derive(Default)]
pub struct Streams {
    pub logs: Vec<Log>,
    /// By channel, the name of its stream, where somebody has said it.
    pub epochs: Vec<Option<u64>>,
    /// When owners took up subscriptions of other shards: by shard, asker and number.
    pub asked: HashMap<(usize, u64, u32), u64>,
}

/// A channel's stream, as its owner has numbered it.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// When each publication was numbered, in ms.
    at_ms: Vec<u64>,
    /// Whether the newest message waits for its interval's end.
    pub is_holding: bool,
    /// Messages that were held back.
    pub held: u64,
    /// The newest message that the owner has taken, where the world has seen it.
    pub newest: Option<Vec<u8>>,
}

impl Keepings {
    pub fn draw(channels: usize, rng: &mut Rng) -> Self {
        if rng.chance(300) {
            return Self {
                own: vec![None; channels],
                ..Self::default()
            };
        }
        let wildcards = rng.chance(600);
        Self {
            presence: !wildcards && rng.chance(500),
            general: Keeping::draw(rng),
            own: (0..channels)
                .map(|_| rng.chance(500).then(|| Keeping::draw(rng)))
                .collect(),
            wildcards,
        }
    }

    /// What holds for a channel.
    pub fn of(&self, channel: usize) -> Keeping {
        self.own[channel].unwrap_or(self.general)
    }

    /// Whether subscriptions to patterns get what is published to a channel.
    pub fn reaches(&self, channel: usize) -> bool {
        self.wildcards && self.own[channel].is_none()
    }

    /// As a configuration has them.
    pub fn namespaces(&self) -> Result<Vec<NamespaceConfig>, String> {
        let of = |pattern: &str, keeping: &Keeping, wildcards| {
            Ok(NamespaceConfig {
                channels: ChannelPattern::parse(pattern).map_err(|e| e.to_string())?,
                history_size: keeping.history_size,
                history_ttl: Duration::from_millis(keeping.ttl_ms),
                // Bounds in bytes are tested where they are kept.
                history_bytes_max: 1 << 30,
                cache: keeping.cache,
                latest_every_ms: keeping.every_ms,
                presence: self.presence,
                wildcards,
                ..NamespaceConfig::default()
            })
        };
        let general = (self.general != Keeping::default() || self.wildcards || self.presence)
            .then(|| of("news.*", &self.general, self.wildcards));
        let own = self.own.iter().enumerate();
        let own = own.filter_map(|(channel, keeping)| {
            let name = client::channel_name(channel);
            keeping.as_ref().map(|keeping| of(&name, keeping, false))
        });
        general.into_iter().chain(own).collect()
    }
}

impl Keeping {
    /// Whether every message is published: not where the newest alone is.
    pub fn publishes_all(&self) -> bool {
        self.every_ms == 0
    }

    fn draw(rng: &mut Rng) -> Self {
        Self {
            history_size: rng.pick(&[0, 1, 3, 20, 1_000, 1_000]),
            ttl_ms: rng.pick(&[20, 200, 10_000, 3_600_000, 3_600_000]),
            cache: rng.chance(250),
            every_ms: match rng.chance(200) {
                true => rng.pick(&[5, 40, 200]),
                false => 0,
            },
        }
    }

    /// What one who was counted in then is to get.
    pub fn due(&self, log: &Log, began: Began, since: Option<Since>) -> Due {
        let position = began.position;
        let kept = self.kept(log, began);
        match since {
            Some(since)
                if !since.is_of_another
                    && since.offset <= position
                    && position - since.offset <= kept =>
            {
                Due::Behind(since.offset)
            }
            _ if self.cache => Due::Behind(position - kept.min(1)),
            Some(_) => Due::Gap,
            None => Due::Behind(position),
        }
    }

    /// How many of the publications up to a place are kept at a moment: the newest, as many and as old as may be.
    fn kept(&self, log: &Log, Began { position, at_ms }: Began) -> u64 {
        let most = self.history_size.max(usize::from(self.cache));
        let newest_first = log.at_ms[..position as usize].iter().rev();
        let young = newest_first.take_while(|&&numbered| numbered + self.ttl_ms > at_ms);
        young.take(most).count() as u64
    }
}

impl Streams {
    pub fn new(channels: usize) -> Self {
        Self {
            logs: vec![Log::default(); channels],
            epochs: vec![None; channels],
            asked: HashMap::new(),
        }
    }

    /// Publications so far, by channel.
    pub fn positions(&self) -> Vec<u64> {
        self.logs.iter().map(Log::len).collect()
    }
}

impl Log {
    /// Publications so far.
    pub fn len(&self) -> u64 {
        self.at_ms.len() as u64
    }

    /// The owner has taken messages in: so many publications, and so many that it holds back or has thrown away for a newer
    /// one.
    pub fn note(&mut self, now_ms: u64, numbered: u64, held: u64, newest: Option<Vec<u8>>) {
        if numbered + held == 0 {
            return;
        }
        self.newest = newest;
        self.at_ms
            .extend(std::iter::repeat_n(now_ms, numbered as usize));
        self.held += held;
        // At one moment the first may leave at the most, and what comes behind it is held.
        self.is_holding = held > 0 || (self.is_holding && numbered == 0);
    }

    /// Whether the message that is held back is due, and takes it as published if it is.
    pub fn release(&mut self, now_ms: u64, every_ms: u64) -> bool {
        let last_ms = self.at_ms.last().copied();
        let is_due = self.is_holding && last_ms.is_none_or(|last| last + every_ms <= now_ms);
        if is_due {
            let newest = self.newest.take();
            self.note(now_ms, 1, 0, newest);
        }
        is_due
    }

    /// The first publication that came too early behind the one before it.
    pub fn too_early(&self, every_ms: u64) -> Option<usize> {
        let mut pairs = self.at_ms.windows(2);
        pairs.position(|pair| pair[1] - pair[0] < every_ms)
    }
}

/// What a client asks for that goes on for another, and knows the stream or not: mostly its place, sometimes one that it
/// cannot have from this stream.
pub fn ask(offset: u64, epoch: Option<u64>, rng: &mut Rng) -> Since {
    let since = Since {
        offset,
        epoch: epoch.filter(|_| rng.chance(600)),
        is_of_another: false,
    };
    match (since.epoch, rng.below(100)) {
        (Some(epoch), 0..8) => Since {
            epoch: Some(epoch + 1),
            is_of_another: true,
            ..since
        },
        (_, 8..12) => Since {
            offset: offset + rng.within(1..=1_000) as u64,
            ..since
        },
        (_, 12..20) => Since {
            offset: offset.saturating_sub(rng.within(1..=30) as u64),
            ..since
        },
        _ => since,
    }
}

impl Since {
    /// As the raw protocol's query has it.
    pub fn query(&self) -> String {
        let Self { offset, epoch, .. } = self;
        match epoch {
            Some(epoch) => format!("?epoch={epoch:x}&offset={offset}"),
            None => format!("?offset={offset}"),
        }
    }
}

/// Publications before the first that one of a client's subscriptions is to get, or has got; `None` if it has not begun, or
/// ends with a gap.
pub fn start(
    keepings: &Keepings,
    streams: &Streams,
    client: &Client,
    subscription: usize,
) -> Option<u64> {
    let began = client.began[subscription]?;
    let channel = client.channels().nth(subscription)?;
    let log = &streams.logs[channel];
    match keepings.of(channel).due(log, began, client.since) {
        Due::Behind(start) => Some(start),
        Due::Gap if client.wants_stream => Some(began.position),
        Due::Gap => None,
    }
}
