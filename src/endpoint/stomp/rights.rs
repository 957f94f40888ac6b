//! Who a client is, what it may do, and until when.

use serde::{Deserialize, Serialize};

use super::Work;
use super::connected::Connected;
use super::destination::Destination;
use super::error::ErrorReply;
use super::transaction::Outgoing;
use crate::endpoint::Context;
use crate::endpoint::credentials::{self, ends_at_ms};
use crate::rules::Identity;
use crate::stomp::{Command, Frame};

/// Who a client is: of most, nobody.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Who {
    /// As it says itself, which counts where the server takes no tokens.
    login: Option<Box<str>>,
    /// As it has proven.
    identity: Identity,
    /// When its token expires, in ms since 1970.
    expires_at_ms: Option<u64>,
    /// The same of the tokens of its subscriptions, by their numbers.
    subscriptions: Vec<(u32, u64)>,
}

const NOBODY: &Identity = &Identity::Anonymous;

/// Looks at what a CONNECT says of its client, and at the token that it brings or that came with the handshake.
pub fn prove(
    frame: &Frame<'_>,
    from_handshake: Option<&str>,
    context: &Context<'_>,
) -> Result<Option<Box<Who>>, ErrorReply> {
    let login = frame.header("login").filter(|login| !login.is_empty());
    let access = &context.rules().access;
    if !access.takes_tokens() {
        return Ok(login.map(|login| {
            Box::new(Who {
                login: Some(login.into()),
                ..Who::default()
            })
        }));
    }
    let Some(token) = token_of(frame).or(from_handshake) else {
        return Ok(None);
    };
    let claims = access
        .connection(token, context.unix_ms())
        .map_err(|error| ErrorReply::token(frame.command, error))?;
    if login.is_some_and(|login| login != claims.user) {
        return Err(ErrorReply::other_login());
    }
    Ok(Some(Box::new(Who {
        identity: Identity::of_connection(&claims),
        expires_at_ms: claims.expires_at_ms,
        ..Who::default()
    })))
}

/// The token that a CONNECT brings.
fn token_of<'f>(frame: &'f Frame<'_>) -> Option<&'f str> {
    let authorization = frame.header("Authorization");
    let named = ["token", "passcode"].map(|name| frame.header(name));
    [authorization.and_then(credentials::bearer)]
        .into_iter()
        .chain(named)
        .flatten()
        .find(|token| !token.is_empty())
}

impl Who {
    /// The user's name, if it has one: as proven, or as it says where it cannot be asked to prove it.
    pub fn user(&self, context: &Context<'_>) -> Option<&str> {
        let user = match context.rules().access.takes_tokens() {
            true => self.identity.name(),
            false => self.login.as_deref(),
        };
        user.filter(|user| !user.is_empty())
    }

    /// When the first of its tokens ends, in ms since 1970.
    fn ends_at_ms(&self) -> Option<u64> {
        let subscriptions = self.subscriptions.iter().map(|(_, at_ms)| *at_ms);
        subscriptions
            .chain(self.expires_at_ms)
            .min()
            .map(ends_at_ms)
    }
}

impl Connected {
    /// Whether the client may send that; of a transaction both when it comes and when it takes effect.
    pub(super) fn may_send(
        &self,
        outgoing: &Outgoing,
        work: &Work<'_, '_>,
    ) -> Result<(), ErrorReply> {
        let Outgoing { destination, .. } = outgoing;
        let rules = work.context.rules();
        rules
            .may_publish(destination.channel(), self.identity())
            .map_err(|denied| ErrorReply::denied(Command::Send, destination, denied.into()))
    }

    /// Where a SUBSCRIBE leads, if the client may subscribe to that, and when the token expires that lets it.
    pub(super) fn may_subscribe(
        &self,
        frame: &Frame<'_>,
        text: &str,
        work: &Work<'_, '_>,
    ) -> Result<(Destination, Option<u64>), ErrorReply> {
        let context = &*work.context;
        let takes_tokens = context.rules().access.takes_tokens();
        let user = self.who.as_ref().and_then(|who| who.user(context));
        let destination = Destination::to_subscribe(text, user, takes_tokens)?;
        let channel = destination.channel();
        let token = frame
            .header("token")
            .filter(|token| takes_tokens && !token.is_empty());
        let claims = credentials::may_subscribe(self.identity(), channel, token, context)
            .map_err(|error| ErrorReply::denied(frame.command, &destination, error))?;
        let expires_at_ms = claims.and_then(|claims| claims.expires_at_ms);
        Ok((destination, expires_at_ms))
    }

    /// Notes when the token of a subscription expires.
    pub(super) fn note_expiry(&mut self, number: u32, at_ms: u64, work: &mut Work<'_, '_>) {
        let who = self.who.get_or_insert_default();
        who.subscriptions.push((number, at_ms));
        self.set_deadline(work);
    }

    /// A subscription is over, and its token with it.
    pub(super) fn forget_expiry(&mut self, number: u32) {
        if let Some(who) = &mut self.who {
            who.subscriptions.retain(|(of, _)| *of != number);
        }
    }

    /// Has the endpoint called when the first token expires.
    pub fn set_deadline(&self, work: &mut Work<'_, '_>) {
        let ends_at_ms = self.who.as_ref().and_then(|who| who.ends_at_ms());
        work.context.set_deadline_at(ends_at_ms);
    }

    /// The deadline has come: the connection is over if a token has expired.
    pub fn check_expiry(&mut self, work: &mut Work<'_, '_>) -> Result<(), ErrorReply> {
        let now_ms = work.context.unix_ms();
        let Some(who) = &self.who else {
            return Ok(());
        };
        let is_over = |at_ms: u64| ends_at_ms(at_ms) <= now_ms;
        if who.expires_at_ms.is_some_and(is_over) {
            return Err(ErrorReply::expired(None));
        }
        if let Some((number, _)) = who.subscriptions.iter().find(|(_, at_ms)| is_over(*at_ms)) {
            let subscription = self.subscriptions.iter().find(|one| one.number == *number);
            return Err(ErrorReply::expired(subscription.map(|one| one.name())));
        }
        self.set_deadline(work);
        Ok(())
    }

    fn identity(&self) -> &Identity {
        self.who.as_ref().map_or(NOBODY, |who| &who.identity)
    }
}
