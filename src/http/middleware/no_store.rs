//! Says of every answer that nobody may keep it, unless it says itself that it may be kept.
//!
//! An answer without a word about that may be kept by whoever passes it on (RFC 9111, section 4.2.2), and then a read shows a level
//! that was changed since: an answer of the state has to come from here each time (P5). `no-store` rather than `no-cache`: a cache that waits for
//! an answer on behalf of several who asked may give it to all of them, also to those who asked after a change that it does not show; what must
//! not be stored it may not (section 4). A client that keeps a level by itself asks with `If-None-Match` all the same.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, Entry};
use axum::response::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Lets no answer be kept that does not allow it.
#[derive(Debug, Clone, Copy)]
pub struct NoStoreLayer;

/// See [`NoStoreLayer`].
#[derive(Debug, Clone)]
pub struct NoStore<S> {
    inner: S,
}

impl<S> Layer<S> for NoStoreLayer {
    type Service = NoStore<S>;

    fn layer(&self, inner: S) -> NoStore<S> {
        NoStore { inner }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for NoStore<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = NotStored<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        NotStored { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// Adds the header to the answer.
    pub struct NotStored<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for NotStored<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut answer = ready!(self.project().inner.poll(cx));
        if let Ok(response) = &mut answer
            && let Entry::Vacant(vacant) = response.headers_mut().entry(CACHE_CONTROL)
        {
            vacant.insert(NO_STORE);
        }
        Poll::Ready(answer)
    }
}
