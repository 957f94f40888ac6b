//! A connected client: what its commands ask for, and what comes for it.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Work;
use super::asking::Asked;
use super::fault::Fault;
use super::identity;
use super::subscribing::Begins;
use super::subscriptions::Subscriptions;
use super::timing::{Times, ttl_s};
use crate::centrifuge::command::{Refresh, Request};
use crate::centrifuge::{Disconnect, ErrorReply, encode};
use crate::channel::Refused;
use crate::publication::ClientInfo;
use crate::rules::Identity;

/// Questions of one connection that may wait for their answers, which can be long.
const QUESTIONS_MAX: usize = 32;

/// See the module's documentation.
#[derive(Serialize, Deserialize)]
pub struct Connected {
    /// Who it has proven to be.
    pub(super) identity: Identity,
    /// Who the others are told that it is; of somebody who has proven nothing made when it is first needed.
    info: Option<Arc<ClientInfo>>,
    pub(super) subscriptions: Subscriptions,
    /// What the shard has yet to answer, in the order in which it was asked. A client that only listens needs
    /// none.
    waiting: Option<Box<Waits>>,
    pub(super) times: Times,
}

/// In a box of its own, because most connections have nothing in it.
#[derive(Default, Serialize, Deserialize)]
struct Waits {
    all: VecDeque<Waiting>,
}

/// A command, or something of the server's, that the shard has yet to answer.
#[derive(Serialize, Deserialize)]
pub(super) struct Waiting {
    /// What the shard calls it.
    pub number: u32,
    pub what: What,
}

/// What is answered.
#[derive(Serialize, Deserialize)]
pub(super) enum What {
    /// A subscription begins.
    Subscribe(Begins),
    /// A publication gets its place; the id of its command.
    Publish(u32),
    /// Something about a channel; the id of its command.
    Question(u32, Asked),
}

impl Connected {
    pub fn new(
        identity: Identity,
        info: Option<Arc<ClientInfo>>,
        expires_at_ms: Option<u64>,
    ) -> Self {
        Self {
            identity,
            info,
            subscriptions: Subscriptions::default(),
            waiting: None,
            times: Times::new(expires_at_ms),
        }
    }

    /// A command of the client's.
    pub fn handle(
        &mut self,
        id: u32,
        request: Request<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        match request {
            Request::Pong => self.pong(work),
            Request::Connect(_) => Err(Fault::bad_request("the connection is connected already")),
            Request::Subscribe(subscribe) => self.subscribe(id, &subscribe, work),
            Request::Unsubscribe(named) => self.unsubscribe(id, &named.channel, work),
            Request::Publish(publish) => self.publish(id, &publish, work),
            Request::Presence(named) => self.presence(id, &named.channel, work),
            Request::PresenceStats(named) => self.presence_stats(id, &named.channel, work),
            Request::History(history) => self.history(id, &history, work),
            Request::Rpc => {
                let detail = "this server has no methods for clients to call";
                Err(ErrorReply::METHOD_NOT_FOUND.because(detail).into())
            }
            Request::Ping => {
                let detail = "the server pings, and clients answer with {}";
                Err(ErrorReply::NOT_AVAILABLE.because(detail).into())
            }
            // It would not learn otherwise that nobody gets it.
            Request::Send => Err(Disconnect::NOT_AVAILABLE.into()),
            Request::Refresh(refresh) => self.refresh(id, &refresh, work),
            Request::SubRefresh(refresh) => self.sub_refresh(id, &refresh, work),
        }
    }

    /// Who the others are told that it is.
    pub(super) fn info(&mut self, work: &Work<'_, '_>) -> Arc<ClientInfo> {
        let info = self.info.get_or_insert_with(|| {
            Arc::new(ClientInfo {
                client: work.context.name().to_string().into(),
                ..ClientInfo::default()
            })
        });
        info.clone()
    }

    pub(super) fn wait_for(&mut self, number: u32, what: What) {
        let waiting = Waiting { number, what };
        self.waiting.get_or_insert_default().all.push_back(waiting);
    }

    /// The one that is answered now.
    pub(super) fn take_waiting(&mut self, number: u32) -> Option<What> {
        let Waits { all } = &mut **self.waiting.as_mut()?;
        let at = all.iter().position(|one| one.number == number)?;
        let taken = all.remove(at);
        self.waiting.take_if(|waiting| waiting.all.is_empty());
        taken.map(|taken| taken.what)
    }

    /// Whether one more question may be asked.
    pub(super) fn may_ask(&self) -> Result<(), Fault> {
        let waiting = self.waiting.iter().flat_map(|waiting| &waiting.all);
        let questions = waiting.filter(|one| matches!(one.what, What::Question(..)));
        if questions.count() < QUESTIONS_MAX {
            return Ok(());
        }
        let detail = format!("{QUESTIONS_MAX} questions wait for their answers: wait for one");
        Err(ErrorReply::TOO_MANY_REQUESTS.because(detail).into())
    }

    fn refresh(
        &mut self,
        id: u32,
        refresh: &Refresh<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        if refresh.token.is_empty() {
            return Err(Fault::bad_request("refresh has no token"));
        }
        let (Some(user), Some(_)) = (self.identity.name(), self.times.expires_at_ms()) else {
            return Err(Fault::bad_request("this connection does not expire"));
        };
        let proven = identity::prove_again(user, &refresh.token, work)?;
        self.identity = proven.identity;
        self.info = proven.info;
        let expires_at_ms = proven.expires_at_ms;
        self.times.set_expiry(expires_at_ms);
        self.set_deadline(work);
        let client = work.context.name().to_string();
        let ttl_s = ttl_s(expires_at_ms, work.context.unix_ms());
        work.say(|out| encode::put_refreshed(out, id, &client, super::connect::SERVER, ttl_s));
        Ok(())
    }
}

/// A limit of the server's.
pub(super) fn refused(refused: Refused) -> ErrorReply {
    ErrorReply::LIMIT_EXCEEDED.because(refused)
}
