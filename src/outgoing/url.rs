//! [`Url`]: where a request goes.

use std::fmt;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// The longest URL, in bytes.
pub const BYTES_MAX: usize = 2_048;

/// An absolute URL, `http` or `https`, without a user, a password or a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(Uri);

impl Url {
    /// The URL of that text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("must be at most {BYTES_MAX} bytes long"));
        }
        let uri: Uri = text.parse().map_err(|_| "must be a URL, in ASCII: https://host/path".to_owned())?;
        let is_http = [Scheme::HTTP, Scheme::HTTPS].iter().any(|scheme| uri.scheme() == Some(scheme));
        let host = uri.host().filter(|host| !host.is_empty());
        let wrong = if !is_http || host.is_none() {
            "must begin with https://, or http://, and a host"
        } else if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            "must not have a user or a password in it"
        } else if text.contains('#') {
            "must not have a fragment: it is sent to nobody"
        } else if uri.authority().is_some_and(|authority| has_wrong_port(authority.as_str())) {
            "must have a port from 1 to 65535, if it has one"
        } else {
            return Ok(Self(uri));
        };
        Err(wrong.to_owned())
    }

    /// The host; of an address of IPv6 in brackets.
    pub fn host(&self) -> &str {
        self.0.host().expect("there is one")
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether it is to be encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// What a request says it is for: host and port.
    pub fn authority(&self) -> &str {
        self.0.authority().expect("there is one").as_str()
    }

    /// What a request asks for: path and query.
    pub fn target(&self) -> &str {
        self.0.path_and_query().map_or("/", |target| target.as_str())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether there is something after the host that is no port.
fn has_wrong_port(authority: &str) -> bool {
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    let Some((_, port)) = after_host.split_once(':') else { return false };
    !port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("https://shop.example/hooks?a=1").unwrap();
        assert_eq!((url.host(), url.port(), url.is_https()), ("shop.example", 443, true));
        assert_eq!((url.authority(), url.target()), ("shop.example", "/hooks?a=1"));
        let url = Url::parse("http://[::1]:8080").unwrap();
        assert_eq!((url.host(), url.port(), url.is_https()), ("[::1]", 8080, false));
        assert_eq!((url.authority(), url.target()), ("[::1]:8080", "/"));
    }

    #[test]
    fn what_is_no_url_of_a_receiver_is_refused() {
        for wrong in [
            "",
            "/hooks",
            "shop.example",
            "ftp://shop.example/",
            "file:///etc/passwd",
            "https://",
            "https:///hooks",
            "https://user@shop.example/",
            "https://user:password@shop.example/",
            "https://shop.example/#part",
            "https://shop.example:0/",
            "https://shop.example:65536/",
            "https://shop.example:/",
            "https://sh op.example/",
            "https://\u{fc}.example/",
            "http:shop.example",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Url::parse(&format!("https://shop.example/{}", "a".repeat(BYTES_MAX))).is_err());
    }
}
