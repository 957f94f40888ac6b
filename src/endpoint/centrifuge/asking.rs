//! What clients ask about channels: presence and history.

use serde::{Deserialize, Serialize};

use super::Work;
use super::connected::{Connected, What, refused};
use super::fault::Fault;
use super::rights;
use super::subscribing::{channel, position};
use crate::centrifuge::command::History;
use crate::centrifuge::{ErrorReply, encode};
use crate::channel::{Answer, Question};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    Presence,
    PresenceStats,
    History,
}

impl Connected {
    pub(super) fn presence(
        &mut self,
        id: u32,
        name: &str,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        self.ask(
            id,
            ("presence", name),
            Asked::Presence,
            Question::Presence,
            work,
        )
    }

    pub(super) fn presence_stats(
        &mut self,
        id: u32,
        name: &str,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let asked = ("presence_stats", name);
        self.ask(
            id,
            asked,
            Asked::PresenceStats,
            Question::PresenceStats,
            work,
        )
    }

    pub(super) fn history(
        &mut self,
        id: u32,
        history: &History<'_>,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let since = (history.since.as_ref()).map(|place| position(place.offset.0, &place.epoch));
        let question = Question::History {
            since,
            // Less than none are all.
            limit: usize::try_from(history.limit).ok(),
            reverse: history.reverse.0,
        };
        self.ask(
            id,
            ("history", &history.channel),
            Asked::History,
            question,
            work,
        )
    }

    /// A channel's owner has answered.
    pub(super) fn answered(&mut self, number: u32, answer: Answer, work: &mut Work<'_, '_>) {
        let Some(What::Question(id, asked)) = self.take_waiting(number) else {
            return;
        };
        work.say(|out| match answer {
            Answer::Presence(present) => {
                encode::put_presence(out, id, present.iter().map(|info| &**info));
            }
            Answer::PresenceStats { clients, users } => {
                encode::put_presence_stats(out, id, clients, users);
            }
            Answer::History {
                position,
                publications,
            } => encode::put_history(out, id, position, &publications),
            Answer::Unrecoverable(_) => {
                encode::put_error(out, id, &ErrorReply::UNRECOVERABLE_POSITION);
            }
            Answer::Refused(error) => encode::put_error(out, id, &refused(error)),
            Answer::NotKept => encode::put_error(out, id, &not_kept(asked)),
            // Clients cannot ask for that.
            Answer::Removed => encode::put_error(out, id, &ErrorReply::INTERNAL),
        });
    }

    fn ask(
        &mut self,
        id: u32,
        (command, name): (&str, &str),
        asked: Asked,
        question: Question,
        work: &mut Work<'_, '_>,
    ) -> Result<(), Fault> {
        let channel = channel(command, name)?;
        if self.find(name).is_none() {
            rights::ask(&self.identity, &channel, work)?;
        }
        self.may_ask()?;
        let number = work.context.ask(channel, question);
        self.wait_for(number, What::Question(id, asked));
        Ok(())
    }
}

fn not_kept(asked: Asked) -> ErrorReply {
    ErrorReply::NOT_AVAILABLE.because(match asked {
        Asked::Presence | Asked::PresenceStats => "the channel's namespace has no presence",
        Asked::History => "the channel's namespace keeps no history (history_size)",
    })
}
