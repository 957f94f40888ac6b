//! Other settings at any time: only such as no check counts on.

use std::sync::Arc;

use pushring::config::Config;
use pushring::rules::Rules;
use pushring::session::Settings;
use pushring::shard::Live;
use pushring::shard::mail::Request;

use super::rng::Rng;

/// What shards are made with besides their identities.
#[derive(Clone)]
pub struct Brain {
    pub config: Arc<Config>,
    pub sessions: Arc<Settings>,
    pub rules: Arc<Rules>,
}

/// Makes what the control thread sends all shards.
pub struct Reloads {
    config: Config,
    sessions: Arc<Settings>,
    version: u64,
    /// The newest version that each shard works with.
    taken_over: Vec<u64>,
}

impl Reloads {
    /// Of a world with so many shards that begins with these.
    pub fn new(config: &Config, sessions: Arc<Settings>, shards: usize) -> Self {
        Self {
            config: config.clone(),
            sessions,
            version: 0,
            taken_over: vec![0; shards],
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.version
    }

    /// A shard says that it works with a version: with each once and in order.
    pub fn note(&mut self, shard: usize, version: u64) -> Result<(), String> {
        let newest = &mut self.taken_over[shard];
        if version != *newest + 1 {
            return Err(format!(
                "shard {shard} took over version {version} after {newest}"
            ));
        }
        *newest = version;
        Ok(())
    }

    /// All shards work with the newest.
    pub fn check(&self) -> Result<(), String> {
        match self
            .taken_over
            .iter()
            .position(|&newest| newest != self.version)
        {
            Some(shard) => Err(format!(
                "shard {shard} never took over version {}",
                self.version
            )),
            None => Ok(()),
        }
    }

    /// What a new process reads, perhaps other settings than those that held before.
    pub fn start_anew(&mut self, rng: &mut Rng, has_others: bool) -> Result<Brain, String> {
        if has_others {
            self.draw_config(rng);
        }
        self.sessions = Arc::new(Settings::new(&self.config).map_err(|e| e.to_string())?);
        Ok(Brain {
            config: Arc::new(self.config.clone()),
            sessions: self.sessions.clone(),
            rules: Arc::new(Rules::new(&self.config).map_err(|e| e.to_string())?),
        })
    }

    /// The next, for each shard.
    pub fn draw(&mut self, rng: &mut Rng) -> Result<Request, String> {
        self.draw_config(rng);
        let config = &self.config;
        self.sessions = Arc::new(self.sessions.renewed(config).map_err(|e| e.to_string())?);
        self.version += 1;
        Ok(Request::Reload(Arc::new(Live {
            version: self.version,
            config: Arc::new(config.clone()),
            sessions: self.sessions.clone(),
            rules: Arc::new(Rules::new(config).map_err(|e| e.to_string())?),
        })))
    }

    fn draw_config(&mut self, rng: &mut Rng) {
        let config = &mut self.config;
        config.fanout.sends_per_turn_max = rng.pick(&[1, 2, 7, 50, 4_096]);
        config.fanout.lane_bytes_max = rng.pick(&[64, 500, 4_096, 1_048_576]);
        config.fanout.merge_bytes_max = rng.pick(&[0, 1_000, 16_384]);
        config.deflate.message_bytes_min = rng.pick(&[0, 100, 256]);
        config.deflate.level = rng.pick(&[1, 6]);
        config.queues.window_bytes_max = rng.pick(&[1_024, 4_000, 1 << 20]);
    }
}
