//! [`Bounded`]: a stream of which nothing waits without end, and that is not over while an answer is due. [`Flowing`]: the same of HTTP/2, as far
//! as it is the same.
//!
//! The request timeout covers a request from its head until its answer is made. What lies between that and the next is bounded here:
//!
//! - **a connection that idles** may do so for a minute ([`Idling`]);
//! - **a head that has begun** has to come whole in some seconds;
//! - **an answer that is being written**: a client that takes nothing of it for so long would keep its connection, and the answer's
//!   memory, for ever. What a client takes slowly it takes: it is the kernel's room for what was not sent, which
//!   [listening](super::listen) bounds, that shows every step of it.
//!
//! **A client that has closed its side may still read** (`nc`, `socat`, RFC 9112, section 9.6), or may have gone: nobody can tell before something is
//! written to it. hyper takes the first for the second. So while the answer to a request that has come whole is due, the end is kept from it; a
//! client that has gone shows in the first write, or in that nothing was written for [`GONE_AFTER`].

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::known::Known;
use super::streams::Streams;
use crate::http::request_body::{Exchange, Phase};

/// How long a client that has closed its side waits for the next piece of its answer.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// For the next request.
    pub(super) idle: Duration,
    /// For the rest of a head.
    pub(super) head: Duration,
    /// For a client to take something of its answer.
    pub(super) write: Duration,
}

/// A stream that fails where it would wait too long.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    exchange: Arc<Exchange>,
    head_bound: Duration,
    idling: Idling,
    writes: Writes,
    /// Runs while the rest of a head is waited for; most come in one piece.
    late: Option<Pin<Box<Sleep>>>,
    /// Runs from when the client has closed its side.
    gone: Option<Pin<Box<Sleep>>>,
}

impl<S> Bounded<S> {
    /// With these bounds.
    pub(super) fn new(stream: S, exchange: Arc<Exchange>, bounds: Bounds) -> Self {
        let Bounds { idle, head, write } = bounds;
        Self {
            stream,
            exchange,
            // Of who may do nothing for less, no half of a head is waited for longer.
            head_bound: head.min(idle),
            idling: Idling::new(idle),
            writes: Writes::new(write),
            late: None,
            gone: None,
        }
    }

    /// The stream, without the bounds.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Nothing has come. Fails if that is so for too long in the middle of a head, or where there is none.
    fn nothing_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_late = match self.exchange.phase() {
            Phase::Begun => {
                let bound = self.head_bound;
                let late = self.late.get_or_insert_with(|| Box::pin(sleep(bound)));
                late.as_mut().poll(cx)
            }
            phase => {
                self.late = None;
                let idles = phase == Phase::Idle;
                if idles { self.idling.poll(self.exchange.requests(), cx) } else { Poll::Pending }
            }
        };
        is_late.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Nothing more will come: that is kept back while an answer is due.
    fn end_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.exchange.phase() {
            Phase::Idle | Phase::Begun | Phase::Arriving => Poll::Ready(Ok(())),
            Phase::Whole | Phase::Answered => {
                let gone = self.gone.get_or_insert_with(|| Box::pin(sleep(GONE_AFTER)));
                gone.as_mut().poll(cx).map(Ok)
            }
        }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready()
            && let Some(gone) = &mut self.gone
        {
            gone.as_mut().reset(Instant::now() + GONE_AFTER);
            let _not_yet = gone.as_mut().poll(cx);
        }
        self.writes.bounded(cx, written)
    }
}

/// How long a connection may do nothing.
///
/// One timer, which is set when a connection first idles and not touched with each request: when it rings, it is looked at whether the connection
/// has idled for so long, and if not it is set to when it will have.
#[derive(Debug)]
struct Idling {
    bound: Duration,
    /// After how many requests it idles, and since when.
    requests: u32,
    since: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whom the alarm wakes.
    known: Known,
}

