//! Rooms to talk in: every room is a channel, and whoever is in it is subscribed to it.
//!
//! `cargo run --example chat`, then open <http://localhost:8080/> in two windows.

use std::net::SocketAddr;
use std::process::ExitCode;

use pushring::endpoint::ConnectionName;
use pushring::{
    ChannelName, Closed, Context, Endpoint, Message, Publisher, Refusal, Request, Route, Server,
};

/// Longest name of a guest, in characters.
const NAME_MAX: usize = 32;

/// Brings what is said in a room to all who are in it.
struct Chat;

/// Somebody in a room.
struct Guest {
    name: String,
    room: ChannelName,
}

impl Endpoint for Chat {
    type State = Guest;

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<Guest, Refusal> {
        let parameter = |name| request.parameter(name).unwrap_or_default().trim();
        let (room, name) = (parameter("room"), parameter("name"));
        if name.is_empty() || name.chars().count() > NAME_MAX {
            let reason = format!("a name has 1 to {NAME_MAX} characters");
            return Err(Refusal::new(400, reason));
        }
        let guest = Guest {
            name: name.to_owned(),
            room: ChannelName::parse(&format!("room:{room}"))?,
        };
        context.subscribe(guest.room.clone());
        context.publish(&guest.room, format!("* {name} has come"));
        Ok(guest)
    }

    fn message(&mut self, guest: &mut Guest, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(text) => {
                context.publish(&guest.room, format!("{}: {text}", guest.name));
            }
            Message::Binary(_) => context.send_text("* only text is spoken here"),
        }
    }

    /// Guests stay when the server is upgraded in place. A channel's name has no line end.
    fn save(&self, _: ConnectionName, Guest { name, room }: &Guest) -> Option<Vec<u8>> {
        Some(format!("{room}\n{name}").into_bytes())
    }

    fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<Guest> {
        let (room, name) = str::from_utf8(saved).ok()?.split_once('\n')?;
        Some(Guest {
            name: name.to_owned(),
            room: ChannelName::parse(room).ok()?,
        })
    }

    fn close(&mut self, guest: Guest, _: &Closed<'_>, publisher: &mut Publisher<'_>) {
        publisher.publish(&guest.room, format!("* {} has gone", guest.name));
    }
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until SIGINT or SIGTERM.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    let page = include_str!("pages/chat.html");
    let server = Server::builder()
        .listen(address)
        .route(Route::new("/chat/{room}/{name}", || Chat))
        .page("/", "text/html; charset=utf-8", page)
        .heed_signals()
        .start()?;
    println!("listening on {}", server.public_address());
    server.wait();
    Ok(())
}
