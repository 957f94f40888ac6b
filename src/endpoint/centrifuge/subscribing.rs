//! Subscriptions: how they begin, at the client's wish or the server's, recover, and end.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Work;
use super::connected::{Connected, What, refused};
use super::fault::Fault;
use super::rights::{self, Granted};
use super::saved;
use super::timing::ttl_s;
use crate::centrifuge::command::{SubRefresh, Subscribe};
use crate::centrifuge::disconnect::Unsubscribed;
use crate::centrifuge::encode::{self, Subscribed};
use crate::centrifuge::position::parse_epoch;
use crate::centrifuge::{Disconnect, ErrorReply};
use crate::channel::{ChannelName, Refused};
use crate::encoding::{CentrifugeForm, Form};
use crate::publication::{Begun, ClientInfo, Position, Recovery, Since};

/// One channel that the client gets the publications of.
#[derive(Serialize, Deserialize)]
pub struct Subscription {
    /// Knows the channel; shared by all who are subscribed to it.
    #[serde(with = "saved::form")]
    pub form: Arc<CentrifugeForm>,
    /// What the shard calls it.
    pub number: u32,
    /// Whether the server has begun it.
    pub by_server: bool,
    /// Of what only some have.
    pub more: Option<Box<More>>,
}

/// What a subscription token has brought.
#[derive(Default, Serialize, Deserialize)]
pub struct More {
    /// When it expires.
    pub expires_at_ms: Option<u64>,
    /// Who the others of the channel are told that it is.
    pub info: Option<Arc<ClientInfo>>,
}

/// A subscription that has not begun yet, and who waits for that.
#[derive(Serialize, Deserialize)]
pub enum Begins {
    /// The client.
    Asked {
        /// Of its command.
        id: u32,
        /// Whether it wants what it has missed.
        recover: bool,
        /// Whether it wants no subscription where it cannot have that.
        rejects_unrecovered: bool,
    },
    /// The client was told by the reply to its connect command, and where it stands.
    Promised(Option<Position>),
    /// The client has yet to be told that the server has subscribed it.
    Ordered(Bytes),
}

impl Subscription {
    /// When it expires, if it does.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.more.as_ref()?.expires_at_ms
    }
}

impl Connected {
    pub(super) fn subscribe(
        &mut self,
        id: u32,
        asked: &Subscribe<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let channel = channel("subscribe", &asked.channel)?;
        if asked.kind.0 != 0 {
            let detail = "there are only subscriptions to streams (type 0)";
            return Err(ErrorReply::NOT_AVAILABLE.because(detail).into());
        }
        if asked.filter.is_some() {
            let detail = "this server does not filter by tags";
            return Err(ErrorReply::NOT_AVAILABLE.because(detail).into());
        }
        self.check_room(&channel, work)?;
        let granted = rights::subscribe(&self.identity, &channel, &asked.token, work)?;
        let recover = asked.recover.0;
        let since = recover.then(|| since(asked.offset.0, &asked.epoch));
        let begins = Begins::Asked {
            id,
            recover,
            rejects_unrecovered: asked.rejects_unrecovered(),
        };
        self.begin(channel, granted, since, begins, work);
        Ok(())
    }

    /// Whether there may be one more subscription, and there is none to that channel.
    pub(super) fn check_room(
        &self,
        channel: &ChannelName,
        work: &Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        if self.find(channel.as_str()).is_some() {
            return Err(ErrorReply::ALREADY_SUBSCRIBED);
        }
        let max = work.settings.subscriptions_max;
        if self.subscriptions.len() >= max {
            let detail = format!("over {max} subscriptions (limits.subscriptions_max)");
            return Err(ErrorReply::LIMIT_EXCEEDED.because(detail));
        }
        Ok(())
    }

