//! pushring pushes one published message to very many WebSocket connections on Linux.
//!
//! The program `pushring` is this library with the routes of its own protocols. A program of
//! one's own embeds the server the same way: it puts a [`Server`] together from routes to
//! endpoints, each an implementation of [`Endpoint`] with callbacks for open, message, close and
//! error, and reaches channels and connections from any thread through the server's [`Handle`].
//!
//! ```
//! use pushring::{Context, Endpoint, Message, Refusal, Request, Route, Server};
//!
//! struct Echo;
//!
//! impl Endpoint for Echo {
//!     /// The user's name, kept for each connection.
//!     type State = String;
//!
//!     fn open(
//!         &mut self,
//!         request: &Request<'_>,
//!         context: &mut Context<'_>,
//!     ) -> Result<String, Refusal> {
//!         let user = request.parameter("user_name").unwrap_or_default().to_owned();
//!         context.send_text(&format!("welcome, {user}"));
//!         Ok(user)
//!     }
//!
//!     fn message(
//!         &mut self,
//!         user: &mut String,
//!         message: Message<'_>,
//!         context: &mut Context<'_>,
//!     ) {
//!         match message {
//!             Message::Text(text) => context.send_text(&format!("{user} said: {text}")),
//!             Message::Binary(_) => context.send(message),
//!         }
//!     }
//! }
//!
//! let server = Server::builder()
//!     .listen(([127, 0, 0, 1], 0)) // 0: any port that is free
//!     .route(Route::new("/ws/{user_name}", || Echo))
//!     .start()?;
//! println!("connect to ws://{}/ws/zhangsan", server.public_address());
//! server.shut_down(); // or server.wait()
//! # Ok::<(), pushring::server::StartError>(())
//! ```
//!
//! # How it works
//! A server is made of shards, one for each core: one pinned thread that owns its connections and
//! shares nothing with the others but mailboxes. A publication goes to the shard that owns its
//! channel, is numbered there, and is encoded once on every shard that has subscribers, however
//! many. `ARCHITECTURE.md` in the repository has the map and the invariants; the modules below are
//! sorted by floors, and a floor uses only floors below it.
//!
//! It needs Linux 6.0 or later with io_uring.

#![warn(missing_docs)]

pub mod access;
#[cfg(feature = "bench")]
pub mod bench;
pub mod centrifuge;
pub mod channel;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
pub mod encoding;
pub mod endpoint;
pub mod json;
pub mod metrics;
pub mod publication;
pub mod raw;
pub mod reactor;
pub mod rules;
pub mod server;
pub mod session;
pub mod shard;
pub mod sse;
pub mod stomp;
pub mod systemd;
pub mod table;
pub mod ws;

#[doc(inline)]
pub use channel::ChannelName;
#[doc(inline)]
pub use endpoint::{Closed, Context, Endpoint, Message, Payload, Publisher, Request, Route};
#[doc(inline)]
pub use server::{Handle, Server};
#[doc(inline)]
pub use ws::close::CloseCode;
#[doc(inline)]
pub use ws::handshake::Refusal;

/// The README's program must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
