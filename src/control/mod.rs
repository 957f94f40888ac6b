//! The internal listener: publishing over HTTP, the API, metrics, health. Runs on the control thread, an
//! ordinary tokio runtime, and reaches the shards by mail only.

#![forbid(unsafe_code)]

mod api;
mod handle;
mod http;
mod key;
mod metrics;
mod node;
mod office;
mod surveys;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::registry::Registry;

pub(crate) use handle::Letter;
pub use handle::{Counts, Handle, PostError, PublishError};
pub use office::Office;

use crate::config::Config;
use crate::metrics::ShardMetrics;
use crate::rules::Rules;
use node::Node;

/// What every request handler reaches.
pub struct Control {
    handle: Handle,
    registry: Registry,
    /// Replaced as a whole, and locked for no longer than that takes.
    rules: RwLock<Arc<Rules>>,
    message_bytes_max: usize,
    node: Node,
}

impl Control {
    /// For a server whose shards all run.
    pub fn new(
        config: &Config,
        rules: Arc<Rules>,
        handle: Handle,
        shards: Vec<Arc<ShardMetrics>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            handle,
            registry: metrics::registry(shards),
            rules: RwLock::new(rules),
            message_bytes_max: config.limits.message_bytes_max,
            node: Node::new(config.listen),
        })
    }

    /// From now on other rules hold for calls: which API keys there are.
    pub fn set_rules(&self, rules: Arc<Rules>) {
        // Whoever held it cannot have left it half done.
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<Rules> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.clone()
    }
}

/// Serves the internal listener until `end` is over.
///
/// # Errors
/// When the listening socket cannot be watched.
pub async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::select! {
        served = async { axum::serve(listener, http::router(control)).await } => served,
        () = end => Ok(()),
    }
}
