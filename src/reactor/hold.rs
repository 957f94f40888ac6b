//! A live upgrade as one shard's driver sees it: held, at rest, saved; and in the new process taken up again.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::ready::Token;
use super::{Brain, Reactor, sys};
use crate::shard::mail::{Delivery, Probed, Saved, SavedListener, UpgradeStep};
use crate::shard::{RestoreError, SavedShard, Shard};
use crate::table::Key;

/// Whether the shard is held, and what it is asked meanwhile.
#[derive(Default)]
pub struct Hold {
    held: bool,
    /// What came up while it was held.
    deferred: Vec<Token>,
    /// To be answered at the end of the turn.
    asked: Vec<UpgradeStep>,
    /// Mail sent to other shards.
    pub sent: u64,
    /// Mail taken from other shards.
    pub taken: u64,
}

impl Hold {
    /// Whether nothing is to be read, accepted or waited for.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Whether the token is left for later: whatever comes from outside.
    pub fn defers(&mut self, token: Token) -> bool {
        let defers = self.held && token != Token::Doorbell;
        if defers {
            self.deferred.push(token);
        }
        defers
    }
}

/// What a new process makes the reactor and its shard of.
#[derive(Serialize, Deserialize)]
pub struct SavedReactor {
    /// When its clock began; see [`Clock::began_ns`].
    clock_began_ns: u64,
    shard: SavedShard,
    sockets: Vec<(Key, RawFd)>,
    turns: Vec<u64>,
    turn_count: u64,
    turn_ns: u64,
}

/// Why a shard cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The bytes are no saved shard of this version.
    #[error("the saved state cannot be read: {0}")]
    Bytes(#[from] postcard::Error),
    /// They are, but it does not fit together.
    #[error(transparent)]
    State(#[from] RestoreError),
    /// A descriptor is not there.
    #[error("a socket has not been handed over: {0}")]
    Socket(io::Error),
}

/// Looks whether a shard could be taken up here, with all that was saved of it. Its sockets need not be there.
///
/// # Errors
/// [`ResumeError`].
pub fn check(brain: &Brain, saved: &[u8]) -> Result<usize, ResumeError> {
    let saved: SavedReactor = postcard::from_bytes(saved)?;
    let now_ms = Clock::resume(saved.clock_began_ns).now_ms();
    let sockets = saved.sockets.len();
    restore(brain, saved.shard, now_ms)?;
    Ok(sockets)
}

/// The brain that was saved.
fn restore(brain: &Brain, saved: SavedShard, now_ms: u64) -> Result<Shard, RestoreError> {
    Shard::restore(
        brain.identity.clone(),
        brain.config.clone(),
        brain.sessions.clone(),
        brain.rules.clone(),
        saved,
        now_ms,
    )
}

/// What a reactor is given besides its shard when that has been taken up.
pub struct Resumed {
    clock: Clock,
    sockets: Vec<(Key, RawFd)>,
    turns: Vec<u64>,
    turn_count: u64,
    turn_ns: u64,
}

impl Resumed {
    /// Takes up what was saved: the shard, and the rest.
    pub fn new(brain: &Brain, saved: &[u8]) -> Result<(Shard, Self), ResumeError> {
        let saved: SavedReactor = postcard::from_bytes(saved)?;
        let clock = Clock::resume(saved.clock_began_ns);
        let shard = restore(brain, saved.shard, clock.now_ms())?;
        let resumed = Self {
            clock,
            sockets: saved.sockets,
            turns: saved.turns,
            turn_count: saved.turn_count,
            turn_ns: saved.turn_ns,
        };
        Ok((shard, resumed))
    }
}

impl Reactor {
    /// Goes on with a shard that was saved: `self` has been made with its brain.
    pub(super) fn resume(&mut self, resumed: Resumed) -> Result<(), ResumeError> {
        self.clock = resumed.clock;
        self.metrics.resume_turns(&resumed.turns);
        self.turn_count = resumed.turn_count;
        self.turn_ns = resumed.turn_ns;
        for (id, fd) in resumed.sockets {
            let fd = sys::take_over(fd).map_err(ResumeError::Socket)?;
            self.sockets.insert(id, fd);
        }
        Ok(())
    }

    /// Heeds a step of an upgrade. Questions are answered at the end of the turn.
    pub(super) fn note_step(&mut self, now_ms: u64, step: UpgradeStep) {
        match step {
            UpgradeStep::Hold { closes_unsaved } => {
                self.hold.held = true;
                if closes_unsaved {
                    self.shard.end_unsaved(now_ms);
                }
            }
            UpgradeStep::Release => {
                self.hold.held = false;
                self.tokens.extend(self.hold.deferred.drain(..));
            }
            UpgradeStep::Probe | UpgradeStep::Save => self.hold.asked.push(step),
        }
    }

    /// Answers the questions of this turn.
    pub(super) fn answer_steps(&mut self) {
        let Some(control) = self.mail.peers().last() else {
            return;
        };
        for step in std::mem::take(&mut self.hold.asked) {
            let delivery = match step {
                UpgradeStep::Probe => Delivery::Probed(Probed {
                    at_rest: self.shard.is_at_rest() && !self.has_work(),
                    sent: self.hold.sent,
                    taken: self.hold.taken,
                }),
                _ => Delivery::Saved(Box::new(self.save())),
            };
            self.shard.post_delivery(control, delivery);
        }
        self.post_mail();
    }

    fn save(&self) -> Saved {
        let sockets = self.sockets.iter();
        let sockets: Vec<(Key, RawFd)> = sockets.map(|(id, fd)| (id, fd.as_raw_fd())).collect();
        let descriptors = sockets.iter().map(|(_, fd)| *fd).collect();
        let saved = SavedReactor {
            clock_began_ns: self.clock.began_ns(),
            shard: self.shard.save(),
            sockets,
            turns: self.metrics.turns().to_vec(),
            turn_count: self.turn_count,
            turn_ns: self.turn_ns,
        };
        // Writing into memory fails for no value that is made of plain parts; nothing is no saved shard.
        let bytes = postcard::to_allocvec(&saved).unwrap_or_default();
        Saved {
            bytes: bytes.into(),
            sockets: descriptors,
            listener: self.acceptor.listener().map(|listener| SavedListener {
                fd: listener.socket.as_raw_fd(),
                given: listener.given,
                shared: listener.shared,
            }),
        }
    }
}
