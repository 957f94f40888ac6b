//! A program that embeds the server decides itself what its connections get.

use std::sync::mpsc::{self, Sender};

use pushring::access::{AuthSettings, NewToken};
use pushring::channel::{ChannelName, ChannelPattern, Who};
use pushring::config::{Config, NamespaceConfig, Secret};
use pushring::endpoint::ConnectionName;
use pushring::{Context, Endpoint, Message, Refusal, Request, Route, Server};

use crate::support::http::Http;
use crate::support::server::free_address;
use crate::support::token::SECRET;
use crate::support::wire::{Said, Socket};
use crate::support::{DEADLINE, metrics::Metrics};

/// Lets in whom a token lets in, and tells the program who has come.
struct Door {
    opened: Sender<ConnectionName>,
}

impl Endpoint for Door {
    type State = ();

    fn open(&mut self, request: &Request<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let token = request.query().unwrap_or_default();
        let access = &context.rules().access;
        let claims = access
            .connection(token, context.unix_ms())
            .map_err(|error| Refusal::new(401, error.to_string()))?;
        context.send_text(&claims.user);
        self.opened.send(context.name()).unwrap();
        Ok(())
    }

    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}
}

#[test]
fn what_a_program_orders_needs_no_right_and_its_endpoints_can_ask_for_tokens() {
    let mut config = Config::default();
    config.timeouts.drain_ms = 50;
    config.auth.hmac_secret = Some(Secret::new(SECRET));
    config.namespaces = vec![NamespaceConfig {
        channels: ChannelPattern::parse("closed").unwrap(),
        subscribe: Some(Who::Nobody),
        publish: Some(Who::Nobody),
        ..NamespaceConfig::default()
    }];
    let (opened, names) = mpsc::channel();
    let internal = free_address();
    let server = Server::builder()
        .config(config)
        .listen(free_address())
        .internal(internal)
        .route(Route::new("/door", move || Door {
            opened: opened.clone(),
        }))
        .start()
        .unwrap();
    let auth = AuthSettings {
        hmac_secret: Some(SECRET.to_owned()),
        ..AuthSettings::default()
    };
    let token = auth.sign(&NewToken {
        user: "ann".to_owned(),
        ..NewToken::default()
    });
    let path = format!("/door?{}", token.unwrap());
    let mut socket = Socket::open(server.public_address(), &path);
    assert_eq!(socket.message(), crate::support::Message::text("ann"));
    let name = names.recv_timeout(DEADLINE).unwrap();
    let handle = server.handle();
    let closed = ChannelName::parse("closed").unwrap();
    handle.subscribe(name, closed.clone()).unwrap();
    Metrics::wait(&mut Http::connect(internal), "lanes", |metrics| {
        metrics.sum("lanes") == 1
    });
    handle.publish_blocking(&closed, "by order").unwrap();
    assert_eq!(socket.message(), crate::support::Message::text("by order"));

    // What an interceptor or an endpoint refuses so is counted with the server's own refusals.
    let mut stranger = Socket::connect(server.public_address());
    let lines = crate::support::wire::handshake_lines("/door?nonsense");
    stranger.send(&crate::support::wire::head(&lines));
    assert_eq!(stranger.answer().status, 401);
    Metrics::wait(&mut Http::connect(internal), "unauthorized", |metrics| {
        metrics.sum_where("connections_refused_total", "reason=\"unauthorized\"") == 1
    });
    server.shut_down();
    assert!(matches!(
        socket.next(),
        Said::Close {
            code: Some(1001),
            ..
        }
    ));
}
