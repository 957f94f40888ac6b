//! SUBSCRIBE and UNSUBSCRIBE, and how a subscription begins: with what its client has missed, where it says where it
//! stands.

use std::rc::Rc;

use bytes::Bytes;

use super::Work;
use super::connected::{Connected, put_message, required};
use super::destination::{Destination, excerpt};
use super::error::ErrorReply;
use super::subscription::Subscription;
use crate::channel::Refused;
use crate::encoding::Form;
use crate::publication::{Begun, Kind, Position, Publication, Recovery, Since};
use crate::stomp::{AckMode, Frame, Version};

/// Bounds of the header `prefetch-count`, as those of the setting.
const PREFETCH_COUNT_MAX: u32 = 65_536;

/// Header lines of a MESSAGE that stands for those that cannot be had any more.
const GAP: &[u8] = b"gap:true\n";

impl Connected {
    pub(super) fn subscribe(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let id = match self.version {
            Version::V1_0 => id_if_any(frame),
            Version::V1_1 | Version::V1_2 => Some(required(frame, "id")?),
        };
        let text = required(frame, "destination")?;
        let name = id.unwrap_or(text);
        if self.subscriptions.iter().any(|one| one.name() == name) {
            return Err(ErrorReply::new(
                format!("there is a subscription \"{}\" already", excerpt(name)),
                "Give every subscription of the connection an id of its own.",
            ));
        }
        let mode = AckMode::parse(frame.header("ack")).map_err(|error| {
            let help = "Write auto, client or client-individual, or leave the header out.";
            ErrorReply::new(error.to_string(), help)
        })?;
        let prefetch_count = prefetch_count(frame, work.settings.prefetch_count)?;
        if self.subscriptions.len() >= work.settings.subscriptions_max {
            return Err(ErrorReply::subscriptions(work.settings.subscriptions_max));
        }
        let (destination, expires_at_ms) = self.may_subscribe(frame, text, work)?;
        let since = since(frame, &destination)?;
        let form = work.forms.find(self.version, id.unwrap_or_default(), text);
        let context = &mut *work.context;
        let number = match (&destination, mode) {
            (Destination::Queue(queue), _) => context.consume(queue.clone(), prefetch_count),
            (Destination::Topic(channel), AckMode::Auto) => {
                let form = Form::Stomp(form.clone());
                context.subscribe_with(channel.clone(), form, since, None)
            }
            (Destination::Topic(channel), _) => {
                context.subscribe_handed_since(channel.clone(), since)
            }
        };
        // Most have one.
        self.subscriptions.reserve_exact(1);
        let mut subscription = Subscription::new(form, number, &destination, mode, prefetch_count);
        subscription.recovers = since.is_some();
        self.subscriptions.push(subscription);
        self.wait_for(number, receipt.map(Rc::from));
        if let Some(expires_at_ms) = expires_at_ms {
            self.note_expiry(number, expires_at_ms, work);
        }
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let name = match self.version {
            Version::V1_0 => match id_if_any(frame) {
                Some(id) => id,
                None => required(frame, "destination")?,
            },
            Version::V1_1 | Version::V1_2 => required(frame, "id")?,
        };
        let Some(at) = self.subscriptions.iter().position(|s| s.name() == name) else {
            return Err(ErrorReply::new(
                format!("unknown subscription \"{}\"", excerpt(name)),
                "Write the id of a SUBSCRIBE of this connection.",
            ));
        };
        let subscription = self.subscriptions.remove(at);
        self.forget_expiry(subscription.number);
        // If its beginning has not been confirmed yet, nobody will any more.
        if let Some(receipt) = self.take_waiting(subscription.number).flatten() {
            self.put_receipt(&receipt, work);
        }
        match receipt {
            Some(receipt) => {
                let number = work.context.end_subscription_confirmed(subscription.number);
                self.wait_for(number, Some(receipt.into()));
            }
            None => work.context.end_subscription(subscription.number),
        }
        Ok(())
    }

    /// A subscription has begun, or was refused.
    pub fn subscribed(
        &mut self,
        number: u32,
        result: Result<Begun, Refused>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let receipt = self.take_waiting(number).flatten();
        let begun = match result {
            Ok(begun) => begun,
            Err(refused) => {
                self.subscriptions.retain(|one| one.number != number);
                return Err(ErrorReply::refused(&refused).with_receipt(receipt.as_deref()));
            }
        };
        let is_gap = begun.recovery == Recovery::Gap;
        let mut subscriptions = self.subscriptions.iter_mut();
        let found = subscriptions.find(|one| one.number == number);
        let recovers = found.as_ref().is_some_and(|one| one.recovers);
        if let Some(window) = found.and_then(|one| one.window.as_mut())
            && let Some(missed) = begun.recovery.missed()
        {
            window.grant(missed);
        }
        if let Some(receipt) = receipt {
            self.put_receipt_of(&receipt, recovers.then_some(!is_gap), work);
        }
        if is_gap {
            self.put_gap(number, begun.position, work);
        }
        self.leave_if_answered(work);
        // Most clients do nothing but subscribe.
        self.busy.take_if(|busy| busy.is_idle());
        Ok(())
    }

    /// Sends the MESSAGE that stands for what was missed and is not kept any more. It is acknowledged like any other:
    /// clients acknowledge all that they get.
    pub fn put_gap(&mut self, number: u32, position: Position, work: &mut Work<'_, '_>) {
        let version = self.version;
        let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.number == number) else {
            return;
        };
        if let Some(window) = &mut subscription.window {
            window.note_sent(position);
        }
        let gap = Publication {
            position,
            kind: Kind::Text,
            headers: Bytes::from_static(GAP),
            payload: Bytes::new(),
            publisher: None,
            channel: None,
        };
        put_message(version, subscription, &gap, false, work);
    }
}

/// The id of a subscription in 1.0, which needs none. An empty one is none: its MESSAGE frames are the
/// same.
fn id_if_any<'f>(frame: &'f Frame<'_>) -> Option<&'f str> {
    frame.header("id").filter(|id| !id.is_empty())
}

/// The window that a subscription asks for.
fn prefetch_count(frame: &Frame<'_>, default: u32) -> Result<u32, ErrorReply> {
    let Some(text) = frame.header("prefetch-count") else {
        return Ok(default);
    };
    match text.parse() {
        Ok(count @ 1..=PREFETCH_COUNT_MAX) => Ok(count),
        _ => Err(ErrorReply::new(
            format!("prefetch-count \"{}\" is no window", excerpt(text)),
            format!("Write a number from 1 to {PREFETCH_COUNT_MAX}."),
        )),
    }
}

/// From where on a subscription wants to recover: behind the message of that id, as its MESSAGE had it.
fn since(frame: &Frame<'_>, destination: &Destination) -> Result<Option<Since>, ErrorReply> {
    let Some(id) = frame.header("since") else {
        return Ok(None);
    };
    if matches!(destination, Destination::Queue(_)) {
        return Err(ErrorReply::new(
            "since on a queue, which has no history",
            "Leave the header out: what nobody has acknowledged is still in the queue.",
        ));
    }
    match Position::of_id(id) {
        Some(position) => Ok(Some(Since::Position(position))),
        None => Err(ErrorReply::new(
            format!("since \"{}\" is no message-id", excerpt(id)),
            "Write the message-id of the last MESSAGE that you have, or leave the header out.",
        )),
    }
}
