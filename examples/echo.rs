//! An endpoint with its four callbacks, behind a path pattern, allowed origins and an interceptor.
//!
//! `cargo run --example echo`, then open <http://localhost:8080/> in a browser, or
//! <http://localhost:8080/smallest>, whose script has nothing but a socket and its four callbacks.

use std::net::SocketAddr;
use std::process::ExitCode;

use pushring::endpoint::{ConnectionName, Error};
use pushring::{Closed, Context, Endpoint, Message, Publisher, Refusal, Request, Route, Server};

/// Answers every text with `server says: ` and the text.
struct Echo;

/// What the interceptor finds out about a client.
#[derive(Clone)]
struct UserAgent(String);

impl Endpoint for Echo {
    /// The user's name, kept for each connection.
    type State = String;

    fn open(&mut self, request: &Request<'_>, _: &mut Context<'_>) -> Result<String, Refusal> {
        let user = request.parameter("user_name").unwrap_or_default();
        let agent = request.attributes().get::<UserAgent>();
        let agent = agent.map_or("an unknown program", |UserAgent(agent)| agent);
        println!("open: {user} with {agent}");
        Ok(user.to_owned())
    }

    fn message(&mut self, user: &mut String, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(text) => {
                println!("message: {user} says {text:?}");
                context.send_text(&format!("server says: {text}"));
            }
            Message::Binary(bytes) => context.send_binary(bytes),
        }
    }

    /// The name outlives an upgrade of the server in place.
    fn save(&self, _: ConnectionName, user: &String) -> Option<Vec<u8>> {
        Some(user.clone().into_bytes())
    }

    fn restore(&mut self, _: ConnectionName, saved: &[u8]) -> Option<String> {
        String::from_utf8(saved.to_vec()).ok()
    }

    fn close(&mut self, user: String, closed: &Closed<'_>, _: &mut Publisher<'_>) {
        println!("close: {user}, {} {:?}", closed.code, closed.reason);
    }

    fn error(&mut self, user: &mut String, error: &Error, _: &mut Publisher<'_>) {
        println!("error: {user}: {error}");
    }
}

/// Sees every handshake before the endpoint does: notes what the client is, and lets no robot in.
fn look_at(request: &Request<'_>) -> Result<UserAgent, Refusal> {
    let agent = String::from_utf8_lossy(request.header("User-Agent").unwrap_or(b"no name"));
    if agent.to_lowercase().contains("robot") {
        return Err(Refusal::new(403, "people only"));
    }
    Ok(UserAgent(agent.into_owned()))
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until SIGINT or SIGTERM.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    let echo = Route::new("/ws/{user_name}", || Echo)
        .origins(["http://localhost:*", "http://127.0.0.1:*"])
        .intercept(|request, attributes| {
            attributes.insert(look_at(request)?);
            Ok(())
        });
    let html = "text/html; charset=utf-8";
    let server = Server::builder()
        .listen(address)
        .route(echo)
        .page("/", html, include_str!("pages/echo.html"))
        .page("/smallest", html, include_str!("pages/smallest.html"))
        .heed_signals()
        .start()?;
    println!("listening on {}", server.public_address());
    server.wait();
    Ok(())
}
