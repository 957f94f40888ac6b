//! What time does to a connection: pings want an answer, tokens expire.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::connected::Connected;
use super::fault::Fault;
use super::{Settings, Work};
use crate::centrifuge::disconnect::Unsubscribed;
use crate::centrifuge::{Disconnect, encode};
use crate::endpoint::{Heartbeat, Timeout};

/// Times of a connection, in ms since 1970. Never 0, which is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When its token expires.
    expires_at: Option<NonZeroU64>,
    /// By when the oldest unanswered ping must be answered.
    pong_due: Option<NonZeroU64>,
    /// Pings that have not been answered.
    pings: u32,
    /// Whether the deadline that is set is that of a pong. It comes by the shard's own clock, whatever becomes of the time of
    /// day meanwhile.
    awaits_pong: bool,
}

impl Times {
    /// Of a connection that begins.
    pub fn new(expires_at_ms: Option<u64>) -> Self {
        let mut times = Self::default();
        times.set_expiry(expires_at_ms);
        times
    }

    /// When its token expires, if it does.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.expires_at.map(NonZeroU64::get)
    }

    /// It has another token, which expires then.
    pub fn set_expiry(&mut self, expires_at_ms: Option<u64>) {
        self.expires_at = expires_at_ms.map(at);
    }
}

/// A time that has long passed is as good as 0.
fn at(ms: u64) -> NonZeroU64 {
    NonZeroU64::new(ms).unwrap_or(NonZeroU64::MIN)
}

impl Connected {
    /// Pings from now on.
    pub fn start(&mut self, work: &mut Work<'_, '_>) {
        let interval_ms = u32::try_from(work.settings.ping_interval_ms).unwrap_or(u32::MAX);
        work.context.set_heartbeat(Heartbeat {
            send_every_ms: interval_ms,
            silence_ms_max: 0,
        });
        self.set_deadline(work);
    }

    /// Sees to it that the next time at which something is to be done is not missed.
    pub fn set_deadline(&mut self, work: &mut Work<'_, '_>) {
        let expires_ms = self.expires_ms(work.settings);
        // The time of day may have been set back since the ping.
        let latest_ms = work.context.unix_ms() + work.settings.pong_timeout_ms;
        let pong_ms = (self.times.pong_due).map(|due| due.get().min(latest_ms));
        self.times.awaits_pong = pong_ms
            .is_some_and(|pong_ms| expires_ms.is_none_or(|expires_ms| pong_ms <= expires_ms));
        let next_ms = expires_ms.into_iter().chain(pong_ms).min();
        work.context.set_deadline_at(next_ms);
    }

    /// Time has passed.
    pub fn timeout(&mut self, timeout: Timeout, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        match timeout {
            Timeout::Beat => self.ping(work),
            Timeout::Deadline => self.check(work)?,
            Timeout::Silence => return Ok(()),
        }
        self.set_deadline(work);
        Ok(())
    }

    /// The client has answered a ping.
    pub fn pong(&mut self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        let times = &mut self.times;
        if times.pings == 0 {
            return Err(Fault::bad_request("a pong that answers no ping"));
        }
        times.pings -= 1;
        let due_ms = work.context.unix_ms() + work.settings.pong_timeout_ms;
        times.pong_due = (times.pings > 0).then_some(at(due_ms));
        times.awaits_pong = false;
        if times.pings > 0 {
            self.set_deadline(work);
        }
        Ok(())
    }

    fn ping(&mut self, work: &mut Work<'_, '_>) {
        let due_ms = work.context.unix_ms() + work.settings.pong_timeout_ms;
        self.times.pings = self.times.pings.saturating_add(1);
        self.times.pong_due.get_or_insert(at(due_ms));
        work.context.send_text(encode::PING);
    }

    /// Does what is due.
    fn check(&mut self, work: &mut Work<'_, '_>) -> Result<(), Fault> {
        let now_ms = work.context.unix_ms();
        let expired_ms = work.settings.expired_ms;
        let has_expired = |at_ms: Option<u64>| {
            at_ms.is_some_and(|at_ms| at_ms.saturating_add(expired_ms) <= now_ms)
        };
        if std::mem::take(&mut self.times.awaits_pong) {
            if !work.context.is_behind() {
                return Err(Disconnect::NO_PONG.into());
            }
            // It may have answered: nobody reads what it says while it is behind.
            self.times.pong_due = Some(at(now_ms + work.settings.pong_timeout_ms));
        }
        if has_expired(self.times.expires_at_ms()) {
            return Err(Disconnect::EXPIRED.into());
        }
        let expired: Vec<u32> = (self.subscriptions.iter())
            .filter(|subscription| has_expired(subscription.expires_at_ms()))
            .map(|subscription| subscription.number)
            .collect();
        for number in expired {
            self.end_subscription(number, Unsubscribed::EXPIRED, work);
        }
        Ok(())
    }

    /// When the first token has expired for long enough.
    fn expires_ms(&self, settings: &Settings) -> Option<u64> {
        let subscriptions = self.subscriptions.iter();
        subscriptions
            .filter_map(|subscription| subscription.expires_at_ms())
            .chain(self.times.expires_at_ms())
            .min()
            .map(|at_ms| at_ms.saturating_add(settings.expired_ms))
    }
}

/// For how long something is still valid, in whole s.
pub fn ttl_s(expires_at_ms: Option<u64>, now_ms: u64) -> Option<u64> {
    expires_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms) / 1_000)
}
