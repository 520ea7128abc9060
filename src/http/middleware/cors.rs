//! Pages of other origins may ask, and read what is answered, if they are allowed to (CORS, as the Fetch standard has it).
//!
//! Only origins that were named are allowed, never all, and never with cookies: a page shows a key, as everybody does. Whatever a page of
//! another origin asks is answered to it as to any client, and its browser keeps the answer from it.

use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// What a page may send beyond what every page may.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, QUERY");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, X-Request-Id",
);
/// What it may read beyond what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Query, Allow, Content-Disposition, ETag, Event-Cursor, Idempotent-Replayed, Link, Location, Preference-Applied, \
     RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
);
/// For how long its browser need not ask again, in seconds. No browser takes much more.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
/// A cache must not give one page what another was answered.
const VARY: HeaderValue = HeaderValue::from_static("origin");
const VARY_OF_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");

/// Where a page is from, as a browser says it: a scheme and a host, and a port if it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// The origins that are allowed.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<Origin>);

/// Lets pages of these origins ask.
#[derive(Debug, Clone, Copy)]
pub struct CorsLayer {
    origins: &'static Origins,
}

/// See [`CorsLayer`].
#[derive(Debug, Clone)]
pub struct Cors<S> {
    inner: S,
    origins: &'static Origins,
}

impl FromStr for Origin {
    type Err = String;

    /// As browsers write it, since that is what it is compared with.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("origins are named one by one; there is no * for all".to_owned());
        }
        let uri = text.parse::<Uri>().ok();
        let is_one = uri.is_some_and(|uri| {
            let default = match uri.scheme_str() {
                Some("http") => 80,
                Some("https") => 443,
                _ => return false,
            };
            let whole = format!(
                "{}://{}",
                uri.scheme_str().unwrap_or_default(),
                uri.authority().map_or("", |a| a.as_str())
            );
            let is_usual = uri.port_u16() == Some(default) || text.ends_with(':');
            whole == text && text == text.to_lowercase() && !text.contains('@') && !is_usual
        });
        match HeaderValue::try_from(text) {
            Ok(value) if is_one => Ok(Self(value)),
            _ => Err("it must be an origin as browsers send it, such as https://shop.example or http://localhost:3000, in lower case, \
                      without a path and without the usual port"
                .to_owned()),
        }
    }
}

impl Origins {
    /// These.
    pub fn new(origins: Vec<Origin>) -> Self {
        Self(origins)
    }

    /// Whether it is one of them.
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| allowed.0 == origin)
    }

    /// Whether there is none, and CORS is off.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl CorsLayer {
    /// Allows these; says nothing at all if there are none.
    pub fn new(origins: &'static Origins) -> Self {
        Self { origins }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { inner, origins: self.origins }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Cors<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Shared<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        let passed = Shared { inner: None, preflight: None, is_on: !self.origins.is_empty(), origin: None };
        if !passed.is_on {
            return Shared { inner: Some(self.inner.call(request)), ..passed };
        }
        let origin = request.headers().get(header::ORIGIN).filter(|origin| self.origins.allow(origin));
        let origin = origin.cloned().map(Box::new);
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        match origin {
            // It has no key: browsers send none with it.
            Some(origin) if is_preflight => {
                Shared { preflight: Some(Box::new(preflight(*origin))), ..passed }
            }
            origin => Shared { inner: Some(self.inner.call(request)), origin, ..passed },
        }
    }
}

pin_project! {
    /// An answer, with what a browser must know to hand it to the page.
    pub struct Shared<F> {
        // None where the service is not asked.
        #[pin]
        inner: Option<F>,
        // The answer to a preflight. Boxed, as it is rare, and every request has room for it.
        preflight: Option<Box<Response>>,
        // Whether origins are allowed at all.
        is_on: bool,
        // The one that asks, if it is allowed to.
        origin: Option<Box<HeaderValue>>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Shared<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            let answer = this.preflight.take().expect("a future is not polled after its end");
            return Poll::Ready(Ok(*answer));
        };
        let mut answer = ready!(inner.poll(cx));
        if let (Ok(response), true) = (&mut answer, *this.is_on) {
            tell(response, this.origin.take());
        }
        Poll::Ready(answer)
    }
}

/// Adds what lets a page of an allowed origin read it.
fn tell(response: &mut Response, origin: Option<Box<HeaderValue>>) {
    let headers = response.headers_mut();
    headers.append(header::VARY, VARY);
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, *origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

fn preflight(origin: HeaderValue) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let told: [(HeaderName, HeaderValue); 5] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        (header::VARY, VARY_OF_PREFLIGHT),
    ];
    response.headers_mut().extend(told);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for right in
            ["https://shop.example", "http://localhost:3000", "http://127.0.0.1:8081", "http://[::1]:8080"]
        {
            assert!(right.parse::<Origin>().is_ok(), "{right}");
        }
        for wrong in [
            "*",
            "",
            "null",
            "shop.example",
            "https://shop.example/",
            "https://shop.example/path",
            "https://shop.example?x",
            "https://Shop.example",
            "HTTPS://shop.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "https://shop.example:",
            "https://me@shop.example",
            "https://*.example.org/",
            "ftp://shop.example",
            "https://",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
        let origins = Origins::new(vec!["https://shop.example".parse().unwrap()]);
        let allows = |text| origins.allow(&HeaderValue::from_static(text));
        assert!(allows("https://shop.example"));
        for other in
            ["http://shop.example", "https://shop.example.evil", "https://a.shop.example", "null", ""]
        {
            assert!(!allows(other), "{other}");
        }
    }
}
