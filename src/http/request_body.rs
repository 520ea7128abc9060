//! [`RequestBody`]: the body of a request, of which the connection learns what nobody wanted.
//!
//! A handler may answer before the body has come, or without a look at it. What is left of it stands in the way of the next request:
//! either it is there, and thrown away, or the connection ends with this answer, which has to say so. That a request waits for its body is
//! [said](super::waits_for); the last piece of the body of one that has no place yet is held back until it has.
//!
//! How far the request at hand is, the connection learns from its [`Exchange`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::waits_for::{self, WaitsFor};

/// The body of a request. Dropped before its end, it is given back.
#[derive(Debug)]
pub struct RequestBody {
    /// Until it has ended: the body, and whose it is again; nobody's where it stands in no request's way.
    lent: Option<(Incoming, Option<Arc<Exchange>>)>,
    /// What is held back of it.
    held: Held,
}

/// What comes of a look at a body.
type Frames = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// The end of a body whose request has no place yet.
#[derive(Debug)]
enum Held {
    Nothing,
    /// The last piece.
    Piece(Bytes),
    /// That there is no more.
    End,
}

/// The request at hand of a connection, one after the other: how far it is, and what nobody read of its body. The connection, its service and
/// the body share it; all run in one task, but for a body that a handler gave away.
#[derive(Debug, Default)]
pub struct Exchange {
    /// A [`Phase`].
    phase: AtomicU8,
    /// How many requests there were; it wraps.
    requests: AtomicU32,
    /// Whether the client has closed its side.
    is_closed: AtomicBool,
    body: Mutex<Option<Incoming>>,
    /// Whether there is one, or one that broke: most are read, and nobody takes the lock for them.
    is_back: AtomicBool,
    /// Whether the client may still be sending what nobody will read.
    is_left: AtomicBool,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// There is none.
    Idle,
    /// Something of its head has come.
    Begun,
    /// Its head is there, and its body is not.
    Arriving,
    /// All of it is there, and it is being answered.
    Whole,
    /// Its answer is made, and may not have left yet.
    Answered,
}

/// How much of an unwanted body is read for the sake of the connection, in bytes: no more than what is on its way anyway.
const DISCARDED_MAX: usize = 64 * 1024;

impl RequestBody {
    /// A body that goes back to `exchange`.
    pub fn new(body: Incoming, exchange: &Arc<Exchange>) -> Self {
        let lent = (!body.is_end_stream()).then(|| (body, Some(Arc::clone(exchange))));
        Self { lent, held: Held::Nothing }
    }

    /// A body of HTTP/2, which has a stream of its own: what is not read of it the protocol takes care of.
    pub fn apart(body: Incoming) -> Self {
        let lent = (!body.is_end_stream()).then_some((body, None));
        Self { lent, held: Held::Nothing }
    }

    /// What a request is given of its body that has no place: all but the last piece, or that there is no more. Who lets it in polls it again.
    fn held_back(&mut self, frame: Frames) -> Frames {
        let is_last = self.lent.as_ref().is_some_and(|(body, _)| body.is_end_stream());
        self.held = match frame {
            Poll::Ready(None) => Held::End,
            Poll::Ready(Some(Ok(frame))) if is_last => match frame.into_data() {
                Ok(piece) => Held::Piece(piece),
                // After it comes that there is no more.
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            other => return other,
        };
        waits_for::say(WaitsFor::Place);
        Poll::Pending
    }
}

impl Exchange {
    /// How far the request at hand is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Begun,
            2 => Phase::Arriving,
            3 => Phase::Whole,
            _ => Phase::Answered,
        }
    }

    fn is(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Something has come: where there is no request, of the head of the next.
    pub fn read(&self) {
        if self.phase() == Phase::Idle {
            self.is(Phase::Begun);
        }
    }

    /// The head of a request has come, and all of it, if it has no body.
    pub fn begin(&self, is_whole: bool) {
        self.requests.store(self.requests().wrapping_add(1), Ordering::Relaxed);
        self.is(if is_whole { Phase::Whole } else { Phase::Arriving });
    }

    /// All of its body is there.
    fn has_come(&self) {
        if self.phase() == Phase::Arriving {
            self.is(Phase::Whole);
        }
    }

    /// How many requests there were; it wraps.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The answer is made, all of it.
    pub fn answered(&self) {
        self.is(Phase::Answered);
    }

    /// What was written has left: the answer, if it was made. Says whether it was.
    pub fn left(&self) -> bool {
        let is_over = self.phase() == Phase::Answered;
        if is_over {
            self.is(Phase::Idle);
        }
        is_over
    }

    /// The client has closed its side.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Whether the client has closed its side.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Once the request is answered: whether the connection can go on to the next one. What was not read is thrown away, if it has
    /// come by now. Of a client that `asked` whether to send it, nothing is asked for that it was not told to send.
    pub async fn is_over(&self, asked: bool) -> bool {
        if !self.is_back.load(Ordering::Acquire) {
            return true;
        }
        self.is_back.store(false, Ordering::Relaxed);
        let body = self.body.lock().take();
        let is_over = match body {
            Some(body) => !asked && has_come(body).await,
            // It broke: where it would have ended, nobody knows.
            None => false,
        };
        self.is_left.store(!is_over, Ordering::Relaxed);
        is_over
    }

    /// Whether the client may still be sending what nobody will read.
    pub fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }
}

/// Whether all of a body is there; it is thrown away.
async fn has_come(mut body: Incoming) -> bool {
    let mut left = DISCARDED_MAX;
    // What is asked for is read from the socket in the connection's next turn: only then it is known not to be there.
    let mut turns = 0;
    while turns < 2 {
        let frame = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        match frame {
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Err(_))) => return false,
            Poll::Ready(Some(Ok(frame))) => {
                let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                    return false;
                };
                (left, turns) = (rest, 0);
            }
            Poll::Pending => {
                turns += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    false
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {
                let Some((body, _)) = &mut self.lent else { return Poll::Ready(None) };
                Pin::new(body).poll_frame(cx)
            }
            Held::Piece(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Held::End => Poll::Ready(None),
        };
        waits_for::say(if frame.is_pending() { WaitsFor::Body } else { WaitsFor::Service });
        let frame = if waits_for::is_outside() { self.held_back(frame) } else { frame };
        match frame {
            Poll::Ready(None) => {
                if let Some((_, Some(exchange))) = self.lent.take() {
                    exchange.has_come();
                }
            }
            Poll::Ready(Some(Err(_))) => {
                if let Some((_, Some(exchange))) = self.lent.take() {
                    exchange.is_back.store(true, Ordering::Release);
                }
            }
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.held, Held::Nothing) && self.lent.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.lent.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some((body, Some(exchange))) = self.lent.take() else { return };
        if body.is_end_stream() {
            return exchange.has_come();
        }
        *exchange.body.lock() = Some(body);
        exchange.is_back.store(true, Ordering::Release);
    }
}
