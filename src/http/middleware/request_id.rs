//! Every answer carries an `X-Request-Id`: the client's own, if it sent a sane one, or a fresh one.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::http::lookup;

/// The header, in and out.
pub(in crate::http) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id is replaced, so that a client cannot fill the log.
const ID_BYTES_MAX: usize = 128;

/// Names each request.
#[derive(Debug, Clone, Copy)]
pub struct RequestIdLayer;

/// See [`RequestIdLayer`].
#[derive(Debug, Clone)]
pub struct RequestId<S> {
    inner: S,
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> RequestId<S> {
        RequestId { inner }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for RequestId<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Named<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let id = sent(request.headers());
        Named { inner: self.inner.call(request), id }
    }
}

pin_project! {
    /// Adds the id to the answer.
    pub struct Named<F> {
        #[pin]
        inner: F,
        id: Option<HeaderValue>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Named<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx));
        if let Ok(response) = &mut answer {
            let id = this.id.take().unwrap_or_else(fresh);
            response.headers_mut().insert(REQUEST_ID, id);
        }
        Poll::Ready(answer)
    }
}

/// The client's own id, if it is short and printable.
fn sent(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = lookup::first(headers, &REQUEST_ID)?;
    let sane = (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    sane.then(|| id.clone())
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// 64 bits in hex. Each thread counts from a random number of its own, so threads share nothing and ids are as
/// unlikely to meet as random ones.
fn fresh() -> HeaderValue {
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
    }
    let number = NEXT.replace(NEXT.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
    let mut hex = [0; 16];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 0xf)];
    }
    HeaderValue::from_bytes(&hex).expect("hex digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_any_other_is_replaced() {
        let sent_id = |value: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            sent(&headers)
        };
        assert_eq!(sent_id(b"abc-123").unwrap(), "abc-123");
        assert_eq!(sent_id(b"a b"), None);
        assert_eq!(sent_id(b""), None);
        assert_eq!(sent_id(&[b'x'; ID_BYTES_MAX + 1]), None);
        assert_eq!(sent(&HeaderMap::new()), None);
        assert_ne!(fresh(), fresh());
        assert_eq!(fresh().len(), 16);
    }
}