    /// Asks for a subscription, to which nothing is opposed, and returns what the shard calls it.
    pub(super) fn begin(
        &mut self,
        channel: ChannelName,
        granted: Granted,
        since: Option<Since>,
        begins: Begins,
        work: &mut Work<'_, '_>,
    ) -> u32 {
        let form = work.forms.find(channel.as_str());
        let shown = rights::shows_subscribers(&channel, work);
        let own_info = (!granted.info.is_empty()).then(|| {
            let info = ClientInfo {
                chan_info: granted.info.clone(),
                ..(*self.info(work)).clone()
            };
            Arc::new(info)
        });
        let info = shown.then(|| own_info.clone().unwrap_or_else(|| self.info(work)));
        let number =
            (work.context).subscribe_with(channel, Form::Centrifuge(form.clone()), since, info);
        let has_more = granted.expires_at_ms.is_some() || own_info.is_some();
        let more = has_more.then(|| {
            Box::new(More {
                expires_at_ms: granted.expires_at_ms,
                info: own_info,
            })
        });
        self.subscriptions.push(Subscription {
            form,
            number,
            by_server: !matches!(begins, Begins::Asked { .. }),
            more,
        });
        self.wait_for(number, What::Subscribe(begins));
        if granted.expires_at_ms.is_some() {
            self.set_deadline(work);
        }
        number
    }

    /// A subscription has begun, or was refused.
    pub(super) fn subscribed(
        &mut self,
        number: u32,
        result: Result<Begun, Refused>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let Some(What::Subscribe(begins)) = self.take_waiting(number) else {
            return Ok(());
        };
        let begun = match result {
            Ok(begun) => begun,
            Err(error) => return self.not_begun(number, begins, error, work),
        };
        match begins {
            Begins::Asked {
                id,
                recover,
                rejects_unrecovered,
            } => {
                let recovered = (recover && begun.recoverable)
                    .then_some(matches!(begun.recovery, Recovery::Whole(_)));
                if recovered == Some(false) && rejects_unrecovered {
                    self.remove(number, work);
                    let error = ErrorReply::UNRECOVERABLE_POSITION;
                    work.say(|out| encode::put_error(out, id, &error));
                } else if let Some(subscription) = self.by_number(number) {
                    let now_ms = work.context.unix_ms();
                    let ttl_s = ttl_s(subscription.expires_at_ms(), now_ms);
                    let told = Subscribed {
                        ttl_s,
                        recovered,
                        ..standing(&begun)
                    };
                    work.say(|out| encode::put_subscribed(out, id, &told));
                }
                Ok(())
            }
            // It was told where it stands, which cannot be kept: it comes back and recovers, or hears of the gap.
            Begins::Promised(Some(_)) if !matches!(begun.recovery, Recovery::Whole(_)) => {
                Err(Disconnect::INSUFFICIENT_STATE.into())
            }
            Begins::Promised(_) => Ok(()),
            Begins::Ordered(data) => {
                if let Some(subscription) = self.by_number(number) {
                    let channel = subscription.form.channel();
                    let told = Subscribed {
                        data: &data,
                        ..standing(&begun)
                    };
                    work.say(|out| encode::put_subscribe_push(out, channel, &told));
                }
                Ok(())
            }
        }
    }

    fn not_begun(
        &mut self,
        number: u32,
        begins: Begins,
        error: Refused,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let subscription = self.take(number);
        match begins {
            Begins::Asked { id, .. } => {
                work.say(|out| encode::put_error(out, id, &refused(error)));
            }
            Begins::Promised(_) => {
                if let Some(subscription) = subscription {
                    let channel = subscription.form.channel();
                    work.say(|out| {
                        encode::put_unsubscribe_push(out, channel, Unsubscribed::SERVER);
                    });
                }
            }
            Begins::Ordered(_) => {}
        }
        Ok(())
    }

    /// The client has not been able to take all, and something was dropped: it is to come back and recover. With a
    /// subscription of the server's it does that only by connecting anew.
    pub(super) fn fallen_behind(
        &mut self,
        number: u32,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        if self.by_number(number).is_some_and(|one| one.by_server) {
            return Err(Disconnect::INSUFFICIENT_STATE.into());
        }
        self.end_subscription(number, Unsubscribed::INSUFFICIENT, work);
        Ok(())
    }

