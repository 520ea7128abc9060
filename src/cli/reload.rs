//! What is read again on SIGHUP, while the service runs: the keys, those of tokens, and the certificate.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::access::Access;
use crate::http::server::tls::Tls;

/// From here on, SIGHUP has what there is of them read again, and ends nothing. What is spoilt is told in the log, and changes nothing.
pub(super) fn on_hang_up(access: Option<&'static Access>, tls: Option<Arc<Tls>>) -> io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            // Both read files, which may take as long as the disk likes.
            if let Some(api_keys) = access.and_then(Access::keys) {
                match spawn_blocking(|| api_keys.reload()).await {
                    Ok(Ok(keys)) => {
                        let path = api_keys.path().display();
                        tracing::info!(%path, keys, "SIGHUP: the keys were read again");
                    }
                    Ok(Err(error)) => unchanged(&error, "the keys stay as they were"),
                    Err(error) => unchanged(&error, "the keys stay as they were"),
                }
            }
            if let Some(tokens) = access.and_then(Access::tokens) {
                match spawn_blocking(|| tokens.reload()).await {
                    Ok(Ok(keys)) => {
                        let path = tokens.path().display();
                        tracing::info!(%path, keys, "SIGHUP: the keys of tokens were read again");
                    }
                    Ok(Err(error)) => unchanged(&error, "the keys of tokens stay as they were"),
                    Err(error) => unchanged(&error, "the keys of tokens stay as they were"),
                }
            }
            if let Some(tls) = tls.clone() {
                match spawn_blocking(move || tls.reload()).await {
                    Ok(Ok(())) => tracing::info!("SIGHUP: the certificate was read again"),
                    Ok(Err(error)) => unchanged(&error, "the certificate stays as it was"),
                    Err(error) => unchanged(&error, "the certificate stays as it was"),
                }
            }
        }
    });
    Ok(())
}

fn unchanged(error: &dyn Display, what: &str) {
    tracing::error!(%error, "SIGHUP: {what}");
}
