//! A connected client: what its frames ask for, and what comes for it.

mod saved;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Work;
use super::destination::Destination;
use super::error::ErrorReply;
use super::rights::Who;
use super::subscription::Subscription;
use super::transaction::{Action, Outgoing, Transactions};
use crate::channel::{ChannelName, Refused, Verdict};
use crate::publication::{Draft, ID_BYTES_MAX, Kind, Position, Publication};
use crate::stomp::encode::{self, MessageHead};
use crate::stomp::{Command, Frame, Version};
use crate::ws::close::CloseCode;

/// See the module's documentation.
#[derive(Serialize, Deserialize)]
pub struct Connected {
    pub(super) version: Version,
    /// Who the client is, if it is anybody.
    pub(super) who: Option<Box<Who>>,
    silence_ms: u32,
    pub(super) subscriptions: Vec<Subscription>,
    /// What a client that only listens does not need.
    pub(super) busy: Option<Box<Busy>>,
    /// DISCONNECT has come and has been done.
    has_left: bool,
}

/// What is under way.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Busy {
    pub(super) transactions: Transactions,
    /// What the shard has yet to answer, in the order in which it was asked.
    #[serde(with = "saved::waiting")]
    waiting: VecDeque<Waiting>,
    /// DISCONNECT has come, and with it perhaps a receipt.
    leaving: Option<Option<Box<str>>>,
}

/// A message or a subscription that its owner has yet to confirm.
struct Waiting {
    number: u32,
    /// Due when the last of those that share it has been confirmed.
    receipt: Option<Rc<str>>,
}

impl Busy {
    pub(super) fn is_idle(&self) -> bool {
        self.transactions.is_empty() && self.waiting.is_empty() && self.leaving.is_none()
    }
}

