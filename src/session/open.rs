//! From the request head to an endpoint, or to a page.

use super::head::HeadBuffer;
use super::{Open, State, Surroundings, stream};
use crate::endpoint::event_stream::Answer;
use crate::endpoint::{Command, Context, Destination, Found, Opening, Transport};
use crate::sse;
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
                Ok(answered(around))
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
    let (opening, request) = destination.check(head, buffer.peer, policy)?;
    let (replies_from, commands_from) = (around.replies.len(), around.commands.len());
    let transport = match &opening {
        Opening::WebSocket(upgrade) => {
            upgrade.put_response(around.replies);
            Transport::WebSocket(upgrade.deflate.map(|answer| answer.agreement))
        }
        Opening::Http(Answer::Stream(head)) => {
            head.put(around.replies);
            let retry_ms = stream::spread(around.name, around.settings.retry_ms);
            sse::put_retry(around.replies, retry_ms);
            Transport::EventStream(0)
        }
        Opening::Http(Answer::Head(head)) => {
            head.put(around.replies);
            return Ok(answered(around));
        }
        Opening::Http(Answer::Options(options)) => {
            options.put(around.replies);
            return Ok(answered(around));
        }
    };
    around.commands.push(Command::Opened);
    let mut next_number = 0;
    let mut context = Context::new(
        around.sight(),
        &mut next_number,
        transport,
        around.codec,
        around.replies,
        around.commands,
    );
    match around.endpoints.of(route).open(&request, &mut context) {
        Ok(state) => {
            let closing = context.into_closing();
            let state = State::Open(Open {
                reader: Reader::default(),
                state,
                route,
                transport,
                next_number,
            });
            Ok((state, closing))
        }
        Err(refusal) => {
            around.replies.truncate(replies_from);
            around.commands.truncate(commands_from);
            Err(opening.allow(refusal))
        }
    }
}

/// The request has had its answer, and nothing follows.
fn answered(around: &mut Surroundings<'_>) -> (State, Option<(CloseCode, String)>) {
    around.commands.push(Command::Close);
    (State::Over, None)
}
