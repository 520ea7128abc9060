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
            if let Some(api_keys) = access.and_then(Access::keys)
                && let Some(keys) = read_again(|| api_keys.reload(), "the keys stay as they were").await
            {
                let path = api_keys.path().display();
                tracing::info!(%path, keys, "SIGHUP: the keys were read again");
            }
            if let Some(tokens) = access.and_then(Access::tokens)
                && let Some(keys) =
                    read_again(|| tokens.reload(), "the keys of tokens stay as they were").await
            {
                let path = tokens.path().display();
                tracing::info!(%path, keys, "SIGHUP: the keys of tokens were read again");
            }
            if let Some(tls) = tls.clone()
                && let Some(()) = read_again(move || tls.reload(), "the certificate stays as it was").await
            {
                tracing::info!("SIGHUP: the certificate was read again");
            }
        }
    });
    Ok(())
}

/// Reads files, which may take as long as the disk likes. What came of it; `None` if it is no good, which is told, and that all is as before.
async fn read_again<T, E>(
    reload: impl FnOnce() -> Result<T, E> + Send + 'static,
    as_before: &'static str,
) -> Option<T>
where
    T: Send + 'static,
    E: Display + Send + 'static,
{
    let error = match spawn_blocking(reload).await {
        Ok(Ok(read)) => return Some(read),
        Ok(Err(error)) => error.to_string(),
        Err(panicked) => panicked.to_string(),
    };
    tracing::error!(%error, "SIGHUP: {as_before}");
    None
}
