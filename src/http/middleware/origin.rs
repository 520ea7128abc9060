//! A page of another site must not change anything here.
//!
//! A browser sends a plain POST of any page to any host without asking that host, so whoever looks at a page may start a verification here
//! and never know. It says so: `Sec-Fetch-Site` to hosts it trusts (https, and localhost), `Origin` to all. A program that is no browser
//! sends neither, and pays for a look at two headers that are not there. This is no authentication: it protects from pages, not from programs.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};

use super::cors::Origins;
use super::head::{Noted, SEC_FETCH_SITE};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::routes::stock_query::QUERY;

/// Refuses what a page of another site sends that is not allowed to, but for mere reads: those it can send, but not see the answer.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    noted: &Noted<'_>,
    allowed: &Origins,
) -> Result<(), Problem> {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if is_read || method.as_str() == QUERY {
        return Ok(());
    }
    let (said_by, is_own) = match (noted.site, noted.origin) {
        (None, None) => return Ok(()),
        // `none`: no page, but somebody who typed or chose it. Another site of the same domain is another site.
        (Some(site), _) => (SEC_FETCH_SITE, site == "same-origin" || site == "none"),
        (None, Some(origin)) => (ORIGIN, is_of_host(origin, uri, headers)),
    };
    if is_own || noted.origin.is_some_and(|origin| allowed.allow(origin)) {
        return Ok(());
    }
    let detail = format!("by its header {said_by}, a page of another site sent this; nothing was changed");
    Err(Problem::new(ProblemKind::CrossOriginRequest, detail))
}

/// Whether an origin is that of the host that is asked. Its scheme does not count: whether a proxy in front speaks https nobody here knows.
fn is_of_host(origin: &HeaderValue, uri: &Uri, headers: &HeaderMap) -> bool {
    let asked = uri.authority().map(|authority| authority.as_str().as_bytes());
    let Some(asked) = asked.or_else(|| headers.get(HOST).map(HeaderValue::as_bytes)) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| host.as_bytes().eq_ignore_ascii_case(asked))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn is_let_in(method: &Method, uri: &'static str, said: &[(&'static str, &'static str)]) -> bool {
        let headers =
            said.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let allowed = Origins::new(vec!["https://friend.example".parse().unwrap()]);
        let headers = headers.collect();
        check(method, &Uri::from_static(uri), &headers, &Noted::of(&headers), &allowed).is_ok()
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let host = ("host", "shop.example:8080");
        for said in [
            vec![host],
            vec![host, ("sec-fetch-site", "same-origin"), ("origin", "http://other.example")],
            vec![host, ("sec-fetch-site", "none")],
            vec![host, ("origin", "http://shop.example:8080")],
            vec![host, ("origin", "https://SHOP.example:8080")],
            vec![host, ("sec-fetch-site", "cross-site"), ("origin", "https://friend.example")],
        ] {
            assert!(is_let_in(&Method::POST, "/", &said), "{said:?}");
        }
        for said in [
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://shop.example:8080")],
            vec![host, ("sec-fetch-site", "")],
            vec![host, ("origin", "http://shop.example")],
            vec![host, ("origin", "http://other.example:8080")],
            vec![host, ("origin", "null")],
            vec![("origin", "http://shop.example:8080")],
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert!(!is_let_in(&method, "/", &said), "{said:?}");
            }
            for method in [Method::GET, Method::HEAD, Method::OPTIONS, QUERY.parse().unwrap()] {
                assert!(is_let_in(&method, "/", &said), "{said:?}");
            }
        }
        // The whole address of a request beats its `Host` (RFC 9112, section 3.2.2).
        let whole = "http://shop.example/v1/verify";
        assert!(is_let_in(&Method::POST, whole, &[("host", "x"), ("origin", "http://shop.example")]));
        assert!(!is_let_in(&Method::POST, whole, &[("host", "x"), ("origin", "http://x")]));
    }
}
