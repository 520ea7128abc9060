//! Refuses a client that asks more often than one may, and tells each how often that is. Without `--rate-limit` this is one look at an `Option`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::access::Principal;
use crate::http::rate_limit::{Client, RateLimit};
use crate::http::server::ClientAddress;

/// What is told of the limit (draft-ietf-httpapi-ratelimit-headers).
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Limits how often each client may ask, if there is a limit.
#[derive(Debug, Clone, Copy)]
pub struct LimitLayer {
    limit: Option<&'static RateLimit>,
}

/// See [`LimitLayer`].
#[derive(Debug, Clone)]
pub struct Limit<S> {
    inner: S,
    limit: Option<&'static RateLimit>,
}

impl LimitLayer {
    /// By this limit.
    pub fn new(limit: Option<&'static RateLimit>) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit { inner, limit: self.limit }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Limit<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        // Probes, metrics and documents cost what a refusal costs.
        let Some(limit) = self.limit.filter(|_| request.uri().path().starts_with("/v1/")) else {
            return Limited { inner: Some(self.inner.call(request)), told: None };
        };
        let asked = limit.ask(who(&request));
        let answer = asked.refused.map(|problem| problem.into_response());
        let inner = answer.is_none().then(|| self.inner.call(request));
        Limited { inner, told: Some(Box::new(Told { answer, policy: limit.policy(), left: asked.told })) }
    }
}

/// Who asks: by the name of its key, where it has one; else by where it comes from.
fn who(request: &Request) -> Client {
    if let Some(principal) = request.extensions().get::<Principal>() {
        return Client::named(principal.name());
    }
    let address = request.extensions().get::<ClientAddress>().and_then(|ClientAddress(address)| *address);
    Client::at(address)
}

/// What is added to an answer.
struct Told {
    /// The answer itself, of who is refused.
    answer: Option<Response>,
    policy: HeaderValue,
    left: HeaderValue,
}

pin_project! {
    /// The answer, with what there is left of the limit.
    pub struct Limited<F> {
        // None where the request went no further.
        #[pin]
        inner: Option<F>,
        // Boxed, as most services have no limit, and every request has room for it.
        told: Option<Box<Told>>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Limited<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = match this.inner.as_pin_mut() {
            Some(inner) => Some(ready!(inner.poll(cx))?),
            None => None,
        };
        let Some(Told { answer: refused, policy, left }) = this.told.take().map(|told| *told) else {
            return Poll::Ready(Ok(answer.expect("who is not limited is asked")));
        };
        let mut answer = answer.or(refused).expect("a future is not polled after its end");
        answer.headers_mut().insert(RATELIMIT_POLICY, policy);
        answer.headers_mut().insert(RATELIMIT, left);
        Poll::Ready(Ok(answer))
    }
}
