//! Live upgrades at any time: all shards are brought to rest and saved, and others made of what was saved go on with
//! their sockets; or the new process does not take over, and the old shards go on.

use std::collections::VecDeque;

use pushring::metrics::{Counters, DESCRIPTIONS};
use pushring::shard::mail::{Delivery, Probed, Request, UpgradeStep};
use pushring::shard::{SavedShard, Shard};

use super::client::Client;
use super::damage;
use super::driver::{Context, Driver, Poll, Token};
use super::plan::Sabotage;
use super::reloads::Brain;
use super::world::{RESTLESS, World};

/// Between the first epochs of one process and the next.
const EPOCHS: u64 = 1 << 40;

/// An upgrade that takes longer may make somebody look silent or late.
const LONG_MS: u64 = 100;

/// The control thread's side.
#[derive(Default)]
pub struct Upgrades {
    pub is_under_way: bool,
    /// How far each shard has come to rest, where it has said so.
    probed: Vec<Option<Probed>>,
    /// Processes that have taken over, and such that have not.
    pub done: u64,
    pub given_up: u64,
    /// Over all of those that have: connections with a backlog, and with an unfinished request or message.
    pub behind: u64,
}

/// A shard's side, as its driver knows it.
#[derive(Default)]
pub struct Hold {
    /// Nothing is read, accepted or waited for.
    pub is_held: bool,
    /// What came up meanwhile.
    pub deferred: VecDeque<Token>,
    /// Questions that are answered at the end of the turn.
    probes: usize,
    /// Mail to and from other shards.
    pub sent: u64,
    pub taken: u64,
}

impl Upgrades {
    /// A shard has answered.
    pub fn note(&mut self, shard: usize, probed: Probed) {
        if let Some(place) = self.probed.get_mut(shard) {
            *place = Some(probed);
        }
    }

    /// The letters under way, if all shards have answered: 0 letters are `Some(Some(sent))`.
    fn verdict(&self) -> Option<Option<u64>> {
        let all: Option<Vec<Probed>> = self.probed.iter().copied().collect();
        all.map(|all| {
            let sent: u64 = all.iter().map(|one| one.sent).sum();
            let taken: u64 = all.iter().map(|one| one.taken).sum();
            (all.iter().all(|one| one.at_rest) && sent == taken).then_some(sent)
        })
    }
}

impl World {
    /// A new process takes over, or does not in the end.
    pub(super) fn upgrade(&mut self) -> Result<(), String> {
        let began_ms = self.now_ms;
        self.upgrades.is_under_way = true;
        self.tell_all(UpgradeStep::Hold {
            closes_unsaved: true,
        });
        self.bring_to_rest()?;
        let takes_over = self.rng.chance(750);
        self.start_process(takes_over)?;
        if takes_over {
            self.upgrades.done += 1;
        } else {
            self.upgrades.given_up += 1;
            self.tell_all(UpgradeStep::Release);
        }
        self.upgrades.is_under_way = false;
        self.jumped |= self.now_ms - began_ms > LONG_MS;
        Ok(())
    }

    /// As `control::hold` does: until all rest and no mail is under way, twice in a row the same.
    fn bring_to_rest(&mut self) -> Result<(), String> {
        let mut before = None;
        for _ in 0..RESTLESS {
            let now = self.probe()?;
            if now.is_some() && now == before {
                return match self.is_at_rest() {
                    true => Ok(()),
                    false => Err("shards that are busy were taken for resting".to_owned()),
                };
            }
            before = now;
        }
        Err("the shards never come to rest".to_owned())
    }

    fn probe(&mut self) -> Result<Option<u64>, String> {
        self.upgrades.probed = vec![None; self.plan.shards];
        self.tell_all(UpgradeStep::Probe);
        for _ in 0..RESTLESS {
            self.now_ms += self.rng.below(2) as u64;
            self.advance();
            if let Some(verdict) = self.upgrades.verdict() {
                return Ok(verdict);
            }
        }
        Err("a shard does not say whether it rests".to_owned())
    }

    fn is_at_rest(&self) -> bool {
        self.mail.is_empty() && self.drivers.iter().all(|d| d.shard.is_at_rest())
    }

    fn tell_all(&mut self, step: UpgradeStep) {
        let all = (0..self.plan.shards).map(|shard| (shard, Request::Upgrade(step)));
        self.control_outgoing.extend(all);
    }

    /// The new process makes all shards of what was saved, and takes over if it is to.
    fn start_process(&mut self, takes_over: bool) -> Result<(), String> {
        let has_others = self.rng.chance(400);
        let brain = self.reloads.start_anew(&mut self.rng, has_others)?;
        let mut made = Vec::with_capacity(self.drivers.len());
        for driver in &mut self.drivers {
            let sabotage = self.plan.sabotage.filter(|_| takes_over);
            made.push(driver.successor(&brain, self.now_ms, sabotage, &mut self.sabotaged)?);
        }
        if self.plan.sabotage.is_none() {
            for (driver, shard) in self.drivers.iter().zip(&made) {
                driver.compare(shard)?;
            }
        }
        if takes_over {
            for (driver, shard) in self.drivers.iter_mut().zip(made) {
                self.upgrades.behind += shard.counters().backlogged;
                driver.go_on_with(shard, &mut self.clients);
                self.mail.ring(driver.index);
            }
        }
        Ok(())
    }
}

