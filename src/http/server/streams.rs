//! [`Streams`]: the requests of a connection of HTTP/2, and how each is answered.
//!
//! An answer is handed over piece by piece, and the protocol takes no piece before there is room in the client's window for the first byte of
//! it. So a client that takes nothing shows in a piece that is not asked for, and its stream is reset ([`Task`]). But what was handed
//! over last is nobody's any more: a client with a window of one byte would have all of a short answer held for it. So the last byte of
//! whatever is not short is a piece of its own ([`Answer`]), which is not taken before there is room for everything.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use tower::Service as _;

use super::connection::HEADERS_MAX;
use super::http2::STREAMS_MAX;
use super::shared::Shared;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request_body::RequestBody;

/// A piece of an answer, in bytes: as long as a frame. Who takes one is seen to take something.
const PIECE_BYTES: usize = 16 * 1024;
/// An answer, or a part of one, of which all may be held for a client that takes nothing, in bytes.
const SHORT_BYTES: usize = 1024;
/// So many requests that their client gave up, and more than half of all, are too many.
const GIVEN_UP_MAX: u32 = 1_000;

/// The requests of a connection. It, its task and those of the requests share it.
#[derive(Debug)]
pub(super) struct Streams {
    shared: Arc<Shared>,
    began: Instant,
    open: AtomicUsize,
    /// When the last of them was over, in milliseconds since the connection began.
    idle_since: AtomicU64,
    requests: AtomicU32,
    given_up: AtomicU32,
    /// Whether something waits to be written.
    writes: AtomicBool,
    go: Notify,
    over: Notify,
    /// A request that was taken, and of which there is no task yet.
    taken: Mutex<Option<(Arc<Flow>, Open)>>,
}

impl Streams {
    /// Of a connection that begins.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            began: Instant::now(),
            open: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            given_up: AtomicU32::new(0),
            writes: AtomicBool::new(false),
            go: Notify::new(),
            over: Notify::new(),
            taken: Mutex::default(),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Notes whether something waits to be written.
    pub(super) fn writes(&self, waits: bool) {
        self.writes.store(waits, Ordering::Relaxed);
    }

    /// Completes when the client is to be told to go.
    pub(super) async fn told_to_go(&self) {
        self.go.notified().await;
    }

    /// Completes when no request is open.
    pub(super) async fn over(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            self.over.notified().await;
        }
    }

    /// Since when no request is open; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.open.load(Ordering::Acquire) == 0;
        is_idle.then(|| self.began + Duration::from_millis(self.idle_since.load(Ordering::Relaxed)))
    }

    /// When to look again whether it idles too long, or stays where it was told to go.
    pub(super) fn due(&self, going: Option<Instant>) -> Instant {
        let (now, config) = (Instant::now(), &self.shared.config);
        let bound = if going.is_some() { config.header_timeout } else { config.idle_timeout };
        let since = self.idle_since().map_or(now, |idle| going.map_or(idle, |going| idle.max(going)));
        let due = since + bound;
        // Something is still being written.
        if due <= now { now + LOOK_PAUSE } else { due }
    }

    /// Whether it has idled for as long as it may.
    pub(super) fn idles_too_long(&self) -> bool {
        self.idle_since().is_some_and(|since| since.elapsed() >= self.shared.config.idle_timeout)
    }

    /// Whether it has been told to go for long enough, and has nothing to stay for. What is being written has a bound of its own.
    pub(super) fn stays(&self, going: Instant) -> bool {
        let bound = self.shared.config.header_timeout;
        let is_idle = self.idle_since().is_some_and(|since| since.max(going).elapsed() >= bound);
        is_idle && !self.writes.load(Ordering::Relaxed)
    }
}

/// How long before it is looked again at what was due.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// A request that is open. Dropped, it is over.
#[derive(Debug)]
struct Open {
    streams: Arc<Streams>,
    /// Whether its client gave it up.
    is_given_up: bool,
}

impl Open {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::Relaxed);
        streams.requests.fetch_add(1, Ordering::Relaxed);
        Self { streams: Arc::clone(streams), is_given_up: false }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let streams = &self.streams;
        streams.shared.connections.http2_is_over();
        if self.is_given_up {
            let given_up = streams.given_up.fetch_add(1, Ordering::Relaxed) + 1;
            if given_up >= GIVEN_UP_MAX && given_up > streams.requests.load(Ordering::Relaxed) / 2 {
                streams.go.notify_one();
            }
        }
        let now = u64::try_from(streams.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        streams.idle_since.store(now, Ordering::Relaxed);
        if streams.open.fetch_sub(1, Ordering::Release) == 1 {
            streams.over.notify_one();
        }
    }
}

/// How far an answer is, for its task.
#[derive(Debug, Default)]
struct Flow {
    /// Whether a piece was given, and no other was asked for.
    is_owed: AtomicBool,
    /// How many pieces were given; it wraps.
    pieces: AtomicU8,
    /// Whether the last was given.
    is_whole: AtomicBool,
}

