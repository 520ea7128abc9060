//! [`RequestBody`]: the body of a request, of which the connection learns what nobody wanted.
//!
//! A handler may answer before the body has come, or without a look at it. What is left of it stands in the way of the next request:
//! either it is there, and thrown away, or the connection ends with this answer, which has to say so. And a request that is given up
//! while it waits for its body has changed nothing, which it can be told ([`poll_awaiting`]).

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

/// The body of a request. Dropped before its end, it is given back.
#[derive(Debug)]
pub struct RequestBody {
    /// Until it has ended: the body, and whose it is again.
    lent: Option<(Incoming, Arc<Unread>)>,
}

/// What nobody read of the bodies of a connection, one after the other.
#[derive(Debug, Default)]
pub struct Unread {
    body: Mutex<Option<Incoming>>,
    /// Whether there is one, or one that broke: most are read, and nobody takes the lock for them.
    is_back: AtomicBool,
    /// Whether the client may still be sending what nobody will read.
    is_left: AtomicBool,
}

thread_local! {
    /// Whether the body that was asked last on this thread had nothing to give yet.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// Polls a request, and says whether it waits for its body. Then nothing of it was begun: no handler acts before it has all of it.
pub fn poll_awaiting<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    AWAITED.set(false);
    let polled = poll();
    (polled, AWAITED.get())
}

/// How much of an unwanted body is read for the sake of the connection, in bytes: no more than what is on its way anyway.
const DISCARDED_MAX: usize = 64 * 1024;

impl RequestBody {
    /// A body that goes back to `unread`.
    pub fn new(body: Incoming, unread: &Arc<Unread>) -> Self {
        Self { lent: (!body.is_end_stream()).then(|| (body, Arc::clone(unread))) }
    }
}

impl Unread {
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
        let Some((body, _)) = &mut self.lent else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        AWAITED.set(frame.is_pending());
        match frame {
            Poll::Ready(None) => self.lent = None,
            Poll::Ready(Some(Err(_))) => {
                if let Some((_, unread)) = self.lent.take() {
                    unread.is_back.store(true, Ordering::Release);
                }
            }
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.lent.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.lent.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some((body, unread)) = self.lent.take().filter(|(body, _)| !body.is_end_stream()) {
            *unread.body.lock() = Some(body);
            unread.is_back.store(true, Ordering::Release);
        }
    }
}