impl Driver {
    /// Heeds a step; questions are answered at the end of the turn.
    pub(super) fn note_step(&mut self, now_ms: u64, step: UpgradeStep) {
        match step {
            UpgradeStep::Hold { .. } => {
                self.hold.is_held = true;
                self.shard.end_unsaved(now_ms);
                if self.shard.counters().closed_upgrade > 0 {
                    self.fault = Some("a connection cannot be saved".to_owned());
                }
            }
            UpgradeStep::Release => {
                self.hold.is_held = false;
                self.tokens.append(&mut self.hold.deferred);
            }
            UpgradeStep::Probe => self.hold.probes += 1,
            UpgradeStep::Save => {}
        }
    }

    pub(super) fn answer_probes(&mut self, ctx: &mut Context<'_>) {
        for _ in 0..std::mem::take(&mut self.hold.probes) {
            let at_rest = self.shard.is_at_rest() && !self.has_work(ctx);
            let probed = Probed {
                at_rest,
                sent: self.hold.sent,
                taken: self.hold.taken,
            };
            let control = ctx.plan.shards;
            self.shard.post_delivery(control, Delivery::Probed(probed));
            self.post_mail(ctx);
        }
    }

    /// The shard as another process makes it of bytes.
    fn successor(
        &mut self,
        brain: &Brain,
        now_ms: u64,
        sabotage: Option<Sabotage>,
        sabotaged: &mut u64,
    ) -> Result<Shard, String> {
        let bytes = postcard::to_allocvec(&self.shard.save()).map_err(|e| e.to_string())?;
        let mut saved: SavedShard = postcard::from_bytes(&bytes).map_err(|e| e.to_string())?;
        if let Some(sabotage) = sabotage {
            saved = damage::strike(saved, sabotage, sabotaged)?;
        }
        self.identity.first_epoch += EPOCHS;
        Shard::restore(
            self.identity.clone(),
            brain.config.clone(),
            brain.sessions.clone(),
            brain.rules.clone(),
            saved,
            now_ms,
        )
        .map_err(|e| format!("shard {}: {e}", self.index))
    }

    /// The new shard counts what the old one did.
    fn compare(&self, new: &Shard) -> Result<(), String> {
        let closing = self.entries.iter().flatten().filter(|e| e.closing).count();
        let (old_residue, mut residue) = (self.shard.residue(), new.residue());
        residue.connections += closing;
        let old_counters = self.shard.counters();
        let mut counters = new.counters();
        if counters.accepted - counters.closed != counters.connections {
            return Err(format!(
                "shard {} has {} connections of {} accepted and {} closed",
                self.index, counters.connections, counters.accepted, counters.closed
            ));
        }
        counters.connections += closing as u64;
        counters.closed -= closing as u64;
        // Made anew when somebody asks.
        counters.recovery_bytes = old_counters.recovery_bytes;
        let window = |shard: &Shard| shard.config().queues.window_bytes_max;
        if window(new) != window(&self.shard) {
            // Other limits may let messages of queues go that have waited.
            let Counters {
                queue_messages,
                queue_unsettled,
                mailbox_depth,
                ..
            } = old_counters;
            counters = Counters {
                queue_messages,
                queue_unsettled,
                mailbox_depth,
                ..counters
            };
            residue.unsettled = old_residue.unsettled;
            residue.mail = old_residue.mail;
            residue.handed = old_residue.handed;
        }
        if residue != old_residue {
            return Err(format!("{old_residue:?} has become {residue:?}"));
        }
        // What has become too old while the shards were held is given up when it is restored.
        if counters.history_bytes < old_counters.history_bytes {
            counters.history_bytes = old_counters.history_bytes;
        }
        let values = old_counters.values().into_iter().zip(counters.values());
        for ((old, new), described) in values.zip(DESCRIPTIONS) {
            if old != new {
                return Err(format!("{} was {old} and is {new}", described.family));
            }
        }
        Ok(())
    }

    /// The new process's driver: all sockets are watched anew, but for those that it was not given.
    fn go_on_with(&mut self, shard: Shard, clients: &mut [Client]) {
        self.shard = shard;
        self.hold = Hold::default();
        self.tokens.clear();
        self.resumes_at_ms = None;
        for place in &mut self.entries {
            if let Some(entry) = place.take_if(|entry| entry.closing) {
                clients[entry.client].socket.server_closed = true;
            }
            if let Some(entry) = place {
                entry.read = Poll::Armed;
                entry.write = Poll::None;
            }
        }
    }
}
