//! Bringing all shards to rest, and saving them: what a live upgrade begins with.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::office::Office;
use crate::shard::mail::{Probed, Request, Saved, UpgradeStep};

/// Probes that follow each other at once; those behind them leave the shards a millisecond of their own.
const PROBES_AT_ONCE: usize = 16;

/// Wants all shards saved.
pub struct Hold {
    /// Whether connections that cannot be saved are closed before.
    pub closes_unsaved: bool,
    /// How long the shards may take to come to rest.
    pub within: Duration,
    /// Where it goes: the shards by their index.
    pub answer: oneshot::Sender<Result<Vec<Saved>, HoldError>>,
    /// When this comes, or its sender is gone, the shards go on.
    pub release: oneshot::Receiver<()>,
}

/// Why the shards were not saved; they have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// The server ends.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Something was under way all the time.
    #[error("the shards have not come to rest within {0:?}")]
    Restless(Duration),
}

impl Office {
    /// Brings the shards to rest, hands over what they are, and has them go on when that is wanted. Meanwhile no letter
    /// is opened.
    pub(super) async fn hold(&mut self, hold: Hold) {
        let Hold {
            closes_unsaved,
            within,
            answer,
            release,
        } = hold;
        if self.is_ending() {
            // Whoever asked may have gone.
            let _ = answer.send(Err(HoldError::ShuttingDown));
            return;
        }
        let deadline = Instant::now() + within;
        self.tell_all(UpgradeStep::Hold { closes_unsaved });
        let saved = timeout_at(deadline, self.rest_and_save()).await;
        let saved = saved.map_err(|_| HoldError::Restless(within));
        let is_saved = saved.is_ok();
        if answer.send(saved).is_ok() && is_saved {
            // An error is a release as well.
            let _ = release.await;
        }
        self.tell_all(UpgradeStep::Release);
        self.note_saved(None);
    }

    async fn rest_and_save(&mut self) -> Vec<Saved> {
        let mut before = None;
        for probe in 0.. {
            if probe >= PROBES_AT_ONCE {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let now = self.probe().await;
            if now.is_some() && now == before {
                break;
            }
            before = now;
        }
        self.note_saved(Some(Vec::new()));
        self.tell_all(UpgradeStep::Save);
        loop {
            self.exchange().await;
            if let Some(saved) = self.all_saved() {
                return saved;
            }
        }
    }

    /// How much mail the shards have sent each other so far, if all of them rest and none of it is under way.
    async fn probe(&mut self) -> Option<u64> {
        self.begin_probe();
        self.tell_all(UpgradeStep::Probe);
        let all = loop {
            self.exchange().await;
            if let Some(all) = self.all_probed() {
                break all;
            }
        };
        let sum = |count: fn(&Probed) -> u64| all.iter().map(count).sum::<u64>();
        let (sent, taken) = (sum(|one| one.sent), sum(|one| one.taken));
        (all.iter().all(|one| one.at_rest) && sent == taken).then_some(sent)
    }

    fn tell_all(&mut self, step: UpgradeStep) {
        self.send_to_all(&Request::Upgrade(step));
    }
}