    /// No client may ask for the channel any more. What the server has begun goes on: nobody has asked for that.
    pub(super) fn end_forbidden(&mut self, number: u32, work: &mut Work<'_, '_>) {
        if self.by_number(number).is_some_and(|one| !one.by_server) {
            self.end_subscription(number, Unsubscribed::SERVER, work);
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        id: u32,
        name: &str,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        if name.is_empty() {
            return Err(Fault::bad_request("unsubscribe names no channel"));
        }
        if let Some(number) = self.find(name).map(|subscription| subscription.number) {
            self.remove(number, work);
            // It has begun and ended, with nothing in between.
            if let Some(What::Subscribe(Begins::Asked { id, .. })) = self.take_waiting(number) {
                work.say(|out| encode::put_subscribed(out, id, &Subscribed::default()));
            }
        }
        work.say(|out| encode::put_done(out, id, "unsubscribe"));
        Ok(())
    }

    pub(super) fn sub_refresh(
        &mut self,
        id: u32,
        refresh: &SubRefresh<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let channel = channel("sub_refresh", &refresh.channel)?;
        let Some(at) = self.position_of(channel.as_str()) else {
            return Err(ErrorReply::PERMISSION_DENIED
                .because("there is no subscription to that channel")
                .into());
        };
        if self.subscriptions[at].expires_at_ms().is_none() {
            return Err(Fault::bad_request("this subscription does not expire"));
        }
        if refresh.token.is_empty() {
            return Err(ErrorReply::BAD_REQUEST
                .because("sub_refresh has no token")
                .into());
        }
        let granted = rights::subscribe(&self.identity, &channel, &refresh.token, work)?;
        let more = self.subscriptions[at].more.get_or_insert_default();
        more.expires_at_ms = granted.expires_at_ms;
        self.set_deadline(work);
        let ttl_s = ttl_s(granted.expires_at_ms, work.context.unix_ms());
        work.say(|out| encode::put_sub_refreshed(out, id, ttl_s));
        Ok(())
    }

    /// Ends a subscription without the client's doing, and tells it why.
    pub(super) fn end_subscription(
        &mut self,
        number: u32,
        why: Unsubscribed,
        work: &mut Work<'_, '_>,
    ) {
        if let Some(What::Subscribe(Begins::Asked { id, .. })) = self.take_waiting(number) {
            work.say(|out| encode::put_subscribed(out, id, &Subscribed::default()));
        }
        if let Some(subscription) = self.remove(number, work) {
            let channel = subscription.form.channel();
            work.say(|out| encode::put_unsubscribe_push(out, channel, why));
        }
    }

    pub(super) fn find(&self, channel: &str) -> Option<&Subscription> {
        self.position_of(channel).map(|at| &self.subscriptions[at])
    }

    fn position_of(&self, channel: &str) -> Option<usize> {
        self.subscriptions
            .iter()
            .position(|subscription| subscription.form.channel() == channel)
    }

    fn by_number(&self, number: u32) -> Option<&Subscription> {
        self.subscriptions
            .iter()
            .find(|subscription| subscription.number == number)
    }

    fn remove(&mut self, number: u32, work: &mut Work<'_, '_>) -> Option<Subscription> {
        work.context.end_subscription(number);
        self.take(number)
    }

    fn take(&mut self, number: u32) -> Option<Subscription> {
        self.subscriptions.take(number)
    }
}

/// Where a subscriber stands before it gets the first publication, be that one that it has missed.
fn standing(begun: &Begun) -> Subscribed<'static> {
    let first = (begun.recovery.missed()).and_then(|missed| missed.iter().next());
    let position = first.map_or(begun.position, |first| Position {
        offset: first.position.offset.saturating_sub(1),
        ..first.position
    });
    Subscribed {
        position: begun.recoverable.then_some(position),
        ..Subscribed::default()
    }
}

/// From where on a client wants what it has missed. Without an epoch any stream is meant.
pub(super) fn since(offset: u64, epoch: &str) -> Since {
    if epoch.is_empty() {
        return Since::Offset(offset);
    }
    Since::Position(position(offset, epoch))
}

/// A place in a stream that a client names. Where it names an epoch that none can have, it is one that no
/// stream comes to.
pub(super) fn position(offset: u64, epoch: &str) -> Position {
    match parse_epoch(epoch) {
        Some(epoch) => Position { epoch, offset },
        None => Position {
            epoch: 0,
            offset: u64::MAX,
        },
    }
}

/// A channel that a command names.
pub(super) fn channel(command: &str, name: &str) -> Result<ChannelName, Fault> {
    if name.is_empty() {
        return Err(Fault::bad_request(format!("{command} names no channel")));
    }
    ChannelName::parse(name).map_err(|error| ErrorReply::BAD_REQUEST.because(error).into())
}
