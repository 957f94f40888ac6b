//! The raw protocol's endpoints: `/sub/{channel}`, `/sub?channel=…&channel=…`, `/pub/{channel}` and
//! `/echo`.

use super::{Context, Endpoint, Message, Request, Route};
use crate::channel::ChannelName;
use crate::ws::handshake::{self, Refusal};

/// The routes of the raw protocol; `/echo` only if asked for.
pub fn routes(echo: bool) -> impl Iterator<Item = Route> {
    let always = [
        Route::new("/sub/{*channel}", || Subscriber),
        Route::new("/sub", || Several),
        // A catch-all does not match nothing at all, which deserves its own answer.
        Route::new("/sub/", || Subscriber),
        Route::new("/pub/{*channel}", || Publish),
        Route::new("/pub/", || Publish),
    ];
    let echo = echo.then(|| Route::new("/echo", || Echo));
    always.into_iter().chain(echo)
}

/// `/sub/{channel}`: gets the channel's publications. What it says is checked and left alone.
struct Subscriber;

impl Endpoint for Subscriber {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        context.subscribe(channel(request)?);
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}

/// `/sub?channel=a&channel=b`: gets the publications of all of them. Which one a publication is of
/// is for the payload to say.
struct Several;

impl Endpoint for Several {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let channels = request.query().unwrap_or_default().split('&');
        let mut channels = channels.filter_map(|pair| pair.strip_prefix("channel="));
        let Some(first) = channels.next() else {
            let help = "name channels: /sub?channel=a&channel=b, or one: /sub/a";
            return Err(Refusal::new(400, help));
        };
        for encoded in std::iter::once(first).chain(channels) {
            let name = handshake::percent_decode(encoded)?;
            context.subscribe(ChannelName::parse(&name)?);
        }
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}

/// `/pub/{channel}`: every message is published.
struct Publish;

impl Endpoint for Publish {
    type State = ChannelName;

    fn open(&mut self, request: &Request<'_>, _: &mut Context<'_>) -> Result<ChannelName, Refusal> {
        channel(request)
    }

    fn message(
        &mut self,
        channel: &mut ChannelName,
        message: Message<'_>,
        context: &mut Context<'_>,
    ) {
        context.publish(channel, message);
    }
}

/// `/echo`: every message comes back.
struct Echo;

impl Endpoint for Echo {
    type State = ();

    fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        context.send(message);
    }
}

/// The channel that the rest of the path names; a slash may stand in it as it is.
fn channel(request: &Request<'_>) -> Result<ChannelName, Refusal> {
    Ok(ChannelName::parse(
        request.parameter("channel").unwrap_or_default(),
    )?)
}
