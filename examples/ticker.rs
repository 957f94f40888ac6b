//! Prices pushed on a timer: a thread publishes to 100 channels, pages subscribe to those they show.
//!
//! `cargo run --example ticker`, then open <http://localhost:8080/> in a browser.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use pushring::server::PublishError;
use pushring::{ChannelName, Context, Endpoint, Handle, Message, Refusal, Request, Route, Server};

/// Symbols, each with a channel of its own.
const SYMBOLS: u64 = 100;

/// How often all prices change.
const EVERY: Duration = Duration::from_millis(250);

/// Subscribes its connection to the symbols that it names.
struct Ticker;

impl Endpoint for Ticker {
    type State = ();

    fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn message(&mut self, (): &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let text = String::from_utf8_lossy(message.as_bytes());
        let (verb, symbol) = text.split_once(' ').unwrap_or_default();
        match (verb, symbol.parse().ok().and_then(channel)) {
            ("subscribe", Some(channel)) => {
                context.subscribe(channel);
            }
            ("unsubscribe", Some(channel)) => context.unsubscribe(channel),
            _ => context.send_text(&format!(
                "error: say `subscribe N` or `unsubscribe N`, N below {SYMBOLS}"
            )),
        }
    }
}

/// The channel of a symbol, if there is that symbol.
fn channel(symbol: u64) -> Option<ChannelName> {
    let name = format!("ticker:{symbol}");
    ChannelName::parse(&name).ok().filter(|_| symbol < SYMBOLS)
}

/// Publishes new prices until the server ends.
fn publish(server: &Handle) -> Result<(), PublishError> {
    let channels = (0..SYMBOLS).filter_map(channel);
    let mut prices: Vec<(ChannelName, u64)> = channels.map(|channel| (channel, 1_000)).collect();
    // A walk without aim: xorshift is random enough for that.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    loop {
        for (symbol, (channel, price)) in prices.iter_mut().enumerate() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *price = (*price + random % 41).saturating_sub(20).max(1);
            let text = format!("{symbol} {}.{:02}", *price / 100, *price % 100);
            server.publish_blocking(channel, text)?;
        }
        thread::sleep(EVERY);
    }
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ticker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until SIGINT or SIGTERM.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    let page = include_str!("pages/ticker.html");
    let server = Server::builder()
        .listen(address)
        .route(Route::new("/ticker", || Ticker))
        .page("/", "text/html; charset=utf-8", page)
        .heed_signals()
        .start()?;
    println!("listening on {}", server.public_address());
    let handle = server.handle().clone();
    thread::spawn(move || {
        if let Err(error) = publish(&handle) {
            eprintln!("ticker: no more prices: {error}");
        }
    });
    server.wait();
    Ok(())
}
