//! A server program for the tests of `crash`: the durable fake service behind the command line of the real one.
//!
//! `--fault NAME` plants a fault.

use std::io::Write;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[path = "../tests/e2e/durable.rs"]
mod durable;
#[path = "../tests/e2e/fake.rs"]
#[expect(dead_code, reason = "the tests use the other faults")]
mod fake;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let fault = value("--fault").map_or(Ok(durable::Fault::None), |name| name.parse());
    let fault = fault.map_err(std::io::Error::other)?;
    let folder = PathBuf::from(value("--data-dir").ok_or_else(|| std::io::Error::other("no --data-dir"))?);
    let service = durable::open(&folder, fault)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        terminate.recv().await;
    };
    let router = durable::router(service.clone());
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await?;
    durable::close(&service, &folder).await
}
