//! Connections: accepting them, bounding them, and letting them finish.
//!
//! Our own loop rather than `axum::serve`, which sets hyper no timer: without one, no header timeout ever fires
//! and a client that sends half a request holds its connection for ever. HTTP/1.1 only: what speaks HTTP/2 to the
//! world is the proxy in front.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::Service as _;

use super::linger::Linger;
use super::request_body::{RequestBody, Unread};
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
    /// How far a client that was answered while it still sends is read. Its connection keeps its slot meanwhile.
    pub linger: Linger,
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
    // Each connection has a receiver, until it is closed.
    let (stop, stopping) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => spawn(stream, slot, router.clone(), &config, stopping.clone()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    draining();
    // New connections are refused from here on, rather than left unanswered in the backlog.
    drop((listener, stopping));
    let _nobody_is_connected = stop.send(true);
    match tokio::time::timeout(config.shutdown_grace, stop.closed()).await {
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
    mut stopping: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    let linger = config.linger;
    let mut stream = WriteBound::new(stream, config.write_timeout);
    // One router per connection, borrowed for each of its requests in turn: cloning it for each would be a
    // reference count that every core writes twice per request.
    let router = RefCell::new(router);
    tokio::spawn(async move {
        let unread = &Arc::new(Unread::default());
        let service = service_fn(move |request: Request<Incoming>| {
            let asked = !request.body().is_end_stream() && request.headers().contains_key(header::EXPECT);
            let request = request.map(|body| RequestBody::new(body, unread));
            answer(router.borrow_mut().call(request), unread, asked)
        });
        let ended = {
            let mut connection = pin!(http.serve_connection(TokioIo::new(&mut stream), service));
            tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = began(&mut stopping) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        if let Err(error) = &ended {
            // Clients go away all the time; that is worth a line only to somebody who looks for it.
            tracing::debug!(%error, "a connection ended early");
        }
        // A head that is none was answered, too; after any other failure there is nobody who could read.
        if ended.as_ref().err().is_none_or(hyper::Error::is_parse) {
            tokio::select! {
                biased;
                () = linger.on(stream.get_ref(), ended.is_err() || unread.is_left()) => {}
                // Whoever has been answered is not waited for.
                () = began(&mut stopping) => {}
            }
        }
        // The slot is another's when the connection is closed, not before.
        drop(stream);
        drop(slot);
    });
}

/// Completes when the shutdown has begun.
async fn began(stopping: &mut watch::Receiver<bool>) {
    let _or_the_server_is_gone = stopping.wait_for(|stopping| *stopping).await;
}

/// The answer, which says so if it is the last of its connection because nobody read the body.
async fn answer(
    answered: impl Future<Output = Result<Response, Infallible>>,
    unread: &Unread,
    asked: bool,
) -> Result<Response, Infallible> {
    let mut response = answered.await?;
    if !unread.is_over(asked).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
