//! The composition root: the only place that builds the long-lived parts and starts them.

use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::server::{self, Drained};
use crate::http::{self, HttpState};
use crate::inventory::Inventory;

/// A service that is built and not yet started.
#[derive(Debug)]
pub struct App {
    state: &'static HttpState,
    config: Config,
}

impl App {
    /// Builds every part.
    pub fn build(config: Config) -> Self {
        let inventory = Inventory::new(config.kind, config.strategy.clone());
        // Leaked on purpose: it lives as long as the process, and needs no reference count (see `HttpState`).
        let state = Box::leak(Box::new(HttpState::new(inventory)));
        Self { state, config }
    }

    /// Serves until `shutdown` completes, then finishes what was accepted.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { state, config } = self;
        let router = http::router(state, &config.http);
        state.readiness.set(true);
        let drained =
            server::serve(listener, router, config.server, shutdown, || state.readiness.set(false)).await;
        if drained == Drained::Clean {
            // Requests that were cut off may have left a strategy's thread at work on what will never end.
            state.inventory.shut_down().await;
        }
        drained
    }
}
