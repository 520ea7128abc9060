//! [`Bounded`]: a stream of which nothing waits without end, and that is not over while an answer is due. [`Flowing`]: the same of HTTP/2, as far
//! as it is the same.
//!
//! The request timeout covers a request from its head until its answer is made, and hyper's own timer the wait for the next head. What lies
//! between them is bounded here:
//!
//! - **a head that has begun** has to come whole in some seconds, where an idle connection may stay for a minute;
//! - **an answer that is being written**: a client that takes nothing of it for so long would keep its connection, and the answer's
//!   memory, for ever. What a client takes slowly it takes: it is the kernel's room for what was not sent, which
//!   [listening](super::listen) bounds, that shows every step of it.
//!
//! **A client that has closed its side may still read** (`nc`, `socat`, RFC 9112, section 9.6), or may have gone: nobody can tell before something is
//! written to it. hyper takes the first for the second. So while the answer to a request that has come whole is due, the end is kept from it; a
//! client that has gone shows in the first write, or in that nothing was written for [`GONE_AFTER`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::streams::Streams;
use crate::http::request_body::{Exchange, Phase};

/// How long a client that has closed its side waits for the next piece of its answer.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// A stream that fails where it would wait too long.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    exchange: Arc<Exchange>,
    head_bound: Duration,
    writes: Writes,
    /// Runs while the rest of a head is waited for; most come in one piece.
    late: Option<Pin<Box<Sleep>>>,
    /// Runs from when the client has closed its side.
    gone: Option<Pin<Box<Sleep>>>,
}

impl<S> Bounded<S> {
    /// A head has to come within the one, once it has begun, and something of an answer to be taken within the other.
    pub(super) fn new(
        stream: S,
        exchange: Arc<Exchange>,
        head_bound: Duration,
        write_bound: Duration,
    ) -> Self {
        Self { stream, exchange, head_bound, writes: Writes::new(write_bound), late: None, gone: None }
    }

    /// The stream, without the bounds.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Nothing has come. Fails if that is so for too long in the middle of a head.
    fn nothing_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchange.phase() != Phase::Begun {
            self.late = None;
            return Poll::Pending;
        }
        let bound = self.head_bound;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(bound)));
        late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
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

    /// What came of a write, or that it has waited for too long.
    fn bounded(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
        // hyper flushes once it has written all it had: the whole answer, if that was made.
        if flushed.is_ready() && self.exchange.left() && self.exchange.is_closed() {
            // The end was kept back, and may be read now.
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
