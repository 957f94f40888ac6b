//! A connected client: what its frames ask for, and what comes for it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;

use super::Work;
use super::destination::{Destination, excerpt};
use super::error::ErrorReply;
use super::subscription::{Standing, Subscription, Unsettled};
use super::transaction::{Action, Outgoing, Transactions};
use crate::channel::{Refused, Verdict};
use crate::encoding::Form;
use crate::publication::{ID_BYTES_MAX, Kind, Position, Publication};
use crate::stomp::encode::{self, MessageHead};
use crate::stomp::{AckMode, Command, Frame, Version};
use crate::ws::close::CloseCode;

/// Bounds of the header `prefetch-count`, as those of the setting.
const PREFETCH_COUNT_MAX: u32 = 65_536;

/// See the module's documentation.
pub struct Connected {
    version: Version,
    /// Who it says it is.
    user: Option<Box<str>>,
    silence_ms: u32,
    subscriptions: Vec<Subscription>,
    transactions: Transactions,
    /// What the shard has yet to answer, in the order in which it was asked.
    waiting: VecDeque<Waiting>,
    /// DISCONNECT has come, and with it perhaps a receipt.
    leaving: Option<Option<Box<str>>>,
    /// It has been done.
    has_left: bool,
}

/// A message or a subscription that its owner has yet to confirm.
struct Waiting {
    number: u32,
    /// Due when the last of those that share it has been confirmed.
    receipt: Option<Rc<str>>,
}

