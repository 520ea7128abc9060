//! Connections: accepting them, bounding them, and letting them finish.
//!
//! Our own loop rather than `axum::serve`, which sets hyper no timer: without one, no header timeout ever fires
//! and a client that sends half a request holds its connection for ever. HTTP/1.1 only: what speaks HTTP/2 to the
//! world is the proxy in front.

use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;

use super::write_bound::WriteBound;

/// The bounds of the connections.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Connections at once; further ones wait in the listener's backlog. An HTTP/1.1 connection carries one
    /// request at a time, so this bounds the requests as well.
    pub connections_max: usize,
    /// How long a client may take to send a request's head, and so how long a connection may idle.
    pub header_timeout: Duration,
    /// How long a client may take nothing of an answer that is being written to it.
    pub write_timeout: Duration,
    /// How long requests may go on after shutdown began.
    pub shutdown_grace: Duration,
}

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request that was accepted was answered.
    Clean,
    /// Some were not answered in time and were cut off.
    CutOff,
}

/// Pause after an accept failed for want of a resource, such as file descriptors: trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` until `shutdown` completes, then finishes what was accepted.
///
/// `draining` is called when shutdown begins, before the last requests are finished.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
    draining: impl FnOnce(),
) -> Drained {
    let slots = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => spawn(stream, slot, router.clone(), &config, &graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    draining();
    // New connections are refused from here on, rather than left unanswered in the backlog.
    drop(listener);
    match tokio::time::timeout(config.shutdown_grace, graceful.shutdown()).await {
        Ok(()) => Drained::Clean,
        Err(_) => Drained::CutOff,
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are written whole: waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

fn spawn(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    router: Router,
    config: &ServerConfig,
    graceful: &GracefulShutdown,
) {
    // One router per connection, borrowed for each of its requests in turn: cloning it for each would be a
    // reference count that every core writes twice per request.
    let router = RefCell::new(router);
    let service = service_fn(move |request: Request<Incoming>| router.borrow_mut().call(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .serve_connection(TokioIo::new(WriteBound::new(stream, config.write_timeout)), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // Clients go away all the time; that is worth a line only to somebody who looks for it.
            tracing::debug!(%error, "a connection ended early");
        }
        drop(slot);
    });
}
