//! The internal listener: publishing over HTTP, the API, metrics, health. Runs on the control thread, an
//! ordinary tokio runtime, and reaches the shards by mail only.

#![forbid(unsafe_code)]

mod api;
mod handle;
mod hold;
mod http;
mod key;
pub(crate) mod live;
mod metrics;
mod node;
mod office;
mod page;
mod reload;
mod serve;
mod state;
mod surveys;
pub mod upgrade;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

pub(crate) use handle::Letter;
pub use handle::{Counts, Handle, PostError, PublishError};
pub use office::Office;
pub use reload::{Hear, LiveWatch, Load, Reload, ReloadError, Reloaded, Reloader};
pub use serve::{HandOver, Idle, Serve};
pub use state::{State, StateError, hex};

use crate::metrics::ShardMetrics;
use crate::rules::Rules;
use live::Live;
use node::Node;
use upgrade::Upgrade;

/// What every request handler reaches.
pub struct Control {
    handle: Handle,
    registry: Registry,
    shards: Vec<Arc<ShardMetrics>>,
    config: LiveWatch,
    /// Where clients connect.
    public: SocketAddr,
    live: Live,
    reload: Option<Arc<Reload>>,
    upgrade: Option<Arc<Upgrade>>,
    node: Node,
}

impl Control {
    /// For a server whose shards all run, and whose clients connect at `public`. Without a `reload` it knows no
    /// configuration to read again, without an `upgrade` no program to become.
    pub fn new(
        config: LiveWatch,
        public: SocketAddr,
        handle: Handle,
        shards: Vec<Arc<ShardMetrics>>,
        reload: Option<Arc<Reload>>,
        upgrade: Option<Arc<Upgrade>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            handle,
            registry: metrics::registry(shards.clone()),
            shards,
            node: Node::new(public),
            config,
            public,
            live: Live::new(),
            reload,
            upgrade,
        })
    }

    /// The longest message, in bytes.
    fn message_bytes_max(&self) -> usize {
        self.config.borrow().config.limits.message_bytes_max
    }

    /// What holds for calls at this moment: which API keys there are.
    fn rules(&self) -> Arc<Rules> {
        self.config.borrow().rules.clone()
    }
}

/// Serves the internal listener, and its connections that are open already, until `end` is over.
///
/// # Errors
/// When the listening socket cannot be watched.
pub async fn serve(
    listener: TcpListener,
    open: Vec<Idle>,
    control: Arc<Control>,
    hand_overs: mpsc::Receiver<HandOver>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = http::router(control.clone());
    let serve = Serve::new(listener, router, open, move || control.live.end())?;
    tokio::select! {
        () = serve.run(hand_overs) => {}
        () = end => {}
    }
    Ok(())
}
