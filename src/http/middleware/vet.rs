//! A request whose head contradicts itself, or that a page of another site sends, is refused before anything else is read of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::cors::Origins;
use super::head::Noted;
use super::{head, origin};
use crate::http::problem::Problem;

/// Refuses what must not be answered.
#[derive(Debug, Clone, Copy)]
pub struct VetLayer {
    origins: &'static Origins,
}

/// See [`VetLayer`].
#[derive(Debug, Clone)]
pub struct Vet<S> {
    inner: S,
    origins: &'static Origins,
}

impl VetLayer {
    /// Pages of these origins may ask.
    pub fn new(origins: &'static Origins) -> Self {
        Self { origins }
    }
}

impl<S> Layer<S> for VetLayer {
    type Service = Vet<S>;

    fn layer(&self, inner: S) -> Vet<S> {
        Vet { inner, origins: self.origins }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Vet<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Vetted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let (headers, uri) = (request.headers(), request.uri());
        let noted = Noted::of(headers);
        let vetted = head::check(request.version(), uri, headers, &noted)
            .and_then(|()| origin::check(request.method(), uri, headers, &noted, self.origins));
        match vetted {
            Ok(()) => Vetted::Passed { inner: self.inner.call(request) },
            Err(problem) => Vetted::Refused { problem: Some(Box::new(problem)) },
        }
    }
}

pin_project! {
    /// The answer of the service, or why it is not asked.
    #[project = VettedProjection]
    pub enum Vetted<F> {
        /// It is asked.
        Passed {
            #[pin]
            inner: F,
        },
        /// It is not. Boxed: there is room for it in the future of every request.
        Refused { problem: Option<Box<Problem>> },
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Vetted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            VettedProjection::Passed { inner } => inner.poll(cx),
            VettedProjection::Refused { problem } => {
                let problem = problem.take().expect("a future is not polled after its end");
                Poll::Ready(Ok(problem.into_response()))
            }
        }
    }
}
