//! What a server is made of.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Server, StartError};
use crate::config::{Config, ConfigError};
use crate::control::upgrade::Program;
use crate::control::{Handle, Hear, Letter, Load};
use crate::endpoint::{self, Page, Route, Routes};
use crate::reactor::Given;
use crate::systemd::Manager;

/// For paths that lead nowhere.
const NOT_FOUND: &str = "there is nothing at this path";

/// A server to be started: settings, routes, pages.
///
/// ```
/// # use pushring::endpoint::{Context, Endpoint, Message, Request};
/// # use pushring::ws::handshake::Refusal;
/// use pushring::endpoint::Route;
/// use pushring::server::Server;
///
/// #[derive(Default)]
/// struct Echo;
///
/// impl Endpoint for Echo {
///     type State = ();
///
///     fn open(&mut self, _: &Request<'_>, _: &mut Context<'_>) -> Result<(), Refusal> {
///         Ok(())
///     }
///
///     fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
///         context.send(message);
///     }
/// }
///
/// let server = Server::builder()
///     .listen(([127, 0, 0, 1], 0))
///     .shards(1)
///     .route(Route::new("/ws/{user_name}", Echo::default).origins(["http://localhost:*"]))
///     .page("/", "text/html; charset=utf-8", "<!doctype html><title>Echo</title>")
///     .start()?;
/// server.shut_down();
/// # Ok::<(), pushring::server::StartError>(())
/// ```
#[must_use = "nothing runs until it is started"]
pub struct Builder {
    config: Config,
    routes: Vec<Route>,
    pages: Vec<Page>,
    raw: bool,
    stomp: bool,
    centrifuge: bool,
    internal: bool,
    heed_signals: bool,
    load: Option<Load>,
    hear: Option<Hear>,
    program: Option<Program>,
    given: Given,
    manager: Manager,
    handle: Handle,
    letters: mpsc::Receiver<Letter>,
}

/// What has been built.
pub(super) struct Plan {
    pub config: Config,
    pub routes: Routes,
    pub internal: bool,
    pub heed_signals: bool,
    pub load: Option<Load>,
    pub hear: Option<Hear>,
    pub program: Option<Program>,
    pub given: Given,
    pub manager: Arc<Manager>,
    pub handle: Handle,
    pub letters: mpsc::Receiver<Letter>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let (handle, letters) = Handle::new();
        Self {
            config: Config::default(),
            routes: Vec::new(),
            pages: Vec::new(),
            raw: false,
            stomp: false,
            centrifuge: false,
            internal: false,
            heed_signals: false,
            load: None,
            hear: None,
            program: None,
            given: Given::default(),
            manager: Manager::default(),
            handle,
            letters,
        }
    }

    /// All settings at once; [`Builder::start`] checks them. Call it before what changes single
    /// ones.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Where clients connect: port 0 finds a free one. An address that other machines reach needs
    /// the setting `insecure`, as there is no authentication but what interceptors do.
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.config.listen = address.into();
        self
    }

    /// Opens the internal listener (publishing over HTTP, metrics, health) at that address.
    pub fn internal(mut self, address: impl Into<SocketAddr>) -> Self {
        self.config.internal = address.into();
        self.internal = true;
        self
    }

    /// How many shards there are, each on a core of its own; 0 for one on each core.
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// Adds an endpoint.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Adds a document at a path, such as the page whose script connects to an endpoint.
    pub fn page(
        mut self,
        path: impl Into<String>,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        self.pages.push(Page {
            pattern: path.into(),
            content_type,
            body: body.into(),
        });
        self
    }

    /// Adds the endpoints of the raw protocol: `/sub/{channel}`, `/pub/{channel}`, and `/echo` if
    /// the setting `echo` says so.
    pub fn raw_protocol(mut self) -> Self {
        self.raw = true;
        self
    }

    /// Adds the endpoints of STOMP over WebSocket: `/stomp` and `/ws`.
    pub fn stomp_protocol(mut self) -> Self {
        self.stomp = true;
        self
    }

    /// Says how to read the configuration again, for `POST /api/reload` of the internal listener and, with
    /// [`Builder::heed_signals`], for SIGHUP. A program can do without and call [`Handle::reload`].
    pub fn reload_from(
        mut self,
        load: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) -> Self {
        self.load = Some(Box::new(load));
        self
    }

    /// Is called with the settings whenever others hold, on a thread that must not be blocked.
    pub fn on_reload(mut self, hear: impl Fn(&Config) + Send + 'static) -> Self {
        self.hear = Some(Box::new(hear));
        self
    }

    /// Has another version of the program take the server over in this process when somebody wants it: by `POST /api/upgrade` of the
    /// internal listener or, with [`Builder::heed_signals`], by SIGUSR2. Connections whose endpoints
    /// [save](crate::endpoint::Endpoint::save) what they are notice nothing of it.
    ///
    /// The program is to do what this one does: to start a server with this setting. [`Builder::start`] finds what the program
    /// before it has left; where it is started only to say whether it could take over, [`Builder::start`] says so and ends the
    /// process. All else that a program has in its memory is lost, other threads end, so this is for programs that are nothing but a
    /// server.
    pub fn live_upgrade(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// Adds the endpoint of Centrifugo's client protocol: `/connection/websocket`.
    pub fn centrifuge_protocol(mut self) -> Self {
        self.centrifuge = true;
        self
    }

    /// Closes all connections and ends the server at SIGTERM and SIGINT, and the process at once
    /// at the second of them.
    pub fn heed_signals(mut self) -> Self {
        self.heed_signals = true;
        self
    }

    /// Listens on sockets that somebody else has made, such as systemd
    /// ([`systemd::sockets`](crate::systemd::sockets)); their addresses take the place of those in the settings, and a given internal
    /// socket opens the internal listener. What is not given is bound as it otherwise is.
    pub fn sockets(mut self, given: Given) -> Self {
        if let Some(address) = given.public_address() {
            self.config.listen = address;
        }
        if let Some(address) = given.internal_address() {
            self.config.internal = address;
            self.internal = true;
        }
        self.given = given;
        self
    }

    /// Tells a manager of the process, such as systemd, how the server is: when it is ready, reloads and ends, what it does, and,
    /// for its watchdog, that every shard still works.
    pub fn managed_by(mut self, manager: Manager) -> Self {
        self.manager = manager;
        self
    }

    /// The handle of the server-to-be, for endpoints to keep: what is asked of it before the start
    /// is done after it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Starts the server; when it returns, clients can connect.
    ///
    /// # Errors
    /// [`StartError`] when it does not come to run.
    pub fn start(mut self) -> Result<Server, StartError> {
        if self.raw {
            self.routes.extend(endpoint::raw::routes(self.config.echo));
        }
        if self.stomp {
            self.routes.extend(endpoint::stomp::routes(&self.config));
        }
        if self.centrifuge {
            let routes = endpoint::centrifuge::routes(&self.config);
            self.routes.extend(routes);
        }
        let origins = &self.config.origins;
        let routes = Routes::new(
            self.routes,
            self.pages,
            (&origins.allowed, origins.missing_allowed),
            if self.raw && self.stomp && self.centrifuge {
                endpoint::NOT_FOUND
            } else {
                NOT_FOUND
            },
        )?;
        Server::start(Plan {
            config: self.config,
            routes,
            internal: self.internal,
            heed_signals: self.heed_signals,
            load: self.load,
            hear: self.hear,
            program: self.program,
            given: self.given,
            manager: Arc::new(self.manager),
            handle: self.handle,
            letters: self.letters,
        })
    }
}