impl Connected {
    pub fn new(version: Version, who: Option<Box<Who>>, silence_ms: u32) -> Self {
        Self {
            version,
            who,
            silence_ms,
            subscriptions: Vec::new(),
            busy: None,
            has_left: false,
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// How long the client may say nothing, in ms; 0 for as long as it likes.
    pub fn silence_ms(&self) -> u32 {
        self.silence_ms
    }

    /// Whether the client has said good-bye and the connection is being closed.
    pub fn has_left(&self) -> bool {
        self.has_left
    }

    /// A frame of the client's.
    pub fn handle(&mut self, frame: &Frame<'_>, work: &mut Work<'_, '_>) -> Result<(), ErrorReply> {
        // Behind DISCONNECT nothing counts any more.
        if self.is_leaving() {
            return Ok(());
        }
        let receipt = frame.header("receipt");
        self.obey(frame, receipt, work)
            .map_err(|error| error.with_receipt(receipt))
    }

    /// A message has its place, or was refused.
    pub fn published(
        &mut self,
        number: u32,
        result: Result<Position, Refused>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        self.answered(number, result, work)
    }

    /// A queue knows what it was told.
    pub fn done(&mut self, number: u32, work: &mut Work<'_, '_>) {
        if let Some(receipt) = self.take_waiting(number).flatten() {
            self.put_receipt_if_last(receipt, work);
        }
        self.leave_if_answered(work);
    }

    /// Something has come on a subscription that is no lane.
    pub fn publication(
        &mut self,
        number: u32,
        publication: &Publication,
        redelivered: bool,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let version = self.version;
        let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.number == number) else {
            return Ok(());
        };
        let of_queue = subscription.of_queue;
        match &mut subscription.window {
            // The queue counts on an answer, which an automatic consumer gives by taking it.
            None => {
                let offsets = vec![publication.position.offset];
                work.context.settle(number, offsets, Verdict::Accept);
            }
            Some(window) if of_queue || window.has_room() => window.note_sent(publication.position),
            Some(window) => {
                let max = work.settings.waiting_bytes_max;
                if window.push_waiting(publication) > max {
                    return Err(ErrorReply::window_full(subscription.name(), max));
                }
                return Ok(());
            }
        }
        put_message(version, subscription, publication, redelivered, work);
        Ok(())
    }

    /// No client may have the subscription of that number any more: an error if it is there.
    pub fn end_forbidden(&self, number: u32) -> Result<(), ErrorReply> {
        let mut subscriptions = self.subscriptions.iter();
        match subscriptions.find(|subscription| subscription.number == number) {
            Some(subscription) => Err(ErrorReply::forbidden(subscription.form.destination())),
            None => Ok(()),
        }
    }

    /// Somebody has ordered the end of the subscription to a topic, or of all subscriptions: an error if there
    /// is one.
    pub fn end_topic(&self, channel: Option<&ChannelName>) -> Result<(), ErrorReply> {
        let is_meant = |subscription: &&Subscription| {
            let destination = subscription.form.destination();
            channel
                .is_none_or(|channel| destination.strip_prefix("/topic/") == Some(channel.as_str()))
        };
        match self.subscriptions.iter().find(is_meant) {
            Some(subscription) => Err(ErrorReply::unsubscribed(subscription.name())),
            None => Ok(()),
        }
    }

    /// Sends a RECEIPT.
    pub fn put_receipt(&mut self, receipt: &str, work: &mut Work<'_, '_>) {
        self.put_receipt_of(receipt, None, work);
    }

    /// The same, of a SUBSCRIBE that wanted to recover: whether it has.
    pub(super) fn put_receipt_of(
        &mut self,
        receipt: &str,
        recovered: Option<bool>,
        work: &mut Work<'_, '_>,
    ) {
        work.scratch.clear();
        encode::put_receipt(work.scratch, self.version, receipt, recovered);
        work.context.send_kind(Kind::Text, work.scratch);
    }

    fn obey(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        // STOMP 1.0 does not say that others must have none.
        if frame.command != Command::Send
            && self.version != Version::V1_0
            && !frame.body().is_empty()
        {
            return Err(ErrorReply::body(frame.command));
        }
        match frame.command {
            Command::Connect | Command::Stomp => {
                return Err(ErrorReply::new(
                    format!("{} on a connection that is connected", frame.command),
                    "Open a WebSocket of its own for each session.",
                ));
            }
            // Their receipts come when the owner has answered.
            Command::Send if frame.header("transaction").is_none() => {
                let outgoing = outgoing(frame)?;
                self.may_send(&outgoing, work)?;
                self.send(outgoing, receipt.map(Rc::from), work);
                return Ok(());
            }
            Command::Subscribe => return self.subscribe(frame, receipt, work),
            Command::Unsubscribe => return self.unsubscribe(frame, receipt, work),
            Command::Ack => return self.acknowledge(frame, Verdict::Accept, receipt, work),
            Command::Nack => return self.acknowledge(frame, Verdict::Return, receipt, work),
            Command::Commit => return self.commit(frame, receipt, work),
            Command::Disconnect => {
                self.busy().leaving = Some(receipt.map(Into::into));
                self.leave_if_answered(work);
                return Ok(());
            }
            Command::Send => {
                let outgoing = outgoing(frame)?;
                self.may_send(&outgoing, work)?;
                let action = Action::Send(outgoing);
                let name = required(frame, "transaction")?;
                self.busy().transactions.add(name, action, work.settings)?;
            }
            Command::Begin => {
                let name = required(frame, "transaction")?;
                self.busy().transactions.begin(name, work.settings)?;
            }
            Command::Abort => {
                let name = required(frame, "transaction")?;
                self.busy().transactions.end(name)?;
            }
        }
        if let Some(receipt) = receipt {
            self.put_receipt(receipt, work);
        }
        Ok(())
    }

    fn send(&mut self, outgoing: Outgoing, receipt: Option<Rc<str>>, work: &mut Work<'_, '_>) {
        let Outgoing {
            destination,
            kind,
            headers,
            payload,
        } = outgoing;
        let number = match destination {
            Destination::Topic(channel) => {
                let draft = Draft {
                    kind,
                    headers,
                    payload,
                    publisher: None,
                    skip_history: false,
                };
                work.context.publish_draft(channel, draft)
            }
            Destination::Queue(queue) => work.context.enqueue_with(queue, kind, headers, payload),
        };
        self.wait_for(number, receipt);
    }

    fn commit(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let name = required(frame, "transaction")?;
        let actions = self.busy().transactions.end(name)?;
        // The rules may be others by now.
        for action in &actions {
            if let Action::Send(outgoing) = action {
                self.may_send(outgoing, work)?;
            }
        }
        let receipt: Option<Rc<str>> = receipt.map(Rc::from);
        for action in actions {
            match action {
                Action::Send(outgoing) => self.send(outgoing, receipt.clone(), work),
                Action::Settle(unsettled, verdict) => {
                    self.settle(unsettled, verdict, receipt.clone(), work);
                }
            }
        }
        if let Some(receipt) = receipt {
            self.put_receipt_if_last(receipt, work);
        }
        Ok(())
    }

    /// The owner has answered for a message.
    fn answered(
        &mut self,
        number: u32,
        result: Result<Position, Refused>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let receipt = self.take_waiting(number).flatten();
        if let Err(refused) = result {
            return Err(ErrorReply::refused(&refused).with_receipt(receipt.as_deref()));
        }
        if let Some(receipt) = receipt {
            self.put_receipt_if_last(receipt, work);
        }
        self.leave_if_answered(work);
        Ok(())
    }

    pub(super) fn wait_for(&mut self, number: u32, receipt: Option<Rc<str>>) {
        let waiting = Waiting { number, receipt };
        self.busy().waiting.push_back(waiting);
    }

    pub(super) fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    fn is_leaving(&self) -> bool {
        let leaving = self
            .busy
            .as_ref()
            .is_some_and(|busy| busy.leaving.is_some());
        self.has_left || leaving
    }

    pub(super) fn take_waiting(&mut self, number: u32) -> Option<Option<Rc<str>>> {
        let waiting = &mut self.busy.as_mut()?.waiting;
        let at = waiting.iter().position(|one| one.number == number)?;
        Some(waiting.remove(at)?.receipt)
    }

    /// Sends a receipt if nothing else waits for it any more.
    pub(super) fn put_receipt_if_last(&mut self, receipt: Rc<str>, work: &mut Work<'_, '_>) {
        if Rc::strong_count(&receipt) == 1 {
            self.put_receipt(&receipt, work);
        }
    }

    /// Closes the connection if DISCONNECT has come and all before it is done.
    pub(super) fn leave_if_answered(&mut self, work: &mut Work<'_, '_>) {
        let Some(busy) = &mut self.busy else {
            return;
        };
        if busy.waiting.is_empty()
            && let Some(receipt) = busy.leaving.take()
        {
            self.has_left = true;
            if let Some(receipt) = receipt {
                self.put_receipt(&receipt, work);
            }
            work.context.close(CloseCode::NORMAL, "");
        }
    }
}

/// What a SEND wants to be sent.
fn outgoing(frame: &Frame<'_>) -> Result<Outgoing, ErrorReply> {
    let body = frame.body();
    Ok(Outgoing {
        destination: Destination::to_send(required(frame, "destination")?)?,
        kind: Kind::of(body),
        headers: frame.user_headers().as_bytes().clone(),
        payload: Bytes::copy_from_slice(body),
    })
}

/// Sends a MESSAGE to this connection alone.
pub(super) fn put_message(
    version: Version,
    subscription: &Subscription,
    publication: &Publication,
    redelivered: bool,
    work: &mut Work<'_, '_>,
) {
    let mut id = [0; ID_BYTES_MAX];
    let message_id = publication.position.as_id(&mut id);
    let mut ack = String::new();
    if version == Version::V1_2 && subscription.window.is_some() {
        // Writing to a string cannot fail.
        let _ = write!(ack, "{}-{message_id}", subscription.number);
    }
    let head = MessageHead {
        version,
        subscription: subscription.form.subscription(),
        message_id,
        destination: &subscription.form.destination_of(publication),
        ack: (!ack.is_empty()).then_some(&*ack),
        redelivered,
        headers: &publication.headers,
        default_content_type: None,
    };
    work.scratch.clear();
    encode::put_message(work.scratch, &head, &publication.payload);
    work.context.send_kind(publication.kind, work.scratch);
}

pub(super) fn required<'f>(frame: &'f Frame<'_>, header: &str) -> Result<&'f str, ErrorReply> {
    frame
        .header(header)
        .ok_or_else(|| ErrorReply::missing(frame.command, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_subscriber_has_stays_small() {
        assert!(size_of::<Connected>() <= 48);
        assert!(size_of::<Subscription>() <= 24);
    }
}