impl Idling {
    fn new(bound: Duration) -> Self {
        Self { bound, requests: 0, since: Instant::now(), alarm: None, known: Known::default() }
    }

    /// It idles after so many requests; completes once it has done so for too long.
    fn poll(&mut self, requests: u32, cx: &mut Context<'_>) -> Poll<()> {
        if self.requests != requests {
            self.requests = requests;
            self.since = Instant::now();
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(self.since + self.bound)));
        if self.known.is(cx) && !alarm.is_elapsed() {
            return Poll::Pending;
        }
        self.known.keep(cx);
        // Whatever the task has done already (a long download): out of budget, the timer would not be set, and nobody look at it again.
        while pin!(unconstrained(alarm.as_mut())).poll(cx).is_ready() {
            let over = self.since + self.bound;
            if alarm.deadline() >= over {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(over);
        }
        Poll::Pending
    }
}

/// How long a write may wait.
#[derive(Debug)]
struct Writes {
    bound: Duration,
    /// Runs while one waits; most never do.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Writes {
    fn new(bound: Duration) -> Self {
        Self { bound, stalled: None }
    }

    /// What came of a write, a flush or a shutdown (over TLS all of them write), or that it has waited for too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let bound = self.bound;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(bound)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A stream of HTTP/2, of which no write waits without end. What else may wait there, [`streams`](super::streams) bound.
#[derive(Debug)]
pub(super) struct Flowing<S> {
    stream: S,
    writes: Writes,
    streams: Arc<Streams>,
}

impl<S> Flowing<S> {
    /// Something has to be taken within the bound.
    pub(super) fn new(stream: S, bound: Duration, streams: Arc<Streams>) -> Self {
        Self { stream, writes: Writes::new(bound), streams }
    }

