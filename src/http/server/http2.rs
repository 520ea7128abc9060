//! A connection of HTTP/2: its streams, each a request, and its end.
//!
//! hyper and h2 speak the protocol, and have bounds of their own for what only costs time or memory: requests that are reset before anybody has
//! taken them (CVE-2023-44487), heads that come in pieces without end (CVE-2024-27316, h2 0.4.4), faults that are answered with resets
//! (RUSTSEC-2024-0003), data in tiny pieces (h2 0.4.16). What is bounded here, and in [`streams`](super::streams):
//!
//! - **streams at once**, of a connection and of all together;
//! - **a connection without a request**: it may idle as one of HTTP/1.1 may, and makes room as one does. What else it says meanwhile is nothing;
//! - **a client that was told to go** (GOAWAY) and stays;
//! - **an answer of which nothing is taken**: its stream is reset, and the others go on;
//! - **requests that are given up again and again**, after they were taken.
//!
//! Where clients are to go elsewhere, the first answer of a connection is followed by a GOAWAY, as it says `Connection: close` in HTTP/1.1.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};

use super::bounds::Flowing;
use super::connection::HEAD_BYTES_MAX;
use super::peers::ClientAddress;
use super::shared::{Course, IDLE_LONG, Shared, Watching};
use super::socket::Socket;
use super::streams::{Spawner, Streams, answer};

/// Requests of one connection at once. More are refused, and may be sent again.
pub(super) const STREAMS_MAX: u16 = 100;
/// What a client may send of a body that nobody has read yet, and of all bodies of a connection, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// A frame, at most, in bytes: the least that may be said.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// What is held of an answer before it is written, in bytes.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// Requests that were reset before anybody took them, at once; and those that had to be reset for their faults, in all. More end the connection.
const RESET_UNTAKEN_MAX: usize = 20;
const FAULTS_MAX: usize = 1_024;
/// How long nothing may come before the client is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(20);

/// Serves its requests until it ends.
pub(super) async fn serve(
    socket: Socket,
    router: Router,
    told: Option<ClientAddress>,
    shared: &Arc<Shared>,
    course: &mut Watching,
) {
    let config = &shared.config;
    shared.connections.speaks_http2();
    let streams = &Arc::new(Streams::new(Arc::clone(shared)));
    let mut stream = Flowing::new(socket, config.write_timeout, Arc::clone(streams));
    let ended = driven(&mut stream, router, told, streams, course).await;
    // What was answered has its end; what was not is dropped where it is, and keeps the place until it is.
    streams.over().await;
    let unread = match &ended {
        Some(Ok(())) => false,
        // The client has been told what it did.
        Some(Err(error)) if !is_broken(error) => true,
        _ => return,
    };
    tokio::select! {
        biased;
        () = config.linger.on(stream.get_ref(), unread) => {}
        // Whoever has been answered is not waited for.
        () = course.closing() => {}
    }
}

/// How the connection has ended; `None` if it was cut off, as its client would not go.
async fn driven(
    stream: &mut Flowing<Socket>,
    router: Router,
    told: Option<ClientAddress>,
    streams: &Arc<Streams>,
    course: &mut Watching,
) -> Option<hyper::Result<()>> {
    let shared = streams.shared();
    let router = RefCell::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(address) = told {
            request.extensions_mut().insert(address);
        }
        answer(request, &router, streams)
    });
    let builder = builder(streams);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Since when it is to go.
    let mut going = None;
    loop {
        let goes = tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if ended.as_ref().is_err_and(is_broken) && streams.idle_since().is_none() {
                    shared.connections.broken_off();
                }
                return Some(ended);
            }
            changed = course.changed() => match changed {
                Course::Closing => true,
                Course::Crowded => {
                    let makes_room = going.is_none()
                        && streams.idle_since().is_some_and(|since| since.elapsed() >= IDLE_LONG)
                        && shared.makes_room();
                    if makes_room {
                        shared.connections.made_room();
                    }
                    makes_room
                }
            },
            () = streams.told_to_go() => true,
            () = sleep_until(streams.due(going)) => match going {
                None => streams.idles_too_long(),
                Some(since) if streams.stays(since) => return None,
                Some(_) => false,
            },
        };
        if goes && going.is_none() {
            going = Some(Instant::now());
            connection.as_mut().graceful_shutdown();
        }
    }
}

fn builder(streams: &Arc<Streams>) -> http2::Builder<Spawner> {
    let config = &streams.shared().config;
    let mut http = http2::Builder::new(Spawner::new(Arc::clone(streams)));
    http.timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(config.header_timeout)
        .max_concurrent_streams(u32::from(STREAMS_MAX))
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(UNSENT_BYTES_MAX)
        .max_pending_accept_reset_streams(RESET_UNTAKEN_MAX)
        .max_local_error_reset_streams(FAULTS_MAX);
    http
}

/// Whether there is nobody who could read why it ended.
fn is_broken(error: &hyper::Error) -> bool {
    tracing::debug!(%error, "a connection of HTTP/2 ended early");
    error.is_timeout() || error.source().is_some_and(<dyn Error>::is::<io::Error>)
}
