//! A connection of HTTP/1.0 or 1.1: its requests, one after the other, and its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tower::Service as _;

use super::bounds::{Bounded, Bounds};
use super::connection::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::peers::ClientAddress;
use super::shared::{Course, IDLE_LONG, Shared, Watching};
use super::socket::Socket;
use crate::http::request_body::{Exchange, Phase, RequestBody};

/// What a connection reads ahead, or holds of an answer before it writes, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves its requests until it ends.
pub(super) async fn serve(
    socket: Socket,
    router: Router,
    told: Option<ClientAddress>,
    shared: &Shared,
    course: &mut Watching,
) {
    let config = &shared.config;
    let mut http = http1::Builder::new();
    // The stream sees to it: hyper would set a timer up with each request.
    http.header_read_timeout(None);
    http.max_headers(HEADERS_MAX).max_header_size(HEAD_BYTES_MAX).max_buf_size(BUFFER_BYTES_MAX);
    let exchange = &Arc::new(Exchange::default());
    let bounds =
        Bounds { idle: config.idle_timeout, head: config.header_timeout, write: config.write_timeout };
    let mut stream = Bounded::new(socket, Arc::clone(exchange), bounds);
    // One router per connection, borrowed for each of its requests in turn: cloning it for each would be a
    // reference count that every core writes twice per request.
    let router = RefCell::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let asked = !request.body().is_end_stream() && request.headers().contains_key(header::EXPECT);
        exchange.begin(request.body().is_end_stream());
        let mut request = request.map(|body| RequestBody::new(body, exchange));
        if let Some(address) = told {
            request.extensions_mut().insert(address);
        }
        answer(router.borrow_mut().call(request), exchange, shared, asked)
    });
    let ended = {
        let mut connection = pin!(http.serve_connection(TokioIo::new(&mut stream), service));
        let mut idle = Idle::default();
        loop {
            let changed = tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                changed = course.changed() => changed,
            };
            match changed {
                Course::Closing => {
                    connection.as_mut().graceful_shutdown();
                    break connection.await;
                }
                Course::Crowded => {
                    if idle.is_long(exchange) && shared.makes_room() {
                        shared.connections.made_room();
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    };
    let socket = stream.get_ref();
    match &ended {
        Ok(()) => {}
        // A head that is none was answered, too; after any other failure there is nobody who could read.
        Err(error) if error.is_parse() => {}
        Err(error) => {
            // Clients go away all the time; that is worth a line only to somebody who looks for it.
            tracing::debug!(%error, "a connection ended early");
            if !matches!(exchange.phase(), Phase::Idle | Phase::Begun) {
                shared.connections.broken_off();
                // An answer that was begun must not pass for whole.
                socket.break_off();
            }
            return;
        }
    }
    tokio::select! {
        biased;
        () = config.linger.on(socket, ended.is_err() || exchange.is_left()) => {}
        // Whoever has been answered is not waited for.
        () = course.closing() => {}
    }
}

/// How long a connection has done nothing, as far as it was looked at.
#[derive(Debug, Default)]
struct Idle {
    /// The requests that it had had when it was found idle, and when that was.
    since: Option<(u32, Instant)>,
}

impl Idle {
    /// Whether it has done nothing for [`IDLE_LONG`]. To be asked again and again.
    fn is_long(&mut self, exchange: &Exchange) -> bool {
        if exchange.phase() != Phase::Idle {
            self.since = None;
            return false;
        }
        let requests = exchange.requests();
        match self.since {
            Some((before, since)) if before == requests => since.elapsed() >= IDLE_LONG,
            _ => {
                self.since = Some((requests, Instant::now()));
                false
            }
        }
    }
}

/// The answer, which says so if it is the last of its connection: because nobody read the body, the client has closed its side, or the
/// service is about to go.
async fn answer(
    answered: impl Future<Output = Result<Response, Infallible>>,
    exchange: &Arc<Exchange>,
    shared: &Shared,
    asked: bool,
) -> Result<Response, Infallible> {
    let mut response = answered.await?;
    if !exchange.is_over(asked).await || exchange.is_closed() || shared.is_leaving() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if response.body().size_hint().exact().is_some() {
        exchange.answered();
        return Ok(response);
    }
    let made = Made { exchange: Arc::clone(exchange), request: exchange.requests() };
    Ok(response.map(|body| Body::new(Streamed { body, made })))
}

/// The body of an answer that is made piece by piece, which says when it is whole.
#[derive(Debug)]
struct Streamed {
    body: Body,
    made: Made,
}

/// Says once that the answer to a request is made.
#[derive(Debug)]
struct Made {
    exchange: Arc<Exchange>,
    /// Which request of its connection that is.
    request: u32,
}

impl Made {
    fn say(&self) {
        let is_at_hand = !matches!(self.exchange.phase(), Phase::Idle | Phase::Begun);
        if is_at_hand && self.exchange.requests() == self.request {
            self.exchange.answered();
        }
    }
}

/// hyper does not ask for the end of a body that says that there is no more (an answer without one), or that has been as long as it said (a
/// backup), but drops it. One that breaks is dropped, too; its connection ends with it.
impl Drop for Made {
    fn drop(&mut self) {
        self.say();
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.made.say();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_is_who_asked_nothing_for_a_while() {
        let (exchange, mut idle) = (Exchange::default(), Idle::default());
        let mut is_long = async |exchange: &Exchange| {
            let at_once = idle.is_long(exchange);
            tokio::time::advance(IDLE_LONG).await;
            (at_once, idle.is_long(exchange))
        };
        assert_eq!(is_long(&exchange).await, (false, true));
        exchange.read();
        assert_eq!(is_long(&exchange).await, (false, false), "a head has begun");
        exchange.begin(true);
        assert_eq!(is_long(&exchange).await, (false, false), "it is being answered");
        exchange.answered();
        assert_eq!(is_long(&exchange).await, (false, false), "its answer has not left");
        exchange.left();
        assert_eq!(is_long(&exchange).await, (false, true));
        exchange.begin(true);
        exchange.answered();
        exchange.left();
        assert_eq!(is_long(&exchange).await, (false, true), "it was busy since the last look");
    }
}