    /// The stream, without the bounds.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.streams.writes(written.is_pending());
        self.writes.bounded(cx, written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flowing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flowing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.writes.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.writes.bounded(cx, shut_down)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.exchange.is_closed() {
            return self.end_read(cx);
        }
        let (had, room) = (into.filled().len(), into.remaining());
        match Pin::new(&mut self.stream).poll_read(cx, into) {
            Poll::Pending => self.nothing_read(cx),
            Poll::Ready(Ok(())) if into.filled().len() == had && room > 0 => {
                self.exchange.close();
                self.end_read(cx)
            }
            read @ Poll::Ready(_) => {
                self.exchange.read();
                read
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        let flushed = self.writes.bounded(cx, flushed);
        // hyper flushes once it has written all it had: the whole answer, if that was made.
        if flushed.is_ready() && self.exchange.left() {
            // It idles from here on, whether or not hyper looks for the next head before that comes: it does not, if there was none a moment ago.
            self.late = None;
            let requests = self.exchange.requests();
            let _just_begun = self.idling.poll(requests, cx);
            if self.exchange.is_closed() {
                // The end was kept back, and may be read now.
                cx.waker().wake_by_ref();
            }
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.writes.bounded(cx, shut_down)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use axum::http::{Request, Response};
    use hyper::body::{Body as _, Incoming};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncWriteExt as _, DuplexStream};
    use tokio::task::coop::{consume_budget, has_budget_remaining};
    use tokio::time::advance;

    use super::*;

    const BOUND: Duration = Duration::from_mins(1);
    const NEARLY: Duration = Duration::from_millis(59_999);

    async fn is_over(idling: &mut Idling, requests: u32) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(idling.poll(requests, cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_idles_for_so_long_after_each_request_and_no_longer() {
        let mut idling = Idling::new(BOUND);
        assert!(!is_over(&mut idling, 0).await);
        advance(NEARLY).await;
        assert!(!is_over(&mut idling, 0).await);
        assert!(!is_over(&mut idling, 1).await, "it has been asked since");
        for requests in 1..5 {
            advance(NEARLY).await;
            assert!(!is_over(&mut idling, requests).await, "{requests}");
            assert!(!is_over(&mut idling, requests + 1).await, "{requests}");
        }
        advance(BOUND / 2).await;
        assert!(!is_over(&mut idling, 5).await, "looked at again, it has idled for half as long");
        advance(BOUND / 2).await;
        assert!(is_over(&mut idling, 5).await);
    }

    /// Whoever polls it last is woken, and once: nothing is polled in between.
    #[tokio::test(start_paused = true)]
    async fn it_wakes_who_waits() {
        let mut idling = Idling::new(BOUND);
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(idling.poll(0, &mut nobody).is_pending());
        let began = Instant::now();
        advance(BOUND / 2).await;
        std::future::poll_fn(|cx| idling.poll(1, cx)).await;
        let idled = began.elapsed();
        assert!(idled >= BOUND * 3 / 2 && idled < BOUND * 2, "{idled:?}");
        assert!(is_over(&mut idling, 1).await, "it is over for good");
    }

    /// Also at the end of a task's turn, when what it does next is put off.
    #[tokio::test(start_paused = true)]
    async fn it_rings_whatever_was_done_before() {
        let idles = tokio::spawn(async {
            let mut idling = Idling::new(BOUND);
            while has_budget_remaining() {
                consume_budget().await;
            }
            std::future::poll_fn(|cx| idling.poll(0, cx)).await;
        });
        tokio::time::timeout(2 * BOUND, idles).await.expect("it rings").unwrap();
    }

    /// What TLS has to write takes it, and nobody takes it from there.
    struct Stuck;

    impl AsyncWrite for Stuck {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_flushed_is_bounded_as_what_is_written() {
        let bounds = Bounds { idle: 9 * BOUND, head: 9 * BOUND, write: BOUND };
        for shuts_down in [false, true] {
            let mut stream = Bounded::new(Stuck, Arc::default(), bounds);
            stream.write_all(b"an answer").await.expect("it is taken");
            let began = Instant::now();
            let ends = async { if shuts_down { stream.shutdown().await } else { stream.flush().await } };
            let ended = tokio::time::timeout(9 * BOUND, ends).await.expect("it ends");
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() < 2 * BOUND);
        }
    }

    /// However its first request comes and is answered: hyper looks for the next when it likes, which may be before the answer has left, and then not again.
    #[tokio::test(start_paused = true)]
    async fn who_was_answered_idles_from_then_on() {
        for (steps, is_there) in [(0, true), (1, true), (3, true), (0, false), (1, false), (3, false)] {
            let (mut client, server) = tokio::io::duplex(4_096);
            let ask = async |client: &mut DuplexStream| {
                client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            };
            if is_there {
                ask(&mut client).await;
            }
            let exchange = Arc::new(Exchange::default());
            let bounds = Bounds { idle: BOUND, head: BOUND, write: BOUND };
            let stream = Bounded::new(server, Arc::clone(&exchange), bounds);
            let service = service_fn(|request: Request<Incoming>| {
                exchange.begin(request.body().is_end_stream());
                let exchange = Arc::clone(&exchange);
                async move {
                    for _ in 0..steps {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    exchange.answered();
                    Ok::<_, Infallible>(Response::new(String::new()))
                }
            });
            let mut http = http1::Builder::new();
            http.header_read_timeout(None);
            let began = Instant::now();
            let until_it_ends =
                tokio::time::timeout(10 * BOUND, http.serve_connection(TokioIo::new(stream), service));
            let asked = async {
                if !is_there {
                    advance(Duration::from_millis(1)).await;
                    ask(&mut client).await;
                }
            };
            let (ended, ()) = tokio::join!(until_it_ends, asked);
            let _how_hyper_calls_it = ended.expect("it ends");
            let idled = began.elapsed();
            assert!(idled >= BOUND && idled < BOUND + BOUND / 10, "{steps} {is_there}: {idled:?}");
        }
    }
}
