//! When to stop: the event every part of the service can wait for.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Installs the handlers of SIGTERM and SIGINT, and returns what completes at the first of either. A second one ends the
/// process at once, for those who do not want to wait for the drain.
pub fn on_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut either = async move || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = either().await;
        tracing::info!(signal, "shutting down; send it again to stop at once");
        tokio::spawn(async move {
            either().await;
            std::process::exit(130);
        });
    })
}
