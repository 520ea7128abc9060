//! Lets so many requests at once be carried out, lets some wait for that, and refuses the rest.
//!
//! **Where the place is taken**: here, when the head of a request has come, so that who is refused is refused before anything is read of it, and all kinds of
//! requests are the same. It is given up again, and nobody in between has to remember it, while the request
//!
//! - *waits for its body*: thousands of slow bodies would take all places from those who work. The end of its body is held back from it until
//!   it has a place again, for which it may have to wait, or be refused: it has begun nothing ([`WaitsFor::Place`]);
//! - *sleeps* until something happens ([`WaitsFor::Event`]: `Prefer: wait`). It asks for none when it wakes: what it asked for is done, and how many sleep
//!   is bounded by itself. To refuse an order that was placed would not be true;
//! - *has its answer*: a body that is streamed (events, exports) holds no place.
//!
//! A handler that asked for a place itself could forget to; a place that was asked for in the extractor of the body would come after
//! the syntax of the head was looked at, and go with the body, before the work is done.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::http::admission::{Admission, Entry, Permit, Waiting};
use crate::http::routes::LONG_RUNNING;
use crate::http::waits_for::{self, WaitsFor};

/// Lets in as many as may be.
#[derive(Debug, Clone, Copy)]
pub struct AdmitLayer {
    admission: &'static Admission,
}

/// See [`AdmitLayer`].
#[derive(Debug, Clone)]
pub struct Admit<S> {
    inner: S,
    admission: &'static Admission,
}

impl AdmitLayer {
    /// By these bounds.
    pub fn new(admission: &'static Admission) -> Self {
        Self { admission }
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { inner, admission: self.admission }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Admit<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let stands = if needs_a_place(request.uri().path()) { Stands::Outside } else { Stands::Free };
        Admitted { admission: self.admission, inner: self.inner.call(request), stands }
    }
}

/// What is to be a part of the bound. Probes, metrics and documents touch no stock, and are what overload is seen by; what takes as long as there is
/// stock runs one at a time by itself.
pub(in crate::http) fn needs_a_place(path: &str) -> bool {
    path.starts_with("/v1/") && path != "/v1/status" && !LONG_RUNNING.contains(&path)
}

/// Where a request stands.
#[derive(Debug)]
enum Stands {
    /// It asks for a place.
    Outside,
    /// It is in line for one.
    InLine(Waiting),
    /// It has one.
    Inside(#[expect(dead_code, reason = "held, and not looked at")] Permit),
    /// It had one, and waits for its body.
    Receiving,
    /// It needs none, or none any more.
    Free,
}

pin_project! {
    /// The answer of who was let in, or why it was not.
    pub struct Admitted<F> {
        admission: &'static Admission,
        #[pin]
        inner: F,
        stands: Stands,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Admitted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        loop {
            match this.stands {
                Stands::Outside => match this.admission.enter() {
                    Entry::Inside(permit) => *this.stands = Stands::Inside(permit),
                    Entry::Waiting(waiting) => *this.stands = Stands::InLine(waiting),
                    Entry::Refused(problem) => return Poll::Ready(Ok(problem.into_response())),
                },
                Stands::InLine(waiting) => match ready!(this.admission.poll_waiting(waiting, cx)) {
                    Ok(permit) => *this.stands = Stands::Inside(permit),
                    Err(problem) => return Poll::Ready(Ok(problem.into_response())),
                },
                Stands::Inside(_) | Stands::Receiving | Stands::Free => {
                    let inner = this.inner.as_mut();
                    let is_inside = matches!(this.stands, Stands::Inside(_));
                    let (polled, waits_for) = match this.stands {
                        Stands::Receiving => waits_for::poll_outside(|| inner.poll(cx)),
                        _ => waits_for::poll(|| inner.poll(cx)),
                    };
                    if polled.is_ready() {
                        // Its place is the next one's, before the answer is on its way.
                        *this.stands = Stands::Free;
                        return polled;
                    }
                    match waits_for {
                        WaitsFor::Body if is_inside => *this.stands = Stands::Receiving,
                        WaitsFor::Event if is_inside => *this.stands = Stands::Free,
                        WaitsFor::Place => {
                            *this.stands = Stands::Outside;
                            continue;
                        }
                        _ => {}
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_how_the_service_is_needs_no_place() {
        for free in ["/", "/livez", "/readyz", "/metrics", "/v1/status", "/openapi.yaml", "/docs/x", "/v1"] {
            assert!(!needs_a_place(free), "{free}");
        }
        for path in LONG_RUNNING {
            assert!(!needs_a_place(path), "{path}");
        }
        for counted in ["/v1/stock", "/v1/stock/A", "/v1/orders", "/v1/export", "/v1/events", "/v1/statusx"] {
            assert!(needs_a_place(counted), "{counted}");
        }
    }
}
