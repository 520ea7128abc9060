//! What the programs of the shops have in common: their command line, and being a server.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::http;
use crate::shop::{Shop, Way};

/// A small shop over a real database, for `loadtest run --target` to judge. It tells no versions.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Address to listen on; port 0 takes a free one. The address is the first line on standard output.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// The database, such as <postgresql://user@host/name> or <redis://host>.
    #[arg(long, value_name = "URL")]
    pub database: String,
    /// How quantities are changed: the bug that people write, or what they should have written.
    #[arg(long, value_enum)]
    pub way: Way,
}

/// Serves a shop until SIGTERM or SIGINT, then ends when it has answered what it was asked.
pub async fn serve(listen: SocketAddr, shop: impl Shop) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(listen).await?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    };
    axum::serve(listener, http::router(shop)).with_graceful_shutdown(stopped).await
}
