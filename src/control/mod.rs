//! The internal listener: publishing over HTTP, metrics, health. Runs on the control thread, an
//! ordinary tokio runtime, and reaches the shards by mail only.

#![forbid(unsafe_code)]

mod api;
pub mod json;
mod metrics;
mod office;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::registry::Registry;

pub use office::{Counter, Office, PublishError};

use crate::config::Config;
use crate::metrics::ShardMetrics;

/// What every request handler reaches.
pub struct Control {
    counter: Counter,
    registry: Registry,
    message_bytes_max: usize,
    /// Whether new clients should come here.
    ready: AtomicBool,
}

impl Control {
    /// For a server whose shards all run.
    pub fn new(config: &Config, counter: Counter, shards: Vec<Arc<ShardMetrics>>) -> Arc<Self> {
        Arc::new(Self {
            counter,
            registry: metrics::registry(shards),
            message_bytes_max: config.limits.message_bytes_max,
            ready: AtomicBool::new(true),
        })
    }

    /// From now on `/ready` says no.
    pub fn begin_drain(&self) {
        self.ready.store(false, Ordering::Relaxed);
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
        served = async { axum::serve(listener, api::router(control)).await } => served,
        () = end => Ok(()),
    }
}