/// Answers a request. What is made of it is carried on by a task that [`Spawner`] is given next.
pub(super) fn answer(
    request: Request<Incoming>,
    router: &RefCell<Router>,
    streams: &Arc<Streams>,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send + use<> {
    let shared = Arc::clone(&streams.shared);
    let flow = Arc::new(Flow::default());
    *streams.taken.lock() = Some((Arc::clone(&flow), Open::new(streams)));
    // As many as connections, so that this bounds the requests whatever is spoken.
    let requests_max = shared.config.connections_max.max(usize::from(STREAMS_MAX));
    let is_one_too_many = !shared.connections.http2_begins(requests_max);
    let has_no_body = *request.method() == Method::HEAD;
    let begun = if is_one_too_many {
        Err(overloaded())
    } else if request.headers().len() > HEADERS_MAX {
        // As hyper answers it in HTTP/1.1.
        Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response())
    } else {
        Ok(router.borrow_mut().call(request.map(RequestBody::apart)))
    };
    let streams = Arc::clone(streams);
    async move {
        let response = match begun {
            Ok(answered) => answered.await?,
            Err(refused) => refused,
        };
        if shared.is_leaving() {
            streams.go.notify_one();
        }
        Ok(without_body(response, has_no_body).map(|body| Answer::new(body, flow)))
    }
}

fn overloaded() -> Response {
    let detail = "there are as many requests over HTTP/2 as there may be at once; nothing was changed";
    Problem::new(ProblemKind::Overloaded, detail).into_response()
}

/// The answer, without a body where it may have none: in HTTP/1.1 hyper leaves it out.
fn without_body(mut response: Response, is_head: bool) -> Response {
    if is_head && let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    if is_head || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return response.map(|_| Body::empty());
    }
    response
}

/// The body of an answer, in pieces.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    /// Of what it has given.
    rest: Bytes,
    flow: Arc<Flow>,
}

impl Answer {
    fn new(body: Body, flow: Arc<Flow>) -> Self {
        flow.is_whole.store(body.is_end_stream(), Ordering::Relaxed);
        Self { body, rest: Bytes::new(), flow }
    }

    /// A piece of the rest, which is not empty.
    fn piece(&mut self) -> Bytes {
        let length = self.rest.len();
        let piece = if length > PIECE_BYTES {
            PIECE_BYTES
        } else if length > SHORT_BYTES {
            length - 1
        } else {
            length
        };
        self.rest.split_to(piece)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            this.flow.is_owed.store(false, Ordering::Relaxed);
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => {
                    this.flow.is_whole.store(true, Ordering::Relaxed);
                    return Poll::Ready(end);
                }
            }
        }
        let piece = this.piece();
        let flow = &this.flow;
        flow.is_owed.store(true, Ordering::Relaxed);
        flow.pieces.store(flow.pieces.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        flow.is_whole.store(this.is_end_stream(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // It is asked before anything is given.
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

/// Gives each request of a connection a task.
#[derive(Debug, Clone)]
pub(super) struct Spawner(Arc<Streams>);

impl Spawner {
    /// For the requests of that connection.
    pub(super) fn new(streams: Arc<Streams>) -> Self {
        Self(streams)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        let taken = self.0.taken.lock().take();
        match taken {
            Some((flow, open)) => tokio::spawn(Task::new(future, flow, open)),
            None => tokio::spawn(future),
        };
    }
}

pin_project! {
    /// A request, until its answer was handed over, or its client has taken nothing of it for too long.
    struct Task<F> {
        #[pin]
        future: Option<F>,
        flow: Arc<Flow>,
        open: Open,
        // Runs while a piece waits for the client's window.
        #[pin]
        stalled: Option<Sleep>,
        // How many pieces there were when it began to run.
        pieces: u8,
    }
}

impl<F> Task<F> {
    fn new(future: F, flow: Arc<Flow>, open: Open) -> Self {
        Self { future: Some(future), flow, open, stalled: None, pieces: 0 }
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        if future.poll(cx).is_ready() {
            this.open.is_given_up = !this.flow.is_whole.load(Ordering::Relaxed);
            return Poll::Ready(());
        }
        if !this.flow.is_owed.load(Ordering::Relaxed) {
            this.stalled.set(None);
            return Poll::Pending;
        }
        let pieces = this.flow.pieces.load(Ordering::Relaxed);
        if this.stalled.is_none() || *this.pieces != pieces {
            *this.pieces = pieces;
            this.stalled.set(Some(sleep(this.open.streams.shared.config.write_timeout)));
        }
        let Some(stalled) = this.stalled.as_mut().as_pin_mut() else { return Poll::Pending };
        ready!(stalled.poll(cx));
        this.open.streams.shared.connections.http2_reset();
        // Dropped before its end, it resets its stream.
        this.future.set(None);
        Poll::Ready(())
    }
}
