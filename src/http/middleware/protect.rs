//! A request that panics or takes too long is answered with a problem, and harms no other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, Service};

use crate::http::problem::{Problem, ProblemKind};
use crate::http::routes::{LONG_RUNNING, LONG_TIMEOUT, STREAMED};
use crate::http::waits_for::{self, WaitsFor};

/// Bounds the time of each request, and catches panics. What takes as long as there is stock has a bound of its own.
#[derive(Debug, Clone, Copy)]
pub struct ProtectLayer {
    timeout: Duration,
}

/// See [`ProtectLayer`].
#[derive(Debug, Clone)]
pub struct Protect<S> {
    inner: S,
    timeout: Duration,
}

impl ProtectLayer {
    /// Gives each request that long.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = Protect<S>;

    fn layer(&self, inner: S) -> Protect<S> {
        Protect { inner, timeout: self.timeout }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Protect<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Protected<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.uri().path();
        let long = if LONG_RUNNING.contains(&path) {
            LONG_TIMEOUT.saturating_sub(self.timeout)
        } else {
            Duration::ZERO
        };
        let (timeout, more) =
            if path == STREAMED { (self.timeout + long, Duration::ZERO) } else { (self.timeout, long) };
        Protected { inner: self.inner.call(request), sleep: None, timeout, more }
    }
}

pin_project! {
    /// Answers in time, one way or the other.
    pub struct Protected<F> {
        #[pin]
        inner: F,
        // Set up when the request first has to wait: most never do, and a timer costs more than their work.
        #[pin]
        sleep: Option<Sleep>,
        timeout: Duration,
        // What it has beyond that, once its body is there.
        more: Duration,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Protected<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        // Unwind safe: after a panic the inner future is never polled again, and what it shares with others (the
        // stock) is never left half changed by unwinding: see the contract of the strategies.
        let (polled, waits_for) = waits_for::poll(|| catch_unwind(AssertUnwindSafe(|| this.inner.poll(cx))));
        // One whose body is held back has begun nothing, either.
        let awaits_body = matches!(waits_for, WaitsFor::Body | WaitsFor::Place);
        match polled {
            Ok(Poll::Ready(answer)) => return Poll::Ready(answer),
            Ok(Poll::Pending) => {}
            Err(panic) => return Poll::Ready(Ok(failed(panic.as_ref()))),
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(Instant::now() + *this.timeout)));
        }
        let Some(mut sleep) = this.sleep.as_pin_mut() else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        if !awaits_body && !this.more.is_zero() {
            let more = std::mem::take(this.more);
            *this.timeout += more;
            sleep.as_mut().reset(Instant::now() + more);
            ready!(sleep.poll(cx));
        }
        Poll::Ready(Ok(timed_out(*this.timeout, awaits_body)))
    }
}

fn failed(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("not a text"), "a handler panicked");
    Problem::new(ProblemKind::InternalError, "the service failed while handling the request").into_response()
}

fn timed_out(timeout: Duration, awaits_body: bool) -> Response {
    if awaits_body {
        let detail = format!("the body did not come within {} ms; nothing was changed", timeout.as_millis());
        return Problem::body_timeout(detail).into_response();
    }
    let detail = format!("the request did not finish within {} ms", timeout.as_millis());
    Problem::new(ProblemKind::RequestTimeout, detail).into_response()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use axum::body::Body;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    async fn status<F>(handler: impl Fn() -> F + Clone) -> u16
    where
        F: Future<Output = Response>,
    {
        status_of("/", handler).await
    }

    async fn status_of<F>(path: &str, handler: impl Fn() -> F + Clone) -> u16
    where
        F: Future<Output = Response>,
    {
        let inner = service_fn(move |_: Request| {
            let answer = handler();
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let service = ProtectLayer::new(Duration::from_secs(1)).layer(inner);
        service.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(status(|| async { panic!("on purpose") }).await, 500);
        assert_eq!(status(|| async { Response::default() }).await, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_is_answered_at_the_timeout() {
        let start = Instant::now();
        assert_eq!(status(pending::<Response>).await, 503);
        assert_eq!(start.elapsed().as_millis(), 1_000);
    }

    /// What takes as long as there is stock has an hour, once its body is there.
    #[tokio::test(start_paused = true)]
    async fn a_long_request_has_longer() {
        for path in LONG_RUNNING {
            let start = Instant::now();
            assert_eq!(status_of(path, pending::<Response>).await, 503, "{path}");
            assert_eq!(start.elapsed(), LONG_TIMEOUT, "{path}");
        }
    }
}
