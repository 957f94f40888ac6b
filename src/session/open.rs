//! From the request head to an endpoint, or to a page.

use super::head::HeadBuffer;
use super::{Open, State, Surroundings};
use crate::endpoint::{Command, Context, Destination, Found};
use crate::ws::close::CloseCode;
use crate::ws::handshake::{self, Head, Refusal};
use crate::ws::message::Reader;

/// What a complete head has led to.
pub struct Opened {
    pub state: State,
    /// Where in the input the first frames begin.
    pub head_end: usize,
    /// What the endpoint wants the connection closed with, if it does.
    pub closing: Option<(CloseCode, String)>,
}

/// Adds input to the head, and goes where it leads when it is complete.
pub fn handle_head(
    buffer: &mut HeadBuffer,
    input: &[u8],
    around: &mut Surroundings<'_>,
) -> Result<Option<Opened>, Refusal> {
    let limits = &around.settings.head;
    let Some((bytes, head_end)) = buffer.take(input, limits)? else {
        return Ok(None);
    };
    if let Some(refusal) = buffer.refusal.take() {
        return Err(refusal);
    }
    let (state, closing) = handshake::with_head(&bytes, limits, |head| {
        match around.settings.routes.find(head.path())? {
            Found::Page(page) => {
                page.put_response(head.method(), around.replies)?;
                around.commands.push(Command::Close);
                Ok((State::Over, None))
            }
            Found::Endpoint(destination) => open(destination, head, buffer, around),
        }
    })?;
    Ok(Some(Opened {
        state,
        head_end,
        closing,
    }))
}

fn open(
    destination: Destination<'_>,
    head: &Head<'_>,
    buffer: &HeadBuffer,
    around: &mut Surroundings<'_>,
) -> Result<(State, Option<(CloseCode, String)>), Refusal> {
    let route = destination.route;
    let policy = around.settings.deflate.as_ref();
    let (upgrade, request) = destination.check(head, buffer.peer, policy)?;
    let deflate = upgrade.deflate.map(|answer| answer.agreement);
    let (replies_from, commands_from) = (around.replies.len(), around.commands.len());
    upgrade.put_response(around.replies);
    around.commands.push(Command::Opened);
    let mut next_number = 0;
    let mut context = Context::new(
        around.sight(),
        &mut next_number,
        deflate,
        around.codec,
        around.replies,
        around.commands,
    );
    match around.endpoints.of(route).open(&request, &mut context) {
        Ok(state) => {
            let closing = context.into_closing();
            let open = Open {
                reader: Reader::default(),
                state,
                route,
                deflate,
                next_number,
            };
            Ok((State::Open(open), closing))
        }
        Err(refusal) => {
            around.replies.truncate(replies_from);
            around.commands.truncate(commands_from);
            Err(refusal)
        }
    }
}
