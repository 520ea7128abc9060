//! The first bytes of a connection, by which it is told what it speaks. Nothing is read beyond what has to be known.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep_until, timeout};

use super::shared::{Course, IDLE_LONG, Shared, Watching};
use super::socket::Socket;
use super::tls;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.0 or 1.1, or nothing that is known.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// More is not looked at.
const OPENING_MAX: usize = 24;

/// Reads until `expected` has come, or something else, or the end. Says whether it has; what came is added to `read`.
pub(super) async fn begins_with(
    socket: &mut Socket,
    expected: &[u8],
    read: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut piece = [0; OPENING_MAX];
    while read.len() < expected.len() {
        let wanted = (expected.len() - read.len()).min(OPENING_MAX);
        let count = socket.read(&mut piece[..wanted]).await?;
        read.extend_from_slice(&piece[..count]);
        if count == 0 || !expected.starts_with(read) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is spoken: what both sides agreed on with TLS; else what its first bytes are, if it may be HTTP/2 unasked; else HTTP/1.1. `None` where
/// the connection has ended, or is to.
pub(super) async fn spoken(
    socket: Socket,
    may_be_http2: bool,
    shared: &Shared,
    course: &mut Watching,
) -> Option<(Socket, Speaks)> {
    if socket.agreed_on() == Some(tls::HTTP2) {
        // It has said so: what it says now has to be that.
        return opened(socket, shared.config.header_timeout).await;
    }
    if !may_be_http2 || matches!(socket, Socket::Tls(_)) {
        return Some((socket, Speaks::Http1));
    }
    if begins(&socket, shared, course).await {
        opened(socket, shared.config.header_timeout).await
    } else {
        None
    }
}

/// Whether something comes at all, while the connection may idle.
async fn begins(socket: &Socket, shared: &Shared, course: &mut Watching) -> bool {
    let since = Instant::now();
    loop {
        let changed = tokio::select! {
            biased;
            readable = socket.readable() => return readable.is_ok(),
            changed = course.changed() => changed,
            () = sleep_until(since + shared.config.idle_timeout) => return false,
        };
        match changed {
            Course::Closing => return false,
            Course::Crowded if since.elapsed() >= IDLE_LONG && shared.makes_room() => {
                shared.connections.made_room();
                return false;
            }
            Course::Crowded => {}
        }
    }
}

/// A connection of which something has come, and what that is. What is read is put back.
async fn opened(mut socket: Socket, bound: Duration) -> Option<(Socket, Speaks)> {
    let mut read = Vec::new();
    match timeout(bound, begins_with(&mut socket, PREFACE, &mut read)).await {
        Ok(Ok(true)) => Some((socket.with_ahead(read), Speaks::Http2)),
        Ok(Ok(false)) => Some((socket.with_ahead(read), Speaks::Http1)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection ended before it said what it speaks");
            None
        }
        Err(_) => {
            tracing::debug!("a connection did not say in time what it speaks");
            None
        }
    }
}
