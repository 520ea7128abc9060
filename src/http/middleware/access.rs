//! Who has no key and no token, or one that is good for less, is answered with a problem, and goes no further.
//!
//! What was shown goes no further either: what is inside sees a [`Principal`](crate::access::Principal), and what is outside is told the name ([`asked_by`]). Where
//! nobody is asked who it is, this is one look at an `Option`.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use pin_project_lite::pin_project;
use smol_str::SmolStr;
use tower::{Layer, Service};

use crate::access::{Access, Refusal, SCOPE_PREFIX, Scope, Stranger, is_subject_name};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::scopes::{Needed, needed};

/// Lets in who has a key or a token for what is asked; everybody, if there are none.
#[derive(Debug, Clone, Copy)]
pub struct AccessLayer {
    access: Option<&'static Access>,
}

/// See [`AccessLayer`].
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    access: Option<&'static Access>,
}

impl AccessLayer {
    /// By these keys and tokens.
    pub fn new(access: Option<&'static Access>) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, access: self.access }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Guard<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Guarded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request) -> Self::Future {
        let admitted = self.access.map_or(Ok(()), |access| admit(access, &mut request));
        match admitted {
            Ok(()) => Guarded { inner: Some(self.inner.call(request)), answer: None },
            Err(refused) => Guarded { inner: None, answer: Some(Box::new(refused.into_response())) },
        }
    }
}

pin_project! {
    /// The answer of who is inside, or the one given at the door.
    pub struct Guarded<F> {
        // None where the request went no further.
        #[pin]
        inner: Option<F>,
        // Boxed, as it is rare, and every request has room for it.
        answer: Option<Box<Response>>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(cx),
            None => Poll::Ready(Ok(*this.answer.take().expect("a future is not polled after its end"))),
        }
    }
}

thread_local! {
    // An extension of the answer would say the same, for three allocations with each request.
    static ASKED_BY: Cell<Option<SmolStr>> = const { Cell::new(None) };
}

/// Whose key or token the request showed that was handed to this layer on this thread just now, and once: for who is further out, within the call in
/// which it handed the request on. Also of one for whom it was good for less; `None` where there was none, or nobody's.
pub(super) fn asked_by() -> Option<SmolStr> {
    ASKED_BY.take()
}

/// Why somebody is not let in.
#[derive(Debug)]
enum Refused {
    /// Nothing was shown.
    NoKey,
    /// It was shown in another way.
    Malformed,
    /// What was shown is nobody's key, or not any more.
    Unknown,
    /// It is no token that is good.
    NoToken(Refusal),
    /// It is good for less, or for nothing.
    TooLittle { needed: Scope, name: SmolStr, has: Option<Scope> },
}

/// Lets a request in, or not. It loses its key, or its token, and is told whose that was.
fn admit(access: &Access, request: &mut Request) -> Result<(), Refused> {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let needed = needed(route, request.method().as_str());
    let Needed::Key(needed) = needed else { return Ok(()) };
    let who = match access.principal(shown(request.headers())?) {
        Ok(who) => who,
        Err(Stranger::UnknownKey) => return Err(Refused::Unknown),
        Err(Stranger::BadToken(why)) => return Err(Refused::NoToken(why)),
        Err(Stranger::NoScope(name)) => {
            ASKED_BY.set(Some(name.clone()));
            return Err(Refused::TooLittle { needed, name, has: None });
        }
    };
    ASKED_BY.set(Some(who.actor()));
    if who.scope() < needed {
        return Err(Refused::TooLittle { needed, name: who.actor(), has: Some(who.scope()) });
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(who);
    Ok(())
}

/// The key or the token that a request shows (RFC 6750, section 2.1; not in its body, nor in its URL, which are logged on the way).
fn shown(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refused::NoKey)?;
    if values.next().is_some() {
        return Err(Refused::Malformed);
    }
    let (scheme, key) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refused::Malformed)?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_matches(' ')).ok_or(Refused::Malformed)
}

impl Refused {
    fn into_response(self) -> Response {
        let (problem, challenge) = match self {
            Self::NoKey => {
                let detail = "this needs a key, or a token, sent as Authorization: Bearer KEY";
                (Problem::new(ProblemKind::Unauthenticated, detail), "Bearer".to_owned())
            }
            Self::Malformed => {
                let detail =
                    "the header authorization must be there once, and be Bearer, a space and the key";
                (Problem::new(ProblemKind::Unauthenticated, detail), wrong("invalid_request"))
            }
            Self::Unknown => {
                let detail = "the key is none of those in force";
                (Problem::new(ProblemKind::Unauthenticated, detail), wrong("invalid_token"))
            }
            Self::NoToken(why) => {
                (Problem::new(ProblemKind::Unauthenticated, why.to_string()), wrong("invalid_token"))
            }
            Self::TooLittle { needed, name, has } => {
                // As it is written in what was shown.
                let (what, prefix) =
                    if is_subject_name(&name) { ("token", SCOPE_PREFIX) } else { ("key", "") };
                let has = has.map_or("none".to_owned(), |has| format!("{prefix}{has}"));
                let detail =
                    format!("this needs a {what} with the scope {prefix}{needed}; that of {name} has {has}");
                let challenge = format!("{}, scope=\"{prefix}{needed}\"", wrong("insufficient_scope"));
                (Problem::new(ProblemKind::Forbidden, detail), challenge)
            }
        };
        let mut response = problem.into_response();
        let challenge = HeaderValue::try_from(challenge).expect("it is made of visible ASCII");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}

/// The challenge of RFC 6750, section 3, with what was wrong.
fn wrong(error: &str) -> String {
    format!("Bearer error=\"{error}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_in_one_way() {
        let shown_by = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            match shown(&headers) {
                Ok(key) => Ok(key.to_owned()),
                Err(refused) => Err(format!("{refused:?}")),
            }
        };
        assert_eq!(shown_by(&["Bearer inv_x"]), Ok("inv_x".to_owned()));
        assert_eq!(shown_by(&["bearer  inv_x "]), Ok("inv_x".to_owned()));
        assert_eq!(shown_by(&[]), Err("NoKey".to_owned()));
        for wrong in [&["inv_x"][..], &["Basic inv_x"], &["Bearer"], &["Bearer a", "Bearer a"]] {
            assert_eq!(shown_by(wrong), Err("Malformed".to_owned()), "{wrong:?}");
        }
    }
}