impl Connected {
    pub fn new(version: Version, user: Option<&str>, silence_ms: u32) -> Self {
        Self {
            version,
            user: user.map(Into::into),
            silence_ms,
            subscriptions: Vec::new(),
            transactions: Transactions::default(),
            waiting: VecDeque::new(),
            leaving: None,
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
        if self.leaving.is_some() {
            return Ok(());
        }
        let receipt = frame.header("receipt");
        self.obey(frame, receipt, work)
            .map_err(|error| error.with_receipt(receipt))
    }

    /// A subscription has begun, or was refused.
    pub fn subscribed(
        &mut self,
        number: u32,
        result: Result<Position, Refused>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        if result.is_err() {
            self.subscriptions.retain(|one| one.number != number);
        }
        self.answered(number, result, work)
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
                    work.context.note_window_full();
                    return Err(ErrorReply::window_full(subscription.name(), max));
                }
                return Ok(());
            }
        }
        put_message(version, subscription, publication, redelivered, work);
        Ok(())
    }

    /// Sends a RECEIPT.
    pub fn put_receipt(&mut self, receipt: &str, work: &mut Work<'_, '_>) {
        work.scratch.clear();
        encode::put_receipt(work.scratch, self.version, receipt);
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
                self.send(outgoing, receipt.map(Rc::from), work);
                return Ok(());
            }
            Command::Subscribe => return self.subscribe(frame, receipt, work),
            Command::Commit => return self.commit(frame, receipt, work),
            Command::Disconnect => {
                self.leaving = Some(receipt.map(Into::into));
                self.leave_if_answered(work);
                return Ok(());
            }
            Command::Send => {
                let action = Action::Send(outgoing(frame)?);
                let name = required(frame, "transaction")?;
                self.transactions.add(name, action, work.settings)?;
            }
            Command::Unsubscribe => self.unsubscribe(frame, work)?,
            Command::Ack => self.acknowledge(frame, Verdict::Accept, work)?,
            Command::Nack => self.acknowledge(frame, Verdict::Return, work)?,
            Command::Begin => {
                let name = required(frame, "transaction")?;
                self.transactions.begin(name, work.settings)?;
            }
            Command::Abort => {
                self.transactions.end(required(frame, "transaction")?)?;
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
                work.context.publish_with(channel, kind, headers, payload)
            }
            Destination::Queue(queue) => work.context.enqueue_with(queue, kind, headers, payload),
        };
        self.waiting.push_back(Waiting { number, receipt });
    }

    fn subscribe(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let id = match self.version {
            Version::V1_0 => frame.header("id"),
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
        let destination = Destination::to_subscribe(text, self.user.as_deref())?;
        let context = &mut *work.context;
        let number = match (&destination, mode) {
            (Destination::Queue(queue), _) => context.consume(queue.clone(), prefetch_count),
            (Destination::Topic(channel), AckMode::Auto) => {
                let form = Form::stomp(self.version, id.unwrap_or_default(), text);
                context.subscribe_in(channel.clone(), form)
            }
            (Destination::Topic(channel), _) => context.subscribe_handed(channel.clone()),
        };
        self.subscriptions.push(Subscription::new(
            id,
            text,
            number,
            &destination,
            mode,
            prefetch_count,
        ));
        self.waiting.push_back(Waiting {
            number,
            receipt: receipt.map(Rc::from),
        });
        Ok(())
    }

    fn unsubscribe(
        &mut self,
        frame: &Frame<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let name = match (self.version, frame.header("id")) {
            (_, Some(id)) => id,
            (Version::V1_0, None) => required(frame, "destination")?,
            (Version::V1_1 | Version::V1_2, None) => required(frame, "id")?,
        };
        let Some(at) = self.subscriptions.iter().position(|s| s.name() == name) else {
            return Err(ErrorReply::new(
                format!("unknown subscription \"{}\"", excerpt(name)),
                "Write the id of a SUBSCRIBE of this connection.",
            ));
        };
        let subscription = self.subscriptions.remove(at);
        work.context.end_subscription(subscription.number);
        // If its beginning has not been confirmed yet, nobody will any more.
        if let Some(receipt) = self.take_waiting(subscription.number).flatten() {
            self.put_receipt(&receipt, work);
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        frame: &Frame<'_>,
        verdict: Verdict,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let unsettled = self.find_acknowledged(frame)?;
        match frame.header("transaction") {
            Some(name) => {
                let action = Action::Settle(unsettled, verdict);
                self.transactions.add(name, action, work.settings)
            }
            None => {
                self.settle(unsettled, verdict, work);
                Ok(())
            }
        }
    }

    /// Which message an ACK or NACK names: by its `ack` header in 1.2, before that by its id and its
    /// subscription, which 1.0 may leave out.
    fn find_acknowledged(&self, frame: &Frame<'_>) -> Result<Unsettled, ErrorReply> {
        let (text, subscription) = match self.version {
            Version::V1_2 => (required(frame, "id")?, None),
            Version::V1_1 => {
                let subscription = required(frame, "subscription")?;
                (required(frame, "message-id")?, Some(subscription))
            }
            Version::V1_0 => {
                let subscription = frame.header("subscription");
                (required(frame, "message-id")?, subscription)
            }
        };
        let unknown = || {
            ErrorReply::new(
                format!(
                    "{} of a message that awaits none: \"{}\"",
                    frame.command,
                    excerpt(text)
                ),
                match self.version {
                    Version::V1_2 => "Write as id what the MESSAGE has as ack.",
                    _ => "Write message-id and subscription as the MESSAGE has them.",
                },
            )
        };
        // In 1.2 the subscription's number stands in front of the message's id.
        let (number, id) = match self.version {
            Version::V1_2 => {
                let (number, id) = text.split_once('-').ok_or_else(unknown)?;
                (Some(number.parse().map_err(|_| unknown())?), id)
            }
            Version::V1_0 | Version::V1_1 => (None, text),
        };
        let position = Position::of_id(id).ok_or_else(unknown)?;
        let candidates = self.subscriptions.iter().filter(|one| {
            number.is_none_or(|number: u32| number == one.number)
                && subscription.is_none_or(|name| one.name() == name)
        });
        let mut settled = None;
        for one in candidates {
            let found = Unsettled {
                number: one.number,
                position,
            };
            match one.standing(position) {
                Standing::Unsettled => return Ok(found),
                Standing::Settled => settled = Some(found),
                Standing::Unknown => {}
            }
        }
        settled.ok_or_else(unknown)
    }

    fn settle(&mut self, unsettled: Unsettled, verdict: Verdict, work: &mut Work<'_, '_>) {
        let Unsettled { number, position } = unsettled;
        let version = self.version;
        let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.number == number) else {
            return;
        };
        let Some(window) = &mut subscription.window else {
            return;
        };
        let offsets = window.settle(position);
        if subscription.of_queue {
            if !offsets.is_empty() {
                work.context.settle(number, offsets, verdict);
            }
            return;
        }
        // A topic gives nobody a message twice: a NACK only makes room.
        while let Some(publication) = subscription.window.as_mut().and_then(|w| w.next_waiting()) {
            if let Some(window) = &mut subscription.window {
                window.note_sent(publication.position);
            }
            put_message(version, subscription, &publication, false, work);
        }
    }

    fn commit(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let actions = self.transactions.end(required(frame, "transaction")?)?;
        let receipt: Option<Rc<str>> = receipt.map(Rc::from);
        for action in actions {
            match action {
                Action::Send(outgoing) => self.send(outgoing, receipt.clone(), work),
                Action::Settle(unsettled, verdict) => self.settle(unsettled, verdict, work),
            }
        }
        if let Some(receipt) = receipt {
            self.put_receipt_if_last(receipt, work);
        }
        Ok(())
    }

    /// The owner has answered for a message or a subscription.
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

    fn take_waiting(&mut self, number: u32) -> Option<Option<Rc<str>>> {
        let at = self.waiting.iter().position(|one| one.number == number)?;
        let waiting = self.waiting.remove(at)?;
        if self.waiting.is_empty() {
            // Most of the time nothing waits.
            self.waiting = VecDeque::new();
        }
        Some(waiting.receipt)
    }

    /// Sends a receipt if nothing else waits for it any more.
    fn put_receipt_if_last(&mut self, receipt: Rc<str>, work: &mut Work<'_, '_>) {
        if Rc::strong_count(&receipt) == 1 {
            self.put_receipt(&receipt, work);
        }
    }

    /// Closes the connection if DISCONNECT has come and all before it is done.
    fn leave_if_answered(&mut self, work: &mut Work<'_, '_>) {
        if !self.waiting.is_empty() {
            return;
        }
        if let Some(receipt) = self.leaving.take() {
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
fn put_message(
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
        subscription: subscription.id.as_deref().unwrap_or_default(),
        message_id,
        destination: &subscription.destination,
        ack: (!ack.is_empty()).then_some(&*ack),
        redelivered,
        headers: &publication.headers,
        default_content_type: None,
    };
    work.scratch.clear();
    encode::put_message(work.scratch, &head, &publication.payload);
    work.context.send_kind(publication.kind, work.scratch);
}

fn required<'f>(frame: &'f Frame<'_>, header: &str) -> Result<&'f str, ErrorReply> {
    frame
        .header(header)
        .ok_or_else(|| ErrorReply::missing(frame.command, header))
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
