//! What is read again on SIGHUP, while the service runs: the keys.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::access::Access;

/// From here on, SIGHUP has the keys read again. What is spoilt is told in the log, and changes nothing.
pub(super) fn on_hang_up(access: &'static Access) -> io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            let path = access.path().display();
            // It reads a file, which may take as long as the disk likes.
            match tokio::task::spawn_blocking(|| access.reload()).await {
                Ok(Ok(keys)) => tracing::info!(%path, keys, "SIGHUP: the keys were read again"),
                Ok(Err(error)) => tracing::error!(%error, "SIGHUP: the keys stay as they were"),
                Err(error) => tracing::error!(%error, "SIGHUP: the keys stay as they were"),
            }
        }
    });
    Ok(())
}
