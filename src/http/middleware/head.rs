//! What a head must say once and well, whatever is asked: where two readers may read it differently, nobody acts on it.
//!
//! hyper refuses what is no HTTP at all (RFC 9112); this is what it lets through. What a single route wants of its headers is seen to by its extractors.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use crate::http::problem::{Problem, ProblemKind};

/// Where the page is from that sends a request, as a browser sees it (Fetch Metadata). No page can set it.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers that are no list, and would be read as one of their values or the other. A second `Content-Length` is hyper's business, a second
/// `Idempotency-Key` that of who reads it.
const SINGLE: [HeaderName; 6] =
    [HOST, CONTENT_TYPE, AUTHORIZATION, ORIGIN, SEC_FETCH_SITE, HeaderName::from_static("last-event-id")];

/// The fields of a head that are looked at before anything else, found in one walk: a head has few, and to look each up would cost more, above all
/// those that are not there.
#[derive(Debug, Default)]
pub(super) struct Noted<'a> {
    host: Option<&'a HeaderValue>,
    /// Where the page is from that sends it, as it says, and as a browser sees it.
    pub(super) origin: Option<&'a HeaderValue>,
    pub(super) site: Option<&'a HeaderValue>,
    /// Whether the body is in a coding that nobody here decodes.
    is_coded: bool,
}

impl<'a> Noted<'a> {
    /// Of that head; the first of each.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut noted = Self::default();
        for (name, value) in headers {
            if *name == HOST {
                noted.host = noted.host.or(Some(value));
            } else if *name == ORIGIN {
                noted.origin = noted.origin.or(Some(value));
            } else if *name == SEC_FETCH_SITE {
                noted.site = noted.site.or(Some(value));
            } else if *name == TRANSFER_ENCODING {
                noted.is_coded |= !value.as_bytes().eq_ignore_ascii_case(b"chunked");
            }
        }
        noted
    }
}

/// Refuses a head that does not say which host is asked, says something twice, or has a body in a coding that nobody here decodes.
pub(super) fn check(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
    noted: &Noted<'_>,
) -> Result<(), Problem> {
    // Most heads have nothing twice, and cost this comparison.
    if headers.len() != headers.keys_len() {
        let twice = SINGLE.into_iter().find(|name| headers.get_all(name).iter().nth(1).is_some());
        twice.map_or(Ok(()), |name| Err(invalid(&name, "is there twice")))?;
    }
    match (noted.host, authority(version, uri)) {
        (None, Some(authority)) if is_host(authority) => {}
        (None, Some(_)) => {
            let detail = ":authority must be a host, perhaps with a port; nothing was changed";
            return Err(Problem::new(ProblemKind::InvalidRequest, detail));
        }
        (Some(host), Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority) => {
            return Err(invalid(&HOST, "is another than :authority"));
        }
        // HTTP/1.0 does not know it.
        (None, None) if version < Version::HTTP_11 => {}
        (None, None) => return Err(invalid(&HOST, "is missing")),
        (Some(host), _) if !is_host(host.as_bytes()) => {
            return Err(invalid(&HOST, "must be a host, perhaps with a port"));
        }
        (Some(_), _) => {}
    }
    if noted.is_coded { Err(invalid(&TRANSFER_ENCODING, "must be chunked, or not there")) } else { Ok(()) }
}

/// What HTTP/2 says in place of `Host` (RFC 9113, section 8.3.1). Of HTTP/1.1, where a request may have both, `Host` is looked at here.
fn authority(version: Version, uri: &Uri) -> Option<&[u8]> {
    if version < Version::HTTP_2 {
        return None;
    }
    uri.authority().map(|authority| authority.as_str().as_bytes())
}

/// Whether that is a host and perhaps a port (RFC 9110, section 7.2), as far as it matters: of characters that a host may have. It may be empty.
fn is_host(bytes: &[u8]) -> bool {
    // The colons of an address are in brackets.
    let is_bracketed = bytes.starts_with(b"[");
    let name_end = is_bracketed.then(|| bytes.iter().rposition(|&byte| byte == b']')).flatten();
    let (name, rest) = bytes.split_at(name_end.map_or(0, |at| at + 1));
    let mut is_port = false;
    let rest_is_well = rest.iter().all(|&byte| match byte {
        b':' if !is_port => {
            is_port = true;
            true
        }
        byte if is_port => byte.is_ascii_digit(),
        byte => IS_OF_HOST[usize::from(byte)],
    });
    rest_is_well && name.iter().all(|&byte| IS_OF_HOST[usize::from(byte)])
}

/// What a host may have in its name, by byte.
const IS_OF_HOST: [bool; 256] = {
    let mut is_of_host = [false; 256];
    let of_host = b"-._~%!$&'()*+,;=[]:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut at = 0;
    while at < of_host.len() {
        is_of_host[of_host[at] as usize] = true;
        at += 1;
    }
    is_of_host
};

fn invalid(name: &HeaderName, detail: &str) -> Problem {
    Problem::new(ProblemKind::InvalidRequest, format!("the header {name} {detail}; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_host_and_perhaps_a_port() {
        for host in ["", "x", "shop.example:8080", "127.0.0.1", "[::1]", "[::1]:80", "a_b", "x:", "a%20b"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for wrong in ["a b", "a/b", "u@a", "a:b", "a:80:80", "::1", "a?b", "a#b", "http://a"] {
            assert!(!is_host(wrong.as_bytes()), "{wrong}");
        }
        assert!(!is_host(&[0xff]));
    }

    /// RFC 9113, section 8.3.1: a request of HTTP/2 says its host as `:authority`; where it says `Host` as well, the two are one.
    #[test]
    fn http2_says_its_host_otherwise() {
        let is_taken = |uri: &'static str, host: Option<&'static str>| {
            let headers = host.map(|host| (HOST, host.parse().unwrap())).into_iter().collect();
            check(Version::HTTP_2, &Uri::from_static(uri), &headers, &Noted::of(&headers)).is_ok()
        };
        assert!(is_taken("http://x:80/a", None) && is_taken("http://x/a", Some("X")));
        assert!(is_taken("/a", Some("x")), "one that came over HTTP/1.1 to a proxy");
        assert!(!is_taken("/a", None) && !is_taken("http://x/a", Some("y")));
        assert!(!is_taken("http://u@x/a", None) && !is_taken("http://u@x/a", Some("u@x")));
    }
}
