//! ACK and NACK: which message they name, and what becomes of it.

use std::rc::Rc;

use super::Work;
use super::connected::{Connected, put_message, required};
use super::destination::excerpt;
use super::error::ErrorReply;
use super::subscription::{Standing, Unsettled};
use super::transaction::Action;
use crate::channel::Verdict;
use crate::publication::Position;
use crate::stomp::{Frame, Version};

impl Connected {
    /// ACK or NACK.
    pub(super) fn acknowledge(
        &mut self,
        frame: &Frame<'_>,
        verdict: Verdict,
        receipt: Option<&str>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let unsettled = self.find_acknowledged(frame)?;
        match frame.header("transaction") {
            Some(name) => {
                let action = Action::Settle(unsettled, verdict);
                self.busy().transactions.add(name, action, work.settings)?;
                if let Some(receipt) = receipt {
                    self.put_receipt(receipt, work);
                }
            }
            None => self.settle(unsettled, verdict, receipt.map(Rc::from), work),
        }
        Ok(())
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

    /// Does what an ACK or NACK says. Its receipt is due when a queue's owner knows of it.
    pub(super) fn settle(
        &mut self,
        unsettled: Unsettled,
        verdict: Verdict,
        receipt: Option<Rc<str>>,
        work: &mut Work<'_, '_>,
    ) {
        match self.settle_here(unsettled, work) {
            Some(offsets) if receipt.is_some() => {
                let number = unsettled.number;
                let ticket = work.context.settle_confirmed(number, offsets, verdict);
                self.wait_for(ticket, receipt);
            }
            offsets => {
                if let Some(offsets) = offsets {
                    work.context.settle(unsettled.number, offsets, verdict);
                }
                if let Some(receipt) = receipt {
                    self.put_receipt_if_last(receipt, work);
                }
            }
        }
    }

    /// Makes room in the window; what a queue's owner has to be told.
    fn settle_here(&mut self, unsettled: Unsettled, work: &mut Work<'_, '_>) -> Option<Vec<u64>> {
        let Unsettled { number, position } = unsettled;
        let version = self.version;
        let subscription = self
            .subscriptions
            .iter_mut()
            .find(|one| one.number == number)?;
        let offsets = subscription.window.as_mut()?.settle(position);
        if subscription.of_queue {
            return (!offsets.is_empty()).then_some(offsets);
        }
        // A topic gives nobody a message twice: a NACK only makes room.
        while let Some(publication) = subscription.window.as_mut().and_then(|w| w.next_waiting()) {
            if let Some(window) = &mut subscription.window {
                window.note_sent(publication.position);
            }
            put_message(version, subscription, &publication, false, work);
        }
        None
    }
}
